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

__all__ = ["CLASSES", "ROOMS", "render"]


def cross(start, ray, k, m, is_box):
    """Where the lines start + t·ray enter and leave a solid; where they leave first they miss it. May overwrite ray."""
    spans = []
    if not is_box:
        a = ray[0] * ray[0] + ray[2] * ray[2] + ray[1] * ray[1] * k
        b = ray[0] * start[0] + ray[2] * start[2] + ray[1] * (k * start[1] + m / 2)
        c = start[0] * start[0] + start[2] * start[2] + (k * start[1] + m) * start[1] - 1
        root = (b * b - a * c).clamp_(min=0).sqrt_()
        spans.append(((-b - root) / a, (root - b) / a))
    for origin, direction in zip(start, ray) if is_box else [(start[1], ray[1])]:
        middle, half = direction.reciprocal_() * -origin, direction.abs_()
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
    xx, xz, yy, zx, zz = c / hx, -s / hx, 1 / hy, s / hz, c / hz
    for i in range(k.shape[1]):
        at = np.s_[:, i : i + 1]
        ray = [
            rays[0] * xx[at] + rays[2] * xz[at],
            rays[1] * yy[at],
            rays[0] * zx[at] + rays[2] * zz[at],
        ]
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
    size, is_round = q.abs(), solid >= boxes
    axis = torch.where(size[2] > torch.maximum(size[0], size[1]), 2, (size[1] > size[0]).long())
    curved = is_round & (size[1] <= q[0] * q[0] + q[2] * q[2] + (k * q[1] + m) * q[1])
    axis = torch.where(is_round & ~curved, 1, axis)
    flat = torch.stack([(axis == i) * q[i].sign() for i in range(3)])
    normal = torch.where(curved, torch.stack((q[0], k * q[1] + m / 2, q[2])) / half, flat)
    return normal / dot(normal, normal).sqrt() * (1 - 2 * (solid == 0).float()), axis


def pattern_of(look, across, along, border, footprint, grain):
    """Share of the second colour, 0..1: waves along two directions and their product, speckles, and a frame."""
    ux, uy, u0, vx, vy, v0, wu, wv, wuv, level, brick, speckle, cells, frame = look
    u = across * ux + along * uy + u0
    v = across * vx + along * vy + v0 + brick * u.floor()
    a, b = (
        (((t - t.floor()) * 2 - 1).abs() - level).mul_(12).add_(0.5).clamp_(0, 1) for t in (u, v)
    )
    fine = (1.4 - 2 * footprint * (ux.abs() + uy.abs())).clamp_(0, 1)
    cell = ((u * cells).floor() * 37 + (v * cells).floor() * 101).long() & 1023
    share = (a * wu + b * wv + a * b * wuv) * fine + speckle * (grain.gather(1, cell) - 0.3)
    return torch.maximum(share, (border - frame) * 40).clamp_(0, 1)


def develop(light, noise, sensor, far):
    """Light (3, n, H, W) to bytes (n, H, W, 3): vignette, white balance, exposure to a mean, gamma, blur, noise."""
    mean, *_, vignette, blur, grain = sensor
    light = light * sensor[1:4] * (1 - vignette * far)
    level = (light * 1000).long().sum((0, 2, 3))[:, None, None] / (3000 * far[0].numel())
    image = (light * (mean / level)).clamp_(0, 1.5).sqrt_()
    soft = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    image = image + (soft - image) * blur + noise * (soft + 0.3) * grain
    return (image * 255 + 0.5).clamp_(0, 255).to(torch.uint8).permute(1, 2, 3, 0)


