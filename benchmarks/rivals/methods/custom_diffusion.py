"""Custom Diffusion (Kumari et al., CVPR 2023): keys and values of the cross-attention, and one new word.

Settings of diffusers' examples/custom_diffusion/train_custom_diffusion.py and its README: to_k and to_v by
diffusers' CustomDiffusionAttnProcessor, a modifier word that stands before the superclass and starts as a
rare word, AdamW, weight decay 0.01, rate 1e-5 times the four images of a step (--scale_lr: two photos, two
class images), 250 steps (500 for two concepts), flips (--hflip), 200 class images weighed 1, drawn by the
base as without --real_prior. Its knob is the number of steps. Two concepts are
learned in one teaching ("joint"), or merged by the paper's constrained least squares (its section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.models.attention_processor import CustomDiffusionAttnProcessor
from torch import Tensor

from benchmarks.rivals.clock import now
from benchmarks.rivals.methods.denoising import Lesson, denoise, lesson, prior_lesson, total
from benchmarks.rivals.methods.method import Costs, Learned, Point, Settings, Writer, checkpoints
from benchmarks.rivals.methods.words import NewWords, encoder, extra_words
from perfusion_core.model.describe import cross_attentions, linear_of

if TYPE_CHECKING:
    from benchmarks.rivals.bench import Bench
    from benchmarks.rivals.subject import Subject
    from perfusion_core.model.base import Base

TEMPLATES = ("photo of a {}", "a photo of a {}", "a photo of my {}", "a close-up photo of a {}")
_ROLES = {"k": "to_k", "v": "to_v"}


class CustomDiffusion:
    teacher = "custom-diffusion"
    knob = "steps"
    ours = False
    rates = (1.0, 4.0, 16.0, 64.0)
    source = (
        "diffusers examples/custom_diffusion: K and V and a word, AdamW, 4e-5, 2 photos a step, 250 steps "
        "a concept, flips, 200 class images"
    )
    defaults: ClassVar[Settings] = {
        "steps": 250,
        "batch": 2,
        "rate": 4e-5,
        "decay": 0.01,
        "flip": True,
        "prior": 1.0,
        "class_images": 200,
    }

    def __init__(self, joint: bool) -> None:
        self.name = "custom-diffusion-joint" if joint else "custom-diffusion"
        self.title = f"Custom Diffusion{', both taught together' if joint else ''}"
        self.pairs = "joint" if joint else "stack"

    def settings(self, bench: Bench) -> dict[str, Any]:
        return dict(self.defaults)

    def teach(
        self, bench: Bench, subjects: Sequence[Subject], settings: Settings, seed: int, writer: Writer
    ) -> Costs:
        begun, base = now(), bench.base
        own = dict(base.unet.attn_processors)
        rare = {f"<{s.name}>": base.prompts.superclass_embedding(s.identifier) for s in subjects}
        lessons: list[Lesson] = []
        images = 0.0
        for subject in subjects:
            said = f"<{subject.name}> {subject.superclass}"
            prompts = [template.format(said) for template in TEMPLATES]
            lessons.append(lesson(bench, subject.photos, prompts, flip=settings["flip"]))
            prior, seconds = prior_lesson(bench, subject.superclass, settings)
            lessons += [prior] if prior else []
            images += seconds
        try:
            with extra_words(base, rare) as numbers:
                words, layers = NewWords(base, numbers), _put_in(base, plain_weights(base))
                weights = [p for layer in layers.values() for p in layer.parameters()]
                groups = [{"params": [words.table.weight, *weights], "lr": settings["rate"]}]

                def keep() -> None:
                    kept = {f"word.{word}": vector for word, vector in words.vectors().items()}
                    writer.keep(kept | _taken_out(layers))

                fixed = now() - begun - images
                long = {**settings, "steps": int(settings["steps"]) * len(subjects)}
                step = denoise(
                    bench, base.unet, lessons, encoder(base), groups, long, seed,
                    keep=keep, after_step=words.put_back_others,
                )  # fmt: skip
        finally:
            base.unet.set_attn_processor(own)
        return total(max(0.0, fixed), step * len(subjects), images, settings)

    def points(self, count: int) -> tuple[Point, ...]:
        return checkpoints(count)

    @contextmanager
    def applied(self, bench: Bench, learned: Sequence[Learned], point: Point) -> Iterator[list[str]]:
        base, tensors = bench.base, [one.tensors(point.value) for one in learned]
        own = dict(base.unet.attn_processors)
        vectors = {
            name.removeprefix("word."): tensor
            for found in tensors
            for name, tensor in found.items()
            if name.startswith("word.")
        }
        said = [
            f"<{name}> {kind}"
            for one in learned
            for name, kind in zip(one.names, one.superclasses, strict=True)
        ]
        try:
            with extra_words(base, vectors):
                weights = tensors[0]
                if len(tensors) > 1:
                    read = [concept_rows(base, words) for words in said]
                    weights = merged(plain_weights(base), tensors, read, bench.loaded.covariance.inverse)
                _put_in(base, weights)
                yield said
        finally:
            base.unet.set_attn_processor(own)

    def size(self, learned: Learned) -> int:
        return learned.snapshot(1.0).stat().st_size


def plain_weights(base: Base) -> dict[str, Tensor]:
    """Every cross-attention's own weights, as "k.<path>" and "v.<path>". Shape: (O, D) each."""
    return {
        f"{role}.{path}": linear_of(getattr(attention, attribute)).weight.detach()
        for path, attention in cross_attentions(base.unet).items()
        for role, attribute in _ROLES.items()
    }


