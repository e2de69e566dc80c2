"""The app, the command line and Python's `applied` make the same image of the same request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perfusion_core.cli.main import main
from perfusion_core.edit.choices import DEFAULT_REMOVAL
from perfusion_core.model.applied import applied
from perfusion_core.model.base import load_base
from perfusion_core.model.schedulers import make_scheduler
from perfusion_core.model.statistics import covariance_for
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.operating_points import RANGES
from perfusion_core.sampling.png import read_recipe
from perfusion_core.sampling.request import GenerationRequest
from perfusion_core.studio.app import Studio
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.settings import Settings

PROMPT = "a photo of a <biscuit> on the beach"


def pixels(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


def test_a_concept_taught_with_the_papers_removal_is_one_image_everywhere(
    tmp_path: Path,
    tiny_folder: Path,
    make_concept: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = load_base(tiny_folder, device="cpu")
    concept = make_concept(base, removal="paper")
    settings = Settings(home=tmp_path / "home", base=str(tiny_folder), outputs=tmp_path / "out", device="cpu")
    library = Library(settings.home)
    library.add(concept)

    studio = Studio(settings)
    studio.start()
    try:
        job = studio.submit_generate(GenerationRequest(PROMPT, seed=5, steps=3, guidance=4.0))
        from_app = Path(studio.wait(job.id, 120).result["paths"][0])
    finally:
        studio.close()

    monkeypatch.setenv("PERFUSION_HOME", str(settings.home))
    options = ["--seed", "5", "--steps", "3", "--guidance", "4", "--base", str(tiny_folder)]
    assert main(["generate", PROMPT, *options, "--out", str(tmp_path / "cli"), "--device", "cpu"]) == 0
    from_cli = Path(capsys.readouterr().out.split()[-1])

    pipe = base.pipeline
    pipe.scheduler = make_scheduler(base, read_recipe(from_app).scheduler)
    with applied(pipe, [concept], inverse_covariance=covariance_for(base).inverse):
        from_python = pipe(
            PROMPT, num_inference_steps=3, guidance_scale=4.0, generator=torch.Generator().manual_seed(5)
        ).images[0]

    assert read_recipe(from_app).removal == DEFAULT_REMOVAL == "gated"
    assert read_recipe(from_app) == read_recipe(from_cli)
    assert np.array_equal(pixels(Image.open(from_app)), pixels(Image.open(from_cli)))
    assert np.array_equal(pixels(Image.open(from_app)), pixels(from_python))


def test_at_the_prompts_end_of_the_slider_stands_the_bases_own_image(
    tiny_base: Any, make_concept: Any
) -> None:
    """A concept whose word is still its superclass's: all that acts is the edit."""
    from dataclasses import replace

    concept = make_concept(tiny_base, removal="paper")
    word = tiny_base.prompts.superclass_embedding("dog")
    concept = replace(concept, embedding=word, target_input=concept.superclass_encoding)
    stats = covariance_for(tiny_base, captions=["a photo of a dog", "a cat on the beach"], progress=False)

    def made(prompt: str, **settings: Any) -> np.ndarray[Any, Any]:
        request = GenerationRequest(prompt, seed=3, steps=3, **settings)
        found = generate(tiny_base, {"biscuit": concept}, request, covariance=stats)
        return pixels(found.images[0].image)

    own = made(PROMPT.replace("<biscuit>", "dog"))
    ends = RANGES["local"]
    prompt_end = np.abs(made(PROMPT, biases={"biscuit": ends.prompt_end}) - own).mean()
    paper = np.abs(made(PROMPT, biases={"biscuit": ends.prompt_end}, removal="paper") - own).mean()
    photo_end = np.abs(made(PROMPT, biases={"biscuit": ends.photo_end}) - own).mean()
    assert prompt_end < 0.1 * photo_end
    assert prompt_end < 0.5 * paper
