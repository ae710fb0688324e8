"""How an edge looks by its data, and the legend that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_hex

from ..style import PT, FigureStyle, note, shorten, text_width
from .build import plain
from .routes import arrow
from .shapes import Box, Curve, Text

MOST_ENTRIES = 24  # of a legend


CAPTIONS = {"alpha": "edge probability σ(α)", "frequency": "kept: share of the runs"}


MARKS = {
    True: {
        0.0: "0",
        0.25: "dropped",
        0.5: "0.5",
        0.75: "kept",
        1.0: "1",
    },  # with dropped edges, without
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

    def look(self, d: Mapping) -> tuple[str, float, float, bool]:
        """(colour, width in pt, opacity, dashed) of a fusion edge with data d."""
        p = d["probability"]
        if self.weights == "difference":
            soft = self.style.soft
            color, width, opacity = {
                "first": (self.style.task_colors[5], 1.9, 0.95),
                "both": (soft, 0.8, 0.7),
                "second": (self.style.ink, 1.9, 0.95),
            }.get(d["where"], (soft, 0.5, 0.35))
            return color, width * self.line, opacity, not d["kept"]
        color = self.colors[d["task"]] if self.by_source else to_hex(self.style.ramp(p))
        if self.weights == "none":
            return color if self.by_source else self.style.soft, 0.8 * self.line, 0.8, False
        return color, (0.45 + 1.5 * p) * self.line, 0.7 + 0.3 * p, not d["kept"]

    def arrow(self, points, d: Mapping, id: str = "", title: str = "") -> Curve:
        color, width, opacity, dashed = self.look(d)
        length = PT * (1.1 * width + 2.2 * self.line)
        points, head = arrow(points, length, 0.78 * length)
        return Curve(points, color, width, opacity, dashed, head, id, title)

    def straight(self, x0: float, x1: float, y: float, d: Mapping) -> Curve:
        third = (x1 - x0) / 3
        return self.arrow(((x0, y), (x0 + third, y), (x1 - third, y), (x1, y)), d)


def has_scale(spec) -> bool:
    return spec.color == "probability" and spec.graph.graph.get("weights", "alpha") in CAPTIONS


def samples(spec, tasks) -> list[tuple[str, dict]]:
    """(text, data of an edge) for the arrows of a legend without a scale."""
    facts, edge = spec.graph.graph, {"probability": 1.0, "kept": True}
    faint = {"probability": 0.1, "kept": False}
    if facts.get("weights") == "difference":
        found = [
            (f"only {facts['first']}", edge | {"where": "first"}),
            ("both", edge | {"where": "both"}),
            (f"only {facts['second']}", edge | {"where": "second"}),
            ("neither", faint | {"where": "neither"}),
        ]
    elif spec.color == "source":
        found = [(f"from {task}", edge | {"task": task}) for task in tasks] + [
            ("dropped", faint | {"task": tasks[0]})
        ]
    else:
        found = [("candidate edge", edge)] * (facts.get("weights") == "none")
    return [(text, d) for text, d in found if d["kept"] or spec.faint]


def entries(spec, tasks, room: float) -> list[list[tuple[str, dict]]]:
    """The arrows of a legend without a scale, in as many rows as `room` mm ask for; of many tasks the first."""
    style, gap = spec.style, (_sample(spec, room) + 1.4) * spec.style.font * PT
    found, rows, end = samples(spec, tasks), [], room + 1.0
    if len(found) > MOST_ENTRIES:
        note(
            f"the legend leaves {len(found) - MOST_ENTRIES} entries out, for which there is no room"
        )
        found = found[:MOST_ENTRIES]
    for text, data in found:
        text = shorten(text, style.small, max(room - gap, 1))
        wide = gap + text_width(text, style.small)
        if end + wide > room + 0.01 + style.font * PT:  # the last one needs no gap behind it
            rows.append([])
            end = 0.0
        rows[-1].append((text, data))
        end += wide
    return rows


def _sample(spec, room: float) -> float:
    """How long the arrow before an entry is, in sizes of the font."""
    return 2.0 if room > 9 * spec.style.font * PT else 0.9


def scale(spec, room: float) -> tuple[float, bool]:
    """(length of the scale in mm, whether its caption stands above it and not beside it)."""
    caption = text_width(CAPTIONS[spec.graph.graph.get("weights", "alpha")], spec.style.small)
    long = min(0.6 * room, 26 * spec.style.font * PT)
    if caption <= room - long:
        return long, False
    return min(room, 26 * spec.style.font * PT), True


def legend_height(spec, tasks, room: float) -> float:
    """mm below the lanes, for a legend `room` mm wide."""
    rows = entries(spec, tasks, room) if spec.legend else []
    scaled = has_scale(spec) and (spec.legend or spec.colorbar)
    high = 1.2 + 1.3 * bool(rows or (scaled and spec.legend)) + 1.3 * max(len(rows) - 1, 0)
    high += 2.0 * bool(scaled and spec.colorbar) + 1.3 * bool(scaled and scale(spec, room)[1])
    return high * spec.style.small * PT


def legend(
    spec, pen: EdgeStyle, left: float, right: float, top: float
) -> Iterator[Curve | Box | Text]:
    """What width, colour and dashes mean, between x = left and right, below y = top."""
    style, em, small = spec.style, spec.style.font * PT, spec.style.small * PT
    room = right - left

    def label(x, y, text, color, anchor):
        return Text(x, y - 0.365 * small, text, style.small, color, anchor)

    y = middle = top - 1.25 * small
    for row in entries(spec, list(pen.colors), room) if spec.legend else []:
        x = left
        for text, data in row:
            long = _sample(spec, room) * em
            yield pen.straight(x, x + long, y, data)
            yield label(x + long + 0.4 * em, y, text, style.ink, "start")
            x += long + 1.4 * em + text_width(text, style.small)
        y -= 1.3 * small
    if not has_scale(spec) or not (spec.legend or spec.colorbar):
        return
    long, above = scale(spec, room)
    low = 0.0 if spec.faint else 0.5
    place = lambda p: right - long + (p - low) / (1 - low) * long  # noqa: E731
    caption = shorten(CAPTIONS[pen.weights], style.small, room if above else room - long)
    if above:
        yield label(right, y, caption, style.ink, "end")
        y -= 1.3 * small
        middle = y
    if spec.legend:
        for p in np.linspace(low, 1, 13)[1::2]:
            x, edge = place(p), {"probability": p, "kept": p > 0.5, "task": ""}
            yield pen.straight(x - 0.065 * long, x + 0.065 * long, y, edge)
        y -= 1.15 * small
    if spec.colorbar:
        for p in np.linspace(low, 1, 41)[
            :-1
        ]:  # each strip reaches to the end, so that no seam shows
            color = to_hex(style.ramp(p + 0.0125))
            yield Box((place(p) + right) / 2, y, right - place(p), 0.5 * small, 0, color)
        middle, y = y, y - 0.95 * small
    if not above:
        yield label(right - long - 0.6 * em, middle, caption, style.ink, "end")
    room_for = _marks(MARKS[spec.faint], place, low, style)
    for p, text in MARKS[spec.faint].items():
        if p not in room_for:
            continue
        yield label(place(p), y, text, style.soft, _anchor(p, low))


def _anchor(p: float, low: float) -> str:
    return {low: "start", 1.0: "end"}.get(p, "middle")


def _marks(marks: Mapping[float, str], place, low: float, style) -> set[float]:
    """Which marks of a scale find room: words before numbers, the ends before the middle."""
    taken, found = [], set()
    for p in sorted(marks, key=lambda p: (marks[p][0].isdigit(), p not in (low, 1.0))):
        wide = text_width(marks[p], style.small)
        begin = place(p) - {"start": 0, "middle": wide / 2, "end": wide}[_anchor(p, low)]
        pad = 0.25 * style.small * PT
        if all(begin - pad > end or begin + wide + pad < start for start, end in taken):
            taken.append((begin, begin + wide))
            found.add(p)
    return found


def describe(source: str, target: str, data: Mapping, weights: str) -> str:
    """One line on an edge, for tool tips."""
    name = f"{plain(source)} → {plain(target)}"
    where = {"both": "in both", "neither": "in neither"}.get(
        data.get("where"), f"only in the {data.get('where')}"
    )
    value = {
        "alpha": f"σ(α) = {data['probability']:.3f}",
        "frequency": f"in {data['probability']:.0%} of the runs",
        "difference": where,
    }.get(weights, "candidate")
    return f"{name}, {value}" + (
        f", {'kept' if data['kept'] else 'dropped'}" if weights in CAPTIONS else ""
    )
