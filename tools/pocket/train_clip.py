"""Train CLIP on fresh scenes: each picture must find its caption among all others and among near misses.

Run: `python -m tools.pocket.train_clip --steps 1500`; goes on from its checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel, CLIPTokenizer

from tools.pocket.optimiser import Pair
from tools.pocket.paths import work_dir
from tools.pocket.render import Renderer
from tools.pocket.scene import caption, one_word_changed
from tools.pocket.training import Course, course_parser, learning_rate, precision, step_rng
from tools.pocket.words import build_clip, load_tokenizer, normalise, token_ids

STAGE = 2


def encode_text(clip: CLIPModel, ids: Tensor) -> Tensor:
    """Unit text embeddings (n, 192)."""
    pooled = clip.text_model(input_ids=ids).pooler_output
    return F.normalize(clip.text_projection(pooled).float(), dim=-1)


def encode_images(clip: CLIPModel, images: Tensor) -> Tensor:
    """Unit picture embeddings (n, 192) of pictures in [0, 1]."""
    pooled = clip.vision_model(pixel_values=normalise(images)).pooler_output
    return F.normalize(clip.visual_projection(pooled).float(), dim=-1)


def contrast(pictures: Tensor, texts: Tensor, near: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric contrastive loss; `near` (n, 192): captions wrong in one word; `same`: equal captions."""
    among = (scale * pictures @ texts.T).masked_fill(same, -1e4)
    missed = scale * pictures @ near.T
    target = torch.arange(len(pictures), device=pictures.device)
    return (F.cross_entropy(torch.cat([among, missed], 1), target) + F.cross_entropy(among.T, target)) / 2


@torch.no_grad()
def judge(clip: CLIPModel, tokenizer: CLIPTokenizer, renderer: Renderer, n: int = 500) -> float:
    """Share of n unseen scenes whose own caption scores highest of all n."""
    clip.eval()
    pictures, texts = [], []
    for part in range(n // 100):
        batch = renderer.scenes(step_rng(999, STAGE, part), 100)
        with precision(batch.images.device):
            pictures.append(encode_images(clip, batch.images))
            ids = token_ids(tokenizer, batch.captions).to(batch.images.device)
            texts.append(encode_text(clip, ids))
    clip.train()
    score = torch.cat(pictures) @ torch.cat(texts).T
    return float((score.argmax(1).cpu() == torch.arange(len(score))).float().mean())


def main() -> None:
    """Train until `--steps`."""
    options = course_parser(__doc__, "clip", steps=1500, batch=128).parse_args()
    work, device = work_dir(options.work), torch.device(options.device)
    torch.manual_seed(options.seed)
    renderer, tokenizer = Renderer(work, device), load_tokenizer(work)
    clip = build_clip(tokenizer).to(device).train()
    course = Course(work, options.name, "clip", clip, Pair(clip, options.rate, muon=True))
    course.begin(options.start)
    n = options.batch

    def report() -> str:
        return f"right caption of 500 {judge(clip, tokenizer, renderer):.1%}"

    for step in course.steps(options.steps, n, report):
        rng = step_rng(options.seed, STAGE, step)
        batch = renderer.scenes(rng, n)
        near = [caption(one_word_changed(spec, rng), rng) for spec in batch.specs]
        ids = token_ids(tokenizer, batch.captions + near).to(device)
        same = (ids[:n, None] == ids[None, :n]).all(-1) & ~torch.eye(n, dtype=torch.bool, device=device)
        with precision(device):
            pictures, texts = encode_images(clip, batch.images), encode_text(clip, ids)
        loss = contrast(pictures, texts[:n], texts[n:], clip.logit_scale.exp().clamp(max=100), same)
        course.learn(loss, learning_rate(step, options.rate, 40, options.steps, options.cooldown))


if __name__ == "__main__":
    main()
