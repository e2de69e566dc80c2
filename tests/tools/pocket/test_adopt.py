"""A work folder from a shipped base: what training needs to go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from tools.pocket import adopt, checkpoint, codes, export
from tools.pocket.denoiser import build_unet
from tools.pocket.mask_model import build_mask, save_mask


def test_a_work_folder_from_an_exported_base_has_what_training_needs(
    tiny_work: Path, tokenizer: CLIPTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    for name in ("codes.pt", "tokenizer", "text-frozen", "vae-frozen"):
        (first / name).symlink_to(tiny_work / name)
    torch.manual_seed(0)
    weights = build_unet("96-160-160").state_dict()
    checkpoint.save(first / "checkpoints" / "unet.pt", {"master": weights, "average": weights, "step": 3})
    save_mask(build_mask(tokenizer), tokenizer, first / "mask")
    monkeypatch.setattr(
        "sys.argv", ["export", "--work", str(first), "--to", str(tmp_path / "base"), "--half"]
    )
    export.main()
    made = adopt.adopt(tmp_path / "base", second)
    assert "checkpoints/mask.pt" in made
    assert adopt.adopt(tmp_path / "base", second) == []
    again = export.averaged_unet(second, "unet").state_dict()
    assert all(torch.allclose(again[name], weights[name], atol=1e-3) for name in weights)
    mine, theirs = codes.load(first)[0], codes.load(second)[0]
    torch.testing.assert_close(mine.basis, theirs.basis, rtol=1e-3, atol=1e-3)
    for name in ("tokenizer", "text-frozen", "vae-frozen", "checkpoints/vae.pt"):
        assert (second / name).exists()


def test_a_base_without_codes_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(SystemExit, match=r"codes\.safetensors"):
        adopt.adopt(tmp_path / "base", tmp_path / "work")
    assert not (tmp_path / "work").exists()
