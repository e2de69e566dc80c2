from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from perfusion_core.edit.gate import edit, gate, probe, similarity

ORACLE = load_file(Path(__file__).with_name("oracle.safetensors"))
WIDTH, OUTPUT = 12, 7


def problem(seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """A random projection, concept and metric."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    spread = random(WIDTH, WIDTH)
    return {
        "encoding": random(2, 5, WIDTH),
        "weight": random(OUTPUT, WIDTH),
        "i_star": random(WIDTH),
        "o_star": random(OUTPUT),
        "inverse_covariance": spread @ spread.T + torch.eye(WIDTH, dtype=dtype),
    }


@pytest.mark.parametrize("setting", ["paper_local", "low_gate", "sharp_gate"])
def test_paper_removal_equals_the_numbers_of_perfusion_pytorch(setting: str) -> None:
    bias, temperature = ORACLE[f"setting.{setting}"]
    inverse = torch.inverse(ORACLE["covariance"])
    inputs = (ORACLE["encoding"], ORACLE["weight"], ORACLE["i_star"], ORACLE["o_star"], inverse)
    answer = edit(*inputs, bias, temperature, "paper")
    assert torch.allclose(answer, ORACLE[f"answer.{setting}"], atol=1e-10, rtol=0)


def test_the_recorded_numbers_show_the_gate_both_open_and_closed() -> None:
    sim = similarity(ORACLE["encoding"], ORACLE["i_star"], torch.inverse(ORACLE["covariance"]))
    assert sim.min() < 0.3
    assert sim.max() > 0.99


def test_edit_is_equation_three_written_out() -> None:
    p = problem(dtype=torch.float64)
    energy = p["i_star"] @ p["inverse_covariance"] @ p["i_star"]
    for row, token in ((0, 0), (1, 3)):
        e = p["encoding"][row, token]
        sim = (p["i_star"] @ p["inverse_covariance"] @ e) / energy
        opening = 1 / (1 + torch.exp(-(sim - 0.7) / 0.15))
        expected = p["weight"] @ (e - sim * p["i_star"]) + opening * p["o_star"]
        answer = edit(**p, bias=0.7, temperature=0.15, removal="paper")[row, token]
        assert torch.allclose(answer, expected, atol=1e-12)


def test_similarity_of_the_concept_to_itself_is_one_and_scales_linearly() -> None:
    p = problem()
    scaled = torch.stack([p["i_star"], 0.5 * p["i_star"], -p["i_star"]]).unsqueeze(0)
    sim = similarity(scaled, p["i_star"], p["inverse_covariance"])
    assert torch.allclose(sim, torch.tensor([[1.0, 0.5, -1.0]]), atol=1e-5)


def test_a_token_orthogonal_in_the_metric_has_no_similarity() -> None:
    p = problem(dtype=torch.float64)
    e = p["encoding"]
    sim = similarity(e, p["i_star"], p["inverse_covariance"])
    orthogonal = e - sim.unsqueeze(-1) * p["i_star"]
    assert similarity(orthogonal, p["i_star"], p["inverse_covariance"]).abs().max() < 1e-12


def test_on_its_own_token_with_an_open_gate_the_projection_emits_o_star() -> None:
    p = problem() | {"encoding": problem()["i_star"].view(1, 1, WIDTH)}
    for removal in ("paper", "gated"):
        answer = edit(**p, bias=-10.0, temperature=0.1, removal=removal)
        assert torch.allclose(answer[0, 0], p["o_star"], atol=1e-4)


def test_closed_gate_leaves_other_tokens_exactly_unchanged_under_gated_removal() -> None:
    p = problem()
    plain = torch.nn.functional.linear(p["encoding"], p["weight"])
    answer = edit(**p, bias=50.0, temperature=0.1, removal="gated")
    assert torch.equal(answer, plain)


def test_closed_gate_still_removes_the_concept_under_paper_removal() -> None:
    p = problem()
    plain = torch.nn.functional.linear(p["encoding"], p["weight"])
    sim = similarity(p["encoding"], p["i_star"], p["inverse_covariance"])
    answer = edit(**p, bias=50.0, temperature=0.1, removal="paper")
    drift = plain - answer
    assert drift.abs().max() > 1e-3
    assert torch.allclose(drift, sim.unsqueeze(-1) * (p["weight"] @ p["i_star"]), atol=1e-5)


def test_a_higher_bias_never_opens_the_gate_further() -> None:
    sim = torch.linspace(-1, 2, 50)
    openings = torch.stack([gate(sim, bias, 0.15) for bias in (0.4, 0.6, 0.75, 1.2)])
    assert (openings.diff(dim=0) <= 0).all()
    assert gate(torch.tensor(0.6), 0.6, 0.15) == 0.5


@settings(max_examples=50, deadline=None)
@given(scale=st.floats(0.01, 100.0), seed=st.integers(0, 1000))
def test_scaling_the_covariance_changes_nothing(scale: float, seed: int) -> None:
    p = problem(seed, torch.float64)
    answer = edit(**p, bias=0.7, temperature=0.15, removal="paper")
    rescaled = p | {"inverse_covariance": scale * p["inverse_covariance"]}
    assert torch.allclose(edit(**rescaled, bias=0.7, temperature=0.15, removal="paper"), answer, atol=1e-9)


def test_float32_agrees_with_float64_at_the_size_of_stable_diffusion() -> None:
    generator = torch.Generator().manual_seed(1)
    scales = torch.logspace(0, -2, 768, dtype=torch.float64)  # condition number 10,000
    e = torch.randn(2, 77, 768, generator=generator, dtype=torch.float64) * scales
    inverse = torch.diag(scales**-2)
    exact = similarity(e, e[0, 5], inverse)
    rounded = similarity(e.float(), e[0, 5].float(), inverse.float())
    assert (rounded - exact).abs().max() < 1e-5


def test_gradients_reach_everything_that_may_learn() -> None:
    p = {name: tensor.requires_grad_() for name, tensor in problem(dtype=torch.float64).items()}

    def run(*tensors: torch.Tensor) -> torch.Tensor:
        return edit(*tensors, 0.7, 0.15, "gated")

    assert torch.autograd.gradcheck(run, tuple(p.values()))


def test_probe_prepares_similarity_once_for_many_concepts() -> None:
    p = problem()
    i_stars = torch.stack([p["i_star"], 2 * p["i_star"]])
    prepared = probe(i_stars, p["inverse_covariance"])
    assert torch.allclose(prepared[1], prepared[0] / 2, atol=1e-6)
    expected = similarity(p["encoding"], p["i_star"], p["inverse_covariance"])
    assert torch.allclose(p["encoding"] @ prepared[0], expected, atol=1e-6)
