"""The offset in encoding space that all layers' values share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from perfusion_core.model.describe import cross_attentions, linear_of
from perfusion_core.model.text import PromptEncoder
from perfusion_core.training.learned import Learned, begin


@pytest.fixture
def begun(setup: Any) -> Learned:
    recipe = setup.recipe.changed(offset_rate=0.1)
    return begin(setup.base, PromptEncoder(setup.base), "Biscuit", "dog", ["a photo of a <Biscuit>"], recipe)


def test_the_offset_moves_every_value_by_its_projection(setup: Any, begun: Learned) -> None:
    assert begun.offset is not None
    start = {path: value.detach().clone() for path, value in begun.values.items()}
    shift = torch.linspace(-1, 1, len(begun.offset))
    with torch.no_grad():
        before = begun.offset.clone()
        begun.offset += shift
    begun.apply_offset(before)
    for path, attention in cross_attentions(setup.base.unet).items():
        expected = start[path] + linear_of(attention.to_v).weight.float() @ shift
        torch.testing.assert_close(begun.values[path].detach(), expected)


def test_the_offset_gets_the_gradient_that_autograd_gives(setup: Any, begun: Learned) -> None:
    assert begun.offset is not None
    shift = torch.zeros_like(begun.offset, requires_grad=True)
    total = torch.zeros(())
    for path, attention in cross_attentions(setup.base.unet).items():
        value = begun.values[path].detach() + linear_of(attention.to_v).weight.detach().float() @ shift
        total = total + value.sin().sum()
    total.backward()
    torch.stack([value.sin().sum() for value in begun.values.values()]).sum().backward()
    begun.gather_offset_gradient(0.0, torch.eye(len(shift)))
    torch.testing.assert_close(begun.offset.grad, shift.grad)


def test_the_prior_pulls_the_shared_encoding_to_what_words_are_like(begun: Learned) -> None:
    assert begun.offset is not None
    width = len(begun.offset)
    inverse = torch.diag(torch.linspace(0.5, 2, width))
    with torch.no_grad():
        begun.offset += torch.linspace(-1, 1, width)
    for value in begun.values.values():
        value.grad = torch.zeros_like(value)
    shift = begun.offset.detach().clone().requires_grad_()
    shared = begun.superclass_encoding + shift
    (0.3 * shared @ inverse @ shared / width).backward()
    begun.gather_offset_gradient(0.3, inverse)
    torch.testing.assert_close(begun.offset.grad, shift.grad)


def test_a_run_with_an_offset_resumes_to_the_same_concept(setup: Any, tmp_path: Path) -> None:
    recipe = setup.recipe.changed(offset_rate=0.05, value_rate=0.01, prior=0.01)
    whole = setup.learn(recipe=recipe)
    still = setup.learn(recipe=recipe.changed(offset_rate=0.0, prior=0.0), run_dir=tmp_path / "still")
    assert not torch.equal(*(concept.values[next(iter(whole.values))] for concept in (whole, still)))
    left = iter([False] * 4)
    options = {"recipe": recipe, "run_dir": tmp_path / "cut"}
    events = list(setup.events(**options, should_stop=lambda: next(left, True)))
    assert events[-1].kind == "stopped"
    assert 0 < events[-1].step < recipe.steps
    resumed = setup.learn(recipe=recipe, run_dir=tmp_path / "cut", resume=True)
    assert all(torch.equal(value, resumed.values[path]) for path, value in whole.values.items())
