"""DreamBench (Ruiz et al., DreamBooth, CVPR 2023): a folder of photos a subject, and its prompts.

    dataset/backpack/00.jpg ...        one folder a subject
    dataset/prompts_and_classes.txt    optional; its lines "name,class" say each subject's kind of thing

A subject whose kind the list does not say has it from its folder's name, without numbers and adjectives:
"dog6" is a dog, "backpack_dog" a backpack, "colorful_sneaker" a sneaker. The prompts ask for what
DreamBench's ask for (25 for objects, 25 for animals), in our own words.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.rivals.prompts import Prompt
from perfusion_core.errors import PerfusionError

LIST = "prompts_and_classes.txt"
ANIMALS = frozenset({"cat", "dog", "animal", "pet"})

# Folder name without its number -> kind, where the last word of the name is not it.
_KINDS = {
    "backpack_dog": "backpack",
    "bear_plushie": "stuffed animal",
    "berry_bowl": "bowl",
    "clock": "clock",
    "duck_toy": "toy",
    "grey_sloth_plushie": "stuffed animal",
    "monster_toy": "toy",
    "poop_emoji": "toy",
    "rc_car": "toy",
    "robot_toy": "toy",
    "wolf_plushie": "stuffed animal",
}

_SHARED = (
    "a {} in the jungle",
    "a {} in the snow",
    "a {} on the beach",
    "a {} on a cobbled street",
    "a {} on top of pink cloth",
    "a {} on top of a wooden floor",
    "a {} before a city skyline",
    "a {} before a blue house",
    "a {} on top of a purple rug in the woods",
)
_OBJECTS = (
    *_SHARED,
    "a {} before a field of wheat",
    "a {} before a tree in autumn leaves",
    "a {} before the Eiffel Tower",
    "a {} drifting on water",
    "a {} drifting in an ocean of milk",
    "a {} on top of green grass with sunflowers around it",
    "a {} on top of a mirror",
    "a {} on top of a pavement in a crowd",
    "a {} on top of a dirt road",
    "a {} on top of a white rug",
    "a red {}",
    "a purple {}",
    "a shiny {}",
    "a wet {}",
    "a {} before mountains",
    "a cube-shaped {}",
)
_ANIMALS = (
    *_SHARED,
    "a {} in a red hat",
    "a {} in a santa hat",
    "a {} in a rainbow scarf",
    "a {} in a black top hat and a monocle",
    "a {} in a chef's outfit",
    "a {} in a firefighter's outfit",
    "a {} in a police outfit",
    "a {} in pink glasses",
    "a {} in a yellow shirt",
    "a {} in a purple wizard's outfit",
    "a red {}",
    "a purple {}",
    "a shiny {}",
    "a wet {}",
    "a {} before mountains",
    "a cube-shaped {}",
)
_RECOLOURED = re.compile(r"^a (red|purple|shiny|wet|cube-shaped) ")


def dreambench_prompts(alive: bool) -> tuple[Prompt, ...]:
    """The 25 prompts for an animal or an object."""
    return tuple(
        Prompt(text, {"colour": "another"} if _RECOLOURED.match(text) else {})
        for text in (_ANIMALS if alive else _OBJECTS)
    )


def is_dreambench(folder: Path) -> bool:
    """Whether `folder` is laid out so: our own examples have an about.json in each folder."""
    subjects = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return (folder / LIST).is_file() or bool(
        subjects and not any((path / "about.json").is_file() for path in subjects)
    )


def read_kinds(folder: Path) -> dict[str, str]:
    """Every subject folder's kind of thing, by folder name.

    Raises PerfusionError for a folder without subjects.
    """
    listed = _listed(folder / LIST)
    subjects = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    if not subjects:
        raise PerfusionError(
            f"{folder} has no subject folders in it. Give the folder that holds backpack/, cat/, …"
        )
    return {name: listed.get(name) or kind_from_name(name) for name in subjects}


def kind_from_name(name: str) -> str:
    """The kind of thing in a folder's name: "dog6" -> "dog", "shiny_sneaker" -> "sneaker"."""
    plain = name.rstrip("0123456789")
    return _KINDS.get(plain) or plain.split("_")[-1]


def _listed(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2 and row[1].strip() != "class"}
