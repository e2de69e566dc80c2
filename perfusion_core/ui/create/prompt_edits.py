"""Clicks that write into the prompt, made faster than the page shows what each of them wrote.

Such a click comes with the prompt that the page showed then. Written into that one, it would undo the click
before it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PromptEdits:
    """`text`: the prompt as the last click left it; `earlier`: those it replaced, which the page may still
    have shown at the next click. Without `earlier`, the page has caught up.
    """

    text: str = ""
    earlier: tuple[str, ...] = ()

    def meant(self, shown: str) -> str:
        """The prompt that a click changes, which was made while the page showed `shown`."""
        return self.text if shown in self.earlier else shown

    def written(self, shown: str, text: str) -> PromptEdits:
        """After such a click, which left `text`."""
        before = (*self.earlier, self.text) if shown in self.earlier or shown == self.text else (shown,)
        return PromptEdits(text, tuple(one for one in dict.fromkeys(before) if one != text))

    def seen(self, shown: str) -> PromptEdits:
        """After the page told that it shows `shown`: a prompt written by the last click, or by hand."""
        return self if shown in self.earlier else PromptEdits()
