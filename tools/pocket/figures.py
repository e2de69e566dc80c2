"""The figures of an evaluation as a table and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tools.pocket.verdicts import QUESTIONS, Verdicts

# The least each figure should reach.
BARS = {"object": 0.90, "both": 0.80, "colour": 0.90, "hat": 0.80, "place": 0.98, "style": 0.92}
BESIDE = {
    "held_out_db": ("autoencoder, PSNR on held-out things", "{:.1f} dB", "≥ 30 dB"),
    "autoencoder_db": ("autoencoder, PSNR on unseen scenes", "{:.1f} dB", ""),
    "clip_right_of_500": ("scorer picks the right caption of 500", "{:.0%}", "≥ 60 %"),
    "mask_iou": ("segmenter's IoU on held-out things alone", "{:.2f}", "≥ 0.85"),
    "mask_iou_named": ("segmenter's IoU on the named one of two", "{:.2f}", "≥ 0.70"),
    "seconds_for_four": ("4 images at {steps} steps, {threads} threads, float32", "{:.1f} s", "≤ 3 s"),
}


def summary(
    made: Verdicts, ceiling: Verdicts, beside: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """All figures, ready for JSON: shares, how many were asked, the judge's ceiling, and the poorest."""
    rows = {}
    for name in QUESTIONS:
        poorest = list(made.by_asked(name).items())[:6]
        rows[name] = {
            "share": _rounded(made.share(name)),
            "ceiling": _rounded(ceiling.share(name)),
            "asked": len(made.found[name]),
            "poorest": {asked: f"{good}/{total}" for asked, (good, total) in poorest if good < total},
        }
    return {"settings": settings, "questions": rows, "beside": beside}


def _rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(share, 4)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def table(figures: dict[str, Any]) -> str:
    """A Markdown table of the figures."""
    settings = figures["settings"]
    lines = [
        f"{settings['prompts']} unseen prompts, {settings['steps']} steps, guidance {settings['guidance']}.",
        "",
        "| what the judge was asked | asked | right | true scenes, autoencoded | bar |",
        "|---|---|---|---|---|",
    ]
    for name, row in figures["questions"].items():
        bar = f"≥ {BARS[name]:.0%}" if name in BARS else ""
        share, ceiling = _percent(row["share"]), _percent(row["ceiling"])
        lines.append(f"| {QUESTIONS[name]} | {row['asked']} | {share} | {ceiling} | {bar} |")
    lines += ["", "| beside | figure | bar |", "|---|---|---|"]
    for name, (title, form, bar) in BESIDE.items():
        if name in figures["beside"]:
            value = form.format(figures["beside"][name])
            lines.append(f"| {title.format(**settings)} | {value} | {bar} |")
    for order, share in figures["beside"].get("ranking", {}).items():
        lines.append(f"| scorer ranks {order}, share of pairs | {share:.0%} | ≥ 95 % |")
    return "\n".join(lines) + "\n"


def poorest(figures: dict[str, Any]) -> str:
    """What goes wrong most often, one line a question."""
    lines = []
    for name, row in figures["questions"].items():
        if row["poorest"]:
            lines.append(
                f"- {name}: " + ", ".join(f"{asked} {score}" for asked, score in row["poorest"].items())
            )
    return "\n".join(lines) + "\n"


def write(figures: dict[str, Any], folder: Path) -> None:
    """Write figures.json and table.md into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(
        json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    text = table(figures) + "\nPoorest:\n\n" + poorest(figures)
    (folder / "table.md").write_text(text, encoding="utf-8")
