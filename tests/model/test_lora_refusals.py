"""LoRA files that cannot be used are named, with what to do, and the base is left as it was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from perfusion_core.errors import LoraError
from perfusion_core.model.base import Base
from perfusion_core.model.lora_files import ChosenLora, lora_listings
from perfusion_core.model.loras import use_loras
from tests.lora_files import drawn, parts_of, save_lora
from tests.tiny_families import tiny_family


def write(text: bytes) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        (folder / "bad.safetensors").write_bytes(text)
        return folder / "bad.safetensors"

    return made


def cut_short(folder: Path) -> Path:
    file = save_lora(folder / "bad.safetensors")
    file.write_bytes(file.read_bytes()[:-50])
    return file


def no_lora(folder: Path) -> Path:
    save_file({"conv.weight": torch.ones(2)}, folder / "bad.safetensors")
    return folder / "bad.safetensors"


def not_numbers(folder: Path) -> Path:
    file = save_lora(folder / "bad.safetensors")
    tensors = load_file(file)
    tensors[next(iter(tensors))][0, 0] = float("nan")
    save_file(tensors, file)
    return file


def without_a_half(folder: Path) -> Path:
    file = save_lora(folder / "bad.safetensors")
    tensors = load_file(file)
    del tensors[next(name for name in tensors if "lora_A" in name)]
    save_file(tensors, file)
    return file


def with_a_strange_layer(folder: Path) -> Path:
    file = save_lora(folder / "bad.safetensors")
    tensors = load_file(file)
    for name in [name for name in tensors if "down_blocks.0.attentions.0" in name]:
        tensors[name.replace("attentions.0", "attentions.9")] = tensors[name].clone()
    save_file(tensors, file)
    return file


def other_widths(folder: Path) -> Path:
    file = save_lora(folder / "bad.safetensors")
    save_file({n: torch.cat([t, t], -1) if "lora_A" in n else t for n, t in load_file(file).items()}, file)
    return file


def other_text_widths(folder: Path) -> Path:
    file = save_lora(folder / "bad.safetensors", parts=("unet", "text_encoder"))
    tensors = load_file(file)
    for name in tensors:
        if name.startswith("text_encoder") and "lora_A" in name:
            tensors[name] = torch.cat([tensors[name]] * 2, -1)
    save_file(tensors, file)
    return file


def pickled(folder: Path) -> Path:
    torch.save({}, folder / "bad.pt")
    return folder / "bad.pt"


def lycoris(folder: Path) -> Path:
    save_file({"lora_unet_mid_block.hada_w1_a": torch.ones(2, 2)}, folder / "bad.safetensors")
    return folder / "bad.safetensors"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "bad.safetensors", "There is no LoRA"),
    "a folder": (
        lambda folder: (folder / "bad.safetensors").mkdir() or folder / "bad.safetensors",
        "cannot be read",
    ),
    "empty": (write(b""), "damaged"),
    "no safetensors": (write(b"x" * 100), "damaged"),
    "cut short": (cut_short, "damaged"),
    "no LoRA": (no_lora, "is no LoRA"),
    "LyCORIS": (lycoris, "LyCORIS"),
    "not numbers": (not_numbers, "damaged"),
    "a missing half": (without_a_half, "damaged|does not fit"),
    "a strange layer": (with_a_strange_layer, "does not fit tiny: that has 24 of its 30 layers"),
    "other widths": (other_widths, "other widths"),
    "other widths in the text encoder": (other_text_widths, "does not fit"),
    "SDXL's": (
        lambda folder: save_lora(folder / "bad.safetensors", tiny_family("sdxl")),
        "does not fit.*Stable Diffusion",
    ),
    "a pickle": (pickled, "safetensors only"),
}


@pytest.mark.parametrize("worn", [False, True])
@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_used_is_named_and_the_base_is_left_as_it_was(
    tiny_base: Base, tmp_path: Path, what: str, worn: bool
) -> None:
    good = [ChosenLora(save_lora(tmp_path / "good" / "good.safetensors", seed=3), 0.5)] if worn else []
    use_loras(tiny_base, good)
    before, image, in_force = parts_of(tiny_base), drawn(tiny_base), tiny_base.loras
    make, words = BAD[what]
    bad = make(tmp_path)
    with pytest.raises(LoraError, match=words) as refused:
        use_loras(tiny_base, [*good, ChosenLora(bad)])
    assert "bad." in str(refused.value)
    assert tiny_base.loras == in_force
    assert parts_of(tiny_base) == before
    assert torch.equal(drawn(tiny_base), image)


def test_nothing_of_a_refused_one_is_printed(
    tiny_base: Base, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LoraError):
        use_loras(tiny_base, [ChosenLora(other_widths(tmp_path))])
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_a_pipeline_that_takes_none_is_named(tmp_path: Path) -> None:
    base = Base("tiny", tiny_family("pixart-alpha"))
    with pytest.raises(LoraError, match=r"style.*PixArt.*takes no LoRA"):
        use_loras(base, [ChosenLora(save_lora(tmp_path / "style.safetensors"))])


def test_without_peft_its_installation_is_named(
    tiny_base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_lora(tmp_path / "style.safetensors")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(LoraError, match="pip install peft"):
        use_loras(tiny_base, [ChosenLora(file)])


@pytest.mark.parametrize("weight", [4.1, -4.1, float("nan"), float("inf")])
def test_a_weight_out_of_bounds_is_refused(tiny_base: Base, tmp_path: Path, weight: float) -> None:
    with pytest.raises(LoraError, match=r"style.*between -4 and 4"):
        use_loras(tiny_base, [ChosenLora(save_lora(tmp_path / "style.safetensors"), weight)])


def test_more_than_a_recipe_holds_are_refused(tiny_base: Base, tmp_path: Path) -> None:
    files = [ChosenLora(tmp_path / f"{number}.safetensors") for number in range(33)]
    with pytest.raises(LoraError, match="33 LoRAs are chosen; at most 32"):
        use_loras(tiny_base, files)


def test_one_file_twice_is_refused(tiny_base: Base, tmp_path: Path) -> None:
    file = save_lora(tmp_path / "style.safetensors")
    with pytest.raises(LoraError, match=r"style.*twice"):
        use_loras(tiny_base, [ChosenLora(file), ChosenLora(file, 0.5)])


def test_a_folder_of_loras_is_listed_with_what_cannot_be_used(tmp_path: Path) -> None:
    save_lora(tmp_path / "b.safetensors")
    no_lora(tmp_path)
    (tmp_path / "readme.txt").write_text("x")
    listed = lora_listings(tmp_path)
    assert [(one.file.name, bool(one.reason)) for one in listed] == [
        ("b.safetensors", False),
        ("bad.safetensors", True),
    ]
    assert lora_listings(tmp_path / "none") == []
