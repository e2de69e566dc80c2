"""How numbers, times and text from anyone are said on the page."""

from __future__ import annotations

import pytest

from perfusion_core.ui.html import ago, duration, note, size


def test_text_from_anyone_is_shown_as_text() -> None:
    assert "<img" not in note("<img src=x onerror=alert(1)>", "problem")
    assert "alert" in note("<img src=x onerror=alert(1)>", "problem")
    assert note("") == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (8.4, "8 s"), (200, "3 min 20 s"), (180, "3 min"), (3900, "1 h 5 min")]
)
def test_times_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def test_ages_and_sizes_are_rounded() -> None:
    assert ago(0.0, now=59) == "just now"
    assert ago(0.0, now=3600) == "1 hour ago"
    assert ago(0.0, now=86_400 * 2.5) == "2 days ago"
    assert (size(999), size(98_400), size(2_500_000)) == ("999 B", "98 kB", "2.5 MB")
