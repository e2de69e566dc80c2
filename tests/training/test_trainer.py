"""The loop: what learns, what does not, and what is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.concept import load_concept
from perfusion_core.model.text import PromptEncoder
from perfusion_core.training import trainer as trainer_module


def weights_of(base: Any) -> dict[str, torch.Tensor]:
    modules = {"unet": base.unet, "text": base.text_encoder, "vae": base.vae}
    return {f"{n}.{k}": v.clone() for n, m in modules.items() for k, v in m.state_dict().items()}


def test_events_come_in_order_and_end_with_a_concept(setup: Any) -> None:
    events = setup.run()
    kinds = [event.kind for event in events]
    assert kinds == ["start", "checkpoint", *["step"] * 3, "checkpoint", *["step"] * 3, "checkpoint", "done"]
    assert [event.step for event in events if event.kind == "step"] == [1, 2, 3, 4, 5, 6]
    assert all(event.total == 6 and event.loss > 0 for event in events if event.kind == "step")
    assert events[-1].concept.name == "biscuit"
    assert events[-1].best_step == 6
    assert events[-2].eta == 0
    assert events[3].eta > 0
    assert events[0].eta is None


def test_gradients_reach_embedding_and_values_and_nothing_else(
    setup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped: list[torch.optim.Optimizer] = []
    make = trainer_module.optimizer_for

    def watched(learned: Any, recipe: Any) -> torch.optim.Adam:
        optimizer = make(learned, recipe)
        stepped.append(optimizer)
        names = {id(learned.embedding): "embedding", **{id(v): p for p, v in learned.values.items()}}

        def check(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            found = [p for group in optimizer.param_groups for p in group["params"]]
            assert {names[id(p)] for p in found} == {"embedding", *setup.base.description.attention_paths}
            for parameter in found:
                assert parameter.grad is not None
                assert bool(parameter.grad.abs().max() > 0)

        optimizer.register_step_pre_hook(check)
        return optimizer

    monkeypatch.setattr(trainer_module, "optimizer_for", watched)
    before = weights_of(setup.base)
    setup.run()
    assert stepped
    after = weights_of(setup.base)
    assert all(torch.equal(before[name], after[name]) for name in before)
    for module in (setup.base.unet, setup.base.text_encoder, setup.base.vae):
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())


def test_keys_stay_locked_unless_they_are_to_be_trained(setup: Any) -> None:
    locked = setup.learn()
    assert locked.keys is None
    assert locked.superclass_encoding is not None
    trained = setup.learn(recipe=setup.recipe.changed(keys="trained"))
    assert trained.keys is not None
    assert trained.superclass_encoding is None
    start = setup.run(recipe=setup.recipe.changed(keys="trained", steps=1, checkpoint_every=1))[1].concept
    assert any(not torch.equal(trained.keys[path], start.keys[path]) for path in start.keys)


def test_the_start_is_the_superclass_itself(setup: Any) -> None:
    start = next(event.concept for event in setup.run() if event.kind == "checkpoint")
    encoder = PromptEncoder(setup.base)
    assert torch.equal(start.embedding, encoder.superclass_embedding("dog"))
    attention = dict(setup.base.unet.named_modules())[setup.base.description.attention_paths[0]]
    expected = attention.to_v(start.superclass_encoding)
    assert torch.allclose(start.values[setup.base.description.attention_paths[0]], expected, atol=1e-5)
    assert torch.allclose(start.target_input, start.superclass_encoding, atol=0.1)


def test_loss_falls(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one batch over and over: from fresh noise at each step a tiny base tells nothing."""
    draw, first = trainer_module.draw, []

    def same_batch(*args: Any) -> Any:
        first.append(draw(*args))
        return first[0]

    monkeypatch.setattr(trainer_module, "draw", same_batch)
    events = setup.run(recipe=setup.recipe.changed(steps=15, checkpoint_every=15))
    losses = [event.loss for event in events if event.kind == "step"]
    assert losses[14] < losses[7] < losses[1]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_target_is_what_the_base_predicts(setup: Any, prediction: str) -> None:
    from perfusion_core.training.examples import draw, encode_examples
    from perfusion_core.training.step import NoiseSchedule

    setup.base.scheduler.register_to_config(prediction_type=prediction)
    schedule = NoiseSchedule(setup.base)
    examples = encode_examples(setup.base, setup.photos, setup.masks, setup.recipe)
    batch = draw(examples, setup.recipe, "<biscuit>", schedule.timesteps, torch.Generator())
    noisy, target = schedule.noised(batch)
    signal_scale = setup.base.scheduler.alphas_cumprod[batch.timesteps].sqrt().view(-1, 1, 1, 1)
    noise_scale = (1 - signal_scale**2).sqrt()
    assert torch.allclose(noisy, signal_scale * batch.latents + noise_scale * batch.noise, atol=1e-5)
    velocity = signal_scale * batch.noise - noise_scale * batch.latents
    assert torch.allclose(target, batch.noise if prediction == "epsilon" else velocity, atol=1e-5)


