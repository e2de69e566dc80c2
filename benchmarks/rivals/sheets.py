"""Contact sheets: photos on top, a row a method, a column a prompt, every image from the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

SIDE = 112
LABEL = 150
HEAD = 44
GAP = 4


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Image.Image]]], columns: Sequence[str], path: Path, note: str
) -> None:
    """Write rows of images with their labels. The first row, of photos, stands above the columns' names."""
    wide = max(len(columns), *(len(images) for _, images in rows))
    width, height = LABEL + wide * (SIDE + GAP), HEAD + len(rows) * (SIDE + GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    top = 0
    for number, (label, images) in enumerate(rows):
        if number == 1:
            for column, text in enumerate(columns):
                left = LABEL + column * (SIDE + GAP)
                draw.multiline_text((left, top), "\n".join(wrap(text, 19)[:3]), "black", font, spacing=1)
            draw.text((GAP, top), note, "black", font)
            top += HEAD
        draw.multiline_text((GAP, top + GAP), "\n".join(wrap(label, 23)), "black", font, spacing=2)
        for column, image in enumerate(images):
            small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (LABEL + column * (SIDE + GAP), top))
        top += SIDE + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
