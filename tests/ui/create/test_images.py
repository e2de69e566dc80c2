"""What Create writes into its own form while it works."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from perfusion_core.studio.app import Studio
from perfusion_core.studio.settings import Settings
from perfusion_core.ui.create import images
from perfusion_core.ui.create import room as create
from perfusion_core.ui.served import Served
from tests.ui.listeners import listeners


@pytest.mark.parametrize("keep", [True, False])
def test_the_seed_is_shown_once_so_that_another_can_be_typed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    studio, served = Studio(Settings(home=tmp_path)), Served(tmp_path / "served")
    job: Any = SimpleNamespace(id="one", result={}, state="done", error="")
    asked: list[Any] = []
    monkeypatch.setattr(studio, "submit_generate", lambda request: asked.append(request) or job)
    monkeypatch.setattr(images, "watch", lambda _studio, job: iter([(job, "1"), (job, "2"), (job, "")]))
    with gr.Blocks() as demo:
        room = create.render(studio, served)
        images.listen(room, studio, served)
    (listener,) = listeners(demo, room.go, "click")
    values = {one: getattr(one, "value", None) for one in listener.inputs}
    values |= {room.prompt: "a dog", room.form.seed: "7", room.seed_row.keep: keep}
    shown = [answer[room.form.seed] for answer in listener.fn(values) if room.form.seed in answer]
    assert shown == [str(asked[0].seed)]
    assert (shown == ["7"]) is keep
