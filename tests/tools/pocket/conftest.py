"""A work folder with made-up sprites, so that nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from transformers import CLIPTokenizer

from tests.tiny_model import tiny_tokenizer
from tools.pocket import checkpoint, codes
from tools.pocket.autoencoder import build
from tools.pocket.render import Renderer
from tools.pocket.sprites import squared
from tools.pocket.text import build_text
from tools.pocket.things import ARTS, all_kinds


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sprites of every kind: an ellipse whose shape and colour depend on the kind and the art style."""
    folder = tmp_path_factory.mktemp("pocket")
    (folder / "sprites").mkdir()
    shapes = [_ellipse(number) for number in range(60)]
    for a, art in enumerate(ARTS):
        made = {}
        for number, kind in enumerate(all_kinds()):
            if art == "cartoon" and number % 20 == 7:  # an art style may lack kinds
                continue
            made[kind.code] = shapes[(number + 20 * a) % len(shapes)]
        torch.save(made, folder / "sprites" / f"{art}.pt")
    return folder


def _ellipse(number: int) -> torch.Tensor:
    image = Image.new("RGBA", (64, 64))
    box = (8 + number % 5, 6 + number % 7, 58 - number % 11, 60 - number % 3)
    fill = ((37 * number) % 256, (91 * number + 60) % 256, (53 * number) % 256, 255)
    ImageDraw.Draw(image).ellipse(box, fill=fill)
    return (squared(image) * 255).round().to(torch.uint8)


@pytest.fixture(scope="session")
def renderer(work: Path) -> Renderer:
    return Renderer(work)


@pytest.fixture(scope="session")
def tokenizer() -> CLIPTokenizer:
    return tiny_tokenizer(32)


@pytest.fixture(scope="session")
def tiny_work(work: Path, tokenizer: CLIPTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder as far as the UNet: sprites, codes, tokenizer, text encoder, a tiny autoencoder."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "sprites").symlink_to(work / "sprites")
    torch.manual_seed(0)
    basis = torch.randn(4 * 32 * 32, codes.WIDTH) / 20
    checkpoint.save(folder / "codes.pt", {"mean": torch.zeros(4 * 32 * 32), "basis": basis})
    tokenizer.save_pretrained(folder / "tokenizer")
    text = build_text(tokenizer)
    text.save_pretrained(folder / "text-frozen")
    build(widths=(8, 8, 8, 8)).save_pretrained(folder / "vae-frozen")
    return folder
