"""Train the text encoder on captions alone: a noun's state says what the thing looks like.

Run: `python -m tools.pocket.train_text --steps 1300`. The first 192 numbers of a noun's state are the
appearance code of the thing (in the style and colour the caption names); those of every other state are
zero. The last 64 tell which word it is, whether the thing stands alone, left or right, the place and the
style. So a look has one place in the text, where a concept can put its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from tools.pocket import codes
from tools.pocket.optimiser import Pair
from tools.pocket.render import Renderer
from tools.pocket.scene import Caption, Odds, Scene, Thing, World, caption
from tools.pocket.table import draw_table
from tools.pocket.text import WIDTH, Encoder, build_text, load_tokenizer
from tools.pocket.things import ARTS, COLOURS, PLACES, STYLES, kinds
from tools.pocket.training import Course, Pace, course_parser, open_stage, precision, step_rng

STAGE = 3
ODDS = Odds(varied=0.0, pair=0.4, colour=0.4, arts=(0.4, 0.3, 0.3))
CODE = codes.WIDTH
UNKNOWN = -100
SHADES = (None, *COLOURS)


class TextCourse(nn.Module):
    """The text encoder and the linear heads that ask its states; the heads are thrown away."""

    def __init__(self, text: CLIPTextModel, vocabulary: int) -> None:
        super().__init__()
        self.text = text
        rest = WIDTH - CODE
        sizes = {
            "word": vocabulary,
            "slot": 3,
            "place": len(PLACES),
            "backdrop": len(COLOURS),
            "style": len(STYLES),
        }
        self.heads = nn.ModuleDict({name: nn.Linear(rest, size) for name, size in sizes.items()})


class TextPair(Pair):
    """The heads are ends too: AdamW."""

    ENDS = ("embedding", "heads")


@dataclass(frozen=True)
class Lesson:
    """ids (n, T); code (n, T, 192), what each state should hold; targets by head (n, T) or UNKNOWN."""

    ids: Tensor
    code: Tensor
    targets: dict[str, Tensor]

    def to(self, device: torch.device) -> Lesson:
        """The same on a device."""
        targets = {name: target.to(device) for name, target in self.targets.items()}
        return Lesson(self.ids.to(device), self.code.to(device), targets)


def code_of(table: Tensor, thing: Thing) -> Tensor:
    """The code of a plain thing, from the table."""
    return table[thing.kind, ARTS.index(thing.sprite[0]), SHADES.index(thing.colour)]


def make_lesson(scenes: list[Scene], captions: list[Caption], encode: Encoder, table: Tensor) -> Lesson:
    """What the states of these captions should say."""
    ids, nouns = encode(captions)
    longest = int((ids != encode.end).sum(1).max()) + 1
    n = len(scenes)
    code = torch.zeros(n, longest, CODE)
    targets = {name: torch.full((n, longest), UNKNOWN) for name in ("slot", "place", "backdrop", "style")}
    for row, scene in enumerate(scenes):
        end = int((ids[row] != encode.end).sum())
        for slot, thing in enumerate(scene.things):
            position = int(nouns[row, slot])
            if position < 0:
                continue
            code[row, position] = code_of(table, thing)
            until = int(nouns[row, slot + 1]) if slot + 1 < len(scene.things) else position + 4
            # A hat's words know whose hat it is.
            targets["slot"][row, position : min(until, longest) if thing.hat else position + 1] = (
                0 if len(scene.things) == 1 else 1 + slot
            )
        targets["style"][row, 3:end] = list(STYLES).index(scene.style)
        if scene.told_place:
            targets["place"][row, end - 1 : end + 1] = list(PLACES).index(scene.place)
            if scene.place_colour:
                targets["backdrop"][row, end - 1 : end + 1] = list(COLOURS).index(scene.place_colour)
    return Lesson(ids[:, :longest], code, {"word": ids[:, :longest].clone(), **targets})


def loss_of(course: TextCourse, lesson: Lesson) -> Tensor:
    """Mean square of the code (nouns and other words in equal parts) and small cross entropies."""
    states = course.text(input_ids=lesson.ids).last_hidden_state.float()
    error = (states[..., :CODE] - lesson.code).square().mean(-1)
    noun = lesson.code.abs().sum(-1) > 0
    loss = error[noun].mean() + error[~noun].mean()
    for name, target in lesson.targets.items():
        if bool((target == UNKNOWN).all()):
            continue
        logits = course.heads[name](states[..., CODE:])
        loss = loss + 0.05 * F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=UNKNOWN)
    return loss


@torch.no_grad()
def judge(text: CLIPTextModel, encode: Encoder, table: Tensor, world: World) -> dict[str, float]:
    """Mean square error of the code at the noun of "a STYLE of a (COLOUR) NAME", over all kinds."""
    figures = {}
    for art in ARTS:
        for colour in (None, "blue"):
            things = [Thing(number, (art, kinds()[number].code), colour) for number in world.drawable[art]]
            told = [caption(Scene((thing,), "beach", style=art)) for thing in things]
            ids, nouns = encode(told)
            parts = [text(input_ids=part.to(text.device)).last_hidden_state for part in ids.split(64)]
            found = torch.cat(parts).float().cpu()[torch.arange(len(ids)), nouns[:, 0], :CODE]
            true = torch.stack([code_of(table, thing) for thing in things])
            figures[f"{art} {colour or 'plain'}"] = round(float((found - true).square().mean()), 4)
    return figures


def freeze(work: Path, text: CLIPTextModel) -> None:
    """Write the text encoder for the UNet to train on."""
    text.eval().save_pretrained(work / "text-frozen")


def main() -> None:
    """Train until `--steps`, then freeze."""
    parser = course_parser(__doc__, "text", steps=5000, batch=128)
    options = parser.parse_args()
    work, device = open_stage(options)
    tokenizer = load_tokenizer(work)
    encode = Encoder(tokenizer)
    _, table = codes.load(work)
    world = Renderer(work).world
    course_net = TextCourse(build_text(tokenizer), len(tokenizer)).to(device).train()
    course = Course(
        work, options.name, "text", course_net, TextPair(course_net, options.rate, muon=True), options.out
    )
    course.begin(options.start)

    def report() -> str:
        return str(judge(course_net.text, encode, table, world))

    pace = Pace.of(options, warmup=60)
    for step in course.steps(pace, options.batch, report):
        rng: np.random.Generator = step_rng(options.seed, STAGE, step)
        scenes = draw_table(rng, ODDS, world, options.batch).scenes()
        lesson = make_lesson(scenes, [caption(scene, rng) for scene in scenes], encode, table).to(device)
        with precision(device):
            loss = loss_of(course_net, lesson)
        course.learn(loss, pace.rate(step))
    freeze(work, course_net.text)


if __name__ == "__main__":
    main()
