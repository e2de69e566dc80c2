"""Draw a grid from a pipeline folder, to be looked at.

Run: `python -m tools.pocket.look --from FOLDER --out grid.png`.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from tools.pocket.paths import work_dir
from tools.pocket.pictures import save_grid
from tools.pocket.scene import caption, draw_scene
from tools.pocket.training import stage_parser, step_rng

FIXED = (
    "a photo of a dog", "a photo of a cat on the beach", "a photo of a red car in the city",
    "a photo of a bear wearing a top hat in the snow", "a photo of a house on the grass",
    "a photo of a blue bird wearing a crown on a white background", "a photo of a fish under the sea",
    "a photo of a flower on a wooden table", "a photo of a cat next to a ball on the grass",
    "a photo of a green cup next to an apple on a wooden table", "a photo of a robot in space",
    "a photo of a penguin wearing a graduation cap at night", "pixel art of a frog in the forest",
    "a pencil sketch of a butterfly in the desert", "a black and white photo of a horse on the beach",
    "a photo of a purple bag in front of a brick wall",
)  # fmt: skip


def main() -> None:
    """Draw the fixed prompts, and unseen random ones after them, and say how long it took."""
    parser = stage_parser(__doc__)
    parser.add_argument("--from", dest="folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    work = work_dir(options.work)
    pipeline = StableDiffusionPipeline.from_pretrained(
        options.folder or work / "snapshot", safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    rng = step_rng(999, 7, 0)
    prompts = [*FIXED, *(caption(draw_scene(rng)) for _ in range(max(0, options.n - len(FIXED))))][
        : options.n
    ]
    noise = torch.from_numpy(np.random.default_rng(options.seed).standard_normal((len(prompts), 8, 16, 16)))
    began = time.monotonic()
    images = pipeline(
        prompts,
        latents=noise.float(),
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        output_type="pt",
    ).images
    print(f"{len(prompts)} pictures in {time.monotonic() - began:.1f} s")
    save_grid(images, options.out or work / "looks" / "grid.png", columns=8)
    print("\n".join(prompts[len(FIXED) :]))


if __name__ == "__main__":
    main()
