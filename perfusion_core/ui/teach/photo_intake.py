"""The photos of a teaching: taken in, checked, masked, shown as the model will see them, left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.teaching.example_photos import example_set
from perfusion_core.studio.teaching.staging import Look, Staged, mirrored, stage, with_masks
from perfusion_core.ui.event_options import AT_ONCE, EACH, QUIET, Updates
from perfusion_core.ui.field_values import LONGEST_KIND, bounded
from perfusion_core.ui.html import note, notes
from perfusion_core.ui.teach import photo_edits
from perfusion_core.ui.teach.photo_strip import clicked, thumbnails
from perfusion_core.ui.teach.superclass_check import superclass_check
from perfusion_core.ui.teach.training_form import ONE_SIDED

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom

# All that write the photos, one at a time: two would each write them as they found them.
IN_TURN: dict[str, Any] = {**QUIET, "concurrency_id": "masks", "concurrency_limit": 1}


def listen(room: TeachRoom, studio: Studio, served: Served) -> None:
    def shown(staged: list[Staged], problems: list[str]) -> Updates:
        said = notes(problems, "problem") + notes([words for one in staged for words in one.warnings])
        return {
            room.staged: staged,
            room.photos: thumbnails(staged, served),
            room.said: said,
            **photo_edits.closed(room.editor),
        }

    def take(files: list[str] | None, staged: list[Staged]) -> Updates:
        """New photos beside those that are there; a refused one is named and the others stay."""
        good, problems = [Path(one.source) for one in staged], []
        for file in map(Path, files or []):
            problem = refusal(studio, file)
            problems += [problem] if problem else []
            good += [] if problem else [file]
        try:
            return shown(_again(staged, stage(studio.staging, good) if good else []), problems)
        except PerfusionError as error:
            return shown(staged, [*problems, str(error)])

    def example(staged: list[Staged], event: gr.EventData) -> Any:
        """A set of example photos in place of those that are there, with its words."""
        found = example_set(str(event.pick))
        if found is None:
            return gr.skip()
        try:
            taken = shown(stage(studio.staging, list(found.photos)), [])
        except PerfusionError as error:
            return shown(staged, [str(error)])
        return {
            **taken,
            room.name: studio.library.free_name(found.name),
            room.kind: found.superclass,
        }

    def touch(staged: list[Staged], kind: str | None, mask: str, event: gr.EventData) -> Any:
        """Open a photo in the editor, leave one out, or mirror those that face the other way."""
        if getattr(event, "turn", None):
            try:
                turned = [mirrored(studio.staging, one) if one.away else one for one in staged]
            except PerfusionError as error:
                return shown(staged, [str(error)])
            return {**shown(turned, []), room.form.flip: ONE_SIDED}
        opens = getattr(event, "open", None)
        place = clicked(staged, int(event.pick if opens is None else opens), str(event.photo))
        if place is None:  # left out by a click before this one
            return gr.skip()
        if opens is None:
            return shown([one for k, one in enumerate(staged) if k != place], [])
        return photo_edits.opened(room.editor, studio, staged, place, Look.of(kind, mask))

    def take_word(event: gr.EventData) -> str:
        """The kind of thing that was probably meant, which a click on it sends."""
        return str(event.instead)

    def masks(staged: list[Staged], kind: str | None, mask: str) -> Updates:
        """What will be learned from, and whether the model knows the word."""
        said = ""
        try:
            look = Look.of(bounded(kind, LONGEST_KIND, "The kind of thing"), mask)
            if look.word:
                studio.load_base()  # right after the start it may still be loading
                said = superclass_check(studio, look.word)
            if not staged:
                return {room.check: said}
            found, remark = with_masks(studio.staging, staged, look)
        except PerfusionError as error:
            return {room.check: said + note(str(error), "problem")}
        return {
            room.staged: found,
            room.photos: thumbnails(found, served),
            room.check: said + note(remark),
        }

    photos = [room.staged, room.photos, room.said, *photo_edits.outputs(room.editor)]
    masked = [room.staged, room.photos, room.check]
    seen = [room.staged, room.kind, room.form.mask]
    taken = room.files.upload(take, [room.files, room.staged], photos, **IN_TURN, **EACH)
    # The drop zone takes the next photos also when these failed in a way that `take` did not see.
    taken.then(lambda: None, None, room.files, **AT_ONCE)
    taken.then(masks, seen, masked, **IN_TURN)
    with_words = [*photos, room.name, room.kind]
    shown_example = room.examples.click(example, room.staged, with_words, **IN_TURN, **EACH)
    shown_example.then(masks, seen, masked, **IN_TURN)
    room.photos.click(touch, seen, [*photos, room.form.flip], **IN_TURN, **EACH)
    room.kind.input(masks, seen, masked, trigger_mode="always_last", **IN_TURN)
    room.check.click(take_word, None, room.kind, **QUIET).then(masks, seen, masked, **IN_TURN)
    room.form.mask.input(masks, seen, masked, trigger_mode="always_last", **IN_TURN)


def refusal(studio: Studio, photo: Path) -> str:
    """Why a photo cannot be used; empty when it can."""
    try:
        stage(studio.staging, [photo])
    except PerfusionError as error:
        return str(error)
    return ""


def _again(before: list[Staged], now: list[Staged]) -> list[Staged]:
    """Photos taken in once more keep the squares and masks they were given."""
    touched = {one.source: one for one in before}
    return [
        replace(one, crop=touched[one.source].crop, mask=touched[one.source].mask)
        if one.source in touched
        else one
        for one in now
    ]
