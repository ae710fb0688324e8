"""A picture as plain shapes in millimetres: what every format is written from. (0, 0) is the lower left corner."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path

from ..style import FigureStyle, drawable, fonts, noting, warn_of_boxes

Point = tuple[float, float]


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
    move = lambda points: tuple((x + dx, y + dy) for x, y in points)  # noqa: E731
    return [
        replace(
            i,
            id=i.id and prefix + i.id,
            **(
                {"points": move(i.points), "head": i.head and move(i.head)}
                if isinstance(i, Curve)
                else {"x": i.x + dx, "y": i.y + dy}
            ),
        )
        for i in scene.items
    ]


def sample(points: tuple[Point, ...], count: int = 24) -> np.ndarray:
    """Points along the Bézier pieces, `count` for each piece: (n · count, 2)."""
    p = np.asarray(points, float)
    t = np.linspace(0, 1, count)[:, None]
    return np.concatenate(
        [
            (1 - t) ** 3 * p[i]
            + 3 * t * (1 - t) ** 2 * p[i + 1]
            + 3 * t**2 * (1 - t) * p[i + 2]
            + t**3 * p[i + 3]
            for i in range(0, len(p) - 1, 3)
        ]
    )


def draw(scene: Scene, ax=None):
    """Draw with matplotlib: onto `ax`, or onto a new figure of just the scene's size. Returns the axes.

    Warns of characters that no font of this machine has.
    """
    with noting() as notes:
        ax = _drawn(scene, ax)
    warn_of_boxes(notes)
    return ax


def _drawn(scene: Scene, ax):
    with scene.style.context():
        if ax is None:
            ax = scene.style.figure(scene.height, scene.width).add_axes((0, 0, 1, 1))
        ax.set(xlim=(0, scene.width), ylim=(0, scene.height))
        ax.set_aspect("equal")
        ax.set_axis_off()
        ax.set_facecolor(scene.style.paper)
        for order, item in enumerate(scene.items):
            z = 2 + order * 1e-3
            if isinstance(item, Curve):
                codes = [Path.MOVETO] + [Path.CURVE4] * (len(item.points) - 1)
                dashes = (0, (3.2, 2.0)) if item.dashed else "solid"
                artist = PathPatch(
                    Path(item.points, codes),
                    fill=False,
                    edgecolor=item.color,
                    linewidth=item.width,
                    alpha=item.opacity,
                    linestyle=dashes,
                    capstyle="butt",
                    zorder=z,
                )
                if item.head:
                    ax.add_artist(
                        Polygon(
                            item.head,
                            closed=True,
                            facecolor=item.color,
                            linewidth=0,
                            alpha=item.opacity,
                            zorder=z,
                            gid=item.id and item.id + "-head",
                        )
                    )
            elif isinstance(item, Box):
                artist = PathPatch(
                    _rounded(item),
                    facecolor=item.fill,
                    edgecolor=item.stroke or "none",
                    linewidth=item.line,
                    zorder=z,
                )
            else:
                artist = ax.text(
                    item.x,
                    item.y,
                    drawable(item.text),
                    fontsize=item.size,
                    color=item.color,
                    ha={"start": "left", "middle": "center", "end": "right"}[item.anchor],
                    va="baseline",
                    zorder=z,
                    rotation=item.turn,
                    rotation_mode="anchor",
                    family=list(fonts()),
                    weight="bold" if item.bold else "normal",
                    parse_math=False,
                )
            if not isinstance(item, Text):
                ax.add_artist(artist)
                artist.set_label(item.title or "_")
            artist.set_gid(item.id or None)
        ax.fusion_scene = scene
    return ax


def _rounded(box: Box) -> Path:
    """The outline of a box; a quarter of a disc is one Bézier piece."""
    r, k = box.corner, 0.4477 * box.corner
    x0, x1, y0, y1 = (
        box.x - box.width / 2,
        box.x + box.width / 2,
        box.y - box.height / 2,
        box.y + box.height / 2,
    )
    if not r:
        return Path([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], closed=True)
    points = [
        (x0 + r, y0),
        (x1 - r, y0),
        (x1 - k, y0),
        (x1, y0 + k),
        (x1, y0 + r),
        (x1, y1 - r),
        (x1, y1 - k),
        (x1 - k, y1),
        (x1 - r, y1),
        (x0 + r, y1),
        (x0 + k, y1),
        (x0, y1 - k),
        (x0, y1 - r),
        (x0, y0 + r),
        (x0, y0 + k),
        (x0 + k, y0),
        (x0 + r, y0),
        (x0 + r, y0),
    ]
    return Path(points, [Path.MOVETO] + [Path.LINETO, *[Path.CURVE4] * 3] * 4 + [Path.CLOSEPOLY])
