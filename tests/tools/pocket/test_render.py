"""The renderer draws what the scene says, and never a held-out sprite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.pocket.domain import COLOURS, PLACES, STYLES
from tools.pocket.render import Renderer
from tools.pocket.scene import Scene, Thing
from tools.pocket.sprites import held_out


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_held_out_sprites_are_refused_by_name(work: Path) -> None:
    renderer = Renderer(work)
    for code in held_out():
        with pytest.raises(ValueError, match=code):
            renderer.draw(_rng(), [Scene((Thing("dog", code),), "grass")])


def test_held_out_sprite_is_drawn_for_examples_when_allowed(work: Path) -> None:
    batch = Renderer(work, allow_held_out=True).draw(_rng(), [Scene((Thing("dog", "1f429"),), "grass")])
    assert batch.masks[0, 0].sum() > 500


def test_no_training_class_uses_a_held_out_sprite() -> None:
    from tools.pocket.domain import CLASSES

    assert not {code for sprites in CLASSES.values() for code in sprites} & set(held_out())
    assert {entry.superclass for entry in held_out().values()} <= set(CLASSES)


def test_same_seed_renders_the_same_pixels(work: Path) -> None:
    first, again = (Renderer(work).scenes(_rng(), 4) for _ in range(2))
    assert torch.equal(first.images, again.images)
    assert first.captions == again.captions


def test_every_place_and_style_stays_within_range(work: Path) -> None:
    thing = (Thing("dog", "1f415", accessory="crown"),)
    specs = [Scene(thing, place, "white") for place in PLACES]
    specs += [Scene(thing, "grass", style=style) for style in STYLES]
    images = Renderer(work).draw(_rng(), specs).images
    assert images.shape == (len(specs), 3, 128, 128)
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1


def test_left_thing_lies_left_of_right_thing(work: Path) -> None:
    masks = (
        Renderer(work).draw(_rng(), [Scene((Thing("dog", "1f415"), Thing("cup", "1f375")), "snow")]).masks[0]
    )
    columns = torch.arange(128.0)
    left, right = ((mask.sum(0) * columns).sum() / mask.sum() for mask in masks)
    assert left < 50
    assert right > 78


def test_named_colour_is_the_object_mean_colour(work: Path) -> None:
    renderer = Renderer(work)
    for name in ("red", "green", "blue", "yellow"):
        batch = renderer.draw(_rng(), [Scene((Thing("ball", "26bd", name),), "plain", "white")])
        inside = batch.masks[0, 0] > 0.95
        mean = batch.images[0][:, inside].mean(1)
        assert torch.allclose(mean, torch.tensor(COLOURS[name]), atol=0.08)


def test_hat_hides_part_of_the_object_mask(work: Path) -> None:
    renderer = Renderer(work)
    bare = renderer.draw(_rng(), [Scene((Thing("cat", "1f431"),), "grass")]).masks.sum()
    hatted = renderer.draw(_rng(), [Scene((Thing("cat", "1f431", None, "top hat"),), "grass")]).masks.sum()
    assert hatted < bare


def test_pixel_art_is_made_of_even_blocks(work: Path) -> None:
    image = Renderer(work).draw(_rng(), [Scene((Thing("cat", "1f431"),), "grass", style="pixel")]).images[0]
    blocks = image.unfold(1, 4, 4).unfold(2, 4, 4)
    assert (blocks.amax((-1, -2)) - blocks.amin((-1, -2))).max() < 1e-6


def test_black_and_white_has_no_colour(work: Path) -> None:
    image = Renderer(work).draw(_rng(), [Scene((Thing("cat", "1f431"),), "beach", style="grey")]).images[0]
    assert (image.amax(0) - image.amin(0)).max() < 1e-6
