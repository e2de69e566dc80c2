"""The scorer's shape, its losses, and how well it ranks: captions, and true things above broken drawings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer

from tools.pocket.drawings import load as load_drawings
from tools.pocket.render import Renderer
from tools.pocket.scene import Caption, Scene, Thing, World, caption, stand_in
from tools.pocket.text import MAX_TOKENS, WIDTH, Encoder
from tools.pocket.things import COLOURS, HATS, PLACES
from tools.pocket.training import precision, step_rng

STAGE = 10
PROJECTION = 192
SHARPNESS = 12.0  # inverse temperature between images of things


def build_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Text: 4 causal layers x 256, as the base's own; images: ViT of 5 layers x 192 on 16-pixel patches."""
    text = {
        "vocab_size": len(tokenizer), "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": MAX_TOKENS,
        "projection_dim": PROJECTION, "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    vision = {
        "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 5, "num_attention_heads": 4,
        "image_size": 128, "patch_size": 16, "projection_dim": PROJECTION,
    }  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION))


def begun(tokenizer: CLIPTokenizer, text: Path, first: Path | None) -> CLIPModel:
    """A CLIP whose text tower is the base's text encoder, and whose image tower is an earlier CLIP's."""
    clip = build_clip(tokenizer)
    clip.text_model.load_state_dict(CLIPTextModel.from_pretrained(text).state_dict())
    if first is not None:
        earlier = CLIPModel.from_pretrained(first, dtype=torch.float32)
        clip.vision_model.load_state_dict(earlier.vision_model.state_dict())
        clip.visual_projection.load_state_dict(earlier.visual_projection.state_dict())
    return clip


def normalise(images: Tensor) -> Tensor:
    """Images (n, 3, h, w) in [0, 1] with the mean and deviation CLIP's image processor uses."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073], device=images.device).view(1, 3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711], device=images.device).view(1, 3, 1, 1)
    return (images - mean) / deviation


def image_vectors(clip: CLIPModel, images: Tensor) -> Tensor:
    """Unit vectors (n, 192) of images (n, 3, 128, 128) in [0, 1]."""
    pooled = clip.vision_model(pixel_values=normalise(images)).pooler_output
    return F.normalize(clip.visual_projection(pooled).float(), dim=-1)


def text_vectors(clip: CLIPModel, ids: Tensor) -> Tensor:
    """Unit vectors (n, 192) of token ids (n, T); padding after the first end token changes nothing."""
    longest = int((ids != clip.config.text_config.eos_token_id).sum(1).max()) + 1
    pooled = clip.text_model(input_ids=ids[:, :longest]).pooler_output
    return F.normalize(clip.text_projection(pooled).float(), dim=-1)


def near_miss(scene: Scene, rng: np.random.Generator, world: World, strange: bool, named: bool) -> Scene:
    """The scene with one thing about it changed: a kind, a colour, a hat, the place, or who stands where.

    With `strange`, a kind becomes another of its group: the hardest of all. A scene whose things are not
    `named` keeps its kinds: another would be as right.
    """
    which = int(rng.integers(len(scene.things)))
    thing, way = scene.things[which], rng.random()
    if way < 0.5 and named:
        group = [
            number
            for number, kind in enumerate(world.kinds)
            if number != thing.kind and (not strange or kind.group == world.kinds[thing.kind].group)
        ]
        thing = replace(thing, kind=int(rng.choice(group)) if group else thing.kind)
    elif way < 0.65:
        thing = replace(thing, colour=_other(rng, [None, *COLOURS], thing.colour))
    elif way < 0.8:
        thing = replace(thing, hat=_other(rng, [None, *HATS], thing.hat))
    elif way < 0.9 and len(scene.things) == 2:
        return replace(scene, things=scene.things[::-1])
    else:
        place = _other(rng, list(PLACES), scene.place)
        shade = str(rng.choice(list(COLOURS))) if place == "plain" else None
        return replace(scene, place=str(place), place_colour=shade, told_place=True)
    things = tuple(thing if slot == which else old for slot, old in enumerate(scene.things))
    return replace(scene, things=things)


def _other(rng: np.random.Generator, choices: list[str | None], now: str | None) -> str | None:
    rest = [choice for choice in choices if choice != now]
    return rest[int(rng.integers(len(rest)))]


def elsewhere(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene's first thing alone at another place, as a second photo of it."""
    thing = replace(scene.things[0], hat=None)
    place = str(rng.choice(list(PLACES)))
    shade = str(rng.choice(list(COLOURS))) if place == "plain" else None
    art = scene.things[0].sprite[0]
    return Scene((thing,), place, shade, art)


