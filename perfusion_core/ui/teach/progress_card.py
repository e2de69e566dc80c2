"""The progress of a teaching as a card, from the job's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.fronts.first_front import STAGE, as_front
from perfusion_core.studio.teaching.progress import TeachProgress, latest_teaching, teach_progress
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.ui.html import duration, escape, note, notes
from perfusion_core.ui.job_watch import bar
from perfusion_core.ui.teach.trend import loss_trend

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.ui.served import Served

STATES = {
    "queued": "Waiting",
    "running": "Teaching",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "interrupted": "Interrupted",
    "failed": "Failed",
    "done": "Taught",
}


NONE_YET = (
    '<section class="card how"><h2>How teaching goes</h2><ol><li>Drop a few photos of one thing.</li>'
    "<li>Name it, and say what kind of thing it is.</li><li>Watch it being learned, from the first step on. "
    "You can stop, close this page and come back.</li></ol></section>"
)


@dataclass(frozen=True)
class Card:
    """A teaching as HTML, and what its buttons depend on. Without a teaching `job_id` and `state` are empty;
    `scored`: whether there is a checkpoint with scores, which can be saved.
    """

    html: str
    job_id: str = ""
    state: str = ""
    scored: bool = False


def latest_card(studio: Studio, served: Served) -> Card:
    """The card of the latest teaching; an explanation when there is none yet."""
    job = latest_teaching(studio.store)
    if job is None:
        return Card(NONE_YET)
    now = teach_progress(studio.store, job)
    part = now.step / now.total if now.total else now.part
    problem = note(job.error or "", "problem") if job.state in ("failed", "interrupted") else ""
    html = (
        f'<section class="card teaching teaching-{job.state}" data-job="{escape(job.id)}" '
        f'aria-label="Teaching"><div class="teach-head"><h2>{STATES[job.state]} '
        f"&lt;{escape(now.name)}&gt;</h2></div>{problem}"
        f"{bar(1.0 if job.state == 'done' else part, _line(studio, now))}"
        f"{_figures(now)}{loss_trend(now)}{_front(job, served)}"
        f"{_previews(now, served)}{notes(now.warnings)}</section>"
    )
    return Card(html, job.id, job.state, bool(now.scores))


def _front(job: Job, served: Served) -> str:
    """The front that a finished teaching ends with, as a strip; Explore has it with its scores."""
    front = as_front(job)
    if front is None:
        return ""
    shots = "".join(
        f'<img src="{escape(served.url(Path(path)))}" alt="At bias {bias:.2f}" title="Gate bias {bias:.2f}">'
        for path, bias in zip(front.result["paths"], front.result["biases"], strict=False)
    )
    return (
        '<div class="taught-front"><div class="ends"><span>follows the prompt</span>'
        f"<span>faithful to the photos</span></div><div>{shots}</div>"
        '<button type="button" class="small" data-room="explore">Choose its setting in Explore</button></div>'
    )


def _line(studio: Studio, now: TeachProgress) -> str:
    job = now.job
    if job.state == "queued":
        ahead = studio.position(job.id)
        return f"{ahead} before it in the queue" if ahead else "Next in the queue"
    if job.state == "done":
        return "In the library, with the setting that its front recommends"
    step = f"Step {now.step} of {now.total}" if now.total else (now.stage or "Getting ready")
    if job.state == "running" and now.stage not in ("", "Teaching"):
        return now.stage if now.step >= now.total else step
    if job.state == "interrupted" and now.stage == STAGE:
        return "In the library. Resume draws its front"
    if job.state in ("stopped", "interrupted"):
        return f"{step}. Resume goes on from the last checkpoint"
    return step


def _figures(now: TeachProgress) -> str:
    """Loss, time and scores in numbers."""
    if not now.step:
        return ""
    rows = [("Seconds a step", f"{now.seconds_a_step:.2f}" if now.seconds_a_step else "–")]
    if now.job.state == "running":
        rows.append(("Time left", duration(now.eta)))
    rows.append(("Time so far", duration(now.seconds)))
    if now.losses:
        rows.append(("Loss", f"{now.losses[max(now.losses)]:.3f}"))
    if now.scores:
        last = now.scores[-1]
        rows += [("Like the photos", f"{last.image:.3f}"), ("Like the prompt", f"{last.text:.3f}")]
    cells = "".join(f"<div><dt>{word}</dt><dd>{value}</dd></div>" for word, value in rows)
    return f'<dl class="figures">{cells}</dl>'


def _previews(now: TeachProgress, served: Served) -> str:
    """Previews from step 0 on: a row for each checkpoint, a column for each prompt."""
    if not now.previews:
        return ""
    prompts = [prompt.format(f"<{now.name}>") for prompt in _prompts(now)]
    rows = "".join(_preview_row(step, now.previews[step], prompts, served) for step in sorted(now.previews))
    return f'<div class="previews" role="group" aria-label="Previews">{rows}</div>'


def _prompts(now: TeachProgress) -> tuple[str, ...]:
    """The prompts of the previews; none where the run's settings cannot be read."""
    try:
        recipe = RunFolder(now.folder).recipe()
    except PerfusionError:
        return ()
    return recipe.validation_prompts if recipe is not None else ()


def _preview_row(step: int, paths: list[Path], prompts: list[str], served: Served) -> str:
    cells = ""
    for k, path in enumerate(paths):
        words = escape(f"{prompts[k] if k < len(prompts) else 'Preview'}, after {step} steps")
        cells += f'<img src="{escape(served.url(path))}" alt="{words}" title="{words}" loading="lazy">'
    return f'<div class="preview-row"><span class="quiet">{step}</span><div>{cells}</div></div>'
