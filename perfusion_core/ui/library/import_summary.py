"""What became of the files of an import, as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfusion_core.ui.html import escape

if TYPE_CHECKING:
    from perfusion_core.studio.library.import_many import ImportSummary


def import_summary(summary: ImportSummary) -> str:
    """The numbers, and a line for each file that needs a word; everything from the files is escaped."""
    kind, role = ("good", "status") if summary.whole else ("problem", "alert")
    lines = "".join(f"<li>{escape(line)}</li>" for line in summary.lines())
    listed = f'<ul tabindex="0" aria-label="Files">{lines}</ul>' if lines else ""
    return (
        f'<div class="said said-{kind} import-summary" role="{role}">'
        f"<strong>{escape(summary.headline())}</strong>{listed}</div>"
    )
