"""How an edge looks by its data, and the legend that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_hex

from ..seeing import seen
from ..style import MOST_ENTRIES, PT, FigureStyle, note, shorten, text_width
from .build import plain, weights_of
from .routes import arrow
from .shapes import Box, Curve, Text

CAPTIONS = {"alpha": "edge probability σ(α)", "frequency": "kept: share of the runs"}
# Where a scale has marks: with dropped edges, from 0 on, and without, from ½ on.
MARKS = {
    True: {0.0: "0", 0.25: "dropped", 0.5: "0.5", 0.75: "kept", 1.0: "1"},
    False: {0.5: "0.5", 0.75: "0.75", 1.0: "1"},
}


@dataclass(frozen=True)
class EdgeStyle:
    """Draws arrows. weights: what `probability` is ('alpha', 'frequency', 'difference', 'none'); `line` (pt) is thinner
    than the style's where nodes are crowded."""

    style: FigureStyle
    colors: Mapping[str, str]
    weights: str
    by_source: bool
    line: float

    def look(self, data: Mapping) -> tuple[str, float, float, bool]:
        """(colour, width in pt, opacity, dashed) of a fusion edge with that data."""
        if self.weights == "difference":
            return self._difference_look(data)
        p = data["probability"]
        color = to_hex(self.style.ramp(p))
        if self.by_source:
            color = self.colors[data["task"]]
        elif self.weights == "none":
            color = self.style.soft
        if self.weights == "none":  # candidates: none is more probable than another
            return color, 0.8 * self.line, 0.8, False
        return color, (0.45 + 1.5 * p) * self.line, 0.7 + 0.3 * p, not data["kept"]

    def _difference_look(self, data: Mapping) -> tuple[str, float, float, bool]:
        """What only one of the two keeps stands out; what both keep or drop stays in the background."""
        dashed = not data["kept"]
        if data["where"] == "first":
            return self.style.task_colors[5], 1.9 * self.line, 0.95, dashed
        if data["where"] == "second":
            return self.style.ink, 1.9 * self.line, 0.95, dashed
        if data["where"] == "both":
            return self.style.soft, 0.8 * self.line, 0.7, dashed
        return self.style.soft, 0.5 * self.line, 0.35, dashed

    def arrow(self, points, data: Mapping, id: str = "", title: str = "") -> Curve:
        """An edge along these Bézier pieces; its head grows with its width, and thin edges still have one."""
        color, width, opacity, dashed = self.look(data)
        length = PT * (1.1 * width + 2.2 * self.line)
        points, head = arrow(points, length, 0.78 * length)
        return Curve(points, color, width, opacity, dashed, head, id, title)

    def straight(self, x0: float, x1: float, y: float, data: Mapping) -> Curve:
        """An edge as a straight line, for a legend."""
        third = (x1 - x0) / 3
        return self.arrow(((x0, y), (x0 + third, y), (x1 - third, y), (x1, y)), data)


# --- what a legend has to say -----------------------------------------------------------------------------------------
def has_scale(spec) -> bool:
    """Whether colour and width mean a number, so that a scale explains them."""
    return spec.color == "probability" and weights_of(spec.graph) in CAPTIONS


def samples(spec, tasks) -> list[tuple[str, dict]]:
    """(text, data of an edge) for the arrows of a legend without a scale."""
    facts = spec.graph.graph
    kept = {"probability": 1.0, "kept": True}
    dropped = {"probability": 0.1, "kept": False}
    found: list[tuple[str, dict]] = []
    if weights_of(spec.graph) == "difference":
        found.append((f"only {facts['first']}", kept | {"where": "first"}))
        found.append(("both", kept | {"where": "both"}))
        found.append((f"only {facts['second']}", kept | {"where": "second"}))
        found.append(("neither", dropped | {"where": "neither"}))
    elif spec.color == "source":
        for task in tasks:
            found.append((f"from {task}", kept | {"task": task}))
        found.append(("dropped", dropped | {"task": tasks[0]}))
    elif weights_of(spec.graph) == "none":
        found.append(("candidate edge", kept))
    return [(text, data) for text, data in found if data["kept"] or spec.faint]


def entries(spec, tasks, room: float) -> list[list[tuple[str, dict]]]:
    """The arrows of a legend without a scale, in as many rows as `room` mm ask for; of many tasks the first."""
    if not spec.legend:
        return []
    small = spec.style.small
    em = spec.style.font * PT
    gap = (_sample(spec, room) + 1.4) * em
    found = samples(spec, tasks)
    if len(found) > MOST_ENTRIES:
        rest = len(found) - MOST_ENTRIES
        note(f"the legend leaves {rest} entries out, for which there is no room")
        found = found[:MOST_ENTRIES]
    rows: list[list[tuple[str, dict]]] = []
    end = room + 1.0  # of the row so far: the first entry begins a row
    for text, data in found:
        text = shorten(text, small, max(room - gap, 1))
        wide = gap + text_width(text, small)
        if end + wide > room + 0.01 + em:  # the last one needs no gap behind it
            rows.append([])
            end = 0.0
        rows[-1].append((text, data))
        end += wide
    return rows


def sentences(spec) -> list[str]:
    """What a legend says of what the networks see, a row each; of many the first."""
    if not spec.legend:
        return []
    found = seen(spec.graph)
    if len(found) > MOST_ENTRIES:
        rest = len(found) - MOST_ENTRIES
        note(f"the legend leaves out what {rest} more networks see, for which there is no room")
    return found[:MOST_ENTRIES]


def _sample(spec, room: float) -> float:
    """How long the arrow before an entry is, in sizes of the font."""
    return 2.0 if room > 9 * spec.style.font * PT else 0.9


