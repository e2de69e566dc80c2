"""What a concept may be called: names of any script that can be told apart by eye.

The rules are those of Unicode for identifiers (UTS 39), as far as Python's own tables carry them: no
character that is not seen, one script in a word (Japanese and Korean words mix theirs), and no name that
looks like one that is there already.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable

from perfusion_core.container import shown
from perfusion_core.errors import ConceptError

MAX_NAME_LENGTH = 40

# Default_Ignorable_Code_Point: invisible, though some of them count as letters or marks. First, last.
_UNSEEN = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
_UNSEEN_STARTS = [first for first, _ in _UNSEEN]

# Characters' names begin with their script, but for these; "" goes with any.
_SCRIPTS = {
    "COMBINING": "",
    "MODIFIER": "",
    "DIGIT": "",
    "HYPHEN": "",
    "LOW": "",
    "EXTENDED": "ARABIC",
    "IDEOGRAPHIC": "CJK",
}
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)

# Small letters that look like a Latin one in common fonts: Cyrillic, Greek, Armenian, and Latin itself.
_LOOK_LIKE = (
    ("асԁеһіјкӏморԛѕтԝху", "acdehijklmopqstwxy"),
    ("αγικνορτυχωϲϳ", "ayikvoptuxwcj"),
    ("ոսօհցզյ", "nuohgqj"),
    ("ıɩɪɑɡʟᴏ", "iiiaglo"),
)
_LOOKS = {ord(a): b for theirs, latin in _LOOK_LIKE for a, b in zip(theirs, latin, strict=True)}


def validate_name(text: str) -> str:
    """The canonical form of a concept's name, in which names are compared: case-folded, NFKC.

    Letters and digits of any script, but of one in each part between - and _; 1 to 40 characters, a letter or
    digit first. Raises ConceptError.
    """
    canonical = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text[:1000]).casefold())
    if not canonical:
        raise ConceptError("The name is empty. Choose one, such as biscuit.")
    if len(canonical) > MAX_NAME_LENGTH:
        raise ConceptError(
            f"The name {shown(canonical)} is longer than {MAX_NAME_LENGTH} letters. Choose a shorter one."
        )
    # Marks are part of a letter in many scripts (the vowels of Hindi or Thai), but cannot start a word.
    if not _is_letter_or_digit(canonical[0]) or not all(
        _is_letter_or_digit(c) or c in "-_" or unicodedata.category(c) in ("Mn", "Mc") for c in canonical
    ):
        raise ConceptError(
            f"{shown(canonical)} cannot be a name: that is made of letters, digits, - and _ only, and starts "
            "with a letter or digit. Choose one without spaces or other signs, such as biscuit or my-mug."
        )
    unseen = next((c for c in canonical if _is_unseen(c)), None)
    if unseen is not None:
        raise ConceptError(
            f"{shown(canonical)} cannot be a name: it holds a character that is not seen "
            f"(U+{ord(unseen):04X}). Choose one without it."
        )
    for part in canonical.replace("_", "-").split("-"):
        scripts = _scripts(part)
        if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
            mixed = " and ".join(script.title() for script in sorted(scripts))
            raise ConceptError(
                f"{shown(canonical)} cannot be a name: {shown(part)} mixes {mixed} letters, which may look "
                "alike. Choose one with one script in each word."
            )
    return canonical


def require_distinct(name: str, others: Iterable[str]) -> None:
    """Raise ConceptError when `name` looks like another name in `others`. All are canonical."""
    skeleton = looks(name)
    for other in others:
        if other != name and looks(other) == skeleton:
            raise ConceptError(
                f"The name {shown(name)} looks like <{other}>, which is here already, but is written with "
                "other letters. Choose another name."
            )


def looks(name: str) -> str:
    """The same for names that look alike, in any case."""
    return name.casefold().translate(_LOOKS)


def _scripts(name: str) -> set[str]:
    found: set[str] = set()
    for character in name:
        word = unicodedata.name(character, "UNNAMED").split(" ")[0].split("-")[0]
        found.add(_SCRIPTS.get(word, word))
    return found - {""}


def _is_unseen(character: str) -> bool:
    place = bisect_right(_UNSEEN_STARTS, ord(character)) - 1
    return place >= 0 and ord(character) <= _UNSEEN[place][1]


def _is_letter_or_digit(character: str) -> bool:
    return unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")
