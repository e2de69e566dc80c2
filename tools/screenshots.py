"""Pictures of every room for the README, taken from a running app.

    python app.py --no-browser &
    python -m tools.screenshots --address http://127.0.0.1:7860 --out docs/images

Needs playwright and a Chromium, the system's or Playwright's own. Sizes: a desktop window and a phone, light
and dark.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

ROOMS = ("Create", "Teach", "Library", "Explore", "Image info", "Settings")
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


def shoot(
    address: str, out: Path, rooms: tuple[str, ...], themes: tuple[str, ...], sizes: tuple[str, ...]
) -> None:
    """One PNG a room, theme and size, of few colours, so that it stays small."""
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as api:
        program = shutil.which("chromium") or shutil.which("google-chrome")  # None: Playwright's own
        browser = api.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for theme in themes:
            for size in sizes:
                width, height = SIZES[size]
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
                page.goto(f"{address}/?__theme={theme}")
                page.wait_for_function("document.querySelector('#machine')?.innerText.includes('Ready')")
                for room in rooms:
                    _enter(page, room)
                    name = f"{room.lower().replace(' ', '-')}-{size}-{theme}.png"
                    page.screenshot(path=out / name)
                    _reduce(out / name)
                page.close()
        browser.close()


def _enter(page: Any, room: str) -> None:
    tab = page.locator("#rooms [role=tablist] > button[role=tab]", has_text=room)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
    else:  # a narrow screen has some rooms behind the dots
        page.get_by_label("More tabs").click()
        page.locator("#rooms .overflow-dropdown button", has_text=room).click()
    if room == "Library" and page.locator("#library-cards .concept").count():
        page.locator("#library-cards .concept").first.click()
        page.wait_for_selector("#library-panel")
    page.wait_for_timeout(1500)


def _reduce(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    few = whole.quantize(256)
    whole.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="http://127.0.0.1:7860")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--rooms", nargs="+", default=ROOMS, choices=ROOMS)
    parser.add_argument("--themes", nargs="+", default=("light", "dark"), choices=("light", "dark"))
    parser.add_argument("--sizes", nargs="+", default=tuple(SIZES), choices=tuple(SIZES))
    given = parser.parse_args()
    shoot(given.address, given.out, tuple(given.rooms), tuple(given.themes), tuple(given.sizes))


if __name__ == "__main__":
    main()
