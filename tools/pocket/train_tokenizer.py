"""Train the tokenizer: byte-level BPE, every caption word one token, any English word few tokens.

Run: `python -m tools.pocket.train_tokenizer`. Writes $WORK/tokenizer (a CLIPTokenizer folder).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import CLIPTokenizer

from tools.pocket.domain import ACCESSORIES, CLASSES, COLOURS, OPENINGS, PLACES, STYLES
from tools.pocket.paths import work_dir
from tools.pocket.scene import caption, draw_scene
from tools.pocket.training import stage_parser

MAX_TOKENS = 32


def corpus(rng: np.random.Generator, captions: int, wordnet: Path) -> list[str]:
    """Pocket captions, the domain's words many times over, and glosses of common English nouns if at hand."""
    lines = [caption(draw_scene(rng), rng) for _ in range(captions)]
    words = [*CLASSES, *COLOURS, *ACCESSORIES, *PLACES.values(), *STYLES.values(), *OPENINGS]
    lines += [text.format(colour="red") for text in words] * 200
    if wordnet.is_file():
        glosses = re.findall(r"\| (.*)", wordnet.read_text(encoding="utf-8", errors="ignore"))
        picked = rng.choice(len(glosses), size=min(len(glosses), 8000), replace=False)
        lines += [glosses[i].lower() for i in picked]
    return lines


def train(lines: list[str], vocabulary: int) -> CLIPTokenizer:
    """Train the BPE on `lines` and wrap it as CLIP's tokenizer (pad = end of text, at most 32 tokens)."""
    reference = CLIPTokenizer()
    trainee = Tokenizer(BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    trainee.normalizer = reference.backend_tokenizer.normalizer
    trainee.pre_tokenizer = reference.backend_tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # CLIP's layout: 256 bytes, the same bytes ending a word, merges, then the two special tokens.
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2 - 256,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trainee.train_from_iterator(lines, trainer)
    learned = json.loads(trainee.to_str())["model"]
    merges = [
        tuple(pair) if not isinstance(pair, str) else tuple(pair.split(" ")) for pair in learned["merges"]
    ]
    tokens = alphabet + [letter + "</w>" for letter in alphabet]
    tokens += [a + b for a, b in merges]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)}, merges=merges, model_max_length=MAX_TOKENS
    )


def main() -> None:
    """Train, check that every caption word is a single token, and save."""
    parser = stage_parser(__doc__)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet/data.noun"))
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    lines = corpus(rng, 10_000, options.wordnet)
    tokenizer = train(lines, options.vocabulary)
    words = Counter(word for line in lines[:10_000] for word in re.findall(r"[a-z]+", line))
    split = [word for word in words if len(tokenizer(word).input_ids) != 3]
    longest = max(len(tokenizer(line).input_ids) for line in lines[:10_000])
    folder = work_dir(options.work) / "tokenizer"
    tokenizer.save_pretrained(folder)
    print(
        f"{len(tokenizer)} entries; {len(words)} caption words, split: {split}; "
        f"longest caption {longest} tokens"
    )


if __name__ == "__main__":
    main()
