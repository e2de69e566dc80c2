"""Teach held-out things through the app's own functions, and let the judge say what came of it.

Run: `python -m tools.pocket.evaluate_teaching --base $POCKET_WORK/snapshot`. Every held-out thing is
taught from five photos with the base's own preset (or `--set name=value`), drawn in 8 prompts x 4 seeds at
both ends of the slider and at the recommended bias, and judged: is the thing it looks most like, of all
things in all art styles, the one taught? The judge also looks at the validation images of every checkpoint.
Writes table.md, results.json and a sheet a thing (photos, then a row a place on the slider) to --out. Things
done before are kept, so a run that was cut off goes on.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image

from perfusion_core.model.base import load_base
from perfusion_core.sampling.generator import generate_rows
from perfusion_core.sampling.operating_points import RANGES
from perfusion_core.sampling.request import GenerationRequest, Row
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings
from perfusion_core.studio.teaching.run import TeachRequest, begin_teaching, teach
from perfusion_core.training.events import TrainEvent
from perfusion_core.training.recipe import VALIDATION_PROMPTS
from tools.pocket.judge import HAT_NAMES, NUMBER, Answer, Judge, load_judge
from tools.pocket.photos import photographer, sheet, take
from tools.pocket.things import ARTS, PLACES, STYLES, HeldOut, held_out
from tools.pocket.training import open_stage, stage_parser

PROMPTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("a photo of a {} on the beach", {"place": "beach"}),
    ("a photo of a {} in the city", {"place": "city"}),
    ("a photo of a {} in front of a brick wall", {"place": "brick"}),
    ("a photo of a {} in space", {"place": "space"}),
    ("a photo of a {} wearing a crown in the desert", {"place": "desert", "hat": "crown"}),
    ("a photo of a {} wearing a top hat on the grass", {"place": "grass", "hat": "top hat"}),
    ("pixel art of a {} in the snow", {"style": "pixel"}),
    ("a pencil sketch of a {} on the beach", {"style": "sketch"}),
)
SEEDS = 4
PLAIN = 6  # prompts in which the thing has its own colours: identity is asked of these
# Of a checkpoint's validation images, those of the thing alone in its own colours.
ALONE_PLAIN = [
    k
    for k, text in enumerate(VALIDATION_PROMPTS)
    if text.startswith("a photo of a {}") and " next to " not in text
]


@dataclass(frozen=True)
class Verdict:
    """Shares in [0, 1] at one bias: nearest is the taught one, among the nearest five, place, hat, style."""

    identity: float
    among_five: float
    place: float
    hat: float
    style: float


@torch.no_grad()
def look(judge: Judge, images: Sequence[Image.Image]) -> Answer:
    """The judge's answer for images of its own size."""
    pixels = torch.from_numpy(np.stack([np.asarray(image.convert("RGB")) for image in images]))
    return judge(pixels.permute(0, 3, 1, 2).float() / 255)


@dataclass(frozen=True)
class Checkpoint:
    """What the judge says of a checkpoint's validation images: share in which the taught thing is the nearest
    of all, in which it is among the nearest five, and the mean cosine to it.
    """

    step: int
    identity: float
    among_five: float
    likeness: float


class Curve:
    """Listens to a teaching: every checkpoint as the judge sees it, and which one was chosen."""

    def __init__(self, judge: Judge, number: int) -> None:
        self.checkpoints: list[Checkpoint] = []
        self.chosen: int | None = None
        self._judge, self._number = judge, number

    def __call__(self, event: TrainEvent, _photos: Sequence[Path]) -> None:
        """Look at previews, note the choice."""
        if event.kind == "preview":
            similarity = look(self._judge, [event.images[k] for k in ALONE_PLAIN]).similarity[:, 0]
            own = similarity.topk(5).indices == self._number
            self.checkpoints.append(
                Checkpoint(
                    event.step,
                    float(own[:, 0].float().mean()),
                    float(own.any(1).float().mean()),
                    float(similarity[:, self._number].mean()),
                )
            )
        if event.kind == "done":
            self.chosen = event.best_step


