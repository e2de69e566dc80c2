"""Tests that need a CUDA card, marked `gpu`: when they are skipped, and what is said then."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "no CUDA card"
COMMAND = "python -m pytest -m gpu"


def reason_to_skip(claim: str, gb: float = 0.0) -> str:
    """Why `claim`, made for cards of `gb` GB or more, cannot be shown on this machine; "" where it can."""
    import torch  # not at the top: tests/conftest.py imports this before it sets how many threads torch has

    if not torch.cuda.is_available():
        return f"{MISSING}: {claim}"
    there = torch.cuda.get_device_properties(0).total_memory / 10**9
    return f"this card has {there:.1f} of {gb:g} GB: {claim}" if there < gb else ""


def summary(reasons: Sequence[str]) -> str:
    """A line for the end of a run, from the reasons for which tests were skipped; empty when none was
    skipped for want of a card.
    """
    count = sum(f"{MISSING}: " in reason for reason in reasons)
    if not count:
        return ""
    tests = "1 card test" if count == 1 else f"{count} card tests"
    return f"{tests} did not run: there is {MISSING} here. On a machine with one: {COMMAND}"
