from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from perfusion_core.edit.choices import Removal
from perfusion_core.edit.gate import edit
from perfusion_core.errors import ConceptError, PerfusionError
from perfusion_core.model.describe import cross_attentions
from perfusion_core.model.inject import EditedProjection, Injection, inject

BIAS, TEMPERATURE = torch.tensor([0.6]), torch.tensor([0.15])


def set_up(
    base: Any, concepts: list[Any], inverse: torch.Tensor, **settings: Any
) -> tuple[Injection, torch.Tensor]:
    """Inject and set a context for two random rows; returns the rows, (2, 24, 32)."""
    injection = inject(base.unet, concepts, inverse)
    encoding = torch.randn(2, 24, 32, generator=torch.Generator().manual_seed(5))
    chosen = {"bias": BIAS.repeat(len(concepts)), "temperature": TEMPERATURE.repeat(len(concepts))}
    removal: Removal = settings.pop("removal", "gated")
    context = injection.context_for(encoding, **{**chosen, "removal": removal, **settings})
    injection.set_context(context)
    return injection, encoding


@pytest.mark.parametrize("removal", ["paper", "gated"])
def test_the_local_lock_is_the_formula_on_every_layer(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any, removal: Removal
) -> None:
    concept = make_concept(tiny_base)
    weights = {
        path: (module.to_k.weight, module.to_v.weight)
        for path, module in cross_attentions(tiny_base.unet).items()
    }
    _, encoding = set_up(tiny_base, [concept], tiny_covariance, removal=removal)
    for path, attention in cross_attentions(tiny_base.unet).items():
        to_k, to_v = weights[path]
        for weight, target, projection in (
            (to_k, to_k @ concept.superclass_encoding, attention.to_k),
            (to_v, concept.values[path], attention.to_v),
        ):
            expected = edit(
                encoding, weight, concept.target_input, target, tiny_covariance, 0.6, 0.15, removal
            )
            torch.testing.assert_close(projection(encoding), expected, rtol=1e-4, atol=1e-4)


