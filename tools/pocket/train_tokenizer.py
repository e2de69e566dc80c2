"""Train the tokenizer: byte-level BPE, every caption word one token, any English word few tokens.

Run: `python -m tools.pocket.train_tokenizer`. Writes $WORK/tokenizer (a CLIPTokenizer folder).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import CLIPTokenizer

from tools.pocket.paths import work_dir
from tools.pocket.text import MAX_TOKENS
from tools.pocket.things import COLOURS, GENERIC, HATS, OPENINGS, PLACES, STYLES, kinds
from tools.pocket.training import stage_parser

JOINTS = ("wearing", "next to", "and", "beside", "a", "an", "the", "my", "background")


def caption_words() -> list[str]:
    """Every word a caption may hold, in a fixed order."""
    texts = [*(kind.name for kind in kinds()), *GENERIC, *COLOURS, *HATS, *PLACES.values(), *STYLES.values()]
    texts += [*OPENINGS, *JOINTS]
    return list(dict.fromkeys(word for text in texts for word in re.findall(r"[a-z]+", text)))


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
    words = caption_words()
    lines = words * 4000
    glosses = re.findall(r"\| (.*)", options.wordnet.read_text(encoding="utf-8", errors="ignore"))
    picked = np.random.default_rng(options.seed).choice(len(glosses), size=8000, replace=False)
    tokenizer = train(lines + [glosses[i].lower() for i in picked], options.vocabulary)
    split = [word for word in words if len(tokenizer(word).input_ids) != 3]
    tokenizer.save_pretrained(work_dir(options.work) / "tokenizer")
    print(f"{len(tokenizer)} entries; {len(words)} caption words, of several tokens: {split}")


if __name__ == "__main__":
    main()