def paint(scenes, size):
    """The pictures and labels of n scenes, see render. Fields are (n, P = size²), vectors (3, n, P)."""
    (eye, *axes), lens, lamps, light, sensor, faces, grain, room = (
        torch.from_numpy(np.stack([scene[name] for scene in scenes], -1)).unsqueeze(
            -1
        )  # (..., n, 1)
        for name in ("camera", "lens", "lamps", "light", "sensor", "faces", "grain", "room")
    )
    n, boxes = len(scenes), max(len(s["boxes"]) for s in scenes)
    rows = ([torch.from_numpy(scene[name]) for scene in scenes] for name in ("boxes", "rounds"))
    rows = torch.cat(
        [torch.nn.utils.rnn.pad_sequence(r, padding_value=math.nan) for r in rows]
    )  # NaN: no hit
    solids, looks = rows.permute(2, 1, 0).contiguous().split((10, 23))  # (…, n, S)
    looks = torch.cat((faces[..., 0].permute(1, 2, 0), looks), 2)
    pixel = torch.arange(size**2)
    right, down = (pixel % size - lens[2]) / lens[0], (pixel // size - lens[3]) / lens[1]
    rays = right * axes[0] + down * axes[1] + axes[2]
    depth, solid = nearest(eye, rays, solids, boxes)
    point = eye + depth * rays
    centre, half, (c, s, k, m) = solids.gather(2, solid.expand(10, -1, -1)).split((3, 3, 4))
    local = torch.stack(turned(c, -s, point - centre))
    normal, axis = normal_at(local / half, half, k, m, solid, boxes)
    normal = torch.stack(turned(c, s, normal))
    surface = torch.where(solid > 0, solid + 6, 2 * axis + (local.gather(0, axis[None])[0] > 0))
    first, second, (label, glow), look, (piece,) = looks.gather(
        2, surface.expand(23, -1, -1)
    ).split((3, 3, 2, 14, 1))
    facing = -dot(normal, rays) / dot(rays, rays).sqrt()
    (across, along), edge_on = (
        [torch.where(axis == 0, v[2], v[0]), torch.where(axis == 1, v[2], v[1])]
        for v in (local, (local / half).abs())
    )
    share = pattern_of(
        look,
        across,
        along,
        torch.maximum(*edge_on),
        depth / lens[0] / facing.clamp(min=0.1),
        grain[..., 0].T,
    )
    beams = [point - lamp for lamp in lamps]
    lit = [
        (-dot(b, normal) / dot(b, b).sqrt()).clamp_(min=0) / (dot(b, b) * 0.15 + 1) for b in beams
    ]
    lit[0] *= nearest(lamps[0], beams[0], solids, boxes)[0] > 0.99  # only this one throws shadows
    walls = (solids[3:6, :, :1] - (point + 0.3 * normal - solids[:3, :, :1]).abs()).amin(
        0
    )  # how far from 0.3 m off
    shine = dot(light, [*lit, (walls + 0.3).clamp_(0, 0.6) / 0.6]) + glow * (1 - share)
    image = (first + share * (second - first)) * shine
    grid, noise = (
        (n, size, size),
        torch.from_numpy(np.stack([scene["noise"] for scene in scenes], 1)),
    )
    image = develop(
        image.view(3, *grid), noise, sensor.unsqueeze(-1), (right * right + down * down).view(grid)
    )
    piece, edge = piece.view(grid), torch.zeros(grid, dtype=torch.uint8)
    edge[:, :, :-1] = piece[:, :, :-1] != piece[:, :, 1:]
    edge[:, :-1] |= piece[:, :-1] != piece[:, 1:]
    seen = torch.stack([dot(normal, axis) for axis in axes], -1).view(*grid, 3)
    pack = {
        "image": image,
        "seg": label.view(grid).byte(),
        "depth_mm": (depth * 1000).round().view(grid).to(torch.uint16),
        "normal": (seen * 127).round().to(torch.int8),
        "normal_valid": (facing > 0.02).view(grid),
        "edge": edge,
        "room": room.view(n).to(torch.int8),
        "intrinsics": lens.view(4, n).T,
    }
    return {key: value.numpy() for key, value in pack.items()}


def render(count, size=64, seed=0, first=0, chunk=None):
    """Pictures number first to first + count − 1 of the endless series `seed`; each depends on its number alone.

    Returns arrays (H = W = size): `image` (N, H, W, 3) u8; `seg` (N, H, W) u8, 1 + index in CLASSES; `depth_mm`
    (N, H, W) u16, along the optical axis; `normal` (N, H, W, 3) i8 / 127, camera frame x right, y down, z forward,
    facing the camera; `normal_valid` (N, H, W) bool, false where edge-on; `edge` (N, H, W) u8, 1 where the pixel to the
    right or below is of another wall or piece; `room` (N,) i8, index in ROOMS; `intrinsics` (N, 4) f32, fx fy cx cy:
    x = (column − cx) · z / fx. `chunk`: how many to make at a time (None: as fits the cache); it changes the speed
    only. Raises DataError for a count below 1, a size below 16, a negative seed or first.
    """
    for name, value, least in (
        ("count", count, 1),
        ("size", size, 16),
        ("seed", seed, 0),
        ("first", first, 0),
    ):
        if value < least:
            raise DataError(f"{name} = {value}: a series of rooms needs {name} ≥ {least}")
    chunk, parts, order = max(1, chunk or 2**16 // size**2), [], []
    for start in range(0, count, 16 * chunk):
        scenes = {
            i: draw_scene(size, seed, first + i)
            for i in range(start, min(count, start + 16 * chunk))
        }
        alike = sorted(scenes, key=lambda i: (len(scenes[i]["boxes"]), len(scenes[i]["rounds"])))
        for rows in (alike[i : i + chunk] for i in range(0, len(alike), chunk)):
            parts.append(paint([scenes[i] for i in rows], size))
            order += rows
    return {
        key: np.concatenate([part[key] for part in parts])[np.argsort(order)] for key in parts[0]
    }


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
            array = np.asarray(array)
            arrays[f"{split}/{key}"] = (array + 5) // 10 * 10 if key == "depth_mm" else array
        first += count
    with zipfile.ZipFile(
        out, "w", zipfile.ZIP_LZMA
    ) as archive:  # np.load reads it; smaller than np.savez_compressed
        for key, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array, allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{key}.npy", (2026, 1, 1, 0, 0, 0)),
                stream.getvalue(),
                zipfile.ZIP_LZMA,
            )
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
