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


def _solids(form: str) -> list[tuple]:
    """The solids of a form: (shape, copies, skin, x, z, width, depth, bottom, top)."""
    solids = []
    for text in form.split(","):
        shape, copies, skin, *rest = text.split()
        solids.append((shape, int(copies), int(skin), *map(float, rest)))
    return solids


FORMS = {name: _solids(form) for name, form in FORMS.items()}


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


MIRRORED = ((1, 1), (-1, 1), (1, -1), (-1, -1))  # signs of x and z of a solid's copies


SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))  # of a table, in the order in which chairs come


FRAMED = ("door", "window", "picture", "cabinet")  # what may have a frame around its pattern


def turned(c, s, v):
    """The vector v turned about the vertical by the angle of cosine c and sine s."""
    return c * v[0] + s * v[2], v[1], c * v[2] - s * v[0]


def moved(parts, x, z, yaw, lift=0.0):
    """The parts turned by yaw about their origin, then shifted."""
    c, s = math.cos(yaw), math.sin(yaw)
    found = []
    for part in parts:
        there_x = x + c * part.x + s * part.z
        there_z = z - s * part.x + c * part.z
        low = part.low + lift
        high = part.high + lift
        found.append(part._replace(x=there_x, z=there_z, low=low, high=high, yaw=part.yaw + yaw))
    return found


def build(u, piece, label, forms, ranges):
    """The parts of one piece of furniture: x right, z to its front. Here and below u(low, high) draws a number."""
    width = u(*ranges[0:2])
    depth = u(*ranges[2:4])
    height = u(*ranges[4:6])
    bottom = u(*ranges[6:8])
    form = FORMS[choose(u, forms.split())]
    parts = []
    for shape, copies, skin, x, z, part_width, part_depth, low, high in form:
        solid = (label, shape, piece, skin)
        extent = (part_width * width, part_depth * depth)
        heights = (bottom + low * height, bottom + high * height)
        for i, j in MIRRORED[:copies]:
            parts.append(Part(*solid, i * x * width, j * z * depth, *extent, *heights, yaw=0.0))
    return parts


def choose(u, choices):
    """One of the choices, all equally likely."""
    return choices[int(u(0, len(choices)))]


def furnish(u, piece, label, forms, ranges, on_top, chairs):
    """One piece of furniture with what is on it and the chairs around it; these are pieces of their own."""
    parts = build(u, piece, label, forms, ranges)
    main = parts[0]
    tops = on_top.split()
    if tops and u() < 0.7:
        top = build(u, piece + 1, *SMALL[choose(u, tops)])
        x = u(-0.25, 0.25) * main.width
        parts += moved(top, x, -0.15 * main.depth, u(-0.3, 0.3), main.high)
    count = int(u(0.5, chairs + 1))
    for number, (x, z) in enumerate(SIDES[:count], piece + 2):
        out_x = main.width / 2 + u(0, 0.3)
        out_z = main.depth / 2 + u(0, 0.3)
        yaw = math.atan2(-x, -z) + u(-0.3, 0.3)  # towards the table, more or less
        chair = build(u, number, *SMALL["chair"])
        parts += moved(chair, x * out_x, z * out_z, yaw)
    return parts


def draw_colour(u):
    """A colour, rather dark than light and rather grey than strong."""
    grey = 0.08 + 0.8 * u() ** 1.3
    tint = 0.9 * u() ** 1.5
    return [grey * (1 + tint * u(-1, 1)) for _ in range(3)]


def draw_look(u, label, skin=0):
    """A surface: two colours and a pattern, by the same law for every class; but some windows and lamps glow.

    What is drawn stands in the order in which it is drawn: another order would be other rooms.
    """
    first = draw_colour(u)
    ratio = u(0.4, 1.6)
    second = draw_colour(u) if u() >= 0.6 else [ratio * value for value in first]
    *pattern, longer = choose(u, PATTERNS)
    rate = 1.2 * 7 ** u()
    angle = draw_angle(u)
    c = rate * math.cos(angle)
    s = rate * math.sin(angle)
    frame = 2.0  # out of reach: none
    if label in FRAMED and u() < 0.7:
        frame = u(0.8, 0.92)
    glow = 0.0
    may_glow = label == "window" or (label == "lamp" and skin)  # of a lamp the shade, not the foot
    if u() < 0.6 and may_glow:
        glow = u(0.5, 1.5)
    colours = [min(0.95, max(0.03, value)) for value in first + second]
    along_u = [c, s, u()]
    along_v = [-s / longer, c / longer, u()]
    speckle = u(0, 0.6) * u()
    cells = u(2, 6)
    number = CLASSES.index(label) + 1
    return [*colours, number, glow, *along_u, *along_v, *pattern, speckle, cells, frame]


def draw_angle(u):
    """How a pattern lies: upright, on its side, or sometimes askew."""
    if u() < 0.2:
        return u(0, math.tau)
    return (math.pi / 2) * (u() < 0.5)


