"""Textual inversion (Gal et al., ICLR 2023): one new word, and only its embedding is learned.

Settings of diffusers' examples/textual_inversion/textual_inversion.py and its README: one vector that starts
as the superclass word, AdamW with weight decay 0.01, rate 5e-4 times the four examples of a step
(--scale_lr), 3000 steps, the 27 templates of "imagenet_templates_small" (here the studio's own, which say the
same), no flips unless --center_crop's random flip is asked for. Its knob is the number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.rivals.clock import now
from benchmarks.rivals.methods.denoising import denoise, lesson
from benchmarks.rivals.methods.method import Costs, Learned, Point, Settings, Writer, checkpoints
from benchmarks.rivals.methods.words import NewWords, encoder, extra_words
from perfusion_core.training.recipe import TEMPLATES

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench
    from benchmarks.rivals.subject import Subject


class TextualInversion:
    name = teacher = "textual-inversion"
    title = "Textual inversion"
    knob = "steps"
    source = "diffusers examples/textual_inversion: 1 vector, AdamW, 4 examples a step, 2e-3, 3000 steps"
    pairs = "stack"
    ours = False
    defaults: ClassVar[Settings] = {"steps": 3000, "batch": 4, "rate": 2e-3, "decay": 0.01, "flip": False}
    rates = (1.0, 2.0, 4.0, 8.0)

    def settings(self, bench: Bench) -> dict[str, Any]:
        return dict(self.defaults)

    def teach(
        self, bench: Bench, subjects: Sequence[Subject], settings: Settings, seed: int, writer: Writer
    ) -> Costs:
        begun = now()
        (subject,) = subjects
        base, word = bench.base, _word(subject.name)
        prompts = [template.format(word) for template in TEMPLATES]
        shown = lesson(bench, subject.photos, prompts, flip=settings["flip"])
        with extra_words(base, {word: base.prompts.superclass_embedding(subject.superclass)}) as numbers:
            words = NewWords(base, numbers)
            groups = [{"params": [words.table.weight], "lr": settings["rate"]}]
            fixed = now() - begun
            step = denoise(
                bench, base.unet, [shown], encoder(base), groups, settings, seed,
                keep=lambda: writer.keep(words.vectors()), after_step=words.put_back_others,
            )  # fmt: skip
        return Costs(fixed, step)

    def points(self, count: int) -> tuple[Point, ...]:
        return checkpoints(count)

    @contextmanager
    def applied(self, bench: Bench, learned: Sequence[Learned], point: Point) -> Iterator[list[str]]:
        vectors = {}
        for one in learned:
            vectors |= one.tensors(point.value)
        with extra_words(bench.base, vectors):
            yield [_word(one.names[0]) for one in learned]

    def size(self, learned: Learned) -> int:
        return learned.snapshot(1.0).stat().st_size


def _word(name: str) -> str:
    return f"<{name}>"
