"""The segmenter: its shape, its loss, and what it learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from tools.pocket.mask_lessons import ODDS, SPREAD, draw_lesson, word_for
from tools.pocket.mask_model import (
    build_mask,
    load_mask,
    mask_logits,
    overlap,
    patch_states,
    save_mask,
    soft_masks,
    word_vectors,
)
from tools.pocket.render import Renderer
from tools.pocket.table import draw_table
from tools.pocket.text import token_ids
from tools.pocket.things import held_out
from tools.pocket.train_mask import iou, mask_loss, naming_loss, unseen


@pytest.fixture(scope="module")
def model(tokenizer: CLIPTokenizer) -> CLIPSegForImageSegmentation:
    """An untrained segmenter."""
    torch.manual_seed(0)
    return build_mask(tokenizer).eval()


def test_learning_and_the_class_itself_compute_the_same_masks(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer
) -> None:
    images, words = torch.rand(2, 3, 128, 128), ["dog", "a cat"]
    with torch.no_grad():
        vectors = word_vectors(model, token_ids(tokenizer, words))
        learned = mask_logits(model, patch_states(model, images), vectors).sigmoid()
    assert torch.allclose(learned, soft_masks(model, tokenizer, images, words), atol=1e-6)


def test_gradients_reach_words_and_pictures(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer
) -> None:
    model.zero_grad()
    states = patch_states(model, torch.rand(1, 3, 128, 128))
    words = word_vectors(model, token_ids(tokenizer, ["dog"]))
    mask_loss(mask_logits(model, states, words), torch.ones(1, 128, 128)).backward()
    clip = model.clip
    for weight in (
        clip.text_model.embeddings.token_embedding.weight,
        clip.vision_model.embeddings.patch_embedding.weight,
    ):
        assert weight.grad is not None
        assert float(weight.grad.abs().sum()) > 0


def test_saved_folder_loads_and_gives_nearly_the_same_masks(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    save_mask(model, tokenizer, tmp_path / "mask")
    again, words = load_mask(tmp_path / "mask")
    images = torch.rand(2, 3, 128, 128)
    before, after = (
        soft_masks(model, tokenizer, images, ["dog", "cat"]),
        soft_masks(again, words, images, ["dog", "cat"]),
    )
    assert (before - after).abs().max() < 0.01


def test_loss_is_least_for_the_true_mask() -> None:
    true = torch.zeros(1, 128, 128)
    true[:, 30:90, 40:80] = 1
    right = mask_loss(true * 20 - 10, true)
    assert right < 0.01
    assert mask_loss(-(true * 20 - 10), true) > 1
    assert mask_loss(torch.zeros_like(true), true) > right


def test_an_error_on_a_thing_counts_more_than_one_on_the_backdrop() -> None:
    true, things = torch.zeros(1, 32, 32), torch.zeros(1, 2, 32, 32)
    things[:, 1, :8] = 1
    losses = []
    for rows in (slice(0, 4), slice(20, 24)):
        logits = torch.full((1, 32, 32), -4.0)
        logits[:, rows] = 4
        losses.append(float(mask_loss(logits, true, things)))
    assert losses[0] > 1.5 * losses[1]


def test_naming_is_right_when_each_patch_fits_the_word_of_what_fills_it() -> None:
    things, kinds = torch.zeros(1, 2, 128, 128), torch.tensor([[2, -1]])
    things[:, 0, :64, :64] = 1  # 16 patches of the class 2
    things[:, 1, 64:, 64:] = 1  # a stranger: names itself nowhere
    fit = torch.zeros(1, 64, 5)
    fit[..., 4] = 20
    assert naming_loss(fit, things, kinds) > 10
    fit.view(1, 8, 8, 5)[:, :4, :4, 2] = 40
    assert naming_loss(fit, things, kinds) < 0.01
    assert naming_loss(fit, things, torch.tensor([[-1, -1]])) == 0


def test_overlap_of_halves() -> None:
    one, two = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    one[:, :2], two[:, 1:3] = 1, 1
    assert float(overlap(one, two)) == pytest.approx(1 / 3)


def test_lessons_come_again_with_the_same_seed_and_their_masks_are_the_prompted_thing(work: Path) -> None:
    renderer = Renderer(work, spread=SPREAD)
    first = draw_lesson(renderer, np.random.default_rng(5), 6)
    second = draw_lesson(renderer, np.random.default_rng(5), 6)
    assert torch.equal(first.images, second.images)
    assert first.prompts == second.prompts
    assert bool((first.masks.flatten(1).max(1).values > 0.9).all())
    there = first.things.amax((2, 3)) > 0.5
    assert not bool(((first.kinds >= 0) & ~there).any())


def test_beside_another_a_thing_is_called_by_no_word_that_may_mean_the_other(renderer: Renderer) -> None:
    rng, groups = np.random.default_rng(0), {kind.name: kind.group for kind in renderer.world.kinds}
    table = draw_table(rng, ODDS, renderer.world, 300)
    words = [word_for(table, row, int(table.pair[row]), renderer.world, rng) for row in range(300)]
    strange = 0
    for scene, word in zip(table.scenes(), words, strict=True):
        if len(scene.things) == 2:
            first, asked = (renderer.world.kinds[thing.kind] for thing in scene.things)
            assert groups[word] == asked.group
            assert word == asked.name or first.group != asked.group
            strange += word != asked.name
    assert strange > 30


def test_unseen_scenes_hold_every_held_out_thing_beside_one_of_another_group(work: Path) -> None:
    renderer = Renderer(work, refuse=False)
    batch, words, sides = unseen(renderer, beside=True)
    groups = {kind.name: kind.group for kind in renderer.world.kinds}
    seen = set()
    for scene, word, side in zip(batch.scenes, words, sides, strict=True):
        other = renderer.world.kinds[scene.things[1 - side].kind]
        assert other.group != groups[word]
        assert held_out()[scene.things[side].sprite[1]].superclass == word
        assert other.code not in held_out()
        seen.add(scene.things[side].sprite[1])
    assert seen == set(held_out())


def test_the_overlap_is_measured_on_things_alone(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, work: Path
) -> None:
    assert 0 <= iou(model, tokenizer, Renderer(work, refuse=False), beside=False) < 0.5
