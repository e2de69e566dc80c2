"""A smaller graphics card than the one that is there, by a limit on what torch may allocate of it."""

from __future__ import annotations

import argparse

import torch

GB = 10**9  # as cards are sold; what the driver keeps for itself is not in it
GIB = 2**30


def card_option(parser: argparse.ArgumentParser) -> None:
    """--card-gb."""
    parser.add_argument(
        "--card-gb", type=float, metavar="N", help="teach as on a card of N GB (on CUDA), the preset included"
    )


def limit_card(gb: float | None) -> None:
    """Let this process allocate `gb` GB of the card, None: all. Exits with a message without such a card."""
    if gb is None:
        return
    if not torch.cuda.is_available():
        raise SystemExit("--card-gb limits a CUDA card, and there is none here. Leave it out.")
    there = torch.cuda.get_device_properties(0).total_memory
    if not 0 < gb * GB <= there:
        raise SystemExit(
            f"--card-gb {gb:g}: this card has {there / GB:.1f} GB. Give a number above 0 that is not larger."
        )
    torch.cuda.set_per_process_memory_fraction(gb * GB / there)


def lift_limit() -> None:
    """Let this process allocate all of the card again."""
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(1.0)


def left_on_card(gb: float | None) -> float | None:
    """GiB left of `gb` GB beside what is allocated, as presets count the memory beside the weights."""
    return None if gb is None else gb * GB / GIB - torch.cuda.memory_allocated() / GIB
