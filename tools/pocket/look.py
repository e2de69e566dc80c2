"""Look at a UNet while it trains: things by name, things and held-out things from their codes.

Run: `python -m tools.pocket.look --unet unet`. Writes $WORK/looks/NAME-STEP.png: a row of renderings, then
a row drawn from their codes, for seen and for held-out things; then things drawn by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from perfusion_core.model.families.stable_diffusion import STABLE_DIFFUSION
from tools.pocket import checkpoint, codes
from tools.pocket.autoencoder import frozen
from tools.pocket.denoiser import SplitAttention, scheduler
from tools.pocket.export import averaged_unet
from tools.pocket.pictures import save_grid
from tools.pocket.render import Renderer
from tools.pocket.scene import Caption, Scene, Thing, caption
from tools.pocket.text import Encoder, load_tokenizer
from tools.pocket.things import ARTS, all_kinds, held_out, kinds
from tools.pocket.training import open_stage, precision, stage_parser, step_rng

GUIDANCE = (STABLE_DIFFUSION.small_sampling or STABLE_DIFFUSION.sampling)[2]  # the app's own
PLACES = ("beach", "snow", "brick", "grass", "city", "desert")


class Painter:
    """Draws images from captions, with codes at their nouns where they are given."""

    def __init__(self, work: Path, unet: UNet2DConditionModel, device: torch.device) -> None:
        self.device, self.unet, self.vae = device, unet.to(device).eval(), frozen(work, device)
        self.unet.set_attn_processor(SplitAttention())
        self.text = CLIPTextModel.from_pretrained(work / "text-frozen").to(device).eval()
        self.encode = Encoder(load_tokenizer(work))

    @torch.no_grad()
    def __call__(
        self,
        captions: list[Caption],
        coded: Tensor | None = None,
        guidance: float = GUIDANCE,
        steps: int = 20,
        seed: int = 0,
    ) -> Tensor:
        """Images (n, 3, 128, 128) in [0, 1]. coded: (n, 192) for the first noun of each caption."""
        ids, nouns = self.encode([*captions, *[Caption((), ())] * len(captions)])
        states = self.text(input_ids=ids.to(self.device)).last_hidden_state
        values = states.clone()
        if coded is not None:
            rows = torch.arange(len(captions), device=self.device)
            values[rows, nouns[: len(captions), 0].to(self.device), : codes.WIDTH] = coded
        both = torch.cat([states, values], 1)
        noise = np.random.default_rng(seed).standard_normal((len(captions), 8, 16, 16), dtype=np.float32)
        latents, plan = torch.from_numpy(noise).to(self.device), scheduler()
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
    parser.add_argument("--unet", default="unet")
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--columns", type=int, default=16)
    options = parser.parse_args()
    (work, device), n = open_stage(options), options.columns
    saved = checkpoint.need(work, options.unet.split("+")[0], "train_unet")
    painter = Painter(work, averaged_unet(work, options.unet), device)
    coder = codes.load(work)[0].to(device)
    renderer = Renderer(work, device, refuse=False)
    names = {kind.code: kind.name for kind in all_kinds()}
    numbers = {kind.name: number for number, kind in enumerate(kinds())}
    seen = kinds()[:: len(kinds()) // n][:n]
    rows = []
    unseen = list(held_out().values())
    for things in (seen, unseen[:n], unseen[n : 2 * n]):
        scenes, told = [], []
        for number, thing in enumerate(things):
            art = ARTS[number % 3] if renderer.book.has(ARTS[number % 3], thing.code) else "photo"
            place = PLACES[number % len(PLACES)]
            word = getattr(thing, "superclass", None) or names[thing.code]
            scenes.append(Scene((Thing(numbers[word], (art, thing.code)),), place))
            told.append(caption(scenes[-1], names=(word,)))
        batch = renderer.draw(step_rng(999, 8, 0), scenes)
        blank = torch.ones(n - len(things), 3, 128, 128, device=device)
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
