"""What a front or a grid looks like: the drawing, and every picture as a button."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.ui.scatter import Dot, scatter
from perfusion_core.ui.words import escape

if TYPE_CHECKING:
    from perfusion_core.studio.jobs import Job
    from perfusion_core.ui.served import Served


def board(job: Job, served: Served) -> str:
    """HTML of a finished front or grid; every point carries the number of its picture."""
    inside = _grid(job, served) if job.kind == "grid" else _front(job, served)
    return f'<section class="card board" data-job="{escape(job.id)}">{inside}</section>'


def picked(job: Job, number: int) -> tuple[str, int, str, dict[str, float]]:
    """What picture `number` was made with: prompt, seed, lock and the gate bias of each varied concept."""
    asked = job.request["request"]
    if job.kind == "grid":
        first, second = job.result["biases"]
        biases = {
            job.result["names"][0]: first[number // len(second)],
            job.result["names"][1]: second[number % len(second)],
        }
    else:
        biases = {str(job.request["name"]): float(job.result["biases"][number])}
    return (
        str(asked["prompt"]),
        int(asked["seed"]),
        str(asked["lock"]),
        {name: float(bias) for name, bias in biases.items()},
    )


def _front(job: Job, served: Served) -> str:
    biases = [float(bias) for bias in job.result["biases"]]
    points = job.result.get("points", [])
    dots = [Dot(k, float(p["bias"]), float(p["image"]), float(p["text"])) for k, p in enumerate(points)]
    knee = job.result.get("knee")
    marked = next((dot.pick for dot in dots if knee and dot.bias == knee["bias"]), None)
    strip = "".join(
        _picture(k, path, f"{bias:.2f}", served, k == marked)
        for k, (path, bias) in enumerate(zip(job.result["paths"], biases, strict=False))
    )
    name = str(job.request["name"])
    title = f'<h2>&lt;{escape(name)}&gt;</h2><p class="quiet">{escape(job.request["request"]["prompt"])}</p>'
    scored = (
        f'<p class="quiet">Scored with {escape(job.result.get("scorer"))}. The large point gives up least '
        "of either.</p>"
        if dots
        else ""
    )
    return (
        f"{title}{scatter(dots, marked)}{scored}"
        '<div class="strip"><div class="ends"><span>follows the prompt</span><span>faithful to the photos'
        f"</span></div><div>{strip}</div></div>"
    )


def _grid(job: Job, served: Served) -> str:
    first, second = job.result["names"]
    rows, columns = job.result["biases"]
    paths = job.result["paths"]
    head = "".join(f"<span class='quiet'>{bias:.2f}</span>" for bias in columns)
    body = ""
    for i, bias in enumerate(rows):
        cells = [
            _picture(k, paths[k], f"{bias:.2f} and {columns[j]:.2f}", served, False, bare=True)
            for j in range(len(columns))
            if (k := i * len(columns) + j) < len(paths)
        ]
        body += f"<span class='quiet'>{bias:.2f}</span>{''.join(cells)}"
    return (
        f"<h2>&lt;{escape(first)}&gt; down, &lt;{escape(second)}&gt; across</h2>"
        f'<p class="quiet">{escape(job.request["request"]["prompt"])}. Lower numbers are more faithful to '
        "the photos.</p>"
        f'<div class="pairs" style="grid-template-columns: 40px repeat({len(columns)}, minmax(44px, 1fr))">'
        f"<span></span>{head}{body}</div>"
    )


def _picture(pick: int, path: str, words: str, served: Served, marked: bool, bare: bool = False) -> str:
    caption = "" if bare else f"<span>{escape(words)}</span>"
    return (
        f'<button type="button" class="{"shot shot-marked" if marked else "shot"}" data-pick="{pick}" '
        f'title="Keep {escape(words)}" '
        f'aria-label="Keep bias {escape(words)}"><img src="{escape(served.url(Path(path)))}" alt="Picture '
        f'at bias {escape(words)}">{caption}</button>'
    )
