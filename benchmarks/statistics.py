"""How long the statistics of a base's text take, for text encoders of full size.

CLIP's two are whole, with random weights; of T5, Gemma and ChatGLM two layers are built and their time is
taken times the depth, so that neither weights nor memory for them are needed. Texts are as long as captions
of the corpus are in CLIP's tokens, and Sana's have its instruction before them; their words are random.
Timed is what `model.statistics.compute` does: batches of 64 captions of similar length through the encoder,
in the precision that it has on this device, and the second moment of what the projections read. A graphics
card is used where there is one. Other work on the machine stretches the time by the clock and not the
process's own CPU seconds; on a card only the clock means anything.

    python -m benchmarks.statistics [--captions 256] [--family sdxl kolors pixart sana cosmos]
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.full_size import ENCODERS, FullEncoder
from benchmarks.teach_memory import INSTRUCTIONS
from benchmarks.timing import Seconds
from perfusion_core.edit.covariance import SecondMoment
from perfusion_core.model.families.registry import family_called
from perfusion_core.model.single_file import clip_tokenizer
from perfusion_core.model.statistics import read_captions

BATCH = 64
BUILT = 2  # layers of a large encoder
READ = {  # widths
    "stable-diffusion": 768,
    "sdxl": 2048,
    "kolors": 2048,
    "pixart": 1152,
    "sana": 2240,
    "cosmos": 1024,
}


def lengths_of(captions: list[str]) -> list[int]:
    """Tokens of the captions with begin and end marks, the shortest first."""
    return sorted(min(77, len(ids)) for ids in clip_tokenizer()(captions).input_ids)


@torch.no_grad()
def encoding(
    encoder: FullEncoder, large: bool, lengths: list[int], instruction: int, device: torch.device
) -> Seconds:
    """What 1,000 texts of such lengths take in the whole encoder."""
    built = min(BUILT, encoder.layers) if large else encoder.layers
    half = large and device.type != "cpu"
    module = encoder.build(built).to(device, torch.bfloat16 if half else torch.float32)
    generator = torch.Generator().manual_seed(0)

    def run(texts: list[int]) -> None:
        size = (len(texts), instruction + max(texts))
        ids = torch.randint(10, 30_000, size, generator=generator).to(device)
        present = torch.arange(size[1])[None] < torch.tensor(texts)[:, None] + instruction
        module(ids, attention_mask=present.long().to(device) if large else None)

    run(lengths[:2])  # the first call sets things up
    begun = Seconds.now(device)
    for first in range(0, len(lengths), BATCH):
        run(lengths[first : first + BATCH])
    took = Seconds.now(device).since(begun)
    return _times(took, 1000 / len(lengths) * encoder.layers / built)


def second_moment(width: int, lengths: list[int], device: torch.device) -> Seconds:
    """What the second moment of 1,000 texts takes."""
    moment, begun = SecondMoment(width), Seconds.now(device)
    for first in range(0, len(lengths), BATCH):
        moment.update(torch.randn(sum(lengths[first : first + BATCH]), width, device=device))
    return _times(Seconds.now(device).since(begun), 1000 / len(lengths))


def _times(seconds: Seconds, factor: float) -> Seconds:
    return Seconds(seconds.clock * factor, seconds.cpu * factor)


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the statistics of a base's text take.")
    parser.add_argument("--captions", type=int, default=256, help="of which large encoders read a quarter")
    parser.add_argument("--family", nargs="+", choices=list(READ), default=list(READ))
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    corpus, known = read_captions(), dict[str, Seconds]()
    threads = f"{torch.get_num_threads()} thread(s) of a CPU"
    print(f"on {torch.cuda.get_device_name() if device.type == 'cuda' else threads}; clock, CPU")

    def said(what: str, seconds: Seconds) -> None:
        print(f"{what:46}{seconds.clock:10.1f} s{seconds.cpu:10.1f} s", flush=True)

    for name in options.family:
        family = family_called(name)
        parts = [second_moment(READ[name], _spread(corpus, 1000), device)]
        for facts, encoder in zip(family.encoders, ENCODERS[name], strict=True):
            if encoder.title not in known:
                lengths = _spread(corpus, max(1, options.captions // (4 if facts.large else 1)))
                instruction = INSTRUCTIONS.get(name, 0)
                known[encoder.title] = encoding(encoder, facts.large, lengths, instruction, device)
                said(f"{encoder.title}, 1,000 captions", known[encoder.title])
            parts.append(known[encoder.title])
        count = family.captions or len(corpus)
        whole = Seconds(sum(part.clock for part in parts), sum(part.cpu for part in parts))
        said(f"{name}, {count:,} captions", _times(whole, count / 1000))
        said("  of which the second moment", _times(parts[0], count / 1000))


def _spread(corpus: list[str], count: int) -> list[int]:
    return lengths_of(corpus[:: len(corpus) // count][:count])


if __name__ == "__main__":
    main()