def test_masks_weight_the_loss(setup: Any) -> None:
    everywhere = setup.run()
    half = np.zeros((64, 64), dtype=np.float32)
    half[:, :32] = 1
    setup.masks = [half, half]
    setup.recipe = setup.recipe.changed(flip=False)
    masked = setup.run(resume=False)
    assert masked[2].loss < 0.75 * everywhere[2].loss


def test_what_lies_outside_the_mask_does_not_matter(setup: Any) -> None:
    from perfusion_core.training.examples import encode_examples

    half = np.zeros((64, 64), dtype=np.float32)
    half[:, :32] = 0.4
    examples = encode_examples(setup.base, setup.photos, [half, half], setup.recipe)
    assert examples.masks.shape == (4, 1, 8, 8)
    assert (examples.masks[:2, ..., 4:] == 0).all()
    assert torch.allclose(examples.masks[:2, ..., :4], torch.tensor(0.4))
    assert torch.equal(examples.masks[2:], examples.masks[:2].flip(-1))


def test_no_flip_means_no_mirrored_photo(setup: Any) -> None:
    from perfusion_core.training.examples import encode_examples

    both = encode_examples(setup.base, setup.photos, setup.masks, setup.recipe)
    plain = encode_examples(setup.base, setup.photos, setup.masks, setup.recipe.changed(flip=False))
    assert len(both.latents) == 4
    assert both.mirrored
    assert len(plain.latents) == 2
    assert not plain.mirrored
    assert torch.equal(both.latents[:2], plain.latents)
    assert not torch.allclose(both.latents[0], both.latents[2])


def test_one_photo_is_enough(setup: Any) -> None:
    setup.photos, setup.masks = setup.photos[:1], setup.masks[:1]
    assert setup.learn().name == "biscuit"


def test_accumulated_parts_learn_what_one_batch_learns(setup: Any) -> None:
    whole = setup.learn()
    parts = setup.learn(recipe=setup.recipe.changed(batch_size=1, accumulation=4))
    assert torch.allclose(whole.embedding, parts.embedding, atol=1e-3)
    assert torch.allclose(whole.target_input, parts.target_input, atol=1e-3)
    for path, value in whole.values.items():
        assert torch.allclose(value, parts.values[path], atol=1e-3)


def test_gradient_checkpointing_changes_memory_not_the_result(setup: Any) -> None:
    plain = setup.learn()
    saving = setup.learn(recipe=setup.recipe.changed(gradient_checkpointing=True))
    assert torch.allclose(plain.embedding, saving.embedding, atol=1e-4)
    assert not setup.base.unet.is_gradient_checkpointing


def test_bfloat16_learns_with_float32_masters(setup: Any) -> None:
    concept = setup.learn(recipe=setup.recipe.changed(precision="bfloat16"))
    plain = setup.learn()
    assert concept.embedding.dtype == torch.float32
    path = setup.base.description.attention_paths[0]
    assert torch.allclose(concept.values[path], plain.values[path], atol=0.1)
    assert not torch.equal(concept.values[path], plain.values[path])


