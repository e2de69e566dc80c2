from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    UniPCMultistepScheduler,
)
from peft import LoraConfig
from PIL import Image

from perfusion_core.errors import ConceptError, PromptError
from perfusion_core.model.applied import applied
from perfusion_core.model.base import Base
from tests.model.drawing import TAUGHT, draw


@pytest.fixture
def biscuit(tiny_base: Any, make_concept: Any) -> Any:
    return make_concept(tiny_base)


def assert_untouched(base: Base, before: dict[str, Any]) -> None:
    pipe = base.pipeline
    assert not {"encode_prompt", "maybe_free_model_hooks"} & set(vars(pipe))
    assert state_of(base)["shown"] == before["shown"]
    assert all(torch.equal(a, b) for a, b in zip(before["weights"], state_of(base)["weights"], strict=True))
    assert np.array_equal(draw(pipe), before["image"])


def state_of(base: Base) -> dict[str, Any]:
    modules = (base.unet, base.text_encoder, base.vae)
    return {
        "shown": [repr(module) for module in modules] + [len(base.tokenizer)],
        "weights": [p.clone() for module in modules for p in module.parameters()],
        "image": draw(base.pipeline),
    }


@pytest.mark.parametrize("lock", ["local", "global"])
@pytest.mark.parametrize("removal", ["paper", "gated"])
def test_afterwards_everything_is_as_it_was(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any, lock: Any, removal: Any
) -> None:
    before = state_of(tiny_base)
    with applied(
        tiny_base.pipeline, [biscuit], lock=lock, removal=removal, inverse_covariance=tiny_covariance
    ):
        taught = draw(tiny_base.pipeline, TAUGHT)
    assert not np.allclose(taught, before["image"], atol=1e-3)
    assert_untouched(tiny_base, before)


def test_after_an_exception_everything_is_as_it_was(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    before = state_of(tiny_base)
    with (
        pytest.raises(PromptError, match="<nobody>"),
        applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance),
    ):
        draw(tiny_base.pipeline, "a photo of a <nobody>")
    assert_untouched(tiny_base, before)

    def stop(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance),
    ):
        draw(tiny_base.pipeline, TAUGHT, callback_on_step_end=stop)
    assert_untouched(tiny_base, before)


def test_a_concept_that_does_not_fit_leaves_the_pipeline_alone(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    before = state_of(tiny_base)
    with pytest.raises(ConceptError), applied(tiny_base.pipeline, [biscuit], inverse_covariance=torch.eye(5)):
        pass
    with (
        pytest.raises(PromptError, match="mug"),
        applied(tiny_base.pipeline, [biscuit], biases={"mug": 0.5}, inverse_covariance=tiny_covariance),
    ):
        pass
    assert_untouched(tiny_base, before)


def test_no_concepts_change_nothing(tiny_base: Any) -> None:
    plain = draw(tiny_base.pipeline)
    with applied(tiny_base.pipeline, []):
        assert np.array_equal(draw(tiny_base.pipeline), plain)


def test_closed_gates_change_nothing(tiny_base: Any, biscuit: Any, tiny_covariance: Any) -> None:
    plain = draw(tiny_base.pipeline)
    closed = {"biases": {"biscuit": 50.0}, "inverse_covariance": tiny_covariance}
    with applied(tiny_base.pipeline, [biscuit], removal="gated", **closed):
        assert np.array_equal(draw(tiny_base.pipeline), plain)
    with applied(tiny_base.pipeline, [biscuit], removal="paper", **closed):
        assert not np.allclose(draw(tiny_base.pipeline), plain, atol=1e-4)  # the paper's removal is not gated


def test_every_projection_is_computed_once_an_image(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance) as conditioning:
        projections = conditioning.injection.projections
        calls: list[int] = []
        for projection in projections:
            projection.base.register_forward_hook(lambda _m, inputs, _o: calls.append(inputs[0].ndim))
        draw(tiny_base.pipeline, TAUGHT, num_inference_steps=4)
        assert calls.count(3) == len(projections)  # the prompts, once, though there are four steps
        assert calls.count(2) == 1.5 * len(projections)  # i* everywhere, and what half of them lock keys to
        calls.clear()
        draw(tiny_base.pipeline, TAUGHT, num_inference_steps=4)
        assert calls.count(3) == len(projections)  # another image, computed anew


@pytest.mark.parametrize(
    "scheduler",
    [PNDMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, UniPCMultistepScheduler],
)
def test_any_scheduler_works(tiny_base: Any, biscuit: Any, tiny_covariance: Any, scheduler: Any) -> None:
    tiny_base.pipeline.scheduler = scheduler.from_config(tiny_base.scheduler.config, skip_prk_steps=True)
    before = state_of(tiny_base)
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance):
        assert not np.allclose(draw(tiny_base.pipeline, TAUGHT), before["image"], atol=1e-3)
    assert_untouched(tiny_base, before)


def test_without_guidance_there_are_positive_rows_only(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance) as conditioning:
        contexts: list[Any] = []

        def look(*_: Any) -> dict[str, Any]:
            contexts.append(conditioning.injection.context)
            return {}

        options = {"guidance_scale": 1.0, "num_images_per_prompt": 3, "callback_on_step_end": look}
        draw(tiny_base.pipeline, TAUGHT, **options)
        assert contexts[-1] is not None
        assert contexts[-1].rows == 3


