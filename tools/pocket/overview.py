"""One picture of all that `evaluate_teaching` taught: a thing a row, in two columns of rows.

Run: `python -m tools.pocket.overview --taught $POCKET_WORK/teaching --out docs/images/held-out.jpg`. A row:
the first photo, then the first seed of every prompt but one at the recommended bias.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from tools.pocket.evaluate_teaching import PROMPTS

CELL = 96  # pixels
GAP = 16
LEFT_OUT = "in front of a brick wall"  # so that a row stays short


def row_of(sheet: Image.Image) -> Image.Image:
    """A thing's row, from its contact sheet of three rows: photos, photos' end, recommended bias."""
    side = sheet.height // 3
    a_prompt = sheet.width // side // len(PROMPTS)  # columns of each: a seed or two
    shown = [k for k, (text, _) in enumerate(PROMPTS) if LEFT_OUT not in text]
    places = [(0, 0)] + [(k * a_prompt * side, 2 * side) for k in shown]
    row = Image.new("RGB", (CELL * len(places), CELL))
    for number, (x, y) in enumerate(places):
        cell = sheet.crop((x, y, x + side, y + side)).resize((CELL, CELL), Image.Resampling.LANCZOS)
        row.paste(cell, (CELL * number, 0))
    return row


def overview(sheets: list[Image.Image]) -> Image.Image:
    """All rows, the second half of them beside the first."""
    rows = [row_of(sheet) for sheet in sheets]
    half, width = (len(rows) + 1) // 2, rows[0].width
    page = Image.new("RGB", (2 * width + GAP, half * CELL), "white")
    for number, row in enumerate(rows):
        page.paste(row, ((number // half) * (width + GAP), (number % half) * CELL))
    return page


def main() -> None:
    """Write the picture; SystemExit where nothing was taught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--taught", type=Path, required=True, help="what evaluate_teaching wrote to")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    paths = sorted(path for path in options.taught.glob("*.png") if path.name != "pairs.png")
    if not paths:
        raise SystemExit(f"{options.taught} has no contact sheets: run tools.pocket.evaluate_teaching first.")
    overview([Image.open(path).convert("RGB") for path in paths]).save(options.out, quality=80)


if __name__ == "__main__":
    main()
