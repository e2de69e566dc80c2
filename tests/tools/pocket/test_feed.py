"""Captions from pieces, batches with codes at their nouns, and the pool they are drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from tools.pocket import codes, shards
from tools.pocket.feed import Encoded, Feed, Mix, Pool
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds, Scene, Thing, caption
from tools.pocket.table import Table, draw_table
from tools.pocket.tell import Teller
from tools.pocket.text import Encoder
from tools.pocket.things import GENERIC, OPENINGS, kinds

CPU = torch.device("cpu")


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def tell(tokenizer: CLIPTokenizer, renderer: Renderer) -> Teller:
    return Teller(tokenizer, renderer.world)


def test_the_plainest_wording_is_that_of_captions_told_one_by_one(tell: Teller, renderer: Renderer) -> None:
    table = draw_table(_rng(), Odds(varied=0.0, pair=0.5, colour=0.5), renderer.world, 300)
    told = tell.plain(table)
    ids, nouns = Encoder(tell.encode.tokenizer)([caption(scene) for scene in table.scenes()])
    assert torch.equal(told.ids, ids)
    assert torch.equal(told.nouns, nouns)


def test_varied_wordings_name_what_is_shown(
    tell: Teller, renderer: Renderer, tokenizer: CLIPTokenizer
) -> None:
    table = draw_table(_rng(1), Odds(varied=0.0, effect=0.0), renderer.world, 200)
    told = tell(table, _rng(2), coded=0.0)
    assert not bool(told.coded.any())
    texts = tokenizer.batch_decode(told.ids, skip_special_tokens=True)
    for scene, text, nouns in zip(table.scenes(), texts, told.nouns.tolist(), strict=True):
        for thing, noun in zip(scene.things, nouns, strict=False):
            name = kinds()[thing.kind].name.replace("-", " - ")
            assert noun == -1 or name.replace(" ", "") in text.replace(" ", "")
    first = {text.split()[0] for text in texts if text}
    assert {opening.split()[0] for opening in OPENINGS if opening} <= first


def test_coded_draws_name_no_colour_and_mostly_something_of_the_group(
    tell: Teller, renderer: Renderer, tokenizer: CLIPTokenizer
) -> None:
    number = next(n for n, kind in enumerate(kinds()) if kind.name == "dog")
    thing = Thing(number, ("photo", kinds()[number].code), "purple")
    table = Table.of([Scene((thing,), "beach", told_place=False)] * 400)
    told = tell(table, _rng(3), coded=1.0)
    assert bool(told.coded.all())
    texts = tokenizer.batch_decode(told.ids, skip_special_tokens=True)
    assert not any("purple" in text for text in texts)
    group = [kind.name for kind in kinds() if kind.group == kinds()[number].group]
    ends = [text.replace(" ", "") for text in texts]
    share = np.mean([any(text.endswith(name.replace(" ", "")) for name in group) for text in ends])
    assert 0.7 < share < 0.95
    assert 0.03 < np.mean([text.endswith(GENERIC) for text in ends]) < 0.15


def _block(n: int, value: float = 3.0) -> Encoded:
    things = [Scene((Thing(k, ("photo", kinds()[k].code)),), "beach") for k in range(n)]
    tensors = (torch.zeros(n, 8, 16, 16), torch.ones(n, 1, 16, 16), torch.full((n, 2, codes.WIDTH), value))
    return Encoded(*(tensor.half() for tensor in tensors), Table.of(things))


def test_a_batch_carries_codes_at_its_nouns_for_values_and_for_some_keys(tiny_work: Path) -> None:
    feed = Feed(tiny_work, CPU, Mix(drop=0.0, coded=1.0, bare_ends=0.0, noise=0.0))
    pool = Pool(1, 8, CPU)
    pool.put(0, _block(8))
    _, states, _ = feed.batch(pool.draw(_rng(), 32), _rng())
    keys, values = states.chunk(2, dim=1)
    holds = (values[..., : codes.WIDTH] == 3).all(-1)
    assert bool((holds.sum(1) == 1).all())  # one noun each
    keyed = (keys[..., : codes.WIDTH] == 3).all(-1).sum(1)
    assert 4 <= int(keyed.sum()) <= 18


def test_dropped_captions_are_the_empty_one_without_codes(tiny_work: Path) -> None:
    feed = Feed(tiny_work, CPU, Mix(drop=1.0, coded=1.0, noise=0.0))
    _, states, _ = feed.batch(_block(6), _rng())
    assert torch.equal(states, torch.cat([feed.empty_states] * 2).expand_as(states))


def test_bare_ends_are_those_of_the_empty_caption(tiny_work: Path) -> None:
    feed = Feed(tiny_work, CPU, Mix(drop=0.0, coded=0.0, bare_ends=1.0))
    _, states, _ = feed.batch(_block(6), _rng())
    assert torch.equal(states[:, 31], feed.empty_states[31].expand_as(states[:, 31]))
    assert not torch.equal(states[:, 2], feed.empty_states[2].expand_as(states[:, 2]))


def test_a_pool_replaces_its_oldest_block_and_draws_from_none_that_is_being_replaced() -> None:
    pool = Pool(2, 4, CPU)
    for number in range(3):
        pool.put(number, _block(4, float(number)))
    assert pool.held == {1, 2}
    assert set(pool.draw(_rng(), 50).codes.unique().tolist()) == {1.0, 2.0}
    seen = []
    pool.put(3, _block(4, 3.0), wait=lambda: seen.append(set(pool.draw(_rng(), 50).codes.unique().tolist())))
    assert seen == [{2.0}]


def test_shards_hold_plain_tensors_and_come_back(tmp_path: Path, renderer: Renderer) -> None:
    table = draw_table(_rng(7), Odds(), renderer.world, 4)
    block = Encoded(
        torch.rand(4, 8, 16, 16).half(), torch.ones(4, 1, 16, 16).half(), torch.rand(4, 2, 192).half(), table
    )
    shards.save(tmp_path / "shards" / "shard-0007.pt", block)
    pool = Pool(2, 4, CPU)
    shards.take_in(tmp_path, pool)
    assert pool.held == {7}
    again = shards.load(tmp_path / "shards" / "shard-0007.pt")
    assert again.table.scenes() == table.scenes()
    assert torch.equal(again.latents, block.latents)


def test_without_shards_it_is_said_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"tools\.pocket\.shards"):
        shards.take_in(tmp_path, Pool(1, 4, CPU))
