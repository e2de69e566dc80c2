"""Which gates the images of a call have: by prompt, by number, by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import PromptError
from perfusion_core.model.applied import applied
from tests.model.drawing import PLAIN, TAUGHT, draw


@pytest.fixture
def biscuit(tiny_base: Any, make_concept: Any) -> Any:
    return make_concept(tiny_base)


def test_several_images_of_one_batch_have_gates_of_their_own(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    pipe = tiny_base.pipeline
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    sweep = [1.2, 0.6, 0.2]
    with applied(pipe, [biscuit], biases={"biscuit": sweep}, inverse_covariance=tiny_covariance):
        front = draw(pipe, TAUGHT, num_images_per_prompt=3, latents=latents.repeat(3, 1, 1, 1))
    for image, bias in zip(front, sweep, strict=True):
        with applied(pipe, [biscuit], biases={"biscuit": bias}, inverse_covariance=tiny_covariance):
            np.testing.assert_allclose(image, draw(pipe, TAUGHT, latents=latents)[0], atol=1e-4)
    with (
        pytest.raises(PromptError, match="3 biases for 2 images"),
        applied(pipe, [biscuit], biases={"biscuit": sweep}, inverse_covariance=tiny_covariance),
    ):
        draw(pipe, TAUGHT, num_images_per_prompt=2)


def test_what_sets_a_gate_is_the_list_then_the_prompt_then_the_number_then_the_concept(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    pipe, written = tiny_base.pipeline, TAUGHT.replace("biscuit", "biscuit:0.3")

    def gates(prompt: str, **settings: Any) -> torch.Tensor:
        with applied(pipe, [biscuit], inverse_covariance=tiny_covariance, **settings) as conditioning:
            pipe.encode_prompt(prompt, "cpu", 1, False)
            assert conditioning.injection.context is not None
            return conditioning.injection.context.coefficients.gates

    own, prompt, number, listed = 0.68, 0.3, 0.9, 1.1
    assert torch.equal(gates(TAUGHT), gates(TAUGHT, biases={"biscuit": own}))
    assert torch.equal(gates(written), gates(TAUGHT, biases={"Biscuit": prompt}))
    assert torch.equal(gates(written, biases={"biscuit": number}), gates(written))
    assert torch.equal(
        gates(written, biases={"biscuit": [listed]}), gates(TAUGHT, biases={"biscuit": listed})
    )
    assert torch.equal(gates(TAUGHT, lock="global"), gates(TAUGHT, biases={"biscuit": 0.5}))
    assert torch.equal(gates(TAUGHT), gates(TAUGHT, temperature=0.15))
    assert not torch.equal(gates(TAUGHT), gates(TAUGHT, temperature={"biscuit": 0.1}))


def test_embeddings_passed_in_are_edited_too(tiny_base: Any, biscuit: Any, tiny_covariance: Any) -> None:
    pipe = tiny_base.pipeline
    # of embeddings nothing is known but what can be measured
    with applied(pipe, [biscuit], inverse_covariance=tiny_covariance, anchored=False) as conditioning:
        expected = draw(pipe, TAUGHT)
        given, negative = pipe.encode_prompt(TAUGHT, "cpu", 1, True)
        passed = {"prompt_embeds": given, "negative_prompt_embeds": negative}
        assert np.array_equal(draw(pipe, None, **passed), expected)
        assert conditioning.encoding is None
    with (
        pytest.raises(PromptError, match="global lock needs the prompt as text"),
        applied(pipe, [biscuit], lock="global", inverse_covariance=tiny_covariance),
    ):
        draw(pipe, None, **passed)


def test_a_concept_may_stand_in_the_negative_prompt(
    tiny_base: Any, biscuit: Any, tiny_covariance: Any
) -> None:
    with applied(tiny_base.pipeline, [biscuit], inverse_covariance=tiny_covariance):
        one = draw(tiny_base.pipeline, PLAIN, negative_prompt="a <biscuit>")
        other = draw(tiny_base.pipeline, PLAIN, negative_prompt="a dog")
    assert not np.allclose(one, other, atol=1e-4)


def test_several_prompts_share_a_call(tiny_base: Any, biscuit: Any, tiny_covariance: Any) -> None:
    pipe = tiny_base.pipeline
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with applied(pipe, [biscuit], lock="global", inverse_covariance=tiny_covariance):
        both = draw(pipe, [TAUGHT, PLAIN], negative_prompt=["", "a cat"], latents=latents.repeat(2, 1, 1, 1))
        np.testing.assert_allclose(both[0], draw(pipe, TAUGHT, latents=latents)[0], atol=1e-4)
        alone = draw(pipe, PLAIN, negative_prompt="a cat", latents=latents)
        np.testing.assert_allclose(both[1], alone[0], atol=1e-4)
        with pytest.raises(PromptError, match="2 prompts but 1 negative"):
            pipe.encode_prompt([TAUGHT, PLAIN], "cpu", 1, True, [""])


def test_a_concept_is_open_at_its_own_placeholder_and_closed_at_anothers(
    tiny_base: Any, biscuit: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    mug = make_concept(tiny_base, name="mug", superclass="cup", seed=4)
    prompt = "a sketch painting of a red <biscuit> next to my <mug:0.5>"

    def gates(anchored: bool) -> torch.Tensor:
        settings = {"inverse_covariance": tiny_covariance, "anchored": anchored}
        with applied(tiny_base.pipeline, [biscuit, mug], **settings) as conditioning:
            tiny_base.pipeline.encode_prompt(prompt, "cpu", 1, False)
            assert conditioning.injection.context is not None
            assert conditioning.encoding is not None
            assert conditioning.encoding.positions == [{"biscuit": [7], "mug": [11]}]
            return conditioning.injection.context.coefficients.gates[0]

    anchored, measured = gates(True), gates(False)

    def opening(similarity: float, bias: float) -> float:
        return float(torch.sigmoid(torch.tensor((similarity - bias) / 0.15)))

    expected = torch.tensor([[opening(1, 0.68), opening(0, 0.5)], [opening(0, 0.68), opening(1, 0.5)]])
    torch.testing.assert_close(anchored[[7, 11]], expected)
    others = [token for token in range(24) if token not in (7, 11)]
    assert torch.equal(anchored[others], measured[others])
    assert not torch.allclose(anchored[[7, 11]], measured[[7, 11]], atol=0.05)
