"""How far images of the compact (half-precision) concept file are from those of the full one.

`python -m benchmarks.compact --photos assets/examples/poodle --superclass dog` teaches a concept, saves it
both ways, draws the same prompts and seeds with each, and prints the mean absolute difference of pixels
beside that between two neighbouring seeds, which is what a person would call another image.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.subjects import machine
from perfusion_core.concept import Concept, concept_bytes, concept_from_bytes
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.bases import Bases
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach

PROMPTS = (
    "a photo of <it>",
    "a photo of <it> on the beach",
    "<it> wearing a crown",
    "a pencil sketch of <it>",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("assets/examples/poodle"))
    parser.add_argument("--superclass", default="dog")
    parser.add_argument("--base", default="pocket")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), base=options.base)
        library, loaded = Library(settings.home), Bases(settings).get()
        request = TeachRequest([options.photos], "it", options.superclass, base=options.base)
        entry = teach(library, loaded, begin_teaching(library, request)).entry
        assert entry is not None
        full = entry.load()

        def images(concept: Concept, seed: int) -> np.ndarray:
            made = [
                generate(
                    loaded.base,
                    {"it": concept},
                    GenerationRequest(p, seed=seed),
                    covariance=loaded.covariance,
                )
                for p in PROMPTS
            ]
            return np.stack([np.asarray(one.images[0].image, dtype=np.float64) / 255 for one in made])

        small = concept_bytes(full, "float16")
        reference = images(full, 0)
        change = np.abs(images(concept_from_bytes(small), 0) - reference)
        seeds = np.abs(images(full, 1) - reference)
    print(f"{options.base}, {len(PROMPTS)} prompts, {machine()}")
    print(f"full file     {len(concept_bytes(full, 'float32')):7d} bytes, compact {len(small)} bytes")
    print(
        f"compact and full: mean difference {change.mean():.5f}, largest {change.max():.5f} (pixels in 0..1)"
    )
    print(f"one seed against the next: mean difference {seeds.mean():.5f}")


if __name__ == "__main__":
    main()
