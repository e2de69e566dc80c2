"""How many captions the statistics of a text encoder need, on the bundled base.

Gates of the bundled concepts at every word of prompts, with the statistics of fewer captions, against those
of the whole corpus: the largest and the mean difference of an opening (0 to 1).

    python -m benchmarks.captions [--counts 500 2000 5000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from perfusion_core.concept import load_concept
from perfusion_core.edit.gate import gate, similarity
from perfusion_core.model.base import load_base
from perfusion_core.model.statistics import compute, read_captions
from perfusion_core.training.recipe import VALIDATION_PROMPTS

CONCEPTS = Path(__file__).parents[1] / "assets" / "concepts"
BIAS, TEMPERATURE = 0.6, 0.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 500, 1000, 2000, 5000, 10_000])
    counts = parser.parse_args().counts
    base = load_base(device="cpu")
    concepts = [load_concept(path) for path in sorted(CONCEPTS.glob("*.safetensors"))]
    corpus = read_captions()
    prompts = [
        prompt.format(word)
        for prompt in VALIDATION_PROMPTS
        for word in ("<it>", "thing", "dog", "cat", "bag")
    ]

    def openings(captions: list[str]) -> tuple[torch.Tensor, int]:
        stats = compute(base, captions, text="", progress=False)
        found: list[torch.Tensor] = []
        for concept in concepts:
            named = [prompt.replace("<it>", f"<{concept.name}>") for prompt in prompts]
            encoding = base.prompts.encode(named, {concept.name: concept}, superclass=False).encoding
            found.append(gate(similarity(encoding, concept.target_input, stats.inverse), BIAS, TEMPERATURE))
        return torch.stack(found), sum(len(base.prompts.rows([line])) for line in captions[:200])

    whole, tokens = openings(corpus)
    width = base.description.text_width
    print(f"{len(corpus)} captions of about {tokens / 200:.1f} tokens; encodings {width} wide")
    print("captions  tokens / width  largest difference  mean difference")
    for count in counts:
        some, _ = openings([corpus[k * len(corpus) // count] for k in range(count)])
        apart = (some - whole).abs()
        share = count * tokens / 200 / width
        print(f"{count:8}  {share:14.0f}  {float(apart.max()):18.4f}  {float(apart.mean()):15.5f}")


if __name__ == "__main__":
    main()
