"""What the checks share: what kind of value an answer is, how it differs from the right one, and how that is said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

RIGHT = "#4575b4"  # blue and orange stay apart for every kind of colour vision
YOURS = "#b35806"


class Wrong(Exception):
    """Raised by a check: what is wrong with the answer, and where to look."""


# --- numbers in a sentence ----------------------------------------------------------------------------------------------
def apart(right: float, yours: float, digits: int = 3) -> tuple[str, str]:
    """Both numbers as text, with as many digits as it takes to tell them apart and to see that neither is 0.

    Example:
        >>> apart(0.5, 0.5001)
        ('0.5000', '0.5001')
    """
    right = float(right)
    yours = float(yours)
    if math.isnan(yours) or math.isinf(yours):
        return plain(right), plain(yours)
    whole = right.is_integer() and yours.is_integer()
    if whole and right != yours and max(abs(right), abs(yours)) < 1e15:
        return f"{right:,.0f}", f"{yours:,.0f}"
    for places in range(digits, 18):  # a double has no more digits than 17
        right_text = f"{right:,.{places}f}"
        yours_text = f"{yours:,.{places}f}"
        # "0.000" for a number that is not 0 says the wrong thing
        vanished = _vanished(right, right_text) or _vanished(yours, yours_text)
        if right_text != yours_text and not vanished:
            return right_text, yours_text
    return repr(right), repr(yours)


def _vanished(value: float, text: str) -> bool:
    """Whether a number that is not 0 looks like 0."""
    return value != 0 and not text.strip("-0.,")


def points_apart(right: Sequence[float], yours: Sequence[float]) -> tuple[str, str]:
    """Two points as '(1, 0.55)', their unlike coordinates with as many digits as it takes to tell them apart."""
    right_texts = []
    yours_texts = []
    for here, there in zip(map(float, right), map(float, yours)):
        texts = apart(here, there)
        if abs(here - there) < 1e-6:  # this coordinate is right: no digits to look for
            texts = (plain(here), plain(here))
        right_texts.append(texts[0])
        yours_texts.append(texts[1])
    return f"({', '.join(right_texts)})", f"({', '.join(yours_texts)})"


def plain(value: float) -> str:
    """One number as text: whole ones without a point, others with three places or as many as it has."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.10g}"


def differ(
    right: Sequence[float],
    yours: Sequence[float],
    places: Sequence[str],
    atol: float = 1e-4,
    rtol: float = 0.0,
    worst: bool = False,
    digits: int = 3,
) -> str:
    """'… at α = 1 it should be 0.731, yours is 0.700' for the first place where two rows of numbers differ, or the worst."""
    right = values(right)
    yours = values(yours)
    off = np.abs(right - yours) - rtol * np.abs(right)
    off[np.isnan(off)] = np.inf  # NaN is the worst of all, and argmax would pass it over
    number = int((off > atol).argmax())
    if worst:
        number = int(off.argmax())
    here, there = apart(right[number], yours[number], digits)
    return f"{places[number]} it should be {here}, yours is {there}"


def values(given: object) -> np.ndarray:
    """Numbers of any kind (a tensor, an array, a list of either, one number) as a float array without a graph."""
    if isinstance(given, torch.Tensor):
        return given.detach().cpu().double().numpy()
    if isinstance(given, (list, tuple)):
        return np.array([values(part) for part in given], float)
    return np.asarray(given, float)


def close(one: object, other: object, atol: float = 1e-4, rtol: float = 0.0) -> bool:
    """Whether two values have the same shape and nearly the same numbers; NaN is close to nothing."""
    one = values(one)
    other = values(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=rtol, atol=atol)


def near_misses(
    yours: object,
    right: object,
    known: Mapping[str, object],
    otherwise: str | None = None,
    atol: float = 1e-4,
    rtol: float = 0.0,
) -> None:
    """Raises Wrong unless `yours` is `right`: with the sentence of the known mistake that it equals, or with `otherwise`.

    Args:
        yours: The reader's numbers: one, a list, an array or a tensor.
        right: What they should be, in the same shape.
        known: Sentence → what this mistake gives instead of `right`.
        otherwise: What is said of any other answer; None leaves it to the check, which goes on.
        atol: How far a number may be off; plus
        rtol: how far, as a share of the right one.

    Example:
        >>> near_misses(6, 9, {"these are 2 · 3; a square is 3 · 3": 6})
        Traceback (most recent call last):
        mtlnas_lab.course.checks.common.Wrong: these are 2 · 3; a square is 3 · 3
    """
    if close(yours, right, atol, rtol):
        return
    # in the order of the table: where two mistakes give the same numbers, the first one is told
    for sentence, value in known.items():
        if close(yours, value, atol, rtol):
            raise Wrong(sentence)
    if otherwise is not None:
        raise Wrong(otherwise)


# --- what kind of value -------------------------------------------------------------------------------------------------
def kind(value: object) -> str:
    """What a value is, in words for a sentence."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, (list, tuple, dict, set)):
        return f"a {type(value).__name__} of {len(value)}"
    # before the numbers, for Python counts True among them
    if isinstance(value, (bool, np.bool_)):
        return f"a truth value, {value}"
    if isinstance(value, str):
        return f"a text, {value[:30]!r}"
    if isinstance(value, (int, float, np.number)):
        return "one number"
    name = type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return f"{article} {name}"


def number(value: object, what: str) -> float:
    """One number, as float: a Python number, or a tensor or array that holds a single one."""
    # True is an int to Python, but whoever answers True did not answer with a number
    boolean = isinstance(value, (bool, np.bool_)) or getattr(value, "dtype", None) is torch.bool
    if not boolean and isinstance(value, (int, float, np.integer, np.floating)):
        return _finite_size(value)
    single = isinstance(value, (torch.Tensor, np.ndarray)) and math.prod(value.shape) == 1
    if single and not boolean and np.asarray(_still(value)).dtype.kind in "iuf":
        return float(_still(value).reshape(()))
    # `return x,` makes a tuple, which is easily overlooked
    hint = ""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        hint = ": take it out of its brackets, or take the comma away that makes a tuple of it"
    shape = f"yours is {kind(value)}"
    if hasattr(value, "shape"):
        shape = f"yours has shape {tuple(value.shape)}"
    raise Wrong(f"give one number, {what}; {shape}{hint}")


def _finite_size(value) -> float:
    """A number as float; whole ones that are too large for a float count as infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _still(value):
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def numbers(answer, arguments: Sequence[tuple], what: str) -> np.ndarray:
    """What `answer` gives for each tuple of arguments, one number each."""
    return np.array([number(answer(*given), what) for given in arguments])


