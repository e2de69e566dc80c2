"""A concept whose word embedding was not trained: the gate and its superclass written plainly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import ConceptError
from perfusion_core.model.applied import applied
from perfusion_core.model.text import PromptEncoder

SETTINGS = {"bias": {"local": 0.5, "global": 0.5}, "temperature": 0.15}


def unworded(base: Any, make_concept: Any, name: str = "biscuit", **options: Any) -> Any:
    """A concept as teaching makes it at embedding_rate 0: word and i* are the superclass's."""
    concept = make_concept(base, name, **options, **SETTINGS)
    encoder = PromptEncoder(base)
    word = encoder.superclass_embedding(concept.superclass)
    same = replace(concept, embedding=word)
    encoded = encoder.encode([f"a photo of a <{name}>"], {name: same})
    i_star = encoded.encoding[0, encoded.positions[0][name][0]]
    plain = None if concept.keys else i_star
    return replace(same, target_input=i_star, superclass_encoding=plain)


def gates(
    base: Any, concepts: list[Any], prompt: str, inverse: torch.Tensor, **settings: Any
) -> torch.Tensor:
    """The gates of the negative row (a dog) and of the prompt's, (2, T, n)."""
    with applied(base.pipeline, concepts, inverse_covariance=inverse, **settings) as conditioning:
        base.pipeline.encode_prompt(prompt, "cpu", 1, True, "a dog")
        assert conditioning.injection.context is not None
        return conditioning.injection.context.coefficients.gates


def measured(base: Any, concept: Any, prompt: str, inverse: torch.Tensor) -> torch.Tensor:
    """The paper's gates, written out: σ((⟨i*, e⟩ / ⟨i*, i*⟩ − β) / τ). Shape: (T,)."""
    encoding = PromptEncoder(base).encode([prompt], {concept.name: concept}).encoding[0]
    i_star = concept.target_input
    found = (encoding @ inverse @ i_star) / (i_star @ inverse @ i_star)
    return 1 / (1 + torch.exp(-(found - 0.5) / 0.15))


OPEN, SHUT = (1 / (1 + np.exp(-(similarity - 0.5) / 0.15)) for similarity in (1.0, 0.0))


@pytest.mark.parametrize("trained_keys", [False, True])
def test_a_plain_superclass_and_what_follows_it_are_not_the_concept(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor, trained_keys: bool
) -> None:
    concept = unworded(tiny_base, make_concept, trained_keys=trained_keys)
    prompt = "a photo of a <biscuit> next to a dog on the beach"  # start, then <biscuit> is 5 and dog 9
    found = gates(tiny_base, [concept], prompt, tiny_covariance)[1, :, 0]
    expected = measured(tiny_base, concept, prompt, tiny_covariance)
    assert expected[9] > 2 * SHUT  # by measuring alone it would act there
    torch.testing.assert_close(found[5], torch.tensor(OPEN).float())
    torch.testing.assert_close(found[6:9], expected[6:9])
    torch.testing.assert_close(found[9:], torch.full((15,), SHUT))
    torch.testing.assert_close(found[:5], torch.full((5,), SHUT))


