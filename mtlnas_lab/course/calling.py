"""Calls a reader's function for a check, and has a sentence for all that a function may do wrong.

A check never calls an answer itself. It gets an `Answer`, which hands over copies and looks at them afterwards, calls
twice and compares, ends what does not end, listens to what is printed, and looks at what kind of thing comes back.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import dis
import inspect
import io
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ..core.space import Edge, Node, Stage
from .checks.common import Wrong, apart

LIMIT = 10.0  # seconds that one call may take


# what nobody can write into, and what therefore needs no copy
FIXED = (str, bytes, bool, int, float, complex, type(None), Node, Edge, Stage)


# the instructions of a body that holds nothing but `pass`, `...` or a docstring
TRIVIAL = {"RESUME", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "POP_TOP", "NOP"}


class Unfilled(Exception):
    """Raised when the answer is still `...`."""


class TooLong(BaseException):
    """Raised inside a call that does not end; not an Exception, so that a reader's `except Exception` lets it pass."""


# --- copies, and whether two values are the same ------------------------------------------------------------------------
def copied(value: object) -> object:
    """A copy to hand over: nothing that is done to it reaches `value`. Gradients flow through copies of tensors."""
    if isinstance(value, FIXED) or inspect.isroutine(value):
        return value
    if isinstance(value, torch.Tensor):
        return value.clone()
    # both calls get the same chance, or no answer that draws could be compared with itself
    if isinstance(value, torch.Generator):
        return torch.Generator(value.device).set_state(value.get_state())
    # exactly these types: a class derived from them may be built in another way, and is left to deepcopy
    if type(value) in (list, tuple):
        return type(value)(copied(part) for part in value)
    if type(value) is dict:
        return {key: copied(part) for key, part in value.items()}
    return copy.deepcopy(value)


