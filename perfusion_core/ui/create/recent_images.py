"""The images made last: the newest on the stage, the others below it, two of them beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.studio.creating.first_example import first_example
from perfusion_core.studio.creating.live import is_live
from perfusion_core.ui.create.first_visit import example_photos
from perfusion_core.ui.event_options import EACH_IN_TURN, QUIET, Updates

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.creating.first_example import FirstExample
    from perfusion_core.ui.create.stage import Stage
    from perfusion_core.ui.served import Served

RECENT = 12


def listen(stage: Stage, studio: Studio, served: Served, demo: gr.Blocks) -> None:
    def pick(picks: list[str], event: gr.SelectData) -> Any:
        """Show one of the recent images, and beside it the one picked before."""
        paths = recent_paths(studio)
        index = int(event.index)
        if not 0 <= index < len(paths):
            return gr.skip()
        last = [*picks, str(paths[index])][-2:]
        files = served.copies([Path(path) for path in last])
        both = len(files) == 2 and files[0] != files[1]
        found: Updates = {
            stage.picks: last,
            stage.gallery: gallery([paths[index]], served),
            stage.compare: gr.Accordion(visible=both),
        }
        return {**found, stage.pair: gr.ImageSlider(value=(files[0], files[1]))} if both else found

    def opened() -> Updates:
        """The images of the last job that made any, for a page that is opened; else the example."""
        for job in reversed(studio.jobs()):
            images = [Path(path) for path in job.result.get("paths", [])] if job.kind == "generate" else []
            if images and not is_live(job):
                return {stage.gallery: gallery(images, served), **recent(stage, studio, served)}
        example = shown_example(studio)
        if example is not None:
            shown = {
                stage.gallery: gallery([example.image], served),
                stage.example: example_photos(example, served),
            }
            return {**shown, **recent(stage, studio, served)}
        return recent(stage, studio, served)

    outputs = [stage.picks, stage.gallery, stage.compare, stage.pair]
    stage.recent.select(pick, stage.picks, outputs, **EACH_IN_TURN)
    demo.load(opened, None, [stage.example, stage.gallery, stage.recent_head, stage.recent], **QUIET)


def shown_example(studio: Studio) -> FirstExample | None:
    """The example while nothing was made here; else None."""
    return None if recent_paths(studio) else first_example(studio.library, studio.settings)


def recent(stage: Stage, studio: Studio, served: Served) -> Updates:
    """The last images made here, newest first, under their heading."""
    paths = recent_paths(studio)
    return {
        stage.recent_head: gr.HTML(visible=bool(paths)),
        stage.recent: gr.Gallery(value=served.copies(paths), visible=bool(paths), selected_index=None),
    }


def recent_paths(studio: Studio) -> list[Path]:
    """The files of the last images that are still there, newest first."""
    paths = [
        Path(path)
        for job in reversed(studio.jobs())
        if job.kind == "generate" and not is_live(job)
        for path in job.result.get("paths", [])
    ]
    return [path for path in paths if path.is_file()][:RECENT]


def gallery(images: list[Path], served: Served) -> gr.Gallery:
    """One image large, a few side by side."""
    columns = 1 if len(images) == 1 else 2 if len(images) <= 4 else 4
    return gr.Gallery(value=served.copies(images), columns=columns)


def not_shown(images: list[Path], served: Served) -> str:
    """A sentence where images that were saved cannot be copied for the browser; else empty."""
    count = len(images) - len(served.copies(images))
    if not count:
        return ""
    return (
        f"{count} of {len(images)} pictures cannot be shown here, since the disk takes no copies. They are "
        f"saved in {images[0].parent}. Free some space and reload the page."
    )
