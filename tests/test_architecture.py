"""The layers: which package may import which, and what must stay light to import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

from perfusion_core.model.families.registry import FAMILIES

ROOT = Path(__file__).parents[1]
LIGHT = [
    "perfusion_core.cli",
    "perfusion_core.concept",
    "perfusion_core.files",
    "perfusion_core.model.known_words",
    "perfusion_core.sampling.operating_points",
    "perfusion_core.studio.creating.phrases",
    "perfusion_core.studio.settings",
    "perfusion_core.studio.word_check",
]
HEAVY = ("torch", "diffusers", "transformers", "gradio")


def test_the_import_contracts_hold() -> None:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_what_only_shows_or_lists_imports_nothing_heavy(module: str) -> None:
    assert find_spec(module), f"{module} is gone"
    program = f"import sys, {module}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == []


def test_packages_do_nothing_when_imported() -> None:
    for init in (ROOT / "perfusion_core").rglob("__init__.py"):
        text = init.read_text(encoding="utf-8").strip()
        only_a_docstring = text.startswith('"""') and text.endswith('"""') and text.count('"""') == 2
        assert not text or only_a_docstring, f"{init.relative_to(ROOT)} does more than describe"


def test_models_are_read_from_safetensors_only_and_never_with_their_own_code() -> None:
    for source in (ROOT / "perfusion_core").rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        for forbidden in (
            "trust_remote_code=True",
            "use_safetensors=False",
            "weights_only=False",
            "import pickle",
        ):
            assert forbidden not in text, f"{source.relative_to(ROOT)}: {forbidden}"


def test_nothing_is_written_but_through_write_atomic() -> None:
    # torch.save may fill a buffer, which is then written whole
    ways = re.compile(
        r"\.write_text\(|\.write_bytes\(|open\(.w|save_file\(|os\.rename\(|torch\.save\((?!.*buffer\))"
    )
    for source in (ROOT / "perfusion_core").rglob("*.py"):
        found = ways.search(source.read_text(encoding="utf-8"))
        assert not found, f"{source.relative_to(ROOT)} writes by {found.group()}"


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    names = {path.stem for path in (ROOT / "perfusion_core").rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "misc", "common"}


def test_the_page_says_where_twenty_features_are() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = page.partition("## Where is the code that")[2].partition("\n## ")[0].splitlines()
    named = [re.findall(r"`([\w/]+\.py)`", row) for row in rows if row.endswith(".py` |")]
    assert len(named) >= 20
    assert all((ROOT / "perfusion_core" / path).is_file() for paths in named for path in paths)


def test_no_two_files_share_a_name() -> None:
    names = Counter(path.name for path in (ROOT / "perfusion_core").rglob("*.py"))
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= {"__init__.py", "room.py"}


def test_files_are_short() -> None:
    folders = ("perfusion_core", "tests", "tools", "benchmarks")
    lines = {
        str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert len(lines) > 300
    assert {path: count for path, count in lines.items() if count > 300} == {}
    assert median(lines.values()) < 130


def test_nothing_but_the_descriptions_asks_which_family_a_base_is_of() -> None:
    layouts = {"sd1", "sd2", "sdxl"}  # of single files
    families = {word for family in FAMILIES for word in (family.name, family.title, *family.pipelines)}
    assert compared('if base.kind in ("sdxl", "x") or a.startswith("sana"): pass') == {"sdxl", "x", "sana"}
    assert compared('match kind:\n    case "sd2": pass') == {"sd2"}
    for source in (ROOT / "perfusion_core").rglob("*.py"):
        if source.parent.name != "families":
            asked = compared(source.read_text("utf-8")) & (families | layouts)
            assert not asked, f"{source.relative_to(ROOT)} asks for {asked}; a description should say it"


def compared(program: str) -> set[str]:
    """The texts that a program compares something with."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(program)):
        starts = isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("startswith", "endswith")
        if isinstance(node, (ast.Compare, ast.MatchValue)) or starts:
            found |= {str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)}
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports in functions and for type checking included."""
    graph = import_graph()
    assert len(graph) > 100
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def import_graph() -> dict[str, set[str]]:
    """Which modules of the package each one names in a `from ... import`."""
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / "perfusion_core").rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in sources.items():
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        found = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        named = {f"{node.module}.{one.name}" for node in found for one in node.names}
        graph[module] = (named | {str(node.module) for node in found}) & sources.keys()
    return graph
