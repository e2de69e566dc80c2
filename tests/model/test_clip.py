from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from perfusion_core.errors import BaseModelError
from perfusion_core.model import clip
from perfusion_core.model.clip import ClipScorer, load_scorer
from perfusion_core.model.image_processor import ImageReader
from tests.tiny_model import tiny_tokenizer


def tiny_clip() -> ClipScorer:
    tokenizer = tiny_tokenizer()
    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 24,
        "projection_dim": 16,
        **layers,
        **ends,
    }
    vision = {"image_size": 32, "patch_size": 16, "projection_dim": 16, **layers}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    return ClipScorer("tiny", model, tokenizer)


def noise(size: tuple[int, int] = (40, 40), seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_features_are_unit_vectors_one_a_row() -> None:
    scorer = tiny_clip()
    images = scorer.image_features([noise(seed=k) for k in range(3)])
    texts = scorer.text_features(["a dog", "a cat on the beach"])
    assert images.shape == (3, 16)
    assert texts.shape == (2, 16)
    torch.testing.assert_close(torch.cat([images, texts]).norm(dim=-1), torch.ones(5))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    scorer = tiny_clip()
    many = [noise(seed=k) for k in range(35)]  # more than one batch
    features = scorer.image_features(many)
    torch.testing.assert_close(features[34:], scorer.image_features(many[34:]))
    texts = ["a dog", "a cat on the beach with a hat"]
    torch.testing.assert_close(scorer.text_features(texts)[:1], scorer.text_features(texts[:1]))


def test_different_things_have_different_features() -> None:
    scorer = tiny_clip()
    images = scorer.image_features([noise(seed=0), noise(seed=1)])
    texts = scorer.text_features(["a dog", "a cat"])
    assert not torch.allclose(images[0], images[1])
    assert not torch.allclose(texts[0], texts[1])


def test_a_text_past_the_limit_is_cut() -> None:
    assert tiny_clip().text_features(["a dog " * 50]).shape == (1, 16)


def test_pixels_are_those_of_clips_own_reader() -> None:
    image = noise((64, 64))
    theirs = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)(image, return_tensors="pt")
    ours = ImageReader(32, crop=True)([image])
    torch.testing.assert_close(ours, theirs["pixel_values"], atol=1e-4, rtol=1e-4)


def test_an_oblong_image_keeps_its_middle_or_is_pressed_into_the_square() -> None:
    image = Image.new("RGB", (90, 30), "black")
    image.paste((255, 255, 255), (30, 0, 60, 30))
    middle = ImageReader(16, crop=True, mean=(0, 0, 0), std=(1, 1, 1))([image])
    whole = ImageReader(16, crop=False, mean=(0, 0, 0), std=(1, 1, 1))([image])
    assert middle.min() > 0.9
    assert whole[0, :, :, 0].max() < 0.1
    assert 0.25 < whole.mean() < 0.4


def test_images_without_colour_are_read() -> None:
    assert ImageReader(8, crop=True)([noise().convert("L"), noise().convert("RGBA")]).shape == (2, 3, 8, 8)


def test_a_base_brings_its_own_scorer(tmp_path: Path) -> None:
    scorer = tiny_clip()
    scorer._model.save_pretrained(tmp_path / "clip")
    scorer._tokenizer.save_pretrained(tmp_path / "clip")
    loaded = load_scorer(SimpleNamespace(folder=tmp_path, id="pocket"))
    assert loaded.name == "pocket CLIP"
    torch.testing.assert_close(loaded.image_features([noise()]), scorer.image_features([noise()]))
    torch.testing.assert_close(loaded.text_features(["my dog"]), scorer.text_features(["my dog"]))
    assert load_scorer(source=tmp_path / "clip").name == str(tmp_path / "clip")


def test_a_damaged_scorer_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    with pytest.raises(BaseModelError, match="which scores pictures, is damaged"):
        load_scorer(SimpleNamespace(folder=tmp_path, id="pocket"))


def test_an_absent_scorer_says_that_one_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(clip.CLIPModel, "from_pretrained", absent)
    with pytest.raises(BaseModelError, match=r"openai/clip-vit-base-patch32, which scores.*go on without it"):
        load_scorer(SimpleNamespace(folder=None, id="sd"))