def contrast(images: Tensor, texts: Tensor, near: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric contrastive loss; near (n, k, 192): captions wrong in one thing; same (n, n): equal ones."""
    among = (scale * images @ texts.T).masked_fill(same, -1e4)
    missed = scale * torch.einsum("nd,nkd->nk", images, near)
    target = torch.arange(len(images), device=images.device)
    return (F.cross_entropy(torch.cat([among, missed], 1), target) + F.cross_entropy(among.T, target)) / 2


def identity(photos: Tensor, others: Tensor, half: Tensor, rubble: Tensor, same: Tensor) -> Tensor:
    """Images of one thing lie nearer than those of others and its half-formed drawing, and that than rubble.

    Shape: photos, others (n, D), two images of the same things; half, rubble (m, D) of the first m things.
    """
    among = (SHARPNESS * photos @ others.T).masked_fill(same, -1e4)
    m = len(half)
    own = (photos * others).sum(-1)
    to_half, to_rubble = (photos[:m] * half).sum(-1), (photos[:m] * rubble).sum(-1)
    target = torch.arange(len(photos), device=photos.device)
    order = F.softplus(SHARPNESS * (to_half - own[:m]) + 1) + F.softplus(
        SHARPNESS * (to_rubble - to_half) + 1
    )
    return F.cross_entropy(among, target) + F.cross_entropy(among.T, target) + order.mean()


@torch.no_grad()
def right_captions(clip: CLIPModel, encode: Encoder, renderer: Renderer, n: int = 500) -> float:
    """Share of n unseen scenes whose own caption scores highest of all n."""
    images, texts = [], []
    for part in range(n // 100):
        batch = renderer.scenes(step_rng(999, STAGE, part), 100)
        ids, _ = encode([caption(scene) for scene in batch.scenes])
        with precision(batch.images.device):
            images.append(image_vectors(clip, batch.images))
            texts.append(text_vectors(clip, ids.to(batch.images.device)))
    found = (torch.cat(images) @ torch.cat(texts).T).argmax(1).cpu()
    return float((found == torch.arange(len(found))).float().mean())


@torch.no_grad()
def ranking(clip: CLIPModel, work: Path, renderer: Renderer, each: int = 4) -> dict[str, float]:
    """Over held-out things, shares of pairs ranked right by likeness to five photos of the thing.

    true > half-formed, half-formed > rubble, true > rubble, and own thing > another held-out thing.
    """
    drawings = load_drawings(work, held_out=True)
    if drawings is None:
        raise SystemExit("There are no drawings: run `python -m tools.pocket.drawings --held-out` first.")
    rng = step_rng(999, STAGE, 10**6)

    def pictures(count: int) -> Tensor:
        places = [str(place) for place in rng.choice([p for p in PLACES if p != "plain"], size=count)]
        scenes = [Scene((Thing(0, s),), place) for s in drawings.sprites for place in places]
        made = torch.cat([renderer.draw(rng, scenes[k : k + 50]).images for k in range(0, len(scenes), 50)])
        with precision(made.device):
            return image_vectors(clip, made).unflatten(0, (len(drawings.sprites), count))

    photos = F.normalize(pictures(5).mean(1), dim=-1)
    true = torch.einsum("tkd,sd->tks", pictures(each), photos)  # against every thing's photos
    own = true.diagonal(dim1=0, dim2=2).T  # (things, each)
    with precision(photos.device):
        half = (image_vectors(clip, drawings.half.to(photos.device)) * photos).sum(-1)[:, None]
        rubble = (image_vectors(clip, drawings.rubble.to(photos.device)) * photos).sum(-1)[:, None]
    others = ~torch.eye(len(photos), dtype=torch.bool, device=photos.device)
    found = {
        "true > half": (own > half),
        "half > rubble": (half > rubble),
        "true > rubble": (own > rubble),
        "own > other": (own[:, :, None] > true)[others[:, None].expand_as(true)],
    }
    return {name: round(float(hits.float().mean()), 3) for name, hits in found.items()}


def loosely_told(
    scenes: list[Scene], named: list[bool], rng: np.random.Generator, world: World
) -> list[Caption]:
    """A caption a scene in varied wordings; things that are not `named` go by a word of their group.

    So a thing that has no name is not taken to be off the prompt because it looks like nothing known.
    """
    return [
        caption(scene, rng, None if known else tuple(stand_in(rng, t.kind, world) for t in scene.things))
        for scene, known in zip(scenes, named, strict=True)
    ]
