"""Procedural rooms: small pictures of furnished rooms, with every label read off the same rays as the picture.

A scene is a box (the room) with convex solids in it: boxes, and round solids x² + z² + k·y² + m·y ≤ 1, |y| ≤ 1, stretched
along their axes and turned about the vertical. World frame: x right, y down, z forward, metres, floor at y = 0.

Scenes and noise come from one numpy PCG64 generator per picture, seeded by (seed, index). The work per pixel uses only
float32 operations that IEEE 754 rounds exactly (+ − × ÷ √ floor min max), so neither the grouping of the pictures nor
the number of threads can change a bit.
"""
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from .errors import DataError

ROOMS = ("bedroom", "living room", "office", "kitchen", "dining room")
CLASSES = ("wall", "floor", "ceiling", "door", "window", "picture", "table", "chair", "sofa", "bed", "cabinet", "lamp",
           "plant")                                                      # a rug is floor, a screen is a picture
SHAPES = {"box": (0, 0), "ball": (1, 0), "cylinder": (0, 0), "shade": (0, -0.7), "pot": (0, 0.5)}             # k, m
FACES = ("wall", "wall", "ceiling", "floor", "wall", "wall")             # the room's: −x +x −y +y −z +z
NOWHERE = (0, 1e4, 1e4, 1e-3, 1e-3, 1e-3, 1, 0, 0, 0)                    # a solid: centre, half sizes, cos, sin, k, m
LOOK = ("r", "g", "b", "r2", "g2", "b2", "ux", "uy", "u0", "vx", "vy", "v0", "wu", "wv", "wuv", "threshold", "stretch",
        "brick", "speckle", "cells", "frame", "glow", "label", "piece")  # a surface: see draw_look and pattern_of
PATTERNS = ((0, 0, 0, 0.5, 1, 0), (1, 0, 0, 0.5, 1, 0), (1, 1, -2, 0.5, 1, 0), (1, 1, -1, 0.93, 1, 0),
            (1, 1, -1, 0.93, 0.5, 0.5), (1, 1, -1, 0.94, 0.15, 0.37), (0, 0, 1, 0.45, 1, 0.5), (0, 0, 0, 0.5, 0.2, 0))
#           plain, stripes, checks, tiles, bricks, planks, dots, grain: wu wv wuv threshold stretch brick


class Part(NamedTuple):
    """One solid of a group of furniture, in its own frame: x right, z to the front, heights from the floor; metres."""
    label: str
    width: float
    depth: float
    low: float
    high: float
    x: float = 0.0
    z: float = 0.0
    shape: str = "box"
    skin: int = 0                                                        # parts of a piece with one skin look alike
    piece: int = 0                                                       # which piece of furniture of the group
    yaw: float = 0.0


def turned(c, s, v):
    """The vector v turned about the vertical by the angle of cosine c and sine s."""
    return c * v[0] + s * v[2], v[1], c * v[2] - s * v[0]


def moved(parts, x=0.0, z=0.0, yaw=0.0, lift=0.0, piece=0):
    """The parts turned by yaw about their origin, then shifted; `piece` is added to their piece numbers."""
    places = (turned(math.cos(yaw), math.sin(yaw), (p.x, 0, p.z)) for p in parts)
    return [p._replace(x=x + i, z=z + k, low=p.low + lift, high=p.high + lift, yaw=p.yaw + yaw, piece=p.piece + piece)
            for p, (i, _, k) in zip(parts, places)]


def legs(label, width, depth, high, thick=0.05):
    return [Part(label, thick, thick, 0, high, i * (width - thick) / 2, j * (depth - thick) / 2, skin=1)
            for i in (-1, 1) for j in (-1, 1)]


def table(u, width, depth, high):
    """A table; here and below u(low, high) draws a number."""
    top = high - u(0.03, 0.07)
    if u() < 0.7:
        return [Part("table", width, depth, top, high), *legs("table", width, depth, top, u(0.05, 0.09))]
    sizes = (depth * 1.2, top, high), (0.12, 0, top), (0.5, 0, 0.04)
    return [Part("table", wide, wide, *heights, shape="cylinder", skin=int(wide < 0.52)) for wide, *heights in sizes]


