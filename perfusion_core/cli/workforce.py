"""The workers that the options of a verb ask for, and what they are made from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.loaded_base import BaseSetup
from perfusion_core.fanout.local_pool import LocalPool
from perfusion_core.fanout.machine_devices import local_plan, workers_of
from perfusion_core.fanout.tasks import Json, Pool

if TYPE_CHECKING:
    import argparse

    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.studio.settings import Settings


@dataclass(frozen=True)
class Workforce:
    """Workers that can be had: the pool to start them in, how many, and their CPU threads."""

    pool: Pool
    workers: int
    threads: int | None


def base_setup(
    settings: Settings,
    options: argparse.Namespace,
    force: Workforce,
    loras: tuple[tuple[ChosenLora, str], ...] = (),
) -> BaseSetup:
    """How they load the base, with LoRAs and the hash of each one's file."""
    return BaseSetup(
        settings.base,
        settings.models_folder.absolute(),
        device=settings.device,
        dtype=settings.dtype,
        share=options.share,
        threads=force.threads,
        cache=None if options.ray else settings.cache_folder,
        loras=loras,
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


def quiet(_event: Json) -> None:
    """Listens to a driver and tells nobody."""