def same(one: object, other: object, exactly: bool = False) -> bool:
    """Whether two values are alike, part by part; numbers up to rounding unless `exactly`."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        one = one.detach().cpu().numpy()
        other = other.detach().cpu().numpy()
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return _same_arrays(one, other, exactly)
    if isinstance(one, dict):
        return list(one) == list(other) and same([*one.values()], [*other.values()], exactly)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b, exactly) for a, b in zip(one, other))
    if isinstance(one, nn.Module):
        # the modes first: an answer that calls .train() or .eval() on its argument changes it, too
        modes = [module.training for module in one.modules()]
        if modes != [module.training for module in other.modules()] or repr(one) != repr(other):
            return False
        return same(dict(one.state_dict()), dict(other.state_dict()), exactly)
    if isinstance(one, (float, np.floating)):
        return _same_arrays(np.asarray(one), np.asarray(other), exactly)
    if type(one).__eq__ is object.__eq__:
        return True  # two objects of one kind that say nothing about being equal
    return bool(one == other)


def _same_arrays(one: np.ndarray, other: np.ndarray, exactly: bool) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind not in "fc":
        return np.array_equal(one, other)
    if exactly:
        return np.array_equal(one, other, equal_nan=True)
    return np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


# --- a watch ------------------------------------------------------------------------------------------------------------
def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Raises an error in another thread, at its next step."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


class Watch:
    """Looks, from a thread of its own, whether a call takes longer than LIMIT, and then raises TooLong in it."""

    def __init__(self):
        self.caller = threading.get_ident()
        self.lock = threading.Lock()
        self.deadline = math.inf
        self.raised = False
        self.over = threading.Event()

    def __enter__(self) -> Watch:
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()  # the thread ends at its next look

    def _look(self) -> None:
        while not self.over.wait(LIMIT / 20):
            # under the lock, or the call could end between the question and the error
            with self.lock:
                if time.monotonic() > self.deadline:
                    self.raised = True
                    _raise_in(self.caller, TooLong)

    def call(self, function: Callable, given: tuple) -> object:
        with self.lock:
            self.deadline = time.monotonic() + LIMIT
            self.raised = False
        try:
            return function(*given)
        finally:
            with self.lock:
                self.deadline = math.inf
            if self.raised:  # it may still be on its way: let it arrive here and nowhere else
                time.sleep(0.01)


class Heard(io.TextIOBase):
    """Passes on what is printed, and knows whether anything was."""

    def __init__(self, to):
        self.to = to
        self.anything = False

    def write(self, text: str) -> int:
        self.anything = self.anything or bool(text.strip())
        return self.to.write(text)

    def flush(self) -> None:
        self.to.flush()


# --- the answer ---------------------------------------------------------------------------------------------------------
class Answer:
    """The reader's function as a check calls it; `changed` has the names of arguments that it wrote into."""

    def __init__(self, function: Callable, watch: Watch):
        self.function = function
        self.watch = watch
        self.changed: list[str] = []
        try:
            self.signature = inspect.signature(function)
        except (TypeError, ValueError):  # some functions written in C do not tell
            self.signature = None

    def __call__(self, *given):
        """What the function says to copies of these arguments; it must say it twice, and leave them as they are."""
        first = copied(given)
        second = copied(given)
        value = self.once(*first)
        self._compare(given, first)
        # whatever it prints was printed the first time
        with contextlib.redirect_stdout(io.StringIO()):
            again = self.once(*second)
        drawn = [part for part in given if isinstance(part, torch.Generator)]
        if not same(value, again):
            raise Wrong(_fickle(value, again, bool(drawn)))
        # the next call goes on drawing where this one stopped, as if there had been no copies
        for part, used in zip(given, first):
            if isinstance(part, torch.Generator):
                part.set_state(used.get_state())
        return value

    def also(self, said: str, *given):
        """The same for other arguments than those for which the answer is right already: `said` says so."""
        try:
            return self(*given)
        except Wrong as wrong:
            raise Wrong(f"{said}: use the arguments. There {wrong}") from None

    def gently(self, *given):
        """The same for a question that an answer need not be able to hear, as for its gradient: None where it stops."""
        try:
            return self(*given)
        except Wrong:
            return None

    def once(self, *given):
        """One call with these arguments themselves: for what an answer should change, or count."""
        self._fits(given)
        heard = Heard(sys.stdout)
        try:
            with contextlib.redirect_stdout(heard):
                value = self.watch.call(self.function, given)
        except (Wrong, Unfilled):
            raise
        except TooLong:
            raise Wrong(endless()) from None
        except (Exception, SystemExit) as error:  # exit() in an answer must not end the notebook
            raise self._stopped(error) from None
        self._look_at(value, given, heard.anything)
        return value

    def _fits(self, given: tuple) -> None:
        if self.signature is None:
            return
        # before the call: its own TypeError could come from anywhere inside the function
        try:
            self.signature.bind(*given)
        except TypeError:
            names = ", ".join(self.signature.parameters) or "nothing"
            raise Wrong(
                f"your function takes {len(self.signature.parameters)} arguments ({names}), and the exercise gives "
                f"it {len(given)}: leave the line that begins with `def` as it was"
            ) from None

    def _compare(self, given: tuple, after: tuple) -> None:
        names = []
        if self.signature:
            names = list(self.signature.parameters)
        for number, (before, now) in enumerate(zip(given, after)):
            if isinstance(before, torch.Generator) or same(before, now, exactly=True):
                continue
            name = names[number] if number < len(names) else f"argument {number + 1}"
            if name not in self.changed:
                self.changed.append(name)

    def _stopped(self, error: BaseException) -> Exception:
        """The sentence about an error inside the reader's function: its line, its type, its text."""
        code = getattr(self.function, "__code__", None)
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if code and frame.filename == code.co_filename]
        line = ""
        where = ""
        if own:
            line = own[-1].line
            where = f" in line {own[-1].lineno}"
        # a cell whose gap is still open stops by itself: that is not a mistake
        if isinstance(error, NotImplementedError) and (not str(error) or "raise" in (line or "")):
            return Unfilled()
        if isinstance(error, TypeError) and "ellipsis" in str(error).lower():
            return Unfilled()
        if line:
            where = f"{where}, at “{line}”"
        if isinstance(error, RecursionError):
            return Wrong(f"your function{where} calls itself without end")
        if isinstance(error, SystemExit):
            return Wrong(
                f"your function ends the whole program{where}; write return instead of exit"
            )
        return Wrong(f"your function stopped{where}: {type(error).__name__}: {error}")

    def _look_at(self, value: object, given: tuple, printed: bool) -> None:
        """What comes back from any exercise is a value: not nothing, not a promise of values, not a function."""
        if blank(value) and value is not None:
            raise Unfilled
        if value is None:
            # the commonest slip of all: in a notebook print and return look alike
            if printed:
                raise Wrong(
                    "your function prints its answer and returns nothing: write `return` where `print` stands"
                )
            if _does_nothing(self.function):
                raise Unfilled
            when = ""
            if all(isinstance(part, (str, int, float)) for part in given):
                when = f" when it is given {', '.join(map(repr, given))}"
            raise Wrong(
                f"your function returns nothing{when}: what it works out is lost unless it says `return …`"
            )
        if inspect.iscoroutine(value):
            value.close()  # else Python warns of a coroutine that was never awaited
            raise Wrong("your function is declared `async def`; take `async` away")
        if hasattr(value, "__next__"):
            kind = type(value).__name__
            raise Wrong(
                f"your function gives a {kind}, which promises values but is none of them: say `return` instead of "
                "`yield`, or make a list of it, list(…)"
            )
        if inspect.isroutine(value) or inspect.isclass(value):
            name = getattr(value, "__name__", "f")
            raise Wrong(
                f"your function returns the function {name} itself, not what it gives: is a pair of brackets "
                f"missing, as in {name}()?"
            )


def blank(value: object) -> bool:
    """Whether `...` still stands where an answer, or one part of it, should."""
    if isinstance(value, (list, tuple)):
        return any(part is ... for part in value)
    return value is ... or value is None


def _does_nothing(function: Callable) -> bool:
    """Whether a function has no body yet: only `pass`, `...`, a text or a constant."""
    code = getattr(function, "__code__", None)
    return code is not None and all(step.opname in TRIVIAL for step in dis.get_instructions(code))


def _fickle(value: object, again: object, drawn: bool) -> str:
    if drawn:
        return (
            "the same generator gave another answer; draw everything from it, as in torch.randperm(count, "
            "generator=generator)"
        )
    which = ""
    if isinstance(value, (int, float)) and isinstance(again, (int, float)):
        first, second = apart(value, again)
        which = f" ({first} and {second})"
    return (
        f"called twice with the same arguments your function gives two answers{which}: nothing here is left to "
        "chance, and nothing should be remembered from one call to the next"
    )


def endless() -> str:
    """What is wrong with a function that had to be stopped."""
    return (
        f"your function does not come to an end (it was stopped after {LIMIT:g} seconds): does the condition of its "
        "loop ever become false?"
    )


def changed_sentence(names: list[str]) -> str:
    """What is wrong with a function that writes into its arguments."""
    which = " and ".join(f"`{name}`" for name in names)
    return (
        f"the values of {which} have changed: your function writes into what it is given, which somebody else may "
        f"still need. Work on a copy, as in {names[0]} = {names[0]}.clone() (.copy() of a list or an array)"
    )
