"""LoRA (Hu et al., ICLR 2022) of the UNet's attention, DreamBooth-style, by peft.

Settings of diffusers' examples/dreambooth/train_dreambooth_lora.py and its README: peft's LoraConfig on to_q,
to_k, to_v and to_out.0, alpha equal to the rank, Gaussian start, AdamW, weight decay 0.01, rate 1e-4, one
photo a step, 500 steps. Its knob is the scale at which it is added. Two concepts are two adapters at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

from benchmarks.rivals.clock import now
from benchmarks.rivals.methods.denoising import denoise, lesson
from benchmarks.rivals.methods.method import Costs, Learned, Point, Settings, Writer, evenly
from benchmarks.rivals.methods.words import fixed_encoder

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench
    from benchmarks.rivals.subject import Subject

TARGETS = ["to_k", "to_q", "to_v", "to_out.0"]
SCALES = (0.2, 1.2)  # 1 is what was learned; a little more is what people use to push it


class Lora:
    knob = "scale"
    pairs = "stack"
    ours = False
    rates = (1.0, 4.0, 16.0, 64.0)
    defaults: ClassVar[Settings] = {"steps": 500, "batch": 1, "rate": 1e-4, "decay": 0.01, "flip": False}

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.name = self.teacher = f"lora-r{rank}"
        self.title = f"LoRA of the attention, rank {rank}"
        self.source = "diffusers examples/dreambooth (LoRA): peft, AdamW, 1e-4, 1 photo a step, 500 steps"

    def settings(self, bench: Bench) -> dict[str, Any]:
        return dict(self.defaults)

    def teach(
        self, bench: Bench, subjects: Sequence[Subject], settings: Settings, seed: int, writer: Writer
    ) -> Costs:
        begun = now()
        (subject,) = subjects
        unet = bench.base.unet
        prompts = [f"a photo of {subject.identifier} {subject.superclass}"]
        shown = lesson(bench, subject.photos, prompts, flip=settings["flip"])
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)  # the adapter's Gaussian start
                unet.add_adapter(self._config(), adapter_name="taught")
            learned = [p for p in unet.parameters() if p.requires_grad]
            groups = [{"params": learned, "lr": settings["rate"]}]
            fixed = now() - begun
            step = denoise(
                bench, unet, [shown], fixed_encoder(bench.base), groups, settings, seed,
                keep=lambda: writer.keep(get_peft_model_state_dict(unet, adapter_name="taught")),
            )  # fmt: skip
        finally:
            unet.unload_lora()
        return Costs(fixed, step)

    def points(self, count: int) -> tuple[Point, ...]:
        return tuple(Point(f"scale {scale:g}", scale) for scale in evenly(count, *SCALES))

    @contextmanager
    def applied(self, bench: Bench, learned: Sequence[Learned], point: Point) -> Iterator[list[str]]:
        unet = bench.base.unet
        names = [f"taught{k}" for k in range(len(learned))]
        try:
            for name, one in zip(names, learned, strict=True):
                unet.add_adapter(self._config(), adapter_name=name)
                set_peft_model_state_dict(unet, one.tensors(), adapter_name=name)
            unet.set_adapters(names, [point.value] * len(names))
            yield [f"{one.identifiers[0]} {one.superclasses[0]}" for one in learned]
        finally:
            unet.unload_lora()

    def size(self, learned: Learned) -> int:
        return learned.snapshot(1.0).stat().st_size

    def _config(self) -> LoraConfig:
        return LoraConfig(
            r=self.rank, lora_alpha=self.rank, init_lora_weights="gaussian", target_modules=TARGETS
        )
