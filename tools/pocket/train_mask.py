"""Train the segmenter (a word and a picture -> a soft mask) from scratch; goes on from its checkpoint.

Run: `python -m tools.pocket.train_mask --steps 1600`. Writes $WORK/mask, a folder for
transformers' CLIPSegForImageSegmentation in half precision.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from tools.pocket.domain import CLASSES, PLACES
from tools.pocket.make_examples import draw_photo, sprite
from tools.pocket.mask_lessons import ODDS, SPREAD, WORDINGS, OtherThings, draw_lesson
from tools.pocket.mask_model import (
    build_mask,
    mask_logits,
    naming_logits,
    overlap,
    patch_states,
    save_mask,
    soft_masks,
    word_vectors,
)
from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.pictures import save_grid
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds, Scene, Thing, draw_thing
from tools.pocket.sprites import held_out
from tools.pocket.training import Course, course_parser, learning_rate, step_rng
from tools.pocket.words import load_tokenizer, token_ids

STAGE = 4
PHOTO_PLACES = [name for name in PLACES if name != "plain"]


def mask_loss(logits: Tensor, true: Tensor, things: Tensor | None = None) -> Tensor:
    """Cross entropy a pixel plus one minus the soft Dice overlap; (n, h, w) both, a scalar out.

    Pixels of `things` (n, 2, h, w), asked for or not, count four times: there it is decided which is meant.
    """
    made = logits.float().sigmoid()
    shared = 2 * (made * true).sum((1, 2)) + 1
    dice = 1 - shared / (made.sum((1, 2)) + true.sum((1, 2)) + 1)
    weights = torch.ones_like(true) if things is None else 1 + 3 * things.amax(1)
    pixels = F.binary_cross_entropy_with_logits(logits.float(), true, weights / weights.mean())
    return pixels + 0.5 * dice.mean()


def naming_loss(fit: Tensor, things: Tensor, kinds: Tensor) -> Tensor:
    """Cross entropy of naming the patches (n, 64, k) that a thing of known class fills, from k words.

    Without it the words learn nothing: all things of a picture together are the first thing that the mask's
    own loss finds, and there it stays. things: (n, 2, 128, 128); kinds: (n, 2) in [0, k) or -1 for unknown.
    """
    share = F.avg_pool2d(things, things.shape[-1] // 8).flatten(2)
    row, slot, patch = torch.nonzero((share > 0.4) & (kinds[..., None] >= 0), as_tuple=True)
    return F.cross_entropy(fit[row, patch], kinds[row, slot]) if len(row) else fit.sum() * 0


def unseen_photos(work: Path, each: int = 5) -> tuple[Tensor, Tensor, list[str]]:
    """Photos (n, 3, 128, 128) of every held-out thing, masks (n, 128, 128), and its superclass words."""
    places = [*PHOTO_PLACES, "plain blue", "plain white", "plain green"]
    images, masks, words = [], [], []
    for row, thing in enumerate(held_out().values()):
        picture = sprite(thing.code, work)
        for number in range(each):
            rng = step_rng(999, STAGE, row * 100 + number)
            image, mask = draw_photo(picture, places[rng.integers(len(places))], rng, number % 2 == 0)
            images.append(F.avg_pool2d(image[None], 2)[0])
            masks.append(F.avg_pool2d(mask[None], 2)[0, 0])
            words.append(thing.superclass)
    return torch.stack(images), torch.stack(masks), words


def try_unseen(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, work: Path, look: Path | None = None
) -> dict[str, float]:
    """IoU on held-out things prompted by their superclass: the mean, and each word's own."""
    model.eval()
    images, masks, words = unseen_photos(work)
    device = next(model.parameters()).device
    found = torch.cat(
        [
            soft_masks(model, tokenizer, images[i : i + 20].to(device), words[i : i + 20]).cpu()
            for i in range(0, 60, 20)
        ]
    )
    scores = overlap(found, masks)
    figures = {"mean": float(scores.mean())}
    for thing, part in zip(held_out().values(), scores.view(-1, 5), strict=True):
        figures[thing.name] = float(part.mean())
    if look is not None:
        pairs = torch.stack([images, found[:, None].expand(-1, 3, -1, -1)], 1)[::5].flatten(0, 1)
        save_grid(pairs, look, columns=8)
    model.train()
    return {name: round(value, 3) for name, value in figures.items()}


def try_unseen_pairs(
    model: CLIPSegForImageSegmentation, tokenizer: CLIPTokenizer, work: Path, each: int = 4
) -> float:
    """Mean IoU on held-out things that stand beside a known one, prompted by their superclass."""
    model.eval()
    device = next(model.parameters()).device
    renderer, rng = Renderer(work, device, allow_held_out=True), step_rng(999, STAGE, 10**5)
    specs, sides = [], []
    for thing in held_out().values():
        for number in range(each):
            known = draw_thing(rng, Odds(), _unlike(thing.superclass, rng), True)
            pair = (Thing(thing.superclass, thing.code), known)
            specs.append(Scene(pair if number % 2 == 0 else pair[::-1], str(rng.choice(PHOTO_PLACES))))
            sides.append(number % 2)
    batch = renderer.draw(rng, specs)
    words = [spec.things[side].kind for spec, side in zip(specs, sides, strict=True)]
    found = soft_masks(model, tokenizer, batch.images, words)
    model.train()
    return round(float(overlap(found, batch.masks[torch.arange(len(sides)), sides]).mean()), 3)


def _unlike(superclass: str, rng: np.random.Generator) -> str:
    return str(rng.choice([kind for kind in CLASSES if kind != superclass]))


def main() -> None:
    """Train until `--steps`, then write $WORK/mask."""
    parser = course_parser(__doc__, "mask", steps=1600, batch=24)
    parser.add_argument("--naming", type=float, default=0.5, help="weight of naming things patch by patch")
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    torch.manual_seed(options.seed)
    tokenizer = load_tokenizer(work)
    model = build_mask(tokenizer).to(device).train()
    course = Course(work, options.name, "mask", model, Pair(model, options.rate, muon=True))
    course.begin(options.start)
    renderer = Renderer(work, device, odds=ODDS, spread=SPREAD)
    others = OtherThings(renderer, step_rng(options.seed, STAGE, 10**6))
    course.log(f"{len(others.codes)} other things")

    def report() -> str:
        alone = try_unseen(model, tokenizer, work, work / "looks" / f"{options.name}.png")
        return f"unseen IoU {alone}, in pairs {try_unseen_pairs(model, tokenizer, work)}"

    for step in course.steps(options.steps, options.batch, report):
        rng = step_rng(options.seed, STAGE, step)
        lesson = draw_lesson(renderer, others, rng, options.batch)
        wording = WORDINGS[rng.integers(len(WORDINGS))]
        names = [wording.format(kind) for kind in CLASSES]
        words = word_vectors(model, token_ids(tokenizer, [*lesson.prompts, *names]).to(device))
        states = patch_states(model, lesson.images)
        loss = mask_loss(mask_logits(model, states, words[: options.batch]), lesson.masks, lesson.things)
        fit = naming_logits(model, states, words[options.batch :])
        loss = loss + options.naming * naming_loss(fit, lesson.things, lesson.kinds)
        course.learn(loss, learning_rate(step, options.rate, 40, options.steps, options.cooldown))
    save_mask(model, tokenizer, work / "mask")


if __name__ == "__main__":
    main()
