"""The verbs for many concepts and many images. Nothing heavy is imported here."""

from __future__ import annotations

import argparse

from perfusion_core.cli.lora_option import add_lora_option


def add_fanout_verbs(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    """`teach-all`, `sweep` and `generate-all`."""
    teach = verbs.add_parser(
        "teach-all", parents=[machine], help="teach every concept of a manifest, on all devices there are"
    )
    teach.add_argument("manifest", help="CSV or JSON lines: name, superclass, photos, settings of the recipe")
    _add_together(teach)
    _add_workers(teach)
    sweep = verbs.add_parser(
        "sweep", parents=[machine], help="teach concepts with every combination of some settings, as a table"
    )
    sweep.add_argument("sweep", help="a TOML or JSON file: a manifest, and settings with their values")
    _add_together(sweep)
    _add_workers(sweep)
    images = verbs.add_parser(
        "generate-all",
        parents=[machine],
        help="make the images of a list of prompts, on all devices there are",
    )
    images.add_argument("prompts", help="CSV or JSON lines: prompt, seed, biases")
    images.add_argument(
        "--concepts", metavar="FOLDER", help="take concepts from these .safetensors files, not the library"
    )
    add_lora_option(images, "; every worker reads the file from the same path")
    _add_workers(images)


def _add_together(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--together",
        type=int,
        default=1,
        metavar="N",
        help="teach up to so many concepts in one batch on each worker (default: 1); it takes more memory, "
        "and pays where one concept leaves the device idle",
    )


def _add_workers(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--workers",
        default="auto",
        metavar="auto|N",
        help="one worker a device, on a CPU one a core as far as memory goes (auto), or this many",
    )
    verb.add_argument(
        "--ray",
        metavar="auto|local|ADDRESS",
        help="on the Ray cluster that this machine belongs to (auto), on one for this run alone (local), or "
        "on that of an address like ray://head:10001; needs pip install 'perfusion-studio[ray]'",
    )
    verb.add_argument(
        "--share",
        type=float,
        default=1.0,
        metavar="0..1",
        help="of a graphics card for each worker (default: 1)",
    )
    verb.add_argument("--threads", type=int, help="CPU threads for each worker (default: the cores, divided)")
    verb.add_argument("--check", action="store_true", help="check everything, say how long and how much disk")
    verb.add_argument("--out", metavar="FOLDER", help="where results go (default: beside the list)")
