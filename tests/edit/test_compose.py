from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perfusion_core.edit.choices import Removal
from perfusion_core.edit.compose import EditCoefficients, apply_edit, coefficients
from perfusion_core.edit.gate import edit, similarity
from perfusion_core.errors import ConceptError

WIDTH, OUTPUT = 16, 6
REMOVALS: tuple[Removal, ...] = ("paper", "gated")


class Scene:
    """n random concepts and a batch of encodings in a random metric, in float64 unless told."""

    def __init__(self, count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        spread = random(WIDTH, WIDTH) / WIDTH**0.5
        self.inverse = spread @ spread.T + torch.eye(WIDTH, dtype=dtype)
        self.weight, self.encoding = random(OUTPUT, WIDTH), random(3, 5, WIDTH)
        self.i_stars, self.o_stars = random(count, WIDTH), random(count, OUTPUT)
        self.bias = torch.linspace(0.5, 0.8, count, dtype=dtype)
        self.temperature = torch.linspace(0.1, 0.2, count, dtype=dtype)

    def coefficients(self, removal: Removal, order: tuple[int, ...] | None = None) -> EditCoefficients:
        chosen = list(order) if order is not None else list(range(len(self.i_stars)))
        return coefficients(
            self.encoding,
            self.i_stars[chosen],
            self.inverse,
            self.bias[chosen],
            self.temperature[chosen],
            removal,
        )

    def edited(self, removal: Removal, order: tuple[int, ...] | None = None) -> torch.Tensor:
        chosen = list(order) if order is not None else list(range(len(self.i_stars)))
        found = self.coefficients(removal, order)
        return apply_edit(
            self.encoding @ self.weight.T, found, self.o_stars[chosen], self.i_stars[chosen] @ self.weight.T
        )


@pytest.mark.parametrize("removal", REMOVALS)
def test_one_concept_through_the_several_concepts_path_equals_the_single_path(removal: Removal) -> None:
    s = Scene(1)
    single = edit(
        s.encoding, s.weight, s.i_stars[0], s.o_stars[0], s.inverse, s.bias[0], s.temperature[0], removal
    )
    assert torch.allclose(s.edited(removal), single, atol=1e-12)


@pytest.mark.parametrize("removal", REMOVALS)
def test_the_order_of_concepts_does_not_matter(removal: Removal) -> None:
    s = Scene(3)
    reference = s.edited(removal)
    for order in itertools.permutations(range(3)):
        assert torch.allclose(s.edited(removal, order), reference, atol=1e-12)


def test_the_gram_solve_equals_the_papers_cholesky_and_qr_route() -> None:
    s = Scene(3)
    factor = torch.linalg.cholesky(s.inverse)  # C⁻¹ = L Lᵀ, so ⟨a, b⟩ = (Lᵀa)·(Lᵀb)
    basis, _ = torch.linalg.qr(factor.T @ s.i_stars.T)
    u = torch.linalg.solve(factor.T, basis).T  # (n, D), orthonormal in the metric
    projected = (s.encoding @ s.inverse @ u.T) @ u
    assert torch.allclose(s.coefficients("paper").removal @ s.i_stars, projected, atol=1e-10)


def test_paper_removal_leaves_nothing_of_any_concept() -> None:
    s = Scene(3)
    left = s.encoding - s.coefficients("paper").removal @ s.i_stars
    for i_star in s.i_stars:
        assert similarity(left, i_star, s.inverse).abs().max() < 1e-10


def test_with_all_gates_open_both_removals_agree() -> None:
    s = Scene(3)
    s.bias = torch.full((3,), -100.0, dtype=torch.float64)
    assert torch.allclose(s.coefficients("gated").removal, s.coefficients("paper").removal, atol=1e-10)


def test_closed_gates_leave_every_token_exactly_unchanged_under_gated_removal() -> None:
    s = Scene(3, dtype=torch.float32)
    s.bias = torch.full((3,), 100.0)
    assert torch.equal(s.edited("gated"), s.encoding @ s.weight.T)


def test_a_concept_with_a_closed_gate_leaves_the_others_as_if_it_were_not_loaded() -> None:
    s = Scene(3)
    s.bias = torch.tensor([0.5, 100.0, 0.6], dtype=torch.float64)
    assert torch.allclose(s.edited("gated"), s.edited("gated", (0, 2)), atol=1e-12)


@pytest.mark.parametrize("removal", REMOVALS)
def test_each_concepts_own_token_emits_its_own_target_when_the_others_are_shut(removal: Removal) -> None:
    s = Scene(2)
    s.encoding = s.i_stars.unsqueeze(0)
    s.bias, s.temperature = torch.full((2,), 0.7), torch.full((2,), 0.001)
    assert torch.allclose(s.edited(removal)[0], s.o_stars, atol=1e-8)


def test_a_bias_of_its_own_for_every_row_equals_rows_done_apart() -> None:
    s = Scene(2)
    per_row = torch.tensor([[0.2, 0.9], [0.5, 0.5], [1.1, 0.3]], dtype=torch.float64)
    for removal in REMOVALS:
        together = coefficients(s.encoding, s.i_stars, s.inverse, per_row, s.temperature, removal)
        for row in range(3):
            alone = coefficients(
                s.encoding[row : row + 1], s.i_stars, s.inverse, per_row[row], s.temperature, removal
            )
            assert torch.allclose(together.gates[row], alone.gates[0], atol=1e-12)
            assert torch.allclose(together.removal[row], alone.removal[0], atol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 1.0001, -1.0, 3.0])
