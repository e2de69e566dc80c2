"""Save a batch as one picture, to be looked at."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_grid(images: Tensor, path: Path, columns: int = 8, scale: int = 1) -> None:
    """Write (n, 3, h, w) in [0, 1] as a grid PNG at `path`."""
    n, _, h, w = images.shape
    rows = -(-n // columns)
    sheet = torch.ones(3, rows * h, columns * w)
    for i, image in enumerate(images.detach().float().cpu().clamp(0, 1)):
        y, x = (i // columns) * h, (i % columns) * w
        sheet[:, y : y + h, x : x + w] = image
    array = (sheet.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    picture = Image.fromarray(array)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(path)
