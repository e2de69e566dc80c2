"""Train the judge on rendered scenes of all things, held-out ones included; goes on from its checkpoint.

Run: `python -m tools.pocket.train_judge --steps 3000`. Images are worn a little, as a generator wears them;
some are spoiled beyond recognition and must be told as nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tools.pocket.judge import NOTHING, SCALE, UNKNOWN, Answer, Judge, Labels, labels, save_judge
from tools.pocket.optimiser import Pair
from tools.pocket.render import Renderer, Spread
from tools.pocket.scene import Odds
from tools.pocket.training import Course, Pace, course_parser, open_stage, precision, step_rng
from tools.pocket.wear import spoiled, worn

STAGE = 5
ODDS = Odds(
    pair=0.35,
    hat_alive=0.35,
    hat_other=0.3,
    colour=0.2,
    effect=0.12,
    arts=(0.4, 0.3, 0.3),
    varied=0.0,
    effect_any=True,
)
SPREAD = Spread(shift=6.0, size=0.12, tilt=0.08, light=0.08, hue=0.03)


class JudgePair(Pair):
    """Muon for the convolutions but the first; AdamW for it, the proxies, the heads and wide layers."""

    ENDS = ("trunk.0.", "slot", "scene", "proxies")


def loss_of(answer: Answer, right: Labels) -> Tensor:
    """Cross entropies: which thing (normalised softmax), hat, colour, and the scene."""
    flat = right.things.flatten()
    loss = F.cross_entropy(SCALE * answer.similarity.flatten(0, 1), flat, ignore_index=UNKNOWN)
    for name, logits in answer.slots.items():
        target = right.slots[name].flatten()
        if bool((target != UNKNOWN).any()):
            loss = loss + 0.5 * F.cross_entropy(logits.flatten(0, 1), target, ignore_index=UNKNOWN)
    for name, logits in answer.scene.items():
        target = right.scene[name]
        if bool((target != UNKNOWN).any()):
            loss = loss + 0.25 * F.cross_entropy(logits, target, ignore_index=UNKNOWN)
    return loss


@torch.no_grad()
def accuracy(judge: Judge, renderer: Renderer, n: int) -> dict[str, float]:
    """Shares of right answers on n unseen scenes, slightly worn ones as in training."""
    judge.eval()
    found: dict[str, list[Tensor]] = {}
    for part in range(n // 50):
        batch = renderer.scenes(step_rng(999, STAGE, part), 50)
        answer, right = judge(batch.images), labels(batch.scenes).to(renderer.device)
        pairs = {"thing": (answer.similarity, right.things)}
        pairs |= {name: (logits, right.slots[name]) for name, logits in answer.slots.items()}
        pairs |= {name: (logits, right.scene[name]) for name, logits in answer.scene.items()}
        for name, (logits, target) in pairs.items():
            known = target != UNKNOWN
            found.setdefault(name, []).append((logits.argmax(-1) == target)[known])
    judge.train()
    return {name: round(float(torch.cat(hits).float().mean()), 3) for name, hits in found.items()}


def main() -> None:
    """Train until `--steps`, then write $WORK/judge."""
    parser = course_parser(__doc__, "judge", steps=3000, batch=48)
    parser.add_argument("--spoil", type=int, default=3)
    options = parser.parse_args()
    work, device = open_stage(options)
    judge = Judge().to(device).train()
    course = Course(
        work, options.name, "judge", judge, JudgePair(judge, options.rate, muon=True), options.out
    )
    course.begin(options.start)
    renderer = Renderer(work, device, ODDS, SPREAD, refuse=False)
    spoil, pace = options.spoil, Pace.of(options)
    for step in course.steps(pace, options.batch, lambda: str(accuracy(judge, renderer, 300))):
        rng = step_rng(options.seed, STAGE, step)
        batch = renderer.scenes(rng, options.batch)
        images, right = worn(batch.images, rng), labels(batch.scenes).to(device)
        images[-spoil:] = spoiled(images[-spoil:], rng)
        for head in (*right.slots.values(), *right.scene.values()):
            head[-spoil:] = UNKNOWN
        right.things[-spoil:] = NOTHING
        with precision(device):
            answer = judge(images)
        course.learn(loss_of(answer, right), pace.rate(step))
    save_judge(judge, work)
    if pace.seconds is None:
        course.log(f"on 1000 scenes: {accuracy(judge, renderer, 1000)}")


if __name__ == "__main__":
    main()
