"""How fusion edges run between the nodes of a ladder: pure geometry, in mm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

Point = tuple[float, float]
Edge = tuple[str, str]  # source, target

SPREAD = np.deg2rad(50)  # the ports of a node fan out this far to both sides


class Nodes(NamedTuple):
    """Where the nodes are, each fact by the node's name."""

    at: Mapping[str, Point]
    lane: Mapping[str, int]
    size: Mapping[str, Point]  # half widths and half heights

    def is_downward(self, a: str, b: str) -> bool:
        """Whether an edge from a to b runs down the page; of nodes at one height their lanes decide."""
        above = self.at[a][1]
        below = self.at[b][1]
        return above > below if abs(above - below) > 1e-9 else self.lane[b] > self.lane[a]


class Gap(NamedTuple):
    """A place in a lane through which edges of other lanes may pass."""

    x: float
    y: float
    free: float  # half of its width


def routes(edges: Sequence[Edge], nodes: Nodes, unit: float, gap: float) -> dict[Edge, tuple]:
    """{(source, target): points of Bézier pieces} for edges between lanes, both ends on the rims of the nodes.

    unit: distance of two stages; `gap` is left before the target for the tip. An edge leaves and enters at a port of
    its own, so that edges in opposite directions bend apart; it crosses a lane between its own two only through a gap
    between two nodes.
    """
    via = _passages(edges, nodes, unit)
    angles = _port_angles(edges, nodes, via, unit)
    return {edge: _path(edge, nodes, angles, via[edge], gap) for edge in edges}


# --- lanes in between -------------------------------------------------------------------------------------------------
def _passages(edges: Sequence[Edge], nodes: Nodes, unit: float) -> dict[Edge, list[Point]]:
    """Where each edge passes through the lanes between its own two, in its own direction."""
    rows = defaultdict(list)
    for node, row in nodes.lane.items():
        rows[row].append(node)
    gaps = {row: _gaps(names, nodes, unit) for row, names in rows.items()}
    heights = {}
    for row, names in rows.items():
        heights[row] = np.mean([nodes.at[node][1] for node in names])

    crossings = defaultdict(list)  # {(lane, number of the gap): the edges that want to pass there}
    for edge in edges:
        start = nodes.lane[edge[0]]
        end = nodes.lane[edge[1]]
        step = _sign(end > start)
        between = [row for row in rows if min(start, end) < row < max(start, end)]
        for row in sorted(between, reverse=end < start):
            wish = _crossing(edge, nodes, heights[row]) + 0.3 * unit * step
            nearest = [abs(one.x - wish) for one in gaps[row]]
            crossings[row, nearest.index(min(nearest))].append((wish, step, edge))

    through = defaultdict(list)
    for (row, place), found in sorted(crossings.items()):
        x, y, free = gaps[row][place]
        # All who pass through one gap stand side by side in it, in the order of their wishes.
        offsets = np.linspace(-free, free, len(found) + 2)[1:-1]
        for offset, (_, step, edge) in zip(offsets, sorted(found)):
            through[edge].append((row * step, (x + offset, y)))
    via = {}
    for edge in edges:
        via[edge] = [point for _, point in sorted(through[edge])]
    return via


def _crossing(edge: Edge, nodes: Nodes, y: float) -> float:
    """x where the straight line from source to target is at the height y."""
    ax, ay = nodes.at[edge[0]]
    bx, by = nodes.at[edge[1]]
    height = (by - ay) or 1  # both ends may stand at one height, where somebody put them
    return ax + (bx - ax) * (y - ay) / height


