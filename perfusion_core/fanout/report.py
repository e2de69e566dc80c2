"""report.html: everything a run came to on one page without any other file, the weakest concepts first.

All text is escaped, images are data of formats that were checked, and the page's own policy forbids scripts
and any request.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any

from perfusion_core.fanout.results_folder import checked_place
from perfusion_core.fanout.tasks import Json
from perfusion_core.files import write_atomic
from perfusion_core.printable import printable

MOST_WHOLE = 200  # cards with all their images, 40 kB each; further ones show one photo and one preview
LARGEST_IMAGE = 2**20  # bytes
LONGEST_TEXT = 500
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SECTIONS = (("photo", "Photos"), ("preview", "Generated"), ("front", "From the prompt to the photos"))


def write_report(out: Path, title: str, facts: Mapping[str, Json], failed: Mapping[str, str]) -> Path:
    """Write the page into the results folder `out`. `facts` and `failed` (reasons) are by label.

    Raises `PerfusionError` when it cannot be written.
    """
    path = out / "report.html"
    write_atomic(path, report_page(out, title, facts, failed).encode())
    return path


def report_page(out: Path, title: str, facts: Mapping[str, Json], failed: Mapping[str, str]) -> str:
    """The page: failures, then concepts without scores, then the others with the weakest first."""
    ordered = sorted(facts, key=lambda label: (_strength(facts[label]), label))
    failures = "".join(_failed_card(label, reason) for label, reason in sorted(failed.items()))
    cards: list[str] = []
    for place, label in enumerate(ordered, start=1):
        cards.append(_card(out, label, facts[label], place, len(ordered), whole=place <= MOST_WHOLE))
    style = Path(__file__).with_name("report.css").read_text("utf-8")
    when = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style></head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f"<p class='soft'>{when}. What failed comes first, then the weakest results: those are the ones to "
        "look at.</p>\n"
        f"{_totals(facts, failed)}\n"
        f"{f'<section>{failures}</section>' if failures else ''}\n"
        f"<main>\n{''.join(cards)}</main>\n</body></html>\n"
    )


def strength(facts: Json) -> float | None:
    """What concepts are ordered by: the harmonic mean of both scores of the checkpoint that was kept, 0 when
    one is not positive; None without scores.
    """
    scores = facts.get("scores") or {}
    if "image" not in scores or "text" not in scores:
        return None
    return harmonic_mean((max(0.0, float(scores["image"])), max(0.0, float(scores["text"]))))


def _strength(facts: Json) -> float:
    found = strength(facts)
    return -1.0 if found is None else found


def _totals(facts: Mapping[str, Json], failed: Mapping[str, str]) -> str:
    scored = [found for one in facts.values() if (found := strength(one)) is not None]
    seconds = [float(one.get("seconds", 0.0)) for one in facts.values()]
    items: list[tuple[object, str, str]] = [
        (len(facts), "taught", ""),
        (len(failed), "failed", "bad" if failed else ""),
    ]
    if scored:
        items += [
            (f"{median(scored):.3f}", "median of both scores", ""),
            (f"{min(scored):.3f}", "weakest", ""),
        ]
    if seconds:
        items.append((_clock(median(seconds)), "a concept (median)", ""))
    cells = "".join(f'<li class="{kind}"><b>{value}</b>{words}</li>' for value, words, kind in items)
    return f'<ul class="totals">{cells}</ul>'


def _failed_card(label: str, reason: str) -> str:
    return (
        f'<article class="failed"><header class="top"><h2>{_text(label)}</h2>'
        f'<span class="place">failed</span></header><p class="reason">{_text(reason)}</p></article>\n'
    )


def _card(out: Path, label: str, facts: Json, place: int, count: int, *, whole: bool) -> str:
    sections = [_images(out, facts, kind, words, whole=whole) for kind, words in _SECTIONS]
    warnings = facts.get("warnings") or []
    notes = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
    settings = ", ".join(f"{name} {value}" for name, value in (facts.get("settings") or {}).items())
    bias = ", ".join(f"{lock} {float(value):.2f}" for lock, value in (facts.get("bias") or {}).items())
    about = [f"recommended bias: {bias}" if bias else "", settings, _clock(float(facts.get("seconds", 0.0)))]
    found = strength(facts)
    rank = f"{place} of {count}" + ("" if found is None else f" · {found:.3f}")
    return (
        f'<article><header class="top"><h2>{_text(label)}</h2><span class="place">{rank}</span></header>'
        f'<p class="soft">{_text(facts.get("superclass", ""))}</p>{_scores(facts)}{"".join(sections)}'
        f"{_curve(facts) if whole else ''}"
        f"{f'<ul class=notes>{notes}</ul>' if notes else ''}"
        f"<footer>{_text(' · '.join(part for part in about if part))}</footer></article>\n"
    )


def _scores(facts: Json) -> str:
    scores = facts.get("scores") or {}
    if strength(facts) is None:
        return '<p class="reason soft">Not scored: there was no scorer for this base.</p>'
    rows: list[str] = []
    for kind, words in (("image", "like the photos"), ("text", "like the prompt")):
        value, plain = float(scores[kind]), scores.get(f"untaught_{kind}")
        before = "" if plain is None else f' <span class="soft">({float(plain):.3f} untaught)</span>'
        width = 100 * min(1.0, max(0.0, value))
        rows.append(
            f'<span>{words}</span><span class="bar {kind}"><i style="width:{width:.0f}%"></i></span>'
            f"<span>{value:.3f}{before}</span>"
        )
    return f'<div class="scores">{"".join(rows)}</div>'


def _images(out: Path, facts: Json, kind: str, words: str, *, whole: bool) -> str:
    paths: Sequence[str] = (facts.get("shown") or {}).get(kind) or []
    if not whole:
        paths = paths[:1] if kind != "front" else []
    points: Sequence[Json] = (facts.get("front") or []) if kind == "front" else []
    figures: list[str] = []
    for number, path in enumerate(paths):
        data = _image_data(out, path)
        if data:
            caption = (
                f"<figcaption>{float(points[number]['bias']):.2f}</figcaption>"
                if number < len(points)
                else ""
            )
            figures.append(f'<figure><img src="{data}" alt="" loading="lazy">{caption}</figure>')
    return f'<h3>{words}</h3><div class="row">{"".join(figures)}</div>' if figures else ""


def _curve(facts: Json) -> str:
    """Both scores over the front's gate biases, from the prompt's end to the photos'."""
    points = [point for point in facts.get("front") or [] if "image" in point and "text" in point]
    if len(points) < 2:
        return ""
    values = [float(point[kind]) for point in points for kind in ("image", "text")]
    low, high = min(values), max(values)
    lines = ""
    for kind in ("image", "text"):
        heights = [4 + 56 * (high - float(point[kind])) / ((high - low) or 1.0) for point in points]
        places = [f"{100 * (k + 0.5) / len(points):.1f},{y:.1f}" for k, y in enumerate(heights)]
        lines += f'<polyline class="{kind}-line" points="{" ".join(places)}"/>'
    return (
        '<svg viewBox="0 0 100 64" preserveAspectRatio="none" role="img" aria-label="Scores along it">'
        f'{lines}</svg><p class="key"><span>like the photos</span><span>like the prompt</span>'
        f"<em>{low:.2f} to {high:.2f}</em></p>"
    )


def _image_data(out: Path, path: str) -> str:
    """A WebP of the results folder as a data address; empty when it is gone or is something else."""
    try:
        place = out / checked_place(path)
        content = place.read_bytes() if place.stat().st_size <= LARGEST_IMAGE else b""
    except Exception:  # a record that someone edited: the page shows what there is
        return ""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return ""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def _text(value: Any) -> str:
    words = printable(str(value))
    return html.escape(words if len(words) <= LONGEST_TEXT else f"{words[: LONGEST_TEXT - 1]}…")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
