"""`generate`, `front`, `grid` and `evaluate`: images and numbers from what is in the library."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfusion_core.cli.bars import note, say, step_bar
from perfusion_core.cli.lora_option import chosen_loras, known_files
from perfusion_core.cli.shelf import open_library
from perfusion_core.container import shown
from perfusion_core.errors import LoraError, PerfusionError
from perfusion_core.model.lora_files import content_hash
from perfusion_core.sampling.operating_points import front_biases
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.bases import Bases, LoadedBase
from perfusion_core.studio.creating.create import concepts_for, make_grid, make_images, repeat_image
from perfusion_core.studio.fronts.front import make_front
from perfusion_core.studio.known_bases import known_base
from perfusion_core.studio.known_loras import known_loras
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.word_check import unknown_words, usable_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from perfusion_core.evaluation import FrontPoint
    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.sampling.png import UsedLora
    from perfusion_core.studio.fronts.scores import Reference
    from perfusion_core.studio.settings import Settings


def generate(settings: Settings, options: argparse.Namespace) -> int:
    """Print the path of every image made."""
    library = open_library(settings)
    if options.source is not None:
        return _repeat(settings, options, library)
    request = _request(options, count=options.count)
    concepts_for(
        library, request.prompt, request.negative_prompt
    )  # names that do not exist are refused before a base is loaded
    _doubt(settings, request.prompt)
    loaded = _load(settings, options)
    with step_bar("Drawing") as on_step:
        saved = make_images(library, loaded, request, Path(options.out), on_step=on_step)
    return _print_all(saved.paths, saved.warnings)


def front(settings: Settings, options: argparse.Namespace) -> int:
    """Print the points and where the strip is."""
    library = open_library(settings)
    request = _request(options, count=options.seeds)
    named = list(concepts_for(library, request.prompt))
    name = (options.concept or (named[0] if named else "")).strip("<> ")
    if not name:
        raise PerfusionError("A front varies a concept, and the prompt names none. Write one as <name>.")
    biases = front_biases(options.points, request.lock, _range(options.range))
    loaded = _load(settings, options)
    with step_bar("Drawing the front") as on_step:
        made = make_front(library, loaded, request, name, biases, Path(options.out), on_step=on_step)
    for k, bias in enumerate(made.biases):
        point = made.points[k] if made.points else None
        print(f"bias {bias:.2f}{_scores(point)}{'  <- knee' if point and point == made.knee else ''}")
    for reference in made.references:
        words = "superclass prompt" if reference.kind == "superclass" else "photos themselves"
        print(f"{words}{_scores(reference)}")
    if made.knee is not None:
        print(f"Hypervolume {made.hypervolume:.4f} above photos 0, prompt 0; scored by {made.scorer}.")
        if options.keep:
            library.set_bias(name, request.lock, made.knee.bias)
            print(f"<{name}> now opens with bias {made.knee.bias:.2f} ({request.lock} lock).")
    return _print_all([made.strip, made.folder / "front.json"], made.warnings)


def grid(settings: Settings, options: argparse.Namespace) -> int:
    """Print where the table is."""
    library = open_library(settings)
    request = _request(options)
    named = list(concepts_for(library, request.prompt))
    if len(named) != 2:
        raise PerfusionError(
            f"A grid varies two concepts, and the prompt names {len(named)}. Write two as <name>."
        )
    biases = front_biases(options.points, request.lock, _range(options.range))
    loaded = _load(settings, options)
    with step_bar("Drawing the grid") as on_step:
        made = make_grid(
            library,
            loaded,
            request,
            (named[0], named[1]),
            (biases, biases),
            Path(options.out),
            on_step=on_step,
        )
    return _print_all([made.table], made.warnings)


def evaluate(settings: Settings, options: argparse.Namespace) -> int:
    """Print the front over all prompts, and write everything with --json."""
    from perfusion_core.studio.fronts.evaluate import evaluate_concept, save_report

    library = open_library(settings)
    library.get(options.name)
    loaded = Bases(settings).get()
    with step_bar("Measuring") as on_step:
        found = evaluate_concept(
            library,
            loaded,
            options.name,
            lock=options.lock,
            points=options.points,
            prompts=options.prompt,
            seeds=options.seeds,
            steps=options.steps,
            photos=options.photos,
            on_step=on_step,
        )
    print(
        f"<{found.name}>, {found.lock} lock, {len(found.prompts)} prompts x {found.seeds}, scored by "
        f"{found.scorer}"
    )
    for k, point in enumerate(found.points):
        subject = f"  subject {found.subject[k]:.3f}" if found.subject is not None else ""
        print(f"bias {point.bias:.2f}{_scores(point)}{subject}{'  <- knee' if point == found.knee else ''}")
    print(f"untaught word{_scores(found.untaught)}")
    image, text = found.steadiness
    subject = "" if found.subject_steadiness is None else f", subject {found.subject_steadiness:.2f}"
    print(f"Hypervolume {found.hypervolume:.4f} above photos 0, prompt 0.")
    print(f"Steadiness of the slider (1 at best): photos {image:.2f}{subject}, prompt {text:.2f}.")
    print(f"Drift of other prompts: {found.drift:.4f}.")
    if options.json:
        save_report(found, Path(options.json))
    return 0


def _repeat(settings: Settings, options: argparse.Namespace, library: Library) -> int:
    if options.prompt is not None:
        raise PerfusionError("--from makes the image's own prompt again; leave the prompt out.")
    source = Path(options.source)
    recipe = read_recipe(source)  # before a model is loaded
    loras = _loras_of(settings, options, recipe.loras)
    given = getattr(options, "base", None)
    loaded = Bases(settings).get(given or known_base(settings, recipe.base, source.name), loras)
    with step_bar("Drawing again") as on_step:
        saved = repeat_image(
            library, loaded, source, Path(options.out), anyway=options.anyway, on_step=on_step
        )
    return _print_all(saved.paths, saved.warnings)


def _loras_of(settings: Settings, options: argparse.Namespace, used: Sequence[UsedLora]) -> list[ChosenLora]:
    """The LoRAs of an image that are here. Raises `LoraError` for one that is not, unless `--anyway`, and for
    one that is given and is not the image's.
    """
    given = known_files(settings, options)
    loras, missing = known_loras(settings, used, given)
    if missing and not options.anyway:
        raise LoraError(
            f"{options.source} cannot be repeated: {'; '.join(missing)}. Put it into "
            f"{settings.loras_folder}, give it with --lora, or draw without it with --anyway."
        )
    hashes = {lora.content_hash for lora in used}
    for file in given:
        if content_hash(file) not in hashes:
            raise LoraError(f"{options.source} was made without {file.name}. Leave that LoRA out.")
    return loras


def _doubt(settings: Settings, prompt: str) -> None:
    """Tell which words of a prompt the base does not know; nothing is refused for it."""
    known = usable_words(settings)
    unknown = unknown_words(prompt, known) if known is not None else []
    words = [f"“{one.word}”" + (f" (“{one.meant}”?)" if one.meant else "") for one in unknown]
    if words:
        note(f"note: {settings.base} does not know {', '.join(words)}; see python app.py words.")


def _load(settings: Settings, options: argparse.Namespace) -> LoadedBase:
    return Bases(settings).get(loras=chosen_loras(settings, options))


def _request(options: argparse.Namespace, count: int = 1) -> GenerationRequest:
    if not options.prompt:
        raise PerfusionError('Say what to show, for example: generate "a photo of <biscuit> on the beach".')
    seed = options.seed
    if seed is None:
        seed = secrets.randbelow(2**31)
        note(f"seed {seed}")
    width, height = _size(options.size)
    return GenerationRequest(
        prompt=options.prompt,
        negative_prompt=options.negative,
        seed=seed,
        count=count,
        steps=options.steps,
        guidance=options.guidance,
        width=width,
        height=height,
        scheduler=options.scheduler,
        lock=options.lock,
        removal=options.removal,
        temperature=options.temperature,
        biases=dict(_bias(text) for text in options.bias),
    ).checked()


def _size(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(width + height) <= 20):
        raise PerfusionError(f"--size takes WIDTHxHEIGHT, for example 512x512, and not {shown(text)}.")
    return int(width), int(height)


def _bias(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name.strip("<> "), _number(
        value, f"--bias takes NAME=BIAS, for example biscuit=0.6, and not {shown(text)}."
    )


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    first, _, last = text.partition(":")
    complaint = f"--range takes two biases, for example 0.9:0.5, and not {shown(text)}."
    return _number(first, complaint), _number(last, complaint)


def _number(text: str, complaint: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PerfusionError(complaint) from None


def _scores(point: FrontPoint | Reference | None) -> str:
    return "" if point is None else f"  photos {point.image:.3f}  prompt {point.text:.3f}"


def _print_all(paths: list[Path], warnings: Any) -> int:
    for warning in warnings:
        note(f"note: {warning}")
    for path in paths:
        say(str(path))
    return 0
