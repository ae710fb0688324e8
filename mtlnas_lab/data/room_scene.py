"""What is in a procedural room: furniture, places, surfaces, light and camera, as the arrays that rooms.py draws."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np

ROOMS = ("bedroom", "living room", "office", "kitchen", "dining room")


CLASSES = (
    "wall",
    "floor",
    "ceiling",
    "door",
    "window",
    "picture",
    "table",
    "chair",
    "sofa",
    "bed",
    "cabinet",
    "lamp",
    "plant",
)  # a rug is floor, a screen is a picture


FACES = ("wall", "wall", "ceiling", "floor", "wall", "wall")  # of the room: −x +x −y +y −z +z


SHAPES = {
    "box": (0, 0),
    "ball": (1, 0),
    "cylinder": (0, 0),
    "shade": (0, -0.7),
    "pot": (0, 0.5),
}  # k, m


FORMS = {  # solids: shape, copies (2: mirrored in x, 4: and in z), skin, then as fractions of the piece's width, depth
    # and height: x and z of the centre, width, depth, bottom, top. Things are put on the first solid.
    **{shape: f"{shape} 1 1 0 0 1 1 0 1" for shape in SHAPES},
    "worktop": "box 1 1 0 0 1 1 .95 1, box 1 0 0 0 1 .97 0 .95",
    "legs": "box 1 0 0 0 1 1 .94 1, box 4 1 .46 .45 .07 .09 0 .94",
    "pedestal": "cylinder 1 0 0 0 1 1 .94 1, cylinder 1 1 0 0 .1 .12 0 .94, cylinder 1 1 0 0 .4 .5 0 .05",
    "chair": "box 1 0 0 0 1 1 .42 .5, box 1 0 0 -.45 1 .1 .5 1, box 4 1 .45 .45 .1 .1 0 .42",
    "swivel": "box 1 0 0 0 1 1 .42 .5, box 1 2 0 -.45 1 .1 .5 1, cylinder 1 1 0 0 .1 .1 0 .4, shade 1 1 0 0 .8 .8 0 .1",
    "tub": "box 1 0 0 0 1 1 .04 .48, box 1 1 0 -.44 1 .12 .04 1",
    "sofa": "box 1 0 0 0 1 1 .1 .5, box 1 0 0 -.36 1 .28 0 1, box 2 0 .45 0 .1 1 0 .7, ball 2 1 .2 -.1 .22 .25 .5 .95",
    "couch": "box 1 0 0 0 1 1 .07 .48, box 1 1 0 -.36 .9 .26 .4 1, cylinder 2 0 .46 0 .16 1 0 .7",
    "bed": "box 1 0 0 0 1 1 .1 .5, box 1 1 0 -.49 1 .03 0 1, ball 2 2 .2 -.4 .3 .2 .4 .7, box 1 3 0 .1 1.04 .6 .3 .55",
    "short": "shade 1 1 0 0 .8 .8 .5 1, pot 1 0 0 0 .4 .4 0 .5",
    "tall": "shade 1 1 0 0 .8 .8 .84 1, cylinder 1 0 0 0 .12 .12 0 .84, cylinder 1 0 0 0 .7 .7 0 .03",
    "globe": "ball 1 1 0 0 1 1 .82 1, box 1 0 0 0 .14 .14 0 .84",
    "plant": "pot 1 0 0 0 .5 .5 0 .36, ball 1 1 0 0 .9 1 .34 1",
    "bush": "pot 1 0 0 0 .5 .5 0 .36, ball 2 1 .2 .1 .5 .6 .32 .78, ball 1 1 0 0 .6 .6 .55 1",
    "screen": "box 1 0 0 0 1 .4 .18 1, box 1 1 0 -.1 .2 .8 0 .25",
}


FORMS = {
    name: [
        (s, int(n), int(k), *map(float, rest)) for s, n, k, *rest in map(str.split, text.split(","))
    ]
    for name, text in FORMS.items()
}


KINDS = (  # label; forms; ranges of width, depth, height, and of the bottom over the floor; where: hung on a wall,
    # back to a wall, free, floor (under all), ceiling; how many to expect in each of ROOMS; on top; chairs
    (
        "door",
        "box",
        (0.75, 1, 0.05, 0.05, 1.95, 2.1, 0, 0),
        "hung",
        (0.7, 0.7, 0.7, 0.7, 0.7),
        "",
        0,
    ),
    (
        "window",
        "box",
        (0.7, 1.7, 0.05, 0.05, 0.8, 1.3, 0.75, 1),
        "hung",
        (1.1, 1.3, 1.2, 0.9, 1.2),
        "",
        0,
    ),
    (
        "picture",
        "box",
        (0.35, 1, 0.05, 0.05, 0.3, 0.8, 1.2, 1.5),
        "hung",
        (1.1, 1.5, 0.7, 0.4, 1.2),
        "",
        0,
    ),
    (
        "cabinet",
        "box",
        (0.6, 1.5, 0.33, 0.35, 0.6, 0.7, 1.35, 1.5),
        "hung",
        (0, 0, 0.1, 0.8, 0.1),
        "",
        0,
    ),
    ("bed", "bed", (0.9, 1.8, 2, 2.1, 0.75, 1.05, 0, 0), "wall", (1.1, 0.1, 0.05, 0, 0), "", 0),
    (
        "sofa",
        "sofa couch",
        (1.2, 2.2, 0.8, 0.95, 0.7, 0.95, 0, 0),
        "wall",
        (0.2, 1.5, 0.3, 0, 0.2),
        "",
        0,
    ),
    (
        "cabinet",
        "worktop",
        (1.2, 2.6, 0.58, 0.64, 0.85, 0.95, 0, 0),
        "wall",
        (0, 0.1, 0.1, 1.4, 0.2),
        "plant",
        0,
    ),
    (
        "table",
        "legs worktop",
        (1.1, 1.6, 0.6, 0.8, 0.7, 0.78, 0, 0),
        "wall",
        (0.3, 0.15, 1.4, 0.1, 0.1),
        "screen",
        1,
    ),
    (
        "table",
        "legs pedestal",
        (0.8, 1.7, 0.75, 1, 0.7, 0.78, 0, 0),
        "free",
        (0, 0.2, 0.3, 0.7, 1.1),
        "plant lamp",
        4,
    ),
    (
        "cabinet",
        "box",
        (0.6, 1.6, 0.35, 0.6, 1.5, 2.15, 0, 0),
        "wall",
        (0.8, 0.4, 0.9, 0.7, 0.4),
        "",
        0,
    ),
    (
        "wall",
        "box",
        (0.3, 0.9, 0.2, 0.6, 3, 3, 0, 0),
        "wall",
        (0.25, 0.25, 0.25, 0.25, 0.25),
        "",
        0,
    ),
    (
        "table",
        "legs pedestal",
        (0.6, 1.1, 0.5, 0.7, 0.32, 0.5, 0, 0),
        "free",
        (0.1, 0.9, 0.2, 0, 0.1),
        "plant",
        0,
    ),
    (
        "cabinet",
        "box",
        (0.5, 1.7, 0.4, 0.5, 0.4, 1, 0, 0),
        "wall",
        (0.9, 0.9, 0.5, 0.2, 0.8),
        "lamp screen plant",
        0,
    ),
    (
        "chair",
        "chair tub",
        (0.45, 0.7, 0.45, 0.7, 0.75, 1.1, 0, 0),
        "free",
        (0.5, 0.6, 0.6, 0.5, 0.4),
        "",
        0,
    ),
    (
        "lamp",
        "tall globe",
        (0.25, 0.4, 0.25, 0.4, 1.3, 1.75, 0, 0),
        "wall",
        (0.6, 0.9, 0.5, 0.1, 0.4),
        "",
        0,
    ),
    (
        "plant",
        "plant bush",
        (0.35, 0.7, 0.35, 0.7, 0.7, 1.5, 0, 0),
        "wall",
        (0.4, 0.8, 0.7, 0.4, 0.6),
        "",
        0,
    ),
    (
        "lamp",
        "shade",
        (0.3, 0.5, 0.3, 0.5, 0.25, 0.6, -0.25, -0.25),
        "ceiling",
        (0.4, 0.4, 0.4, 0.6, 0.8),
        "",
        0,
    ),
    (
        "floor",
        "box cylinder",
        (1, 2.2, 0.8, 1.6, 0.012, 0.012, 0, 0),
        "floor",
        (0.5, 0.6, 0.2, 0.2, 0.4),
        "",
        0,
    ),
)


SMALL = {  # what stands on furniture, and the chairs around it
    "lamp": ("lamp", "short globe", (0.22, 0.35, 0.22, 0.35, 0.35, 0.6, 0, 0)),
    "plant": ("plant", "plant bush", (0.2, 0.35, 0.2, 0.35, 0.25, 0.5, 0, 0)),
    "screen": ("picture", "screen", (0.45, 0.8, 0.1, 0.14, 0.35, 0.5, 0, 0)),
    "chair": ("chair", "chair swivel tub", (0.4, 0.52, 0.4, 0.52, 0.8, 1.1, 0, 0)),
}


PATTERNS = (  # wu wv wuv level brick (see pattern_of), v to u: plain stripes checks tiles bricks planks dots grain
    (0, 0, 0, 0.5, 0, 1),
    (1, 0, 0, 0.5, 0, 1),
    (1, 1, -2, 0.5, 0, 1),
    (1, 1, -1, 0.93, 0, 1),
    (1, 1, -1, 0.93, 0.5, 2),
    (1, 1, -1, 0.94, 0.37, 7),
    (0, 0, 1, 0.45, 0.5, 1),
    (0, 0, 0, 0.5, 0, 5),
)


Part = namedtuple(
    "Part", "label shape piece skin x z width depth low high yaw"
)  # a solid; low, high over the floor


def turned(c, s, v):
    """The vector v turned about the vertical by the angle of cosine c and sine s."""
    return c * v[0] + s * v[2], v[1], c * v[2] - s * v[0]


def moved(parts, x, z, yaw, lift=0.0):
    """The parts turned by yaw about their origin, then shifted."""
    c, s = math.cos(yaw), math.sin(yaw)
    return [
        p._replace(
            x=x + c * p.x + s * p.z,
            z=z - s * p.x + c * p.z,
            low=p.low + lift,
            high=p.high + lift,
            yaw=p.yaw + yaw,
        )
        for p in parts
    ]


def build(u, piece, label, forms, ranges):
    """The parts of one piece of furniture: x right, z to its front. Here and below u(low, high) draws a number."""
    width, depth, height, bottom = (u(*ranges[i : i + 2]) for i in (0, 2, 4, 6))
    forms = forms.split()
    return [
        Part(
            label,
            shape,
            piece,
            skin,
            i * x * width,
            j * z * depth,
            w * width,
            d * depth,
            bottom + low * height,
            bottom + high * height,
            0.0,
        )
        for shape, copies, skin, x, z, w, d, low, high in FORMS[forms[int(u(0, len(forms)))]]
        for i, j in ((1, 1), (-1, 1), (1, -1), (-1, -1))[:copies]
    ]


def furnish(u, piece, label, forms, ranges, on_top, chairs):
    """One piece of furniture with what is on it and the chairs around it; these are pieces of their own."""
    parts, tops = build(u, piece, label, forms, ranges), on_top.split()
    main = parts[0]
    if tops and u() < 0.7:
        top = build(u, piece + 1, *SMALL[tops[int(u(0, len(tops)))]])
        parts += moved(
            top, u(-0.25, 0.25) * main.width, -0.15 * main.depth, u(-0.3, 0.3), main.high
        )
    for i, (x, z) in enumerate(
        ((0, 1), (0, -1), (1, 0), (-1, 0))[: int(u(0.5, chairs + 1))], piece + 2
    ):
        out_x, out_z, yaw = (
            main.width / 2 + u(0, 0.3),
            main.depth / 2 + u(0, 0.3),
            math.atan2(-x, -z) + u(-0.3, 0.3),
        )
        parts += moved(build(u, i, *SMALL["chair"]), x * out_x, z * out_z, yaw)
    return parts


def draw_look(u, label, skin=0):
    """A surface: two colours and a pattern, by the same law for every class; but some windows and lamps glow."""

    def colour():
        grey, tint = 0.08 + 0.8 * u() ** 1.3, 0.9 * u() ** 1.5
        return [grey * (1 + tint * u(-1, 1)) for _ in range(3)]

    first, ratio = colour(), u(0.4, 1.6)
    second = [ratio * value for value in first] if u() < 0.6 else colour()
    *pattern, longer = PATTERNS[int(u(0, len(PATTERNS)))]
    rate, angle = 1.2 * 7 ** u(), u(0, math.tau) if u() < 0.2 else (math.pi / 2) * (u() < 0.5)
    c, s = rate * math.cos(angle), rate * math.sin(angle)
    frame = u(0.8, 0.92) if label in ("door", "window", "picture", "cabinet") and u() < 0.7 else 2.0
    glow = u(0.5, 1.5) if u() < 0.6 and (label == "window" or label == "lamp" and skin) else 0.0
    return [
        *(min(0.95, max(0.03, value)) for value in first + second),
        CLASSES.index(label) + 1,
        glow,
        c,
        s,
        u(),
        -s / longer,
        c / longer,
        u(),
        *pattern,
        u(0, 0.6) * u(),
        u(2, 6),
        frame,
    ]


def place(u, parts, where, room, taken, eye, ahead):
    """The parts moved to a free place of the room; [] if ten tries find none. taken: rectangles (x, z, half sizes)."""
    back, front = min(p.z - p.depth / 2 for p in parts), max(p.z + p.depth / 2 for p in parts)
    parts, width = (
        moved(parts, 0, -(back + front) / 2, 0),
        max(abs(p.x) + p.width / 2 for p in parts),
    )
    near = 0.35 + 0.6 * max(p.high for p in parts) if where in ("wall", "free") else -1.0
    for attempt in range(10):
        side = int(u(0, 4))
        yaw = side * math.pi / 2 + (u(-0.6, 0.6) if where == "free" else 0.0)
        c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
        a, b = c * width + s * (front - back) / 2, s * width + c * (front - back) / 2
        x, z = u(a, room[0] - a), u(b, room[2] - b)
        if where in ("wall", "hung"):
            x, z = ((x, b), (a, z), (x, room[2] - b), (room[0] - a, z))[side]
        dx, dz = x - eye[0], z - eye[2]
        seen = attempt > 6 or dx * ahead[0] + dz * ahead[2] > 0.7 * math.hypot(dx, dz)
        fits = (
            2 * a < room[0]
            and 2 * b < room[2]
            and math.hypot(max(0, abs(dx) - a), max(0, abs(dz) - b)) > near
        )
        if (
            seen
            and fits
            and not any(abs(x - i) < a + p and abs(z - k) < b + q for i, k, p, q in taken)
        ):
            taken.append((x, z, a + 0.02, b + 0.02))
            return moved(parts, x, z, yaw, room[1] if where == "ceiling" else 0.0)
    return []


def draw_scene(size, seed, number):
    """All arrays of one scene; what the camera cannot see is left out, so it throws no shadow either. A solid is 33
    numbers: centre, half sizes, cos and sin of its turn, k, m; two colours, label, glow, 14 for pattern_of, piece.
    """
    generator = np.random.Generator(np.random.PCG64([seed, number]))
    stream = (value for _ in iter(int, 1) for value in generator.random(256).tolist())

    def u(low=0.0, high=1.0):
        return low + (high - low) * next(stream)

    kind, room = int(u(0, len(ROOMS))), (u(2.8, 5.5), u(2.3, 3.0), u(2.8, 5.5))
    angle, out = u(0, math.tau), u(0.5, 0.85)
    eye = (
        room[0] * (1 + out * math.cos(angle)) / 2,
        -u(1.0, 1.8),
        room[2] * (1 + out * math.sin(angle)) / 2,
    )
    yaw = math.atan2(room[0] * u(0.3, 0.7) - eye[0], room[2] * u(0.3, 0.7) - eye[2])
    cy, sy, cp, sp, cr, sr = (
        f(a) for a in (yaw, u(0.0, 0.4), u(-0.06, 0.06)) for f in (math.cos, math.sin)
    )
    right, down, ahead = np.array([[cy, 0, -sy], [-sy * sp, cp, -cy * sp], [sy * cp, sp, cy * cp]])
    axes = np.array([cr * right + sr * down, cr * down - sr * right, ahead])
    focal = 0.5 * size / math.tan(u(0.5, 0.72))

    parts, taken = [], {where: [] for where in ("hung", "floor", "ceiling", "stands")}
    for label, forms, ranges, where, expected, on_top, chairs in KINDS:
        for _ in range(int(expected[kind] + u())):
            group = furnish(u, 8 * len(parts) + 8, label, forms, ranges, on_top, chairs)
            parts += place(u, group, where, room, taken.get(where, taken["stands"]), eye, ahead)
    middle, paper, skins = (room[0] / 2, -room[1] / 2, room[2] / 2), draw_look(u, "wall"), {}
    faces = [
        [*(paper if label == "wall" and u() < 0.9 else draw_look(u, label)), i]
        for i, label in enumerate(FACES)
    ]
    boxes, rounds = [[*middle, *np.abs(middle), 1, 0, 0, 0, *faces[0]]], []
    for part in parts:
        high = min(part.high, room[1])
        centre, half = (
            (part.x, -(part.low + high) / 2, part.z),
            (part.width / 2, (high - part.low) / 2, part.depth / 2),
        )
        seen, radius = axes @ np.subtract(centre, eye), math.hypot(*half)
        if (
            max(abs(seen[0]), abs(seen[1])) < 0.72 * size / focal * max(seen[2], 0) + 1.6 * radius
            and seen[2] > -radius
        ):
            skin = skins[part[2:4]] = skins.get(part[2:4]) or draw_look(u, part.label, part.skin)
            piece = FACES.index("floor") if part.label == "floor" else part.piece
            (boxes if part.shape == "box" else rounds).append(
                [
                    *centre,
                    *half,
                    math.cos(part.yaw),
                    math.sin(part.yaw),
                    *SHAPES[part.shape],
                    *skin,
                    piece,
                ]
            )
    lamps = (
        (room[0] * u(0.25, 0.75), 0.2 - room[1], room[2] * u(0.25, 0.75)),
        [v + u(-0.5, 0.5) for v in eye],
    )
    light = [
        [strength * u(0.8, 1.2) for _ in range(3)] for strength in (1, u(0, 0.5), u(0.15, 0.4))
    ]
    sensor = [u(0.18, 0.4), u(0.85, 1.15), 1, u(0.85, 1.15), u(0, 0.35), u(0, 0.3), u(0.005, 0.025)]
    lens = [focal, focal, *((size - 1) / 2 + size * u(-0.02, 0.02) for _ in range(2))]
    arrays = {
        "boxes": boxes,
        "rounds": np.reshape(rounds, (-1, 33)),
        "faces": faces,
        "camera": [eye, *axes],
        "lens": lens,
        "lamps": lamps,
        "light": light,
        "sensor": sensor,
        "grain": generator.random(1024),
        "room": kind,
        "noise": generator.standard_normal((3, size, size), np.float32),
    }
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}
