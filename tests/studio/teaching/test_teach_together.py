"""Teachings that share their batches end as those that have one of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from perfusion_core.errors import LibraryError, TrainingError
from perfusion_core.studio.library.library import Library
from perfusion_core.studio.teaching.run import Taught, TeachRequest, begin_teaching, teach
from perfusion_core.studio.teaching.teach_together import Prepared, teach_together
from tests.quick_recipe import QUICK


def begun(library: Library, photos: list[Path], name: str, **settings: Any) -> Path:
    return begin_teaching(library, TeachRequest(photos, name, "dog", settings={**QUICK, **settings}))


def test_all_concepts_come_into_the_library_as_if_taught_alone(
    library: Library, loaded: Any, photos: list[Path], tmp_path: Path
) -> None:
    heard: list[str] = []
    other = Library(tmp_path / "other")
    teachings = [
        Prepared(library, begun(library, photos, "Biscuit"), say=heard.append),
        Prepared(other, begun(other, photos[:1], "Biscuit", steps=2, seed=5)),
        Prepared(library, begun(library, photos[1:], "rex", value_rate=0.01)),
    ]
    passes: list[int] = []
    handle = loaded.base.unet.register_forward_hook(
        lambda _m, given, _out: passes.append(len(given[0])) if torch.is_grad_enabled() else None
    )
    taught = dict(teach_together(loaded, teachings, 3))
    handle.remove()
    assert heard == ["Finding the subject", "Teaching", "Measuring the front"]
    assert passes == [3 * QUICK["batch_size"]] * 2 + [2 * QUICK["batch_size"]] * 2
    assert sorted(entry.name for entry in library.entries()) == ["biscuit", "rex"]
    assert [entry.name for entry in other.entries()] == ["biscuit"]

    single = Library(tmp_path / "single")
    alone = teach(single, loaded, begun(single, photos, "Biscuit"))
    both = [one.entry for one in (alone, taught[0]) if isinstance(one, Taught) and one.entry]
    wanted, found = (entry.load() for entry in both)
    assert torch.allclose(found.embedding, wanted.embedding, rtol=1e-4, atol=1e-5)
    for path, value in wanted.values.items():
        assert torch.allclose(found.values[path], value, rtol=1e-4, atol=1e-4)
    assert found.metadata.scores == pytest.approx(wanted.metadata.scores, rel=0.02)


def test_one_that_fails_ends_alone_and_can_be_resumed(
    library: Library, loaded: Any, photos: list[Path]
) -> None:
    hurt, sound = begun(library, photos, "hurt"), begun(library, photos, "sound")
    kept = (hurt / "run" / "teach.json").read_bytes()
    (hurt / "run" / "teach.json").write_bytes(b"{")
    taught = dict(teach_together(loaded, [Prepared(library, hurt), Prepared(library, sound)], 2))
    assert isinstance(taught[0], LibraryError)
    assert isinstance(taught[1], Taught)
    assert [entry.name for entry in library.entries()] == ["sound"]
    (hurt / "run" / "teach.json").write_bytes(kept)
    assert teach(library, loaded, hurt).entry is not None


def test_one_that_is_stopped_keeps_its_folder_and_the_others_go_on(
    library: Library, loaded: Any, photos: list[Path]
) -> None:
    stopped, sound = begun(library, photos, "stopped"), begun(library, photos, "sound")
    teachings = [Prepared(library, stopped, should_stop=lambda: True), Prepared(library, sound)]
    taught = dict(teach_together(loaded, teachings, 2))
    assert taught[0] == Taught(stopped, None, ())
    assert library.unfinished() == [stopped]
    assert library.find("sound") is not None


def test_together_is_at_least_one(library: Library, loaded: Any, photos: list[Path]) -> None:
    folder = begun(library, photos, "biscuit")
    with pytest.raises(TrainingError, match="together is 0"):
        next(teach_together(loaded, [Prepared(library, folder)], 0))
    assert library.unfinished() == [folder]
