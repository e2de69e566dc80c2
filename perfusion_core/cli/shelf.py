"""Opening the library for a verb of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.studio.library.bundled import welcome
from perfusion_core.studio.library.library import Library

if TYPE_CHECKING:
    from perfusion_core.studio.settings import Settings


def open_library(settings: Settings) -> Library:
    """The library of the data folder; a new one begins with the concepts that come with the project."""
    library = Library(settings.home)
    welcome(library)
    return library
