"""How files from strangers are taken: photos, images with recipes and concept files, mutated at random.

Each file is either accepted, and then it is sound (it can be used as if it had been made here), or refused
with a message that can be shown. Anything else is a bug and is counted as uncaught.

    python -m benchmarks.hostile --mutations 20000 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hostile_files import (
    mutated_bytes,
    mutated_concept,
    mutated_recipe,
    sound_concepts,
    sound_photos,
    sound_recipes,
    with_right_checksums,
)
from perfusion_core.errors import PerfusionError
from perfusion_core.printable import printable

LONGEST_MESSAGE = 700
Take = Callable[[bytes], None]


@dataclass
class Counts:
    """What became of the files of one kind."""

    sound: int = 0
    mutations: int = 0
    accepted: int = 0
    refused: int = 0
    uncaught: Counter[str] = field(default_factory=Counter)


def take_photo(content: bytes) -> None:
    """As the photos of a teaching are taken in."""
    from perfusion_core.training.photos import load_photos

    (photo,) = load_photos([("stranger.jpg", content)])
    assert photo.image.mode == "RGB"
    assert photo.image.size[0] == photo.image.size[1]


def take_recipe(folder: Path) -> Take:
    """As Image info and `generate --from` read an image: what was read can be asked for, and shown."""
    from perfusion_core.sampling.png import ImageRecipe, read_any_recipe
    from perfusion_core.sampling.repeat import request_from

    def take(content: bytes) -> None:
        path = folder / "stranger.png"
        path.write_bytes(content)
        found = read_any_recipe(path)
        found.model_dump_json()
        if isinstance(found, ImageRecipe):
            request_from(found).checked()

    return take


def take_concept(content: bytes) -> None:
    """As a concept file is imported: what was read survives another round, with its image and settings."""
    from perfusion_core.concept import concept_bytes, concept_from_bytes
    from perfusion_core.recipe_rules import settings_problem
    from perfusion_core.studio.library.thumbnails import card_bytes, from_embedded

    concept = concept_from_bytes(content, "stranger.safetensors")
    again = concept_from_bytes(concept_bytes(concept))
    assert again.content_hash == concept.content_hash
    assert not settings_problem(concept.metadata.recipe)
    image = from_embedded(concept.metadata.thumbnail)
    if image is not None:
        card_bytes(image)


def sweep(seed: int, mutations: int, folder: Path) -> dict[str, Counts]:
    """`mutations` files of each kind, and the sound ones they were made of, which must be accepted."""
    photos, recipes, concepts = sound_photos(), sound_recipes(), sound_concepts()

    def hostile_photo(rng: random.Random) -> bytes:
        content = mutated_bytes(rng, rng.choice(list(photos.values())))
        return with_right_checksums(content) if rng.random() < 0.7 else content

    def hostile_recipe(rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return mutated_recipe(rng)
        return with_right_checksums(mutated_bytes(rng, rng.choice(list(recipes.values()))))

    def hostile_concept(rng: random.Random) -> bytes:
        content = rng.choice(list(concepts.values()))
        return mutated_concept(rng, content) if rng.random() < 0.5 else mutated_bytes(rng, content)

    kinds: dict[str, tuple[dict[str, bytes], Callable[[random.Random], bytes], Take]] = {
        "photos": (photos, hostile_photo, take_photo),
        "recipes": (recipes, hostile_recipe, take_recipe(folder)),
        "concepts": (concepts, hostile_concept, take_concept),
    }
    found: dict[str, Counts] = {}
    for kind, (sound, hostile, take) in kinds.items():
        rng, counts = random.Random(f"{seed} {kind}"), Counts(len(sound), mutations)
        for content in sound.values():
            take(content)
        for content in _many(hostile, rng, mutations):
            _count(take, content, counts)
        found[kind] = counts
    return found


def _many(make: Callable[[random.Random], bytes], rng: random.Random, number: int) -> Iterator[bytes]:
    return (make(rng) for _ in range(number))


def _count(take: Take, content: bytes, counts: Counts) -> None:
    try:
        take(content)
        counts.accepted += 1
    except PerfusionError as refusal:
        said = str(refusal)
        if printable(said) == said and len(said) <= LONGEST_MESSAGE:
            counts.refused += 1
        else:
            counts.uncaught[f"a message that cannot be shown: {ascii(said)[:200]}"] += 1
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        counts.uncaught[f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"] += 1


@contextlib.contextmanager
def without_decoders_chatter() -> Generator[None]:
    """C libraries that decode images write their complaints past Python, into the error stream itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main() -> int:
    """Print the counts; 1 when anything was uncaught."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutations", type=int, default=5000, help="of each kind (default: 5000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, without_decoders_chatter():
        found = sweep(options.seed, options.mutations, Path(folder))
    print(f"{'':10}{'sound':>8}{'mutated':>10}{'refused':>10}{'accepted':>10}{'uncaught':>10}")
    for kind, counts in found.items():
        numbers = (counts.sound, counts.mutations, counts.refused, counts.accepted, counts.uncaught.total())
        print(f"{kind:10}{numbers[0]:>8}" + "".join(f"{number:>10}" for number in numbers[1:]))
        for problem, times in counts.uncaught.most_common():
            print(f"    {times} × {problem}")
    return 1 if any(counts.uncaught for counts in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
