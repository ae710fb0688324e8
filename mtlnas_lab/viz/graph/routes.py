"""How fusion edges run between the nodes of a ladder: pure geometry, in mm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

SPREAD = np.deg2rad(50)  # the ports of a node fan out this far to both sides


Point = tuple[float, float]


def routes(
    edges,
    at: Mapping[str, Point],
    lane: Mapping[str, int],
    size: Mapping[str, Point],
    unit: float,
    gap: float,
):
    """{(source, target): points of Bézier pieces} for edges between lanes, both ends on the rims of the nodes.

    at: where nodes are; lane: in which lane; size: half widths and heights; unit: distance of two stages; `gap` is left
    before the target for the tip. An edge leaves and enters at a port of its own, so that edges in opposite directions
    bend apart; it crosses a lane between its own two only through a gap between two nodes.
    """
    rows = defaultdict(list)
    for node, row in lane.items():
        rows[row].append(node)
    gaps = {
        row: _gaps([at[n] for n in nodes], max(size[n][0] for n in nodes), unit)
        for row, nodes in rows.items()
    }
    crossings, through = defaultdict(list), defaultdict(list)
    for a, b in edges:
        step = 1 if lane[b] > lane[a] else -1
        between = sorted(
            (row for row in rows if min(lane[a], lane[b]) < row < max(lane[a], lane[b])),
            reverse=step < 0,
        )
        for row in between:
            (ax, ay), (bx, by) = at[a], at[b]
            y = np.mean([at[n][1] for n in rows[row]])
            x = ax + (bx - ax) * (y - ay) / ((by - ay) or 1) + 0.3 * unit * step
            place = min(range(len(gaps[row])), key=lambda i: abs(gaps[row][i][0] - x))
            crossings[row, place].append((x, step, (a, b)))
    for (row, place), found in sorted(crossings.items()):
        x, y, free = gaps[row][place]
        offsets = np.linspace(-free, free, len(found) + 2)[1:-1]
        for offset, (_, step, edge) in zip(offsets, sorted(found)):
            through[edge].append((lane[edge[0]] * step, row * step, (x + offset, y)))
    via = {edge: [point for *_, point in sorted(through[edge])] for edge in edges}

    ports = defaultdict(list)
    for edge in edges:
        a, b = edge
        down = _down(a, b, at, lane)
        for node, towards, side in (
            (a, (via[edge] or [at[b]])[0], down),
            (b, (via[edge] or [at[a]])[-1], -down),
        ):
            dx, dy = towards[0] - at[node][0], abs(towards[1] - at[node][1]) or unit
            ports[node, side].append((np.arctan2(dx, dy) + 1e-3 * down, edge))
    angles = {}
    for (node, _), ends in ports.items():
        for (wish, edge), even in zip(
            sorted(ends), np.linspace(-1, 1, len(ends)) if len(ends) > 1 else [0.0]
        ):
            fan = min(1.0, 0.28 * (len(ends) - 1))
            angles[edge, node] = 0.8 * fan * even * SPREAD + 0.2 * np.clip(wish, -SPREAD, SPREAD)
    return {edge: _path(edge, at, size, angles, lane, via[edge], gap) for edge in edges}


def _gaps(points, half: float, unit: float):
    """(x, y, free half width) of the gaps in a lane: before its first node, between nodes, behind its last."""
    points = sorted(points)
    inner = [
        ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, max((b[0] - a[0]) / 2 - 1.15 * half, 0.0))
        for a, b in zip(points, points[1:])
    ]
    side = max(unit / 2 - 1.15 * half, 0.1 * unit)
    return [
        (points[0][0] - unit / 2, points[0][1], side),
        *inner,
        (points[-1][0] + unit / 2, points[-1][1], side),
    ]


def _down(a, b, at, lane) -> int:
    """1 for an edge that runs down the page, −1 for one that runs up; of nodes at one height their lanes decide."""
    (_, above), (_, below) = at[a], at[b]
    return (
        (1 if above > below else -1)
        if abs(above - below) > 1e-9
        else 1
        if lane[b] > lane[a]
        else -1
    )


def _path(edge, at, size, angles, lane, via, gap):
    a, b = edge
    down = _down(a, b, at, lane)
    (start, leave), (end, enter) = (
        _port(at[n], size[n], angles[edge, n], side, space)
        for n, side, space in ((a, down, 0.0), (b, -down, gap))
    )
    stops = [(start, leave), *((point, np.array([0.0, -down])) for point in via), (end, -enter)]
    points = [tuple(start)]
    for (p, out), (q, into) in zip(stops, stops[1:]):
        reach = 0.42 * max(abs(q[1] - p[1]), 0.5 * abs(q[0] - p[0]))
        points += [tuple(p + reach * out), tuple(q - reach * into), tuple(q)]
    return tuple((float(x), float(y)) for x, y in points)


def _port(centre, size, angle, side, space):
    """A point on the rim of a node and the direction away from it; side 1 is below, −1 above."""
    half, height = size
    flat = max(half - height, 0.0) * np.sin(angle) / np.sin(SPREAD)
    rim, away = (np.array([np.sin(a), -side * np.cos(a)]) for a in (angle, 0.5 * angle))
    return np.array(centre) + (height + space) * rim + np.array([flat, 0.0]), away


def arrow(points, length: float, width: float):
    """(points with the last one drawn back, the three corners of the head): the tip is where the curve ended."""
    tip, before = np.array(points[-1]), np.array(points[-2])
    along = (tip - before) / (np.hypot(*(tip - before)) or 1.0)
    across, back = np.array([-along[1], along[0]]) * width / 2, tip - along * length
    neck = tip - along * 0.82 * length
    corners = tuple(tuple(map(float, p)) for p in (back + across, back - across, tip))
    return (
        *points[:-2],
        tuple(map(float, before - along * 0.82 * length)),
        tuple(map(float, neck)),
    ), corners
