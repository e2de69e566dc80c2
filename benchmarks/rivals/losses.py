"""Where ours loses: every figure in which a rival is better, and whether the intervals say so too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from benchmarks.rivals.bleed import KINDS
from benchmarks.rivals.fronts import Interval, hypervolume_interval, mean_interval, resamples
from benchmarks.rivals.results import MethodResult, PairResult, Regime, Results

WORDS = {
    "image": "image similarity",
    "text": "text similarity",
    "identity": "identity",
    "place": "right place",
    "hat": "right hat",
    "style": "right style",
    "diversity": "diversity",
}


@dataclass(frozen=True)
class Loss:
    """One figure in which `rival` is better than ours. sure: the 95 % intervals are apart."""

    regime: str
    what: str
    rival: str
    ours: str
    theirs: str
    sure: bool


def losses(results: Results, ours: str) -> list[Loss]:
    """All losses of the method called `ours` against methods that are not ours, the sure ones first."""
    found: list[Loss] = []
    for regime in results.regimes:
        mine = next((method for method in regime.methods if method.name == ours), None)
        for rival in [method for method in regime.methods if not method.ours] if mine else ():
            assert mine is not None
            found += _against(mine, rival, regime, results)
    found += _bleeding(results, ours)
    return sorted(found, key=lambda loss: not loss.sure)


def _against(mine: MethodResult, rival: MethodResult, regime: Regime, results: Results) -> list[Loss]:
    drawn = resamples(len(regime.concepts), results.seeds, results.resamples, results.seed)
    volumes = [hypervolume_interval(m.front, regime.reference, drawn) for m in (mine, rival)]
    found = _higher("hypervolume", volumes, regime, rival)
    for measure, said in WORDS.items():
        pair = [mean_interval(m.scores[measure][m.knee], drawn) for m in (mine, rival)]
        found += _higher(f"{said} at the knee", pair, regime, rival)
    costs = (
        ("bytes", "size", 0),
        ("seconds to teach", "teach_seconds", 1),
        ("seconds an image", "draw_seconds", 2),
    )
    for said, name, digits in costs:
        own, other = getattr(mine, name), getattr(rival, name)
        if other < own and not isnan(own):
            found.append(
                Loss(
                    regime.title,
                    said,
                    rival.title,
                    f"{own:,.{digits}f}",
                    f"{other:,.{digits}f}",
                    name == "size",
                )
            )
    return found


def _higher(what: str, pair: Sequence[Interval], regime: Regime, rival: MethodResult) -> list[Loss]:
    mine, other = pair
    if isnan(mine.value) or isnan(other.value) or other.value <= mine.value:
        return []
    return [Loss(regime.title, what, rival.title, number(mine), number(other), mine.apart(other))]


def _bleeding(results: Results, ours: str) -> list[Loss]:
    found: list[Loss] = []
    for kind in KINDS:
        here = [pair for pair in results.pairs if pair.kind == kind]
        mine = next((pair for pair in here if pair.name == ours), None)
        for rival in [pair for pair in here if not pair.ours] if mine else ():
            assert mine is not None
            own, other = (bleed_interval(pair, results) for pair in (mine, rival))
            if other.value < own.value:
                title = f"Bleed, {kind}"
                found.append(Loss(title, "bleed", rival.title, number(own), number(other), own.apart(other)))
    return found


def bleed_interval(pair: PairResult, results: Results) -> Interval:
    """Bleed with its interval over pairs and seeds."""
    drawn = resamples(len(pair.pairs), results.seeds, results.resamples, results.seed)
    return mean_interval(pair.bled, drawn)


def number(found: Interval, digits: int = 3) -> str:
    """A figure and its interval, as a table shows them; a dash where there is none."""
    if isnan(found.value):
        return "–"
    if isnan(found.low):
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
