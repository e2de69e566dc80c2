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
    parser.add_argument(
        "--by-kind", action="store_true", help="only the first and the last call of each kind on each file"
    )
    parser.add_argument("--only", choices=("library", "jobs", "teaching"), help="only this one")
    asked = parser.parse_args()
    from tests.fault_sweep import jobs_scenario, library_scenario, sweep
    from tests.teaching_sweep import teaching_scenario
    from tests.tiny_concept import random_concept

    torch.set_num_threads(1)
    loaded = _tiny()
    with tempfile.TemporaryDirectory() as folder:
        photos = [_photo(Path(folder), colour) for colour in ("brown", "orange")]
        old = random_concept(loaded.base, "rex")
        scenarios = {
            "library": library_scenario(lambda name, seed: random_concept(loaded.base, name, seed=seed)),
            "jobs": jobs_scenario,
            "teaching": teaching_scenario(loaded, photos, old, []),
        }
        for name, scenario in scenarios.items():
            if asked.only in (None, name):
                print(sweep(name, scenario, asked.every, by_kind=asked.by_kind), flush=True)


def _tiny() -> Any:
    """A tiny base with a scorer and a segmenter that can be predicted."""
    from perfusion_core.model.base import Base
    from perfusion_core.model.statistics import CovarianceStats
    from perfusion_core.studio.bases import LoadedBase
    from perfusion_core.studio.settings import Settings
    from tests.predictable_models import MiddleSegmenter, PixelScorer
    from tests.tiny_concept import random_inverse_covariance
    from tests.tiny_model import tiny_pipeline

    loaded = LoadedBase(Base("tiny", tiny_pipeline()), Settings(home=Path(tempfile.gettempdir())))
    loaded.__dict__["covariance"] = CovarianceStats(random_inverse_covariance(32), "tiny", 1.0)
    loaded.__dict__["scorer"] = PixelScorer()
    loaded.__dict__["segmenter"] = MiddleSegmenter()
    return loaded


def _photo(folder: Path, colour: str) -> Path:
    image = Image.new("RGB", (96, 80), "lightblue")
    ImageDraw.Draw(image).ellipse((20, 20, 60, 60), fill=colour)
    path = folder / f"{colour}.png"
    image.save(path)
    return path


if __name__ == "__main__":
    main()