def test_two_concepts_with_one_i_star_are_refused_by_name(factor: float) -> None:
    s = Scene(2)
    twins = torch.stack([s.i_stars[0], s.i_stars[1], factor * s.i_stars[0]])
    settings_of = (torch.full((3,), 0.7), torch.full((3,), 0.15))
    with pytest.raises(ConceptError, match=r"biscuit and cookie .*Leave one out"):
        coefficients(s.encoding, twins, s.inverse, *settings_of, "gated", ("biscuit", "mug", "cookie"))


def test_a_concept_that_is_a_blend_of_two_others_is_refused() -> None:
    s = Scene(2)
    blend = torch.cat([s.i_stars, s.i_stars.sum(0, keepdim=True)])
    with pytest.raises(ConceptError, match="cannot be told apart"):
        coefficients(s.encoding, blend, s.inverse, torch.full((3,), 0.7), torch.full((3,), 0.15), "paper")


def test_the_edit_comes_back_in_the_projections_own_precision() -> None:
    s = Scene(2, dtype=torch.float32)
    found = s.coefficients("gated")
    exact = apply_edit(s.encoding @ s.weight.T, found, s.o_stars, s.i_stars @ s.weight.T)
    half = apply_edit(
        (s.encoding @ s.weight.T).half(), found, s.o_stars.half(), (s.i_stars @ s.weight.T).half()
    )
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), exact, atol=0.05)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 4), bias=st.floats(-2, 3))
def test_gated_removal_solves_its_own_equation_whatever_the_gates(seed: int, count: int, bias: float) -> None:
    s = Scene(count, seed)
    s.bias = torch.full((count,), bias, dtype=torch.float64)
    found = s.coefficients("gated")
    gram = s.i_stars @ s.inverse @ s.i_stars.T
    # x with c = gate ∘ x: a concept's own part counts whole, the others' only as far as they are open
    sims = torch.stack([similarity(s.encoding, i, s.inverse) for i in s.i_stars], dim=-1)
    off_diagonal = gram / gram.diagonal().unsqueeze(1) - torch.eye(count)
    x = sims - found.removal @ off_diagonal.T
    assert torch.isfinite(found.removal).all()
    assert torch.allclose(found.removal, found.gates * x, atol=1e-7)


@pytest.mark.parametrize("removal", REMOVALS)
def test_gradients_reach_encodings_and_targets_through_several_concepts(removal: Removal) -> None:
    s = Scene(2)

    def run(encoding: torch.Tensor, i_stars: torch.Tensor, o_stars: torch.Tensor) -> torch.Tensor:
        found = coefficients(encoding, i_stars, s.inverse, s.bias, s.temperature, removal)
        return apply_edit(encoding @ s.weight.T, found, o_stars, i_stars @ s.weight.T)

    learnable = (s.encoding.requires_grad_(), s.i_stars.requires_grad_(), s.o_stars.requires_grad_())
    assert torch.autograd.gradcheck(run, learnable)