def test_the_text_encoder_runs_on_distinct_templates_only(
    setup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = PromptEncoder.encode

    def counted(self: Any, prompts: Any, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(prompts))
        return run(self, prompts, *args, **kwargs)

    monkeypatch.setattr(PromptEncoder, "encode", counted)
    setup.run(recipe=setup.recipe.changed(batch_size=16, clarity=0.0))
    assert max(sizes) == len(setup.recipe.templates) == 3


def test_photos_are_encoded_once(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    encode = setup.base.vae.encode
    monkeypatch.setattr(setup.base.vae, "encode", lambda x: calls.append(len(x)) or encode(x))
    setup.run()
    assert sum(calls) == 4  # two photos and their mirror images


def test_the_base_is_as_it_was_at_every_event(setup: Any) -> None:
    before = repr(setup.base.unet)
    for _ in setup.events(score=lambda concept, step: lesson_score(setup, before)):
        assert repr(setup.base.unet) == before


def lesson_score(setup: Any, before: str) -> Any:
    assert repr(setup.base.unet) == before
    return type("FixedScores", (), {"image": 0.5, "text": 0.5})()


def test_the_best_harmonic_mean_is_chosen_and_the_start_never(
    setup: Any, fixed_scores: Callable[..., Any]
) -> None:
    said = {0: (0.9, 0.9), 2: (0.5, 0.4), 4: (0.6, 0.5), 6: (0.9, 0.1)}
    recipe = setup.recipe.changed(checkpoint_every=2)
    events = setup.run(recipe=recipe, score=lambda concept, step: fixed_scores(*said[step]))
    done = events[-1]
    assert done.best_step == 4
    assert done.concept.metadata.scores == {"image": 0.6, "text": 0.5, "step": 4.0}
    kept = {event.step: event.concept for event in events if event.kind == "checkpoint"}
    assert torch.equal(done.concept.embedding, kept[4].embedding)
    assert [event.step for event in events if event.kind == "score"] == [0, 2, 4, 6]
    assert load_concept(setup.folder / "best.safetensors").content_hash == done.concept.content_hash
    assert load_concept(setup.folder / "last.safetensors").content_hash == kept[6].content_hash


def test_a_negative_score_never_wins(fixed_scores: Callable[..., Any]) -> None:
    from perfusion_core.training.events import Scored

    assert Scored(1, -0.5, 0.9).harmonic == 0 == Scored(1, 0.9, 0.0).harmonic
    assert Scored(1, 0.9, -0.2).harmonic == 0
    assert Scored(1, 0.5, 0.5).harmonic == 0.5
    assert Scored(1, 0.9, 0.1).harmonic == pytest.approx(0.18)


def test_previews_are_made_of_the_concept_so_far_from_step_zero(setup: Any) -> None:
    seen: list[tuple[int, str]] = []
    events = setup.run(preview=lambda concept, step: seen.append((step, concept.name)) or [])
    assert seen == [(0, "biscuit"), (3, "biscuit"), (6, "biscuit")]
    assert [event.step for event in events if event.kind == "preview"] == [0, 3, 6]


def test_full_precision_is_kept_to_on_a_base_loaded_in_half(setup: Any) -> None:
    from perfusion_core.model.base import Base
    from tests.tiny_model import tiny_pipeline

    setup.base = Base("half", tiny_pipeline(), dtype=torch.bfloat16)
    weights = [p.clone() for p in setup.base.unet.parameters()]
    seen: set[torch.dtype] = set()
    handle = setup.base.unet.register_forward_hook(lambda _m, inputs, output: seen.add(output.sample.dtype))
    setup.run(recipe=setup.recipe.changed(precision="float32"))
    handle.remove()
    assert seen == {torch.float32}
    assert setup.base.unet.dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(weights, setup.base.unet.parameters(), strict=True))


def test_a_base_with_a_tiny_autoencoder_is_taught_and_makes_images(setup: Any) -> None:
    from diffusers import AutoencoderTiny

    from perfusion_core.model.base import Base
    from tests.tiny_model import tiny_pipeline

    pipe = tiny_pipeline()
    channels = (8, 8, 8, 8)
    pipe.register_modules(
        vae=AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels)
    )
    setup.base = Base("taesd", pipe)
    assert setup.base.description.vae_factor == 8
    assert setup.run()[-1].kind == "done"
    assert pipe("a dog", num_inference_steps=1).images[0].size == (64, 64)
