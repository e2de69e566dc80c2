"""Every call that reaches the disk fails once: how many faults, and whether anything was lost.

Run: `python -m benchmarks.faults` (some minutes). It prints a line for the library, one for jobs and one for
a whole teaching on a tiny base, and fails where something acknowledged is missing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--every", type=int, default=1, help="take only every n-th call (default: all)")
    every = parser.parse_args().every
    from tests.fault_sweep import jobs_scenario, library_scenario, run_scenario, sweep
    from tests.tiny_concept import random_concept

    torch.set_num_threads(1)
    loaded = _tiny()
    with tempfile.TemporaryDirectory() as folder:
        photo = _photo(Path(folder))
        scenarios = {
            "library": library_scenario(lambda name, seed: random_concept(loaded.base, name, seed=seed)),
            "jobs": jobs_scenario,
            "teaching": run_scenario(loaded, photo, []),
        }
        for name, scenario in scenarios.items():
            print(sweep(name, scenario, every), flush=True)


def _tiny() -> Any:
    """A tiny base without scorer and segmenter."""
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats
    from perfusion_core.studio.bases import LoadedBase, Missing
    from perfusion_core.studio.settings import Settings
    from tests.tiny_concept import random_inverse_covariance
    from tests.tiny_model import tiny_pipeline

    loaded = LoadedBase(Base("tiny", tiny_pipeline()), Settings(home=Path(tempfile.gettempdir())))
    loaded.__dict__["covariance"] = CovarianceStats(random_inverse_covariance(32), "tiny", 1.0)
    loaded.__dict__["scorer"] = loaded.__dict__["segmenter"] = Missing("There is none for this base.")
    return loaded


def _photo(folder: Path) -> Path:
    image = Image.new("RGB", (80, 80), "lightblue")
    ImageDraw.Draw(image).ellipse((20, 20, 60, 60), fill="brown")
    image.save(folder / "photo.png")
    return folder / "photo.png"


if __name__ == "__main__":
    main()