def chair(u):
    wide, seat, style = u(0.4, 0.55), u(0.4, 0.5), u()
    parts = [Part("chair", wide, wide, 0.04 if style < 0.2 else seat - 0.07, seat),
             Part("chair", wide, 0.06, seat - 0.07, u(0.8, 1.1), 0, 0.03 - wide / 2, skin=int(u(0, 2)))]
    swivel = [Part("chair", 0.07, 0.07, 0, seat - 0.07, shape="cylinder", skin=1),
              Part("chair", 0.4, 0.4, 0, 0.07, shape="shade", skin=1)]
    return parts + ([] if style < 0.2 else swivel if style < 0.5 else legs("chair", wide, wide, seat - 0.07))


def dining(u):
    width, depth = u(0.8, 1.7), u(0.75, 1.0)
    group, seat = table(u, width, depth, u(0.7, 0.78)), chair(u)
    for number, (i, j, yaw) in enumerate(((0, 1, 2), (0, -1, 0), (1, 0, 3), (-1, 0, 1))[:int(u(2, 5))], 1):
        out = u(0.1, 0.3)
        group += moved(seat, i * (width / 2 + out), j * (depth / 2 + out), yaw * math.pi / 2 + u(-0.2, 0.2), 0, number)
    return group


def desk(u):
    group, wide = table(u, u(1.1, 1.6), u(0.6, 0.8), u(0.7, 0.78)), u(0.45, 0.7)
    screen = [Part("picture", wide, 0.05, 0.1, 0.1 + 0.62 * wide), Part("picture", 0.12, 0.1, 0, 0.12, 0, -0.02, skin=1)]
    group += moved(screen, u(-0.2, 0.2), -0.15, u(-0.4, 0.4), group[0].high, 1)
    return group + moved(chair(u), u(-0.2, 0.2), group[0].depth / 2 + u(0.1, 0.4), u(2.4, 3.8), 0, 2)[:int(u(0, 60))]


def sofa(u):
    width, depth, seat, arm, shape = u(1.2, 2.2), u(0.8, 0.95), u(0.36, 0.46), u(0.14, 0.24), ("box", "cylinder")[u() < 0.2]
    arms = [Part("sofa", arm, depth, 0, seat + 0.2, i * (width - arm) / 2, shape=shape) for i in (-1, 1)]
    cushions = [Part("sofa", 0.42, 0.2, seat, seat + 0.4, i * width / 4, -0.15, "ball", 1) for i in (-1, 1)]
    return [Part("sofa", width, depth, 0.06, seat), Part("sofa", width, 0.24, 0, u(0.7, 0.95), 0, 0.12 - depth / 2),
            *arms, *cushions[:int(u(0, 3))]]


def bed(u):
    width, high = u(0.9, 1.8), u(0.38, 0.58)
    pillows = [Part("bed", 0.6, 0.38, high - 0.06, high + 0.14, i * width / 4, -0.72, "ball", 1) for i in (-1, 1)]
    blanket = Part("bed", width + 0.05, 1.1, u(0.15, 0.3), high + 0.04, 0, u(0.2, 0.45), skin=2)
    return [Part("bed", width, 2.0, 0.1, high), Part("bed", width + 0.08, 0.07, 0, high + u(0.2, 0.6), 0, -1.02, skin=3),
            *(pillows if width > 1.3 else [pillows[0]._replace(x=0)]), *[blanket] * (u() < 0.6)]


def dresser(u):
    width, depth, high = u(0.5, 1.7), u(0.4, 0.55), u(0.45, 0.95)
    screen = [Part("picture", u(0.5, 0.9), 0.06, 0, u(0.35, 0.55))]
    on_top = ([], lamp(u, u(0.35, 0.6)), plant(u, u(0.3, 0.5)), screen)[int(u(0, 4))]
    return [Part("cabinet", width, depth, 0, high)] + moved(on_top, u(-0.2, 0.2) * width, 0, 0, high, 1)


def counter(u):
    width, high = u(1.2, 2.6), u(0.85, 0.95)
    hung = Part("cabinet", u(0.4, 0.8) * width, 0.33, u(1.35, 1.5), u(1.95, 2.15), u(-0.3, 0.3), -0.14, piece=1)
    return [Part("cabinet", width, 0.58, 0, high - 0.04), Part("cabinet", width + 0.02, 0.6, high - 0.04, high, skin=1),
            *[hung] * (u() < 0.75)]


