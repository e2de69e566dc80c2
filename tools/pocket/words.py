"""Write words.json: what the base knows, by the words and phrases its captions hold.

Run: `python -m tools.pocket.words --to BASE`, where BASE is the pipeline folder. The form of the file is in
perfusion_core/model/known_words.py. Its phrases come from `things`, so it lists what was trained and not what
is held out. It is not written when the folder's tokenizer reads one of its words in several tokens: captions
hold no such word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from perfusion_core.files import write_atomic
from perfusion_core.model.known_words import FILE_NAME, KnownWords
from tools.pocket.things import COLOURS, COMMON, GENERIC, HATS, OPENINGS, PLACES, STYLES, held_out, kinds
from tools.pocket.training import stage_parser

# Groups as people look for things, of the groups in kinds.tsv.
GROUPS: dict[str, tuple[str, ...]] = {
    "animals": ("animal-mammal", "animal-reptile", "animal-amphibian"),
    "birds": ("animal-bird",),
    "sea animals": ("animal-marine",),
    "small creatures": ("animal-bug",),
    "plants": ("plant-flower", "plant-other"),
    "fruit and vegetables": ("food-fruit", "food-vegetable"),
    "food": ("food-sweet", "food-prepared", "food-asian"),
    "drinks and dishes": ("drink", "dishware"),
    "clothes and jewels": ("clothing",),
    "vehicles": ("transport-ground", "transport-air", "transport-water"),
    "buildings": ("place-building", "place-religious", "place-other", "place-geographic"),
    "weather and sky": ("sky-weather",),
    "toys and games": ("toy", "game", "event"),
    "sport": ("sport", "award-medal"),
    "music": ("musical-instrument", "music", "sound"),
    "devices": ("computer", "phone", "light-video", "time"),
    "tools": ("tool", "science", "medical", "lock", "place-map"),
    "in the house": ("household", "hotel", "other-object"),
    "paper and money": ("book-paper", "office", "writing", "mail", "money", "arts-crafts"),
}
# What people say for things the base has another word for, or a near one.
INSTEAD: dict[str, str] = {
    "bike": "bicycle", "bottle": "jar", "bracelet": "ring", "bun": "bread", "cab": "taxi", "couch": "sofa",
    "cushion": "bed", "doll": "toy", "figure": "toy", "figurine": "statue", "flask": "jar", "glass": "cup",
    "handbag": "purse", "hare": "rabbit", "hat": "sun hat", "jacket": "coat", "jug": "jar",
    "jumper": "t-shirt", "kettle": "cup", "kitty": "kitten", "mobile": "phone", "monitor": "television",
    "mug": "cup", "necklace": "ring", "parcel": "box", "plane": "airplane", "plant": "potted plant",
    "plush": "toy", "plushie": "toy", "pot": "bowl", "pullover": "t-shirt", "puppet": "toy",
    "racket": "ping pong paddle", "rucksack": "bag", "sculpture": "statue", "shirt": "t-shirt",
    "smartphone": "phone", "stool": "chair", "stuffed animal": "toy", "sweater": "t-shirt",
    "tortoise": "turtle", "trainers": "sneaker", "trousers": "jeans", "tv": "television", "van": "minibus",
    "watch": "clock", "wallet": "purse", "yacht": "boat",
}  # fmt: skip
JOINTS = ("next to", "beside", "and")


def pocket_words() -> KnownWords:
    """What the pocket base knows."""
    plain = [opening for opening in dict.fromkeys(OPENINGS) if opening and opening not in STYLES.values()]
    return KnownWords(
        version=1,
        kinds={label: tuple(_names(groups)) for label, groups in GROUPS.items()},
        generic=GENERIC,
        colours=tuple(COLOURS),
        wearing=tuple(f"wearing a {hat}" for hat in HATS),
        places=tuple(phrase.format(colour="white") for phrase in PLACES.values()),
        styles=tuple(STYLES.values()),
        openings=tuple(plain),
        joints=JOINTS,
        instead={**INSTEAD, **{thing.name: thing.superclass for thing in held_out().values()}},
    )


def _names(groups: Iterable[str]) -> list[str]:
    """The names of these groups, the plainest first: they are the usual superclasses."""
    found = [kind.name for kind in kinds() if kind.group in groups]
    return sorted(found, key=lambda name: name not in COMMON)


def as_text(words: KnownWords) -> str:
    """The file: a line for each list, so that changes can be read."""
    fields: dict[str, Any] = words.model_dump(mode="json")
    groups = ",\n".join(f"  {_line(label)}: {_line(names)}" for label, names in fields.pop("kinds").items())
    lines = [f" {_line(name)}: {_line(value)}" for name, value in fields.items()]
    lines.insert(1, f' "kinds": {{\n{groups}\n }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def split_words(base: Path, words: KnownWords) -> list[str]:
    """Words that the tokenizer of the base in a folder does not read as single tokens: captions hold none."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    found = sorted({word for phrase in words.phrases for word in re.findall(r"[a-z]+", phrase)})
    return [word for word in found if len(tokenizer(word, add_special_tokens=False).input_ids) != 1]


def main() -> None:
    """Check the words against the base's tokenizer, and write them beside it."""
    parser = stage_parser(__doc__)
    parser.add_argument("--to", type=Path, required=True, help="the base's folder")
    options = parser.parse_args()
    words = pocket_words()
    several = split_words(options.to, words)
    if several:
        raise SystemExit(
            f"{options.to} reads these in several tokens: {', '.join(several)}. Nothing written."
        )
    write_atomic(options.to / FILE_NAME, as_text(words).encode())
    print(f"{options.to / FILE_NAME}: {len(words.names)} kinds, {len(words.phrases)} phrases")


if __name__ == "__main__":
    main()
