"""One step a statement: what `tools/house_numbers.py` counts as hard to read has no place in the package."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "mtlnas_lab").rglob("*.py"))


def load_tool():
    spec = importlib.util.spec_from_file_location(
        "house_numbers", ROOT / "tools" / "house_numbers.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_statement_is_one_step(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    large = [one.lineno for one in TOOL.statements(tree) if TOOL.size(one) > TOOL.LARGEST]
    nested = [one.lineno for one in TOOL.nested(tree)]
    assert not large, f"{file.name}: more than {TOOL.LARGEST} nodes in the statements at {large}"
    assert not nested, f"{file.name}: a comprehension inside a comprehension at {nested}"


def test_the_tool_counts_as_it_says():
    text = '''
"""A docstring."""
TABLE = {"a": [1, 2, 3], "b": (4, 5)}  # data
def f(x):
    # why
    a, b = x, 1
    return [y for y in [z for z in x]] if a else b
'''
    numbers = TOOL.Numbers()
    TOOL.measure(text, numbers)
    assert (numbers.files, numbers.statements, numbers.code_lines) == (1, 4, 4)
    assert numbers.counts["tuple assignments"] == numbers.counts["conditional expressions"] == 1
    assert numbers.counts["nested comprehensions"] == 1 and numbers.counts["comments"] == 2
    assert numbers.per_thousand("comments") == 500
    tree = ast.parse(text)
    assert TOOL.size(tree.body[1]) == 0, "a table of constants is data"
    assert TOOL.size(tree.body[2]) == 0, "a signature is not a step"
    loop = ast.parse("for i in a + b:\n    c = 1\n    d = 2\n").body[0]
    assert TOOL.size(loop) < 12, "what stands inside a loop counts for itself"


def test_every_legend_says_where_it_stands():
    """Left to itself matplotlib looks for a place, and warns where that takes a slow machine a second."""
    silent = []
    for file in [*FILES, *sorted((ROOT / "notebooks" / "src").glob("*.py"))]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "legend" and "loc" not in {word.arg for word in node.keywords}:
                silent.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not silent, f"no loc=… in the legends at {silent}"
