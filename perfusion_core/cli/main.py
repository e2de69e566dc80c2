"""Run a verb, and turn what goes wrong into one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from perfusion_core.cli.parser import make_parser
from perfusion_core.errors import PerfusionError
from perfusion_core.printable import is_text, printable

if TYPE_CHECKING:
    import argparse

    from perfusion_core.studio.settings import Settings

FAILED, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments and run the verb.

    Returns the exit code: 0, 1 when some of many tasks failed, 2 when something cannot be done, 130 after
    Ctrl-C.
    """
    _print_anything()
    options = make_parser().parse_args(arguments)
    # Libraries log at import which optional packages are missing; the user cannot act on that here.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    # The hub's client would ask the hub for its list of coding agents, also for a model that is in the cache.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        return _run(options)
    except PerfusionError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _print_anything() -> None:
    """A terminal that lacks a character gets its escape instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    if options.verb is None:
        return _open_app(settings, options)
    if options.verb == "teach":
        from perfusion_core.cli.teach_verb import teach

        return teach(settings, options)
    if options.verb in ("library", "recipe", "bases", "words"):
        from perfusion_core.cli import concepts

        light = {
            "library": concepts.library,
            "recipe": concepts.recipe,
            "bases": concepts.bases,
            "words": concepts.words,
        }
        return light[options.verb](settings, options)
    if options.verb in ("teach-all", "sweep", "generate-all"):
        from perfusion_core.cli import fanout_verbs, generate_all_verb

        many = {
            "teach-all": fanout_verbs.teach_all,
            "sweep": fanout_verbs.sweep,
            "generate-all": generate_all_verb.generate_all,
        }
        return many[options.verb](settings, options)
    from perfusion_core.cli import image_verbs

    verbs = {
        "generate": image_verbs.generate,
        "front": image_verbs.front,
        "grid": image_verbs.grid,
        "evaluate": image_verbs.evaluate,
    }
    return verbs[options.verb](settings, options)


def _settings(options: argparse.Namespace) -> Settings:
    from perfusion_core.studio.settings import settings_from

    settings = settings_from()
    given = {name: getattr(options, name, None) for name in ("base", "device", "dtype")}
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    settings = replace(settings, base_given=settings.base_given or given["base"] is not None)
    if not is_text(settings.base):  # it is written into recipes and concepts, which are UTF-8
        raise PerfusionError(
            f"There is no base model at {printable(settings.base)[:200]}: that is not whole text. Rename the "
            "folder or file, or choose another with --base."
        )
    return settings


def _open_app(settings: Settings, options: argparse.Namespace) -> int:
    try:
        from perfusion_core.ui.launch import launch
    except ImportError as error:
        raise PerfusionError(
            f"The app cannot be opened ({error}). Install what it needs with `pip install -r "
            "requirements.txt`; "
            "the verbs work without it (see --help)."
        ) from error
    launch(
        settings,
        options.host,
        options.port,
        options.auth,
        browser=not options.no_browser,
        auth_file=options.auth_file,
    )
    return 0