def merged(
    plain: Mapping[str, Tensor],
    taught: Sequence[Mapping[str, Tensor]],
    rows: Sequence[Tensor],
    inverse: Tensor,
) -> dict[str, Tensor]:
    """One weight a projection that maps each concept's words as its own teaching does, else stays near plain.

    argmin |(W - W0) C_reg| subject to W c = W_i c for every row c of concept i, which is
    W0 + (V - W0 C) (C M C)^-1 C M with M the inverse second moment of text encodings over a caption corpus.
    Shape: rows[i] (t_i, D), inverse (D, D).
    """
    c = torch.cat(list(rows)).double()  # (s, D)
    d = c @ inverse.to(c)  # (s, D)
    solved = torch.linalg.pinv(d @ c.T, hermitian=True) @ d  # (s, D)
    result: dict[str, Tensor] = {}
    for name, weight in plain.items():
        wanted = torch.cat(
            [r.double() @ t[name].to(r.device).double().T for r, t in zip(rows, taught, strict=True)]
        )
        missing = wanted - c @ weight.double().T  # (s, O)
        result[name] = (weight.double() + missing.T @ solved).to(weight.dtype)
    return result


@torch.no_grad()
def concept_rows(base: Base, said: str) -> Tensor:
    """The encodings of a concept's own words in "photo of a …". Shape: (t, D), one a token."""
    pipe: Any = base.pipeline
    opening = len(pipe.tokenizer("photo of a", add_special_tokens=False).input_ids)
    count = len(pipe.tokenizer(said, add_special_tokens=False).input_ids)
    return encoder(base)([f"photo of a {said}"])[0, 1 + opening : 1 + opening + count]


def _put_in(base: Base, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Give every cross-attention a processor with these keys and values; self-attentions keep theirs."""
    processors, layers = dict(base.unet.attn_processors), {}
    for path, attention in cross_attentions(base.unet).items():
        width = linear_of(attention.to_k).in_features
        layer = CustomDiffusionAttnProcessor(
            train_kv=True,
            train_q_out=False,
            hidden_size=linear_of(attention.to_k).out_features,
            cross_attention_dim=width,
        ).to(base.device, base.unet.dtype)
        with torch.no_grad():
            layer.to_k_custom_diffusion.weight.copy_(weights[f"k.{path}"])
            layer.to_v_custom_diffusion.weight.copy_(weights[f"v.{path}"])
        processors[f"{path}.processor"] = layers[path] = layer
    base.unet.set_attn_processor(processors)
    return layers


def _taken_out(layers: Mapping[str, Any]) -> dict[str, Tensor]:
    keys = {f"k.{path}": layer.to_k_custom_diffusion.weight for path, layer in layers.items()}
    return keys | {f"v.{path}": layer.to_v_custom_diffusion.weight for path, layer in layers.items()}
