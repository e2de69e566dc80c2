"""Scenes as arrays say the same as scenes one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tools.pocket.render import Renderer
from tools.pocket.scene import Odds, Scene, Thing, Variation
from tools.pocket.table import Table, draw_scene, draw_table
from tools.pocket.things import ARTS, kinds


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _scenes() -> list[Scene]:
    varied = Thing(
        3, ("cartoon", kinds()[3].code), variation=Variation(1.5, 0.8, ("cartoon", kinds()[9].code))
    )
    other = Thing(9, ("cartoon", kinds()[9].code), "pink", "cap")
    return [
        Scene((varied, other), "plain", "white", "cartoon"),
        Scene((Thing(0, ("photo", kinds()[0].code)),), "beach", style="sketch", told_place=False),
    ]


def test_a_table_of_scenes_tells_them_again() -> None:
    again = Table.of(_scenes()).scenes()
    assert again[1] == _scenes()[1]
    assert again[0].things[1] == _scenes()[0].things[1]
    variation = again[0].things[0].variation
    assert variation is not None
    assert variation.partner == ("cartoon", kinds()[9].code)
    np.testing.assert_allclose((variation.hue, variation.stretch), (1.5, 0.8), rtol=1e-6)


def test_plain_columns_bring_the_table_back(renderer: Renderer) -> None:
    table = draw_table(_rng(), Odds(), renderer.world, 40)
    assert Table.from_plain(table.plain()).scenes() == table.scenes()
    assert table[torch.tensor([5, 7])].scenes() == [table.scenes()[5], table.scenes()[7]]


def test_scenes_are_drawn_as_often_as_the_odds_say(renderer: Renderer) -> None:
    odds = Odds(pair=0.4, colour=0.5, plain=0.3, effect=0.2, effect_any=True, varied=0.25, untold_place=0.1)
    table, n = draw_table(_rng(1), odds, renderer.world, 6000), 6000
    things, pair = table.things, table.pair
    assert abs(float(pair.float().mean()) - 0.4) < 0.03
    assert abs(float((table.place == 11).float().mean()) - 0.3) < 0.03
    assert bool(((table.backdrop >= 0) == (table.place == 11)).all())
    assert abs(float((table.style >= len(ARTS)).float().mean()) - 0.2) < 0.03
    assert abs(float(table.told.float().mean()) - 0.9) < 0.03
    varied = things.varied[:, 0]
    assert abs(float(varied.float().mean()) - 0.25) < 0.03
    assert not bool((things.colour[:, 0][varied] >= 0).any())  # it has its own colours
    assert abs(float((things.colour[:, 0][~varied] >= 0).float().mean()) - 0.5) < 0.03
    assert bool((things.kind[pair, 0] != things.kind[pair, 1]).all())
    partnered = (things.partner[:, 0] >= 0).float().sum() / varied.float().sum()
    assert abs(float(partnered) - odds.partner) < 0.05
    assert len(set(things.kind[:, 0].tolist())) > 0.99 * len(
        {k for a in renderer.world.drawable.values() for k in a}
    )
    assert n == len(table)


def test_both_things_of_a_scene_are_of_one_art_style_that_has_them(renderer: Renderer) -> None:
    for scene in draw_table(_rng(2), Odds(pair=0.5), renderer.world, 300).scenes():
        arts = {thing.sprite[0] for thing in scene.things}
        arts |= {t.variation.partner[0] for t in scene.things if t.variation and t.variation.partner}
        assert len(arts) == 1
        assert all(thing.kind in renderer.world.drawable[thing.sprite[0]] for thing in scene.things)
        assert all(kinds()[thing.kind].code == thing.sprite[1] for thing in scene.things)


def test_a_rendered_table_and_its_scenes_are_the_same_images(renderer: Renderer) -> None:
    table = draw_table(_rng(3), Odds(), renderer.world, 6)
    whole, again = renderer.draw(_rng(4), table), renderer.draw(_rng(4), table.scenes())
    assert torch.equal(whole.images, again.images)
    assert torch.equal(whole.looks, again.looks)


def test_one_scene_is_drawn_like_many(renderer: Renderer) -> None:
    assert (
        draw_scene(_rng(5), Odds(), renderer.world)
        == draw_table(_rng(5), Odds(), renderer.world, 1).scenes()[0]
    )


def test_a_hat_sits_lower_on_a_thing_that_is_stretched_wide(renderer: Renderer) -> None:
    plain = Thing(3, ("photo", kinds()[3].code), hat="crown")
    wide = replace(plain, variation=Variation(stretch=1.3))
    alpha = renderer.draw(_rng(6), [Scene((thing,), "snow") for thing in (plain, wide)]).covered[:, 0] > 0.5
    tops = [int(torch.nonzero(rows.any(1))[0]) for rows in alpha]
    assert tops[1] > tops[0] + 5
