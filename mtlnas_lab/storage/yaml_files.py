"""Reads YAML that somebody else wrote: limits come first, then plain dictionaries, lists, text and numbers.

YAML can say in 300 bytes what fills a memory: aliases of aliases, merges of merges, brackets in brackets, numbers of a
million digits. Each is counted on the parsed tree, before a value is made of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ConfigError, RunError
from .safe_files import read

LIMIT = 2**17  # bytes of a file


DEPTH = 64  # of lists and mappings in each other


VALUES = 20_000  # of a file, those behind an alias counted as often as they occur


LETTERS = 2**20  # of their text, counted likewise


DIGITS = 20  # of a whole number, its sign included


TAG = "tag:yaml.org,2002:"


PLAIN = ("str", "int", "float", "bool", "null", "seq", "map", "merge")


def read_yaml(path: str | os.PathLike, limit: int = LIMIT, what: str = "YAML file") -> dict:
    """The settings of a YAML file as a dictionary; {} for an empty one. Dates stay text, as they are written.

    limit: bytes. what: how the file is called where it is missing, as in "there is no configuration file 'x.yaml'".
    Raises ConfigError, in one line, for what is not a regular file of UTF-8, below the limits, with settings in it.
    """
    shown = _short(os.fspath(path), 200)
    try:
        there = Path(os.path.realpath(path))  # a link to a file is fine, a link to a device is not
        text = read(there, limit).decode() if there.exists() else None
    except RunError as error:
        raise ConfigError(str(error)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown} holds no YAML: it is not UTF-8 ({error.reason})") from None
    except OSError as error:
        raise ConfigError(f"{shown} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{shown} cannot be the name of a file") from None
    if text is None:
        raise ConfigError(f"there is no {what} {shown}")
    return _parsed(text, shown)


def _parsed(text: str, shown: str) -> dict:
    import yaml

    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        letters = 0
        for number, value in enumerate(_checked(node, 0)):
            letters += len(value.value) if isinstance(value.value, str) else 0
            if number >= VALUES or letters > LETTERS:
                raise _Refused(
                    f"holds more than {VALUES:,} values or {LETTERS:,} letters, aliases written out"
                )
        if not isinstance(node, yaml.MappingNode):
            raise _Refused("holds no sections or settings; write `name: value`, one a line")
        return loader.construct_document(node)
    except _Refused as refused:
        raise ConfigError(f"{shown} {refused}") from None
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark or error.context_mark)
        reason = error.problem or error.context or ""
        raise ConfigError(f"{shown} holds no YAML{place}: {_short(reason)}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{shown} holds no YAML: {_short(str(error))}") from None


class _Refused(Exception):
    """What is wrong with the file, to be said behind its name."""


def _loader() -> type:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML's safe loader, which reads no dates and goes no deeper than DEPTH."""

        yaml_implicit_resolvers = _without_dates(yaml.SafeLoader.yaml_implicit_resolvers)
        depth = 0

        def compose_node(self, parent, index):
            self.depth += 1
            if self.depth > DEPTH:
                raise _Refused(f"holds lists and settings in each other, more than {DEPTH} deep")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    return Loader


def _without_dates(resolvers: dict[str, list]) -> dict[str, list]:
    """{first character: [(tag, form)]} by which PyYAML knows what a text is, without the forms of dates."""
    kept = {}
    for first, forms in resolvers.items():
        kept[first] = [(tag, form) for tag, form in forms if tag != f"{TAG}timestamp"]
    return kept


def _checked(node: Any, depth: int) -> Iterator[Any]:
    """Every value below a node, behind an alias as often as it occurs. Raises _Refused for one that is not plain."""
    kind = node.tag.removeprefix(TAG)
    if kind not in PLAIN:
        raise _Refused(
            f"holds no YAML of settings{_place(node.start_mark)}: a value of the kind {_short(node.tag)}; "
            "settings are text, numbers, true and false, lists, and settings again"
        )
    if depth > DEPTH:
        raise _Refused("holds an alias of what it stands in")
    yield node
    if isinstance(node.value, str):
        _check_scalar(node, kind)
        return
    names = set()
    for child in node.value:
        if isinstance(child, tuple):
            name, child = child
            _check_name(name, names)
        yield from _checked(child, depth + 1)


def _check_name(name: Any, names: set[str]) -> None:
    """A name is text, and occurs once; PyYAML would take the last one without a word."""
    if name.tag == f"{TAG}merge":
        return
    place = _place(name.start_mark)
    if name.tag != f"{TAG}str" or not isinstance(name.value, str):
        written = name.value if isinstance(name.value, str) else "a list or settings"
        raise _Refused(f"has a name{place} which is not text to YAML: {_short(written)}")
    _check_scalar(name, "str")
    if name.value in names:
        raise _Refused(f"sets {_short(name.value)} a second time{place}")
    names.add(name.value)


def _check_scalar(node: Any, kind: str) -> None:
    import yaml

    place = _place(node.start_mark)
    if kind == "int" and len(node.value.replace("_", "")) > DIGITS:
        raise _Refused(f"has a whole number of more than {DIGITS} digits{place}")
    try:
        node.value.encode()  # half a surrogate pair is not text
        yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, LookupError, OverflowError):
        raise _Refused(
            f"has a value{place} that cannot be read as !!{kind}: {_short(node.value)}"
        ) from None


def _place(mark: Any) -> str:
    return f" in line {mark.line + 1}" if mark else ""


def _short(text: object, length: int = 80) -> str:
    """A text in quotes, short, and without control characters."""
    text = str(text)
    return repr(text if len(text) <= length else f"{text[:length]}…")
