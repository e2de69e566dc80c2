"""Dropdowns whose choices may change while their list is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr


def choice_list(choices: Sequence[str | tuple[str, str]], **others: Any) -> gr.Dropdown:
    """A dropdown, or an answer that gives one other choices; `others`: its other arguments.

    Gradio's page draws an open list by the positions it had, before it looks at the new choices. Where there
    are fewer of these, that raises an error in the browser, after which the page draws nothing any more. So
    the number of choices goes ahead of them (an update's arguments are applied one after another): the list
    is cut to it first. A list without choices is closed instead, which "not interactive" does.
    """
    if not choices:
        return gr.Dropdown(interactive=False, choices=[], **others)
    return gr.Dropdown(num_choices_shown=len(choices), choices=list(choices), interactive=True, **others)
