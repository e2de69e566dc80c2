"""LoRAs are put on a loaded base, act with their weights, and are taken off again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from perfusion_core.errors import PerfusionError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from perfusion_core.model.lora_files import ChosenLora, content_hash
from perfusion_core.model.loras import use_loras
from perfusion_core.model.statistics import covariance_for
from perfusion_core.sampling.defaults import SamplingDefaults, sampling_defaults
from tests.lora_files import drawn, parts_of, save_kohya_lora, save_lora
from tests.tiny_families import tiny_family
from tests.tiny_model import tiny_pipeline


@pytest.mark.parametrize("parts", [("unet",), ("text_encoder",), ("unet", "text_encoder")])
def test_a_lora_acts_while_it_is_on_and_leaves_the_base_as_it_was(
    tiny_base: Base, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    plain, before = drawn(tiny_base), parts_of(tiny_base)
    file = save_lora(tmp_path / "style.safetensors", parts=parts)
    use_loras(tiny_base, [ChosenLora(file)])
    acting = drawn(tiny_base)
    assert not torch.equal(acting, plain)
    assert [(one.name, one.weight, one.content_hash) for one in tiny_base.loras] == [
        ("style.safetensors", 1.0, content_hash(file))
    ]
    assert not any(p.requires_grad for p in tiny_base.pipeline.unet.parameters())
    use_loras(tiny_base, [])
    assert parts_of(tiny_base) == before
    assert torch.equal(drawn(tiny_base), plain)
    assert tiny_base.loras == ()
    use_loras(tiny_base, [ChosenLora(file)])
    assert torch.equal(drawn(tiny_base), acting)


def test_a_weight_scales_it_and_0_leaves_it_out(tiny_base: Base, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "style.safetensors")
    plain = drawn(tiny_base)
    use_loras(tiny_base, [ChosenLora(file)])
    one = drawn(tiny_base)
    use_loras(tiny_base, [ChosenLora(file, 0.5)])
    half = drawn(tiny_base)
    assert (half - plain).norm() < (one - plain).norm()
    use_loras(tiny_base, [ChosenLora(file, 0.0)])
    assert torch.equal(drawn(tiny_base), plain)
    assert tiny_base.loras == ()


def test_several_act_together_and_each_is_taken_off_alone(tiny_base: Base, tmp_path: Path) -> None:
    one, two = save_lora(tmp_path / "a.safetensors", seed=1), save_lora(tmp_path / "b.safetensors", seed=2)
    use_loras(tiny_base, [ChosenLora(one)])
    alone = drawn(tiny_base)
    use_loras(tiny_base, [ChosenLora(one), ChosenLora(two)])
    assert not torch.equal(drawn(tiny_base), alone)
    use_loras(tiny_base, [ChosenLora(one)])
    assert torch.equal(drawn(tiny_base), alone)


def test_kohyas_naming_is_the_same_lora(tiny_base: Base, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "style.safetensors")
    use_loras(tiny_base, [ChosenLora(file)])
    acting = drawn(tiny_base)
    use_loras(tiny_base, [ChosenLora(save_kohya_lora(tmp_path / "kohya.safetensors", file))])
    assert torch.equal(drawn(tiny_base), acting)


def test_the_strength_written_in_a_file_counts_in_both_namings(tiny_base: Base, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "style.safetensors", alpha=1)
    use_loras(tiny_base, [ChosenLora(save_lora(tmp_path / "plain.safetensors"), 0.5)])
    half = drawn(tiny_base)
    for half_as_strong in (file, save_kohya_lora(tmp_path / "kohya.safetensors", file, alpha=1)):
        use_loras(tiny_base, [ChosenLora(half_as_strong)])
        assert torch.allclose(drawn(tiny_base), half, atol=1e-6)


@pytest.mark.parametrize(("kind", "part"), [("sdxl", "unet"), ("kolors", "unet"), ("sana", "transformer")])
def test_loras_of_other_families(kind: str, part: str, tmp_path: Path) -> None:
    base = Base("tiny", tiny_family(kind))
    plain = drawn(base, kind)
    file = save_lora(tmp_path / "style.safetensors", tiny_family(kind), (part,))
    use_loras(base, [ChosenLora(file)])
    assert not torch.equal(drawn(base, kind), plain)
    use_loras(base, [])
    assert torch.equal(drawn(base, kind), plain)


def test_a_half_precision_file_is_computed_in_the_bases_precision(tiny_base: Base, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "style.safetensors")
    save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file)
    use_loras(tiny_base, [ChosenLora(file)])
    assert {p.dtype for p in tiny_base.denoiser.parameters()} == {torch.float32}


def test_a_lora_of_few_steps_is_known_by_its_files_name(tiny_base: Base, tmp_path: Path) -> None:
    usual = sampling_defaults(tiny_base)
    use_loras(tiny_base, [ChosenLora(save_lora(tmp_path / "LCM_LoRA v1.5.safetensors"))])
    assert sampling_defaults(tiny_base) == SamplingDefaults("lcm", 4, 1.0)
    use_loras(tiny_base, [ChosenLora(save_lora(tmp_path / "sd_lightning_8step.safetensors", seed=2))])
    assert sampling_defaults(tiny_base) == SamplingDefaults("euler", 8, 0.0)
    named_by_folder = save_lora(tmp_path / "lcm-lora-sdv1-5" / "pytorch_lora_weights.safetensors", seed=3)
    use_loras(tiny_base, [ChosenLora(named_by_folder)])
    assert sampling_defaults(tiny_base) == SamplingDefaults("lcm", 4, 1.0)
    use_loras(tiny_base, [])
    assert sampling_defaults(tiny_base) == usual


@pytest.mark.parametrize("name", ["type", "train", "a.b c", "模型", "keys"])
def test_any_files_name_will_do(tiny_base: Base, tmp_path: Path, name: str) -> None:
    use_loras(tiny_base, [ChosenLora(save_lora(tmp_path / f"{name}.safetensors"))])
    assert tiny_base.loras[0].name == f"{name}.safetensors"


def test_two_of_one_name_are_two(tiny_base: Base, tmp_path: Path) -> None:
    files = [save_lora(tmp_path / f"{k}" / "style.safetensors", seed=k) for k in range(2)]
    use_loras(tiny_base, [ChosenLora(file) for file in files])
    assert len({one.adapter for one in tiny_base.loras}) == 2


@pytest.mark.parametrize("weight", [0.25, 0.0])
def test_outputs_kept_of_projections_are_dropped_when_loras_change(
    tiny_base: Base, make_concept: Any, tiny_covariance: Any, tmp_path: Path, weight: float
) -> None:
    file = save_lora(tmp_path / "style.safetensors")
    use_loras(tiny_base, [ChosenLora(file)])
    seen: list[torch.Tensor] = []

    def change(_pipe: Any, step: int, _time: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 1:
            use_loras(tiny_base, [ChosenLora(file, weight)])
        return {}

    concept = make_concept(tiny_base)
    with applied(tiny_base.pipeline, [concept], inverse_covariance=tiny_covariance) as conditioning:
        projection = conditioning.injection.projections[1]
        projection.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        tiny_base.pipeline("a <biscuit>", num_inference_steps=4, callback_on_step_end=change)
    assert seen[1] is seen[0]  # kept
    assert not torch.allclose(seen[2], seen[1], atol=1e-4)
    assert seen[3] is seen[2]


def test_inside_a_block_with_concepts_none_is_loaded_and_all_is_as_before(
    tiny_base: Base, make_concept: Any, tiny_covariance: Any, tmp_path: Path
) -> None:
    before = parts_of(tiny_base)
    file = save_lora(tmp_path / "style.safetensors")
    with (
        applied(tiny_base.pipeline, [make_concept(tiny_base)], inverse_covariance=tiny_covariance),
        pytest.raises(PerfusionError, match=r"before `with applied"),
    ):
        use_loras(tiny_base, [ChosenLora(file)])
    assert parts_of(tiny_base) == before


def test_statistics_are_of_the_plain_text_encoder(tmp_path: Path) -> None:
    base = Base("tiny", tiny_pipeline())
    captions = ["a photo of a cat", "a dog in the forest", "one red cup on a table"]
    plain = covariance_for(base, tmp_path / "one", captions=captions, progress=False)
    file = save_lora(tmp_path / "words.safetensors", parts=("text_encoder",))
    use_loras(base, [ChosenLora(file)])
    worn = covariance_for(base, tmp_path / "two", captions=captions, progress=False)
    assert torch.equal(plain.inverse, worn.inverse)
    assert not any(p.requires_grad for p in base.text_encoder.parameters())
