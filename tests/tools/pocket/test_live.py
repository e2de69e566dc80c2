"""Training elsewhere: what goes there, that it runs to its time and goes on, and what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tools.pocket import checkpoint, denoiser, export, pack, parts, train_live, train_unet
from tools.pocket.look import Painter
from tools.pocket.scene import Scene, Thing, caption
from tools.pocket.things import ARTS, kinds
from tools.pocket.training import Pace

TINY = {"block_out_channels": (16, 16, 16), "layers_per_block": 1}
SHORT = ("--batch=4", "--block=8", "--blocks=2", "--render=4", "--save=0.2")


@pytest.fixture
def folder(tiny_work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder of its own, and a UNet of another, tiny shape."""
    for name in ("sprites", "codes.pt", "tokenizer", "text-frozen", "vae-frozen"):
        (tmp_path / name).symlink_to(tiny_work / name)
    shape = {**denoiser.SHAPES[denoiser.DEFAULT_SHAPE], **TINY}
    monkeypatch.setitem(denoiser.SHAPES, denoiser.DEFAULT_SHAPE, shape)
    monkeypatch.setattr(train_live, "Pace", Short)
    denoiser._sizes.cache_clear()
    yield tmp_path
    denoiser._sizes.cache_clear()


class Short(Pace):
    """Six steps, however long they take."""

    first: int | None = None

    def share(self, step: int) -> float:
        self.first = step if self.first is None else self.first
        return (step - self.first) / 6


def _run(monkeypatch: pytest.MonkeyPatch, module: object, folder: Path, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["stage", "--work", str(folder), "--device", "cpu", *words])
    module.main()  # type: ignore[attr-defined]


def test_it_learns_till_its_time_is_over_and_goes_on_when_run_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(monkeypatch, train_live, folder, *SHORT, "--out", str(folder / "out"))
    first = checkpoint.load(folder / "checkpoints" / "unet.pt")
    assert first is not None
    assert first["step"] == 6
    assert first["blocks"] > 1  # the loop rendered more while it trained
    found = parts.read(folder / "out", "unet")
    assert found is not None
    assert found[1] == first["step"]
    _run(monkeypatch, train_live, folder, *SHORT, "--out", str(folder / "out"))
    again = checkpoint.load(folder / "checkpoints" / "unet.pt")
    assert again is not None
    assert again["step"] == 12
    assert again["blocks"] > first["blocks"]


def test_other_processes_render_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(monkeypatch, train_live, folder, *SHORT, "--renderers", "1")
    saved = checkpoint.load(folder / "checkpoints" / "unet.pt")
    assert saved is not None
    assert saved["step"] == 6


def test_what_comes_back_is_exported_and_draws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(monkeypatch, train_live, folder, *SHORT, "--out", str(folder / "out"))
    trained = checkpoint.load(folder / "checkpoints" / "unet.pt")
    (folder / "checkpoints" / "unet.pt").unlink()
    assert parts.take(folder / "out", folder)[0].startswith("unet: step")
    unet = export.averaged_unet(folder, "unet")
    assert trained is not None
    for name, weight in unet.named_parameters():
        torch.testing.assert_close(weight, trained["average"][name], rtol=2e-3, atol=1e-4)
    told = [caption(Scene((Thing(0, ("photo", kinds()[0].code)),), "beach"))]
    assert Painter(folder, unet, torch.device("cpu"))(told, steps=1).isfinite().all()
    _run(monkeypatch, train_live, folder, *SHORT)  # and training goes on from it
    again = checkpoint.load(folder / "checkpoints" / "unet.pt")
    assert again is not None
    assert again["step"] == 12


def test_training_on_shards_shares_the_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.pocket import shards

    monkeypatch.setattr(shards, "SHARD", 8)
    _run(monkeypatch, shards, folder, "--shards", "2", "--batch", "4")
    quick = ("--batch", "4", "--newest", "2")
    _run(monkeypatch, train_unet, folder, *quick, "--steps", "2")
    _run(monkeypatch, train_unet, folder, *quick, "--cooldown", "2")
    level = checkpoint.load(folder / "checkpoints" / "unet.pt")
    cooled = checkpoint.load(folder / "checkpoints" / "unet-cooled.pt")
    assert level is not None
    assert cooled is not None
    assert (level["step"], cooled["step"], cooled["left"]) == (2, 4, 0)


def test_a_packed_folder_makes_the_same_work_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    there = tmp_path_factory.mktemp("there")
    weights = dict(denoiser.build_unet().named_parameters())
    checkpoint.save(folder / "checkpoints" / "unet.pt", {"average": weights, "master": weights, "step": 5})
    pack.pack(folder, there / "packed", unet="unet")
    pack.unpack(there / "packed", there)
    for art in ARTS:
        mine, theirs = (checkpoint.load(place / "sprites" / f"{art}.pt") for place in (folder, there))
        assert mine is not None
        assert theirs is not None
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[code], theirs[code]) for code in list(mine)[::40])
    coders = [checkpoint.load(place / "codes.pt") for place in (folder, there)]
    assert torch.equal(coders[0]["basis"], coders[1]["basis"])  # type: ignore[index]
    assert (there / "text-frozen" / "config.json").is_file()
    assert checkpoint.need(there, "unet", "train_unet")["step"] == 0


def test_parts_are_split_below_the_limit_and_a_missing_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LARGEST", 1000)
    weights = {f"w{k}": torch.rand(10, 20) for k in range(5)}
    files = parts.write(tmp_path, "unet", weights, 9)
    assert len(files) == 3
    assert all(file.stat().st_size < 1500 for file in files)
    found = parts.read(tmp_path, "unet")
    assert found is not None
    assert found[0].keys() == weights.keys()
    files[1].unlink()
    with pytest.raises(ValueError, match="not one whole"):
        parts.read(tmp_path, "unet")


def test_renderers_must_leave_blocks_to_learn_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="--blocks must be more than --renderers"):
        _run(monkeypatch, train_live, folder, *SHORT, "--renderers", "2")
    assert not (folder / "checkpoints").exists()
