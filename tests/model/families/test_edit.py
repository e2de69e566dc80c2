"""The paper's formula by hand in the stock pipelines, for every family, and what `applied` leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from tests.tiny_concept import random_concept, random_inverse_covariance
from tests.tiny_families import PIPELINES, plain_options, tiny_family

KINDS = list(PIPELINES)
POOLED = ("sdxl", "kolors")
PROMPT = "a photo of a <biscuit>, on the beach"
BIAS, TEMPERATURE = 0.5, 0.3


def draw(pipe: Any, kind: str, prompt: Any, seed: int = 0, **options: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return np.asarray(pipe(prompt, generator=generator, **{**plain_options(kind), **options}).images)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def base(kind: str) -> Base:
    return Base(kind, tiny_family(kind))


@pytest.fixture
def biscuit(base: Base) -> Any:
    return random_concept(base)


@pytest.fixture
def inverse(base: Base) -> torch.Tensor:
    return random_inverse_covariance(base.description.text_width)


def by_hand(kind: str, concept: Any, inverse: torch.Tensor, lock: str) -> Any:
    """Equation 3 in a fresh stock pipeline, in which the word "teapot" has the concept's embedding."""
    pipe = tiny_family(kind)
    plain, taught = PROMPT.replace("<biscuit>", "dog"), PROMPT.replace("<biscuit>", "teapot")
    denoiser = pipe.unet if hasattr(pipe, "unet") else pipe.transformer
    layers = {path: denoiser.get_submodule(path) for path in concept.values}
    told: dict[str, Any] = {}
    if kind in POOLED:  # the pooled text is the superclass prompt's
        told = dict(zip(("pooled_prompt_embeds", "negative_pooled_prompt_embeds"),
                        pipe.encode_prompt(plain)[2:], strict=True))  # fmt: skip
    superclass_inputs: dict[str, list[torch.Tensor]] = {path: [] for path in layers}
    for path, layer in layers.items():  # what the keys read of the superclass prompt, call by call
        layer.to_k.register_forward_pre_hook(lambda _m, e, path=path: superclass_inputs[path].append(e[0]))
    draw(pipe, kind, plain)
    for number, embedding in enumerate(concept.embeddings.values()):
        encoder = pipe.text_encoder if number == 0 else pipe.text_encoder_2
        tokenizer = pipe.tokenizer if number == 0 else pipe.tokenizer_2
        t5 = encoder.config.model_type == "t5"
        table = encoder.encoder.embed_tokens if t5 else encoder.get_input_embeddings()
        spaced = "teapot" if kind == "kolors" else " teapot"  # its tokenizer puts a space before a text
        (row,) = tokenizer(spaced, add_special_tokens=False).input_ids
        table.weight.data[row] = embedding / float(getattr(table, "scalar_embed_scale", 1.0))
    i_star = concept.target_input
    probe = inverse @ i_star / (i_star @ inverse @ i_star)
    for path, layer in layers.items():
        keys_read = [read.clone() for read in superclass_inputs[path]]
        for name in ("to_k", "to_v"):
            linear = getattr(layer, name)
            o_star = concept.values[path] if name == "to_v" else linear.weight @ concept.superclass_encoding

            def edited(e: Any, name: str = name, m: Any = linear.forward, w: Any = linear.weight,
                       o: Any = o_star, keys: Any = keys_read) -> Any:  # fmt: skip
                if lock == "global" and name == "to_k":
                    return m(keys.pop(0))
                similarity = e @ probe
                gate = torch.sigmoid((similarity - BIAS) / TEMPERATURE)
                if kind == "cosmos":  # nothing to edit in padding, which is zero
                    gate = gate * (e != 0).any(dim=-1)
                return m(e) + gate[..., None] * o - similarity[..., None] * (w @ i_star)

            linear.forward = edited
    if kind in POOLED:
        told |= dict(
            zip(("prompt_embeds", "negative_prompt_embeds"), pipe.encode_prompt(taught)[:2], strict=True)
        )
    return draw(pipe, kind, None if told else taught, **told)


