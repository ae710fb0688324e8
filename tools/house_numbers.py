"""How the code reads, as numbers: python tools/house_numbers.py [--worst N] [FOLDER]

For each folder: files, statements, and per 1,000 lines of code what makes a line hard to read. A line of code holds code: not
blank, not a comment, not a docstring. A statement's nodes are its own: the statements inside a loop or a function count for
themselves, a signature and a literal table of constants not at all.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

LARGEST = 60  # nodes of one statement
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DECLARATIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
LITERALS = (
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.Name,
    ast.UnaryOp,
    ast.USub,
    ast.Load,
)


@dataclass
class Numbers:
    """What was counted in some files."""

    files: int = 0
    statements: int = 0
    code_lines: int = 0
    characters: int = 0
    counts: Counter = field(default_factory=Counter)  # by kind

    def per_thousand(self, kind: str) -> float:
        return 1000 * self.counts[kind] / max(1, self.code_lines)


def own_nodes(statement: ast.stmt) -> list[ast.AST]:
    """The nodes of a statement without the statements inside it."""
    found = []
    waiting = [statement]
    while waiting:
        node = waiting.pop()
        found.append(node)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
                waiting.append(child)
    return found


def is_table(statement: ast.stmt) -> bool:
    """`NAME = {…}` of constants and names alone: data, which no one steps through."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return False
    return all(isinstance(node, LITERALS) for node in ast.walk(statement.value))


def size(statement: ast.stmt) -> int:
    """How many nodes a reader holds in mind for this statement."""
    if isinstance(statement, DECLARATIONS) or is_table(statement):
        return 0
    return len(own_nodes(statement))


def nested(tree: ast.AST) -> list[ast.AST]:
    """Comprehensions inside a comprehension."""
    found = []
    for outer in ast.walk(tree):
        if not isinstance(outer, COMPREHENSIONS):
            continue
        for inner in ast.walk(outer):
            if inner is not outer and isinstance(inner, COMPREHENSIONS):
                found.append(inner)
    return list(dict.fromkeys(found))


def is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def statements(tree: ast.AST) -> list[ast.stmt]:
    """Every statement but docstrings."""
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.stmt) and not is_docstring(node)
    ]


def is_double(statement: ast.stmt) -> bool:
    """`a, b = x, y`: two statements in one."""
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Tuple)
        and isinstance(statement.value, ast.Tuple)
    )


def measure(text: str, into: Numbers) -> None:
    """Adds one file's numbers."""
    tree = ast.parse(text)
    into.files += 1
    own = statements(tree)
    into.statements += len(own)
    into.counts["large statements"] += sum(size(statement) > LARGEST for statement in own)
    into.counts["nested comprehensions"] += len(nested(tree))
    into.counts["tuple assignments"] += sum(is_double(statement) for statement in own)
    conditional = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
    into.counts["conditional expressions"] += len(conditional)

    quiet = set()  # line numbers of docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and is_docstring(node):
            quiet.update(range(node.lineno, node.end_lineno + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            into.counts["comments"] += 1
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.strip()
        if code and not code.startswith("#") and number not in quiet:
            into.code_lines += 1
            into.characters += len(code)


KINDS = (
    "large statements",
    "nested comprehensions",
    "conditional expressions",
    "tuple assignments",
    "comments",
)


def row(name: str, numbers: Numbers) -> str:
    shown = [f"{name:<14}{numbers.files:>6}{numbers.statements:>11}{numbers.code_lines:>11}"]
    shown += [f"{numbers.counts[kind]:>7}" for kind in KINDS[:2]]
    shown += [f"{numbers.per_thousand(kind):>9.1f}" for kind in KINDS[2:]]
    shown.append(f"{numbers.characters / max(1, numbers.code_lines):>8.1f}")
    return "".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("mtlnas_lab"))
    parser.add_argument("--worst", type=int, default=0, help="show the N largest statements")
    wanted = parser.parse_args()
    whole = Numbers()
    parts: dict[str, Numbers] = {}
    worst = []
    for path in sorted(wanted.folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        inside = path.relative_to(wanted.folder).parts
        part = inside[0] if len(inside) > 1 else "(beside)"
        measure(text, parts.setdefault(part, Numbers()))
        measure(text, whole)
        tree = ast.parse(text)
        worst += [(size(one), f"{path}:{one.lineno}") for one in statements(tree)]
        worst += [(0, f"{path}:{one.lineno} nested") for one in nested(tree)]
    print(
        f"{'folder':<14}{'files':>6}{'statements':>11}{'code lines':>11}"
        f"{'large':>7}{'nested':>7}{'cond/k':>9}{'tuple/k':>9}{'comm/k':>9}{'char/l':>8}"
    )
    for part, numbers in parts.items():
        print(row(part, numbers))
    print(row("all", whole))
    for count, place in sorted(worst, reverse=True)[: wanted.worst]:
        print(f"{count:>5}  {place}")


if __name__ == "__main__":
    main()
