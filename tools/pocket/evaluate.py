"""Measure a pocket pipeline on unseen prompts with the judge, and look at it.

Run: `python -m tools.pocket.evaluate --pipeline assets/pocket --prompts 500`. Images are kept as they are
made, so a run that was cut off goes on; another pipeline or setting starts afresh. Writes figures.json,
table.md and grid.png to --out. Prompts come from the seed 999, which no training stage uses, and are of all
kinds. Beside them: autoencoder, scorer and segmenter, where the pipeline's folder has them.
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
from tools.pocket.clip import ranking, right_captions
from tools.pocket.drawings import load as load_drawings
from tools.pocket.figures import summary, table, write
from tools.pocket.judge import load_judge
from tools.pocket.look import GUIDANCE
from tools.pocket.mask_model import load_mask
from tools.pocket.photos import photographer
from tools.pocket.pictures import save_grid
from tools.pocket.render import Renderer
from tools.pocket.scene import Odds, Scene, World, caption
from tools.pocket.table import draw_scene
from tools.pocket.text import Encoder
from tools.pocket.train_mask import iou
from tools.pocket.train_vae import held_out_scenes
from tools.pocket.training import open_stage, precision, stage_parser, step_rng
from tools.pocket.verdicts import decide, look

STAGE = 7
UNSEEN = 999
ODDS = Odds(varied=0.0, pair=0.3, effect=0.15)


def unseen_prompts(n: int, world: World) -> tuple[list[Scene], list[str]]:
    """n scenes and their captions; the first ones do not depend on n."""
    scenes, captions = [], []
    for number in range(n):
        rng = step_rng(UNSEEN, STAGE, number)
        scenes.append(draw_scene(rng, ODDS, world))
        captions.append(str(caption(scenes[-1], rng)))
    return scenes, captions


def pipeline_print(folder: Path) -> str:
    """A short fingerprint of the weights that make images."""
    digest = hashlib.sha256()
    for part in ("unet", "vae", "text_encoder"):
        for path in sorted((folder / part).glob("*.safetensors")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def generate(
    pipe: StableDiffusionPipeline, captions: list[str], steps: int, guidance: float, batch: int, kept: Path
) -> Tensor:
    """Images (n, 3, 128, 128) in [0, 1], finished ones reused; each has its own seed whatever the batch."""
    saved = checkpoint.load(kept)
    images = saved["images"] if saved else torch.empty(0, 3, 128, 128, dtype=torch.uint8)
    while len(images) < len(captions):
        first = len(images)
        words = captions[first : first + batch]
        seeds = [torch.Generator().manual_seed(UNSEEN * 100_000 + first + k) for k in range(len(words))]
        made = pipe(
            words, num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="pt"
        ).images
        images = torch.cat([images, (made.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8)])
        checkpoint.save(kept, {"images": images})
        print(f"{len(images)}/{len(captions)} images", flush=True)
    return images[: len(captions)].float() / 255


@torch.no_grad()
def through(pipe: StableDiffusionPipeline, images: Tensor) -> Tensor:
    """Images in [0, 1] encoded and decoded by the pipeline's own autoencoder."""
    vae = pipe.vae
    chunks = (chunk * 2 - 1 for chunk in images.to(vae.device, vae.dtype).split(16))
    parts = [vae.decode(vae.encode(chunk).latent_dist.mode()).sample.float().cpu() for chunk in chunks]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def seconds_for_four(pipe: StableDiffusionPipeline, steps: int, guidance: float) -> float:
    """Seconds that four images take, text and decoding included; the better of two runs."""
    times = []
    for _ in range(2):
        since = time.perf_counter()
        pipe(["a photo of a dog on the beach"] * 4, num_inference_steps=steps, guidance_scale=guidance)
        times.append(time.perf_counter() - since)
    return round(min(times), 2)


def beside(
    pipe: StableDiffusionPipeline, source: Path, work: Path, renderer: Renderer
) -> dict[str, float | dict[str, float]]:
    """Figures of the autoencoder, and of the scorer and the segmenter where the folder has them."""
    unseen = held_out_scenes(work, renderer.device).cpu()
    true = renderer.scenes(step_rng(UNSEEN, STAGE, 10**6), 128).images.cpu()
    found: dict[str, float | dict[str, float]] = {
        "held_out_db": round(decibels(through(pipe, unseen) * 2 - 1, unseen * 2 - 1), 2),
        "autoencoder_db": round(decibels(through(pipe, true) * 2 - 1, true * 2 - 1), 2),
    }
    if (source / "clip" / "config.json").is_file():
        from transformers import CLIPModel

        clip = CLIPModel.from_pretrained(source / "clip", dtype=torch.float32).to(renderer.device).eval()
        found["clip_right_of_500"] = round(right_captions(clip, Encoder(pipe.tokenizer), renderer), 3)
        if load_drawings(work, held_out=True) is not None:
            found["ranking"] = ranking(clip, work, Renderer(work, renderer.device, refuse=False))
    if (source / "mask" / "config.json").is_file():
        model, tokenizer = load_mask(source / "mask", renderer.device)
        found["mask_iou"] = iou(model, tokenizer, photographer(work), beside=False)
        found["mask_iou_named"] = iou(model, tokenizer, photographer(work), beside=True)
    return found


def main() -> None:
    """Generate, judge, and write the figures."""
    parser = stage_parser(__doc__)
    parser.add_argument("--pipeline", type=Path, default=Path("assets/pocket"))
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--out", type=Path, help="default: $WORK/evaluation")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--mixed", action="store_true", help="bf16 where the device computes in it")
    parser.add_argument("--time", action="store_true", help="also time four images (on an idle machine)")
    parser.add_argument("--only-images", action="store_true", help="no figures of the other networks")
    parser.add_argument("--only-beside", action="store_true", help="those alone, without images")
    options = parser.parse_args()
    work, device = open_stage(options)
    out: Path = options.out or work / "evaluation"
    pipe = StableDiffusionPipeline.from_pretrained(
        options.pipeline, torch_dtype=torch.float32, safety_checker=None, requires_safety_checker=False
    ).to(device)
    pipe.set_progress_bar_config(disable=True)
    renderer = Renderer(work, device, ODDS)
    if options.only_beside:
        print(beside(pipe, options.pipeline, work, renderer))
        return
    judge = load_judge(work, device)
    scenes, captions = unseen_prompts(options.prompts, renderer.world)
    mixed = "-mixed" if options.mixed else ""
    name = f"{pipeline_print(options.pipeline)}-{options.steps}-{options.guidance:g}{mixed}.pt"
    with precision(device) if options.mixed else contextlib.nullcontext():
        images = generate(
            pipe, captions, options.steps, options.guidance, options.batch, out / "images" / name
        )
        true = through(pipe, renderer.draw(step_rng(UNSEEN, STAGE, 10**7), scenes).images)
    save_grid(images[:64], out / "grid.png")
    made = decide(look(judge, images.to(device)), scenes, renderer.world)
    ceiling = decide(look(judge, true.to(device)), scenes, renderer.world)
    others = {} if options.only_images else beside(pipe, options.pipeline, work, renderer)
    if options.time:
        others["seconds_for_four"] = seconds_for_four(pipe, options.steps, options.guidance)
    settings: dict[str, Any] = {
        "prompts": options.prompts, "steps": options.steps, "guidance": options.guidance,
        "threads": torch.get_num_threads(), "weights": pipeline_print(options.pipeline),
        "mixed_precision": options.mixed,
    }  # fmt: skip
    figures = summary(made, ceiling, others, settings)
    write(figures, out)
    print(table(figures))


if __name__ == "__main__":
    main()
