"""Small images of a prompt without and with a concept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

PLAIN, TAUGHT = "a photo of a dog on the beach", "a photo of a <biscuit> on the beach"


def draw(pipe: Any, prompt: Any = PLAIN, seed: int = 0, **settings: Any) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    chosen = {"num_inference_steps": 3, "output_type": "np", "generator": generator, **settings}
    return pipe(prompt, **chosen).images
