"""Write the model card from its template, the figures of the last evaluation and the folder's own sizes.

Run: `python -m tools.pocket.model_card --figures $POCKET_WORK/evaluation/figures.json --to assets/pocket`.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from safetensors import safe_open

from tools.pocket.figures import table
from tools.pocket.make_examples import CREDITS
from tools.pocket.sprites import SOURCES
from tools.pocket.things import COLOURS, HATS, PLACES, STYLES, held_out, kinds
from tools.pocket.training import stage_parser
from tools.pocket.words import pocket_words

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


def card(figures: dict[str, Any], folder: Path, trained: str, look: str, teaching: str = "") -> str:
    """The card's text.

    `trained` tells the runs, `look` what a person sees and finds poor, `teaching` is the table of
    evaluate_teaching.
    """
    sizes = {part: weights(folder / part) for part in PARTS if (folder / part).is_dir()}
    rows = [
        f"| {part} | {count / 1e6:.2f} M | {size / 2**20:.1f} MiB |" for part, (count, size) in sizes.items()
    ]
    places = [words for name, words in PLACES.items() if name != "plain"]
    groups = [f"- {label}: {', '.join(names)}" for label, names in pocket_words().kinds.items()]
    sources = [
        f"- {art}: {CREDITS[art]}; taken from the npm package `{source.name}` version {source.version}, "
        f"licence {source.licence}"
        for art, source in SOURCES.items()
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        guidance=f"{figures['settings']['guidance']:g}",
        kind_count=len(kinds()),
        kinds="\n".join(groups),
        colours=", ".join(COLOURS),
        hats=", ".join(f"a {name}" for name in HATS),
        places=", ".join(places),
        styles=", ".join(f'"{words}"' for words in STYLES.values()),
        figures=table(figures),
        teaching=teaching.strip() or "Not measured for these weights.",
        trained=trained,
        look=look,
        sizes="\n".join(rows),
        heldout="\n".join(f"- {thing.name} ({thing.superclass})" for thing in held_out().values()),
        sources="\n".join(sources),
    )


def main() -> None:
    """Write the card into the pipeline's folder."""
    parser = stage_parser(__doc__)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--to", type=Path, default=Path("assets/pocket"))
    parser.add_argument("--trained", default="", help="what was trained for how long, in a sentence or two")
    parser.add_argument("--look", default="", help="an honest sentence about what is poor")
    parser.add_argument("--teaching", type=Path, help="table.md of evaluate_teaching")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text(encoding="utf-8"))
    teaching = options.teaching.read_text(encoding="utf-8") if options.teaching else ""
    text = card(figures, options.to, options.trained, options.look, teaching)
    (options.to / "model_card.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
