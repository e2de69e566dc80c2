"""Train the segmenter (a word and an image -> a soft mask) from scratch; goes on from its checkpoint.

Run: `python -m tools.pocket.train_mask --steps 5000`. Writes $WORK/mask, a folder for transformers'
CLIPSegForImageSegmentation in half precision. To tell the named one of two things takes several thousand
steps; finding a lone thing takes a few hundred.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPSegForImageSegmentation, CLIPTokenizer

from tools.pocket.mask_lessons import SPREAD, WORDINGS, draw_lesson
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
from tools.pocket.photos import SPREAD as PHOTO_SPREAD
from tools.pocket.pictures import save_grid
from tools.pocket.render import Batch, Renderer
from tools.pocket.scene import Scene, Thing
from tools.pocket.text import load_tokenizer, token_ids
from tools.pocket.things import ARTS, PLACES, held_out
from tools.pocket.training import Course, Pace, course_parser, open_stage, step_rng

STAGE = 13


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
    """Cross entropy of naming the patches (n, 64, k) that a thing of known kind fills, from k words.

    Without it the words learn nothing: all things of an image together are the first thing that the mask's
    own loss finds, and there it stays. things: (n, 2, 128, 128); kinds: (n, 2) in [0, k) or -1 for unknown.
    """
    share = F.avg_pool2d(things, things.shape[-1] // 8).flatten(2)
    row, slot, patch = torch.nonzero((share > 0.4) & (kinds[..., None] >= 0), as_tuple=True)
    return F.cross_entropy(fit[row, patch], kinds[row, slot]) if len(row) else fit.sum() * 0


def unseen(renderer: Renderer, beside: bool) -> tuple[Batch, list[str], list[int]]:
    """Scenes of every held-out thing in every art style, the words that ask for it, and where it stands.

    Alone, or `beside` a known thing of another group. `renderer` must be one that does not refuse them.
    """
    rng, scenes, words, sides = step_rng(999, STAGE, int(beside)), [], [], []
    numbers = {kind.code: number for number, kind in enumerate(renderer.world.kinds)}
    groups = {kind.name: kind.group for kind in renderer.world.kinds}
    for thing in held_out().values():
        for art in ARTS:
            if not renderer.book.has(art, thing.code):
                continue
            things, side = [Thing(numbers[thing.code], (art, thing.code))], 0
            if beside:
                number, sprite = renderer.world.sprite(rng, art)
                while (
                    renderer.world.kinds[number].group == groups[thing.superclass] or sprite[1] in held_out()
                ):
                    number, sprite = renderer.world.sprite(rng, art)
                side = int(rng.integers(2))
                things.insert(1 - side, Thing(number, sprite))
            place = str(rng.choice([name for name in PLACES if name != "plain"]))
            scenes.append(Scene(tuple(things), place))
            words.append(thing.superclass)
            sides.append(side)
    return renderer.draw(rng, scenes), words, sides


def iou(
    model: CLIPSegForImageSegmentation,
    tokenizer: CLIPTokenizer,
    renderer: Renderer,
    beside: bool,
    look: Path | None = None,
) -> float:
    """Mean IoU on held-out things, prompted by their superclass; see `unseen`."""
    learning, device = model.training, next(model.parameters()).device
    model.eval()
    batch, words, sides = unseen(renderer, beside)
    parts = range(0, len(words), 24)
    found = torch.cat(
        [soft_masks(model, tokenizer, batch.images[i : i + 24].to(device), words[i : i + 24]) for i in parts]
    )
    true = batch.masks[torch.arange(len(sides)), torch.tensor(sides)].to(device)
    if look is not None:
        save_grid(
            torch.stack([batch.images[:32].to(device), found[:32, None].expand(-1, 3, -1, -1)], 1).flatten(
                0, 1
            ),
            look,
        )
    model.train(learning)
    return round(float(overlap(found, true).mean()), 3)


def main() -> None:
    """Train until `--steps`, then write $WORK/mask."""
    parser = course_parser(__doc__, "mask", steps=5000, batch=24)
    parser.add_argument("--naming", type=float, default=0.5, help="weight of naming things patch by patch")
    options = parser.parse_args()
    work, device = open_stage(options)
    tokenizer = load_tokenizer(work)
    model = build_mask(tokenizer).to(device).train()
    course = Course(work, options.name, "mask", model, Pair(model, options.rate, muon=True), options.out)
    course.begin(options.start)
    renderer = Renderer(work, device, spread=SPREAD)
    judged = Renderer(work, device, spread=PHOTO_SPREAD, refuse=False)
    look = work / "looks" / f"{options.name}.png"
    names = [kind.name for kind in renderer.world.kinds]

    def report() -> str:
        alone, named = iou(model, tokenizer, judged, False), iou(model, tokenizer, judged, True, look)
        return f"IoU on held-out things: alone {alone}, the named of two {named}"

    pace = Pace.of(options)
    for step in course.steps(pace, options.batch, report):
        rng = step_rng(options.seed, STAGE, step)
        lesson = draw_lesson(renderer, rng, options.batch)
        wording = WORDINGS[rng.integers(len(WORDINGS))]
        asked = [*lesson.prompts, *(wording.format(name) for name in names)]
        words = word_vectors(model, token_ids(tokenizer, asked).to(device))
        states = patch_states(model, lesson.images)
        loss = mask_loss(mask_logits(model, states, words[: options.batch]), lesson.masks, lesson.things)
        fit = naming_logits(model, states, words[options.batch :])
        loss = loss + options.naming * naming_loss(fit, lesson.things, lesson.kinds)
        course.learn(loss, pace.rate(step))
    save_mask(model, tokenizer, work / "mask")


if __name__ == "__main__":
    main()