def known_of(seed: int, count: int) -> torch.Tensor:
    """For each token one concept or none that is measured, 0 or 1 for the others."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.randint(0, 2, (3, 5, count), generator=generator).double()
    measured = torch.randint(0, count + 1, (3, 5, 1), generator=generator)
    return torch.where(torch.arange(count) == measured, torch.nan, known)


@pytest.mark.parametrize("factor", [1.0, 1.0001, -1.0, 3.0])
@pytest.mark.parametrize("removal", REMOVALS)
def test_concepts_of_one_i_star_share_what_is_removed_where_it_is_known_which_is_meant(
    factor: float, removal: Removal
) -> None:
    s = Scene(2)
    s.i_stars = torch.stack([s.i_stars[0], s.i_stars[1], factor * s.i_stars[0]])
    s.bias, s.temperature = torch.tensor([0.5, 0.6, 0.7]).double(), torch.full((3,), 0.15).double()
    found = coefficients(
        s.encoding, s.i_stars, s.inverse, s.bias, s.temperature, removal, known=known_of(1, 3)
    )
    gram = s.i_stars @ s.inverse @ s.i_stars.T
    inner = s.encoding @ s.inverse @ s.i_stars.T
    for row, token in itertools.product(range(3), range(5)):
        # the regression of e on the i*, where gate g costs (1/g - 1) G_jj of ridge and "paper" nothing
        gates = found.gates[row, token] if removal == "gated" else torch.ones(3).double()
        ridge = torch.diag((1 / gates - 1) * gram.diagonal())
        expected = torch.linalg.pinv(gram + ridge, rtol=1e-9, hermitian=True) @ inner[row, token]
        removed = found.removal[row, token] @ s.i_stars
        torch.testing.assert_close(removed, expected @ s.i_stars, atol=2e-3, rtol=2e-3)


def test_two_open_gates_of_one_i_star_remove_it_once_in_single_precision() -> None:
    s = Scene(1, dtype=torch.float32)
    twins = s.i_stars.repeat(2, 1)
    bias, temperature = torch.full((2,), -100.0), torch.full((2,), 0.1)
    found = coefficients(s.encoding, twins, s.inverse, bias, temperature, "gated", known=torch.ones(3, 5, 2))
    assert bool((found.gates == 1).all())
    once = similarity(s.encoding, s.i_stars[0], s.inverse)
    torch.testing.assert_close(found.removal.sum(dim=-1), once, rtol=1e-3, atol=1e-4)


def test_one_token_measured_for_two_concepts_of_one_i_star_is_refused_by_name() -> None:
    s = Scene(2)
    twins = torch.stack([s.i_stars[0], s.i_stars[1], s.i_stars[0]])
    settings_of = (torch.full((3,), 0.7), torch.full((3,), 0.15))
    known = known_of(1, 3)
    known[2, 4] = torch.tensor([torch.nan, 0.0, torch.nan])
    with pytest.raises(ConceptError, match=r"biscuit and cookie .*Leave one out"):
        coefficients(s.encoding, twins, s.inverse, *settings_of, "gated", ("biscuit", "mug", "cookie"), known)


@pytest.mark.parametrize("removal", REMOVALS)
def test_where_a_similarity_is_known_the_gate_is_set_by_it_and_elsewhere_by_measuring(
    removal: Removal,
) -> None:
    scene = Scene(2)
    known = torch.full((3, 5, 2), float("nan"), dtype=torch.float64)
    known[1, 3] = torch.tensor([1.0, 0.0])
    measured = scene.coefficients(removal)
    found = coefficients(
        scene.encoding, scene.i_stars, scene.inverse, scene.bias, scene.temperature, removal, known=known
    )
    elsewhere = known.isnan()
    assert torch.equal(found.gates[elsewhere], measured.gates[elsewhere])
    expected = torch.sigmoid((torch.tensor([1.0, 0.0]) - scene.bias) / scene.temperature)
    torch.testing.assert_close(found.gates[1, 3], expected)