@pytest.mark.parametrize("kind", [StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline])
def test_pipelines_that_start_from_an_image_work(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any, kind: Any
) -> None:
    pipe = kind(**tiny_base.pipeline.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    start: dict[str, Any] = {"image": Image.new("RGB", (64, 64), "gray"), "strength": 0.9}
    if kind is StableDiffusionInpaintPipeline:
        start |= {"mask_image": Image.new("L", (64, 64), 255), "height": 64, "width": 64}
    plain = draw(pipe, **start)
    with applied(pipe, [biscuit], inverse_covariance=tiny_covariance):
        taught = draw(pipe, TAUGHT, **start)
    assert not np.allclose(taught, plain, atol=1e-3)
    assert np.array_equal(draw(pipe, **start), plain)


def with_lora(base: Base) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        base.unet.add_adapter(
            LoraConfig(r=2, target_modules=["to_k", "to_v", "to_q"], init_lora_weights=False), "style"
        )


def test_a_lora_loaded_before_stays_in_force(tiny_base: Any, biscuit: Any, tiny_covariance: Any) -> None:
    plain = draw(tiny_base.pipeline)
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance):
        without_lora = draw(tiny_base.pipeline, TAUGHT)
    with_lora(tiny_base)
    before = state_of(tiny_base)
    assert not np.allclose(before["image"], plain, atol=1e-4)
    with applied(tiny_base.pipeline, [biscuit], removal="gated", inverse_covariance=tiny_covariance):
        assert not np.allclose(draw(tiny_base.pipeline, TAUGHT), without_lora, atol=1e-4)
    closed = {"biases": {"biscuit": 50.0}, "inverse_covariance": tiny_covariance}
    with applied(tiny_base.pipeline, [biscuit], removal="gated", **closed):
        assert np.array_equal(draw(tiny_base.pipeline), before["image"])
    assert_untouched(tiny_base, before)


def test_a_lora_keeps_its_scale_inside(tiny_base: Any, biscuit: Any, tiny_covariance: Any) -> None:
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance):
        without_lora = draw(tiny_base.pipeline, TAUGHT)
    with_lora(tiny_base)
    off = {"cross_attention_kwargs": {"scale": 0.0}}
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance):
        np.testing.assert_allclose(draw(tiny_base.pipeline, TAUGHT, **off), without_lora, atol=1e-4)


def test_two_concepts_meet_in_one_image_whatever_their_order(
    tiny_base: Any, biscuit: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    mug = make_concept(tiny_base, name="mug", superclass="cup", seed=4)
    images: list[np.ndarray[Any, Any]] = []
    for concepts in ([biscuit, mug], [mug, biscuit]):
        with applied(tiny_base.pipeline, concepts, inverse_covariance=tiny_covariance) as conditioning:
            images.append(draw(tiny_base.pipeline, "a photo of a <biscuit> next to my <mug:0.5>"))
            assert conditioning.encoding is not None
            assert conditioning.encoding.positions == [{"biscuit": [5], "mug": [9]}]
    np.testing.assert_allclose(images[0], images[1], atol=1e-4)


def test_the_denoiser_may_have_another_precision_than_the_text_encoder(
    tiny_pipe: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    base = Base("tiny", tiny_pipe, dtype=torch.bfloat16)
    assert base.text_encoder.dtype == torch.float32
    with applied(base.pipeline, [make_concept(base)], inverse_covariance=tiny_covariance):
        assert np.isfinite(draw(base.pipeline, TAUGHT)).all()
    with applied(base.pipeline, []):
        assert np.isfinite(draw(base.pipeline)).all()


def test_a_concept_of_other_weights_is_used_with_a_warning(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any, recwarn: pytest.WarningsRecorder
) -> None:
    with applied(tiny_base.pipeline, [make_concept(tiny_base)], inverse_covariance=tiny_covariance):
        assert not [w for w in recwarn if "was taught on" in str(w.message)]
    stranger = make_concept(tiny_base, base="elsewhere", base_fingerprint="other")
    with (
        pytest.warns(UserWarning, match="biscuit was taught on elsewhere"),
        applied(tiny_base.pipeline, [stranger], inverse_covariance=tiny_covariance),
    ):
        pass


def test_a_concept_taught_with_the_papers_removal_is_used_with_the_gated_one(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    taught = make_concept(tiny_base, removal="paper")
    plain = draw(tiny_base.pipeline)
    closed = {"biases": {"biscuit": 50.0}, "inverse_covariance": tiny_covariance}
    with applied(tiny_base.pipeline, [taught], **closed):
        assert np.array_equal(draw(tiny_base.pipeline), plain)


def test_an_unknown_lock_is_refused(tiny_base: Any, biscuit: Any, tiny_covariance: Any) -> None:
    lock: Any = "loose"
    with (
        pytest.raises(PromptError, match="Use local or global"),
        applied(tiny_base.pipeline, [biscuit], lock=lock, inverse_covariance=tiny_covariance),
    ):
        pass
    assert "Edited" not in repr(tiny_base.unet)