def verdict(judge: Judge, images: list[Image.Image], number: int) -> Verdict:
    """What the judge says of images in the order prompts x seeds, of the thing `number`."""
    answer = look(judge, images)
    nearest = answer.similarity[:, 0].topk(5).indices
    seeds = len(images) // len(PROMPTS)
    own = nearest[: PLAIN * seeds] == number
    found: dict[str, list[bool]] = {"place": [], "hat": [], "style": []}
    for row in range(len(images)):
        for what, asked in PROMPTS[row // seeds][1].items():
            if what == "hat":
                said = HAT_NAMES[int(answer.slots["hat"][row, 0].argmax())]
            else:
                said = list(PLACES if what == "place" else STYLES)[int(answer.scene[what][row].argmax())]
            found[what].append(said == asked)
    return Verdict(
        float(own[:, 0].float().mean()),
        float(own.any(1).float().mean()),
        *(fmean(found[what]) for what in ("place", "hat", "style")),
    )


def concept_name(thing: str, art: str) -> str:
    """What a held-out thing is called in the library of an evaluation."""
    return thing.replace(" ", "-") + f"-{art}"


def photo_files(images: list[Image.Image]) -> list[tuple[str, bytes]]:
    """Photos as a person's files."""
    files = []
    for number, image in enumerate(images, start=1):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        files.append((f"{number}.png", buffer.getvalue()))
    return files


def evaluate_one(
    loaded: Any, judge: Judge, thing: HeldOut, art: str, photos: list[Image.Image], out: Path, options: Any
) -> dict[str, Any]:
    """Teach one thing, draw it along the slider, judge it; keeps the images in `out`."""
    library = Library(out / "library")
    name = concept_name(thing.name, art)
    settings = dict(pair.split("=", 1) for pair in options.set)
    typed = {
        key: json.loads(value) if value[:1] in "0123456789-tf" else value for key, value in settings.items()
    }
    request = TeachRequest(photo_files(photos), name, thing.superclass, settings=typed, overwrite=True)
    number = NUMBER[art, thing.code]
    curve = Curve(judge, number)
    taught = teach(library, loaded, begin_teaching(library, request), listen=curve)
    assert taught.entry is not None
    concept = taught.entry.load()
    ends = RANGES["local"]
    biases = {
        "photos": ends.photo_end,
        "recommended": concept.metadata.bias["local"],
        "prompt": ends.prompt_end,
    }
    rows = [
        Row(100 + seed, {concept.name: bias}, prompt.format(concept.placeholder))
        for bias in biases.values()
        for prompt, _ in PROMPTS
        for seed in range(options.seeds)
    ]
    asked = GenerationRequest(f"a photo of a {concept.placeholder}", steps=options.steps)
    made = generate_rows(loaded.base, {concept.name: concept}, asked, rows, covariance=loaded.covariance)
    images = [image.image for image in made.images]
    each = len(PROMPTS) * options.seeds
    found = {
        end: vars(verdict(judge, images[k * each : (k + 1) * each], number)) for k, end in enumerate(biases)
    }
    shown = [photos]
    for end in range(2):
        part = images[end * each : (end + 1) * each]
        shown.append(
            [part[p * options.seeds + s] for p in range(len(PROMPTS)) for s in range(min(2, options.seeds))]
        )
    sheet(shown, out / f"{name}.png")
    checkpoints = [vars(checkpoint) for checkpoint in curve.checkpoints]
    learned = {"curve": checkpoints, "chosen": curve.chosen}
    return {"thing": thing.name, "art": art, "bias": biases["recommended"], **found, **learned}


def table(results: list[dict[str, Any]]) -> str:
    """Means over things, a row a place on the slider."""
    lines = [
        f"{len(results)} held-out things",
        "",
        "| slider | nearest is the taught one | among five | place | hat | style |",
        "|---|---|---|---|---|---|",
    ]
    for end in ("photos", "recommended", "prompt"):
        means = [
            f"{fmean(result[end][what] for result in results):.0%}"
            for what in ("identity", "among_five", "place", "hat", "style")
        ]
        lines.append(f"| {end} | {' | '.join(means)} |")
    lines += ["", *curves(results)]
    lines += ["", "| thing | art | bias | photos | recommended | prompt |", "|---|---|---|---|---|---|"]
    for result in results:
        own = " | ".join(f"{result[end]['identity']:.0%}" for end in ("photos", "recommended", "prompt"))
        lines.append(f"| {result['thing']} | {result['art']} | {result['bias']:.2f} | {own} |")
    return "\n".join(lines) + "\n"


def curves(results: list[dict[str, Any]]) -> list[str]:
    """Lines of a table of means over things, a row a checkpoint, and how often the judge agrees."""
    lines = [
        "| after steps | nearest is the taught one | among five | cosine to it | chosen |",
        "|---|---|---|---|---|",
    ]
    for step in sorted({checkpoint["step"] for result in results for checkpoint in result["curve"]}):
        at = [c for result in results for c in result["curve"] if c["step"] == step]
        identity, five, likeness = (
            fmean(c[what] for c in at) for what in ("identity", "among_five", "likeness")
        )
        chosen = sum(result["chosen"] == step for result in results)
        lines.append(f"| {step} | {identity:.0%} | {five:.0%} | {likeness:.2f} | {chosen} |")
    alike = sum(
        max(result["curve"], key=lambda c: c["likeness"])["step"] == result["chosen"] for result in results
    )
    return [
        *lines,
        "",
        f"The chosen checkpoint is the one most like the thing for {alike} of {len(results)}.",
    ]


def main() -> None:
    """Evaluate and write the table."""
    parser = stage_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--role", choices=("judged", "tuning"), default="judged")
    parser.add_argument("--arts", default="photo,cartoon,sticker", help="by turns over the things")
    parser.add_argument("--photos", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a recipe setting")
    options = parser.parse_args()
    work, device = open_stage(options)
    out: Path = options.out or work / "teaching"
    out.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=out / "home")
    loaded = LoadedBase(load_base(str(options.base), device=str(device)), settings)
    judge, renderer = load_judge(work), photographer(work)
    path = out / "results.json"
    results: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    done = {(result["thing"], result["art"]) for result in results}
    arts = options.arts.split(",")
    things = [thing for thing in held_out().values() if thing.role == options.role]
    for number, thing in enumerate(things):
        art = arts[number % len(arts)]
        if not renderer.book.has(art, thing.code):
            art = ARTS[0]
        if (thing.name, art) in done:
            continue
        photos = take(renderer, (art, thing.code), options.photos)
        results.append(evaluate_one(loaded, judge, thing, art, photos, out, options))
        path.write_text(json.dumps(results, indent=1))
        print(results[-1], flush=True)
    (out / "table.md").write_text(table(results), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
