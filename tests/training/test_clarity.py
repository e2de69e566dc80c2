"""The concept's word stands out alike in every context when the recipe asks for it."""

from __future__ import annotations

from typing import Any

import torch

from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.clarity import CONTEXTS, CONTEXTS_A_STEP, clarity_loss, pick_contexts

PROMPTS = ("a sketch of <biscuit> on the table", "pixel art of <biscuit>", "a cat and my <biscuit> in space")


def unclear(setup: Any, concept: Any) -> float:
    encoded = PromptEncoder(setup.base).encode(PROMPTS, {"biscuit": concept}, superclass=False)
    return float(clarity_loss(encoded, "biscuit", concept.target_input, setup.statistics.inverse))


def test_a_clear_word_is_learned_where_it_is_asked_for(setup: Any) -> None:
    # As in a trained small encoder, words are no larger than positions, so that contexts matter.
    setup.base.text_encoder.get_input_embeddings().weight.data.mul_(0.05)
    recipe = setup.recipe.changed(steps=20, checkpoint_every=20, embedding_rate=0.05)
    plain = setup.learn(recipe=recipe)
    clear = setup.learn(recipe=recipe.changed(clarity=1.0))
    assert unclear(setup, clear) < 0.6 * unclear(setup, plain)


def test_the_loss_wants_one_token_to_stand_out(setup: Any) -> None:
    class Encoded:
        positions = ({"biscuit": [2]},)
        encoding = torch.zeros(1, 8, 32)

    def loss() -> float:
        return float(clarity_loss(Encoded(), "biscuit", target, inverse))  # type: ignore[arg-type]

    target, inverse = torch.ones(32), setup.statistics.inverse
    assert loss() == 1
    Encoded.encoding[0, 2] = target
    assert loss() < 1e-8
    Encoded.encoding[0, 4] = 0.7 * target  # what stands behind it carries it on, and may
    assert loss() < 1e-8
    Encoded.encoding[0, 4] = 1.3 * target  # but not louder than the concept itself
    assert loss() > 0.04
    Encoded.encoding[0, 4] = 0
    Encoded.encoding[0, 1] = target  # what stands before it cannot know of it
    assert loss() < 1e-8


def test_contexts_are_drawn_without_repeats_and_hold_the_concept() -> None:
    drawn = pick_contexts("<biscuit>", torch.Generator().manual_seed(3))
    assert len(set(drawn)) == CONTEXTS_A_STEP
    assert all(prompt.count("<biscuit>") == 1 for prompt in drawn)
    assert len(set(CONTEXTS)) == len(CONTEXTS)


def test_resuming_is_exact_with_clarity_too(setup: Any) -> None:
    setup.recipe = setup.recipe.changed(clarity=0.5)
    whole = setup.learn(run_dir=setup.folder / "whole")
    seen: list[int] = []
    setup.run(should_stop=lambda: seen.append(0) or len(seen) > 2)
    assert torch.equal(setup.run(resume=True)[-1].concept.embedding, whole.embedding)
