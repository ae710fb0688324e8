"""Reads the fields of a dataclass from its source, so that help about settings does not wait for PyTorch."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path


@dataclass(frozen=True)
class Field:
    """One field as its source has it: `steps: int = 500  # updates` gives ("steps", "int", "500", "updates")."""

    name: str
    kind: str  # the annotation
    default: str  # as a command line would have it; "" where a function makes it
    about: str  # the comment behind it, or the docstring below it


def fields_of(source: Path, name: str) -> list[Field]:
    """The fields of the dataclass `name`, in their order.

    Args:
        source: The Python file that defines it.
        name: The class.

    Example:
        >>> from pathlib import Path
        >>> from mtlnas_lab.core import schedule
        >>> for field in fields_of(Path(schedule.__file__), "Schedule")[:2]:
        ...     print(field.name, field.kind, repr(field.default))
        end float ''
        start float '0.0'
    """
    text = source.read_text(encoding="utf-8")
    comments = _comments(text)
    found: list[Field] = []
    for statement in _class(ast.parse(text), name).body:
        if isinstance(statement, ast.AnnAssign):
            found.append(_field(statement, comments))
        elif found and isinstance(statement, ast.Expr):
            found[-1] = _with_docstring(found[-1], statement)
    return found


def _class(module: ast.Module, name: str) -> ast.ClassDef:
    for statement in module.body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return statement
    raise LookupError(name)


def _comments(text: str) -> dict[int, str]:
    """{line of code: the comment behind it, or in the line above}"""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if token.line.lstrip().startswith("#"):
            line += 1
        found[line] = token.string.lstrip("# ")
    return found


def _field(statement: ast.AnnAssign, comments: dict[int, str]) -> Field:
    lines = range(statement.lineno, statement.end_lineno + 1)
    about = " ".join(comments[line] for line in lines if line in comments)
    default = _shown(statement.value)
    return Field(statement.target.id, ast.unparse(statement.annotation), default, about)


def _shown(default: ast.expr | None) -> str:
    """A default as it would be written at the command line."""
    if default is None:
        return ""
    if isinstance(default, ast.Call):
        text = ast.unparse(default)
        return (
            "" if text.startswith("field(") else text
        )  # made by a function, which tells no reader
    value = ast.literal_eval(default)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if value is None:
        return ""
    return str(value)


def _with_docstring(field: Field, statement: ast.Expr) -> Field:
    about = " ".join(cleandoc(ast.literal_eval(statement.value)).split())
    return Field(field.name, field.kind, field.default, about)
