"""Progress on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from tqdm import tqdm

from perfusion_core.printable import printable

OnStep = Callable[[int, int], None]


@contextmanager
def step_bar(what: str) -> Generator[OnStep]:
    """A bar over denoising steps; its length is known with the first step."""
    with tqdm(desc=what, unit="step", leave=False, file=sys.stderr, dynamic_ncols=True) as bar:

        def on_step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield on_step


def note(text: str) -> None:
    """A line for the person, beside the bar and not in the results."""
    tqdm.write(printable(text), file=sys.stderr)


def say(text: str) -> None:
    """A line of the results. What came from a file is shown, and never acted on by the terminal."""
    print(printable(text))
