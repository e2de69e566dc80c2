"""`library`, `recipe`, `bases` and `words`: list and manage what exists. Listing needs no torch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.cli.bars import say
from perfusion_core.cli.shelf import open_library
from perfusion_core.errors import LibraryError
from perfusion_core.files import is_folder
from perfusion_core.printable import printable_json
from perfusion_core.sampling.png import ForeignRecipe, read_any_recipe
from perfusion_core.studio.library.library import Library, LibraryEntry

if TYPE_CHECKING:
    import argparse

    from perfusion_core.studio.settings import Settings


def recipe(_settings: Settings, options: argparse.Namespace) -> int:
    """Print how an image was made."""
    found = read_any_recipe(Path(options.image))
    facts = found.model_dump(mode="json", exclude_none=True)
    if options.json:
        print(printable_json(facts))
        return 0
    if isinstance(found, ForeignRecipe):
        say("Made by another tool; this is what it says:")
    for name, value in facts.items():
        if name == "concepts":
            for used in value:
                say(
                    f"concept: <{used['name']}> ({used['superclass']}), bias {used['bias']:g}, temperature "
                    f"{used['temperature']:g}, {used['content_hash'][:12]}"
                )
        elif name == "loras":
            for used in value:
                say(f"LoRA: {used['name']}, weight {used['weight']:g}, {used['content_hash'][:12]}")
        elif value != "":
            say(f"{name.replace('_', ' ')}: {value}")
    return 0


def bases(settings: Settings, _options: argparse.Namespace) -> int:
    """Print the base models on this machine."""
    from perfusion_core.studio.bases import Bases

    for base in Bases(settings).available():
        say(f"{base.id}  {base.title}" if base.supported else f"{base.id}  not usable: {base.reason}")
    return 0


def words(settings: Settings, _options: argparse.Namespace) -> int:
    """Print what the base in use says it knows, a group a line."""
    from perfusion_core.studio.word_check import known_words

    known = known_words(settings)
    if known is None:
        say(f"{settings.base} does not say which words it knows: it brings no words.json.")
        return 0
    for group, names in known.kinds.items():
        say(f"{group}: {', '.join(names)}")
    for field in ("generic", "colours", "wearing", "places", "styles", "joints"):
        if phrases := getattr(known, field):
            say(f"{field}: {', '.join(phrases)}")
    return 0


def library(settings: Settings, options: argparse.Namespace) -> int:
    """Do what the action says and tell what was done."""
    shelf = open_library(settings)
    action = options.action or "list"
    if action == "list":
        return _list(shelf)
    if action == "show":
        return _show(shelf.get(options.name))
    if action == "export":
        precision = "float16" if options.compact else "float32"
        path = shelf.export(
            options.name, Path(options.path), precision=precision, overwrite=options.overwrite
        )
        say(str(path))
    elif action == "import" and is_folder(options.path):
        return _import_folder(shelf, options)
    elif action == "import":
        taken = shelf.import_file(Path(options.path), name=options.name, overwrite=options.overwrite)
        say(f"{taken.placeholder} is in the library (made for {taken.metadata.base}).")
    elif action == "rename":
        say(f"It is {shelf.rename(options.name, options.new_name).placeholder} now.")
    elif action == "duplicate":
        say(f"{shelf.duplicate(options.name, options.new_name).placeholder} is a copy.")
    elif action == "notes":
        shelf.set_notes(options.name, options.text)
    elif action == "bias":
        entry = shelf.set_bias(options.name, options.lock, options.bias)
        say(f"{entry.placeholder} now opens with bias {options.bias:g} ({options.lock} lock).")
    elif action == "delete":
        deleted = shelf.delete(options.name)
        say(f"<{deleted.name}> is in the trash. Undo with: python app.py library restore {deleted.name}")
    elif action == "trash":
        for deleted in shelf.deleted():
            say(f"<{deleted.name}>  deleted {_moment(deleted.deleted_at)}")
    else:
        return _restore(shelf, options.name)
    return 0


def _import_folder(shelf: Library, options: argparse.Namespace) -> int:
    from perfusion_core.studio.library.import_many import concept_files, import_many

    if options.name or options.overwrite:
        raise LibraryError(
            "--name and --overwrite are for a single file. In a folder, a concept whose name is taken gets a "
            "number."
        )
    folder = Path(options.path)
    summary = import_many(shelf, concept_files(folder), folder)
    say(summary.headline())
    for line in summary.lines():
        say(line)
    return 0 if summary.whole else 2


def _list(shelf: Library) -> int:
    for entry in shelf.entries():
        metadata = entry.metadata
        say(
            f"{entry.placeholder}  {metadata.superclass}  {metadata.base}  {entry.size / 1000:.0f} kB  "
            f"{_moment(entry.modified)}"
        )
    for problem in shelf.damaged():
        say(f"not listed: {problem}")
    return 0


def _show(entry: LibraryEntry) -> int:
    facts = entry.metadata.model_dump(mode="json", exclude={"thumbnail"})
    print(printable_json({**facts, "file": str(entry.file), "bytes": entry.size}))
    return 0


def _restore(shelf: Library, name: str | None) -> int:
    wanted = name.strip("<> ").casefold() if name else None
    found = [deleted for deleted in shelf.deleted() if wanted in (None, deleted.name.casefold())]
    if not found:
        raise LibraryError(f"There is no {f'<{name}>' if name else 'concept'} in the trash.")
    say(f"{shelf.restore(found[0].id).placeholder} is back in the library.")
    return 0


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
