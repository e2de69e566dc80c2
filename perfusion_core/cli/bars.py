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
    """Print a message to the error stream, above the bar; the results go to the output alone."""
    tqdm.write(printable(text), file=sys.stderr)


def say(text: str) -> None:
    """Print a line of results. Control characters in it are shown as escapes."""
    print(printable(text))
