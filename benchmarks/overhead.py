"""Generation with three concepts against the plain pipeline, in turn, on the same base.

`python -m benchmarks.overhead`, `python -m benchmarks.overhead --base sd15-random --steps 2 --size 256`
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from benchmarks.subjects import base_from, base_option, machine
from benchmarks.timing import Seconds, comparison
from perfusion_core.model.applied import applied
from tests.tiny_concept import random_concept, random_inverse_covariance

NAMES = ("first", "second", "third")
PLAIN = "a photo of a dog next to a cat and a ball"
TAUGHT = "a photo of <first> next to <second> and <third>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    base_option(parser)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, help="pixels; the base's own by default")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7, help="counted runs of each")
    options = parser.parse_args()
    base = base_from(options)
    size = options.size or base.description.image_size
    concepts = [random_concept(base, name, word, seed) for seed, (name, word) in enumerate(_words())]
    inverse = random_inverse_covariance(base.description.text_width)

    def run(prompt: str) -> Seconds:
        pipe: Any = base.pipeline
        generator = torch.Generator().manual_seed(0)
        begun = Seconds.now(base.device)
        pipe(
            prompt,
            num_inference_steps=options.steps,
            num_images_per_prompt=options.images,
            height=size,
            width=size,
            generator=generator,
            output_type="latent",
        )
        return Seconds.now(base.device).since(begun)

    def plain() -> Seconds:
        with applied(base.pipeline, []):  # no edit; lets encoder and denoiser differ in precision
            return run(PLAIN)

    def taught() -> Seconds:
        with applied(base.pipeline, concepts, inverse_covariance=inverse):
            return run(TAUGHT)

    plain(), taught()
    pairs = [(plain(), taught()) for _ in range(options.rounds)]
    print(f"{base.id}, {options.images} image(s) of {size} px, {options.steps} steps, {machine()}")
    print(comparison("plain pipeline", "three concepts", pairs))


def _words() -> list[tuple[str, str]]:
    return list(zip(NAMES, ("dog", "cat", "ball"), strict=True))


if __name__ == "__main__":
    main()
