"""Beside the rooms: the base model, the machine, and the queue with a way to stop or resume each job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.studio.live import is_live
from perfusion_core.studio.machine import machine_facts
from perfusion_core.ui.words import ago, escape, gigabytes, note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs import Job
    from perfusion_core.studio.readiness import Readiness

LATEST = 6
CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-do]');
  if (button) trigger('click', {what: button.dataset.do, job: button.dataset.job});
});
"""
SPOKEN = {
    "queued": "waiting",
    "running": "running",
    "stopping": "stopping",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "failed": "failed",
    "done": "done",
}


@dataclass(frozen=True)
class Aside:
    machine: gr.HTML
    queue: gr.HTML
    shown: gr.State
    timer: gr.Timer


def render(studio: Studio, readiness: Readiness) -> Aside:
    machine = gr.HTML(machine_card(studio, readiness), elem_id="machine", js_on_load=None)
    queue = gr.HTML(queue_card(studio), elem_id="queue", js_on_load=CLICKS)
    return Aside(machine, queue, gr.State(""), gr.Timer(1.5))


def listen(part: Aside, studio: Studio, readiness: Readiness, demo: gr.Blocks) -> None:
    def look(shown: str) -> tuple[Any, Any, Any]:
        machine, queue = machine_card(studio, readiness), queue_card(studio)
        if machine + queue == shown:
            return gr.skip(), gr.skip(), gr.skip()
        return machine, queue, machine + queue

    def act(event: gr.EventData) -> str:
        problem = ""
        try:
            if event.what == "stop":
                studio.stop(str(event.job))
            elif event.what == "resume":
                studio.resume(str(event.job))
        except PerfusionError as error:
            problem = note(str(error), "problem")
        return problem + queue_card(studio)

    outputs = [part.machine, part.queue, part.shown]
    for event in (demo.load, part.timer.tick):
        event(look, part.shown, outputs, show_progress="hidden", queue=False, api_visibility="private")
    part.queue.click(act, None, part.queue, show_progress="hidden", queue=False, api_visibility="private")


def machine_card(studio: Studio, readiness: Readiness) -> str:
    facts = machine_facts(studio)
    memory = ""
    if facts.memory_total:
        used = facts.memory_used / facts.memory_total
        free = gigabytes(facts.memory_total - facts.memory_used)
        memory = (
            f'<div class="meter" role="img" aria-label="Memory: {used:.0%} used"><i '
            f'style="width:{used:.0%}"></i></div>'
            f'<p class="quiet">{free} free of {gigabytes(facts.memory_total)}</p>'
        )
    return (
        '<section class="card" aria-label="Base model and machine"><h2>Base model</h2>'
        f'<p class="strong">{escape(readiness.name)}</p><p class="quiet">{escape(readiness.words)} '
        f"· {escape(facts.device)}</p>"
        f"{memory}{note(readiness.problem, 'problem')}</section>"
    )


def queue_card(studio: Studio) -> str:
    jobs = [job for job in studio.jobs() if not is_live(job)]
    active = [job for job in jobs if job.state in ("running", "stopping", "queued")]
    over = [job for job in reversed(jobs) if job not in active][: max(0, LATEST - len(active))]
    rows = "".join(_row(studio, job) for job in [*active, *over])
    body = f"<ul>{rows}</ul>" if rows else '<p class="quiet">Nothing yet. What you start shows up here.</p>'
    return f'<section class="card" aria-label="Jobs"><h2>Jobs</h2>{body}</section>'


def _row(studio: Studio, job: Job) -> str:
    words = SPOKEN[job.state]
    if job.state == "queued":
        ahead = studio.position(job.id)
        words = f"waiting, {ahead} before it" if ahead else "next"
    elif job.finished_at is not None:
        words = f"{words} {ago(job.finished_at)}"
    button = ""
    if job.state in ("queued", "running"):
        button = _button("stop", "Stop", job)
    elif job.kind == "teach" and job.resumable:
        button = _button("resume", "Resume", job)
    problem = f'<p class="quiet">{escape(job.error)}</p>' if job.error and job.state == "failed" else ""
    return (
        f'<li class="job job-{job.state}"><span class="dot" aria-hidden="true"></span><div>'
        f'<p class="strong">{escape(job.title)}</p><p class="quiet">{escape(words)}</p>{problem}'
        f"</div>{button}</li>"
    )


def _button(what: str, label: str, job: Job) -> str:
    return (
        f'<button type="button" class="small" data-do="{what}" data-job="{escape(job.id)}" '
        f'aria-label="{label} {escape(job.title)}">{label}</button>'
    )
