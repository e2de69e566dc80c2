"""The comparison in words and tables: where ours loses first, then everything."""

from __future__ import annotations

from math import isnan
from pathlib import Path

from benchmarks.rivals.bleed import KINDS
from benchmarks.rivals.fronts import (
    dominated_share,
    hypervolume_interval,
    mean_interval,
    ratio_interval,
    resamples,
)
from benchmarks.rivals.losses import WORDS, bleed_interval, losses, number
from benchmarks.rivals.methods.registry import OURS
from benchmarks.rivals.results import MethodResult, Regime, Results
from perfusion_core.evaluation import hypervolume


def report(results: Results) -> str:
    """The report as Markdown. Pictures are named relative to it: figures/ and sheets/ beside."""
    parts = [
        "# The gated edit against its rivals",
        _setting(results),
        "## Where ours loses",
        _losses(results),
        *(section for regime in results.regimes for section in _regime(regime, results)),
        "## Bleed",
        _bleed(results),
        "## Settings",
        _settings(results),
        "## Contact sheets",
        *(f"![{name}]({path})" for name, path in results.sheets.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _setting(results: Results) -> str:
    learned, held = results.photos["learned"], results.photos["held out"]
    lines = [
        f"Base {results.base}, {results.machine}. `{results.command}`",
        f"{results.seeds} seeds and {len(results.prompts)} prompts a concept, "
        f"{results.sampling['steps']} denoising steps, guidance {results.sampling['guidance']}, the same "
        f"noise for every method. Each concept is learned from {learned} photos and judged by {held} others.",
        f"Settings were chosen on {', '.join(results.develop)}, which are left out of every figure below.",
        f"Judge: {results.judge}. Identity: the nearest of {results.gallery}. "
        "Text similarity: the base's CLIP.",
        f"Brackets: 95 % bootstrap intervals over concepts and seeds ({results.resamples} resamples, "
        f"seed {results.seed}).",
    ]
    if not results.judge_is_independent:
        lines.append(
            "**This judge is the CLIP that settings, and our checkpoints, were chosen with: the figures "
            "favour whoever fits it best. Give --judge for one that no method has seen.**"
        )
    return "\n\n".join(lines)


def _losses(results: Results) -> str:
    if not any(method.name == OURS for regime in results.regimes for method in regime.methods):
        return f"{OURS} was not among the methods of this run."
    found = losses(results, OURS)
    if not found:
        return "In no figure below is a rival better than ours with the local lock."
    rows = [
        [loss.regime, loss.what, loss.rival, loss.theirs, loss.ours, "yes" if loss.sure else "no"]
        for loss in found
    ]
    return "Every figure in which a rival is better than ours with the local lock:\n\n" + _table(
        ["comparison", "figure", "rival", "theirs", "ours", "intervals apart"], rows
    )


def _regime(regime: Regime, results: Results) -> list[str]:
    image, text = regime.reference
    said = (
        f"{len(regime.concepts)} concepts: {', '.join(regime.concepts)}. Hypervolume above the reference "
        f"image {image:.3f} (the untaught base by the plain word) and text {text:.3f} (the photos themselves "
        "as images); beside it, above (0, 0)."
    )
    if regime.name != "best":
        said += f" {results.budget:.1f} seconds a teaching at the pace measured before."
    name = regime.name
    picture = (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="figures/fronts-{name}-dark.svg">'
        f'<img alt="Fronts of all methods" src="figures/fronts-{name}-light.svg"></picture>'
    )
    parts = [
        f"## {regime.title}",
        said,
        picture,
        _fronts(regime, results),
        _knees(regime, results),
        _knobs(regime),
        _points(regime),
    ]
    failed = [f"{m.title}, {concept}: {why}" for m in regime.methods for concept, why in m.failed.items()]
    if failed:
        parts.append("Failed, and scored as the plain word:\n\n" + "\n".join(f"- {line}" for line in failed))
    return parts


def _fronts(regime: Regime, results: Results) -> str:
    drawn = resamples(len(regime.concepts), results.seeds, results.resamples, results.seed)
    ours = next((method for method in regime.methods if method.name == OURS), None)
    rows = []
    for method in regime.methods:
        row = [
            method.title,
            number(hypervolume_interval(method.front, regime.reference, drawn), 4),
            f"{hypervolume(method.front.points()):.4f}",
        ]
        if ours is None or method is ours:
            row += ["", ""]
        else:
            share = dominated_share(ours.front.points(), method.front.points())
            row += [
                number(ratio_interval(ours.front, method.front, regime.reference, drawn), 2),
                f"{share:.0%}",
            ]
        rows.append(
            [*row, f"{method.size:,}", _figure(method.teach_seconds, 1), _figure(method.draw_seconds, 2)]
        )
    heads = ["method", "hypervolume", "above (0, 0)", "ours (local) over it", "of its front, ours dominates"]
    return _table([*heads, "bytes", "seconds to teach", "seconds an image"], rows)


def _knees(regime: Regime, results: Results) -> str:
    drawn = resamples(len(regime.concepts), results.seeds, results.resamples, results.seed)
    rows = []
    for method in regime.methods:
        cells = [number(mean_interval(method.scores[measure][method.knee], drawn)) for measure in WORDS]
        rows.append([method.title, method.points[method.knee], *cells])
    rows.append(["the plain word, untaught", "", *(_figure(regime.plain[measure], 3) for measure in WORDS)])
    return "At the knee of each method's front:\n\n" + _table(["method", "at", *WORDS.values()], rows)


def _knobs(regime: Regime) -> str:
    rows = []
    for method in regime.methods:
        if len(method.points) > 1:
            image, text = method.front.steadiness()
            rows.append([method.title, method.knob, f"{image:.2f}", f"{text:.2f}"])
    heads = ["method", "knob", "image similarity rises", "text similarity falls"]
    said = "How steadily each knob acts, on the concept where it does so least (Kendall's tau, 1 is best):"
    return f"{said}\n\n{_table(heads, rows)}" if rows else ""


def _points(regime: Regime) -> str:
    rows = [
        [method.title, label, f"{point.image:.4f}", f"{point.text:.4f}"]
        for method in regime.methods
        for label, point in zip(method.points, method.front.points(), strict=True)
    ]
    table = _table(["method", "operating point", "image similarity", "text similarity"], rows)
    return f"<details><summary>All operating points</summary>\n\n{table}\n\n</details>"


def _bleed(results: Results) -> str:
    if not results.pairs:
        return "Not measured in this run."
    parts = [
        "The share of images in which a side looks more like the other thing than like its own (0 is best), "
        "and by how much a side is nearer to its own. Each method at the knee of its front."
    ]
    for kind in KINDS:
        here = [pair for pair in results.pairs if pair.kind == kind]
        if not here:
            parts.append(f"**{kind.capitalize()}**: no such pair among these concepts.")
            continue
        rows = [
            [
                pair.title,
                number(bleed_interval(pair, results)),
                f"{pair.margin.mean():.3f}",
                str(len(pair.pairs)),
            ]
            for pair in sorted(here, key=lambda pair: pair.bled.mean())
        ]
        parts.append(f"**{kind.capitalize()}**\n\n" + _table(["method", "bleed", "margin", "pairs"], rows))
    return "\n\n".join(parts)


def _settings(results: Results) -> str:
    said: dict[str, MethodResult] = {}
    rows = []
    for regime in results.regimes:
        for method in regime.methods:
            said[method.name] = method
            chosen = ", ".join(f"{name} {_plain(value)}" for name, value in method.settings.items())
            rows.append([method.title, regime.name, chosen])
    sources = _table(
        ["method", "knob", "settings it starts from"], [[m.title, m.knob, m.source] for m in said.values()]
    )
    tried = [[what, one, f"{worth:.4f}"] for what, found in results.tuning.items() for one, worth in found]
    parts = [sources, "Chosen:\n\n" + _table(["method", "comparison", "settings"], rows)]
    if tried:
        table = _table(["teacher and comparison", "tried", "hypervolume on the development concepts"], tried)
        parts.append(f"<details><summary>Everything that was tried</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _figure(value: float, digits: int) -> str:
    return "–" if isnan(value) else f"{value:.{digits}f}"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_report(results: Results, out: Path) -> Path:
    """report.md in `out`."""
    path = out / "report.md"
    path.write_text(report(results), encoding="utf-8")
    return path
