"""The other words of a prompt encoded beside the superclass: they cannot carry the concept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.model.applied import applied
from perfusion_core.model.text import PromptEncoder

PROMPT = "a photo of a <biscuit> on the beach"


def test_only_the_concepts_own_token_differs_from_the_superclass_prompt(
    tiny_base: Any, make_concept: Any
) -> None:
    encoder, concept = PromptEncoder(tiny_base), make_concept(tiny_base)
    concepts = {"biscuit": concept}
    usual = encoder.encode([PROMPT, "a dog"], concepts)
    found = encoder.encode([PROMPT, "a dog"], concepts, beside_superclass=["biscuit"])
    (place,) = found.positions[0]["biscuit"]
    others = [k for k in range(usual.encoding.shape[1]) if k != place]
    assert torch.equal(found.encoding[0, others], usual.superclass_encoding[0, others])
    assert torch.equal(found.encoding[0, place], usual.encoding[0, place])
    assert torch.equal(found.encoding[1], usual.encoding[1])
    assert torch.equal(found.given, found.encoding)
    behind = slice(place + 1, None)
    assert not torch.equal(usual.encoding[0, behind], usual.superclass_encoding[0, behind]), (
        "it carries nothing"
    )


def test_a_concept_that_is_not_named_is_carried_on_as_before(tiny_base: Any, make_concept: Any) -> None:
    encoder = PromptEncoder(tiny_base)
    concepts = {name: make_concept(tiny_base, name, seed=k) for k, name in enumerate(("biscuit", "crumb"))}
    prompt = "a <biscuit> next to a <crumb> on the beach"
    found = encoder.encode([prompt], concepts, beside_superclass=["biscuit"])
    plain = encoder.encode(["a dog next to a <crumb> on the beach"], {"crumb": concepts["crumb"]})
    (first,), (second,) = found.positions[0]["biscuit"], found.positions[0]["crumb"]
    others = [k for k in range(plain.encoding.shape[1]) if k != first]
    torch.testing.assert_close(found.encoding[0, others], plain.encoding[0, others])
    assert plain.positions[0]["crumb"] == [second]


def test_gradients_reach_the_word_through_its_own_token_alone(tiny_base: Any, make_concept: Any) -> None:
    encoder, concept = PromptEncoder(tiny_base), make_concept(tiny_base)
    word = concept.embedding.clone().requires_grad_()

    class Words:
        embeddings = {"text_encoder": word}  # noqa: RUF012
        superclass = "dog"

    encoded = encoder.encode([PROMPT], {"biscuit": Words()}, superclass=False, beside_superclass=["biscuit"])
    (place,) = encoded.positions[0]["biscuit"]
    (through_others,) = torch.autograd.grad(
        encoded.encoding[0, place + 1 :].sum(), word, retain_graph=True, allow_unused=True
    )
    assert through_others is None or not through_others.any()
    (through_own,) = torch.autograd.grad(encoded.encoding[0, place].square().sum(), word)
    assert through_own.any()


def test_what_was_taught_so_is_drawn_so(setup: Any) -> None:
    concept = setup.learn(recipe=setup.recipe.changed(neighbours="superclass"))
    assert concept.metadata.beside_superclass
    pipe = setup.base.pipeline
    encoder = PromptEncoder(setup.base)
    wanted = encoder.encode(
        [f"a {concept.placeholder} on the beach"], {concept.name: concept}
    ).superclass_encoding
    with applied(pipe, [concept], inverse_covariance=setup.statistics.inverse) as conditioning:
        pipe(f"a {concept.placeholder} on the beach", num_inference_steps=1, output_type="latent")
        found = conditioning.encoding
    (place,) = found.positions[0][concept.name]
    others = [k for k in range(wanted.shape[1]) if k != place]
    assert torch.equal(found.encoding[0, others], wanted[0, others])
    assert not torch.equal(found.encoding[0, place], wanted[0, place])


def test_teaching_differs_from_the_usual_one_and_so_does_the_file(setup: Any, tmp_path: Any) -> None:
    usual = setup.learn(run_dir=tmp_path / "usual")
    other = setup.learn(recipe=setup.recipe.changed(neighbours="superclass"), run_dir=tmp_path / "other")
    assert not usual.metadata.beside_superclass
    assert not torch.equal(usual.embedding, other.embedding)
    relabelled = other.with_metadata(recipe={**other.metadata.recipe, "neighbours": "concept"})
    assert relabelled.content_hash != other.content_hash, "its images are others"


def test_a_choice_that_there_is_not_is_refused(setup: Any) -> None:
    with pytest.raises(TrainingError, match="neighbours is 'cat'; choose one of concept, superclass"):
        setup.recipe.changed(neighbours="cat")
