"""Trainings that cannot be, and those that have to stop."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from perfusion_core.errors import TrainingError
from perfusion_core.training import trainer as trainer_module


def test_other_predictions_are_refused_by_name(setup: Any) -> None:
    setup.base.scheduler.register_to_config(prediction_type="sample")
    with pytest.raises(TrainingError, match="sample"):
        setup.run()


def test_photos_and_masks_must_be_there_and_pair(setup: Any) -> None:
    setup.masks = setup.masks[:1]
    with pytest.raises(TrainingError, match="2 photos and 1 masks"):
        setup.run()
    setup.photos, setup.masks = [], []
    with pytest.raises(TrainingError, match="no photos"):
        setup.run()


def test_a_resolution_the_autoencoder_cannot_take_is_refused_with_one_it_can(setup: Any) -> None:
    with pytest.raises(TrainingError, match="multiple of 8, such as 96"):
        setup.run(recipe=setup.recipe.changed(resolution=100))


def test_an_unlucky_name_is_refused_before_anything_is_written(setup: Any) -> None:
    from perfusion_core.errors import ConceptError

    with pytest.raises(ConceptError):
        list(
            trainer_module.train(
                setup.base, setup.photos, setup.masks, "../x", "dog", setup.recipe,
                covariance=setup.statistics, run_dir=setup.folder,
            )
        )  # fmt: skip
    assert not setup.folder.exists()


def test_memory_running_out_says_what_to_lower(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    before = repr(setup.base.unet)
    monkeypatch.setattr(setup.base.unet, "forward", full)
    with pytest.raises(TrainingError, match=r"batch_size from 4 to 2 .* accumulation to 2.*gradient_check"):
        setup.run()
    assert repr(setup.base.unet) == before
    with pytest.raises(TrainingError, match="Lower resolution below 64"):
        setup.run(recipe=setup.recipe.changed(batch_size=1, gradient_checkpointing=True))


def test_other_errors_are_not_called_a_lack_of_memory(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(setup.base.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        setup.run()
