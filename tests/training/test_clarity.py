"""The concept's word stands out alike in every context when the recipe asks for it."""

from __future__ import annotations

from typing import Any

import torch

from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.clarity import CONTEXTS, CONTEXTS_A_STEP, clarity_loss, pick_contexts

PROMPTS = ("a sketch of <biscuit> on the table", "pixel art of <biscuit>", "a cat and my <biscuit> in space")


def unclear(lesson: Any, concept: Any) -> float:
    encoded = PromptEncoder(lesson.base).encode(PROMPTS, {"biscuit": concept}, superclass=False)
    return float(clarity_loss(encoded, "biscuit", concept.target_input, lesson.statistics.inverse))


def test_a_clear_word_is_learned_where_it_is_asked_for(lesson: Any) -> None:
    # As in a trained small encoder, words are no larger than positions, so that contexts matter.
    lesson.base.text_encoder.get_input_embeddings().weight.data.mul_(0.05)
    recipe = lesson.recipe.changed(steps=20, checkpoint_every=20, embedding_rate=0.05)
    plain = lesson.learn(recipe=recipe)
    clear = lesson.learn(recipe=recipe.changed(clarity=1.0))
    assert unclear(lesson, clear) < 0.6 * unclear(lesson, plain)


def test_the_loss_looks_at_the_concepts_own_token_only(lesson: Any) -> None:
    class Encoded:
        positions = ({"biscuit": [2]},)
        encoding = torch.zeros(1, 8, 32)

    target, inverse = torch.ones(32), lesson.statistics.inverse
    assert float(clarity_loss(Encoded(), "biscuit", target, inverse)) == 1  # type: ignore[arg-type]
    Encoded.encoding[0, 2] = target
    Encoded.encoding[0, 4] = 5 * target  # what stands behind it carries it on, and may
    assert float(clarity_loss(Encoded(), "biscuit", target, inverse)) < 1e-8  # type: ignore[arg-type]


def test_contexts_are_drawn_without_repeats_and_hold_the_concept() -> None:
    drawn = pick_contexts("<biscuit>", torch.Generator().manual_seed(3))
    assert len(set(drawn)) == CONTEXTS_A_STEP
    assert all(prompt.count("<biscuit>") == 1 for prompt in drawn)
    assert len(set(CONTEXTS)) == len(CONTEXTS)


def test_resuming_is_exact_with_clarity_too(lesson: Any) -> None:
    lesson.recipe = lesson.recipe.changed(clarity=0.5)
    whole = lesson.learn(run_dir=lesson.folder / "whole")
    seen: list[int] = []
    lesson.run(should_stop=lambda: seen.append(0) or len(seen) > 2)
    assert torch.equal(lesson.run(resume=True)[-1].concept.embedding, whole.embedding)
