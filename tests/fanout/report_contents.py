"""What reports are made of in tests."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image


def facts(image: float | None, text: float = 0.3, **changes: Any) -> dict[str, Any]:
    scores = {} if image is None else {"image": image, "text": text, "untaught_image": 0.1}
    return {"superclass": "dog", "scores": scores, "seconds": 75.0, "bias": {"local": 0.6}, **changes}


def webp(side: int = 8) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, format="WEBP")
    return base64.b64encode(buffer.getvalue()).decode()


def put_images(out: Path, label: str, **shown: Any) -> None:
    (out / "images").mkdir(exist_ok=True)
    (out / "images" / f"{label}.json").write_text(json.dumps(shown))