def place(u, parts, where, room, taken, eye, ahead):
    """The parts moved to a free place of the room; [] if ten tries find none. taken: rectangles (x, z, half sizes)."""
    back = min(p.z - p.depth / 2 for p in parts)
    front = max(p.z + p.depth / 2 for p in parts)
    parts = moved(parts, 0, -(back + front) / 2, 0)
    width = max(abs(p.x) + p.width / 2 for p in parts)
    depth = (front - back) / 2
    near = -1.0  # how close to the camera it may be; nothing that hangs is too close
    if where in ("wall", "free"):
        near = 0.35 + 0.6 * max(p.high for p in parts)
    for attempt in range(10):
        side = int(u(0, 4))
        yaw = side * math.pi / 2
        if where == "free":
            yaw += u(-0.6, 0.6)
        c = abs(math.cos(yaw))
        s = abs(math.sin(yaw))
        half_x = c * width + s * depth  # of the rectangle around it, as it is turned
        half_z = s * width + c * depth
        x = u(half_x, room[0] - half_x)
        z = u(half_z, room[2] - half_z)
        if where in ("wall", "hung"):
            x, z = against_wall(side, x, z, half_x, half_z, room)
        dx = x - eye[0]
        dz = z - eye[2]
        in_view = dx * ahead[0] + dz * ahead[2] > 0.7 * math.hypot(dx, dz)
        if not in_view and attempt <= 6:  # rather something that will be seen
            continue
        if 2 * half_x >= room[0] or 2 * half_z >= room[2]:
            continue
        if math.hypot(max(0, abs(dx) - half_x), max(0, abs(dz) - half_z)) <= near:
            continue
        if any(overlap(x, z, half_x, half_z, rectangle) for rectangle in taken):
            continue
        taken.append((x, z, half_x + 0.02, half_z + 0.02))
        lift = room[1] if where == "ceiling" else 0.0
        return moved(parts, x, z, yaw, lift)
    return []


def against_wall(side, x, z, half_x, half_z, room):
    """The place (x, z) moved to the wall that a piece of this side has at its back."""
    if side == 0:
        return x, half_z
    if side == 1:
        return half_x, z
    if side == 2:
        return x, room[2] - half_z
    return room[0] - half_x, z


def overlap(x, z, half_x, half_z, rectangle):
    """Whether two rectangles have a point in common."""
    other_x, other_z, other_half_x, other_half_z = rectangle
    return abs(x - other_x) < half_x + other_half_x and abs(z - other_z) < half_z + other_half_z


def draw_camera(u, room, size):
    """(where the camera is, its axes right, down and ahead as rows, its focal length in pixels)."""
    angle = u(0, math.tau)
    out = u(0.5, 0.85)
    x = room[0] * (1 + out * math.cos(angle)) / 2
    height = u(1.0, 1.8)
    z = room[2] * (1 + out * math.sin(angle)) / 2
    eye = (x, -height, z)
    aim_x = room[0] * u(0.3, 0.7)
    aim_z = room[2] * u(0.3, 0.7)
    yaw = math.atan2(aim_x - x, aim_z - z)
    pitch = u(0.0, 0.4)
    roll = u(-0.06, 0.06)
    cy, sy = math.cos(yaw), math.sin(yaw)
    cp, sp = math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    right = np.array([cy, 0, -sy])
    down = np.array([-sy * sp, cp, -cy * sp])
    ahead = np.array([sy * cp, sp, cy * cp])
    axes = np.array([cr * right + sr * down, cr * down - sr * right, ahead])
    focal = 0.5 * size / math.tan(u(0.5, 0.72))
    return eye, axes, focal


def draw_sensor(u, size):
    """(exposure, white balance, vignette, blur and noise of a camera; where its axis meets the picture, in pixels)."""
    exposure = u(0.18, 0.4)
    balance = [u(0.85, 1.15), 1, u(0.85, 1.15)]
    sensor = [exposure, *balance, u(0, 0.35), u(0, 0.3), u(0.005, 0.025)]
    middle = [(size - 1) / 2 + size * u(-0.02, 0.02) for _ in range(2)]
    return sensor, middle


def draw_furniture(u, kind, room, eye, ahead):
    """The parts of all furniture in a room of this kind, the most important first."""
    parts = []
    standing = []  # rectangles that are taken, on the floor
    taken = {"hung": [], "floor": [], "ceiling": []}  # these get in nobody's way but their own
    for label, forms, ranges, where, expected, on_top, chairs in KINDS:
        for _ in range(int(expected[kind] + u())):
            first_piece = 8 * len(parts) + 8
            group = furnish(u, first_piece, label, forms, ranges, on_top, chairs)
            in_the_way = taken.get(where, standing)
            parts += place(u, group, where, room, in_the_way, eye, ahead)
    return parts


