"""Four images at 20 steps on a loaded base, and from the command line to four image files.

`python -m benchmarks.generate`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median

from benchmarks.subjects import base_from, base_option, machine
from perfusion_core.sampling.generator import generate
from perfusion_core.sampling.request import GenerationRequest

PROMPT = "a photo of a dog wearing a crown on the beach"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    base_option(parser)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    base = base_from(options)
    request = GenerationRequest(PROMPT, seed=0, count=options.images, steps=options.steps)

    def loaded() -> float:
        begun = time.perf_counter()
        generate(base, {}, request)
        return time.perf_counter() - begun

    def from_the_command_line() -> float:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            words = ["generate", PROMPT, "-n", str(options.images), "--steps", str(options.steps)]
            command = [sys.executable, "app.py", *words, "--out", folder, "--base", options.base]
            subprocess.run(command, check=True, capture_output=True)
            return time.perf_counter() - begun

    loaded()
    times = [loaded() for _ in range(options.rounds)]
    print(f"{base.id}, {options.images} images, {options.steps} steps, {base.dtype}, {machine()}")
    print(f"on a loaded base       {median(times):7.2f} s ({min(times):.2f} to {max(times):.2f})")
    print(f"from the command line  {from_the_command_line():7.2f} s")


if __name__ == "__main__":
    main()
