"""The sidebar: the base model and its choice, the machine, and the job queue with Stop and Resume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from perfusion_core.errors import PerfusionError
from perfusion_core.sampling.defaults import sampling_defaults
from perfusion_core.studio.creating.live import is_live
from perfusion_core.studio.machine import machine_facts
from perfusion_core.ui import base_choice
from perfusion_core.ui.choice_list import choice_list
from perfusion_core.ui.event_options import AT_ONCE, EACH, EACH_IN_TURN, QUIET, Updates
from perfusion_core.ui.html import ago, escape, gigabytes, note

if TYPE_CHECKING:
    from perfusion_core.studio.app import Studio
    from perfusion_core.studio.jobs.store import Job
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
class Sidebar:
    """`machine` changes when another base model is loading, or has been loaded; `shown`: what is on the page,
    so that it is sent only when it changes.
    """

    base: gr.Dropdown
    machine: gr.HTML
    memory: gr.HTML
    others: gr.HTML
    queue: gr.HTML
    shown: gr.State
    timer: gr.Timer


def render(studio: Studio, readiness: Readiness) -> Sidebar:
    with gr.Column(elem_classes="card", elem_id="base-card"):
        base = choice_list(
            base_choice.choices(studio),
            value=studio.settings.base,
            label="Base model",
            info="Or a folder, file or Hugging Face id",
            allow_custom_value=True,
            elem_id="base",
        )
        machine = gr.HTML(machine_line(studio, readiness), elem_id="machine", js_on_load=None)
        memory = gr.HTML(memory_line(studio), elem_id="memory", js_on_load=None)
        others = gr.HTML(base_choice.unsupported(studio), elem_id="unsupported", js_on_load=None)
    queue = gr.HTML(queue_card(studio), elem_id="queue", js_on_load=CLICKS)
    return Sidebar(
        base=base,
        machine=machine,
        memory=memory,
        others=others,
        queue=queue,
        shown=gr.State(""),
        timer=gr.Timer(1.5),
    )


def listen(part: Sidebar, studio: Studio, readiness: Readiness, demo: gr.Blocks) -> None:
    def look(shown: str) -> Any:
        machine, memory, queue = machine_line(studio, readiness), memory_line(studio), queue_card(studio)
        now = machine + memory + queue
        if now == shown:
            return gr.skip()
        return {part.machine: machine, part.memory: memory, part.queue: queue, part.shown: now}

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

    def use(reference: str | None) -> Updates:
        try:
            problem = base_choice.use(studio, readiness, reference)
        except PerfusionError as error:
            problem = str(error)
        return {
            part.base: _offered(studio),
            part.machine: machine_line(studio, readiness) + note(problem, "problem"),
        }

    def offered() -> Updates:
        return {part.base: _offered(studio), part.others: base_choice.unsupported(studio)}

    for event in (demo.load, part.timer.tick):
        event(look, part.shown, [part.machine, part.memory, part.queue, part.shown], **AT_ONCE)
    part.queue.click(act, None, part.queue, **AT_ONCE, **EACH)
    part.base.input(use, part.base, [part.base, part.machine], **EACH_IN_TURN)
    demo.load(offered, None, [part.base, part.others], **QUIET)


def _offered(studio: Studio) -> Any:
    return choice_list(base_choice.choices(studio), value=studio.settings.base)


def machine_line(studio: Studio, readiness: Readiness) -> str:
    """The base's state and the device; why it cannot be used, where it cannot.

    It names the base, so that it changes with it also where one was ready and the other is at once.
    """
    state = {"Ready": "ready", "Loading": "busy", "Not usable": "bad"}.get(readiness.words, "idle")
    return (
        f'<p class="state state-{state}" data-base="{escape(studio.settings.base)}">'
        '<span class="dot" aria-hidden="true"></span>'
        f"{escape(readiness.words)} · {escape(machine_facts(studio).device)}</p>"
        f"{_loras(studio)}{_few_steps(studio)}"
        f"{note(readiness.problem, 'problem')}"
    )


def _loras(studio: Studio) -> str:
    """The LoRAs that pictures are made with."""
    if not studio.settings.loras:
        return ""
    words = ", ".join(f"{lora.file.stem} {lora.weight:g}" for lora in studio.settings.loras)
    return f'<p class="quiet" id="loras-line">LoRAs for pictures, off while teaching: {escape(words)}</p>'


def _few_steps(studio: Studio) -> str:
    """Of a base that was made for few steps: how it draws where the form leaves that to the base."""
    with studio.bases.borrow():  # no LoRA is put on it meanwhile
        base = studio.base
        if base is None or base.few_steps is None:
            return ""
        own = sampling_defaults(base)
    steps = "1 step" if own.steps == 1 else f"{own.steps} steps"
    guided = f"guidance {own.guidance:g}" if own.guidance > 1 else "no guidance"
    made = "Made for few steps" if base.description.few_steps else "With its LoRA"
    return f'<p class="quiet">{made}: it draws in {steps}, {guided}.</p>'


def memory_line(studio: Studio) -> str:
    """Memory used and free; nothing where the system does not say."""
    facts = machine_facts(studio)
    if not facts.memory_total:
        return ""
    used = facts.memory_used / facts.memory_total
    free = gigabytes(facts.memory_total - facts.memory_used)
    return (
        f'<div class="meter" role="img" aria-label="Memory: {used:.0%} used">'
        f'<i style="width:{used:.0%}"></i></div>'
        f'<p class="quiet">Memory: {gigabytes(facts.memory_used)} used, {free} free</p>'
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
