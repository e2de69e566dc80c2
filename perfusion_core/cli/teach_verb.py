"""`teach`: from photos to a concept in the library, with a bar, and a way to stop and go on."""

from __future__ import annotations

import ast
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from perfusion_core.cli.bars import note, say
from perfusion_core.cli.shelf import open_library
from perfusion_core.container import shown
from perfusion_core.errors import PerfusionError
from perfusion_core.files import is_folder
from perfusion_core.studio.bases import Bases, LoadedBase
from perfusion_core.studio.jobs.worker import owner_lock
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, find_unfinished
from perfusion_core.studio.teaching.run import teach as run_teaching
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.studio.word_check import unknown_kind, usable_words

if TYPE_CHECKING:
    import argparse

    from perfusion_core.studio.settings import Settings
    from perfusion_core.studio.teaching.run import Taught
    from perfusion_core.training.events import TrainEvent

INTERRUPTED = 130
BUSY = (
    "Perfusion Studio is already at work in {home}: the app is open, or another teaching runs. Wait for it "
    "to end, or close it. To teach beside it, set PERFUSION_HOME to another folder."
)


def teach(settings: Settings, options: argparse.Namespace) -> int:
    """Teach, or continue; 130 when it was stopped on the way. Owns the data folder meanwhile."""
    library = open_library(settings)
    request = None if options.resume is not None else _request(settings, options)
    with owner_lock(settings.home, BUSY):
        if request is None:
            folder = find_unfinished(library, options.resume or "")
            loaded = Bases(settings).get(RunFolder(folder).teaching().base)
        else:
            folder = begin_teaching(library, request)
            try:
                loaded = Bases(settings).get(request.base)
            except BaseException:  # a refused base, Ctrl-C: there is nothing yet to be resumed
                library.discard(folder)
                raise
        return _teach(library, loaded, folder)


def _teach(library: Library, loaded: LoadedBase, folder: Path) -> int:
    teaching = RunFolder(folder).teaching()
    bar = TeachingBar()
    try:
        with bar, stop_on_interrupt() as stop:
            taught = run_teaching(
                library, loaded, folder, listen=bar.listen, should_stop=stop.is_set, say=bar.say
            )
    except KeyboardInterrupt:
        note(_way_on(teaching.name))
        return INTERRUPTED
    except PerfusionError as error:
        raise type(error)(f"{error} {_way_on(teaching.name)}") from error
    for warning in taught.warnings:
        note(f"note: {warning}")
    if taught.entry is None:
        note(f"Stopped; the checkpoint is kept. {_way_on(teaching.name)}")
        return INTERRUPTED
    _summarise(taught)
    return 0


class TeachingBar:
    """One bar over the steps, with loss, scores and the time left."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._score = ""

    def __enter__(self) -> TeachingBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, text: str) -> None:
        note(f"{text} …")

    def listen(self, event: TrainEvent, _previews: Sequence[Path]) -> None:
        if self._bar is None:
            form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
            self._bar = tqdm(
                total=event.total,
                initial=event.step,
                desc="Teaching",
                file=sys.stderr,
                dynamic_ncols=True,
                bar_format=form,
            )
        if event.scores is not None:
            self._score = f", photos {event.scores.image:.3f}, prompt {event.scores.text:.3f}"
        loss = "–" if event.loss is None else f"{event.loss:.4f}"
        left = "" if event.eta is None else f", {_clock(event.eta)} left"
        self._bar.set_postfix_str(f"loss {loss}{self._score}{left}", refresh=False)
        self._bar.update(event.step - self._bar.n)
        self._bar.refresh()


@contextmanager
def stop_on_interrupt(
    words: str = "Stopping after this step (Ctrl-C again stops at once) …",
) -> Generator[threading.Event]:
    """The first Ctrl-C asks to stop, which `words` tell of, the second one stops at once."""
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        note(words)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _request(settings: Settings, options: argparse.Namespace) -> TeachRequest:
    from perfusion_core.training.recipe import check_settings

    missing = [f"--{name}" for name in ("photos", "name", "superclass") if not getattr(options, name)]
    if missing:
        raise PerfusionError(
            f"Teaching needs {' and '.join(missing)}. For example: python app.py teach "
            "--photos assets/examples/black-cat --name shadow --superclass cat"
        )
    settings_given: dict[str, Any] = dict(_setting(text) for text in options.set)
    for name in ("steps", "seed", "removal", "flip"):
        if getattr(options, name) is not None:
            settings_given[name] = getattr(options, name)
    if options.trained_keys:
        settings_given["keys"] = "trained"
    check_settings(settings_given)  # before a folder is made for the photos
    _doubt(settings, options.superclass)
    by_hand = options.mask not in ("auto", "none")
    return TeachRequest(
        photos=options.photos,
        name=options.name,
        superclass=options.superclass,
        base=settings.base,
        mask="auto" if by_hand else options.mask,
        masks=_masks(Path(options.mask)) if by_hand else None,
        settings=settings_given,
        overwrite=options.overwrite,
    )


def _doubt(settings: Settings, superclass: str) -> None:
    """Tell, before the minutes it takes, when the base does not know the word for the kind of thing."""
    known = usable_words(settings)
    unknown = unknown_kind(superclass, known) if known is not None else None
    if unknown is not None:
        better = unknown.meant or "one of those that `python app.py words` lists"
        note(f"note: {settings.base} does not know the word {shown(superclass)}. Try {better}.")


def _masks(folder: Path) -> dict[str, Path]:
    """Masks by the name of their photo, without its ending."""
    if not is_folder(folder):
        raise PerfusionError(
            f"--mask takes auto, none or a folder of masks; there is no folder {str(folder)[:200]}."
        )
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".png"}
    if not found:
        raise PerfusionError(
            f"There are no PNG masks in {folder}. Name each like its photo, e.g. 1.png for 1.jpg."
        )
    return found


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise PerfusionError(
            f"--set takes SETTING=VALUE, for example value_rate=0.01, and not {shown(text)}."
        )
    try:
        return name.strip(), ast.literal_eval(value.strip().replace("true", "True").replace("false", "False"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # no literal: then it is a text
        return name.strip(), value.strip()


def _summarise(taught: Taught) -> None:
    entry = taught.entry
    assert entry is not None
    metadata = entry.metadata
    say(f"{entry.placeholder} is in the library ({entry.size / 1000:.0f} kB, {entry.file}).")
    scores = metadata.scores
    if "image" in scores:
        say(
            f"Kept step {scores.get('step', 0):.0f}: photos {scores['image']:.3f}, prompt "
            f"{scores['text']:.3f} "
            f"(scored by {metadata.recipe.get('scorer', 'CLIP')})."
        )
    print(f"Recommended bias: {', '.join(f'{lock} {bias:.2f}' for lock, bias in metadata.bias.items())}.")
    say(f'Now: python app.py generate "a photo of {entry.placeholder} on the beach" -n 4')


def _way_on(name: str) -> str:
    return f"Go on with: python app.py teach --resume {name}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
