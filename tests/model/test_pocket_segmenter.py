"""The bundled segmenter finds things of an art style that it never learned from."""

from __future__ import annotations

import numpy as np
import pytest

from perfusion_core.model.listing import pocket_folder
from perfusion_core.model.segment import load_segmenter
from tests.tools.pocket.own_shapes import SHAPES, photos

pytestmark = pytest.mark.skipif(
    not (pocket_folder() / "mask").is_dir(), reason="the bundled model is not here"
)


@pytest.mark.parametrize("name", list(SHAPES))
def test_flat_drawings_with_outlines_are_found(name: str) -> None:
    images, true = zip(*photos(name), strict=True)
    found = load_segmenter(source=pocket_folder() / "mask").soft_masks(images, SHAPES[name][0])
    overlaps = []
    for soft, mask in zip(found, true, strict=True):
        inside, wanted = soft > 0.5, np.asarray(mask) > 127
        overlaps.append((inside & wanted).sum() / (inside | wanted).sum())
    assert np.mean(overlaps) > 0.5  # measured: 0.76, 0.80, 0.70
