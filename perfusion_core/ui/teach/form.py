"""The photos and words of a teaching: taken in, checked, shown as the model will see them, and handed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.example_photos import example_set
from perfusion_core.studio.teaching.staging import Look, Staged, stage, with_masks
from perfusion_core.ui.html import escape, note, notes
from perfusion_core.ui.teach import photo_edits, progress_card
from perfusion_core.ui.teach.photo_strip import thumbnails

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def listen(room: TeachRoom, studio: Studio, served: Served) -> None:
    def shown(staged: list[Staged], problems: list[str]) -> list[Any]:
        """[staged, photos, said, the table]"""
        said = notes(problems, "problem") + notes([words for one in staged for words in one.warnings])
        return [staged, thumbnails(staged, served), said, *photo_edits.cleared()]

    def take(files: list[str] | None, staged: list[Staged]) -> list[Any]:
        """New photos beside those that are there; a refused one is named and the others stay."""
        good, problems = [Path(one.source) for one in staged], []
        for file in map(Path, files or []):
            problem = refusal(studio, file)
            problems += [problem] if problem else []
            good += [] if problem else [file]
        try:
            return [*shown(_again(staged, stage(studio.staging, good) if good else []), problems), None]
        except PerfusionError as error:
            return [*shown(staged, [*problems, str(error)]), None]

    def example(event: gr.EventData) -> list[Any]:
        found = example_set(str(event.pick))
        if found is None:
            return [gr.skip() for _ in [*photos, room.name, room.kind]]
        return [
            *shown(stage(studio.staging, list(found.photos)), []),
            free_name(studio, found.name),
            found.superclass,
        ]

    def touch(staged: list[Staged], kind: str | None, mask: str, event: gr.EventData) -> list[Any]:
        """Open a photo, or leave one out: [staged, photos, said, the table]"""
        place = getattr(event, "open", None)
        if place is None:
            return shown([one for k, one in enumerate(staged) if str(k) != str(event.pick)], [])
        return [
            gr.skip(),
            gr.skip(),
            gr.skip(),
            *photo_edits.opened(studio, staged, int(place), Look.of(kind, mask)),
        ]

    def masks(staged: list[Staged], kind: str | None, mask: str) -> list[Any]:
        """What will be learned from, and whether the model knows the word: [staged, photos, check]"""
        look, said = Look.of(kind, mask), ""
        try:
            if look.word:
                studio.load_base()  # right after the start it may still be on its way
                said = word_check(studio, look.word)
            if not staged:
                return [gr.skip(), gr.skip(), said]
            found, remark = with_masks(studio.staging, staged, look)
        except PerfusionError as error:
            return [gr.skip(), gr.skip(), said + note(str(error), "problem")]
        return [found, thumbnails(found, served), said + note(remark)]

    def teach(staged: list[Staged], name: str, kind: str | None, pace: str, *settings: Any) -> list[Any]:
        """Queue the teaching: [said, card, result]"""
        from perfusion_core.studio.teaching.run import TeachRequest

        try:
            request = TeachRequest(
                photos=[one.source for one in staged],
                name=name or "",
                superclass=kind or "",
                base=studio.settings.base,
                mask="none" if settings[2] == "none" else "auto",
                masks=[one.mask or None for one in staged],
                crops=[one.crop for one in staged],
                pace="quick" if pace == "quick" else "balanced",
                settings=chosen_settings(settings),
            )
            studio.submit_teach(request)
        except PerfusionError as error:
            return [note(str(error), "problem"), gr.skip(), gr.skip()]
        return ["", progress_card.card(studio, served), ""]

    photos = [room.staged, room.photos, room.said, *photo_edits.table(room.editor)]
    look = [room.staged, room.photos, room.check]
    seen = [room.staged, room.kind, room.settings[2]]
    once: dict[str, Any] = {**QUIET, "concurrency_id": "masks", "concurrency_limit": 1}
    room.files.upload(take, [room.files, room.staged], [*photos, room.files], **QUIET).then(
        masks, seen, look, **once
    )
    room.examples.click(example, None, [*photos, room.name, room.kind], **QUIET).then(
        masks, seen, look, **once
    )
    room.photos.click(touch, seen, photos, **once)
    photo_edits.listen(room, studio, served)
    room.kind.input(masks, seen, look, trigger_mode="always_last", **once)
    room.settings[2].input(masks, seen, look, **once)
    room.go.click(
        teach,
        [room.staged, room.name, room.kind, room.pace, *room.settings],
        [room.said, room.card, room.result],
        **QUIET,
    )


def _again(before: list[Staged], now: list[Staged]) -> list[Staged]:
    """Photos taken in once more keep the squares and masks they were given."""
    touched = {one.source: one for one in before}
    return [
        replace(one, crop=touched[one.source].crop, mask=touched[one.source].mask)
        if one.source in touched
        else one
        for one in now
    ]


def refusal(studio: Studio, photo: Path) -> str:
    """Why a photo cannot be used; empty when it can."""
    try:
        stage(studio.staging, [photo])
    except PerfusionError as error:
        return str(error)
    return ""


def chosen_settings(values: Any) -> dict[str, Any]:
    """The form's settings as fields of a recipe; what was left to the base model is not named."""
    steps, flip, _, keys, seed = values
    settings: dict[str, Any] = {"flip": bool(flip), "keys": keys, "seed": int(seed or 0)}
    if steps:
        settings["steps"] = int(steps)
    return settings


def word_check(studio: Studio, word: str) -> str:
    """Whether the base model knows the word for the kind of thing."""
    if not word or studio.base is None:
        return ""
    from perfusion_core.model.text import superclass_tokens

    try:
        tokens = superclass_tokens(studio.base.tokenizer, word)
    except PerfusionError as error:
        return note(str(error), "problem")
    if len(tokens) == 1:
        return f'<p class="quiet known">The model knows the word “{escape(word)}”.</p>'
    pieces = " + ".join(escape(token) for token in tokens)
    return (
        f'<p class="quiet">The model reads “{escape(word)}” in {len(tokens)} pieces ({pieces}). A plainer '
        "word may work better.</p>"
    )


def free_name(studio: Studio, name: str) -> str:
    """`name`, or `name-2` and so on when the library has it."""
    return studio.library.free_name(name)
