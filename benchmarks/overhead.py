"""Generation with three concepts against the plain pipeline, in turn, on the same base; or, with --front N, a
front of N against N plain images, both as the app makes them.

`python -m benchmarks.overhead`, `python -m benchmarks.overhead --base sd15-random --steps 2 --size 256`,
`python -m benchmarks.overhead --front 7`
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.subjects import base_from, base_option, machine
from benchmarks.timing import Seconds, comparison
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.sampling.generator import Generation, front, generate
from perfusion_core.sampling.operating_points import front_biases
from perfusion_core.sampling.request import GenerationRequest
from tests.tiny_concept import random_concept, random_inverse_covariance

NAMES = ("first", "second", "third")
PLAIN = "a photo of a dog next to a cat and a ball"
TAUGHT = "a photo of <first> next to <second> and <third>"
PLAIN_FRONT, TAUGHT_FRONT = "a photo of a dog on the beach", "a photo of a <first> on the beach"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    base_option(parser)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", type=int, help="pixels; the base's own by default")
    parser.add_argument("--images", type=int, default=1, help="images a call, with three concepts")
    parser.add_argument("--front", type=int, metavar="N", help="time a front of N instead")
    parser.add_argument("--rounds", type=int, default=7, help="counted runs of each")
    options = parser.parse_args()
    base = base_from(options)
    size = options.size or base.description.image_size
    if options.front:
        plain, taught = front_ways(base, options.front, options.steps, size)
        pairs = in_turn(_timed(base, plain), _timed(base, taught), options.rounds)
        made, names = options.front, (f"{options.front} plain images", f"a front of {options.front}")
    else:
        pairs = in_turn(*_concept_ways(base, options.images, options.steps, size), options.rounds)
        made, names = options.images, ("plain pipeline", "three concepts")
    print(f"{base.id}, {made} image(s) of {size} px, {options.steps} steps, {machine()}")
    print(comparison(*names, pairs))


def in_turn(
    plain: Callable[[], Seconds], ours: Callable[[], Seconds], rounds: int
) -> list[tuple[Seconds, Seconds]]:
    """`rounds` pairs of both, after one of each that is not counted."""
    plain(), ours()
    return [(plain(), ours()) for _ in range(rounds)]


def front_ways(
    base: Base, count: int, steps: int, size: int
) -> tuple[Callable[[], Generation], Callable[[], Generation]]:
    """Makers of `count` plain images, and of one prompt's image at each of `count` gate biases."""
    concept = random_concept(base, "first", "dog")
    inverse = random_inverse_covariance(base.description.text_width)
    covariance = CovarianceStats(inverse, "benchmark", 1.0)
    asked = GenerationRequest(PLAIN_FRONT, count=count, steps=steps, width=size, height=size)
    swept = replace(asked, prompt=TAUGHT_FRONT, count=1)
    biases = front_biases(count)
    return (
        lambda: generate(base, {}, asked),
        lambda: front(base, {"first": concept}, swept, "first", biases, covariance=covariance),
    )


def _timed(base: Base, make: Callable[[], object]) -> Callable[[], Seconds]:
    def run() -> Seconds:
        begun = Seconds.now(base.device)
        make()
        return Seconds.now(base.device).since(begun)

    return run


def _concept_ways(
    base: Base, images: int, steps: int, size: int
) -> tuple[Callable[[], Seconds], Callable[[], Seconds]]:
    """The seconds of a plain call of the pipeline, and of one with three concepts."""
    concepts = [random_concept(base, name, word, seed) for seed, (name, word) in enumerate(_words())]
    inverse = random_inverse_covariance(base.description.text_width)
    pipe: Any = base.pipeline

    def run(prompt: str) -> Seconds:
        generator = torch.Generator().manual_seed(0)
        begun = Seconds.now(base.device)
        pipe(
            prompt,
            num_inference_steps=steps,
            num_images_per_prompt=images,
            height=size,
            width=size,
            generator=generator,
            output_type="latent",
        )
        return Seconds.now(base.device).since(begun)

    def plain() -> Seconds:
        with applied(pipe, []):  # no edit; lets encoder and denoiser differ in precision
            return run(PLAIN)

    def taught() -> Seconds:
        with applied(pipe, concepts, inverse_covariance=inverse):
            return run(TAUGHT)

    return plain, taught


def _words() -> list[tuple[str, str]]:
    return list(zip(NAMES, ("dog", "cat", "ball"), strict=True))


if __name__ == "__main__":
    main()
