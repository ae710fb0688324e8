"""An exercise and its check: a function that looks at an answer, draws, and says in one sentence what is wrong."""

from __future__ import annotations

import base64
import difflib
import html
import importlib
import inspect
import io
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from . import progress
from .calling import Answer, TooLong, Unfilled, Watch, blank, changed_sentence, endless
from .checks.common import Wrong, kind


@dataclass(frozen=True)
class Exercise:
    """check(answer, ax): draws the answer beside what it should be, raises Wrong; what it returns praises and explains.

    The answer is a function, handed over as an `Answer`; or, where `function` is False, a value as it is.
    """

    name: str
    check: Callable
    function: bool = True
    title = property(lambda self: inspect.getdoc(self.check).splitlines()[0].rstrip("."))


EXERCISES: dict[str, Exercise] = {}


def exercise(name: str, function: bool = True) -> Callable:
    """Registers a check under `NN.name`; its docstring's first line is the exercise's title."""

    def register(look: Callable) -> Callable:
        EXERCISES[name] = Exercise(name, look, function)
        return look

    return register


def load() -> dict[str, Exercise]:
    """Every exercise there is, by name, notebook by notebook."""
    _register()
    return dict(sorted(EXERCISES.items()))


@cache
def _register() -> None:
    """Imports the check files, once: each registers its own."""
    checks = importlib.import_module(f"{__package__}.checks")
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")


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
        praise = _looked_at(exercises[name], answer, ax)
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
    except TooLong:
        solved, message = False, endless()
    except Exception as error:  # whatever an answer is made of, a check says something about it
        what = "what it returns" if callable(answer) else kind(answer)
        solved, message = (
            False,
            f"the check cannot use {what} ({type(error).__name__}: {error}); compare its type and shape with the task",
        )
    return Verdict(name, solved, message, _png(figure) if ax.has_data() else b"")


def _looked_at(asked: Exercise, answer: object, ax) -> str | None:
    """What the check says to the answer, and whether a function left alone what it was given."""
    if blank(answer):
        raise Unfilled
    if not asked.function:
        return asked.check(answer, ax)
    if not callable(answer):
        raise Wrong(
            f"the check cannot use {kind(answer)}: give it the function itself, by its name and without brackets "
            f'behind it, as in check("{asked.name}", my_function)'
        )
    with Watch() as watch:
        called = Answer(answer, watch)
        try:
            praise = asked.check(called, ax)
        except Wrong as wrong:
            if called.changed:
                raise Wrong(f"{wrong}. And {changed_sentence(called.changed)}") from None
            raise
    if called.changed:
        raise Wrong(changed_sentence(called.changed))
    return praise


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
