"""Ways of using a pipeline that would ignore the edit, or keep another prompt's: none passes silently."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from peft import LoraConfig
from PIL import Image

from perfusion_core.errors import PerfusionError
from perfusion_core.model.applied import applied
from perfusion_core.model.describe import cross_attentions

PLAIN, TAUGHT = "a photo of a dog on the beach", "a photo of a <biscuit> on the beach"


def draw(pipe: Any, prompt: Any = TAUGHT, seed: int = 0, **settings: Any) -> np.ndarray[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    chosen = {"num_inference_steps": 3, "output_type": "np", "generator": generator, **settings}
    return pipe(prompt, **chosen).images


@pytest.fixture
def concept(tiny_base: Any, make_concept: Any) -> Any:
    return make_concept(tiny_base)


def test_a_second_pipeline_on_the_same_denoiser_is_refused_until_the_concepts_are_applied_to_it(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    pipe = tiny_base.pipeline
    second = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    second.set_progress_bar_config(disable=True)
    start: dict[str, Any] = {"image": Image.new("RGB", (64, 64), "gray"), "strength": 0.9}
    with applied(pipe, [concept], inverse_covariance=tiny_covariance):
        with pytest.raises(PerfusionError, match="another pipeline"):
            draw(second, **start)  # before the first was used
        draw(pipe)
        with pytest.raises(PerfusionError, match="another pipeline"):
            draw(second, **start)  # and after it
    with applied(second, [concept], inverse_covariance=tiny_covariance):
        draw(second, **start)


def test_after_an_image_its_gates_are_gone(tiny_base: Any, concept: Any, tiny_covariance: Any) -> None:
    with applied(tiny_base.pipeline, [concept], inverse_covariance=tiny_covariance) as conditioning:
        draw(tiny_base.pipeline)
        assert conditioning.injection.context is None
    assert "maybe_free_model_hooks" not in vars(tiny_base.pipeline)


def test_a_prompt_swapped_in_a_step_callback_is_refused(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    pipe = tiny_base.pipeline

    def swap(_pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return {"prompt_embeds": tensors["prompt_embeds"].roll(1, dims=1)} if step == 0 else {}

    options = {"callback_on_step_end": swap, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    with (
        applied(pipe, [concept], inverse_covariance=tiny_covariance),
        pytest.raises(PerfusionError, match="not the text"),
    ):
        draw(pipe, **options)


def test_guidance_dropped_in_a_step_callback_keeps_the_positive_rows(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    pipe = tiny_base.pipeline

    def drop(pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step > 0:
            return {}
        pipe._guidance_scale = 1.0
        return {"prompt_embeds": tensors["prompt_embeds"].chunk(2)[-1]}

    options = {"callback_on_step_end": drop, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}

    def keep_positive(_pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        _pipe._guidance_scale = 1.0 + 1e-6  # both rows are computed, the negative one hardly counts
        return {}

    for lock in ("local", "global"):
        with applied(pipe, [concept], lock=lock, inverse_covariance=tiny_covariance):
            dropped = draw(pipe, **options)
            both = draw(pipe, callback_on_step_end=keep_positive)
        np.testing.assert_allclose(dropped, both, atol=1e-3)


def _with_lora(base: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        config = LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False)
        base.unet.add_adapter(config, "style")


def test_a_lora_switched_off_in_a_step_callback_is_off_at_the_next_step(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    _with_lora(tiny_base)
    pipe = tiny_base.pipeline

    def switch(pipe: Any, step: int, _time: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 0:
            pipe.unet.disable_adapters()
        return {}

    def outputs(**options: Any) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        pipe.unet.enable_adapters()
        with applied(pipe, [concept], inverse_covariance=tiny_covariance) as conditioning:
            projection = conditioning.injection.projections[1]
            handle = projection.register_forward_hook(lambda _m, _i, output: seen.append(output))
            draw(pipe, **options)
            handle.remove()
        return seen

    with_style = outputs()
    switched = outputs(callback_on_step_end=switch)
    assert torch.equal(switched[0], with_style[0])
    assert not torch.allclose(switched[1], with_style[1], atol=1e-4)
    assert switched[2] is switched[1]  # and from there on it is kept again


def test_a_lora_taken_off_inside_the_block_stays_off(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    plain = draw(tiny_base.pipeline, PLAIN)
    _with_lora(tiny_base)
    with applied(tiny_base.pipeline, [concept], inverse_covariance=tiny_covariance):
        tiny_base.pipeline.unload_lora_weights()
        draw(tiny_base.pipeline)
    np.testing.assert_allclose(draw(tiny_base.pipeline, PLAIN), plain, atol=1e-5)
    assert "lora" not in repr(tiny_base.unet).casefold()


def test_a_number_in_the_negative_prompt_sets_the_gate_of_the_negative_row_alone(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    pipe = tiny_base.pipeline

    def gates(negative: str, **settings: Any) -> torch.Tensor:
        with applied(pipe, [concept], inverse_covariance=tiny_covariance, **settings) as conditioning:
            pipe.encode_prompt(TAUGHT, "cpu", 1, True, negative)
            assert conditioning.injection.context is not None
            return conditioning.injection.context.coefficients.gates

    for settings in ({}, {"biases": {"biscuit": 0.9}}, {"biases": {"biscuit": [0.9]}}):
        plain, numbered = gates("a <biscuit>", **settings), gates("a <biscuit:0.3>", **settings)
        assert torch.equal(plain[1], numbered[1])
        assert not torch.equal(plain[0], numbered[0])
        expected = gates("a <biscuit>", biases={"biscuit": 0.3})
        assert torch.equal(numbered[0], expected[0])


def test_a_projection_that_is_never_called_is_warned_of(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    path, attention = next(iter(cross_attentions(tiny_base.unet).items()))

    class Deaf:
        """A processor that reads the text by a way of its own."""

        def __call__(self, _attention: Any, hidden_states: Any, **_: Any) -> Any:
            return hidden_states

    with applied(tiny_base.pipeline, [concept], inverse_covariance=tiny_covariance):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw(tiny_base.pipeline)
        attention.processor = Deaf()
        with pytest.warns(UserWarning, match=f"2 of 8.*{path}"):
            draw(tiny_base.pipeline)


def test_a_denoiser_compiled_before_is_edited_like_any_other(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    pipe, one = tiny_base.pipeline, {"num_inference_steps": 1}
    plain = draw(pipe, PLAIN, **one)
    with applied(pipe, [concept], inverse_covariance=tiny_covariance):
        expected = draw(pipe, **one)
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    np.testing.assert_allclose(draw(pipe, PLAIN, **one), plain, atol=1e-5)
    with applied(pipe, [concept], inverse_covariance=tiny_covariance):
        np.testing.assert_allclose(draw(pipe, **one), expected, atol=1e-4)
    np.testing.assert_allclose(draw(pipe, PLAIN, **one), plain, atol=1e-5)


def test_weights_offloaded_layer_by_layer_are_refused_by_name(
    tiny_base: Any, concept: Any, tiny_covariance: Any
) -> None:
    tiny_base.text_encoder.to("meta")  # what enable_sequential_cpu_offload leaves between calls
    with (
        pytest.raises(PerfusionError, match="enable_model_cpu_offload"),
        applied(tiny_base.pipeline, [concept], inverse_covariance=tiny_covariance),
    ):
        pass
