"""The name and password for other machines: where they come from, and how often they may be guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.login import MOST_TRIES, MOST_TRIES_TOGETHER, PERIOD, LoginThrottle, credentials


@pytest.mark.parametrize("text", ["anna", ":secret", "anna:", " : ", ""])
def test_half_a_password_is_refused(text: str) -> None:
    with pytest.raises(PerfusionError, match="user:password"):
        credentials(text)


def test_a_password_is_taken_from_the_option_the_file_or_the_environment_in_that_order(
    tmp_path: Path,
) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("bea:battery staple\nsecond line")
    around = {"PERFUSION_AUTH": "carl:long enough"}
    assert credentials("anna:correct horse", str(file), around) == ("anna", "correct horse")
    assert credentials(None, str(file), around) == ("bea", "battery staple")
    assert credentials(None, None, around) == ("carl", "long enough")
    assert credentials(None, None, {}) is None


def test_a_password_under_8_characters_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("anna:1234567")
    with pytest.raises(PerfusionError, match=r"--auth: .*8 or more"):
        credentials("anna:1234567")
    with pytest.raises(PerfusionError, match=r"secret\.txt: .*8 or more"):
        credentials(None, str(file))
    with pytest.raises(PerfusionError, match=r"PERFUSION_AUTH: .*8 or more"):
        credentials(None, None, {"PERFUSION_AUTH": "anna:1234567"})


def test_a_refused_password_is_not_repeated_in_the_message() -> None:
    with pytest.raises(PerfusionError) as refused:
        credentials("anna:qwzx")
    assert "qwzx" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PerfusionError, match="nowhere"):
        credentials(None, str(tmp_path / "nowhere"))


def test_help_warns_that_others_can_read_the_option() -> None:
    from perfusion_core.cli.parser import make_parser

    words = " ".join(make_parser().format_help().split())
    assert "read it with ps" in words
    assert "--auth-file" in words
    assert "PERFUSION_AUTH" in words


class Guesser:
    """A browser that tries passwords against an app behind the throttle, with a clock set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.throttle = LoginThrottle(self._app, clock=lambda: self.now)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        status = 400 if body == b"wrong" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def ask(
        self, password: str, address: str = "10.0.0.7", path: str = "/login", method: str = "POST"
    ) -> tuple[int, dict[bytes, bytes]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": password.encode(), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "client": (address, 1), "headers": []}
        step = self.throttle(scope, receive, send)
        with pytest.raises(StopIteration):  # nothing in it waits
            step.send(None)
        return sent[0]["status"], dict(sent[0]["headers"])


def test_after_some_wrong_passwords_an_address_has_to_wait() -> None:
    guesser = Guesser()
    assert [guesser.ask("wrong")[0] for _ in range(60)] == [400] * MOST_TRIES + [429] * (60 - MOST_TRIES)
    assert guesser.asked == MOST_TRIES
    status, headers = guesser.ask("right")  # a right guess does not stand out
    assert (status, headers[b"retry-after"]) == (429, str(round(PERIOD)).encode())
    guesser.now = PERIOD + 1
    assert guesser.ask("right")[0] == 200


def test_another_way_of_writing_the_path_counts_too() -> None:
    guesser = Guesser()
    statuses = [guesser.ask("wrong", path="/login/" if k % 2 else "/login")[0] for k in range(MOST_TRIES + 1)]
    assert statuses[-1] == 429


def test_others_may_still_come_in_and_a_right_password_is_forgiven_its_errors() -> None:
    guesser = Guesser()
    for _ in range(MOST_TRIES):
        guesser.ask("wrong")
    assert guesser.ask("right", address="10.0.0.8")[0] == 200
    for _ in range(3):  # more logins than wrong tries are allowed
        assert [guesser.ask("wrong", address="10.0.0.9")[0] for _ in range(MOST_TRIES - 1)].count(429) == 0
        assert guesser.ask("right", address="10.0.0.9")[0] == 200


def test_one_machine_with_many_addresses_of_one_network_is_one_guesser() -> None:
    guesser = Guesser()
    statuses = [guesser.ask("wrong", address=f"2001:db8::{k:x}")[0] for k in range(1, 40)]
    assert statuses.count(400) == MOST_TRIES


def test_many_machines_together_are_held_up_as_well() -> None:
    guesser = Guesser()
    statuses = [
        guesser.ask("wrong", address=f"10.0.{k // 250}.{k % 250}")[0] for k in range(2 * MOST_TRIES_TOGETHER)
    ]
    assert statuses.count(400) == MOST_TRIES_TOGETHER


def test_only_logins_are_counted() -> None:
    guesser = Guesser()
    for _ in range(3 * MOST_TRIES):
        assert guesser.ask("wrong", path="/gradio_api/queue/join")[0] == 400
        assert guesser.ask("wrong", method="GET")[0] == 200
