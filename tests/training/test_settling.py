"""i* at the end of a training: the concept's own word has similarity 1 to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.edit.gate import similarity
from perfusion_core.errors import TrainingError
from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.learned import concept_tokens, settled


def test_an_encoding_that_never_settles_is_an_error(tiny_covariance: torch.Tensor) -> None:
    with pytest.raises(TrainingError, match="embedding_rate"):
        settled(torch.ones(32), torch.full((3, 32), float("nan")), tiny_covariance)


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_concepts_token_is_similar_to_itself_at_the_end(setup: Any, decay: float) -> None:
    """Also when the running average lags far behind, which used to leave the bias slider dead."""
    recipe = setup.recipe.changed(steps=20, checkpoint_every=20, embedding_rate=0.1, decay=decay)
    concept = setup.learn(recipe=recipe)
    assert 0.9 <= concept.metadata.token_similarity <= 1.1
    prompts = [template.format("<biscuit>") for template in recipe.templates]
    encoded = PromptEncoder(setup.base).encode(prompts, {"biscuit": concept})
    tokens = concept_tokens(encoded, "biscuit")
    found = similarity(tokens[None], concept.target_input, setup.statistics.inverse).mean()
    assert float(found) == pytest.approx(concept.metadata.token_similarity, abs=1e-4)


def test_settling_stops_as_soon_as_it_is_near_enough(tiny_covariance: torch.Tensor) -> None:
    tokens = torch.randn(5, 32, generator=torch.Generator().manual_seed(1)) + 3
    near = tokens.mean(dim=0) * 0.99
    kept, found = settled(near, tokens, tiny_covariance)
    assert torch.equal(kept, near)
    assert found == pytest.approx(1 / 0.99, abs=1e-3)
    moved, found = settled(tokens.mean(dim=0) * 0.4, tokens, tiny_covariance)
    assert abs(found - 1) <= 0.03
    assert not torch.allclose(moved, tokens.mean(dim=0))