def test_a_plain_superclass_before_the_concept_is_not_the_concept(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    concept = unworded(tiny_base, make_concept)
    prompt = "a Dog in the snow next to a <biscuit> on the beach"
    found = gates(tiny_base, [concept], prompt, tiny_covariance)[1, :, 0]
    torch.testing.assert_close(found[:9], torch.full((9,), SHUT))
    torch.testing.assert_close(found[9], torch.tensor(OPEN).float())
    torch.testing.assert_close(found[10:], measured(tiny_base, concept, prompt, tiny_covariance)[10:])


def test_prompts_without_the_concept_leave_its_gate_shut(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    concept = unworded(tiny_base, make_concept)
    found = gates(tiny_base, [concept], "a photo of a dog", tiny_covariance)
    torch.testing.assert_close(found, torch.full((2, 24, 1), SHUT))


@pytest.mark.parametrize(
    ("prompt", "first"),
    [("a photo of a <biscuit> dog on the beach", 5), ("my dog <biscuit> on the beach", 2)],
)
def test_a_superclass_right_beside_the_concept_says_what_it_is(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor, prompt: str, first: int
) -> None:
    concept = unworded(tiny_base, make_concept)
    found = gates(tiny_base, [concept], prompt, tiny_covariance)[1, :, 0]
    expected = measured(tiny_base, concept, prompt, tiny_covariance)
    torch.testing.assert_close(found[:first], torch.full((first,), SHUT))
    own = prompt.split().index("<biscuit>") + 1
    rest = [token for token in range(first, 24) if token != own]
    torch.testing.assert_close(found[rest], expected[rest])


def test_a_superclass_of_several_words_is_known_where_all_of_them_stand(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    concept = unworded(tiny_base, make_concept, superclass="red bird")
    prompt = "a <biscuit> bird next to a red bird"  # 2 is the concept, whose next word is no "red bird"
    found = gates(tiny_base, [concept], prompt, tiny_covariance)[1, :, 0]
    expected = measured(tiny_base, concept, prompt, tiny_covariance)
    torch.testing.assert_close(found[3:7], expected[3:7])
    torch.testing.assert_close(found[7:], torch.full((17,), SHUT))


def test_two_concepts_of_one_kind_meet_in_one_image_each_at_its_own_place(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    first = unworded(tiny_base, make_concept)
    second = unworded(tiny_base, make_concept, "rex", seed=3)
    assert torch.equal(first.target_input, second.target_input)
    prompt = "a photo of a <biscuit> next to a <rex> on the beach"
    found = gates(tiny_base, [first, second], prompt, tiny_covariance)[1]
    torch.testing.assert_close(found[5], torch.tensor([OPEN, SHUT]).float())
    torch.testing.assert_close(found[9], torch.tensor([SHUT, OPEN]).float())
    expected = measured(tiny_base, first, "a photo of a <biscuit> next to a dog", tiny_covariance)
    torch.testing.assert_close(found[6:9, 0], expected[6:9])
    torch.testing.assert_close(found[6:9, 1], torch.full((3,), SHUT))
    torch.testing.assert_close(found[10:, 0], torch.full((14,), SHUT))
    images = []
    for concepts in ([first, second], [second, first]):
        with applied(tiny_base.pipeline, concepts, inverse_covariance=tiny_covariance):
            generator = torch.Generator().manual_seed(0)
            made = tiny_base.pipeline(prompt, num_inference_steps=2, output_type="np", generator=generator)
        images.append(made.images)
    assert np.isfinite(images[0]).all()
    np.testing.assert_allclose(images[0], images[1], atol=1e-4)


def test_by_the_papers_rule_two_concepts_of_one_kind_are_refused_by_name(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    both = [unworded(tiny_base, make_concept), unworded(tiny_base, make_concept, "rex", seed=3)]
    with pytest.raises(ConceptError, match="biscuit and rex"):
        gates(tiny_base, both, "a <biscuit> and a <rex>", tiny_covariance, anchored=False)


def test_a_concept_with_a_word_of_its_own_is_measured_as_in_the_paper(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    concept = make_concept(tiny_base, **SETTINGS)
    prompt = "a dog and a photo of a <biscuit> next to a dog"
    found = gates(tiny_base, [concept], prompt, tiny_covariance)[1, :, 0]
    expected = measured(tiny_base, concept, prompt, tiny_covariance)
    own = 8
    torch.testing.assert_close(found[own], torch.tensor(OPEN).float())
    others = [token for token in range(24) if token != own]
    torch.testing.assert_close(found[others], expected[others])


def test_of_encodings_passed_in_everything_is_measured(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    concept, prompt = unworded(tiny_base, make_concept), "a photo of a <biscuit> next to a dog"
    with applied(tiny_base.pipeline, [concept], inverse_covariance=tiny_covariance) as conditioning:
        given, _ = tiny_base.pipeline.encode_prompt(prompt, "cpu", 1, False)
        tiny_base.pipeline.encode_prompt(None, "cpu", 1, False, prompt_embeds=given)
        assert conditioning.injection.context is not None
        found = conditioning.injection.context.coefficients.gates[0, :, 0]
    torch.testing.assert_close(found, measured(tiny_base, concept, prompt, tiny_covariance))
