"""Weights as they leave a machine: half precision, in few small files, each written in one move.

Run: `python -m tools.pocket.parts --from FOLDER` to take what came back into the work folder: `unet` and
`decoder` become checkpoints to export, `clip`, `mask` and `judge` checkpoints of their stages to go on from
(`train_clip --steps 0` and the like write what ships).
"""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tools.pocket import checkpoint

LARGEST = 15 * 2**20  # bytes a file
# Name of the parts -> the checkpoint that they become, and what its weights are called in it.
TAKEN_AS = {"decoder": "vae", "vae": "vae", "text": "text", "clip": "clip", "mask": "mask", "judge": "judge"}


def write(folder: Path, name: str, weights: dict[str, Tensor], step: int, config: str = "") -> list[Path]:
    """Write weights as `name`.safetensors, or name-1-of-2.safetensors and so on; returns the files.

    The number of files depends on the weights' sizes alone, so later ones replace earlier ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lots: list[dict[str, Tensor]] = [{}]
    room = LARGEST
    for key, weight in weights.items():
        half = weight.detach().half() if weight.is_floating_point() else weight.detach()
        size = half.numel() * half.element_size()
        if size > room and lots[-1]:
            lots.append({})
            room = LARGEST
        lots[-1][key] = half.cpu().contiguous()
        room -= size
    files, moves = [], []
    for number, lot in enumerate(lots, start=1):
        path = folder / (
            f"{name}.safetensors" if len(lots) == 1 else f"{name}-{number}-of-{len(lots)}.safetensors"
        )
        partial = path.with_suffix(".partial")
        save_file(lot, partial, metadata={"step": str(step), "files": str(len(lots)), "config": config})
        partial.chmod(0o644)  # safetensors writes files that others cannot read
        moves.append((partial, path))
        files.append(path)
    for partial, path in moves:  # all are whole before the first moves
        os.replace(partial, path)
    return files


def read(folder: Path, name: str) -> tuple[dict[str, Tensor], int, str] | None:
    """Weights in fp32, the step they are of, and their network's configuration; None where there are none.

    Raises:
        ValueError: a file is missing, or they are of different steps.
    """
    files = sorted([*folder.glob(f"{name}.safetensors"), *folder.glob(f"{name}-*-of-*.safetensors")])
    if not files:
        return None
    weights: dict[str, Tensor] = {}
    told: set[tuple[str, str, str]] = set()
    for path in files:
        with safe_open(path, "pt") as file:
            data = file.metadata()
            told.add((data["step"], data["files"], data["config"]))
            for key in file.keys():  # noqa: SIM118 - safe_open cannot be iterated over
                value = file.get_tensor(key)
                weights[key] = value.float() if value.is_floating_point() else value
    step, count, config = next(iter(told))
    if len(told) != 1 or len(files) != int(count):
        raise ValueError(f"{folder}: the files of {name} are not one whole ({len(files)}); fetch them again.")
    return weights, int(step), config


def take(folder: Path, work: Path) -> list[str]:
    """Make checkpoints in the work folder of all parts in `folder`; returns their names."""
    made = []
    for name in ("unet", *TAKEN_AS):
        if (found := read(folder, name)) is None:
            continue
        weights, step, config = found
        if name == "unet":
            state = {"master": weights, "average": weights, "step": step}
            state |= {"config": config} if config else {}
        else:
            state = {TAKEN_AS[name]: weights, "step": step}
        checkpoint.save(work / "checkpoints" / f"{name}.pt", state)
        made.append(f"{name}: step {step}, {sum(w.numel() for w in weights.values()) / 1e6:.1f} M numbers")
    return made


def main() -> None:
    """Take parts into the work folder."""
    from tools.pocket.training import open_stage, stage_parser  # which writes parts itself

    parser = stage_parser(__doc__)
    parser.add_argument("--from", dest="folder", type=Path, required=True)
    options = parser.parse_args()
    work, _ = open_stage(options)
    print("\n".join(take(options.folder, work)) or f"There are no parts in {options.folder}.")


if __name__ == "__main__":
    main()
