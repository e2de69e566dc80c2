"""Calling a page's event listeners without a browser."""

from __future__ import annotations

from typing import Any

import gradio as gr


def listeners(demo: gr.Blocks, component: Any, event: str) -> list[Any]:
    """Gradio's functions for an event of a component, each with `inputs`, `outputs` and `fn`."""
    found = [one for one in demo.fns.values() if (component._id, event) in one.targets]
    assert found, f"nothing listens to {event} of {component}"
    return found
