"""The password for other machines."""

from __future__ import annotations

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.access import lan_check, make_secret, matches
from perfusion_core.studio.settings import Preferences


def test_only_the_password_itself_matches_and_it_is_not_in_what_is_kept() -> None:
    secret = make_secret("correct horse")
    assert matches("correct horse", secret)
    assert not matches("correct hors", secret)
    assert "correct" not in secret
    assert secret != make_secret("correct horse")  # another salt


@pytest.mark.parametrize("damaged", ["", "a", ":", "a:b:c", "é:é"])
def test_a_damaged_secret_lets_nobody_in(damaged: str) -> None:
    assert not matches("", damaged)
    assert not matches("correct horse", damaged)


def test_a_short_password_is_refused_in_words() -> None:
    with pytest.raises(PerfusionError, match="8 or more"):
        make_secret("short")


def test_others_come_in_only_with_both_the_name_and_the_password() -> None:
    assert lan_check(Preferences()) is None
    check = lan_check(Preferences(lan_user="anna", lan_secret=make_secret("correct horse")))
    assert check is not None
    assert check("anna", "correct horse")
    assert not check("anna", "wrong horse")
    assert not check("eve", "correct horse")
