"""Record what perfusion-pytorch 0.1.23 answers, as numbers our own edit is held to.

Not run by the tests. Its packages are old and many, so use a throwaway folder:

    pip install --no-deps --target /tmp/oracle perfusion-pytorch==0.1.23 beartype einops opt-einsum
    PYTHONPATH=/tmp/oracle python tests/edit/record_oracle.py

What is recorded is ``Rank1EditModule.forward`` for one concept in evaluation mode, the part of that package
which follows the paper. Its CLIP adapter is not used and is replaced by a dummy, so open_clip is not needed.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from safetensors.torch import save_file

FIXTURE = Path(__file__).with_name("oracle.safetensors")
TOKENS, WIDTH, OUTPUT = 9, 24, 10
SETTINGS = {"paper_local": (0.7, 0.15), "low_gate": (0.4, 0.15), "sharp_gate": (0.75, 0.05)}


def record() -> dict[str, torch.Tensor]:
    adapter = ModuleType("open_clip")
    adapter.tokenizer = SimpleNamespace(tokenize=lambda texts: texts)  # type: ignore[attr-defined]
    sys.modules["open_clip"] = adapter
    module_type = importlib.import_module("perfusion_pytorch").Rank1EditModule

    torch.manual_seed(20230501)
    torch.set_default_dtype(torch.float64)  # so that only the formula is compared, not the order of roundings
    corpus = torch.randn(400, WIDTH) @ torch.randn(WIDTH, WIDTH) + 0.5
    numbers = {
        "covariance": corpus.T @ corpus / len(corpus),
        "weight": torch.randn(OUTPUT, WIDTH) / WIDTH**0.5,
        "i_star": corpus[0].clone(),
        "o_star": torch.randn(OUTPUT),
    }
    # tokens from unrelated to identical: the gate is seen closed, half open and open
    blend = torch.linspace(0, 1, TOKENS).view(1, TOKENS, 1)
    numbers["encoding"] = blend * corpus[0] + (1 - blend) * corpus[1 : 1 + 2 * TOKENS].view(2, TOKENS, WIDTH)

    projection = torch.nn.Linear(WIDTH, OUTPUT, bias=False)
    projection.weight.data.copy_(numbers["weight"])
    for name, (bias, temperature) in SETTINGS.items():
        module = module_type(
            projection,
            C=numbers["covariance"],
            text_seq_len=TOKENS,
            eval_beta=bias,
            eval_temperature=temperature,
        )
        module.double().eval()
        module.initted.fill_(True)
        module.ema_concept_text_encs.copy_(numbers["i_star"])
        module.concept_outputs.data.copy_(numbers["o_star"])
        with torch.no_grad():
            numbers[f"answer.{name}"] = module(numbers["encoding"])
        numbers[f"setting.{name}"] = torch.tensor([bias, temperature])
    return numbers


if __name__ == "__main__":
    save_file(
        record(), FIXTURE, {"source": "perfusion-pytorch 0.1.23, Rank1EditModule, evaluation, one concept"}
    )
    print(f"wrote {FIXTURE} ({FIXTURE.stat().st_size} bytes)")
