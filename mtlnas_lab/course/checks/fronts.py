"""Checks of notebook 13: the area that a set of points beats, and the graphs that prices can find."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..checking import Wrong, exercise
from .common import RIGHT, YOURS, bars, converted, differ, kind, near_misses, numbers

REFERENCE = (1.0, 1.0)


# --- hypervolume --------------------------------------------------------------------------------------------------------
@exercise("13.hypervolume")
def hypervolume(answer, ax):
    """The area that a set of points beats."""
    sets = {
        "one point": [(0.4, 0.3)],
        "three in front": [(0.6, 0.2), (0.1, 0.7), (0.3, 0.4)],
        "one is beaten": [(0.5, 0.5), (0.2, 0.3), (0.7, 0.1)],
        "one lies beyond": [(0.3, 0.6), (1.4, 0.1), (0.2, 1.3)],
    }
    arrays = [np.array(points) for points in sets.values()]
    reference = np.array(REFERENCE)
    right = np.array([_area(points, reference) for points in arrays])
    yours = numbers(answer, [(points.copy(), reference.copy()) for points in arrays], "an area")
    bars(ax, right, yours, list(sets), "area")

    overlapping = [_rectangles(points, reference) for points in arrays]
    with_those_beyond = [_area(points, reference, beyond=True) for points in arrays]
    largest = [_largest(points, reference) for points in arrays]
    below = [_below(points, reference) for points in arrays]
    mistakes = {
        "where rectangles overlap, the area counts once": overlapping,
        "a point beyond the reference beats nothing before it: leave it out": with_those_beyond,
        "this is the area that no point beats; you want the rest": 1 - right,
        "this is the best single point's rectangle; together they beat more": largest,
        "this is the area below the steps, measured from 0; measure from the steps to the reference": below,
    }
    mistakes["sort the points first: they come in no order"] = [
        _steps(points.tolist(), reference) for points in arrays
    ]
    places = [f"for the set “{name}”" for name in sets]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-9)
    moved = numbers(answer, [(np.array([(1.0, 2.0)]), np.array([3.0, 5.0]))], "an area")
    if abs(moved[0] - 6) > 1e-9:
        raise Wrong("right for the reference (1, 1), but not for (3, 5): use the argument")
    return "Every point that none beats adds to it, and no beaten one does: so a larger hypervolume is a better front."


def _steps(points, reference) -> float:
    """The area, if the points come by their first loss."""
    area = 0.0
    height = reference[1]
    for x, y in points:
        if x < reference[0] and y < height:
            area += (reference[0] - x) * (height - y)
            height = y
    return float(area)


def _area(points: np.ndarray, reference: np.ndarray, beyond: bool = False) -> float:
    """The area; beyond: points beyond the reference count with negative sides."""
    ordered = sorted(points.tolist())
    if not beyond:
        return _steps(ordered, reference)
    area = 0.0
    height = reference[1]
    for x, y in ordered:
        if y < height:
            area += (reference[0] - x) * (height - y)
            height = y
    return float(area)


def _rectangles(points: np.ndarray, reference: np.ndarray) -> float:
    sides = np.clip(reference - points, 0, None)
    return float(sides.prod(1).sum())


def _largest(points: np.ndarray, reference: np.ndarray) -> float:
    sides = np.clip(reference - points, 0, None)
    return float(sides.prod(1).max())


def _below(points: np.ndarray, reference: np.ndarray) -> float:
    return float(reference.prod()) - _steps(sorted(points.tolist(), reverse=True), reference)


# --- what prices can find -----------------------------------------------------------------------------------------------
@exercise("13.answers")
def answers(answer, ax):
    """The graphs that are best for some prices."""
    draw = np.random.default_rng(7)
    points = draw.random((40, 3)).round(3)
    weights = draw.dirichlet(np.ones(3), 12).round(3)
    right = _best(points, weights)
    yours = _rows(answer(points.copy(), weights.copy()), len(points))
    ax.scatter(points[:, 0], points[:, 1], s=12, color="0.7", label="graphs")
    for name, rows, color, marker, size in (
        ("right", right, RIGHT, "o", 90),
        ("yours", yours, YOURS, "x", 40),
    ):
        chosen = points[sorted(rows)]
        faces = {"facecolors": "none"} if marker == "o" else {}
        pen = {"edgecolors": color, **faces} if marker == "o" else {"color": color}
        ax.scatter(chosen[:, 0], chosen[:, 1], s=size, marker=marker, label=name, **pen)
    ax.set(xlabel="first objective", ylabel="second objective")
    ax.legend(loc="best", frameon=False, fontsize=8)

    of_each_price = {int(place) for place in (points @ weights.T).argmin(1)}
    of_each_objective = {int(place) for place in points.argmin(0)}
    mistakes = {
        "this is the other end: the least sum is the best": _best(-points, weights),
        "these are numbers of prices, not of graphs: take the best graph of each set of prices": of_each_price,
        "these are the best of each objective by itself: weigh all three, with each row of weights": of_each_objective,
        "this is the front; prices find only a part of it": _front(points),
        "only the first prices are used": _best(points, weights[:1]),
    }
    for said, wrong in mistakes.items():
        if yours == wrong and yours != right:
            raise Wrong(said)
    if yours != right:
        missing = sorted(right - yours)
        if missing:
            raise Wrong(f"graph {missing[0]} is missing: it has the least sum for some prices")
        more = sorted(yours - right)
        raise Wrong(f"graph {more[0]} is not the best for any of these prices")
    said = "right for these prices, but not for others"
    other = answer.also(said, np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[1.0, 0, 0]]))
    if _rows(other, 2) != {1}:
        raise Wrong(f"{said}: use the arguments")
    return (
        "A plane that comes from below touches only points that stick out: those in a hollow it never meets, whatever its "
        "slope."
    )


def _best(points: np.ndarray, weights: np.ndarray) -> set[int]:
    return {int(place) for place in (points @ weights.T).argmin(0)}


def _front(points: np.ndarray) -> set[int]:
    found = set()
    for place, point in enumerate(points):
        no_worse = (points <= point).all(1)
        better = (points < point).any(1)
        if not (no_worse & better).any():
            found.add(place)
    return found


def _rows(value: object, count: int) -> set[int]:
    """Numbers of rows that an answer names."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    made = None if isinstance(value, (str, Mapping)) else converted(value)
    if made is None or made.ndim != 1:
        raise Wrong(f"return a list of row numbers; yours is {kind(value)}")
    rows = {float(one) for one in made.tolist()}
    if not all(one.is_integer() and 0 <= one < count for one in rows):
        raise Wrong(f"return numbers of rows, from 0 to {count - 1}")
    return {int(one) for one in rows}
