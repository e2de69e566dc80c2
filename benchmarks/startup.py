"""From `python app.py` to the first page, and to a base model that is ready.

`python -m benchmarks.startup`

The first start compiles Python files and fills a new data folder, the later ones find both. Beside the clock
stands the processor time the program took, which says more on a machine that others use.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.subjects import machine

PATIENCE = 300.0
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Start:
    """Seconds by the clock and of the processor: to the first page, and to the loaded base."""

    page: tuple[float, float]
    base: tuple[float, float]


def start(home: Path) -> Start:
    """Start the app, wait for both moments, end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    surroundings = {
        **os.environ,
        "PERFUSION_HOME": str(home / "data"),
        "PYTHONPYCACHEPREFIX": str(home / "compiled"),
        "HF_HUB_OFFLINE": "1",
    }
    surroundings.pop("PYTHONDONTWRITEBYTECODE", None)  # or every start would be a first one
    log = home / "log.txt"
    command = [sys.executable, "app.py", "--no-browser", "--port", str(port)]
    begun = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=surroundings)

    def now() -> tuple[float, float]:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return time.perf_counter() - begun, (int(fields[11]) + int(fields[12])) / TICK

    try:
        while not _answers(port):
            _wait(process, begun, log)
        page = now()
        while "is ready" not in log.read_text():
            _wait(process, begun, log)
        return Start(page, now())
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=30) as answer:
            return answer.status == 200
    except OSError:
        return False


def _wait(process: subprocess.Popen[bytes], begun: float, log: Path) -> None:
    if process.poll() is not None or time.perf_counter() - begun > PATIENCE:
        raise SystemExit(f"The app did not start: {log.read_text()[-2000:]}")
    time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for k in range(options.starts):
            found = start(Path(folder))
            (page, page_cpu), (base, base_cpu) = found.page, found.base
            which = "first" if k == 0 else "later"
            print(
                f"{which} start: page after {page:5.2f} s (processor {page_cpu:5.2f} s), "
                f"base ready after {base:5.2f} s (processor {base_cpu:5.2f} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
