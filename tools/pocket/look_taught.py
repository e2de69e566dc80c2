"""Teach things from folders of photos as the app does, and draw a sheet to be looked at.

Run: `python -m tools.pocket.look_taught --base assets/pocket --out OUT.png assets/examples/*/`. A folder
holds photos and about.json with "name" and "superclass"; or say `FOLDER=word`.
A row: the first photo and its mask, a preview of every checkpoint (the chosen one has a bar under it), then
the prompts at the recommended bias and the first of them at both ends of the slider.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from perfusion_core.model.base import load_base
from perfusion_core.sampling.generator import generate_rows
from perfusion_core.sampling.operating_points import RANGES
from perfusion_core.sampling.request import GenerationRequest, Row
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.teaching.example_photos import read_example_set
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from perfusion_core.studio.teaching.run_folder import RunFolder
from perfusion_core.training.events import TrainEvent
from tools.pocket.photos import sheet
from tools.pocket.training import open_stage, stage_parser

PROMPTS = (
    "a photo of a {} on the beach",
    "a photo of a {} in the city",
    "a photo of a {} wearing a crown in the desert",
    "a pencil sketch of a {} on the beach",
)
SEED = 100


def asked(argument: str) -> tuple[Path, str, str]:
    """Folder, name and superclass of an argument: FOLDER=word, or FOLDER with an about.json.

    Raises:
        SystemExit: neither says what kind of thing it is.
    """
    folder, _, word = argument.partition("=")
    path = Path(folder)
    if word:
        return path, path.name, word
    found = read_example_set(path)
    if found is None:
        raise SystemExit(f"{path} is no set of examples with an about.json: say {path}=SUPERCLASS.")
    return path, found.name, found.superclass


def chosen(image: Image.Image) -> Image.Image:
    """A preview with a bar under it."""
    marked = image.convert("RGB").resize((128, 128))
    ImageDraw.Draw(marked).rectangle((0, 122, 127, 127), fill=(20, 160, 60))
    return marked


def row_of(loaded: LoadedBase, argument: str, photos: int, preview: int) -> list[Image.Image]:
    """Teach one thing in a library of its own that is deleted afterwards; returns its row of the sheet."""
    path, name, superclass = asked(argument)
    files: Sequence[Path] = [file for file in sorted(path.iterdir()) if file.suffix != ".json"][:photos]
    previews: dict[int, Image.Image] = {}
    best: list[int] = []

    def listen(event: TrainEvent, _: Sequence[Path]) -> None:
        if event.kind == "preview":
            previews[event.step] = event.images[preview]
        if event.kind == "score" and event.scores is not None:
            print(f"{name} at {event.step}: image {event.scores.image:.3f} text {event.scores.text:.3f}")
        if event.kind == "done" and event.best_step is not None:
            best.append(event.best_step)

    with tempfile.TemporaryDirectory() as home:
        library = Library(Path(home))
        taught = teach(
            library, loaded, begin_teaching(library, TeachRequest(files, name, superclass)), listen=listen
        )
        assert taught.entry is not None
        concept = taught.entry.load()
        squares, masks = RunFolder(taught.entry.folder).squares()
    row = [squares[0], Image.fromarray((masks[0] * 255).astype(np.uint8)).convert("RGB")]
    ends, recommended = RANGES["local"], concept.metadata.bias["local"]
    print(f"{name}: step {best[-1]}, bias {recommended:.2f}", flush=True)
    row += [chosen(image) if step in best else image for step, image in sorted(previews.items())]
    asks = [(prompt, recommended) for prompt in PROMPTS]
    asks += [(PROMPTS[0], ends.photo_end), (PROMPTS[0], ends.prompt_end)]
    rows = [Row(SEED, {concept.name: bias}, prompt.format(concept.placeholder)) for prompt, bias in asks]
    request = GenerationRequest(PROMPTS[0].format(concept.placeholder))
    made = generate_rows(loaded.base, {concept.name: concept}, request, rows, covariance=loaded.covariance)
    return [*row, *(image.image for image in made.images)]


def main() -> None:
    """Teach and draw them one by one; the sheet grows as they come."""
    parser = stage_parser(__doc__)
    parser.add_argument("things", nargs="+", metavar="FOLDER[=WORD]")
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=5, help="of each folder, the first in order of names")
    parser.add_argument("--preview", type=int, default=1, help="which validation prompt's previews to show")
    options = parser.parse_args()
    _, device = open_stage(options)
    rows: list[list[Image.Image]] = []
    with tempfile.TemporaryDirectory() as home:
        loaded = LoadedBase(load_base(options.base, device=str(device)), Settings(home=Path(home)))
        for argument in options.things:
            rows.append(row_of(loaded, argument, options.photos, options.preview))
            sheet(rows, options.out)


if __name__ == "__main__":
    main()
