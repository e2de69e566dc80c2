"""Requests of any size by hand: bounded before anything reads them."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from perfusion_core.errors import PerfusionError, PromptError
from perfusion_core.sampling.request import LONGEST_PROMPT, GenerationRequest
from perfusion_core.ui.field_values import bounded
from perfusion_core.ui.request_size import LARGEST_TEXT, LARGEST_UPLOAD, RequestSize


def ask(
    body: bytes, path: str = "/gradio_api/queue/join", announce: bool = True, piece: int = 65_536
) -> tuple[int, bytes, list[bytes]]:
    """Status, answer, and what the app behind the limit read. `piece`: bytes that arrive at once."""
    read: list[bytes] = []
    sent: list[dict[str, Any]] = []
    pieces = [body[k : k + piece] for k in range(0, len(body), piece)] or [b""]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            read.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"taken"})

    async def receive() -> dict[str, Any]:
        part = pieces.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-length", str(len(body)).encode())] if announce else []
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    # A thread of its own: after a browser test, Playwright's event loop still runs in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, RequestSize(app)(scope, receive, send)).result()
    return (sent[0]["status"] if sent else 0), (sent[1]["body"] if sent else b""), read


def test_a_usual_request_arrives_as_it_was_sent() -> None:
    body = json.dumps({"data": ["a photo of <biscuit>"] * 50}).encode()
    assert ask(body, piece=7) == (200, b"taken", [body])
    assert ask(b"") == (200, b"taken", [b""])


@pytest.mark.parametrize("announce", [True, False])
def test_a_prompt_of_10_mb_is_refused_unread_with_a_reason(announce: bool) -> None:
    status, answer, read = ask(b"a" * 10_000_000, announce=announce)
    assert (status, read) == (413, [])
    assert "larger than 128 kB" in json.loads(answer)["detail"]


def test_the_limit_itself_is_allowed() -> None:
    assert ask(b"a" * LARGEST_TEXT)[0] == 200
    assert ask(b"a" * (LARGEST_TEXT + 1))[0] == 413


def test_photos_may_be_large_but_not_without_end() -> None:
    assert ask(b"a" * 1_000_000, path="/gradio_api/upload")[0] == 200
    piece = b"a" * (LARGEST_UPLOAD // 20)
    status, _, read = ask(piece * 21, path="/gradio_api/upload", announce=False, piece=len(piece))
    assert status == 0  # the app was told that the client had gone
    assert sum(map(len, read)) <= LARGEST_UPLOAD
    assert ask(piece * 21, path="/gradio_api/upload", piece=len(piece))[0] == 413


def test_a_prompt_longer_than_any_encoder_reads_is_refused_wherever_it_comes_from() -> None:
    GenerationRequest("a" * LONGEST_PROMPT).checked()
    with pytest.raises(PromptError, match=r"prompt has 2001 characters; at most 2000"):
        GenerationRequest("a" * (LONGEST_PROMPT + 1)).checked()
    with pytest.raises(PromptError, match="negative prompt has 2001"):
        GenerationRequest("a", negative_prompt="a" * (LONGEST_PROMPT + 1)).checked()


def test_a_field_over_its_limit_is_named_with_both_numbers() -> None:
    assert bounded(" pocket ", 10, "The base model") == "pocket"
    assert bounded(None, 10, "The base model") == ""
    with pytest.raises(PerfusionError, match="The base model has 11 characters; at most 10"):
        bounded("a" * 11, 10, "The base model")