def draw_faces(u):
    """The looks of the room's six faces; walls mostly have the same one."""
    paper = draw_look(u, "wall")
    faces = []
    for number, label in enumerate(FACES):
        look = draw_look(u, label) if label != "wall" or u() >= 0.9 else paper
        faces.append([*look, number])
    return faces


def is_visible(centre, half, eye, axes, focal, size):
    """Whether a ball around a solid reaches into the camera's view."""
    radius = math.hypot(*half)
    right, down, ahead = axes @ np.subtract(centre, eye)
    edge = 0.72 * size / focal * max(ahead, 0) + 1.6 * radius
    return max(abs(right), abs(down)) < edge and ahead > -radius


def draw_solids(u, parts, room, eye, axes, focal, size, skins):
    """(boxes, rounds): the 33 numbers of each part that the camera can see.

    `skins`, {(piece, skin): look}, gets those that are drawn here: parts of one piece look alike where they have the same.
    """
    boxes = []
    rounds = []
    for part in parts:
        high = min(part.high, room[1])
        centre = (part.x, -(part.low + high) / 2, part.z)
        half = (part.width / 2, (high - part.low) / 2, part.depth / 2)
        if not is_visible(centre, half, eye, axes, focal, size):
            continue
        key = (part.piece, part.skin)
        if key not in skins:
            skins[key] = draw_look(u, part.label, part.skin)
        piece = part.piece
        if part.label == "floor":  # a rug has no edge against the floor
            piece = FACES.index("floor")
        turn = (math.cos(part.yaw), math.sin(part.yaw))
        solid = [*centre, *half, *turn, *SHAPES[part.shape], *skins[key], piece]
        if part.shape == "box":
            boxes.append(solid)
        else:
            rounds.append(solid)
    return boxes, rounds


def draw_scene(size, seed, number, view=0):
    """All arrays of one scene; what the camera cannot see is left out, so it throws no shadow either. A solid is 33
    numbers: centre, half sizes, cos and sin of its turn, k, m; two colours, label, glow, 14 for pattern_of, piece.

    View 0 is the one that the room was furnished for; each other view is the same room from another place, by another
    camera.
    """
    u, generator = numbers_of(seed, number)
    kind = int(u(0, len(ROOMS)))
    room = (u(2.8, 5.5), u(2.3, 3.0), u(2.8, 5.5))  # metres along x, y, z
    eye, axes, focal = draw_camera(u, room, size)
    parts = draw_furniture(u, kind, room, eye, axes[2])
    faces = draw_faces(u)
    half = (room[0] / 2, room[1] / 2, room[2] / 2)
    inside = [half[0], -half[1], half[2], *half, 1, 0, 0, 0, *faces[0]]  # the room is a box, too
    skins = {}
    boxes, rounds = draw_solids(u, parts, room, eye, axes, focal, size, skins)
    ceiling_lamp = (room[0] * u(0.25, 0.75), 0.2 - room[1], room[2] * u(0.25, 0.75))
    flash = [value + u(-0.5, 0.5) for value in eye]
    light = []
    for strength in (1, u(0, 0.5), u(0.15, 0.4)):  # of the lamp, the flash, and from everywhere
        light.append([strength * u(0.8, 1.2) for _ in range(3)])
    sensor, middle = draw_sensor(u, size)
    grain = generator.random(1024)
    if view:
        missing, _ = numbers_of(seed, number, 0)  # the same for every view
        for part in parts:
            if (part.piece, part.skin) not in skins:
                skins[part.piece, part.skin] = draw_look(missing, part.label, part.skin)
        u, generator = numbers_of(seed, number, view)
        eye, axes, focal = draw_camera(u, room, size)
        boxes, rounds = draw_solids(u, parts, room, eye, axes, focal, size, skins)
        flash = [value + u(-0.5, 0.5) for value in eye]
        sensor, middle = draw_sensor(u, size)
    boxes.insert(0, inside)
    rounds = np.reshape(rounds, (-1, 33))  # also where there is none
    camera = [eye, *axes]
    lens = [focal, focal, *middle]
    lamps = [ceiling_lamp, flash]
    arrays = {
        "boxes": boxes,
        "rounds": rounds,
        "faces": faces,
        "camera": camera,
        "lens": lens,
        "lamps": lamps,
        "light": light,
        "sensor": sensor,
        "room": kind,
    }
    arrays["grain"] = grain
    arrays["noise"] = generator.standard_normal((3, size, size), np.float32)
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}


def numbers_of(*key):
    """(u, the generator behind it): u(low, high) draws the next number of the stream that this key names."""
    generator = np.random.Generator(np.random.PCG64(key))
    stream = random_numbers(generator)

    def u(low=0.0, high=1.0):
        return low + (high - low) * next(stream)

    return u, generator


def random_numbers(generator):
    """An endless stream of numbers from 0 to 1, drawn in blocks for speed."""
    while True:
        yield from generator.random(256).tolist()
