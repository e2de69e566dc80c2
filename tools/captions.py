"""Make assets/captions.txt.gz: 20,000 varied captions, from which a text encoder's statistics are taken.

Nouns and glosses come from WordNet 3.0 (Debian package wordnet-base), put into templates that read like
picture captions; a share of them speaks of the things, colours and places of the pocket base model, so that
one file serves every base. WordNet's licence is kept beside the result, as it asks. Seeded: the same input
gives the same file.

    apt-get install wordnet-base
    python -m tools.captions
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
from dataclasses import dataclass
from pathlib import Path

from tools.pocket.things import COLOURS, COMMON, HATS, OPENINGS, PLACES

COUNT = 20_000
SEED = 20_26
# How the lines are shared out between the three kinds; what is left goes to templates.
GLOSS_SHARE, POCKET_SHARE = 0.25, 0.15
# How often a noun is one of those that WordNet's makers met in running text.
EVERYDAY_SHARE = 0.8
# WordNet's files of what can be seen: animal, artifact, body, food, location, object, person, plant.
VISIBLE = {"05", "06", "08", "13", "15", "17", "18", "20"}
LONGEST_GLOSS = 22
UNKIND = re.compile(r"offensive|disparag|derogat|obscen|vulgar|slur\b|insult|contempt")

SUBJECTS = (
    "a photo of {a}", "a photograph of {a}", "a picture of {a}", "{a}", "a painting of {a}",
    "a close-up of {a}", "a watercolor of {a}", "a pencil sketch of {a}", "an oil painting of {a}",
    "a black and white photo of {a}", "a blurry photo of {a}", "a rendering of {a}", "my {n}", "the {n}",
    "two people looking at {a}", "a small {n}", "a statue of {a}", "pixel art of {a}", "a drawing of {a}",
    "{coloured}", "a photo of {coloured}", "an old {n}", "a child holding {a}", "a poster with {a}",
    "a photo of one {n}", "many kinds of {n}",
)  # fmt: skip
SETTINGS = (
    "", "", "", "on the beach", "in the snow", "in space", "on a wooden table", "in the desert",
    "under the sea", "at night", "in front of a brick wall", "in the city", "in the forest", "in a garden",
    "on a white background", "next to {b}", "and {b}", "with {b}", "wearing a hat",
    "in the style of a comic book", "by a window", "in the morning light", "in a museum", "in the rain",
    "on a shelf", "among flowers", "seen from above",
)  # fmt: skip


@dataclass(frozen=True)
class Noun:
    """A noun of something visible, what WordNet says it is, and whether its makers met it in texts."""

    word: str
    gloss: str
    everyday: bool


def read_nouns(folder: Path) -> list[Noun]:
    """Nouns (not names) whose first sense is visible, with that sense's gloss, in WordNet's order."""
    senses: dict[str, tuple[str, str, str]] = {}
    for line in (folder / "data.noun").read_text("ascii").splitlines():
        if not line.startswith(" "):
            fields, _, gloss = line.partition(" | ")
            offset, kind = fields.split(" ", 2)[:2]
            senses[offset] = (kind, fields, gloss)
    nouns: list[Noun] = []
    for line in (folder / "index.noun").read_text("ascii").splitlines():
        fields = line.split()
        if line.startswith(" ") or not re.fullmatch(r"[a-z]{2,}(_[a-z]{2,})?", fields[0]):
            continue
        kind, spellings, gloss = senses[fields[6 + int(fields[3])]]
        # Names are spelt with a capital in the data.
        if kind not in VISIBLE or f" {fields[0]} " not in spellings or UNKIND.search(gloss):
            continue
        everyday = fields[5 + int(fields[3])] != "0"
        nouns.append(Noun(fields[0].replace("_", " "), tidy_gloss(gloss), everyday))
    return nouns


def tidy_gloss(gloss: str) -> str:
    """The definition without examples, remarks in brackets and what follows a semicolon, cut at a word."""
    definition = re.sub(r"\([^)]*\)", " ", gloss.split(";")[0].split('"')[0])
    words = re.sub(r"[^a-z0-9' ,-]", " ", definition.lower()).split()
    return " ".join(words[:LONGEST_GLOSS]).strip(" ,")


def with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass(frozen=True)
class Nouns:
    """Everyday nouns and rare ones, drawn in a fixed proportion."""

    everyday: list[Noun]
    rare: list[Noun]

    def one(self, draw: random.Random) -> Noun:
        return draw.choice(self.everyday if draw.random() < EVERYDAY_SHARE else self.rare)


def template_line(nouns: Nouns, draw: random.Random) -> str:
    noun, other = nouns.one(draw).word, nouns.one(draw).word
    coloured = with_article(f"{draw.choice(list(COLOURS))} {noun}")
    line = f"{draw.choice(SUBJECTS)} {draw.choice(SETTINGS)}".strip()
    return line.format(a=with_article(noun), n=noun, b=with_article(other), coloured=coloured)


def gloss_line(nouns: Nouns, draw: random.Random) -> str:
    noun = nouns.one(draw)
    opening = draw.choice(("{a}, {gloss}", "{gloss}", "a photo of {a}, {gloss}"))
    return opening.format(a=with_article(noun.word), gloss=noun.gloss or noun.word)


def pocket_thing(draw: random.Random) -> str:
    words = draw.choice(list(COMMON))
    if draw.random() < 0.4:
        words = f"{draw.choice(list(COLOURS))} {words}"
    if draw.random() < 0.25:
        return f"{with_article(words)} wearing {with_article(draw.choice(list(HATS)))}"
    return with_article(words)


def pocket_line(draw: random.Random) -> str:
    thing = pocket_thing(draw)
    if draw.random() < 0.35:
        thing = f"{thing} {draw.choice(('next to', 'and'))} {pocket_thing(draw)}"
    place = draw.choice(list(PLACES.values())).format(colour=draw.choice(list(COLOURS)))
    return f"{draw.choice(OPENINGS)} {thing} {place}".strip()


def make_captions(found: list[Noun], count: int = COUNT, seed: int = SEED) -> list[str]:
    """Distinct lines, mixed: the first hundreds are already a fair sample of all."""
    draw = random.Random(seed)
    nouns = Nouns([noun for noun in found if noun.everyday], [noun for noun in found if not noun.everyday])
    lines: dict[str, None] = {}
    while len(lines) < count:
        kind = draw.random()
        if kind < GLOSS_SHARE:
            line = gloss_line(nouns, draw)
        elif kind < GLOSS_SHARE + POCKET_SHARE:
            line = pocket_line(draw)
        else:
            line = template_line(nouns, draw)
        lines[line] = None
    return list(lines)


def licence(folder: Path) -> str:
    """WordNet's licence, as it stands at the head of its data."""
    head = (folder / "data.noun").read_text("ascii").splitlines()[:29]
    text = "\n".join(re.sub(r"^\s+\d+ ?", "", line).rstrip() for line in head)
    return (
        "captions.txt.gz holds nouns and definitions of WordNet 3.0 put into captions by tools/captions.py.\n"
        "Its notice, which goes with every copy:\n\n" + text + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets")
    options = parser.parse_args()
    lines = make_captions(read_nouns(options.wordnet))
    packed = gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=9, mtime=0)
    (options.out / "captions.txt.gz").write_bytes(packed)
    (options.out / "captions.LICENSE").write_text(licence(options.wordnet), "utf-8")
    print(f"{len(lines)} captions, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
