"""Look at a UNet while it trains: things by name, things and held-out things from their codes.

Run: `python -m tools.pocket2.look --unet unet2`. Writes $WORK/looks/NAME-STEP.png: a row of renderings, then
a row drawn from their codes, for seen and for held-out things; then things drawn by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from tools.pocket import checkpoint
from tools.pocket.paths import work_dir
from tools.pocket.pictures import save_grid
from tools.pocket.training import precision, stage_parser, step_rng
from tools.pocket2 import codes
from tools.pocket2.denoiser import SplitAttention
from tools.pocket2.export import averaged_unet, scheduler
from tools.pocket2.render import Renderer
from tools.pocket2.scene import Caption, Scene, Thing, caption
from tools.pocket2.shards import frozen
from tools.pocket2.text import Encoder, load_tokenizer
from tools.pocket2.things import ARTS, all_kinds, held_out, kinds

PLACES = ("beach", "snow", "brick", "grass", "city", "desert")


class Painter:
    """Draws images from captions, with codes at their nouns where they are given."""

    def __init__(self, work: Path, unet: UNet2DConditionModel) -> None:
        self.unet, self.vae = unet.eval(), frozen(work)
        self.unet.set_attn_processor(SplitAttention())
        self.text = CLIPTextModel.from_pretrained(work / "text-frozen").eval()
        self.encode = Encoder(load_tokenizer(work))

    @torch.no_grad()
    def __call__(
        self,
        captions: list[Caption],
        coded: Tensor | None = None,
        guidance: float = 3.0,
        steps: int = 20,
        seed: int = 0,
    ) -> Tensor:
        """Images (n, 3, 128, 128) in [0, 1]. coded: (n, 192) for the first noun of each caption."""
        ids, nouns = self.encode([*captions, *[Caption((), ())] * len(captions)])
        states = self.text(input_ids=ids).last_hidden_state
        values = states.clone()
        if coded is not None:
            values[torch.arange(len(captions)), nouns[: len(captions), 0], : codes.WIDTH] = coded
        both = torch.cat([states, values], 1)
        noise = np.random.default_rng(seed).standard_normal((len(captions), 8, 16, 16), dtype=np.float32)
        latents, plan = torch.from_numpy(noise), scheduler()
        plan.set_timesteps(steps)
        for time in plan.timesteps:
            with precision(latents.device):
                made = self.unet(torch.cat([latents, latents]), time, both).sample.float()
            told, empty = made.chunk(2)
            latents = plan.step(empty + guidance * (told - empty), time, latents).prev_sample
        with precision(latents.device):
            parts = [
                self.vae.decode(part / self.vae.config.scaling_factor).sample for part in latents.split(16)
            ]
        return (torch.cat(parts).float() / 2 + 0.5).clamp(0, 1)


def main() -> None:
    """Draw the sheet."""
    parser = stage_parser(__doc__)
    parser.add_argument("--unet", default="unet2")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work, n = work_dir(options.work), options.columns
    saved = checkpoint.load(work / "checkpoints" / f"{options.unet}.pt")
    assert saved is not None
    painter = Painter(work, averaged_unet(work, options.unet))
    coder, _ = codes.load(work)
    renderer = Renderer(work, refuse=False)
    names = {kind.code: kind.name for kind in all_kinds()}
    numbers = {kind.name: number for number, kind in enumerate(kinds())}
    seen = [kind for kind in kinds() if not kind.name.startswith(("x",))][:: len(kinds()) // n][:n]
    rows = []
    unseen = list(held_out().values())
    for things in (seen, unseen[:n], unseen[n:]):
        scenes, told = [], []
        for number, thing in enumerate(things):
            art = ARTS[number % 3] if renderer.book.has(ARTS[number % 3], thing.code) else "photo"
            place = PLACES[number % len(PLACES)]
            word = getattr(thing, "superclass", None) or names[thing.code]
            scenes.append(Scene((Thing(numbers[word], (art, thing.code)),), place))
            told.append(caption(scenes[-1], names=(word,)))
        batch = renderer.draw(step_rng(999, 8, 0), scenes)
        blank = torch.ones(n - len(things), 3, 128, 128)
        rows += [batch.images, blank, painter(told, coder(batch.looks[:, 0]), options.guidance), blank]
    words = [seen[i].name for i in range(n)]
    styles = [ARTS[i % 3] for i in range(n)]
    named = [
        caption(Scene((Thing(numbers[word], (style, seen[i].code)),), PLACES[i % 6], style=style))
        for i, (word, style) in enumerate(zip(words, styles, strict=True))
    ]
    rows.append(painter(named, None, options.guidance))
    path = work / "looks" / f"{options.unet}-{saved['step']}.png"
    save_grid(torch.cat(rows), path, columns=n)
    print(path, [str(each) for each in named])


if __name__ == "__main__":
    main()
