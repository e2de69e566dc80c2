from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perfusion_core.errors import BaseModelError
from perfusion_core.model import statistics
from perfusion_core.model.base import load_base
from perfusion_core.model.statistics import CovarianceStats, covariance_for, read_captions
from perfusion_core.model.text import PromptEncoder

CAPTIONS = [
    f"a photo of a {thing} {place}"
    for thing in ("dog", "red cup", "poodle")
    for place in ("in snow", "and hat")
]


def of(base: Any, cache: Path, captions: list[str] = CAPTIONS) -> CovarianceStats:
    return covariance_for(base, cache, captions=captions, progress=False)


def test_statistics_are_those_of_every_token_but_padding(tiny_base: Any, tmp_path: Path) -> None:
    encoder = PromptEncoder(tiny_base)
    rows: list[np.ndarray[Any, Any]] = []
    for caption in CAPTIONS:
        count = len(tiny_base.tokenizer(caption).input_ids)
        rows.append(encoder.encode([caption], {}).encoding[0, :count].double().numpy())
    encodings = np.concatenate(rows)
    moment = encodings.T @ encodings / len(encodings)
    ridge = statistics.RIDGE * np.trace(moment) / len(moment)
    expected = np.linalg.inv(moment + ridge * np.eye(len(moment)))
    found = of(tiny_base, tmp_path)
    np.testing.assert_allclose(found.inverse.numpy(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_the_inverse_is_well_conditioned_even_from_one_caption(tiny_base: Any, tmp_path: Path) -> None:
    found = of(tiny_base, tmp_path, ["a dog"])
    assert found.condition <= 1 + 32 / statistics.RIDGE
    assert torch.equal(found.inverse, found.inverse.T)
    assert torch.linalg.eigvalsh(found.inverse.double()).min() > 0


def test_the_order_of_the_captions_does_not_matter(tiny_base: Any, tmp_path: Path) -> None:
    one, other = of(tiny_base, tmp_path / "a"), of(tiny_base, tmp_path / "b", CAPTIONS[::-1])
    torch.testing.assert_close(one.inverse, other.inverse, rtol=1e-4, atol=1e-4)


def test_statistics_are_computed_once(
    tiny_base: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of(tiny_base, tmp_path)

    def again(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(statistics, "compute", again)
    kept = of(tiny_base, tmp_path)
    assert torch.equal(kept.inverse, first.inverse)
    assert (kept.fingerprint, kept.condition) == (first.fingerprint, first.condition)
    with pytest.raises(AssertionError, match="computed again"):
        of(tiny_base, tmp_path, CAPTIONS[:3])


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:50], lambda data: b"", lambda data: data[:-4] + b"\xff" * 4]
)
def test_a_damaged_cache_is_computed_again(tiny_base: Any, tmp_path: Path, spoil: Any) -> None:
    first = of(tiny_base, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(spoil(kept.read_bytes()))
    assert torch.equal(of(tiny_base, tmp_path).inverse, first.inverse)


def test_a_cache_that_cannot_be_written_is_no_failure(tiny_base: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    assert of(tiny_base, tmp_path / "file").inverse.shape == (32, 32)


def test_reading_the_captions_is_told_and_can_be_ended(tiny_base: Any, tmp_path: Path) -> None:
    captions = [f"a photo of a dog {number}" for number in range(150)]
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == ended:
            raise InterruptedError

    ended = 2
    with pytest.raises(InterruptedError):
        covariance_for(tiny_base, tmp_path, captions=captions, progress=tell)
    assert not list(tmp_path.iterdir())
    told.clear()
    ended = 0
    covariance_for(tiny_base, tmp_path, captions=captions, progress=tell)
    assert told == [(0, 150), (64, 150), (128, 150), (150, 150)]
    covariance_for(tiny_base, tmp_path, captions=captions, progress=lambda *_: pytest.fail("read again"))


def test_a_base_may_bring_its_statistics(tiny_folder: Path, tmp_path: Path) -> None:
    shipped = covariance_for(load_base(tiny_folder, device="cpu"), tmp_path / "unused")
    assert shipped.inverse.shape == (32, 32)
    assert not (tmp_path / "unused").exists()


def test_statistics_of_another_text_encoder_are_not_used(
    tiny_base: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    tiny_base.text_encoder.get_input_embeddings().weight.data.add_(1.0)
    tiny_base.text_fingerprint = "another"
    path = tiny_folder / statistics.SHIPPED_NAME
    assert statistics._read(path, "another", 32) is None
    assert statistics._read(path, load_base(tiny_folder, device="cpu").text_fingerprint, 64) is None


def test_a_bare_pipeline_has_statistics_too(tiny_pipe: Any, tiny_base: Any, tmp_path: Path) -> None:
    assert of(tiny_pipe, tmp_path).fingerprint == of(tiny_base, tmp_path).fingerprint


def test_the_corpus_is_large_and_varied() -> None:
    lines = read_captions()
    assert len(lines) == len(set(lines)) == 20_000
    words = {word.strip(",") for line in lines for word in line.split()}
    assert len(words) > 10_000
    assert {"dog", "teapot", "beach", "crown"} <= words
    assert 5 < np.mean([len(line.split()) for line in lines]) < 15


def test_a_missing_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="caption file"):
        read_captions(tmp_path / "none.gz")
    (tmp_path / "bad.gz").write_bytes(b"not gzip")
    with pytest.raises(BaseModelError, match="caption file"):
        read_captions(tmp_path / "bad.gz")


@pytest.mark.skipif(
    not (statistics.ASSETS / "pocket" / "model_index.json").is_file(), reason="no pocket model yet"
)
def test_the_shipped_statistics_are_the_pocket_models_own(tmp_path: Path) -> None:
    base = load_base(statistics.ASSETS / "pocket", device="cpu")
    found = covariance_for(base, tmp_path / "unused")
    assert not (tmp_path / "unused").exists()
    assert found.inverse.shape == (base.description.text_width,) * 2
    assert found.condition < 200_000