def scale(spec, room: float) -> tuple[float, bool]:
    """(length of the scale in mm, whether its caption stands above it and not beside it)."""
    caption = text_width(CAPTIONS[weights_of(spec.graph)], spec.style.small)
    most = 26 * spec.style.font * PT
    length = min(0.6 * room, most)
    if caption <= room - length:
        return length, False
    return min(room, most), True


def legend_height(spec, tasks, room: float) -> float:
    """mm below the lanes, for a legend `room` mm wide."""
    rows = len(entries(spec, tasks, room))
    scaled = has_scale(spec) and (spec.legend or spec.colorbar)
    lines = 1.2 + 1.3 * len(sentences(spec))  # in heights of a small line
    if rows or (scaled and spec.legend):
        lines += 1.3
    lines += 1.3 * max(rows - 1, 0)
    bar = 2.0 if scaled and spec.colorbar else 0.0
    if scaled and scale(spec, room)[1]:
        bar += 1.3
    return (lines + bar) * spec.style.small * PT


# --- its shapes -------------------------------------------------------------------------------------------------------
def legend(
    spec, pen: EdgeStyle, left: float, right: float, top: float
) -> Iterator[Curve | Box | Text]:
    """What width, colour and dashes mean, between x = left and right, below y = top."""
    small = spec.style.small * PT
    em = spec.style.font * PT
    y = top - 1.25 * small
    for sentence in sentences(spec):
        text = shorten(sentence, spec.style.small, right - left)
        yield _label(spec.style, left, y, text, spec.style.ink, "start")
        y -= 1.3 * small
    long = _sample(spec, right - left) * em
    for row in entries(spec, list(pen.colors), right - left):
        x = left
        for text, data in row:
            yield pen.straight(x, x + long, y, data)
            yield _label(spec.style, x + long + 0.4 * em, y, text, spec.style.ink, "start")
            x += long + 1.4 * em + text_width(text, spec.style.small)
        y -= 1.3 * small
    if has_scale(spec) and (spec.legend or spec.colorbar):
        yield from _scale(spec, pen, left, right, y)


def _label(style: FigureStyle, x: float, y: float, text: str, color: str, anchor: str) -> Text:
    """A small text whose middle is at the height y."""
    return Text(x, y - 0.365 * style.small * PT, text, style.small, color, anchor)


def _scale(
    spec, pen: EdgeStyle, left: float, right: float, y: float
) -> Iterator[Curve | Box | Text]:
    """Arrows and colours from the smallest probability that is drawn to 1, with marks below them."""
    style = spec.style
    small = style.small * PT
    room = right - left
    length, above = scale(spec, room)
    low = 0.0 if spec.faint else 0.5

    def place(p: float) -> float:
        return right - length + (p - low) / (1 - low) * length

    if above:
        caption = shorten(CAPTIONS[pen.weights], style.small, room)
        yield _label(style, right, y, caption, style.ink, "end")
        y -= 1.3 * small
    middle = y  # the height of a caption beside the scale
    if spec.legend:
        for p in np.linspace(low, 1, 13)[1::2]:
            edge = {"probability": p, "kept": p > 0.5, "task": ""}
            yield pen.straight(place(p) - 0.065 * length, place(p) + 0.065 * length, y, edge)
        y -= 1.15 * small
    if spec.colorbar:
        for p in np.linspace(low, 1, 41)[:-1]:
            color = to_hex(style.ramp(p + 0.0125))
            x = place(p)
            # Each strip reaches to the end, so that no seam shows between two of them.
            yield Box((x + right) / 2, y, right - x, 0.5 * small, 0, color)
        middle = y
        y -= 0.95 * small
    if not above:
        caption = shorten(CAPTIONS[pen.weights], style.small, room - length)
        x = right - length - 0.6 * style.font * PT
        yield _label(style, x, middle, caption, style.ink, "end")
    marks = MARKS[spec.faint]
    fitting = _fitting_marks(marks, place, low, style)
    for p, text in marks.items():
        if p in fitting:
            yield _label(style, place(p), y, text, style.soft, _anchor(p, low))


def _anchor(p: float, low: float) -> str:
    """The marks at both ends of a scale do not stand out."""
    if p == low:
        return "start"
    if p == 1.0:
        return "end"
    return "middle"


def _fitting_marks(
    marks: Mapping[float, str], place: Callable[[float], float], low: float, style: FigureStyle
) -> set[float]:
    """Which marks of a scale find room: words before numbers, the ends before the middle."""
    pad = 0.25 * style.small * PT
    taken: list[tuple[float, float]] = []
    found = set()
    for p in sorted(marks, key=lambda p: (marks[p][0].isdigit(), p not in (low, 1.0))):
        wide = text_width(marks[p], style.small)
        before = {"start": 0, "middle": wide / 2, "end": wide}
        begin = place(p) - before[_anchor(p, low)]
        if all(begin - pad > end or begin + wide + pad < start for start, end in taken):
            taken.append((begin, begin + wide))
            found.add(p)
    return found


def describe(source: str, target: str, data: Mapping, weights: str) -> str:
    """One line on an edge, for tool tips."""
    name = f"{plain(source)} → {plain(target)}"
    if weights == "difference":
        where = data.get("where")
        if where in ("both", "neither"):
            return f"{name}, in {where}"
        return f"{name}, only in the {where}"
    if weights not in CAPTIONS:
        return f"{name}, candidate"
    value = f"σ(α) = {data['probability']:.3f}"
    if weights == "frequency":
        value = f"in {data['probability']:.0%} of the runs"
    if data["kept"]:
        return f"{name}, {value}, kept"
    return f"{name}, {value}, dropped"
