"""Procedural rooms: small pictures of furnished rooms, with every label read off the same rays as the picture.

A scene is a box (the room) with convex solids in it: boxes, and round solids x² + z² + k·y² + m·y ≤ 1, |y| ≤ 1, all
stretched along their axes and turned about the vertical. World: x right, y down, z forward, metres, floor at y = 0.
Scenes and noise come from one numpy PCG64 generator per picture, seeded by (seed, number). The work per pixel uses only
float32 operations that IEEE 754 rounds exactly (+ − × ÷ √ floor min max), so neither the grouping of the pictures nor
the number of threads can change a bit.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import torch

from ..errors import DataError
from .room_scene import CLASSES, ROOMS, draw_scene, turned

SPLITS = {"train": 480, "val": 80, "test": 120}


STAMP = (2026, 1, 1, 0, 0, 0)  # of each member of the file: now would be other bytes each time


CACHED = 2**16  # pixels that are painted at a time: their fields fit a processor's cache


__all__ = ["CLASSES", "ROOMS", "render"]


def cross(start, ray, k, m, is_box):
    """Where the lines start + t·ray enter and leave a solid; where they leave first they miss it. May overwrite ray."""
    spans = []  # where a line enters and leaves each of the shapes whose intersection the solid is
    bounded = range(3)  # axes along which the solid is |·| ≤ 1
    if not is_box:
        bounded = [1]
        # x² + z² + k·y² + m·y − 1 along the line is a·t² + 2·b·t + c
        a = ray[0] * ray[0] + ray[2] * ray[2] + ray[1] * ray[1] * k
        b = ray[0] * start[0] + ray[2] * start[2] + ray[1] * (k * start[1] + m / 2)
        c = start[0] * start[0] + start[2] * start[2]
        c = c + (k * start[1] + m) * start[1] - 1
        root = (b * b - a * c).clamp_(min=0).sqrt_()
        spans.append(((-b - root) / a, (root - b) / a))
    for axis in bounded:
        middle = ray[axis].reciprocal_() * -start[axis]
        half = ray[axis].abs_()
        spans.append((middle - half, middle.add_(half)))
    near, far = spans[0]
    for enter, leave in spans[1:]:
        torch.maximum(near, enter, out=near)
        torch.minimum(far, leave, out=far)
    return near, far


def nearest(origin, rays, solids, boxes):
    """First hit of the rays (3, n, P) from one point per picture (3, n, 1): distance in rays, number of the solid."""
    hx, hy, hz, c, s, k, m = solids[3:]
    start = torch.stack(turned(c, -s, origin - solids[:3])) / solids[3:6]
    # the matrix that brings a direction into a solid's frame; what is left out of it is 0
    xx, xz = c / hx, -s / hx
    zx, zz = s / hz, c / hz
    yy = 1 / hy
    for i in range(k.shape[1]):
        at = np.s_[:, i : i + 1]
        ray_x = rays[0] * xx[at] + rays[2] * xz[at]
        ray_z = rays[0] * zx[at] + rays[2] * zz[at]
        ray = [ray_x, rays[1] * yy[at], ray_z]
        near, far = cross(start[:, :, i : i + 1], ray, k[at], m[at], i < boxes)
        if i == 0:  # the room, which the rays can only leave
            best, solid = far, torch.zeros_like(far)
        else:
            hit = (near < torch.minimum(far, best, out=far)).logical_and_(near > 1e-3)
            best = torch.where(hit, near, best)
            solid = torch.where(hit, float(i), solid)
    return best, solid.long()


def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def normal_at(q, half, k, m, solid, boxes):
    """Unit normals out of the solid (into the room) at the points q · half of its frame, and the axes they are near."""
    size = q.abs()
    is_round = solid >= boxes
    axis = (size[1] > size[0]).long()
    axis = torch.where(size[2] > torch.maximum(size[0], size[1]), 2, axis)
    height = q[0] * q[0] + q[2] * q[2] + (k * q[1] + m) * q[1]  # 1 on the curved surface
    curved = is_round & (size[1] <= height)
    axis = torch.where(is_round & ~curved, 1, axis)  # the flat ends of a round solid
    flat = torch.stack([(axis == i) * q[i].sign() for i in range(3)])
    gradient = torch.stack((q[0], k * q[1] + m / 2, q[2])) / half  # of `height`, halved
    normal = torch.where(curved, gradient, flat)
    outwards = 1 - 2 * (solid == 0).float()  # the room is seen from within
    return normal / dot(normal, normal).sqrt() * outwards, axis


def wave(t, level):
    """A wave of period 1 between 0 and 1, with steep flanks where its triangle passes `level`."""
    triangle = ((t - t.floor()) * 2 - 1).abs()
    return (triangle - level).mul_(12).add_(0.5).clamp_(0, 1)


def pattern_of(look, across, along, border, footprint, grain):
    """Share of the second colour, 0..1: waves along two directions and their product, speckles, and a frame."""
    ux, uy, u0, vx, vy, v0, wu, wv, wuv, level, brick, speckle, cells, frame = look
    u = across * ux + along * uy + u0
    v = across * vx + along * vy + v0 + brick * u.floor()
    a = wave(u, level)
    b = wave(v, level)
    fine = (1.4 - 2 * footprint * (ux.abs() + uy.abs())).clamp_(0, 1)
    cell = ((u * cells).floor() * 37 + (v * cells).floor() * 101).long() & 1023
    share = (a * wu + b * wv + a * b * wuv) * fine + speckle * (grain.gather(1, cell) - 0.3)
    return torch.maximum(share, (border - frame) * 40).clamp_(0, 1)


def develop(light, noise, sensor, far):
    """Light (3, n, H, W) to bytes (n, H, W, 3): vignette, white balance, exposure to a mean, gamma, blur, noise."""
    mean, *_, vignette, blur, grain = sensor
    light = light * sensor[1:4] * (1 - vignette * far)
    # The mean is taken of whole numbers, whose sum does not depend on the order in which threads add.
    total = (light * 1000).long().sum((0, 2, 3))[:, None, None]
    level = total / (3000 * far[0].numel())
    image = (light * (mean / level)).clamp_(0, 1.5).sqrt_()
    soft = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    image = image + (soft - image) * blur + noise * (soft + 0.3) * grain
    return (image * 255 + 0.5).clamp_(0, 255).to(torch.uint8).permute(1, 2, 3, 0)


def stacked(scenes, name):
    """An array of each scene, (…, n, 1): what all pixels of a picture share."""
    return torch.from_numpy(np.stack([scene[name] for scene in scenes], -1)).unsqueeze(-1)


def padded(scenes, name):
    """The solids of each scene as (S, n, 33), as many as the most that one has; of NaN, which no ray hits."""
    rows = [torch.from_numpy(scene[name]) for scene in scenes]
    return torch.nn.utils.rnn.pad_sequence(rows, padding_value=math.nan)


def view_rays(lens, axes, size):
    """(right, down, rays): tangents of each pixel in the camera's frame, and its ray in the world's."""
    pixel = torch.arange(size**2)
    right = (pixel % size - lens[2]) / lens[0]
    down = (pixel // size - lens[3]) / lens[1]
    return right, down, right * axes[0] + down * axes[1] + axes[2]


def on_surface(vector, axis):
    """The two components of a vector that lie in a surface which faces along `axis`."""
    across = torch.where(axis == 0, vector[2], vector[0])
    along = torch.where(axis == 1, vector[2], vector[1])
    return across, along


def lit_by(lamps, point, normal, solids, boxes):
    """How much light of each lamp comes to a point: cos of the angle over 1 + 0.15·distance². Only the first throws
    shadows."""
    beams = [point - lamp for lamp in lamps]
    lit = []
    for beam in beams:
        square = dot(beam, beam)
        cosine = -dot(beam, normal) / square.sqrt()
        lit.append(cosine.clamp_(min=0) / (square * 0.15 + 1))
    depth, _ = nearest(lamps[0], beams[0], solids, boxes)
    lit[0] *= depth > 0.99
    return lit


def edges_of(piece):
    """(n, H, W) uint8: 1 where the pixel to the right or below is of another piece."""
    edge = torch.zeros(piece.shape, dtype=torch.uint8)
    edge[:, :, :-1] = piece[:, :, :-1] != piece[:, :, 1:]
    edge[:, :-1] |= piece[:, :-1] != piece[:, 1:]
    return edge


def paint(scenes, size):
    """The pictures and labels of n scenes, see render. Fields are (n, P = size²), vectors (3, n, P)."""
    n = len(scenes)
    grid = (n, size, size)
    boxes = max(len(scene["boxes"]) for scene in scenes)
    solids_and_looks = torch.cat([padded(scenes, "boxes"), padded(scenes, "rounds")])
    solids, looks = solids_and_looks.permute(2, 1, 0).contiguous().split((10, 23))  # (…, n, S)
    faces = stacked(scenes, "faces")[..., 0].permute(1, 2, 0)
    looks = torch.cat((faces, looks), 2)  # the room's six faces come before the solids

    eye, *axes = stacked(scenes, "camera")
    lens = stacked(scenes, "lens")
    right, down, rays = view_rays(lens, axes, size)
    depth, solid = nearest(eye, rays, solids, boxes)
    point = eye + depth * rays
    hit = solids.gather(2, solid.expand(10, -1, -1))
    centre, half, (c, s, k, m) = hit.split((3, 3, 4))
    local = torch.stack(turned(c, -s, point - centre))
    normal, axis = normal_at(local / half, half, k, m, solid, boxes)
    normal = torch.stack(turned(c, s, normal))
    facing = -dot(normal, rays) / dot(rays, rays).sqrt()

    face = 2 * axis + (local.gather(0, axis[None])[0] > 0)  # of the room
    surface = torch.where(solid > 0, solid + 6, face)
    seen_looks = looks.gather(2, surface.expand(23, -1, -1))
    first, second, (label, glow), look, (piece,) = seen_looks.split((3, 3, 2, 14, 1))
    across, along = on_surface(local, axis)
    border = torch.maximum(*on_surface((local / half).abs(), axis))
    footprint = depth / lens[0] / facing.clamp(min=0.1)  # metres of surface that a pixel sees
    grain = stacked(scenes, "grain")[..., 0].T
    share = pattern_of(look, across, along, border, footprint, grain)

    lit = lit_by(stacked(scenes, "lamps"), point, normal, solids, boxes)
    # Corners are darker: how far a place 0.3 m off the surface is from the walls.
    from_middle = (point + 0.3 * normal - solids[:3, :, :1]).abs()
    walls = (solids[3:6, :, :1] - from_middle).amin(0)
    lit.append((walls + 0.3).clamp_(0, 0.6) / 0.6)
    shine = dot(stacked(scenes, "light"), lit) + glow * (1 - share)
    light = (first + share * (second - first)) * shine
    noise = torch.from_numpy(np.stack([scene["noise"] for scene in scenes], 1))
    far = (right * right + down * down).view(grid)
    sensor = stacked(scenes, "sensor").unsqueeze(-1)
    image = develop(light.view(3, *grid), noise, sensor, far)

    millimetres = (depth * 1000).round().view(grid)
    normal_seen = torch.stack([dot(normal, axis) for axis in axes], -1).view(*grid, 3)
    pack = {"image": image}
    pack["seg"] = label.view(grid).byte()
    pack["depth_mm"] = millimetres.to(torch.uint16)
    pack["normal"] = (normal_seen * 127).round().to(torch.int8)
    pack["normal_valid"] = (facing > 0.02).view(grid)
    pack["edge"] = edges_of(piece.view(grid))
    pack["room"] = stacked(scenes, "room").view(n).to(torch.int8)
    pack["intrinsics"] = lens.view(4, n).T
    return {key: value.numpy() for key, value in pack.items()}


def render(
    count: int,
    size: int = 64,
    seed: int = 0,
    first: int = 0,
    chunk: int | None = None,
    views: int = 1,
) -> dict[str, np.ndarray]:
    """Draw pictures of furnished rooms with all their labels; each depends on the seed and on its number alone.

    Args:
        count: How many pictures N, 1 or more.
        size: Height H and width W in pixels, 16 or more.
        seed: Names an endless series of rooms.
        first: Number of the first picture in that series.
        chunk: How many pictures to make at a time (None: as fits the cache). It changes the speed only.
        views: How many pictures in a row show the same room, each from another place: picture n is of room n // views.

    Returns:
        Arrays under the keys of a pack's file:

        - `image` (N, H, W, 3) uint8, RGB;
        - `seg` (N, H, W) uint8, 1 + index in CLASSES;
        - `depth_mm` (N, H, W) uint16, millimetres along the optical axis;
        - `normal` (N, H, W, 3) int8, 127 is 1; camera frame x right, y down, z forward, facing the camera;
        - `normal_valid` (N, H, W) bool, false where a surface is seen edge-on;
        - `edge` (N, H, W) uint8, 1 where the pixel to the right or below is of another wall or piece;
        - `room` (N,) int8, index in ROOMS;
        - `intrinsics` (N, 4) float32, fx, fy, cx, cy in pixels: x = (column − cx) · z / fx.

    Raises:
        DataError: for a count or views below 1, a size below 16, a negative seed or first.

    Example:
        >>> from mtlnas_lab.data.rooms import render
        >>> rooms = render(2, size=16)
        >>> rooms["image"].shape, rooms["depth_mm"].shape
        ((2, 16, 16, 3), (2, 16, 16))
        >>> bool((rooms["image"][1] == render(1, size=16, first=1)["image"][0]).all())
        True
    """
    smallest = {"count": 1, "size": 16, "seed": 0, "first": 0, "views": 1}
    given = {"count": count, "size": size, "seed": seed, "first": first, "views": views}
    for name, least in smallest.items():
        if given[name] < least:
            raise DataError(
                f"{name} = {given[name]}: a series of rooms needs a {name} of {least} or more"
            )
    chunk = max(1, chunk or CACHED // size**2)
    parts = []
    order = []
    for start in range(0, count, 16 * chunk):
        numbers = range(start, min(count, start + 16 * chunk))
        scenes = {}
        for i in numbers:
            room, view = divmod(first + i, views)
            scenes[i] = draw_scene(size, seed, room, view)
        # Scenes of as many solids are painted together, so that little is computed for padding.
        alike = sorted(scenes, key=lambda i: (len(scenes[i]["boxes"]), len(scenes[i]["rounds"])))
        for at in range(0, len(alike), chunk):
            together = alike[at : at + chunk]
            parts.append(paint([scenes[i] for i in together], size))
            order += together
    back = np.argsort(order)
    arrays = {}
    for key in parts[0]:
        arrays[key] = np.concatenate([part[key] for part in parts])[back]
    return arrays


def make_rooms(out: Path, seed: int = 0, splits: dict[str, int] = SPLITS, size: int = 64) -> Path:
    """Render the rooms into one pack with splits. Depth is stored in steps of 10 mm. The same bytes on the same machine."""
    arrays: dict[str, np.ndarray] = {
        "seg_names": np.array(["unlabelled", *CLASSES]),
        "room_names": np.array(ROOMS),
    }
    _make_place(out)
    first = 0
    for split, count in splits.items():
        for key, array in render(count, size, seed, first).items():
            if key == "depth_mm":
                array = (array + 5) // 10 * 10
            arrays[f"{split}/{key}"] = array
        first += count
    # np.load reads LZMA, too; it is smaller than what np.savez_compressed writes.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        for key, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{key}.npy", STAMP)
            archive.writestr(member, stream.getvalue(), zipfile.ZIP_LZMA)
    return out


def _make_place(out: Path) -> None:
    """The folder for a file, before there is work that could be lost."""
    if os.path.isdir(out):
        raise DataError(f"{out}: is a folder; name the file to write, as in {out / 'rooms.npz'}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from None
    if not os.access(out.parent, os.W_OK):
        raise DataError(f"{out}: cannot be written, its folder is closed")