@pytest.mark.parametrize("lock", ["local", "global"])
def test_the_papers_formula_by_hand_gives_the_same_image(
    kind: str, base: Base, biscuit: Any, inverse: torch.Tensor, lock: Any
) -> None:
    with applied(
        base.pipeline, [biscuit], lock=lock, removal="paper", biases={"biscuit": BIAS},
        temperature=TEMPERATURE, inverse_covariance=inverse, anchored=False,
    ):  # fmt: skip
        found = draw(base.pipeline, kind, PROMPT)
    expected = by_hand(kind, biscuit, inverse, lock)
    plain = draw(tiny_family(kind), kind, PROMPT.replace("<biscuit>", "dog"))
    assert np.abs(expected - plain).max() > 1e-2
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_afterwards_everything_is_as_it_was(
    kind: str, base: Base, biscuit: Any, inverse: torch.Tensor
) -> None:
    pipe = base.pipeline
    modules = [module for module in pipe.components.values() if isinstance(module, torch.nn.Module)]
    before, shown = draw(pipe, kind, "a photo of a dog"), [repr(module) for module in modules]
    weights = [weight.clone() for module in modules for weight in module.parameters()]
    for lock in ("local", "global"):
        with applied(pipe, [biscuit], lock=lock, inverse_covariance=inverse):
            assert np.abs(draw(pipe, kind, PROMPT) - before).max() > 1e-2
    with (
        pytest.raises(PromptError, match="<nobody>"),
        applied(pipe, [biscuit], inverse_covariance=inverse),
    ):
        draw(pipe, kind, "a photo of a <nobody>")
    assert [repr(module) for module in modules] == shown
    assert all(
        torch.equal(a, b)
        for a, b in zip(weights, (w for module in modules for w in module.parameters()), strict=True)
    )
    assert np.array_equal(draw(pipe, kind, "a photo of a dog"), before)
    assert not {"encode_prompt", "maybe_free_model_hooks"} & set(vars(pipe))


def test_a_prompt_without_the_concept_stays_as_it_is(
    kind: str, base: Base, biscuit: Any, inverse: torch.Tensor
) -> None:
    """With gates so narrow that none opens by chance in these random models."""
    plain = draw(base.pipeline, kind, "two cats in snow")
    with applied(
        base.pipeline, [biscuit], biases={"biscuit": 3.0}, temperature=0.01, inverse_covariance=inverse
    ):
        np.testing.assert_allclose(draw(base.pipeline, kind, "two cats in snow"), plain, atol=1e-4)


@pytest.mark.parametrize("lock", ["local", "global"])
def test_two_concepts_meet_in_one_image_whatever_their_order(
    kind: str, base: Base, biscuit: Any, inverse: torch.Tensor, lock: Any
) -> None:
    teapot = random_concept(base, "brown", "cup", seed=5)
    images = []
    for concepts in ([biscuit], [biscuit, teapot], [teapot, biscuit]):
        prompt = "a <biscuit> and a <brown>" if len(concepts) == 2 else "a <biscuit> and a cup"
        with applied(base.pipeline, concepts, lock=lock, inverse_covariance=inverse):
            images.append(draw(base.pipeline, kind, prompt))
    assert np.abs(images[0] - images[1]).max() > 1e-2
    np.testing.assert_allclose(images[1], images[2], atol=1e-4)


def test_several_images_of_a_prompt_have_their_own_gates(
    kind: str, base: Base, biscuit: Any, inverse: torch.Tensor
) -> None:
    def seeds() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(0) for _ in range(2)]

    options = plain_options(kind)
    with applied(base.pipeline, [biscuit], biases={"biscuit": [0.2, 0.9]}, inverse_covariance=inverse):
        both = base.pipeline(PROMPT, num_images_per_prompt=2, generator=seeds(), **options).images
    for image, bias in zip(both, (0.2, 0.9), strict=True):
        with applied(base.pipeline, [biscuit], biases={"biscuit": bias}, inverse_covariance=inverse):
            np.testing.assert_allclose(draw(base.pipeline, kind, PROMPT)[0], image, atol=1e-4)
    assert np.abs(both[0] - both[1]).max() > 1e-3


def test_another_prompt_on_the_same_denoiser_is_refused(
    kind: str, base: Base, biscuit: Any, inverse: torch.Tensor
) -> None:
    other = type(base.pipeline)(**base.pipeline.components)
    other.set_progress_bar_config(disable=True)
    with applied(base.pipeline, [biscuit], inverse_covariance=inverse):
        with pytest.raises(PerfusionError, match="without a prompt that was read"):
            draw(other, kind, "a cat")
        draw(base.pipeline, kind, PROMPT)


def test_a_second_prompt_for_the_second_encoder_is_refused() -> None:
    base = Base("sdxl", tiny_family("sdxl"))
    with applied(base.pipeline, [random_concept(base)], inverse_covariance=random_inverse_covariance(56)):
        with pytest.raises(PromptError, match="Leave prompt_2 out"):
            draw(base.pipeline, "sdxl", PROMPT, prompt_2="a cat")
        draw(base.pipeline, "sdxl", PROMPT, prompt_2=PROMPT)
