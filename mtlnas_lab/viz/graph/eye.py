"""An eye, drawn from plain shapes: how much a task's network sees, beside the name of its lane."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from ..style import PT, FigureStyle
from .shapes import Box, Curve

WIDTH = 1.35  # of an eye, in sizes of the font
IRIS = 0.26  # the radius of its iris, in the same unit


def eye(
    x: float, y: float, style: FigureStyle, view: str, share: float, id: str, title: str
) -> Iterator[Curve | Box]:
    """An eye around (x, y): of its iris as much is filled as the network sees; crossed where that is nothing.

    The iris is a square where the network sees something else than the image: another map, or a worse version.
    """
    em = style.font * PT
    half = WIDTH / 2 * em
    high = 0.6 * em  # of the control points: the lids reach three quarters of that
    left = (x - half, y)
    right = (x + half, y)
    near = x - 0.5 * half
    far = x + 0.5 * half
    above = ((near, y + high), (far, y + high), right)
    below = ((far, y - high), (near, y - high), left)
    line = 0.75 * style.line
    yield Curve((left, *above, *below), style.ink, line, id=id, title=title)
    corner = IRIS * em
    if view != "image":
        corner = 0.0
    size = 2 * IRIS * em
    yield Box(x, y, size, size, corner, style.paper, style.ink, line)
    filled = sqrt(share)  # so that the area is the share
    if share:
        yield Box(x, y, filled * size, filled * size, filled * corner, style.ink)
        return
    a = (x - 0.75 * half, y - 0.95 * high)
    b = (x + 0.75 * half, y + 0.95 * high)
    third = ((2 * a[0] + b[0]) / 3, (2 * a[1] + b[1]) / 3)
    two_thirds = ((a[0] + 2 * b[0]) / 3, (a[1] + 2 * b[1]) / 3)
    yield Curve((a, third, two_thirds, b), style.ink, 1.5 * line)
