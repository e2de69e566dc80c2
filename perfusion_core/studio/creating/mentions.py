"""Which of the known concepts a prompt names; no torch, so that a form can follow the typing at once."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A prompt may be a stranger's: no part of the pattern takes what its neighbour could take as well, so that a
# prompt of any kind is read in one pass. Spaces around a name are stripped afterwards.
_MENTION = re.compile(r"<([^<>:]*)(?::([^<>]*))?>")


def mentioned(prompt: str, names: Iterable[str]) -> list[str]:
    """The names among `names` that stand in the prompt as `<name>` or `<name:0.6>`, in the prompt's order,
    once each.
    """
    known = {name.casefold(): name for name in names}
    found = (known.get(match[1].strip().casefold()) for match in _MENTION.finditer(prompt))
    return list(dict.fromkeys(name for name in found if name is not None))


def fixed(prompt: str, names: Iterable[str]) -> dict[str, str]:
    """The numbers written into the prompt itself, by concept: those win over any slider."""
    known = {name.casefold(): name for name in names}
    return {
        known[match[1].strip().casefold()]: match[2].strip()
        for match in _MENTION.finditer(prompt)
        if match[2] and match[1].strip().casefold() in known
    }


def without_numbers(prompt: str) -> str:
    """The prompt with `<name>` for every `<name:0.6>`."""
    return _MENTION.sub(lambda match: f"<{match[1].strip()}>" if match[1].strip() else match[0], prompt)


def with_mention(prompt: str, name: str) -> str:
    """The prompt with `<name>` at its end, unless it is there already."""
    if mentioned(prompt, [name]):
        return prompt
    return f"{prompt.rstrip()} <{name}>".strip()