def _gaps(names: list[str], nodes: Nodes, unit: float) -> list[Gap]:
    """The gaps of the lane of these nodes: before its first node, between nodes, behind its last."""
    points = sorted(nodes.at[node] for node in names)
    half = 1.15 * max(nodes.size[node][0] for node in names)  # of a node, and room beside it
    inner = []
    for a, b in zip(points, points[1:]):
        free = max((b[0] - a[0]) / 2 - half, 0.0)
        inner.append(Gap((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, free))
    side = max(unit / 2 - half, 0.1 * unit)
    before = Gap(points[0][0] - unit / 2, points[0][1], side)
    behind = Gap(points[-1][0] + unit / 2, points[-1][1], side)
    return [before, *inner, behind]


# --- ports ------------------------------------------------------------------------------------------------------------
def _port_angles(edges, nodes: Nodes, via, unit: float) -> dict[tuple[Edge, str], float]:
    """{(edge, node): angle of the edge's port on that node}, 0 straight down or up, positive to the right."""
    ports = defaultdict(list)  # {(node, side): the edges that have a port there}
    for edge in edges:
        a, b = edge
        down = _sign(nodes.is_downward(a, b))
        stops = via[edge]
        first = nodes.at[b]
        last = nodes.at[a]
        if stops:
            first = stops[0]
            last = stops[-1]
        ports[a, down].append((_wish(nodes.at[a], first, down, unit), edge))
        ports[b, -down].append((_wish(nodes.at[b], last, down, unit), edge))

    angles = {}
    for (node, _), found in ports.items():
        evenly = np.linspace(-1, 1, len(found)) if len(found) > 1 else [0.0]
        fan = min(1.0, 0.28 * (len(found) - 1))  # few edges stay close together
        # Mostly evenly spaced, a little towards where the edge goes; sorted, so that edges do not cross.
        for (wish, edge), even in zip(sorted(found), evenly):
            near = np.clip(wish, -SPREAD, SPREAD)
            angles[edge, node] = 0.8 * fan * even * SPREAD + 0.2 * near
    return angles


def _wish(here: Point, there: Point, down: int, unit: float) -> float:
    """The angle from one point to another; of two edges between the same nodes the one that runs up comes first."""
    dx = there[0] - here[0]
    dy = abs(there[1] - here[1]) or unit
    return np.arctan2(dx, dy) + 1e-3 * down


def _sign(forward: bool) -> int:
    """1 for down the page, or towards later lanes; −1 for the other way."""
    return 1 if forward else -1


# --- curves -----------------------------------------------------------------------------------------------------------
def _path(edge: Edge, nodes: Nodes, angles, via: list[Point], gap: float) -> tuple[Point, ...]:
    a, b = edge
    down = _sign(nodes.is_downward(a, b))
    start, leave = _port(nodes.at[a], nodes.size[a], angles[edge, a], down, 0.0)
    end, enter = _port(nodes.at[b], nodes.size[b], angles[edge, b], -down, gap)
    straight = np.array([0.0, -down])  # an edge passes upright between two nodes
    stops = [(start, leave)]
    for point in via:
        stops.append((point, straight))
    stops.append((end, -enter))

    points = [tuple(start)]
    for (p, out), (q, into) in zip(stops, stops[1:]):
        reach = 0.42 * max(abs(q[1] - p[1]), 0.5 * abs(q[0] - p[0]))
        points += [tuple(p + reach * out), tuple(q - reach * into), tuple(q)]
    return tuple((float(x), float(y)) for x, y in points)


def _port(centre: Point, size: Point, angle: float, side: int, space: float):
    """A point on the rim of a node and the direction away from it; side 1 is below, −1 above."""
    half, height = size
    # A node is a disc that is drawn apart in its middle: ports move along the straight part, too.
    flat = max(half - height, 0.0) * np.sin(angle) / np.sin(SPREAD)
    rim = _direction(angle, side)
    away = _direction(0.5 * angle, side)  # steeper than the rim, so that curves bend less
    return np.array(centre) + (height + space) * rim + np.array([flat, 0.0]), away


def _direction(angle: float, side: int) -> np.ndarray:
    return np.array([np.sin(angle), -side * np.cos(angle)])


def arrow(points, length: float, width: float):
    """(points with the last one drawn back, the three corners of the head): the tip is where the curve ended."""
    tip = np.array(points[-1])
    before = np.array(points[-2])
    along = (tip - before) / (np.hypot(*(tip - before)) or 1.0)
    across = np.array([-along[1], along[0]]) * width / 2
    back = tip - along * length
    overlap = along * 0.82 * length  # the line ends inside the head, so that no seam shows
    curve = (*points[:-2], _plain(before - overlap), _plain(tip - overlap))
    return curve, (_plain(back + across), _plain(back - across), _plain(tip))


def _plain(point: np.ndarray) -> Point:
    return float(point[0]), float(point[1])
