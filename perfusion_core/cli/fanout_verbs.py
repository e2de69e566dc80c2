"""`teach-all` and `sweep`: many concepts on many devices, from a list to a folder of results."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.cli.bars import note, say
from perfusion_core.cli.fanout_run import INTERRUPTED, STOPPING, require_sound, run_tasks, verdict
from perfusion_core.cli.fanout_table import clock
from perfusion_core.cli.teach_verb import BUSY, stop_on_interrupt
from perfusion_core.cli.workforce import base_setup, quiet, workforce
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.estimate import estimate
from perfusion_core.fanout.manifest import read_manifest
from perfusion_core.fanout.report import write_report
from perfusion_core.fanout.sweep import means_of, read_sweep, rows_of, write_table
from perfusion_core.fanout.teach_all import Finding, Item, measured, planned_of, start
from perfusion_core.fanout.teach_work import TeachSetup
from perfusion_core.studio.jobs.worker import owner_lock

if TYPE_CHECKING:
    import argparse

    from filelock import FileLock

    from perfusion_core.fanout.sweep import Row
    from perfusion_core.studio.settings import Settings

MOST_TOGETHER = 64  # concepts in a batch; their photos are in memory at once
MOST_SHOWN = 20  # rows of a sweep's table on the terminal


def teach_all(settings: Settings, options: argparse.Namespace) -> int:
    """Teach a manifest's concepts. Returns the exit code."""
    _require_together(options.together)
    path = Path(options.manifest)
    manifest = read_manifest(path)
    require_sound(path, len(manifest.lines), manifest.problems)
    items = [Item(line.name, line) for line in manifest.lines]
    out = Path(options.out) if options.out else path.parent / f"{path.stem}-taught"
    with _owned(settings, options, out):
        if options.check:
            return _check(settings, options, items)
        found = _teach(settings, options, items, out)
    write_report(out, f"Taught from {path.name}", found.facts, found.failed)
    say(f"Concepts are in {out / 'concepts'}; look at {out / 'report.html'}, the weakest come first.")
    return verdict(found, [item.label for item in items])


def sweep(settings: Settings, options: argparse.Namespace) -> int:
    """Teach every concept in every combination, and write a table of scores. Returns the exit code."""
    _require_together(options.together)
    path = Path(options.sweep)
    asked = read_sweep(path)
    manifest = read_manifest(asked.manifest)
    require_sound(asked.manifest, len(manifest.lines), manifest.problems)
    out = Path(options.out) if options.out else path.parent / f"{path.stem}-sweep"
    by_base: dict[str, list[Item]] = {}
    for combination in asked.combinations:
        items = by_base.setdefault(combination.base or settings.base, [])
        items += [combination.item(line) for line in manifest.lines]
    found = Finding({}, {})
    with _owned(settings, options, out):
        for base, items in by_base.items():
            note(f"{len(items)} teachings on {base}")
            on_base = replace(settings, base=base)
            if options.check:
                if code := _check(on_base, options, items):
                    return code
                continue
            part = _teach(on_base, options, items, out)
            found = Finding({**found.facts, **part.facts}, {**found.failed, **part.failed}, part.stopped)
            if found.stopped:
                break
    if options.check:
        return 0
    rows = rows_of(asked, manifest.lines, found.facts)
    means = means_of(rows)
    write_table(out / "table.csv", rows)
    write_table(out / "means.csv", means)
    write_report(out, f"Sweep {path.name}", found.facts, found.failed)
    for row in means[:MOST_SHOWN]:
        say(_spoken(row))
    say(f"Every teaching is in {out / 'table.csv'}, the means in {out / 'means.csv'}.")
    return verdict(found, [item.label for items in by_base.values() for item in items])


def _owned(
    settings: Settings, options: argparse.Namespace, out: Path
) -> AbstractContextManager[FileLock | None]:
    """Owns the data folder, as the app and `teach` do, while this machine teaches; not for a cluster.

    Raises `PerfusionError` where another owns it.
    """
    locked_by_run = not options.check and out.absolute() == settings.home
    if options.ray or locked_by_run:
        return nullcontext()
    return owner_lock(settings.home, BUSY)


def _teach(settings: Settings, options: argparse.Namespace, items: Sequence[Item], out: Path) -> Finding:
    return run_tasks(
        settings,
        options,
        "Teaching",
        out,
        lambda force: TeachSetup(base_setup(settings, options, force)),
        lambda facts: planned_of(items, facts),
        together=options.together,
    )


def _require_together(together: int) -> None:
    if not 1 <= together <= MOST_TOGETHER:
        raise PerfusionError(
            f"--together is {together}; choose how many concepts share a batch, from 1 to {MOST_TOGETHER}."
        )


def _check(settings: Settings, options: argparse.Namespace, items: Sequence[Item]) -> int:
    """Print how long it will take and how much disk it needs, from a few steps of the first concept."""
    size = sum(item.line.bytes for item in items)
    photos = sum(len(item.line.digests) for item in items)
    say(f"{len(items)} teachings from {photos} photos ({size / 1e6:.1f} MB): every line can be used.")
    with workforce(settings, options) as force, stop_on_interrupt(STOPPING) as stop:
        setup = TeachSetup(base_setup(settings, options, force))
        started = start(force.pool, setup, quiet, stop.is_set)
        if started is None:
            return INTERRUPTED
        facts, _ = started
        planned_of(items, facts)  # settings that do not go together are refused here
        note(f"Trying a few steps of {items[0].label} …")
        parts = measured(force.pool, items[0], stop.is_set)
        if parts is None:
            return INTERRUPTED
        found = estimate(items, facts, parts, force.workers, options.together)
    say(
        f"Measured on {facts.name} ({facts.device}): {parts['step']:.2f} s a step, "
        f"{parts['checkpoint']:.2f} s a checkpoint, {parts['fixed']:.1f} s a concept beside them."
    )
    say(f"{clock(found.work)} of work; about {clock(found.seconds)} with {force.workers} workers.")
    if options.together > 1:
        say("That is one concept after another: what a shared batch saves was not measured.")
    say(f"Disk: {found.bytes / 1e6:.1f} MB, {found.peak_bytes / 1e6:.1f} MB at most on the way.")
    return 0


def _spoken(row: Row) -> str:
    numbers = row.numbers
    scores = [f"{words} {numbers[name]:.3f}" for name, words in _SPOKEN if name in numbers]
    settings = [f"{name} {value}" for name, value in row.combination.settings.items()]
    how = ", ".join([*([row.combination.base] if row.combination.base else []), *settings]) or "as it is"
    return f"{how}: {', '.join(scores) or 'not scored'} ({numbers['concepts']:.0f} concepts)"


_SPOKEN = (("both", "both"), ("image", "photos"), ("text", "prompt"), ("front_hypervolume", "front"))
