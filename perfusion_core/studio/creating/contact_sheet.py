"""Contact sheets: a front as a strip, a grid as a table, with the numbers under the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

LARGEST_CELL = 256
SMALLEST_CELL = 128
GAP = 8
PAPER, INK, FAINT, MARK = (250, 250, 249), (38, 38, 38), (120, 120, 120), (15, 118, 110)


def sheet(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    columns: int,
    *,
    title: str = "",
    marked: int | None = None,
) -> Image.Image:
    """Images in rows of `columns`, each with its caption of one or more lines; `marked` is framed."""
    side = min(LARGEST_CELL, max(SMALLEST_CELL, max((max(image.size) for image in images), default=0)))
    font = _font(max(11, side // 11))
    line = round(font.size * 1.35) if not isinstance(font, ImageFont.ImageFont) else 14
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    rows = -(-len(images) // columns)
    head = line + GAP if title else 0
    cell_height = side + lines * line + GAP
    page = Image.new("RGB", (columns * (side + GAP) + GAP, head + rows * cell_height + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(page)
    if title:
        pen.text((GAP, GAP), _fitting(title, font, page.width - 2 * GAP, pen), fill=INK, font=font)
    for k, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = GAP + k % columns * (side + GAP), head + GAP + k // columns * cell_height
        shown = image.convert("RGB")
        shown = shown.resize(_fit(shown.size, side), Image.Resampling.LANCZOS)
        page.paste(shown, (left + (side - shown.width) // 2, top + (side - shown.height) // 2))
        if k == marked:
            pen.rectangle((left - 4, top - 4, left + side + 3, top + side + 3), outline=MARK, width=3)
        for row, text in enumerate(caption.split("\n")):
            colour = (MARK if k == marked else INK) if row == 0 else FAINT
            place = (left, top + side + 3 + row * line)
            pen.text(place, _fitting(text, font, side, pen), fill=colour, font=font)
    return page


def _fit(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _font(size: int) -> FreeTypeFont | BitmapFont:
    return ImageFont.load_default(size)


def _fitting(text: str, font: FreeTypeFont | BitmapFont, width: int, pen: ImageDraw.ImageDraw) -> str:
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(f"{text}…", font=font) > width:
        text = text[:-1]
    return f"{text}…"
