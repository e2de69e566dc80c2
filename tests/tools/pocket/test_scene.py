"""Scenes are told exactly."""

from __future__ import annotations

import re

import numpy as np

from tools.pocket.domain import CLASSES, COLOURS
from tools.pocket.scene import Scene, Thing, caption, draw_scene, one_word_changed


def test_caption_names_object_colour_hat_and_place() -> None:
    scene = Scene((Thing("dog", "1f415", "red", "top hat"),), "beach")
    assert caption(scene) == "a photo of a red dog wearing a top hat on the beach"


def test_caption_tells_pairs_from_left_to_right_with_right_articles() -> None:
    scene = Scene((Thing("umbrella", "2602-fe0f"), Thing("cup", "1f375", "orange")), "forest", style="pixel")
    assert caption(scene) == "pixel art of an umbrella next to an orange cup in the forest"


def test_caption_leaves_out_an_untold_place() -> None:
    scene = Scene((Thing("cat", "1f408"),), "city", told_place=False)
    assert caption(scene) == "a photo of a cat"


def test_every_drawn_caption_names_each_class_and_colour_it_shows() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        scene = draw_scene(rng)
        told = re.findall(r"[a-z]+", caption(scene, rng))
        assert {thing.kind for thing in scene.things} <= set(told)
        assert {thing.colour for thing in scene.things if thing.colour} <= set(told)
        assert set(told) & set(CLASSES) <= {thing.kind for thing in scene.things} | {"cap"}


def test_same_seed_draws_the_same_scenes() -> None:
    first, again = (draw_scene(np.random.default_rng(5)) for _ in range(2))
    assert first == again


def test_pairs_are_two_different_classes() -> None:
    rng = np.random.default_rng(0)
    pairs = [scene.things for scene in (draw_scene(rng) for _ in range(300)) if len(scene.things) == 2]
    assert pairs
    assert all(left.kind != right.kind for left, right in pairs)


def test_hard_negative_always_reads_differently() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene = draw_scene(rng)
        assert caption(one_word_changed(scene, rng)) != caption(scene)


def test_colours_are_told_apart_by_their_rgb() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS)
