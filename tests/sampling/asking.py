"""Requests for images that take a moment, and images as bytes."""

from __future__ import annotations

from typing import Any

from PIL import Image

from perfusion_core.sampling.request import GenerationRequest

PROMPT = "a photo of <biscuit> on the beach"


def ask(prompt: str = PROMPT, **changes: Any) -> GenerationRequest:
    return GenerationRequest(prompt, **{"seed": 7, "steps": 3, "guidance": 4.0, **changes})


def bits(image: Image.Image) -> bytes:
    return image.tobytes()
