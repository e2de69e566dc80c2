"""The norm of the word held at the vocabulary's mean, so that its direction alone is learned."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.learned import Learned, begin


@pytest.fixture
def mean_norm(setup: Any) -> float:
    weight = setup.base.text_encoder.get_input_embeddings().weight
    return float(weight.norm(dim=1).mean())


@pytest.fixture
def held(setup: Any) -> Learned:
    recipe = setup.recipe.changed(word_norm="vocabulary")
    return begin(setup.base, PromptEncoder(setup.base), "Biscuit", "dog", ["a photo of a <Biscuit>"], recipe)


def test_it_is_off_unless_it_is_asked_for(setup: Any) -> None:
    word = PromptEncoder(setup.base).superclass_embedding("dog")
    events = setup.run()
    start, end = events[1].concept, events[-1].concept
    assert torch.equal(start.embedding, word)
    assert float(end.embedding.norm()) != pytest.approx(float(word.norm()), rel=1e-6)


def test_the_start_points_where_the_superclass_does(setup: Any, held: Learned, mean_norm: float) -> None:
    word = PromptEncoder(setup.base).superclass_embedding("dog")
    assert float(held.embedding.detach().norm()) == pytest.approx(mean_norm, rel=1e-5)
    assert float(torch.cosine_similarity(held.embedding.detach(), word, dim=0)) == pytest.approx(1, abs=1e-6)


def test_every_checkpoint_has_the_norm_and_the_direction_moves(setup: Any, mean_norm: float) -> None:
    recipe = setup.recipe.changed(word_norm="vocabulary", embedding_rate=0.05)
    concepts = [event.concept for event in setup.run(recipe=recipe) if event.kind == "checkpoint"]
    for concept in concepts:
        assert float(concept.embedding.norm()) == pytest.approx(mean_norm, rel=1e-5)
    turned = torch.cosine_similarity(concepts[0].embedding, concepts[-1].embedding, dim=0)
    assert float(turned) < 0.9999


def test_the_gradient_along_the_word_is_left_out(held: Learned) -> None:
    along = held.embedding.detach() / held.embedding.detach().norm()
    across = torch.roll(along, 1)
    across = across - (across @ along) * along
    held.embedding.grad = 3 * along + 2 * across
    held.direct_gradients()
    torch.testing.assert_close(held.embedding.grad, 2 * across)


def test_a_stopped_run_resumes_to_the_same_result(setup: Any) -> None:
    recipe = setup.recipe.changed(word_norm="vocabulary")
    whole = setup.learn(recipe=recipe, run_dir=setup.folder / "whole")
    asked: list[int] = []
    setup.run(recipe=recipe, should_stop=lambda: asked.append(0) or len(asked) > 4)
    assert setup.learn(recipe=recipe, resume=True).content_hash == whole.content_hash


def test_another_choice_is_refused_by_name(setup: Any) -> None:
    with pytest.raises(TrainingError, match="word_norm is 'large'; choose one of free, vocabulary"):
        setup.recipe.changed(word_norm="large")
