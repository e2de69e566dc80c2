"""A limit on the card: said in words where it cannot be, and what a preset then counts with."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest
import torch

from benchmarks.card import card_option, left_on_card, lift_limit, limit_card


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The shares of a card of 24 GB that torch was told to keep to."""
    told: list[float] = []
    there = SimpleNamespace(total_memory=24 * 10**9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: there)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 2 * 2**30)
    return told


def test_without_a_card_the_option_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="there is none here"):
        limit_card(8)
    limit_card(None)
    lift_limit()


@pytest.mark.parametrize("asked", [25.0, 0.0, -6.0])
def test_a_card_that_this_one_is_not_is_refused_with_its_size(limits: list[float], asked: float) -> None:
    with pytest.raises(SystemExit, match=r"this card has 24\.0 GB"):
        limit_card(asked)
    assert not limits


def test_a_smaller_card_is_a_share_of_this_one_until_it_is_lifted(limits: list[float]) -> None:
    limit_card(6)
    lift_limit()
    assert limits == [pytest.approx(0.25), 1.0]


def test_what_is_left_is_counted_beside_what_is_allocated(limits: list[float]) -> None:
    assert left_on_card(6) == pytest.approx(6e9 / 2**30 - 2)
    assert left_on_card(None) is None


def test_the_option_takes_a_number() -> None:
    parser = argparse.ArgumentParser()
    card_option(parser)
    assert parser.parse_args(["--card-gb", "12"]).card_gb == 12
    assert parser.parse_args([]).card_gb is None
