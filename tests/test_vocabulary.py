"""The words of docs/vocabulary.md are those of the code."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = ROOT / "perfusion_core"
PAGE = (ROOT / "docs" / "vocabulary.md").read_text("utf-8")
REPLACED = re.compile("picture|likeness|alignment", re.IGNORECASE)  # image, image and text similarity


def names_in(source: Path) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source.read_text("utf-8")).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def test_every_file_and_name_on_the_page_exists() -> None:
    quoted = {text for text in re.findall(r"`([^`\n]+)`", PAGE) if "<" not in text}
    files = {text for text in quoted if "/" in text or text.endswith(".py")}
    assert len(files) > 20
    missing = {text for text in files if not (CORE / text).exists()}
    assert not missing
    code = {name for source in CORE.rglob("*.py") for name in names_in(source)}
    stored = {"untaught_image", "untaught_text"}  # keys in files
    words = {text for text in quoted - files if re.fullmatch(r"[A-Za-z_]+", text)} - stored
    assert len(words) > 20
    assert not words - code


def test_names_in_the_code_use_no_replaced_word() -> None:
    found = {
        f"{source.relative_to(ROOT)}: {name}"
        for source in CORE.rglob("*.py")
        for name in names_in(source)
        if REPLACED.search(name)
    }
    assert not found
