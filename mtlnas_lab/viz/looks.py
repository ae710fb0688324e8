"""How an edge looks by its data, and the legend that says so."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_hex

from .routes import arrow
from .scene import Box, Curve, Text
from .style import PT, FigureStyle, shorten, text_width

CAPTIONS = {"alpha": "edge probability σ(α)", "frequency": "kept: share of the runs"}
ONLY = {"first": "#c9452f", "second": "#2262ad"}     # edges of only one of two architectures


@dataclass(frozen=True)
class Pen:
    """Draws arrows. weights: what `probability` is ('alpha', 'frequency', 'difference', 'none'); `line` is scaled down
    where nodes are crowded."""

    style: FigureStyle
    colors: Mapping[str, str]
    weights: str
    by_source: bool
    line: float

    def look(self, d: Mapping) -> tuple[str, float, float, bool]:
        """(colour, width in pt, opacity, dashed) of a fusion edge with data d."""
        p = d["probability"]
        if self.weights == "none":
            return self.colors[d["task"]] if self.by_source else self.style.soft, 0.8 * self.line, 0.8, False
        if self.weights == "difference":
            return ONLY.get(d["where"], self.style.soft), (1.8 if d["where"] in ONLY else 0.9) * self.line, 0.9 if d["kept"] else 0.35, not d["kept"]
        color = self.colors[d["task"]] if self.by_source else to_hex(self.style.ramp(p))
        return color, (0.45 + 1.5 * p) * self.line, 0.7 + 0.3 * p, not d["kept"]

    def arrow(self, points, d: Mapping, id: str = "", title: str = "") -> Curve:
        color, width, opacity, dashed = self.look(d)
        length = PT * (1.1 * width + 2.2 * self.line)
        points, head = arrow(points, length, 0.78 * length)
        return Curve(points, color, width, opacity, dashed, head, id, title)

    def straight(self, x0: float, x1: float, y: float, d: Mapping) -> Curve:
        return self.arrow(((x0, y), (x0 + (x1 - x0) / 3, y), (x1 - (x1 - x0) / 3, y), (x1, y)), d)


def has_scale(spec) -> bool:
    return spec.color == "probability" and spec.graph.graph.get("weights", "alpha") in CAPTIONS


def samples(spec, tasks) -> list[tuple[str, dict]]:
    """(text, data of an edge) for the arrows of a legend without a scale."""
    one, weights, names = {"probability": 1.0, "kept": True}, spec.graph.graph.get("weights", "alpha"), spec.graph.graph
    if weights == "difference":
        texts = {"first": f"only {names['first']}", "second": f"only {names['second']}", "both": "both"}
        return [(text, {**one, "where": where}) for where, text in texts.items()]
    if spec.color == "source":
        found = [(f"from {task}", {**one, "task": task}) for task in tasks]
        return found + ([("dropped", {"probability": 0.1, "kept": False, "task": tasks[0]})] if spec.dropped == "faint" else [])
    return [("candidate edge", one)] if weights == "none" else []


def legend_height(spec) -> float:
    """mm below the lanes."""
    small, arrows = spec.style.small * PT, spec.legend and bool(has_scale(spec) or samples(spec, [""]))
    return 1.2 * small + (1.3 * small if arrows else 0) + (2.0 * small if spec.colorbar and has_scale(spec) else 0)


def legend(spec, pen: Pen, left: float, right: float, top: float) -> Iterator[Curve | Box | Text]:
    """What width, colour and dashes mean, between x = left and right, below y = top."""
    style, small = spec.style, spec.style.small * PT
    em, y = style.font * PT, top - 1.25 * spec.style.small * PT
    label = lambda x, y, text, color, anchor: Text(x, y - 0.365 * small, text, style.small, color, anchor)  # noqa: E731
    if spec.legend and (found := samples(spec, list(pen.colors))):
        x, step = left, (right - left) / len(found)
        for text, data in found:
            text = shorten(text, style.small, step - 3.2 * em)
            yield pen.straight(x, x + 2 * em, y, data)
            yield label(x + 2.4 * em, y, text, style.ink, "start")
            x += min(step, 3.8 * em + text_width(text, style.small))
    if not has_scale(spec) or not (spec.legend or spec.colorbar):
        return
    low, long = 0.5 if spec.dropped == "hide" else 0.0, min(0.6 * (right - left), 26 * em)
    place = lambda p: right - long + (p - low) / (1 - low) * long  # noqa: E731
    middle = y
    if spec.legend:
        for p in np.linspace(low, 1, 13)[1::2]:
            yield pen.straight(place(p) - 0.065 * long, place(p) + 0.065 * long, y, {"probability": p, "kept": p > 0.5, "task": ""})
        y -= 1.15 * small
    if spec.colorbar:
        for p in np.linspace(low, 1, 41)[:-1]:
            yield Box((place(p) + right) / 2, y, right - place(p), 0.5 * small, 0, to_hex(style.ramp(p + 0.0125)))
        middle, y = y, y - 0.95 * small
    caption = CAPTIONS[pen.weights]
    yield label(right - long - 0.6 * em, middle, shorten(caption, style.small, right - left - long), style.ink, "end")
    marks = {0.0: "0", 0.25: "dropped", 0.5: "0.5", 0.75: "kept", 1.0: "1"} if not low else {0.5: "0.5", 0.75: "0.75", 1.0: "1"}
    for p, text in marks.items():
        yield label(place(p) if p < 1 else right, y, text, style.soft, "middle" if p < 1 else "end")


def describe(source: str, target: str, data: Mapping, weights: str) -> str:
    """One line on an edge, for tool tips."""
    name = f"{source.partition('/')[0]} → {target.partition('/')[0]}"
    value = {"alpha": f"σ(α) = {data['probability']:.3f}", "frequency": f"in {data['probability']:.0%} of the runs",
             "difference": {"both": "in both", "neither": "in neither"}.get(data.get("where"), f"only in the {data.get('where')}")}
    state = f", {'kept' if data['kept'] else 'dropped'}" if weights in CAPTIONS else ""
    return f"{name}, {value.get(weights, 'candidate')}{state}"
