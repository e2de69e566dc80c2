"""A front or a grid as HTML: the scatter plot, and every image as a button."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.ui.explore.scatter import Dot, Mark, scatter
from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.jobs.store import Job
    from perfusion_core.ui.served import Served

# What a reference point is called in the plot.
REFERENCES = {"superclass": "superclass prompt", "photos": "the photos"}


def board(job: Job, served: Served) -> str:
    """HTML of a finished front or grid; every point carries the number of its image."""
    inside = _grid(job, served) if job.kind == "grid" else _front(job, served)
    return f'<section class="card board" data-job="{escape(job.id)}">{inside}</section>'


def picked(job: Job, number: int) -> tuple[str, int, str, dict[str, float]]:
    """What image `number` was made with: prompt, seed, lock and the gate bias of each varied concept.

    Raises `IndexError` for an image that is not there.
    """
    asked = job.request["request"]
    if not 0 <= number < len(job.result["paths"]):
        raise IndexError(number)
    seed = int(asked["seed"])
    if job.kind == "grid":
        first, second = job.result["biases"]
        row, column = divmod(number, len(second))
        biases = {job.result["names"][0]: first[row], job.result["names"][1]: second[column]}
    else:
        row, column = divmod(number, len(job.result["biases"]))
        biases = {str(job.request["name"]): job.result["biases"][column]}
        seed = _seeds(job)[row]
    return (
        str(asked["prompt"]),
        seed,
        str(asked["lock"]),
        {name: float(bias) for name, bias in biases.items()},
    )


def _seeds(job: Job) -> list[int]:
    """The seed of each row; fronts made by earlier versions had one."""
    return [int(seed) for seed in job.result.get("seeds") or [job.request["request"]["seed"]]]


def _front(job: Job, served: Served) -> str:
    name, points = str(job.request["name"]), job.result.get("points", [])
    dots = [Dot(k, float(p["bias"]), float(p["image"]), float(p["text"])) for k, p in enumerate(points)]
    knee = job.result.get("knee")
    marked = next((dot.pick for dot in dots if knee and dot.bias == knee["bias"]), None)
    seeds = _seeds(job)
    faint = (
        [
            Dot(k, float(shot["bias"]), float(shot["image"]), float(shot["text"]))
            for k, shot in enumerate(job.result.get("shots", []))
        ]
        if len(seeds) > 1
        else []
    )
    marks = [
        Mark(REFERENCES[str(one["kind"])], float(one["image"]), float(one["text"]))
        for one in job.result.get("references", [])
    ]
    return (
        f'<h2>&lt;{escape(name)}&gt;</h2><p class="quiet">{escape(job.request["request"]["prompt"])}</p>'
        f"{scatter(dots, marked, faint, marks)}{_explained(job, bool(dots), len(seeds))}"
        f"{_strip(job, served, seeds, marked)}"
    )


def _explained(job: Job, scored: bool, seeds: int) -> str:
    if not scored:
        return ""
    kinds = {one["kind"] for one in job.result.get("references", [])}
    photos = " “The photos” marks how similar the photos are to one another." if "photos" in kinds else ""
    means = (
        f" Each point is the mean of {seeds} seeds; the single seeds are drawn faint." if seeds > 1 else ""
    )
    return (
        f'<p class="quiet">Scored with {escape(job.result.get("scorer"))}. The filled point is the best '
        f"balance of the two scores.{means}{photos}</p>"
    )


def _strip(job: Job, served: Served, seeds: list[int], marked: int | None) -> str:
    """The images, a row for each seed; before each row its baseline image where there is one."""
    biases, paths = [float(bias) for bias in job.result["biases"]], job.result["paths"]
    plain = next((one["paths"] for one in job.result.get("references", []) if one["paths"]), [])
    rows = ""
    for i, seed in enumerate(seeds):
        own = paths[i * len(biases) : (i + 1) * len(biases)]
        shots = "".join(
            _image(i * len(biases) + j, path, f"{biases[j]:.2f}", served, j == marked)
            for j, path in enumerate(own)
        )
        first = _plain(plain[i], served) if i < len(plain) else ""
        head = f'<span class="quiet seed">Seed {seed}</span>' if len(seeds) > 1 and own else ""
        rows += f'{head}<div class="shots">{first}{shots}</div>'
    return (
        '<div class="strip"><div class="ends"><span>follows the prompt</span><span>faithful to the photos'
        f"</span></div>{rows}</div>"
    )


def _plain(path: str, served: Served) -> str:
    return (
        f'<figure class="plain"><img src="{escape(served.url(Path(path)))}" '
        'alt="The base alone, with the superclass in the prompt"><span>superclass</span></figure>'
    )


def _grid(job: Job, served: Served) -> str:
    first, second = job.result["names"]
    rows, columns = job.result["biases"]
    paths = job.result["paths"]
    head = "".join(f"<span class='quiet'>{bias:.2f}</span>" for bias in columns)
    body = ""
    for i, bias in enumerate(rows):
        cells = [
            _image(k, paths[k], f"{bias:.2f} and {columns[j]:.2f}", served, False, bare=True)
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


def _image(pick: int, path: str, words: str, served: Served, marked: bool, bare: bool = False) -> str:
    caption = "" if bare else f"<span>{escape(words)}</span>"
    return (
        f'<button type="button" class="{"shot shot-marked" if marked else "shot"}" data-pick="{pick}" '
        f'title="Keep {escape(words)}" '
        f'aria-label="Keep bias {escape(words)}"><img src="{escape(served.url(Path(path)))}" alt="Picture '
        f'at bias {escape(words)}">{caption}</button>'
    )
