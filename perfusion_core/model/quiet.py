"""Silence the libraries' own messages while a model loads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet_libraries(bars: bool = False) -> Iterator[None]:
    """Errors only from diffusers and transformers, no progress bars unless `bars`; restored afterwards."""
    libraries = (diffusers_logging, transformers_logging)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        if not bars:
            library.disable_progress_bar()
    try:
        yield
    finally:
        for library, (verbosity, shown) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if shown:
                library.enable_progress_bar()
