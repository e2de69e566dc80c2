"""Train the scorer on fresh scenes: images find their captions, and a thing's images find each other.

Run: `python -m tools.pocket.train_clip --steps 900`; goes on from its checkpoint. Its text tower begins as
the base's text encoder, its image tower as an earlier CLIP's (`--first`). Beside captions wrong in one thing
it is shown half-formed and broken drawings of the things, which must rank below true ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from tools.pocket.clip import (
    STAGE,
    begun,
    build_clip,
    contrast,
    elsewhere,
    identity,
    image_vectors,
    loosely_told,
    near_miss,
    ranking,
    right_captions,
    text_vectors,
)
from tools.pocket.drawings import Drawings
from tools.pocket.drawings import load as load_drawings
from tools.pocket.export import processor, replace_folder
from tools.pocket.optimiser import Pair
from tools.pocket.render import Renderer, Spread
from tools.pocket.scene import Odds, Scene, Thing
from tools.pocket.text import Encoder, load_tokenizer
from tools.pocket.things import PLACES
from tools.pocket.training import Course, Pace, course_parser, open_stage, precision, step_rng
from tools.pocket.wear import spoiled, worn

ODDS = Odds(varied=0.0, pair=0.3, colour=0.25, effect=0.12, effect_any=True, arts=(0.4, 0.3, 0.3))
SPREAD = Spread(shift=6.0, size=0.12, tilt=0.08, light=0.06, hue=0.02)
MISSES = 2  # captions wrong in one thing, for each image


def drawn_badly(
    drawings: Drawings, renderer: Renderer, rng: np.random.Generator, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Photos of `count` things, other photos of them, and their half-formed and broken drawings."""
    pick = torch.from_numpy(rng.choice(len(drawings.sprites), size=count, replace=False))
    places = [place for place in PLACES if place != "plain"]
    scenes = [
        Scene((Thing(0, drawings.sprites[int(k)]),), str(rng.choice(places))) for _ in range(2) for k in pick
    ]
    photos, others = renderer.draw(rng, scenes).images.chunk(2)
    half, rubble = drawings.half[pick].to(photos.device), drawings.rubble[pick].to(photos.device)
    heaps = spoiled(others[: count // 3], rng)  # in which nothing of the thing is left
    return photos, others, half, torch.cat([heaps, rubble[len(heaps) :]])


def equal_things(things: list[Thing], device: torch.device) -> Tensor:
    """Which two of these are the same picture in the same colour, (n, n), False on the diagonal."""
    return torch.tensor(
        [
            [a != b and (one.sprite, one.colour) == (two.sprite, two.colour) for b, two in enumerate(things)]
            for a, one in enumerate(things)
        ],
        device=device,
    )


def save(clip: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the scorer in half precision as a folder that from_pretrained loads."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    half = build_clip(tokenizer)
    half.load_state_dict(clip.state_dict())
    half.half().eval().save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    processor().save_pretrained(partial)
    replace_folder(partial, folder)


def main() -> None:
    """Train until `--steps`, then write the folder $WORK/clip."""
    parser = course_parser(__doc__, "clip", steps=900, batch=64)
    parser.add_argument(
        "--first", type=Path, help="folder of an earlier CLIP, whose image tower to begin with"
    )
    parser.add_argument("--drawn", type=int, default=12, help="things with half-formed and broken drawings")
    parser.add_argument("--unnamed", type=float, default=0.0, help="share of things called by another word")
    parser.add_argument("--strange", action="store_true", help="wrong captions name another of the group")
    options = parser.parse_args()
    work, device = open_stage(options)
    renderer, judged = Renderer(work, device, ODDS, SPREAD), Renderer(work, device, refuse=False)
    tokenizer = load_tokenizer(work)
    encode, drawings = Encoder(tokenizer), load_drawings(work)
    if drawings is None:
        raise SystemExit("There are no drawings: run `python -m tools.pocket.drawings` first.")
    clip = begun(tokenizer, work / "text-frozen", options.first).to(device).train()
    course = Course(work, options.name, "clip", clip, Pair(clip, options.rate, muon=True), options.out)
    course.begin(options.start)
    n, drawn = options.batch, options.drawn

    def report() -> str:
        clip.eval()
        right, ranks = right_captions(clip, encode, renderer), ranking(clip, work, judged)
        clip.train()
        return f"right caption of 500 {right:.1%}, {ranks}"

    pace = Pace.of(options)
    for step in course.steps(pace, n, report):
        rng = step_rng(options.seed, STAGE, step)
        batch = renderer.scenes(rng, n)
        named = [bool(known) for known in rng.random(n) >= options.unnamed]
        wrong = [
            near_miss(scene, rng, renderer.world, k == 0 and options.strange, known)
            for k in range(MISSES)
            for scene, known in zip(batch.scenes, named, strict=True)
        ]
        captions = loosely_told([*batch.scenes, *wrong], named * (1 + MISSES), rng, renderer.world)
        ids = encode(captions)[0].to(device)
        equal = (ids[:n, None] == ids[None, :n]).all(-1) & ~torch.eye(n, dtype=torch.bool, device=device)
        again = renderer.draw(rng, [elsewhere(scene, rng) for scene in batch.scenes[: n // 2]]).images
        photos, others, half, rubble = drawn_badly(drawings, renderer, rng, drawn)
        images = torch.cat([worn(batch.images, rng), worn(again, rng), worn(photos, rng), worn(others, rng)])
        with precision(device):
            vectors = image_vectors(clip, torch.cat([images, half, rubble]))
            texts = text_vectors(clip, ids)
        seen, second, mine, other, to_half, to_rubble = vectors.split([n, n // 2, *[drawn] * 4])
        near = texts[n:].unflatten(0, (MISSES, n)).transpose(0, 1)
        loss = contrast(seen, texts[:n], near, clip.logit_scale.exp().clamp(max=100), equal)
        # Two images of one thing: of those with drawings first, then of lone things in the scenes.
        alone = [k for k in range(n // 2) if len(batch.scenes[k].things) == 1]
        left, right = torch.cat([mine, seen[alone]]), torch.cat([other, second[alone]])
        same = torch.zeros(len(left), len(left), dtype=torch.bool, device=device)
        same[drawn:, drawn:] = equal_things([batch.scenes[k].things[0] for k in alone], device)
        loss = loss + 0.5 * identity(left, right, to_half, to_rubble, same)
        course.learn(loss, pace.rate(step))
    save(clip, tokenizer, work / "clip")


if __name__ == "__main__":
    main()
