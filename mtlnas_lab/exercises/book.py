"""An exercise and its check: a function that looks at an answer, draws, and says in one sentence what is wrong."""

from __future__ import annotations

import base64
import difflib
import html
import importlib
import inspect
import io
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps

from . import progress


class Wrong(Exception):
    """Raised by a check: what is wrong with the answer, and where to look."""


class Unfilled(Exception):
    """Raised when the answer is still `...`."""


@dataclass(frozen=True)
class Exercise:
    """check(answer, ax): draws the answer beside what it should be, raises Wrong; what it returns praises and explains."""

    name: str
    check: Callable
    title = property(lambda self: inspect.getdoc(self.check).splitlines()[0].rstrip("."))


EXERCISES: dict[str, Exercise] = {}


def exercise(name: str) -> Callable:
    """Registers a check under `NN.name`; its docstring's first line is the exercise's title."""

    def register(function: Callable) -> Callable:
        EXERCISES[name] = Exercise(name, function)
        return function

    return register


def load() -> dict[str, Exercise]:
    """Every exercise there is, by name, notebook by notebook."""
    _register()
    return dict(sorted(EXERCISES.items()))


@cache
def _register() -> None:
    """Imports the check files, once: each registers its own."""
    for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
        if module.name.startswith("n"):
            importlib.import_module(f"{__package__}.{module.name}")


@dataclass(frozen=True)
class Verdict:
    """What a check says: solved (True, False, or None: not filled in yet), a message, and a picture (PNG bytes)."""

    name: str
    solved: bool | None
    message: str
    picture: bytes = b""

    def __str__(self) -> str:
        return f"{ {True: '✓ solved', False: '✗ not yet', None: '○ not filled in'}[self.solved] } · {self.name}: {self.message}"

    __repr__ = __str__

    def _repr_mimebundle_(self, **_) -> dict:
        colour, word = {
            True: ("#1b7837", "✓ solved"),
            False: ("#b35806", "✗ not yet"),
            None: ("#777777", "○ not filled in"),
        }[self.solved]
        drawn = (
            f'<img alt="your answer and what was expected" style="max-width:100%;background:white" '
            f'src="data:image/png;base64,{base64.b64encode(self.picture).decode()}">'
            if self.picture
            else ""
        )
        return {
            "text/plain": str(self),
            "text/html": (
                f'<div style="border-left:4px solid {colour};padding:4px 12px"><b style="color:{colour}">{word}</b> · '
                f"{html.escape(self.name)}<br>{html.escape(self.message)}<br>{drawn}</div>"
            ),
        }


def check(name: str, answer: object = ...) -> Verdict:
    """Looks at an answer (a function or a value) and says whether it is right. Never raises; remembers what was solved."""
    exercises = load()
    if name not in exercises:
        close = difflib.get_close_matches(name, exercises, 3) or [
            known for known in exercises if known[:2] == str(name)[:2]
        ]
        return Verdict(
            str(name),
            False,
            f"there is no exercise of this name; did you mean {', '.join(close) or 'another'}?",
        )
    figure, ax = _paper()
    try:
        if _blank(answer):
            raise Unfilled
        praise = exercises[name].check(
            _watched(answer) if callable(answer) and not inspect.isclass(answer) else answer, ax
        )
        solved, message = True, praise or "Right."
        progress.mark(name)
    except Unfilled:
        return Verdict(
            name,
            None,
            "replace the … in the cell above and run it again; two hints are folded below.",
        )
    except Wrong as wrong:
        solved, message = False, str(wrong)
    except Exception as error:  # whatever an answer is made of, a check says something about it
        what = f"a {type(answer).__name__}" if not callable(answer) else "what it returns"
        solved, message = (
            False,
            f"the check cannot use {what} ({type(error).__name__}: {error}); compare its type and shape with the task",
        )
    return Verdict(name, solved, message, _png(figure) if ax.has_data() else b"")


def _blank(value: object) -> bool:
    return (
        value is ...
        or value is None
        or isinstance(value, (list, tuple))
        and len(value) > 0
        and all(part is ... for part in value)
    )


def _watched(function: Callable) -> Callable:
    """The reader's function; what it raises becomes a sentence, and `...` means that it is not filled in."""

    @wraps(function)
    def call(*args, **kwargs):
        try:
            value = function(*args, **kwargs)
        except (Wrong, Unfilled):
            raise
        except NotImplementedError:
            raise Unfilled from None
        except Exception as error:
            own = [
                frame
                for frame in traceback.extract_tb(error.__traceback__)
                if frame.name == function.__name__
            ]
            line = f" at “{own[-1].line}”" if own and own[-1].line else ""
            if "ellipsis" in str(error).lower():
                raise Unfilled from None
            raise Wrong(f"your function stopped{line}: {type(error).__name__}: {error}") from None
        if _blank(value):
            raise Unfilled
        return value

    return call


def _paper():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 2.4), layout="constrained", dpi=90)
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
