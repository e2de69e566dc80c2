"""The CLIP model's shape, and captions as token ids."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from tools.pocket.train_tokenizer import MAX_TOKENS

TEXT_WIDTH = 192


def build_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Text: 4 causal layers x 192; pictures: ViT of 5 layers x 192 on 16-pixel patches; projection 192."""
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": TEXT_WIDTH, "intermediate_size": 4 * TEXT_WIDTH,
        "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": MAX_TOKENS,
        "projection_dim": TEXT_WIDTH, "pad_token_id": tokenizer.pad_token_id, **ends,
    }  # fmt: skip
    vision = {
        "hidden_size": TEXT_WIDTH, "intermediate_size": 4 * TEXT_WIDTH, "num_hidden_layers": 5,
        "num_attention_heads": 4, "image_size": 128, "patch_size": 16, "projection_dim": TEXT_WIDTH,
    }  # fmt: skip
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=TEXT_WIDTH))


def load_tokenizer(work: Path) -> CLIPTokenizer:
    """The tokenizer that train_tokenizer saved."""
    return CLIPTokenizer.from_pretrained(work / "tokenizer")


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids (n, 32), padded with the end token as Stable Diffusion does."""
    made = tokenizer(
        captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    return made.input_ids.to(torch.long)


class ArticleDropper:
    """Takes the articles of things out of token ids: "a photo of a dog in snow" -> "a photo of dog in snow".

    People write "a photo of <name>", without an article, so a model must be able to read that.
    """

    ARTICLES = ("a", "an", "the", "my")
    BEFORE = ("of", "to", "and", "beside")  # what stands before a thing

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.articles = torch.tensor(tokenizer.convert_tokens_to_ids([f"{w}</w>" for w in self.ARTICLES]))
        self.before = torch.tensor(tokenizer.convert_tokens_to_ids([f"{w}</w>" for w in self.BEFORE]))
        self.front = tokenizer.convert_tokens_to_ids("front</w>")  # "in front of a brick wall" is no thing
        self.end = tokenizer.eos_token_id

    def __call__(self, ids: Tensor) -> Tensor:
        """Token ids (n, T) -> (n, T), the rest moved up and padded with the end token."""
        article = torch.zeros_like(ids, dtype=torch.bool)
        article[:, 1:] = torch.isin(ids[:, 1:], self.articles) & torch.isin(ids[:, :-1], self.before)
        article[:, 2:] &= ids[:, :-2] != self.front
        made = torch.full_like(ids, self.end)
        for row, (tokens, gone) in enumerate(zip(ids, article, strict=True)):
            kept = tokens[~gone]
            made[row, : len(kept)] = kept
        return made


def normalise(images: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) in [0, 1] with the mean and deviation CLIP's image processor uses."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073], device=images.device).view(1, 3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711], device=images.device).view(1, 3, 1, 1)
    return (images - mean) / deviation
