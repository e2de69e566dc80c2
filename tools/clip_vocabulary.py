"""Make assets/clip/merges.txt.gz: the merges of CLIP's tokenizer, to read single checkpoint files offline.

OpenAI's CLIP (MIT licence) ships them in the PyPI package clip-anytorch; the first 48,894 of its 262,145
lines are CLIP's. The licence is kept beside the result.

    pip download --no-deps clip-anytorch==2.6.0
    python -m tools.clip_vocabulary clip_anytorch-2.6.0-py3-none-any.whl
"""

from __future__ import annotations

import argparse
import gzip
import zipfile
from pathlib import Path

# 49,408 tokens, less 256 bytes alone, 256 at a word's end, and the two marks.
MERGES = 49_408 - 2 * 256 - 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "clip")
    options = parser.parse_args()
    with zipfile.ZipFile(options.wheel) as wheel:
        everything = gzip.decompress(wheel.read("clip/bpe_simple_vocab_16e6.txt.gz")).decode("utf-8")
        licence = next(name for name in wheel.namelist() if name.endswith("LICENSE"))
        (options.out / "LICENSE").write_bytes(wheel.read(licence))
    merges = everything.split("\n")[1 : 1 + MERGES]  # the first line names the version
    packed = gzip.compress(("\n".join(merges) + "\n").encode(), compresslevel=9, mtime=0)
    (options.out / "merges.txt.gz").write_bytes(packed)
    print(f"{len(merges)} merges, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
