"""Sound files of the three kinds that people get from strangers, and ways to make them unsound.

Everything is drawn from one `random.Random`, so that a seed gives the same files again.
"""

from __future__ import annotations

import io
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from perfusion_core.concept import Concept, ConceptMetadata, concept_bytes
from perfusion_core.sampling.png import CHUNK, ImageRecipe, UsedConcept, png_bytes, recipe_text
from perfusion_core.studio.library.thumbnails import embedded

CONCEPT_TEXT = "perfusion_concept"
# What a stranger would put in the place of any value.
HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    10**400,
    1e308,
    -0.0,
    "",
    " ",
    "x" * 5000,
    "../../etc/passwd",
    "~nosuchuser",
    "<script>",
    "\x1b[2J",
    "\u202e",
    "bis\u034fcuit",
    "m\u0443g",
    "\ud800",
    [],
    [[]] * 3,
    {},
    {"a": {"b": {}}},
)


def sound_photos() -> dict[str, bytes]:
    """One photo in each format that is read, still and moving, and with what cameras add."""
    pixels = np.random.default_rng(0).integers(0, 255, (80, 96, 3), dtype=np.uint8)
    photo, second = Image.fromarray(pixels), Image.new("RGB", (96, 80), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    moving: dict[str, Any] = {"save_all": True, "append_images": [second, photo]}
    found = {
        "jpeg": _saved(photo, "JPEG", exif=exif, quality=90),
        "jpeg grey": _saved(photo.convert("L"), "JPEG"),
        "jpeg cmyk": _saved(photo.convert("CMYK"), "JPEG"),
        "png": _saved(photo, "PNG"),
        "png palette": _saved(photo.convert("P"), "PNG", transparency=0),
        "png 16 bit": _saved(Image.fromarray(pixels[..., 0].astype(np.uint16) * 200), "PNG"),
        "png moving": _saved(photo, "PNG", **moving),
        "webp": _saved(photo, "WEBP"),
        "webp moving": _saved(photo, "WEBP", **moving),
        "tiff": _saved(photo, "TIFF", **moving),
        "tiff lzw": _saved(photo, "TIFF", compression="tiff_lzw", **moving),
        "bmp": _saved(photo, "BMP"),
        "gif": _saved(photo, "GIF", duration=50, **moving),
        "mpo": _saved(photo, "MPO", **moving),
    }
    if features.check("avif"):
        found["avif"] = _saved(photo, "AVIF")
    return found


def sound_recipes() -> dict[str, bytes]:
    """PNG images with a recipe: ours, and another tool's in each form of text."""
    image = Image.new("RGB", (16, 12), "orange")
    theirs = (
        "a castle, (night:1.2)\nNegative prompt: low\nSteps: 28, Sampler: Euler a, CFG scale: 6.5, Seed: 5, "
        'Size: 512x768, Model: some, Note: "a, b: c"'
    )
    found = {"ours": png_bytes(image, image_recipe())}
    for name, zipped, international in (("tEXt", False, False), ("zTXt", True, False), ("iTXt", True, True)):
        info = PngInfo()
        (info.add_itxt if international else info.add_text)(CHUNK, theirs, zip=zipped)
        found[name] = _saved(image, "PNG", pnginfo=info)
    return found


def sound_concepts() -> dict[str, bytes]:
    """Concept files with locked and with trained keys."""
    return {
        "locked keys": concept_bytes(_concept(trained_keys=False)),
        "trained keys": concept_bytes(_concept(trained_keys=True)),
        "compact": concept_bytes(_concept(trained_keys=False), "float16"),
    }


def image_recipe() -> ImageRecipe:
    used = UsedConcept(name="biscuit", superclass="dog", content_hash="ab" * 32, bias=0.6, temperature=0.15)
    return ImageRecipe(
        prompt="a photo of <biscuit>",
        negative_prompt="rain",
        seed=7,
        steps=20,
        guidance=4.5,
        width=128,
        height=96,
        scheduler="ddim",
        concepts=[used],
        base="pocket",
        base_fingerprint="0123456789abcdef",
    )


def mutated_bytes(rng: random.Random, content: bytes) -> bytes:
    """Cut, flipped, doubled, swapped or overwritten somewhere, most often near the beginning."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        reach = rng.choice((32, 256, len(data)))
        at = rng.randrange(max(1, min(reach, len(data))))
        length = rng.choice((1, 2, 4, 8, 64))
        change = rng.randrange(6)
        if change == 0:
            del data[rng.randrange(len(data) + 1) :]
        elif change == 1:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif change == 2:
            data[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f")) * length
        elif change == 3:
            data[at:at] = data[at : at + length]
        elif change == 4:
            del data[at : at + length]
        else:
            data[at:at] = rng.randbytes(length)
    return bytes(data)


def with_right_checksums(content: bytes) -> bytes:
    """A PNG whose chunks' checksums fit again, so that a reader looks at what is inside them."""
    data, at = bytearray(content), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(bytes(data[at + 4 : end])).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


def mutated_recipe(rng: random.Random) -> bytes:
    """One of our images whose recipe says something hostile somewhere."""
    recipe = _replaced_somewhere(rng, json.loads(image_recipe().model_dump_json()))
    sound = recipe_text(image_recipe())
    start = sound.index("Perfusion recipe: ")
    text = f"{sound[:start]}Perfusion recipe: {json.dumps(_json(recipe))}"
    info = PngInfo()
    info.add_itxt(CHUNK, text.encode("utf-8", "replace").decode())
    return _saved(Image.new("RGB", (8, 8)), "PNG", pnginfo=info)


def mutated_concept(rng: random.Random, content: bytes) -> bytes:
    """A concept file whose header or description says something hostile somewhere."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"][CONCEPT_TEXT] = json.loads(header["__metadata__"][CONCEPT_TEXT])
    header = _replaced_somewhere(rng, header)
    texts = header.get("__metadata__")
    if isinstance(texts, dict) and CONCEPT_TEXT in texts:
        texts[CONCEPT_TEXT] = _json(texts[CONCEPT_TEXT])
    encoded = _json(header).encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "little") + encoded + content[8 + length :]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)


def _replaced_somewhere(rng: random.Random, document: Any) -> Any:
    place = rng.choice(_places(document)[1:])
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = rng.choice(HOSTILE_VALUES)
    return document


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(place for key, below in inner for place in _places(below, (*path, key)))]


def _concept(trained_keys: bool) -> Concept:
    import torch

    generator = torch.Generator().manual_seed(0)
    draw: Callable[[int], Any] = lambda width: torch.randn(width, generator=generator)  # noqa: E731
    widths = {"up.0.attn2": 6, "down.0.attn2": 4}
    metadata = ConceptMetadata(
        name="biscuit",
        superclass="dog",
        base="pocket",
        base_fingerprint="0f" * 32,
        covariance_fingerprint="a1" * 32,
        recipe={"steps": 90, "value_rate": 0.01, "flip": True, "mask": "auto", "templates": "a photo of {}"},
        scores={"image": 0.61, "text": 0.28, "step": 40.0},
        bias={"local": 0.68, "global": 0.5},
        temperature=0.15,
        removal="gated",
        token_similarity=1.02,
        created_at="2026-01-02T03:04:05+00:00",
        created_by="a sweep",
        notes="a note",
        thumbnail=embedded(Image.new("RGB", (96, 96), "orange")),
    )
    return Concept(
        metadata=metadata,
        target_input=draw(8),
        embedding=draw(8),
        superclass_encoding=None if trained_keys else draw(8),
        values={path: draw(width) for path, width in widths.items()},
        keys={path: draw(width) for path, width in widths.items()} if trained_keys else None,
    )


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