def tensor(value: object, shape: tuple[int, ...], what: str) -> torch.Tensor:
    """Numbers of this shape as a double tensor without its graph; an array or a (nested) list will do."""
    made = converted(value)
    if made is None:
        raise Wrong(f"give {what}, as a tensor of shape {shape}; yours is {kind(value)}")
    if tuple(made.shape) != tuple(shape):
        raise Wrong(f"give {what}, as a tensor of shape {shape}; yours has {tuple(made.shape)}")
    return made


def converted(value: object) -> torch.Tensor | None:
    """Numbers in a tensor, an array or a (nested) list as a double tensor; None for anything else."""
    if isinstance(value, torch.Tensor):
        return None if value.is_complex() else value.detach().cpu().double()
    # numpy cannot take tensors that still hold a graph out of a list
    if isinstance(value, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in value):
        return _stacked([converted(part) for part in value])
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # rows of unlike length, things that are not numbers
        return None
    return torch.as_tensor(array.astype(float)) if array.dtype.kind in "biuf" else None


def _stacked(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Tensors of one shape in one tensor; None where one is missing or has another shape."""
    first = parts[0]
    for part in parts:
        if part is None or part.shape != first.shape:
            return None
    return torch.stack(list(parts))


def row(value: object, count: int, what: str) -> torch.Tensor:
    """`count` numbers, in a list, tuple, tensor or array, as a double tensor."""
    made = converted(value)
    if made is None or made.ndim != 1:
        raise Wrong(f"give a list with one number for each of {what}; yours is {kind(value)}")
    if len(made) != count:
        raise Wrong(f"give a list with one number for each of {what}; yours has {len(made)}")
    return made


def truth(value: object, what: str) -> bool:
    """True or False: a truth value of Python, numpy or torch."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    single = isinstance(value, (torch.Tensor, np.ndarray)) and math.prod(value.shape) == 1
    if single and np.asarray(_still(value)).dtype.kind == "b":
        return bool(value)
    raise Wrong(f"give True or False, {what}; yours is {kind(value)}")


def truths(value: object, count: int, what: str) -> list[bool]:
    """`count` truth values, in a list, tuple, tensor or array; 0 and 1 count as such."""
    made = converted(value)
    if made is None:
        raise Wrong(f"give one truth value for each of {what}; yours is {kind(value)}")
    if tuple(made.shape) != (count,):
        raise Wrong(f"give one truth value for each of {what}; yours has shape {tuple(made.shape)}")
    # gates instead of truth values: 0.7 would count as True
    if not all(part in (0.0, 1.0) for part in made.tolist()):
        raise Wrong(
            f"give one truth value for each of {what}, True or False; yours are other numbers"
        )
    return [bool(part) for part in made.tolist()]


# --- gradients and chance -----------------------------------------------------------------------------------------------
def gradient(value: object, by: torch.Tensor) -> torch.Tensor | None:
    """∂ Σ value / ∂ by, or None where no gradient flows."""
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        return None
    # an answer may need gradients by something else than `by`
    (found,) = torch.autograd.grad(value.sum(), [by], allow_unused=True)
    return found


def uneven(drawn: Sequence[Sequence[bool]], size: int) -> str | None:
    """Why sets of `size`, drawn many times, are not equally likely: 'one', 'two' (a pair comes too often), or None.

    (N, E) truth values. A share or the share of a pair may be off by five of its own standard deviations.
    """
    table = np.array(drawn, float)
    count, edges = table.shape
    one = size / edges
    two = one * (size - 1) / (edges - 1)
    # how often two edges came together; on the diagonal, how often one came
    pairs = table.T @ table / count
    off_one = np.abs(np.diag(pairs) - one).max()
    np.fill_diagonal(pairs, two)
    off_two = np.abs(pairs - two).max()
    # five standard deviations: a right answer is told wrong about once in a million checks
    if off_one > 5 * math.sqrt(one * (1 - one) / count):
        return "one"
    if off_two > 5 * math.sqrt(two * (1 - two) / count):
        return "two"
    return None


# --- pictures -----------------------------------------------------------------------------------------------------------
def bars(ax, right, yours, labels: Sequence[str], ylabel: str) -> None:
    """Two bars beside each other for each label."""
    places = np.arange(len(labels))
    ax.bar(places - 0.2, values(right), 0.4, color=RIGHT, alpha=0.6, label="right")
    ax.bar(places + 0.2, values(yours), 0.4, color=YOURS, label="yours")
    ax.set(xticks=places, xticklabels=labels, ylabel=ylabel)
    ax.legend(loc="best", frameon=False)


def curves(ax, x, right, yours, xlabel: str, ylabel: str) -> None:
    """Two curves over the same x; the right one is wide and pale, so that it shows below an equal one."""
    ax.plot(x, right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(x, yours, color=YOURS, lw=1.3, label="yours")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc="best", frameon=False, fontsize=8)
