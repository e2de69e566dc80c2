"""What a training elsewhere needs, in one folder of a few MiB; and a work folder from it.

Run: `python -m tools.pocket.pack --to FOLDER [--unet NAME]`, and on the other machine
`python -m tools.pocket.pack --from FOLDER`. Sprites go as lossless WebP, networks in half precision.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from transformers import CLIPTextModel

from tools.pocket import checkpoint, parts
from tools.pocket.denoiser import unet_of
from tools.pocket.things import ARTS
from tools.pocket.training import open_stage, stage_parser

MODELS = {"text-frozen": CLIPTextModel, "vae-frozen": AutoencoderKL}


def pack_sprites(work: Path, target: Path) -> None:
    """Every art style's sprites as WebP images, by art style and code, in one zip."""
    with zipfile.ZipFile(target, "w") as archive:  # WebP is compressed already
        for art in ARTS:
            for code, sprite in checkpoint.load(work / "sprites" / f"{art}.pt").items():  # type: ignore[union-attr]
                data = io.BytesIO()
                image = Image.fromarray(sprite.permute(1, 2, 0).numpy(), "RGBA")
                image.save(data, "WEBP", lossless=True, exact=True, quality=100, method=4)
                archive.writestr(f"{art}/{code}.webp", data.getvalue())


def unpack_sprites(source: Path, work: Path) -> None:
    """The files that `sprites` would have made."""
    found: dict[str, dict[str, torch.Tensor]] = {art: {} for art in ARTS}
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            art, code = name.removesuffix(".webp").split("/")
            pixels = np.array(Image.open(io.BytesIO(archive.read(name))).convert("RGBA"))
            found[art][code] = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    for art, sprites in found.items():
        checkpoint.save(work / "sprites" / f"{art}.pt", sprites)


def pack(work: Path, folder: Path, unet: str | None = None, others: tuple[str, ...] = ()) -> dict[str, int]:
    """Fill `folder`; returns the bytes of what it holds. `others`: checkpoints named in parts.TAKEN_AS."""
    folder.mkdir(parents=True, exist_ok=True)
    pack_sprites(work, folder / "sprites.zip")
    coder = checkpoint.load(work / "codes.pt")
    if coder is None:
        raise SystemExit("There are no codes: run `python -m tools.pocket.codes` first.")
    checkpoint.save(folder / "codes.pt", {"mean": coder["mean"], "basis": coder["basis"]})
    shutil.copytree(work / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    for name, model in MODELS.items():
        model.from_pretrained(work / name).half().save_pretrained(folder / name)
    if unet is not None:
        network = unet_of(checkpoint.need(work, unet, "train_unet"))
        parts.write(folder, "unet", dict(network.named_parameters()), 0, network.to_json_string())
    for name in others:
        saved = checkpoint.need(work, name, f"train_{name}")
        parts.write(folder, name, saved[parts.TAKEN_AS[name]], 0)
    sizes = {}
    for entry in sorted(folder.iterdir()):
        files = [entry] if entry.is_file() else [file for file in entry.rglob("*") if file.is_file()]
        sizes[entry.name] = sum(file.stat().st_size for file in files)
    return sizes


def unpack(folder: Path, work: Path) -> list[str]:
    """Make a work folder of what `pack` wrote; what is there already stays. Returns what was made."""
    made = []
    if not all((work / "sprites" / f"{art}.pt").is_file() for art in ARTS):
        unpack_sprites(folder / "sprites.zip", work)
        made.append("sprites")
    for name in ("codes.pt", "tokenizer"):
        if not (work / name).exists():
            (shutil.copytree if (folder / name).is_dir() else shutil.copy2)(folder / name, work / name)
            made.append(name)
    for name, model in MODELS.items():
        if not (work / name).exists():
            model.from_pretrained(folder / name, torch_dtype=torch.float32).save_pretrained(work / name)
            made.append(name)
    if not (work / "checkpoints").exists():  # those of a training that was cut off are newer
        made += parts.take(folder, work)
    return made


def main() -> None:
    """Pack or unpack, and say what."""
    parser = stage_parser(__doc__)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--unet", help="checkpoint whose average the other training begins with")
    parser.add_argument("--others", default="", help=f"checkpoints, by comma: {', '.join(parts.TAKEN_AS)}")
    options = parser.parse_args()
    work, _ = open_stage(options)
    if (options.to is None) == (options.source is None):
        raise SystemExit("Say either --to FOLDER, to pack, or --from FOLDER, to unpack.")
    if options.source is not None:
        print("\n".join(unpack(options.source, work)) or "Everything was there already.")
        return
    sizes = pack(work, options.to, options.unet, tuple(filter(None, options.others.split(","))))
    for name, size in sizes.items():
        print(f"{size / 2**20:6.2f} MiB  {name}")
    print(f"{sum(sizes.values()) / 2**20:6.2f} MiB  together")


if __name__ == "__main__":
    main()
