from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from perfusion_core.errors import BaseModelError
from perfusion_core.model import segment
from perfusion_core.model.segment import Segmenter, load_segmenter
from tests.tiny_model import tiny_tokenizer


def tiny_segmenter(templates: tuple[str, ...] = ("{}",)) -> Segmenter:
    tokenizer = tiny_tokenizer()
    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 24, **layers, **ends}
    config = CLIPSegConfig(
        text_config=text,
        vision_config={"image_size": 32, "patch_size": 16, **layers},
        projection_dim=16,
        reduce_dim=16,
        extract_layers=[0, 1, 2],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Segmenter("tiny", CLIPSegForImageSegmentation(config), tokenizer, templates=templates)


def image(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_masks_have_their_images_sizes_and_lie_between_none_and_one() -> None:
    masks = tiny_segmenter().soft_masks([image((64, 48)), image((20, 20))], "dog")
    assert [mask.shape for mask in masks] == [(48, 64), (20, 20)]
    assert all(mask.dtype == np.float32 and 0 <= mask.min() <= mask.max() <= 1 for mask in masks)


def test_a_mask_depends_on_the_word() -> None:
    segmenter = tiny_segmenter()
    (dog,), (cup,) = (segmenter.soft_masks([image((32, 32))], word) for word in ("dog", "cup"))
    assert not np.allclose(dog, cup, atol=1e-6)


def test_one_image_gives_the_same_mask_alone_and_among_others() -> None:
    images = [image((32, 32), seed) for seed in range(9)]  # more than one batch
    segmenter = tiny_segmenter()
    together = segmenter.soft_masks(images, "dog")
    assert len(together) == 9
    np.testing.assert_allclose(together[8], segmenter.soft_masks(images[8:], "dog")[0], atol=1e-5)


def test_masks_are_averaged_over_wordings() -> None:
    wordings = ("{}", "a photo of a {}")
    (both,) = tiny_segmenter(wordings).soft_masks([image((32, 32))], "dog")
    alone = [tiny_segmenter((wording,)).soft_masks([image((32, 32))], "dog")[0] for wording in wordings]
    assert not np.allclose(alone[0], alone[1], atol=1e-6)
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=1e-6)


def test_a_base_brings_its_own_segmenter(tmp_path: Path) -> None:
    made = tiny_segmenter()
    made._model.save_pretrained(tmp_path / "mask")
    made._tokenizer.save_pretrained(tmp_path / "mask")
    loaded = load_segmenter(SimpleNamespace(folder=tmp_path, id="pocket"))
    assert loaded.name == "pocket masks"
    expected = made.soft_masks([image((32, 32))], "dog")[0]
    np.testing.assert_allclose(loaded.soft_masks([image((32, 32))], "dog")[0], expected, atol=1e-5)


def test_a_segmenters_own_image_settings_count(tmp_path: Path) -> None:
    made = tiny_segmenter()
    made._model.save_pretrained(tmp_path)
    made._tokenizer.save_pretrained(tmp_path)
    settings = {
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.2, 0.2, 0.2],
        "size": {"height": 48, "width": 48},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings), "utf-8")
    loaded = load_segmenter(source=tmp_path)
    assert (loaded._reader.size, loaded._reader.mean, loaded._reader.std) == (48, (0.5,) * 3, (0.2,) * 3)
    assert loaded.soft_masks([image((30, 40))], "dog")[0].shape == (40, 30)


def test_an_absent_segmenter_says_that_one_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(segment.CLIPSegForImageSegmentation, "from_pretrained", absent)
    with pytest.raises(BaseModelError, match=r"finds the subject in photos.*go on without it"):
        load_segmenter(SimpleNamespace(folder=None, id="sd"))
