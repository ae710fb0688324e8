"""An exercise and its check: a function that looks at an answer, draws, and says in one sentence what is wrong."""

from __future__ import annotations

import base64
import difflib
import html
import importlib
import inspect
import io
import pkgutil
from collections.abc import Callable, Mapping
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

    @property
    def title(self) -> str:
        """The first line of the check's docstring, without its full stop."""
        return inspect.getdoc(self.check).splitlines()[0].rstrip(".")


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
    # "00.count" before "01.…", and the bug hunt last: the order of the notebooks
    return dict(sorted(EXERCISES.items()))


@cache
def _register() -> None:
    """Imports the check files, once: each registers its own."""
    checks = importlib.import_module(f"{__package__}.checks")
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")


UNFILLED = "replace the … in the cell above and run it again; two hints are folded below."
WORDS = {True: "✓ solved", False: "✗ not yet", None: "○ not filled in"}
# Below white letters, so that the words can be read on any page, light or dark.
COLOURS = {True: "#1b7837", False: "#b35806", None: "#5c6370"}
BADGE = "color:#ffffff;padding:1px 8px;border-radius:4px;background:"


@dataclass(frozen=True)
class Verdict:
    """What a check says about one answer; a notebook shows it with its picture.

    Args:
        name: The exercise, as in "05.entropy".
        solved: True, False, or None where the answer is not filled in yet.
        message: What is wrong and where to look, or what the right answer means.
        picture: The answer beside the right one, as PNG; empty where nothing could be drawn.
        drawing: Whether the picture is lines and bars, which a dark page may show on dark paper.
    """

    name: str
    solved: bool | None
    message: str
    picture: bytes = b""
    drawing: bool = False

    def __str__(self) -> str:
        return f"{WORDS[self.solved]} · {self.name}: {self.message}"

    __repr__ = __str__

    def _repr_mimebundle_(self, **_) -> dict:
        colour = COLOURS[self.solved]
        word = WORDS[self.solved]
        drawn = ""
        if self.picture:
            drawn = (
                f'<img class="{"mtl-drawing" if self.drawing else "mtl-pixels"}" alt="your answer and what was expected" '
                'style="max-width:100%;background:white" '
                f'src="data:image/png;base64,{base64.b64encode(self.picture).decode()}">'
            )
        return {
            "text/plain": str(self),
            "text/html": (
                f'<div style="border-left:4px solid {colour};padding:4px 12px"><b style="{BADGE}{colour}">{word}</b> '
                f"{html.escape(self.name)}<br>{html.escape(self.message)}<br>{drawn}</div>"
            ),
        }


def check(name: str, answer: object = ...) -> Verdict:
    """Says whether an answer to an exercise is right, and if not, what is wrong with it. Remembers what was solved.

    A function is called on copies of its arguments, twice, and is ended after ten seconds.

    Args:
        name: The exercise, as in "05.entropy"; `mtlnas-lab progress` lists them all.
        answer: The function that the exercise asks for, or the value; `...` while it is not filled in.

    Returns:
        The verdict: solved (True, False, None), a message, a picture.

    Raises:
        Nothing: whatever goes wrong in an answer becomes the message.

    Example:
        >>> from mtlnas_lab import check
        >>> check("00.count", lambda edges: 2 * edges)
        ✗ not yet · 00.count: 2 ways for each edge, yes, but they multiply: two edges give 2 · 2, three 2 · 2 · 2
        >>> check("00.count", ...).solved is None
        True
    """
    from ..viz.pixels import has_pixels

    exercises = load()
    if name not in exercises:
        return Verdict(str(name), False, _unknown(name, exercises))
    if answer is ...:  # the stub as it stands
        return Verdict(name, None, UNFILLED)
    figure, ax = _paper()
    solved = False
    try:
        praise = _looked_at(exercises[name], answer, ax)
    except Unfilled:
        return Verdict(name, None, UNFILLED)
    except Wrong as wrong:
        message = str(wrong)
    except TooLong:  # too late for `Answer` to say it, while a check was between two calls
        message = endless()
    except Exception as error:  # whatever an answer is made of, a check says something about it
        what = "what it returns" if callable(answer) else kind(answer)
        message = (
            f"the check cannot use {what} ({type(error).__name__}: {error}); "
            "compare its type and shape with the task"
        )
    else:
        solved = True
        message = praise or "Right."
        progress.mark(name)
    # an empty picture would only say that the answer could not be drawn, which the message says
    picture = _png(figure) if ax.has_data() else b""
    return Verdict(name, solved, message, picture, not has_pixels(figure))


def _unknown(name: object, exercises: Mapping[str, Exercise]) -> str:
    """Which exercises have a name like this one: similar in spelling, or of the same notebook."""
    close = difflib.get_close_matches(str(name), exercises, 3)
    if not close:
        close = [known for known in exercises if known[:2] == str(name)[:2]]
    return f"there is no exercise of this name; did you mean {', '.join(close) or 'another'}?"


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
    # a right answer, but one that spoils what it was given: not solved
    if called.changed:
        raise Wrong(changed_sentence(called.changed))
    return praise


def _paper():
    """A small figure that belongs to no window and not to pyplot: the reader's own figures stay as they are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 2.4), layout="constrained", dpi=90)
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
