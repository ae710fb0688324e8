"""A picture as plain shapes in millimetres: what every format is written from. (0, 0) is the lower left corner."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path

from ..origin import remember
from ..style import FigureStyle, drawable, fonts, noting, warn_of_boxes

Point = tuple[float, float]

# What matplotlib calls the words of a Text.
ALIGNMENTS = {"start": "left", "middle": "center", "end": "right"}
WEIGHTS = {False: "normal", True: "bold"}


@dataclass(frozen=True)
class Curve:
    """A chain of cubic Bézier pieces: 3n + 1 points. With `head`, the two back corners of an arrow head and its tip."""

    points: tuple[Point, ...]
    color: str
    width: float  # pt
    opacity: float = 1.0
    dashed: bool = False
    head: tuple[Point, Point, Point] | None = None
    id: str = ""
    title: str = ""


@dataclass(frozen=True)
class Box:
    """A rectangle around (x, y) with round corners; a disc when all of it is corner."""

    x: float
    y: float
    width: float
    height: float
    corner: float
    fill: str
    stroke: str = ""
    line: float = 0.0  # pt
    id: str = ""
    title: str = ""


@dataclass(frozen=True)
class Text:
    """One line of text. (x, y) is on its base line, at its start, middle or end; `turn` is 0 or 90 degrees."""

    x: float
    y: float
    text: str
    size: float  # pt
    color: str
    anchor: str = "middle"
    bold: bool = False
    turn: int = 0
    id: str = ""


@dataclass(frozen=True)
class Scene:
    width: float  # mm
    height: float  # mm
    items: tuple[Curve | Box | Text, ...]
    style: FigureStyle
    spec: object = field(default=None, compare=False)  # the GraphFigure or GraphGrid it shows
    notes: tuple[str, ...] = field(default=(), compare=False)  # what it shows otherwise than told


def moved(scene: Scene, dx: float, dy: float, prefix: str) -> list[Curve | Box | Text]:
    """The items of a scene, moved by (dx, dy) mm, their ids with a prefix."""
    found = []
    for item in scene.items:
        name = item.id
        if name:
            name = prefix + name
        if isinstance(item, Curve):
            points = _shifted(item.points, dx, dy)
            head = item.head
            if head:
                head = _shifted(head, dx, dy)
            found.append(replace(item, id=name, points=points, head=head))
        else:
            found.append(replace(item, id=name, x=item.x + dx, y=item.y + dy))
    return found


def _shifted(points: tuple[Point, ...], dx: float, dy: float) -> tuple[Point, ...]:
    return tuple((x + dx, y + dy) for x, y in points)


def sample(points: tuple[Point, ...], count: int = 24) -> np.ndarray:
    """Points along the Bézier pieces, `count` for each piece: (n · count, 2).

    A piece from a to d with the control points b and c is (1 − t)³ a + 3 t (1 − t)² b + 3 t² (1 − t) c + t³ d.
    """
    corners = np.asarray(points, float)
    t = np.linspace(0, 1, count)[:, None]
    rest = 1 - t
    pieces = []
    for first in range(0, len(corners) - 1, 3):
        a, b, c, d = corners[first : first + 4]
        outer = rest**3 * a + t**3 * d
        inner = 3 * t * rest**2 * b + 3 * t**2 * rest * c
        pieces.append(outer + inner)
    return np.concatenate(pieces)


def draw(scene: Scene, ax=None):
    """Draw with matplotlib: onto `ax`, or onto a new figure of just the scene's size. Returns the axes.

    Warns of characters that no font of this machine has.
    """
    with noting() as notes, scene.style.context():
        if ax is None:
            ax = scene.style.figure(scene.height, scene.width).add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, scene.width), ylim=(0, scene.height))
        ax.set_aspect("equal")
        ax.set_axis_off()
        ax.set_facecolor(scene.style.paper)
        for place, item in enumerate(scene.items):
            _draw_item(ax, item, 2 + place * 1e-3)
        remember(ax, scene=scene)
    warn_of_boxes(notes)
    return ax


def _draw_item(ax, item: Curve | Box | Text, order: float) -> None:
    if isinstance(item, Text):
        artist = _draw_text(ax, item, order)
    else:
        if isinstance(item, Curve):
            artist = _curve_patch(item, order)
            if item.head:
                ax.add_artist(_head_patch(item, order))
        else:
            artist = _box_patch(item, order)
        ax.add_artist(artist)
        artist.set_label(item.title or "_")  # matplotlib shows no label that begins with _
    artist.set_gid(item.id or None)


def _curve_patch(curve: Curve, order: float) -> PathPatch:
    codes = [Path.MOVETO] + [Path.CURVE4] * (len(curve.points) - 1)
    dashes = (0, (3.2, 2.0)) if curve.dashed else "solid"
    return PathPatch(
        Path(curve.points, codes),
        fill=False,
        edgecolor=curve.color,
        linewidth=curve.width,
        alpha=curve.opacity,
        linestyle=dashes,
        capstyle="butt",
        zorder=order,
    )


def _head_patch(curve: Curve, order: float) -> Polygon:
    name = curve.id
    if name:
        name += "-head"
    return Polygon(
        curve.head,
        closed=True,
        facecolor=curve.color,
        linewidth=0,
        alpha=curve.opacity,
        zorder=order,
        gid=name,
    )


def _box_patch(box: Box, order: float) -> PathPatch:
    return PathPatch(
        _rounded(box),
        facecolor=box.fill,
        edgecolor=box.stroke or "none",
        linewidth=box.line,
        zorder=order,
    )


def _draw_text(ax, text: Text, order: float):
    place = {"ha": ALIGNMENTS[text.anchor], "va": "baseline", "rotation": text.turn}
    return ax.text(
        text.x,
        text.y,
        drawable(text.text),
        **place,
        rotation_mode="anchor",
        fontsize=text.size,
        color=text.color,
        weight=WEIGHTS[text.bold],
        family=list(fonts()),
        zorder=order,
        parse_math=False,
    )


def _rounded(box: Box) -> Path:
    """The outline of a box, anticlockwise from its lower left corner; a quarter of a disc is one Bézier piece."""
    left = box.x - box.width / 2
    right = box.x + box.width / 2
    low = box.y - box.height / 2
    high = box.y + box.height / 2
    r = box.corner
    if not r:
        square = [(left, low), (right, low), (right, high), (left, high), (left, low)]
        return Path(square, closed=True)
    k = (
        0.4477 * r
    )  # from the corner of the box to a control point, 1 − 0.5523: as near to a circle as one piece gets
    start = (left + r, low)
    lower_right = [(right - r, low), (right - k, low), (right, low + k), (right, low + r)]
    upper_right = [(right, high - r), (right, high - k), (right - k, high), (right - r, high)]
    upper_left = [(left + r, high), (left + k, high), (left, high - k), (left, high - r)]
    lower_left = [(left, low + r), (left, low + k), (left + k, low), (left + r, low)]
    points = [start, *lower_right, *upper_right, *upper_left, *lower_left, start]
    side_and_corner = [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    return Path(points, [Path.MOVETO, *4 * side_and_corner, Path.CLOSEPOLY])
