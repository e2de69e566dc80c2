"""The statistics of a base's text: the second moment of its encodings over a caption corpus, inverted.

Computed once for each text encoder and kept on disk; a base model may bring its own as
`covariance.safetensors`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from tqdm import tqdm

from perfusion_core.edit.covariance import SecondMoment, condition_number, inverse
from perfusion_core.errors import BaseModelError, PerfusionError
from perfusion_core.files import make_folder, write_atomic
from perfusion_core.model.describe import BaseDescription, describe
from perfusion_core.model.fingerprint import encoding_fingerprint
from perfusion_core.model.loras import without_loras
from perfusion_core.model.text import PromptEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # False: silence; True: a bar in the terminal; else called with the captions read and all there are.
    Progress = bool | Callable[[int, int], None]

# Relative to the mean eigenvalue of C: small enough to tell apart words that differ in rare directions only,
# large enough to keep the condition number below a million for every text encoder in use.
RIDGE = 1e-3
SHIPPED_NAME = "covariance.safetensors"
ASSETS = Path(__file__).parents[2] / "assets"
CAPTIONS = ASSETS / "captions.txt.gz"
_BATCH = 64


@dataclass(frozen=True, eq=False)
class CovarianceStats:
    """C⁻¹ of one text encoder. Shape: inverse (D, D), float32.

    `fingerprint` names text encoder, captions and ridge; `condition` is the condition number of what was
    inverted.
    """

    inverse: torch.Tensor
    fingerprint: str
    condition: float


def covariance_for(
    base: Any,
    cache_dir: str | Path | None = None,
    *,
    captions: Sequence[str] | None = None,
    progress: Progress = True,
) -> CovarianceStats:
    """The statistics of a base's (or a pipeline's) text encoder: shipped with it, kept, or computed.

    Computing takes some minutes for Stable Diffusion on a CPU and shows its `progress`: as a bar, or to a
    function that is given the captions read and all there are, and may raise to end it. A file that is
    damaged or belongs to another text encoder is not used. Raises BaseModelError when the captions are
    missing.
    """
    description: BaseDescription = getattr(base, "description", None) or describe(base)
    family, width = description.family, description.text_width
    found_text = getattr(base, "text_fingerprint", None)
    text = found_text if isinstance(found_text, str) else encoding_fingerprint(base, family)
    # A pocket model under development has no statistics yet, but shares the shipped one's text encoder.
    folders = (getattr(base, "folder", None), ASSETS / "pocket")
    for folder in folders if captions is None else ():
        shipped = _read(Path(folder) / SHIPPED_NAME, text, width) if folder else None
        if shipped:
            return shipped
    lines = _fewer(read_captions(), family.captions) if captions is None else captions
    kept_at = (
        Path(cache_dir) if cache_dir else default_cache()
    ) / f"covariance-{_name(text, lines)}.safetensors"
    kept = _read(kept_at, text, width)
    if kept:
        return kept
    pipeline = getattr(base, "pipeline", base)
    parts = [getattr(pipeline, part) for part in family.parts]
    with without_loras(parts):  # kept under the name of the plain weights, for all that is drawn later
        computed = compute(base, lines, text=text, progress=progress)
    try:
        make_folder(kept_at.parent)
        save_statistics(computed, text, kept_at)
    except (OSError, PerfusionError):
        pass  # a cache that cannot be written costs the time again, no more
    return computed


def compute(base: Any, captions: Sequence[str], *, text: str, progress: Progress = True) -> CovarianceStats:
    """Stream the captions through the text encoder, in float64 from there on.

    Every token from the begin mark to the end mark counts once, padding does not. Conditioning: the ridge is
    RIDGE times the mean eigenvalue of C, see `edit.covariance.inverse`.
    """
    encoder, moment = PromptEncoder(base), None
    in_order = sorted(captions, key=len)  # lines of similar length need little padding
    title = "Reading captions (once per text encoder)"
    with tqdm(total=len(in_order), desc=title, unit=" lines", disable=progress is not True) as bar:
        for start in range(0, len(in_order), _BATCH):
            if callable(progress):
                progress(start, len(in_order))
            rows = encoder.rows(in_order[start : start + _BATCH])
            moment = moment or SecondMoment(rows.shape[1])
            moment.update(rows)
            bar.update(len(in_order[start : start + _BATCH]))
    if callable(progress):
        progress(len(in_order), len(in_order))
    assert moment is not None, "there are no captions"
    covariance = moment.covariance()
    condition = condition_number(covariance, ridge=RIDGE)
    return CovarianceStats(inverse(covariance, ridge=RIDGE), _name(text, captions), condition)


def _fewer(captions: Sequence[str], count: int | None) -> Sequence[str]:
    """`count` of the captions, spread over the whole corpus."""
    if count is None or count >= len(captions):
        return captions
    return [captions[k * len(captions) // count] for k in range(count)]


def read_captions(path: Path = CAPTIONS) -> list[str]:
    """The caption corpus, one line a caption. Raises BaseModelError when it is missing."""
    try:
        return gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    except (OSError, EOFError, ValueError) as error:
        raise BaseModelError(
            f"The caption file {path} is missing or damaged. Get the project again with its assets."
        ) from error


def default_cache() -> Path:
    """Where computed statistics are kept: in PERFUSION_HOME when set, else in the user's cache folder."""
    home = os.environ.get("PERFUSION_HOME")
    return Path(home) / "cache" if home else user_cache_path("perfusion-studio")


def save_statistics(stats: CovarianceStats, text: str, path: Path) -> None:
    """Write statistics for the text encoder with fingerprint `text`. Raises PerfusionError when it cannot."""
    described = {
        "text_fingerprint": text,
        "fingerprint": stats.fingerprint,
        "condition": repr(stats.condition),
    }
    write_atomic(path, save({"inverse": stats.inverse.contiguous()}, metadata=described))


def _read(path: Path, text: str, width: int) -> CovarianceStats | None:
    """Statistics from a file, or None when there are none there that fit and are sound."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata() or {}
            # Into memory of torch's own: how a matrix is aligned can change the last bits of what uses it.
            found = file.get_tensor("inverse").clone()
        stats = CovarianceStats(found, described["fingerprint"], float(described["condition"]))
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    fits = described.get("text_fingerprint") == text and found.shape == (width, width)
    return stats if fits and found.dtype == torch.float32 and bool(found.isfinite().all()) else None


def _name(text: str, captions: Sequence[str]) -> str:
    """Names everything the statistics depend on."""
    digest = hashlib.sha256(f"{text} {RIDGE} {len(captions)}\n".encode())
    digest.update("\n".join(captions).encode())
    return digest.hexdigest()[:32]
