"""`teach-all` and `sweep`: many concepts on many devices, from a list to a folder of results."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.cli.bars import note, say
from perfusion_core.cli.fanout_table import FanoutTable, clock
from perfusion_core.cli.teach_verb import stop_on_interrupt
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.estimate import estimate
from perfusion_core.fanout.loaded_base import BaseSetup
from perfusion_core.fanout.local_pool import LocalPool
from perfusion_core.fanout.machine_devices import local_plan, workers_of
from perfusion_core.fanout.manifest import Manifest, read_manifest
from perfusion_core.fanout.report import write_report
from perfusion_core.fanout.results_folder import ResultsFolder
from perfusion_core.fanout.run_log import RunLog
from perfusion_core.fanout.tasks import Json, Pool
from perfusion_core.fanout.teach_all import Finding, Item, measured, planned_of, run_planned, start
from perfusion_core.fanout.teach_work import TeachSetup
from perfusion_core.studio.jobs.worker import owner_lock

if TYPE_CHECKING:
    import argparse

    from perfusion_core.studio.settings import Settings

SOME_FAILED, INTERRUPTED = 1, 130
STOPPING = "Stopping; checkpoints are kept, and the same command goes on from them …"
BUSY = "Another run is writing into {home}. Wait for it to end, or choose another folder with --out."


@dataclass(frozen=True)
class Workforce:
    """Workers that can be had: the pool to start them in, and how many."""

    pool: Pool
    workers: int
    threads: int | None


def teach_all(settings: Settings, options: argparse.Namespace) -> int:
    """Teach a manifest's concepts. 0 when all are done, 1 when some failed, 130 when stopped."""
    path = Path(options.manifest)
    manifest = checked(read_manifest(path))
    items = [Item(line.name, line) for line in manifest.lines]
    out = Path(options.out) if options.out else path.parent / f"{path.stem}-taught"
    if options.check:
        return check(settings, options, items)
    found = teach_items(settings, options, items, out, f"Taught from {path.name}")
    say(f"Concepts are in {out / 'concepts'}; look at {out / 'report.html'}, the weakest come first.")
    return verdict(found, [item.label for item in items])


def checked(manifest: Manifest) -> Manifest:
    """The manifest, or `PerfusionError` after every bad line was named."""
    for problem in manifest.problems:
        note(f"{manifest.path.name}, {problem}")
    if manifest.problems:
        count = len(manifest.lines) + len(manifest.problems)
        raise PerfusionError(
            f"{len(manifest.problems)} of {count} lines of {manifest.path} cannot be used, so nothing was "
            "started. Correct or delete them."
        )
    return manifest


def verdict(found: Finding, labels: Sequence[str]) -> int:
    """Tell what is missing, and the exit code."""
    if found.stopped:
        left = sum(label not in found.facts for label in labels)
        note(f"Stopped with {left} of {len(labels)} left. The same command goes on.")
        return INTERRUPTED
    for label, reason in found.failed.items():
        note(f"failed: {label}: {reason}")
    return 0 if found.complete(labels) else SOME_FAILED


def check(settings: Settings, options: argparse.Namespace, items: Sequence[Item]) -> int:
    """Print how long it will take and how much disk it needs, from a few steps of the first concept."""
    size = sum(item.line.bytes for item in items)
    say(
        f"{len(items)} concepts with {sum(len(item.line.photos) for item in items)} photo sources, "
        f"{size / 1e6:.1f} MB: every line can be used."
    )
    with workforce(settings, options) as force, stop_on_interrupt(STOPPING) as stop:
        started = start(force.pool, setup_of(settings, options, force), _quiet, stop.is_set)
        if started is None:
            return INTERRUPTED
        facts, _ = started
        planned_of(items, facts)  # settings that do not go together are refused here
        note(f"Trying a few steps of {items[0].label} …")
        parts = measured(force.pool, items[0], _quiet)
        found = estimate(items, facts, parts, force.workers)
    say(
        f"Measured on {facts.name} ({facts.device}): {parts['step']:.2f} s a step, "
        f"{parts['checkpoint']:.2f} s a checkpoint, {parts['fixed']:.1f} s a concept beside them."
    )
    say(f"{clock(found.work)} of work; about {clock(found.seconds)} with {force.workers} workers.")
    say(f"Disk: {found.bytes / 1e6:.1f} MB, {found.peak_bytes / 1e6:.1f} MB at most on the way.")
    return 0


def teach_items(
    settings: Settings, options: argparse.Namespace, items: Sequence[Item], out: Path, title: str
) -> Finding:
    """Teach what is not done yet and write the report. Raises `PerfusionError` when that cannot go on."""
    results = ResultsFolder(out)
    results.prepare()
    with owner_lock(out, BUSY), stop_on_interrupt(STOPPING) as stop, FanoutTable("Teaching") as table:
        log = RunLog(results)

        def listen(event: Json) -> None:
            log.write(event)
            table.listen(event)

        with workforce(settings, options) as force:
            note("Loading the base model …")
            started = start(force.pool, setup_of(settings, options, force), listen, stop.is_set)
            if started is None:
                return Finding({}, {}, stopped=True)
            facts, setup = started
            planned = planned_of(items, facts)
            found = run_planned(force.pool, setup, planned, results, force.workers, listen, stop.is_set)
        log.write(
            {"event": "ended", "done": len(found.facts), "failed": len(found.failed), "time": time.time()}
        )
    write_report(out, title, found.facts, found.failed)
    return found


def setup_of(settings: Settings, options: argparse.Namespace, force: Workforce) -> TeachSetup:
    """How the workers of a run are made."""
    return TeachSetup(base_setup(settings, options, force))


def base_setup(settings: Settings, options: argparse.Namespace, force: Workforce) -> BaseSetup:
    """How they load the base."""
    return BaseSetup(
        settings.base,
        settings.models_folder.absolute(),
        device=settings.device,
        dtype=settings.dtype,
        share=options.share,
        threads=force.threads,
        cache=None if options.ray else settings.cache_folder,
    )


@contextmanager
def workforce(settings: Settings, options: argparse.Namespace) -> Generator[Workforce]:
    """The workers that the options ask for; all are ended in the end. Raises `PerfusionError`."""
    wanted = workers_of(options.workers)
    if not 0.0 < options.share <= 1.0:
        raise PerfusionError(f"--share is {options.share:g}; choose a number above 0 and up to 1.")
    if options.threads is not None and options.threads < 1:
        raise PerfusionError(f"--threads is {options.threads}; choose 1 or more.")
    if options.ray:
        from perfusion_core.fanout.ray_pool import RayPool

        pool: Any = RayPool(
            options.ray, share=options.share, threads=options.threads, cpu_only=settings.device == "cpu"
        )
        force = Workforce(pool, wanted or pool.most_workers(), pool.threads)
    else:
        plan = local_plan(
            wanted,
            settings.device,
            share=options.share,
            weights_gib=_weights_gib(settings),
            threads=options.threads,
        )
        pool = LocalPool(devices=plan.devices, threads=plan.threads)
        force = Workforce(pool, plan.workers, plan.threads)
    try:
        yield force
    finally:
        pool.close()


def _weights_gib(settings: Settings) -> float:
    """The size of the base's files on this machine; 0 where they are not known, as of a hub's id."""
    from perfusion_core.model.listing import on_disk

    path = on_disk(settings.base, settings.models_folder)
    if path is None:
        return 0.0
    files = path.rglob("*.safetensors") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 2**30


def _quiet(_event: Json) -> None:
    return None
