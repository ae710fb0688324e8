"""From a fusion graph to shapes on paper: where everything is, then everything from back to front."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from ...errors import ConfigError
from ..style import PT, note, shorten, text_width
from .build import ladder_layout
from .legend import EdgeStyle, describe, legend, legend_height
from .routes import routes
from .shapes import Box, Curve, Text

BOLD = 1.12  # how much wider bold text is


class Layout:
    """One computation of a scene for a GraphFigure, `width` mm wide; all lengths in mm.

    Lanes run from left to right, names stand before them (turned by 90° where they would take too much room), groups of
    stages are shaded, the legend is below. Nodes have labels where all of them fit.
    """

    def __init__(self, spec, width: float, height: float | None):
        self.spec, self.style, self.graph, self.width = spec, spec.style, spec.graph, width
        self.data = dict(self.graph.nodes(data=True))
        self.tasks = list(
            dict.fromkeys(d["task"] for d in sorted(self.data.values(), key=lambda d: d["lane"]))
        )
        self.em, self.small = self.style.font * PT, self.style.small * PT
        self._place_nodes(ladder_layout(self.graph), height)
        crowd = max(0.4, min(1.0, self._room()))
        self.pen = EdgeStyle(
            self.style,
            self.style.colors(self.tasks),
            self.graph.graph.get("weights", "alpha"),
            spec.color == "source",
            self.style.line * crowd,
        )

    def _place_nodes(self, ladder, height: float | None):
        place = {**ladder, **(self.spec.layout or {})}
        spec, width, split = (
            self.spec,
            self.width,
            any(d["kind"] == "fused" for d in self.data.values()),
        )
        names = BOLD * max(text_width(task, self.style.font) for task in self.tasks)
        self.turned = names > 0.17 * width
        self.left = 1.9 * self.em if self.turned else names + 1.2 * self.em
        xs, ys = zip(*((float(x), float(y)) for x, y in place.values()))
        lanes = max(ys) - min(ys)
        self.unit = (width - self.left - 1.2 * self.em) / (max(xs) - min(xs) + 1.5)
        if self.unit < 0.2 * self.em:
            least = width + (0.2 * self.em - self.unit) * (max(xs) - min(xs) + 1.5)
            raise ConfigError(
                f"{width:g} mm is not wide enough for this graph at {self.style.font:g} pt; give "
                f"{least:.0f} mm"
            )
        self.reach = (0.5 if split else 0.62) * self.unit  # from a node to the edge of its group

        rows = [
            sorted(ladder[n][0] for n, d in self.data.items() if d["task"] == task)
            for task in self.tasks
        ]
        nearest = min((b - a for row in rows for a, b in zip(row, row[1:])), default=1.0)
        self.radius = min((0.46 if split else 0.36) * nearest * self.unit, 1.1 * self.em)
        label = (
            max(text_width(self.label(node), self.style.small) for node in self.data) / 2
            + 0.1 * self.small
        )
        most = max(0.46 * nearest * self.unit, self.radius)
        self.labelled = label <= most and 0.8 * self.small < 2 * self.radius
        if not self.labelled and label > 0.11 * self.small:
            unit = max(label / 0.46, 0.41 * self.small / (0.46 if split else 0.36)) / nearest
            least = self.left + 1.2 * self.em + unit * (max(xs) - min(xs) + 1.5)
            note(
                f"nodes have no labels: at {width:g} mm they are too small for letters of "
                f"{self.style.small:g} pt; from {math.ceil(least)} mm on there is room"
            )
        self.half = max(self.radius, min(label + 0.15 * self.small, most) if self.labelled else 0)

        above = 0.4 * self.em + (1.7 * self.em if spec.title else 0) + 1.6 * self.small
        below = legend_height(spec, self.tasks, width - 0.8 * self.em - self.left) + 0.2 * self.em
        lane = min(max(3.3 * self.unit, 9 * self.radius) * (1 if lanes < 2 else 0.85), 0.28 * width)
        pad = 1.9 * self.radius  # from a lane to the edge of the shading
        if self.turned:
            lane = max(lane, min(names, 9 * self.em, 0.35 * max(width, 6 * self.style.font)))
            pad = max(pad, min(names, lane) / 2 - min(2 * self.small, below) + 0.2 * self.em)
        self.height = height or above + below + 2 * pad + lane * lanes
        room = self.height - above - below - 2 * pad
        self.lane = max(room / lanes, 2.5 * self.radius) if lanes else lane
        self.top = self.height - above
        self.bottom = self.top - 2 * pad - self.lane * lanes
        left, low = self.origin = (
            self.left + (0.75 - min(xs)) * self.unit,
            self.bottom + pad - min(ys) * self.lane,
        )
        self.at = {
            node: (left + x * self.unit, low + y * self.lane) for node, x, y in zip(place, xs, ys)
        }

    def in_ladder(self, x: float, y: float) -> tuple[float, float]:
        """A point of the page (mm) in the units of a layout."""
        return (x - self.origin[0]) / self.unit, (
            y - self.origin[1]
        ) / self.lane if self.lane else -0.0

    def _room(self) -> float:
        """Room on the rims of the nodes for each arrow that ends there, in widths of an arrow head."""
        edges = [d for *_, d in self.graph.edges(data=True) if d["kind"] == "fusion"]
        arrows = max(sum(d["kept"] for d in edges), len(edges) / 2, 1)
        sides = 2 * len(self.data) * (len(self.tasks) - 1) / len(self.tasks)
        return 2.1 * self.radius * sides / (6.8 * arrows * self.style.line * PT)

    def items(self) -> Iterator[Curve | Box | Text]:
        edges = sorted(self.edges(), key=lambda edge: edge[0])
        yield from self.groups()
        yield from (curve for (kept, _), curve in edges if not kept)
        yield from self.backbones()
        yield from (curve for (kept, _), curve in edges if kept)
        yield from self.nodes()
        yield from self.names()
        if self.spec.title:
            size, y = self.style.font, self.height - 1.3 * self.em
            title = shorten(self.spec.title, size, (self.width - self.em) / BOLD)
            yield Text(0.4 * self.em, y, title, size, self.style.ink, "start", True)
        yield from legend(self.spec, self.pen, self.left, self.width - 0.8 * self.em, self.bottom)

    def groups(self):
        groups = defaultdict(list)
        for node, d in self.data.items():
            groups[d["group"]].append(node)
        found = []
        for group, nodes in sorted(groups.items()):
            xs, channels = [self.at[n][0] for n in nodes], {self.data[n]["channels"] for n in nodes}
            text = (f"{channels.pop()}", " ch") if len(channels) == 1 else (f"group {group}", "")
            found.append((group, min(xs) - self.reach, max(xs) + self.reach, text))
        long = all(
            text_width("".join(text), self.style.small) < high - low for _, low, high, text in found
        )
        for group, low, high, text in found:
            x, y = (low + high) / 2, (self.top + self.bottom) / 2
            yield Box(
                x,
                y,
                high - low,
                self.top - self.bottom,
                0.35 * self.em,
                self.style.shade,
                id=f"group-{group}",
            )
            text = shorten(
                "".join(text) if long else text[0], self.style.small, high - low + 0.4 * self.em
            )
            yield Text(x, self.top + 0.45 * self.small, text, self.style.small, self.style.soft)

    def backbones(self):
        for a, b, d in self.graph.edges(data=True):
            if d["kind"] == "backbone":
                yield self.chain(
                    self.at[a], self.at[b], self.data[a]["task"], f"{a} → {b}, backbone"
                )
        for task in self.tasks:
            own = [
                self.at[node] for node, d in self.data.items() if d["task"] == task
            ]  # from first to last stage
            (first, y), (last, end) = own[0], own[-1]
            yield self.chain((first - self.half - 0.5 * self.em, y), own[0], task)
            yield self.chain(own[-1], (last + self.half + 0.75 * self.em, end), task, head=True)

    def chain(self, a, b, task: str, title: str = "", head: bool = False) -> Curve:
        size, (x, y) = 0.45 * self.em, b
        corners = ((x - size, y + 0.45 * size), (x - size, y - 0.45 * size), b) if head else None
        line = np.linspace(a, (x - 0.8 * size, y) if head else b, 4)
        points = tuple((float(x), float(y)) for x, y in line)
        return Curve(
            points, self.pen.colors[task], 1.9 * self.style.line, head=corners, title=title
        )

    def label(self, node: str) -> str:
        labels, data = self.spec.labels, self.data[node]
        if labels is None or data["kind"] == "features":
            return ""
        if isinstance(labels, str):
            return str(data[labels])
        return shorten(str(labels.get(node, "")), self.style.small, 0.84 * self.unit)

    def size(self, node: str) -> tuple[float, float]:
        """Half the width and half the height of a node."""
        return (
            (0.5 * self.radius,) * 2
            if self.data[node]["kind"] == "features"
            else (self.half, self.radius)
        )

    def nodes(self):
        for node, d in self.data.items():
            (x, y), (w, h), color = self.at[node], self.size(node), self.pen.colors[d["task"]]
            hollow = d["kind"] == "features"
            fill, stroke = (self.style.paper, color) if hollow else (color, self.style.paper)
            yield Box(
                x,
                y,
                2 * w,
                2 * h,
                h,
                fill,
                stroke,
                self.style.line,
                f"node-{d['lane']}-{d['stage']}" + "-features" * hollow,
                f"{node}, {d['channels']} channels, group {d['group']}",
            )
            if self.labelled and (text := self.label(node)):
                yield Text(x, y - 0.365 * self.small, text, self.style.small, self.style.on(color))

    def names(self):
        ink, room = self.style.ink, (self.lane if self.turned else self.left - self.em) / BOLD
        fits = all(text_width(task, self.style.font) <= room for task in self.tasks)
        size = self.style.font if fits else self.style.small
        for lane, task in enumerate(self.tasks):
            y = float(
                np.median([self.at[node][1] for node, d in self.data.items() if d["task"] == task])
            )
            text, id = shorten(task, size, room), f"task-{lane}"
            if self.turned:
                yield Text(1.2 * self.em, y, text, size, ink, "middle", True, 90, id)
            else:
                yield Text(
                    self.left - 0.5 * self.em,
                    y - 0.365 * self.em,
                    text,
                    size,
                    ink,
                    "end",
                    True,
                    0,
                    id,
                )

    def edges(self):
        """((kept, probability), arrow) of each fusion edge that is drawn."""
        found, weights = self.spec.edges(), self.pen.weights
        paths = routes(
            [(a, b) for a, b, _ in found],
            self.at,
            {n: d["lane"] for n, d in self.data.items()},
            {n: self.size(n) for n in self.data},
            self.unit,
            0.1 * self.small,
        )
        for i, (a, b, d) in enumerate(found):
            arrow = self.pen.arrow(paths[a, b], d, f"edge-{i}", describe(a, b, d, weights))
            yield (d["kept"], d["probability"]), arrow
