"""Write the model card from its template, the figures of the last evaluation and the folder's own sizes.

Run: `python -m tools.pocket.model_card --figures $POCKET_WORK/evaluation/figures.json --to assets/pocket`.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from safetensors import safe_open

from tools.pocket.domain import ACCESSORIES, CLASSES, COLOURS, PLACES
from tools.pocket.figures import table
from tools.pocket.sources import SPRITES
from tools.pocket.sprites import held_out
from tools.pocket.training import stage_parser

TEMPLATE = Path(__file__).with_name("model_card.in.md")
PARTS = ("text_encoder", "vae", "unet", "clip", "mask")


def weights(folder: Path) -> tuple[int, int]:
    """Number of parameters and bytes of all safetensors files in `folder`."""
    parameters, size = 0, 0
    for path in folder.glob("*.safetensors"):
        size += path.stat().st_size
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - safe_open cannot be iterated over
                count = 1
                for length in file.get_slice(name).get_shape():
                    count *= length
                parameters += count
    return parameters, size


def card(figures: dict[str, Any], folder: Path, trained: str, look: str) -> str:
    """The card's text. `trained` tells the runs, `look` what a person sees and finds poor."""
    sizes = {part: weights(folder / part) for part in PARTS if (folder / part).is_dir()}
    rows = [
        f"| {part} | {count / 1e6:.2f} M | {size / 2**20:.1f} MiB |" for part, (count, size) in sizes.items()
    ]
    places = [words for name, words in PLACES.items() if name != "plain"]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        guidance=f"{figures['settings']['guidance']:g}",
        class_count=len(CLASSES),
        classes=", ".join(CLASSES),
        sprite_count=sum(len(codes) for codes in CLASSES.values()),
        colours=", ".join(COLOURS),
        accessories=", ".join(f"a {name}" for name in ACCESSORIES),
        places=", ".join(places),
        figures=table(figures),
        trained=trained,
        look=look,
        sizes="\n".join(rows),
        heldout="\n".join(f"- {thing.name} ({thing.superclass})" for thing in held_out().values()),
        sprite_package=SPRITES.name,
        sprite_version=SPRITES.version,
    )


def main() -> None:
    """Write the card into the pipeline's folder."""
    parser = stage_parser(__doc__)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path("assets/pocket"))
    parser.add_argument("--trained", default="", help="what was trained for how long, in a sentence or two")
    parser.add_argument("--look", default="", help="an honest sentence about what is poor")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text(encoding="utf-8"))
    text = card(figures, options.to, options.trained, options.look)
    (options.to / "model_card.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
