"""The drawing of a front."""

from __future__ import annotations

from perfusion_core.ui.explore.scatter import Dot, scatter


def test_every_point_of_a_front_can_be_chosen_with_the_keyboard() -> None:
    drawn = scatter([Dot(0, 0.9, 0.5, 0.3), Dot(1, 0.5, 0.7, 0.2)], marked=1)
    assert drawn.count('tabindex="0"') == 2
    assert drawn.count("dot-marked") == 1
    assert scatter([], None) == ""
