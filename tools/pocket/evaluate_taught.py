"""What taught things do along the slider, and beside each other, by the judge.

Run: `python -m tools.pocket.evaluate_taught --base BASE` after `evaluate_teaching`, whose library and results
it reads from --out. Draws every taught thing at seven biases (how steadily do identity and prompt follow the
slider?), and pairs of them in one image (is each recognised in its place?). Writes taught.json, taught.md
and pairs.png beside them.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from perfusion_core.concept import Concept
from perfusion_core.evaluation import FrontPoint, monotonicity
from perfusion_core.model.base import load_base
from perfusion_core.sampling.generator import generate_rows
from perfusion_core.sampling.operating_points import RANGES
from perfusion_core.sampling.request import GenerationRequest, Row
from perfusion_core.studio.bases import LoadedBase
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings
from tools.pocket.evaluate_teaching import PLAIN, PROMPTS, concept_name, look
from tools.pocket.judge import ALONE, HAT_NAMES, LEFT, NUMBER, RIGHT, Answer, Judge, load_judge
from tools.pocket.photos import sheet
from tools.pocket.things import PLACES, STYLES, held_out
from tools.pocket.training import open_stage, stage_parser

BIASES = 7
PAIR_PROMPTS = ("a photo of a {} next to a {} on the beach", "a photo of a {} next to a {} in the city")
Taught = tuple[int, Concept]  # number in SPRITES, and what was taught of it


def prompt_score(answer: Answer, row: int, asked: dict[str, str]) -> float:
    """How likely the judge thinks what the prompt asked for: the mean probability of place, hat, style."""
    chances = []
    for what, name in asked.items():
        if what == "hat":
            chances.append(answer.slots["hat"][row, ALONE].softmax(-1)[HAT_NAMES.index(name)])
        else:
            names = list(PLACES if what == "place" else STYLES)
            chances.append(answer.scene[what][row].softmax(-1)[names.index(name)])
    return fmean(float(chance) for chance in chances)


def along(loaded: LoadedBase, judge: Judge, taught: Taught, seeds: int, steps: int) -> list[FrontPoint]:
    """At each of seven biases: the mean cosine to the taught thing (where it has its own colours), and how
    likely what the prompts asked for is."""
    number, concept = taught
    ends = RANGES["local"]
    biases = np.linspace(ends.photo_end, ends.prompt_end, BIASES).tolist()
    rows = [
        Row(200 + seed, {concept.name: bias}, prompt.format(concept.placeholder))
        for bias in biases
        for prompt, _ in PROMPTS
        for seed in range(seeds)
    ]
    asked = GenerationRequest(f"a photo of a {concept.placeholder}", steps=steps)
    made = generate_rows(loaded.base, {concept.name: concept}, asked, rows, covariance=loaded.covariance)
    answer = look(judge, [image.image for image in made.images])
    points, each = [], len(PROMPTS) * seeds
    for k, bias in enumerate(biases):
        own = answer.similarity[k * each : k * each + PLAIN * seeds, ALONE, number]
        told = [prompt_score(answer, k * each + row, PROMPTS[row // seeds][1]) for row in range(each)]
        points.append(FrontPoint(bias, float(own.mean()), fmean(told)))
    return points


def together(
    loaded: LoadedBase, judge: Judge, left: Taught, right: Taught, seeds: int, steps: int
) -> tuple[float, list[Image.Image]]:
    """Share of images in which both taught things are the nearest of all in their places; and the images."""
    concepts = {concept.name: concept for _, concept in (left, right)}
    biases = {name: concept.metadata.bias["local"] for name, concept in concepts.items()}
    names = (left[1].placeholder, right[1].placeholder)
    prompts = [prompt.format(*names) for prompt in PAIR_PROMPTS]
    rows = [Row(300 + seed, biases, prompt) for prompt in prompts for seed in range(seeds)]
    asked = GenerationRequest(prompts[0], steps=steps)
    made = generate_rows(loaded.base, concepts, asked, rows, covariance=loaded.covariance)
    images = [image.image for image in made.images]
    nearest = look(judge, images).similarity.argmax(-1)
    both = (nearest[:, LEFT] == left[0]) & (nearest[:, RIGHT] == right[0])
    return float(both.float().mean()), images


def table(slider: dict[str, tuple[float, float]], pairs: dict[str, float]) -> str:
    """Means, then every thing and every pair."""
    identity, prompt = (fmean(both[k] for both in slider.values()) for k in (0, 1))
    lines = [
        "| figure | mean |",
        "|---|---|",
        f"| slider and identity, Kendall over {BIASES} biases | {identity:.2f} |",
    ]
    lines.append(f"| slider and prompt, Kendall over {BIASES} biases | {prompt:.2f} |")
    if pairs:
        lines.append(f"| two taught things, both recognised in place | {fmean(pairs.values()):.0%} |")
    lines += ["", "| thing | identity | prompt |", "|---|---|---|"]
    lines += [f"| {name} | {both[0]:.2f} | {both[1]:.2f} |" for name, both in slider.items()]
    lines += ["", "| pair | both in place |", "|---|---|"]
    lines += [f"| {name} | {share:.0%} |" for name, share in pairs.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all that was taught, going on where a run was cut off."""
    parser = stage_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="where evaluate_teaching wrote (default: $WORK/teaching)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    work, device = open_stage(options)
    out: Path = options.out or work / "teaching"
    if not (out / "results.json").is_file():
        raise SystemExit(f"Nothing was taught in {out}: run tools.pocket.evaluate_teaching first.")
    results: list[dict[str, Any]] = json.loads((out / "results.json").read_text())
    codes, library = {thing.name: thing.code for thing in held_out().values()}, Library(out / "library")
    loaded = LoadedBase(load_base(str(options.base), device=str(device)), Settings(home=out / "home"))
    judge, path = load_judge(work), out / "taught.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"slider": {}, "pairs": {}}
    taught = {
        name: (NUMBER[result["art"], codes[result["thing"]]], library.load(name))
        for result in results
        for name in [concept_name(result["thing"], result["art"])]
    }
    for name, one in taught.items():
        if name not in found["slider"]:
            points = along(loaded, judge, one, options.seeds, options.steps)
            found["slider"][name] = monotonicity(points)
            found.setdefault("points", {})[name] = [vars(point) for point in points]
            path.write_text(json.dumps(found, indent=1))
            print(name, found["slider"][name], flush=True)
    names, shown = list(taught), []
    for first, second in zip(names[::2], names[1::2], strict=False):
        if f"{first} + {second}" not in found["pairs"]:
            share, images = together(
                loaded, judge, taught[first], taught[second], options.seeds, options.steps
            )
            found["pairs"][f"{first} + {second}"] = share
            path.write_text(json.dumps(found, indent=1))
            shown.append(images)
    if shown:
        sheet(shown, out / "pairs.png")
    (out / "taught.md").write_text(table(found["slider"], found["pairs"]), encoding="utf-8")
    print(table(found["slider"], found["pairs"]))


if __name__ == "__main__":
    main()
