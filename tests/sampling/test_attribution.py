"""Where a concept acted: looked at without changing anything."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.model.statistics import CovarianceStats
from perfusion_core.sampling.attribution import _Watcher, acting_maps
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.request import GenerationRequest


def _made(base: Any, concepts: dict[str, Any], covariance: Any, **changes: Any) -> Any:
    request = GenerationRequest("a photo of <biscuit> and <mug>", steps=3, guidance=4.0, **changes)
    return generate(base, concepts, request, covariance=covariance).images[0]


def test_every_concept_of_an_image_gets_a_map_of_the_latents_size(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    covariance = CovarianceStats(tiny_covariance, "tiny", 1.0)
    concepts = {"biscuit": make_concept(tiny_base), "mug": make_concept(tiny_base, "mug", "cup", 1)}
    image = _made(tiny_base, concepts, covariance, width=64, height=128)
    maps = acting_maps(tiny_base, concepts, image.recipe, covariance=covariance)
    assert list(maps) == ["biscuit", "mug"]
    for values in maps.values():
        assert values.shape == (16, 8)
        assert float(values.max()) == 1.0
        assert float(values.min()) >= 0.0


def test_an_image_that_is_looked_at_has_the_bits_it_has_otherwise(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor
) -> None:
    covariance = CovarianceStats(tiny_covariance, "tiny", 1.0)
    concepts = {"biscuit": make_concept(tiny_base), "mug": make_concept(tiny_base, "mug", "cup", 1)}
    plain = _made(tiny_base, concepts, covariance)
    watcher = _Watcher((8, 8), 2)
    with watcher.watching(tiny_base.unet):
        watched = _made(tiny_base, concepts, covariance)
    assert watched.image.tobytes() == plain.image.tobytes()
    assert float(watcher.total.sum()) > 0
    assert not any(module._forward_pre_hooks for module in tiny_base.unet.modules())


def test_a_closed_gate_acts_nowhere(tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor) -> None:
    covariance = CovarianceStats(tiny_covariance, "tiny", 1.0)
    concepts = {"biscuit": make_concept(tiny_base), "mug": make_concept(tiny_base, "mug", "cup", 1)}
    watcher = _Watcher((8, 8), 2)
    with watcher.watching(tiny_base.unet):
        _made(tiny_base, concepts, covariance, biases={"biscuit": 3.0, "mug": 0.3})
    biscuit, mug = watcher.total.sum(dim=(1, 2))
    assert biscuit < 0.05 * mug


@pytest.mark.parametrize(
    ("width", "height"), [(264, 384), (520, 768), (72, 64), (64, 200), (88, 104), (136, 72)]
)
def test_every_size_of_whole_latent_pixels_gets_its_maps(
    tiny_base: Any, make_concept: Any, tiny_covariance: torch.Tensor, width: int, height: int
) -> None:
    covariance = CovarianceStats(tiny_covariance, "tiny", 1.0)
    concepts = {"biscuit": make_concept(tiny_base)}
    request = GenerationRequest("a photo of <biscuit>", steps=1, width=width, height=height)
    recipe = generate(tiny_base, concepts, request, covariance=covariance).images[0].recipe
    maps = acting_maps(tiny_base, concepts, recipe, covariance=covariance)
    assert maps["biscuit"].shape == (height // 8, width // 8)
    assert float(maps["biscuit"].max()) == 1.0
