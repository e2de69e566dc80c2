"""Teaching on a base of every family: it learns, is saved, read back, used, resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.concept import load_concept, save_concept
from perfusion_core.model.base import Base
from perfusion_core.model.latents import latents_of, pixels_of
from perfusion_core.sampling.attribution import acting_maps
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.training.noise import NoiseSchedule
from perfusion_core.training.photos import Photo
from perfusion_core.training.recipe import Recipe
from perfusion_core.training.trainer import train
from tests.quick_recipe import WORD_AND_VALUES
from tests.tiny_concept import random_inverse_covariance
from tests.tiny_families import PIPELINES, plain_options, tiny_family


class Statistics:
    fingerprint = "tiny"
    condition = 1.0

    def __init__(self, width: int) -> None:
        self.inverse = random_inverse_covariance(width)


class Teaching:
    """`run(folder)` teaches three steps on one photo and returns all events."""

    def __init__(self, kind: str, photos: list[Photo]) -> None:
        self.base = Base(kind, tiny_family(kind))
        self.statistics: Any = Statistics(self.base.description.text_width)
        self.photos = photos
        self.recipe = Recipe.preset(
            self.base.description,
            **WORD_AND_VALUES,
            steps=3,
            batch_size=2,
            checkpoint_every=3,
            templates=("a photo of a {}", "my {}"),
            validation_prompts=("a photo of {}",),
        )

    def run(self, folder: Path, **options: Any) -> list[Any]:
        masks = [np.ones((64, 64), dtype=np.float32)] * len(self.photos)
        return list(
            train(
                self.base, self.photos, masks, "Biscuit", "dog", self.recipe,
                covariance=self.statistics, run_dir=folder, **options,
            )
        )  # fmt: skip


@pytest.fixture(params=list(PIPELINES))
def teaching(request: pytest.FixtureRequest, make_images: Callable[[int], list[Photo]]) -> Teaching:
    return Teaching(request.param, make_images(1))


def test_a_concept_is_learned_saved_read_back_and_used(teaching: Teaching, tmp_path: Path) -> None:
    base = teaching.base
    weights = [weight.clone() for weight in base.denoiser.parameters()]
    events = teaching.run(tmp_path / "run")
    start = next(event.concept for event in events if event.kind == "checkpoint")
    concept = events[-1].concept
    assert set(concept.embeddings) == {encoder.part for encoder in base.family.encoders}
    for part, embedding in concept.embeddings.items():
        assert not torch.equal(embedding, start.embeddings[part])
    assert set(concept.values) == set(base.description.attention_paths)
    assert all(not torch.equal(value, start.values[path]) for path, value in concept.values.items())
    facts = (concept.metadata.format_version, concept.metadata.family, concept.metadata.encoders)
    if base.id == "sd":  # as earlier versions read it
        assert facts == (1, "stable-diffusion", {})
    else:
        assert facts == (2, base.family.name, base.encoder_fingerprints)
    assert all(torch.equal(a, b) for a, b in zip(weights, base.denoiser.parameters(), strict=True))

    save_concept(concept, tmp_path / "biscuit.safetensors")
    again = load_concept(tmp_path / "biscuit.safetensors")
    assert again.content_hash == concept.content_hash
    request = GenerationRequest("a photo of a <biscuit>, on the beach", count=2, steps=2)
    steps: list[tuple[int, int]] = []
    made = generate(
        base, {"biscuit": again}, request,
        covariance=teaching.statistics, on_step=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert [one.image.size for one in made.images] == [(64, 64)] * 2
    assert steps[-1] == (4, 4)
    assert not any("taught on" in words for words in made.warnings)
    alone = generate(
        base, {"biscuit": again}, GenerationRequest(request.prompt, seed=1, steps=2),
        covariance=teaching.statistics,
    )  # fmt: skip
    assert np.array_equal(np.asarray(alone.images[0].image), np.asarray(made.images[1].image))
    maps = acting_maps(base, {"biscuit": again}, alone.images[0].recipe, covariance=teaching.statistics)
    assert maps["biscuit"].shape == (64 // base.description.vae_factor,) * 2
    assert float(maps["biscuit"].max()) == pytest.approx(1.0)


def test_a_stopped_teaching_goes_on_to_the_same_bits(teaching: Teaching, tmp_path: Path) -> None:
    whole = teaching.run(tmp_path / "whole")[-1].concept
    asked = iter([False, True])
    stopped = teaching.run(tmp_path / "broken", should_stop=lambda: next(asked))
    assert stopped[-1].kind == "stopped"
    resumed = teaching.run(tmp_path / "broken", resume=True)[-1].concept
    assert resumed.content_hash == whole.content_hash


def test_latents_are_the_images_own(teaching: Teaching) -> None:
    vae = teaching.base.vae
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    pixels = pixels_of(vae, latents)
    if getattr(vae.config, "latents_mean", None) is not None:  # of one frame, at axis 2
        known = (vae.config.latents_mean, vae.config.latents_std)
        mean, spread = (torch.tensor(each).view(1, 4, 1, 1, 1) for each in known)
        stock = vae.decode(latents.unsqueeze(2) * spread + mean).sample[:, :, 0]
        again = ((vae.encode(pixels.unsqueeze(2)).latent_dist.mode() - mean) / spread)[:, :, 0]
    else:
        stock = vae.decode(latents / vae.config.scaling_factor).sample
        encoded = vae.encode(pixels)
        found = encoded.latent if hasattr(encoded, "latent") else encoded.latent_dist.mode()
        again = found * vae.config.scaling_factor
    torch.testing.assert_close(pixels, stock)
    torch.testing.assert_close(latents_of(vae, pixels), again)


@pytest.mark.parametrize(
    ("kind", "steps"), [("sana", 8), ("cosmos", 8), ("sana-sprint", 2), ("sana-sprint", 1)]
)
def test_a_denoiser_that_points_at_an_image_gets_it_drawn_by_its_own_pipeline(
    kind: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the pipeline takes times and predictions for what is taught: (1 − σ) x + σ n, and n − x of it."""
    base = Base(kind, tiny_family(kind))
    side = 64 // base.description.vae_factor
    image = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(5))
    forward, flow_time = base.denoiser.forward, base.family.flow_time(base.pipeline)

    def pointing(hidden_states: torch.Tensor, timestep: torch.Tensor, **told: Any) -> Any:
        forward(hidden_states, timestep=timestep, **told)  # takes what it is told
        sigma = (timestep / flow_time).view(-1, *[1] * (hidden_states.ndim - 1))
        return ((hidden_states - image.view(1, 4, *[1] * (hidden_states.ndim - 4), side, side)) / sigma,)

    monkeypatch.setattr(base.denoiser, "forward", pointing)
    options = plain_options(kind) | base.family.options(steps) | {"num_inference_steps": steps}
    options["output_type"] = "latent"
    drawn = base.pipeline("a dog", generator=torch.Generator().manual_seed(0), **options).images
    torch.testing.assert_close(drawn, image, atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", ["sana", "sana-sprint", "cosmos"])
def test_a_flow_goes_straight_from_image_to_noise(kind: str) -> None:
    """And what the denoiser predicts is what its own pipeline takes it for: one step ends at the image."""
    base = Base(kind, tiny_family(kind))
    schedule = NoiseSchedule(base)

    class Part:
        latents = torch.full((3, 4, 2, 2), 2.0)
        noise = torch.full((3, 4, 2, 2), -1.0)
        timesteps = torch.tensor([0, 499, 999])

    part: Any = Part()
    noisy, target = schedule.noised(part)
    times = schedule.told(part)
    sigma = (times / base.family.flow_time(base.pipeline)).view(-1, 1, 1, 1)
    assert bool((sigma > 0).all())
    assert bool((sigma < 1).all())
    torch.testing.assert_close(noisy - sigma * target, part.latents)
    torch.testing.assert_close(noisy + (1 - sigma) * target, part.noise)
