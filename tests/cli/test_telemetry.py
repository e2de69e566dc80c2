"""What libraries would tell the network about whoever uses the app."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_verb_has_the_hubs_client_ask_for_nothing_but_files(tmp_path: Path) -> None:
    """Else it fetches a list of coding agents, also where the model is in the cache, to say which runs it."""
    program = (
        "import sys; from perfusion_core.cli.main import main; main(['bases'])\n"
        "from huggingface_hub import constants; sys.exit(not constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    names = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PERFUSION_HOME"] = str(tmp_path)
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True)
    assert ran.returncode == 0
