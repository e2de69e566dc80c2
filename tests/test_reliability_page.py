"""The promises in docs/reliability.md, and the table in docs/bases.md, name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
SWITCHES = (ROOT / "docs" / "bases.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE + SWITCHES)


def names_of_tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_holds_a_promise_exists() -> None:
    assert len(NAMED) > 40
    missing = [f"{path}::{name}" for path, name in NAMED if name not in names_of_tests(path)]
    assert not missing


def test_every_promise_names_a_test() -> None:
    promises = [
        line
        for line in (PAGE + SWITCHES).splitlines()
        if line.startswith("| ") and not re.match(r"\| .*\| [\d,]+ \|", line)
    ]
    held = [line for line in promises if "held by" not in line and "uncaught" not in line]
    assert held
    assert not [line for line in held if "::test_" not in line]
