"""Every method teaches, changes images by what it learned, and leaves the base bit for bit as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.rivals.bench import Bench
from benchmarks.rivals.methods.custom_diffusion import CustomDiffusion, concept_rows, merged, plain_weights
from benchmarks.rivals.methods.gated_edit import AS_PUBLISHED
from benchmarks.rivals.methods.method import Learned, Method, Writer
from benchmarks.rivals.methods.registry import all_methods, chosen_methods
from benchmarks.rivals.methods.words import extra_words
from benchmarks.rivals.subject import Subject
from perfusion_core.errors import PerfusionError
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.training.recipe import Recipe

METHODS = all_methods()


@pytest.fixture(autouse=True)
def unscored(loaded: LoadedBase) -> None:
    """Ours keeps its last step then: validation images would take most of the time here."""
    loaded.__dict__["scorer"] = Missing("none in this test")


def test_perfusion_as_published_has_nothing_of_the_small_base_preset(bench: Bench) -> None:
    of_the_base = {"flip", "validation_steps", "resolution", "checkpoint_every"}
    taught = Recipe.preset(bench.base.description, **AS_PUBLISHED)
    paper = Recipe(clarity=0.0, steps=taught.steps, decay=taught.decay)
    differing = {name for name, value in taught.to_dict().items() if paper.to_dict().get(name) != value}
    assert differing <= of_the_base


STRONG = {"textual-inversion": 0.5, "dreambooth": 1e-2, "dreambooth-prior": 1e-2}


def taught(bench: Bench, method: Method, subjects: list[Subject], folder: Path) -> Learned:
    """A short teaching with rates at which few steps show."""
    settings = {**method.settings(bench), "steps": 4, "batch": 2}
    if not method.name.startswith(("ours", "perfusion")):
        settings["rate"] = STRONG.get(method.name, 5e-2)
    if settings.get("prior"):
        settings["class_images"] = 2
    folder.mkdir(parents=True)
    writer = Writer(folder)
    costs = method.teach(bench, subjects, settings, 0, writer)
    writer.close(subjects, settings, costs, 1.0)
    return Learned.read(folder)


def same(before: list[Any], after: list[Any]) -> bool:
    weights, others = before[0], after[0]
    equal = weights.keys() == others.keys() and all(torch.equal(w, others[n]) for n, w in weights.items())
    return equal and before[1] == after[1]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_teaches_draws_and_is_removed(
    name: str,
    bench: Bench,
    subjects: list[Subject],
    tmp_path: Path,
    fingerprint: Callable[[Any], list[Any]],
) -> None:
    method = METHODS[name]
    of = subjects[::2] if method.pairs == "joint" else subjects[:1]
    before = fingerprint(bench.base)
    learned = taught(bench, method, of, tmp_path / "run")
    assert same(before, fingerprint(bench.base)), "teaching left the base changed"
    assert len(learned.files) == (bench.snapshots if method.knob != "gate bias" else 1)
    assert method.size(learned) > 0
    assert learned.costs.step > 0

    weak, *_, strong = method.points(3)
    with method.applied(bench, [learned], strong) as words:
        assert len(words) == len(of)
        said = bench.draw([f"a photo of a {words[0]}"], [0])[0]
    assert same(before, fingerprint(bench.base)), "drawing left the base changed"
    with method.applied(bench, [learned], weak) as words:
        weaker = bench.draw([f"a photo of a {words[0]}"], [0])[0]
    plain = words[0].replace(f"<{of[0].name}>", "dog").replace("dog dog", "dog")
    untaught = bench.draw([f"a photo of a {plain}"], [0])[0]
    assert distance(said, untaught) > 0
    assert distance(said, weaker) > 0, "the knob does nothing"


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.pairs == "stack"])
def test_two_taught_alone_are_drawn_together(
    name: str, bench: Bench, subjects: list[Subject], tmp_path: Path, fingerprint: Callable[[Any], list[Any]]
) -> None:
    method = METHODS[name]
    learned = [taught(bench, method, [s], tmp_path / s.name) for s in subjects[:2]]
    before, point = fingerprint(bench.base), method.points(3)[-1]
    with method.applied(bench, learned, point) as words:
        both = bench.draw(["a photo of a {} next to a {}".format(*words)], [0])[0]
    with method.applied(bench, learned[:1], point) as words:
        one = bench.draw([f"a photo of a {words[0]} next to a cup"], [0])[0]
    assert distance(both, one) > 0
    assert same(before, fingerprint(bench.base))


def distance(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def test_an_error_while_drawing_leaves_the_base_as_it_was(
    bench: Bench, subjects: list[Subject], tmp_path: Path, fingerprint: Callable[[Any], list[Any]]
) -> None:
    before = fingerprint(bench.base)
    for name in ("lora-r4", "custom-diffusion", "textual-inversion", "dreambooth"):
        method = METHODS[name]
        learned = taught(bench, method, subjects[:1], tmp_path / name)
        with pytest.raises(ZeroDivisionError), method.applied(bench, [learned], method.points(1)[0]):
            raise ZeroDivisionError
        assert same(before, fingerprint(bench.base)), name


def test_merged_weights_do_to_each_concepts_words_what_its_own_teaching_does(
    bench: Bench, subjects: list[Subject], tmp_path: Path
) -> None:
    method, base = CustomDiffusion(joint=False), bench.base
    learned = [taught(bench, method, [s], tmp_path / s.name) for s in subjects[:2]]
    tensors = [one.tensors() for one in learned]
    vectors = {n.removeprefix("word."): t for found in tensors for n, t in found.items() if n[:5] == "word."}
    plain = plain_weights(base)
    with extra_words(base, vectors):
        rows = [concept_rows(base, f"<{s.name}> {s.superclass}") for s in subjects[:2]]
    assert [len(found) for found in rows] == [2, 2]
    weights = merged(plain, tensors, rows, bench.loaded.covariance.inverse)
    for name, weight in weights.items():
        for row, found in zip(rows, tensors, strict=True):
            torch.testing.assert_close(row @ weight.T, row @ found[name].T, atol=1e-3, rtol=1e-3)
        assert not torch.equal(weight, plain[name])


def test_a_method_that_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(PerfusionError, match=r"no method 'lora'.*lora-r4"):
        chosen_methods(["lora"])
