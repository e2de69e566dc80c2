"""From the form to a teaching in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError
from perfusion_core.ui.event_options import QUIET, Updates
from perfusion_core.ui.field_values import LONGEST_KIND, bounded
from perfusion_core.ui.html import note
from perfusion_core.ui.teach import progress_events

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.teaching.run import TeachRequest
    from perfusion_core.ui.served import Served
    from perfusion_core.ui.teach.room import TeachRoom


def listen(room: TeachRoom, studio: Studio, served: Served) -> None:
    def teach(values: Mapping[Any, Any]) -> Updates:
        """Queue the teaching."""
        try:
            studio.submit_teach(asked(room, values, studio.settings.base))
        except PerfusionError as error:
            return {room.said: note(str(error), "problem")}
        return {
            room.said: "",
            room.progress.result: "",
            **progress_events.updates(room.progress, studio, served),
        }

    room.go.click(
        teach,
        {room.staged, room.name, room.kind, room.pace, *room.form.components()},
        [room.said, room.progress.result, *progress_events.outputs(room.progress)],
        **QUIET,
    )


def asked(room: TeachRoom, values: Mapping[Any, Any], base: str) -> TeachRequest:
    """What stands in the form, from an event's values by component. Raises `PerfusionError`."""
    from perfusion_core.studio.teaching.run import TeachRequest

    staged = values[room.staged]
    return TeachRequest(
        photos=[one.source for one in staged],
        name=values[room.name] or "",
        superclass=bounded(values[room.kind], LONGEST_KIND, "The kind of thing"),
        base=base,
        mask="none" if values[room.form.mask] == "none" else "auto",
        masks=[one.mask or None for one in staged],
        crops=[one.crop for one in staged],
        pace="quick" if values[room.pace] == "quick" else "balanced",
        settings=room.form.settings(values),
    )
