"""The sizes that keep the code readable, as numbers."""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path for top in ("app", "collectors", "alerts", "demo") for path in (ROOT / top).rglob("*.py")
)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_over_500_lines_and_no_function_over_80(path):
    assert path.read_text().count("\n") <= 500
    assert [node.name for node in functions(path) if length(node) > 80] == []


def test_most_functions_are_short():
    lengths = sorted(length(node) for path in MODULES for node in functions(path))
    assert median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.9)] <= 35


def test_most_modules_stay_under_300_lines():
    sizes = sorted(path.read_text().count("\n") for path in MODULES)
    assert sizes[int(len(sizes) * 0.9)] <= 300


@pytest.mark.parametrize("path", sorted((ROOT / "static/js").rglob("*.js")), ids=lambda path: path.name)
def test_scripts_stay_small(path):
    assert path.read_text().count("\n") <= 250


@pytest.mark.parametrize("path", sorted((ROOT / "static/js/pages").glob("*.js")), ids=lambda path: path.name)
def test_page_scripts_stay_under_150_lines(path):
    assert path.read_text().count("\n") <= 150
