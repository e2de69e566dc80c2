"""Scenes, captions and renderings of the second pocket base's world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.pocket.photos import take
from tools.pocket.render import CODE_SIZE, Renderer, mixed, stretched
from tools.pocket.scene import Odds, Scene, Thing, Variation, caption, stand_in
from tools.pocket.table import draw_scene
from tools.pocket.things import ARTS, HATS, PLACES, STYLES, all_kinds, held_out, kinds


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_names_are_plain_distinct_words() -> None:
    names = [kind.name for kind in all_kinds()]
    assert len(set(names)) == len(names) > 500
    assert all(name.replace(" ", "").replace("-", "").isascii() and name == name.lower() for name in names)


def test_held_out_things_are_known_kinds_with_superclasses_in_training() -> None:
    trained = {kind.name for kind in kinds()}
    for thing in held_out().values():
        assert thing.name in {kind.name for kind in all_kinds()}
        assert thing.name not in trained
        assert thing.superclass in trained
    roles = [thing.role for thing in held_out().values()]
    assert roles.count("judged") >= 24
    assert roles.count("tuning") == 4


def test_hats_are_kinds_of_every_art_style(work: Path) -> None:
    book = Renderer(work, refuse=False).book
    assert all(book.has(art, code) or art == "cartoon" for art in ARTS for code in HATS.values())


def test_training_never_draws_a_held_out_thing(renderer: Renderer) -> None:
    for code in held_out():
        with pytest.raises(ValueError, match=code):
            renderer.draw(_rng(), [Scene((Thing(0, ("photo", code)),), "grass")])
    rng = _rng(1)
    for _ in range(500):
        scene = draw_scene(rng, renderer.odds, renderer.world)
        sprites = [thing.sprite for thing in scene.things]
        sprites += [t.variation.partner for t in scene.things if t.variation and t.variation.partner]
        assert not {code for _, code in sprites} & set(held_out())


def test_caption_points_at_the_last_word_of_each_name() -> None:
    number = {kind.name: index for index, kind in enumerate(kinds())}
    pair = (
        Thing(number["closed umbrella"], ("photo", ""), "red", "crown"),
        Thing(number["dog"], ("photo", "")),
    )
    told = caption(Scene(pair, "plain", "blue"))
    assert str(told) == "a photo of a red closed umbrella wearing a crown next to a dog on a blue background"
    assert [told.words[noun] for noun in told.nouns] == ["umbrella", "dog"]


def test_names_can_be_replaced_in_a_caption() -> None:
    told = caption(Scene((Thing(0, ("photo", "")),), "beach"), names=("owl thing",))
    assert str(told) == "a photo of an owl thing on the beach"
    assert told.nouns == (5,)


def test_every_wording_names_what_it_shows(renderer: Renderer) -> None:
    rng = _rng(2)
    for _ in range(300):
        scene = draw_scene(rng, Odds(varied=0.0), renderer.world)
        told = caption(scene, rng)
        for noun, thing in zip(told.nouns, scene.things, strict=True):
            name = kinds()[thing.kind].name.split()
            assert list(told.words[noun - len(name) + 1 : noun + 1]) == name
            assert not thing.colour or thing.colour in told.words


def test_stand_ins_are_mostly_of_the_same_group(renderer: Renderer) -> None:
    rng, group = _rng(3), {kind.name: kind.group for kind in kinds()}
    words = [stand_in(rng, 10, renderer.world) for _ in range(400)]
    same = sum(group.get(word) == kinds()[10].group for word in words)
    assert 0.7 < same / len(words) < 0.95


def test_the_same_seed_renders_the_same_pixels(renderer: Renderer) -> None:
    first, again = renderer.scenes(_rng(), 6), renderer.scenes(_rng(), 6)
    assert torch.equal(first.images, again.images)
    assert first.scenes == again.scenes


def test_every_place_and_style_stays_within_range(renderer: Renderer) -> None:
    thing = (Thing(3, ("photo", kinds()[3].code), hat="crown"),)
    scenes = [Scene(thing, place, "white") for place in PLACES]
    scenes += [Scene(thing, "grass", style=style) for style in STYLES]
    images = renderer.draw(_rng(), scenes).images
    assert images.shape == (len(scenes), 3, 128, 128)
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1


def test_the_left_thing_lies_left_of_the_right_one(renderer: Renderer) -> None:
    pair = tuple(Thing(number, ("photo", kinds()[number].code)) for number in (3, 4))
    masks = renderer.draw(_rng(), [Scene(pair, "snow")]).masks[0]
    columns = torch.arange(128.0)
    left, right = ((mask.sum(0) * columns).sum() / mask.sum() for mask in masks)
    assert left < 50 < 78 < right


def test_looks_show_the_thing_before_it_is_placed(renderer: Renderer) -> None:
    thing = Thing(3, ("photo", kinds()[3].code))
    batch = renderer.draw(_rng(), [Scene((thing,), "beach"), Scene((thing,), "space")])
    assert batch.looks.shape == (2, 2, 4, CODE_SIZE, CODE_SIZE)
    assert (batch.looks[0, 0, 3] - batch.looks[1, 0, 3]).abs().max() < 1e-4  # the same outline anywhere
    assert batch.looks[:, 1].abs().max() == 0


def test_a_turned_hue_keeps_the_outline_and_changes_the_colour(renderer: Renderer) -> None:
    plain = Thing(3, ("photo", kinds()[3].code))
    turned = replace(plain, variation=Variation(hue=2.0))
    looks = renderer.looks([plain, turned])
    assert torch.equal(looks[0, 3], looks[1, 3])
    assert (looks[0, :3] - looks[1, :3]).abs().max() > 0.1


def test_stretched_sprites_stand_on_the_same_edge() -> None:
    sprite = torch.zeros(2, 4, 56, 56)
    sprite[:, :, 8:, 8:48] = 1
    tall, wide = stretched(sprite, torch.tensor([0.7, 1.3]))
    assert tall[3, 50].sum() < sprite[0, 3, 50].sum()  # narrower
    assert wide[3, :, 28].sum() < sprite[0, 3, :, 28].sum()  # lower
    assert wide[3, -1, 28] > 0.4


def test_halves_come_from_both_sprites() -> None:
    one, other = torch.zeros(4, 64, 64), torch.ones(4, 64, 64)
    half = mixed(one[None], other[None], torch.zeros(1))[0]
    assert half[:, :10].max() < 0.01
    assert half[:, -10:].min() > 0.99


def test_photos_show_the_same_thing_elsewhere(work: Path) -> None:
    photos = take(Renderer(work, refuse=False), ("photo", "1f9f8"), 3)
    arrays = [np.asarray(photo, dtype=float) for photo in photos]
    assert all(array.shape == (128, 128, 3) for array in arrays)
    assert np.abs(arrays[0] - arrays[1]).mean() > 10
