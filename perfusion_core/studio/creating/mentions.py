"""Which of the known concepts a prompt names, while it is being typed. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable

from perfusion_core.prompt_grammar import Written, canonical, split, without_numbers

__all__ = ["fixed", "mentioned", "with_mention", "without_numbers"]


def mentioned(prompt: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that the prompt mentions as `<name>` or `<name:0.6>`, in the prompt's
    order, once each.
    """
    return list(dict.fromkeys(name for name, _ in _known(prompt, names)))


def fixed(prompt: str, names: Iterable[str]) -> dict[str, str]:
    """The numbers written into the prompt itself, by concept: those win over any slider."""
    return {name: written.number for name, written in _known(prompt, names) if written.number}


def with_mention(prompt: str, name: str) -> str:
    """The prompt with `<name>` at its end, unless it is there already."""
    if mentioned(prompt, [name]):
        return prompt
    return f"{prompt.rstrip()} <{name}>".strip()


def _known(prompt: str, names: Iterable[str]) -> list[tuple[str, Written]]:
    by_name = {canonical(name): name for name in names}
    written = [piece for piece in split(prompt) if isinstance(piece, Written)]
    return [(by_name[canonical(p.name)], p) for p in written if canonical(p.name) in by_name]
