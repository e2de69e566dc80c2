"""The promises in docs/reliability.md, and the table in docs/bases.md, name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

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
    held = [line for line in promises if not line.endswith(("| held by |", "| uncaught |", "| lost |"))]
    assert held
    assert not [line for line in held if "::test_" not in line]


@pytest.mark.parametrize(
    ("listed", "test"),
    [
        ("tests/model/switches.py", "tests/model/test_switches.py"),
        ("tests/model/test_transformer_switches.py", "tests/model/test_transformer_switches.py"),
    ],
)
def test_every_switch_that_is_tested_has_its_row(listed: str, test: str) -> None:
    held = f"`{test}::test_with_a_switch_on_the_concept_acts_and_with_its_gates_shut_it_does_not`"
    rows = [row for row in SWITCHES.splitlines() if held in row]
    named = [names_in(row.split("|")[1]) for row in rows]
    switches = keys_of(listed, "SWITCHES")
    assert len(switches) > 5
    assert [switch for switch in switches if not any(switch in names for names in named)] == []
    assert [names for names in named if not names & set(switches)] == []


def names_in(cell: str) -> set[str]:
    """What a first cell names: all of it, and its parts between commas, without backticks and brackets."""
    plain = re.sub(r"\(.*?\)|`", "", cell)
    return {words.strip() for words in (plain, *plain.split(","))}


def keys_of(path: str, name: str) -> list[str]:
    """The keys of the dictionary called `name`, as they are written in a file."""
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            assert isinstance(node.value, ast.Dict)
            return [str(ast.literal_eval(key)) for key in node.value.keys if key is not None]
    raise AssertionError(f"{path} has no {name}")
