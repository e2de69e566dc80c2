"""Train the tokenizer: byte-level BPE, every caption word one token, any English word few tokens.

Run: `python -m tools.pocket2.train_tokenizer`. Writes $WORK/tokenizer2 (a CLIPTokenizer folder).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tools.pocket.paths import work_dir
from tools.pocket.train_tokenizer import train
from tools.pocket.training import stage_parser
from tools.pocket2.things import COLOURS, GENERIC, HATS, OPENINGS, PLACES, STYLES, kinds

JOINTS = ("wearing", "next to", "and", "beside", "a", "an", "the", "my", "background")


def caption_words() -> list[str]:
    """Every word a caption may hold, in a fixed order."""
    texts = [*(kind.name for kind in kinds()), *GENERIC, *COLOURS, *HATS, *PLACES.values(), *STYLES.values()]
    texts += [*OPENINGS, *JOINTS]
    return list(dict.fromkeys(word for text in texts for word in re.findall(r"[a-z]+", text)))


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
    tokenizer.save_pretrained(work_dir(options.work) / "tokenizer2")
    print(f"{len(tokenizer)} entries; {len(words)} caption words, of several tokens: {split}")


if __name__ == "__main__":
    main()
