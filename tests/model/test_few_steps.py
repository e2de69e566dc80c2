"""Bases of few steps are known by configuration, LoRA or name, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diffusers import LCMScheduler

from perfusion_core.model.base import Base, load_base
from perfusion_core.sampling.defaults import SamplingDefaults, sampling_defaults
from perfusion_core.training.recipe import Recipe
from tests.model.switches import with_lora
from tests.tiny_families import tiny_family
from tests.tiny_model import save_tiny_base, tiny_pipeline


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sd-turbo", ("turbo", 4)),
        ("SD_Turbo", ("turbo", 4)),
        ("stabilityai/sdxl-turbo", ("turbo", 4)),
        ("DreamShaperXL_v21TurboDPMSDE", ("turbo", 4)),
        ("sdxl_lightning_2step", ("lightning", 2)),
        ("ByteDance/SDXL-Lightning", ("lightning", 4)),
        ("juggernautXL_v9Rdphoto2Lightning", ("lightning", 4)),
        ("Hyper-SDXL-8steps-CFG", ("hyper", 8)),
        ("realisticVisionV60B1_v51HyperVAE", ("hyper", 8)),
        ("dreamshaper-lcm", ("lcm", 4)),
        ("LCM_Dreamshaper_v7", ("lcm", 4)),
        ("dreamshaperLCMv2", ("lcm", 4)),
        ("turbot-photos", None),
        ("hyper realistic mix", None),
        ("/home/turbo/lcm/sd15", None),
        ("trained for 40000 steps", None),
        ("lightnings", None),
    ],
)
def test_a_base_of_few_steps_is_known_by_its_name(name: str, expected: tuple[str, int] | None) -> None:
    few = Base(name, tiny_pipeline()).description.few_steps
    assert (few and (few.kind, few.steps)) == expected


def test_a_consistency_model_is_known_by_its_configuration(tiny_pipe: Any) -> None:
    tiny_pipe.scheduler = LCMScheduler.from_config(tiny_pipe.scheduler.config)
    base = Base("x", tiny_pipe)
    assert sampling_defaults(base) == SamplingDefaults("lcm", 4, 1.0)
    tiny_pipe.unet.register_to_config(time_cond_proj_dim=8)
    assert sampling_defaults(Base("x", tiny_pipe)) == SamplingDefaults("lcm", 4, 8.0)


def test_sana_sprint_draws_in_two_steps_of_its_own_and_is_validated_in_them() -> None:
    base = Base("sprint", tiny_family("sana-sprint"))
    assert sampling_defaults(base) == SamplingDefaults("own", 2, 4.5)
    assert Recipe.preset(base.description).validation_steps == 2


def test_a_family_with_schedulers_of_its_own_keeps_them() -> None:
    assert sampling_defaults(Base("sana-turbo", tiny_family("sana"))).scheduler == "euler"
    assert sampling_defaults(Base("sana-lcm", tiny_family("sana"))).scheduler == "own"
    assert sampling_defaults(Base("sdxl-turbo", tiny_family("sdxl"))) == SamplingDefaults("euler", 4, 0.0)


def test_a_folder_is_known_by_its_name(tmp_path: Path) -> None:
    base = load_base(save_tiny_base(tmp_path / "sd-turbo"), device="cpu")
    assert sampling_defaults(base) == SamplingDefaults("euler", 4, 0.0)


def test_a_lora_of_few_steps_counts_while_it_is_in_force(tiny_base: Any) -> None:
    usual = sampling_defaults(tiny_base)
    with_lora(tiny_base.pipeline, "style")
    assert sampling_defaults(tiny_base) == usual
    with_lora(tiny_base.pipeline, "lcm")
    assert sampling_defaults(tiny_base) == SamplingDefaults("lcm", 4, 1.0)
    tiny_base.unet.set_adapter("style")
    assert sampling_defaults(tiny_base) == usual
    tiny_base.unet.set_adapter("lcm")
    tiny_base.unet.disable_adapters()
    assert sampling_defaults(tiny_base) == usual
