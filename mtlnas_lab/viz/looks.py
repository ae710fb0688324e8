"""How an edge looks by its data, and the legend that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_hex

from .graph import plain
from .routes import arrow
from .scene import Box, Curve, Text
from .style import PT, FigureStyle, shorten, text_width

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
class Pen:
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


def legend_height(spec) -> float:
    """mm below the lanes."""
    arrows = spec.legend and (has_scale(spec) or samples(spec, [""]))
    return (
        (1.2 + 1.3 * bool(arrows) + 2.0 * (spec.colorbar and has_scale(spec)))
        * spec.style.small
        * PT
    )


def legend(spec, pen: Pen, left: float, right: float, top: float) -> Iterator[Curve | Box | Text]:
    """What width, colour and dashes mean, between x = left and right, below y = top."""
    style, em, small = spec.style, spec.style.font * PT, spec.style.small * PT

    def label(x, y, text, color, anchor):
        return Text(x, y - 0.365 * small, text, style.small, color, anchor)

    y = middle = top - 1.25 * small
    if spec.legend and (found := samples(spec, list(pen.colors))):
        x, space = left, right - left - 3.4 * em * len(found)  # for the texts
        if sum(text_width(text, style.small) for text, _ in found) > space:
            found = [(shorten(text, style.small, space / len(found)), data) for text, data in found]
        for text, data in found:
            yield pen.straight(x, x + 2 * em, y, data)
            yield label(x + 2.4 * em, y, text, style.ink, "start")
            x += 3.4 * em + text_width(text, style.small)
    if not has_scale(spec) or not (spec.legend or spec.colorbar):
        return
    low, long = 0.0 if spec.faint else 0.5, min(0.6 * (right - left), 26 * em)
    place = lambda p: right - long + (p - low) / (1 - low) * long  # noqa: E731
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
    caption = shorten(CAPTIONS[pen.weights], style.small, right - left - long)
    yield label(right - long - 0.6 * em, middle, caption, style.ink, "end")
    for p, text in MARKS[spec.faint].items():
        yield label(place(p), y, text, style.soft, {low: "start", 1.0: "end"}.get(p, "middle"))


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
