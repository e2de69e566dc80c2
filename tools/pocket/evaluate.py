"""Measure a pocket pipeline on unseen prompts with the judge, and look at it.

Run: `python -m tools.pocket.evaluate --pipeline assets/pocket --prompts 500`. Pictures are kept as they are
made, so a run that was cut off goes on; another pipeline or setting starts afresh. Writes figures.json,
table.md and grid.png to --out. Prompts come from the seed 999, which no training stage uses.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from tools.pocket import checkpoint
from tools.pocket.autoencoder import decibels
from tools.pocket.figures import summary, table, write
from tools.pocket.judge import folder as judge_folder
from tools.pocket.judge import load_judge
from tools.pocket.mask_model import load_mask
from tools.pocket.paths import work_dir
from tools.pocket.pictures import save_grid
from tools.pocket.render import Renderer
from tools.pocket.scene import Scene, caption, draw_scene
from tools.pocket.train_clip import judge as clip_right
from tools.pocket.train_mask import try_unseen, try_unseen_pairs
from tools.pocket.training import precision, stage_parser, step_rng
from tools.pocket.verdicts import decide, look

STAGE = 7
UNSEEN = 999


def unseen_prompts(n: int) -> tuple[list[Scene], list[str]]:
    """n scenes and their captions; the first ones do not depend on n."""
    specs, captions = [], []
    for number in range(n):
        rng = step_rng(UNSEEN, STAGE, number)
        spec = draw_scene(rng)
        specs.append(spec)
        captions.append(caption(spec, rng))
    return specs, captions


def pipeline_print(folder: Path) -> str:
    """A short fingerprint of the weights that make pictures."""
    digest = hashlib.sha256()
    for part in ("unet", "vae", "text_encoder"):
        for path in sorted((folder / part).glob("*.safetensors")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def generate(
    pipe: StableDiffusionPipeline, captions: list[str], steps: int, guidance: float, batch: int, kept: Path
) -> Tensor:
    """Pictures (n, 3, 128, 128) in [0, 1], finished ones reused; each has its own seed whatever the batch."""
    saved = checkpoint.load(kept)
    pictures = saved["pictures"] if saved else torch.empty(0, 3, 128, 128, dtype=torch.uint8)
    while len(pictures) < len(captions):
        first = len(pictures)
        words = captions[first : first + batch]
        seeds = [torch.Generator().manual_seed(UNSEEN * 100_000 + first + k) for k in range(len(words))]
        made = pipe(
            words, num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="pt"
        ).images
        pictures = torch.cat([pictures, (made.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)])
        checkpoint.save(kept, {"pictures": pictures})
        print(f"{len(pictures)}/{len(captions)} pictures", flush=True)
    return pictures[: len(captions)].float() / 255


@torch.no_grad()
def through(pipe: StableDiffusionPipeline, images: Tensor) -> Tensor:
    """Pictures in [0, 1] encoded and decoded by the pipeline's own autoencoder."""
    vae = pipe.vae
    chunks = (chunk * 2 - 1 for chunk in images.to(vae.device, vae.dtype).split(16))
    parts = [vae.decode(vae.encode(chunk).latent_dist.mode()).sample.float().cpu() for chunk in chunks]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def seconds_for_four(pipe: StableDiffusionPipeline, steps: int, guidance: float) -> float:
    """Seconds that four pictures take, text and decoding included; the better of two runs."""
    times = []
    for _ in range(2):
        since = time.perf_counter()
        pipe(["a photo of a dog on the beach"] * 4, num_inference_steps=steps, guidance_scale=guidance)
        times.append(time.perf_counter() - since)
    return round(min(times), 2)


def beside(pipe: StableDiffusionPipeline, source: Path, work: Path, renderer: Renderer) -> dict[str, float]:
    """Figures of the autoencoder, and of CLIP and the segmenter where the pipeline's folder has them."""
    true = renderer.scenes(step_rng(UNSEEN, STAGE, 10**6), 128).images.cpu()
    found = {"autoencoder_db": round(decibels(through(pipe, true) * 2 - 1, true * 2 - 1), 2)}
    if (source / "clip" / "config.json").is_file():
        from transformers import CLIPModel

        clip = CLIPModel.from_pretrained(source / "clip", dtype=torch.float32).to(renderer.device).eval()
        found["clip_right_of_500"] = round(clip_right(clip, pipe.tokenizer, renderer), 3)
    shipped = source / "mask" if (source / "mask" / "config.json").is_file() else work / "mask"
    if (shipped / "config.json").is_file():
        model, tokenizer = load_mask(shipped, renderer.device)
        found["mask_iou"] = try_unseen(model, tokenizer, work)["mean"]
        found["mask_iou_pairs"] = try_unseen_pairs(model, tokenizer, work)
    return found


def main() -> None:
    """Generate, judge, and write the figures."""
    parser = stage_parser(__doc__)
    parser.add_argument("--pipeline", type=Path, default=Path("assets/pocket"))
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument(
        "--judge", type=Path, help="folder of the trained judge (default: in the work folder)"
    )
    parser.add_argument("--out", type=Path, help="default: $WORK/evaluation")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--bf16", action="store_true", help="mixed precision: about twice as fast on newer CPUs"
    )
    parser.add_argument("--time", action="store_true", help="also time four pictures (on an idle machine)")
    parser.add_argument(
        "--only-pictures", action="store_true", help="leave out autoencoder, CLIP and mask figures"
    )
    options = parser.parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    out = options.out or work / "evaluation"
    pipe = StableDiffusionPipeline.from_pretrained(
        options.pipeline, torch_dtype=torch.float32, safety_checker=None, requires_safety_checker=False
    ).to(device)
    pipe.set_progress_bar_config(disable=True)
    judge, renderer = load_judge(options.judge or judge_folder(work), device), Renderer(work, device)
    specs, captions = unseen_prompts(options.prompts)
    mixed = "-bf16" if options.bf16 else ""
    name = f"{pipeline_print(options.pipeline)}-{options.steps}-{options.guidance:g}{mixed}.pt"
    with precision(device) if options.bf16 else contextlib.nullcontext():
        images = generate(
            pipe, captions, options.steps, options.guidance, options.batch, out / "pictures" / name
        )
        true = through(pipe, renderer.draw(step_rng(UNSEEN, STAGE, 10**7), specs, captions).images)
    save_grid(images[:64], out / "grid.png")
    made = decide(look(judge, images.to(device)), specs)
    ceiling = decide(look(judge, true.to(device)), specs)
    others: dict[str, float] = {} if options.only_pictures else beside(pipe, options.pipeline, work, renderer)
    if options.time:
        others["seconds_for_four"] = seconds_for_four(pipe, options.steps, options.guidance)
        with precision(device):
            others["seconds_for_four_mixed"] = seconds_for_four(pipe, options.steps, options.guidance)
    settings: dict[str, Any] = {
        "prompts": options.prompts, "steps": options.steps, "guidance": options.guidance,
        "threads": torch.get_num_threads(), "weights": pipeline_print(options.pipeline),
        "mixed_precision": options.bf16,
    }  # fmt: skip
    figures = summary(made, ceiling, others, settings)
    write(figures, out)
    print(table(figures))


if __name__ == "__main__":
    main()
