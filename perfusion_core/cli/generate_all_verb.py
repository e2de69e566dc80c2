"""`generate-all`: the images of a list of prompts, on all devices there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfusion_core.cli.bars import note, say
from perfusion_core.cli.fanout_run import INTERRUPTED, STOPPING, require_sound, run_tasks, verdict
from perfusion_core.cli.fanout_table import clock
from perfusion_core.cli.lora_option import chosen_loras
from perfusion_core.cli.shelf import open_library
from perfusion_core.cli.teach_verb import stop_on_interrupt
from perfusion_core.cli.workforce import base_setup, quiet, workforce
from perfusion_core.concept import concept_bytes, load_concept
from perfusion_core.errors import PerfusionError
from perfusion_core.fanout.generate_work import GenerateSetup, planned_images
from perfusion_core.fanout.prompt_list import PromptLine, read_prompts
from perfusion_core.fanout.teach_all import start, tried
from perfusion_core.files import is_folder
from perfusion_core.model.lora_files import content_hash
from perfusion_core.sampling.request import concepts_in
from perfusion_core.studio.creating.create import concepts_for

if TYPE_CHECKING:
    import argparse

    from perfusion_core.concept import Concept
    from perfusion_core.model.lora_files import ChosenLora
    from perfusion_core.studio.settings import Settings


def generate_all(settings: Settings, options: argparse.Namespace) -> int:
    """Make a list's images. Returns the exit code."""
    path = Path(options.prompts)
    asked = read_prompts(path)
    require_sound(path, len(asked.lines), asked.problems)
    concepts = _concepts(settings, options, asked.lines)
    contents = {name: concept_bytes(concept) for name, concept in concepts.items()}
    loras = tuple((one, content_hash(one.file)) for one in chosen_loras(settings, options))
    out = Path(options.out) if options.out else path.parent / f"{path.stem}-images"
    if options.check:
        return _check(settings, options, asked.lines, contents, loras)
    found = run_tasks(
        settings,
        options,
        "Generating",
        out,
        lambda force: GenerateSetup(base_setup(settings, options, force, loras), contents),
        lambda facts: planned_images(asked.lines, concepts, facts, loras),
    )
    say(f"Images with their recipes are in {out / 'images'}.")
    return verdict(found, [line.label for line in asked.lines])


def _concepts(
    settings: Settings, options: argparse.Namespace, lines: Sequence[PromptLine]
) -> Mapping[str, Concept]:
    """The concepts that the prompts name, by name. Raises `PerfusionError` for one that is not there."""
    prompts = [text for line in lines for text in (line.request.prompt, line.request.negative_prompt)]
    if not options.concepts:
        return concepts_for(open_library(settings), *prompts)
    folder = Path(options.concepts)
    if not is_folder(folder):
        raise PerfusionError(f"There is no folder {str(folder)[:200]}. Name one with .safetensors concepts.")
    concepts: dict[str, Concept] = {}
    for file in sorted(folder.glob("*.safetensors")):
        concept = load_concept(file)
        if concept.name in concepts:
            raise PerfusionError(f"Two files in {folder} hold a concept <{concept.name}>. Move one away.")
        concepts[concept.name] = concept
    return concepts_in(prompts, concepts)


def _check(
    settings: Settings,
    options: argparse.Namespace,
    lines: Sequence[PromptLine],
    contents: Mapping[str, bytes],
    loras: tuple[tuple[ChosenLora, str], ...],
) -> int:
    """Print how long it will take and how much disk it needs, from the first line's images."""
    count = sum(line.request.count for line in lines)
    say(f"{len(lines)} lines, {count} images, {len(contents)} concepts: every line can be used.")
    with workforce(settings, options) as force, stop_on_interrupt(STOPPING) as stop:
        setup = GenerateSetup(base_setup(settings, options, force, loras), contents)
        if start(force.pool, setup, quiet, stop.is_set) is None:
            return INTERRUPTED
        note("Making the first line's images …")
        first = tried(force.pool, lines[0].label, lines[0].request, stop.is_set)
        if first is None:
            return INTERRUPTED
        result, _ = first
    each = result.facts["seconds"] / lines[0].request.count
    size = sum(map(len, result.files.values())) / lines[0].request.count
    busy = max(1, min(force.workers, len(lines)))
    say(
        f"{each:.2f} s an image as the first line has them: about {clock(count * each / busy)} with {busy} "
        "workers."
    )
    say(f"Disk: {count * size / 1e6:.1f} MB.")
    return 0