def lamp(u, high, drop=0.0):
    """A lamp that stands, or that hangs `drop` below where it is put."""
    wide, shade, shape = u(0.2, 0.38), u(0.18, 0.28), ("shade", "cylinder", "ball")[int(u(0, 3))]
    bulb, pole = (-drop, (shade - drop, 0)) if drop else (high - shade, (0, high - shade))
    foot = Part("lamp", 0.22, 0.22, 0, 0.04, shape="cylinder")
    return [Part("lamp", wide, wide, bulb, bulb + shade, shape=shape, skin=1),
            Part("lamp", 0.05, 0.05, *pole, shape="cylinder"), *[foot] * (not drop)]


def plant(u, size):
    leaves = [Part("plant", u(0.4, 0.6) * size, u(0.4, 0.6) * size, u(0.3, 0.5) * size, u(0.75, 1.0) * size,
                   u(-0.12, 0.12) * size, u(-0.12, 0.12) * size, "ball", 1) for _ in range(int(u(1, 4)))]
    return [Part("plant", 0.32 * size, 0.32 * size, 0, 0.36 * size, shape="pot"), *leaves]


def slabs(label, width, depth, low, high, shape="box"):
    """Makes one block whose sizes lie in the ranges given."""
    return lambda u: [Part(label, u(*width), u(*depth), bottom := u(*low), bottom + u(*high), shape=shape)]


# What may be in a room: how it is made, where it stands ("hung" on a wall, back to a "wall", "free", or "flat" under or
# over everything), and how many to expect in each of ROOMS.
KINDS = (
    (slabs("door", (0.75, 1.0), (0.05, 0.05), (0, 0), (1.95, 2.1)), "hung", (0.7, 0.7, 0.7, 0.7, 0.7)),
    (slabs("window", (0.7, 1.7), (0.05, 0.05), (0.75, 1.0), (0.8, 1.3)), "hung", (1.1, 1.3, 1.2, 0.9, 1.2)),
    (slabs("picture", (0.35, 1.0), (0.05, 0.05), (1.2, 1.5), (0.3, 0.8)), "hung", (1.3, 1.7, 0.9, 0.6, 1.4)),
    (bed, "wall", (0.95, 0.08, 0.05, 0.0, 0.0)),
    (counter, "wall", (0.0, 0.1, 0.05, 1.4, 0.2)),
    (desk, "wall", (0.3, 0.15, 1.4, 0.05, 0.05)),
    (sofa, "wall", (0.15, 1.4, 0.25, 0.0, 0.15)),
    (dining, "free", (0.0, 0.2, 0.25, 0.6, 1.0)),
    (slabs("cabinet", (0.6, 1.6), (0.35, 0.6), (0, 0), (1.5, 2.15)), "wall", (0.8, 0.4, 0.9, 0.7, 0.4)),
    (slabs("wall", (0.3, 0.9), (0.2, 0.6), (0, 0), (4, 4)), "wall", (0.25, 0.25, 0.25, 0.25, 0.25)),
    (lambda u: table(u, u(0.6, 1.1), u(0.45, 0.7), u(0.32, 0.5)), "free", (0.1, 0.85, 0.15, 0.05, 0.1)),
    (dresser, "wall", (0.9, 0.8, 0.5, 0.2, 0.8)),
    (chair, "free", (0.5, 0.6, 0.6, 0.5, 0.4)),
    (lambda u: lamp(u, u(1.3, 1.75)), "wall", (0.6, 0.8, 0.5, 0.1, 0.4)),
    (lambda u: plant(u, u(0.7, 1.5)), "wall", (0.4, 0.8, 0.7, 0.4, 0.6)),
    (lambda u: moved(lamp(u, 0, u(0.3, 0.8)), lift=u(2.3, 2.9)), "flat", (0.4, 0.4, 0.4, 0.6, 0.8)),
    (slabs("floor", (1.0, 2.2), (0.8, 1.6), (0, 0), (0.012, 0.012)), "flat", (0.3, 0.4, 0.1, 0.1, 0.3)),
    (slabs("floor", (1.0, 2.2), (0.8, 1.6), (0, 0), (0.012, 0.012), "cylinder"), "flat", (0.2, 0.2, 0.1, 0.1, 0.1)),
)
