"""DreamBooth (Ruiz et al., CVPR 2023): the whole UNet learns "a photo of sks dog".

Settings of diffusers' examples/dreambooth/train_dreambooth.py and its README: AdamW, weight decay 0.01, rate
5e-6, one photo a step; 400 steps without prior preservation; with it 800 steps, 200 class images by the base
itself, their loss weighed 1. The text encoder stays as it is (its training is an option there). Its knob is
the number of steps.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.rivals.clock import now
from benchmarks.rivals.methods.denoising import denoise, lesson, prior_lesson, total
from benchmarks.rivals.methods.method import Costs, Learned, Point, Settings, Writer, checkpoints
from benchmarks.rivals.methods.words import fixed_encoder

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench
    from benchmarks.rivals.subject import Subject


class DreamBooth:
    knob = "steps"
    pairs = ""
    ours = False
    rates = (1.0, 4.0, 16.0, 64.0)

    def __init__(self, prior: bool) -> None:
        self.name = self.teacher = "dreambooth-prior" if prior else "dreambooth"
        self.title = f"DreamBooth, whole UNet{', prior preservation' if prior else ''}"
        self.source = "diffusers examples/dreambooth: AdamW, 5e-6, 1 photo a step, " + (
            "800 steps, 200 class images" if prior else "400 steps"
        )
        self.defaults: Settings = {
            "steps": 800 if prior else 400,
            "batch": 1,
            "rate": 5e-6,
            "decay": 0.01,
            "flip": False,
            "prior": 1.0 if prior else 0.0,
            "class_images": 200 if prior else 0,
        }

    def settings(self, bench: Bench) -> dict[str, Any]:
        return dict(self.defaults)

    def teach(
        self, bench: Bench, subjects: Sequence[Subject], settings: Settings, seed: int, writer: Writer
    ) -> Costs:
        begun = now()
        (subject,) = subjects
        prompts = [f"a photo of {subject.identifier} {subject.superclass}"]
        lessons = [lesson(bench, subject.photos, prompts, flip=settings["flip"])]
        fixed = now() - begun
        prior, images = prior_lesson(bench, subject.superclass, settings)
        lessons += [prior] if prior else []
        unet = copy.deepcopy(bench.base.unet).requires_grad_(True)
        groups = [{"params": list(unet.parameters()), "lr": settings["rate"]}]
        step = denoise(
            bench, unet, lessons, fixed_encoder(bench.base), groups, settings, seed,
            keep=lambda: writer.keep(unet.state_dict()),
        )  # fmt: skip
        return total(fixed, step, images, settings)

    def points(self, count: int) -> tuple[Point, ...]:
        return checkpoints(count)

    @contextmanager
    def applied(self, bench: Bench, learned: Sequence[Learned], point: Point) -> Iterator[list[str]]:
        (one,) = learned
        pipe: Any = bench.base.pipeline
        own = pipe.unet
        taught = copy.deepcopy(own)
        taught.load_state_dict(one.tensors(point.value))
        pipe.unet = taught
        try:
            yield [f"{one.identifiers[0]} {one.superclasses[0]}"]
        finally:
            pipe.unet = own

    def size(self, learned: Learned) -> int:
        return learned.snapshot(1.0).stat().st_size