def test_trained_keys_are_used_instead_of_locked_ones(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    concept = make_concept(tiny_base, trained_keys=True)
    assert concept.superclass_encoding is None
    weights = {path: module.to_k.weight for path, module in cross_attentions(tiny_base.unet).items()}
    _, encoding = set_up(tiny_base, [concept], tiny_covariance)
    for path, attention in cross_attentions(tiny_base.unet).items():
        assert concept.keys is not None
        expected = edit(
            encoding,
            weights[path],
            concept.target_input,
            concept.keys[path],
            tiny_covariance,
            0.6,
            0.15,
            "gated",
        )
        torch.testing.assert_close(attention.to_k(encoding), expected, rtol=1e-4, atol=1e-4)


def test_the_global_lock_takes_all_keys_from_the_superclass_prompt(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    keys = torch.randn(2, 24, 32, generator=torch.Generator().manual_seed(6))
    injection, encoding = set_up(tiny_base, [make_concept(tiny_base)], tiny_covariance, key_encoding=keys)
    for projection in injection.projections:
        if projection.role == "key":
            assert torch.equal(projection(encoding), projection.base(keys))
        else:
            assert not torch.equal(projection(encoding), projection.base(encoding))


def test_two_concepts_do_not_depend_on_their_order(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    both = [make_concept(tiny_base), make_concept(tiny_base, name="mug", superclass="cup", seed=2)]
    outputs: list[list[torch.Tensor]] = []
    for concepts in (both, both[::-1]):
        injection, encoding = set_up(tiny_base, concepts, tiny_covariance)
        outputs.append([projection(encoding) for projection in injection.projections])
        injection.eject()
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_each_row_has_its_own_gate(tiny_base: Any, make_concept: Any, tiny_covariance: Any) -> None:
    concept = make_concept(tiny_base)
    per_row, encoding = set_up(tiny_base, [concept], tiny_covariance, bias=torch.tensor([[0.2], [1.5]]))
    outputs = [projection(encoding) for projection in per_row.projections]
    per_row.eject()
    for row, bias in enumerate((0.2, 1.5)):
        alone, _ = set_up(tiny_base, [concept], tiny_covariance, bias=torch.tensor([bias]))
        for output, projection in zip(outputs, alone.projections, strict=True):
            torch.testing.assert_close(output[row], projection(encoding)[row])
        alone.eject()


def test_a_projection_with_a_bias_is_edited_in_its_linear_part(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    concept = make_concept(tiny_base)
    path, attention = next(iter(cross_attentions(tiny_base.unet).items()))
    biased = torch.nn.Linear(32, attention.to_v.out_features)
    attention.to_v = biased
    _, encoding = set_up(tiny_base, [concept], tiny_covariance)
    plain = edit(
        encoding,
        biased.weight,
        concept.target_input,
        concept.values[path],
        tiny_covariance,
        0.6,
        0.15,
        "gated",
    )
    torch.testing.assert_close(attention.to_v(encoding), plain + biased.bias, rtol=1e-4, atol=1e-4)


def test_nothing_changes_until_a_context_is_set(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    injection = inject(tiny_base.unet, [make_concept(tiny_base)], tiny_covariance)
    encoding = torch.randn(3, 24, 32)
    for projection in injection.projections:
        assert torch.equal(projection(encoding), projection.base(encoding))


def test_eject_restores_the_modules_themselves(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    before = [(id(a.to_k), id(a.to_v)) for a in cross_attentions(tiny_base.unet).values()]
    shown, names = repr(tiny_base.unet), list(tiny_base.unet.state_dict())
    injection, _ = set_up(tiny_base, [make_concept(tiny_base)], tiny_covariance)
    assert len(injection.projections) == 8
    injection.eject()
    injection.eject()
    assert [(id(a.to_k), id(a.to_v)) for a in cross_attentions(tiny_base.unet).values()] == before
    assert repr(tiny_base.unet) == shown
    assert list(tiny_base.unet.state_dict()) == names


def test_the_same_input_is_projected_once(tiny_base: Any, make_concept: Any, tiny_covariance: Any) -> None:
    injection, encoding = set_up(tiny_base, [make_concept(tiny_base)], tiny_covariance)
    projection = injection.projections[1]
    with torch.no_grad():
        first = projection(encoding)
        assert projection(encoding) is first
        assert projection(encoding.clone()) is not first
        again = projection(encoding)
        encoding.mul_(2)  # the very same tensor, holding other numbers
        assert not torch.equal(projection(encoding), again)
        kept = projection(encoding)
        injection.set_context(injection.context)
        assert projection(encoding) is not kept
    assert projection(encoding) is not projection(encoding)  # with gradients nothing is kept


def test_gradients_reach_values_and_encoding_and_nothing_else(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    taught = make_concept(tiny_base)

    class Learned:
        name = "biscuit"
        target_input = taught.target_input
        superclass_encoding = taught.superclass_encoding
        values = {path: value.clone().requires_grad_() for path, value in taught.values.items()}  # noqa: RUF012
        keys = None

    injection = inject(tiny_base.unet, [Learned()], tiny_covariance)
    encoding = torch.randn(1, 24, 32).requires_grad_()
    injection.set_context(
        injection.context_for(encoding, bias=BIAS, temperature=TEMPERATURE, removal="gated")
    )
    tiny_base.unet(torch.randn(1, 4, 8, 8), 10, encoding).sample.square().mean().backward()
    assert encoding.grad is not None
    assert encoding.grad.abs().sum() > 0
    assert all(v.grad is not None and v.grad.abs().sum() > 0 for v in Learned.values.values())
    assert all(p.grad is None for p in tiny_base.unet.parameters())


def test_a_concept_of_another_base_is_refused_and_nothing_changes(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    concept = make_concept(tiny_base)
    shown = repr(tiny_base.unet)
    paths = list(concept.values)
    lacking = replace(concept, values={path: concept.values[path] for path in paths[1:]})
    extra = replace(concept, values={**concept.values, "some.other.attn2": torch.ones(3)})
    wide = replace(concept, values={**concept.values, paths[0]: torch.ones(7)})
    narrow = replace(
        concept, target_input=torch.ones(5), embedding=torch.ones(5), superclass_encoding=torch.ones(5)
    )
    for unfit, words in (
        (lacking, "lacks"),
        (extra, "some.other.attn2"),
        (wide, "is 7 wide"),
        (narrow, "are 5 wide"),
    ):
        with pytest.raises(ConceptError, match=f"biscuit was made for tiny.*{words}"):
            inject(tiny_base.unet, [unfit], tiny_covariance)
        assert repr(tiny_base.unet) == shown


def test_two_concepts_of_one_name_are_refused(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    with pytest.raises(ConceptError, match="Two concepts are called biscuit"):
        inject(tiny_base.unet, [make_concept(tiny_base), make_concept(tiny_base, seed=3)], tiny_covariance)


def test_injecting_twice_is_refused(tiny_base: Any, make_concept: Any, tiny_covariance: Any) -> None:
    first = inject(tiny_base.unet, [make_concept(tiny_base)], tiny_covariance)
    with pytest.raises(PerfusionError, match="already has concepts"):
        inject(tiny_base.unet, [make_concept(tiny_base, name="mug")], tiny_covariance)
    first.eject()


def test_a_batch_of_another_size_is_refused(tiny_base: Any, make_concept: Any, tiny_covariance: Any) -> None:
    injection, encoding = set_up(tiny_base, [make_concept(tiny_base)], tiny_covariance)
    with pytest.raises(PerfusionError, match=r"1 prompts of 24 tokens.*2 of 24"):
        injection.projections[0](encoding[:1])


def test_edited_projections_work_in_half_precision(
    tiny_base: Any, make_concept: Any, tiny_covariance: Any
) -> None:
    tiny_base.unet.to(torch.bfloat16)
    injection, encoding = set_up(tiny_base, [make_concept(tiny_base)], tiny_covariance)
    assert injection.context is not None
    assert injection.context.coefficients.gates.dtype == torch.float32
    for projection in injection.projections:
        assert isinstance(projection, EditedProjection)
        assert projection(encoding.to(torch.bfloat16)).dtype == torch.bfloat16
