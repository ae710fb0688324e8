"""Labels, normals and distances as (H, W, 3) uint8 colours that colour-blind readers can tell apart. Only numpy."""

from __future__ import annotations

import numpy as np


def palette(count: int) -> np.ndarray:
    """(count, 3) uint8: Okabe and Ito's colours with grey for black, then lighter and darker ones, 40 in all."""
    base = np.array(
        [
            [0, 114, 178],
            [230, 159, 0],
            [0, 158, 115],
            [204, 121, 167],
            [86, 180, 233],
            [213, 94, 0],
            [240, 228, 66],
            [85, 85, 85],
        ]
    )
    # Shades come after all colours, so that few classes get the colours that differ most.
    shades = [base, base * 0.5 + 127.5, base * 0.6, base * 0.25 + 191.25, base * 0.3]
    return np.resize(np.concatenate(shades), (count, 3)).round().astype(np.uint8)


def classes(labels: np.ndarray, count: int) -> np.ndarray:
    """Labels (H, W) of 0..count-1; whatever else is there becomes black."""
    known = (labels >= 0) & (labels < count)
    return palette(count)[np.where(known, labels, 0)] * known[..., None].astype(np.uint8)


def normals(vectors: np.ndarray) -> np.ndarray:
    """Vectors (3, H, W), x right, y down, z away: facing right is red, up green, towards us blue, zero is black."""
    # Colours are of 0 to 1 where components are of −1 to 1; y and z turned round, as most pictures of normals have them.
    length = np.linalg.norm(vectors, axis=0)
    unit = vectors / np.where(length > 0, length, 1) * np.array([1, -1, -1])[:, None, None]
    return np.moveaxis((unit + 1) * 127.5 * (length > 0), 0, -1).round().astype(np.uint8)


def distances(metres: np.ndarray, far: float) -> np.ndarray:
    """Metres (H, W): near is dark blue, `far` and beyond is yellow, 0 and below is black."""
    colours = np.array(
        [[0, 32, 77], [64, 77, 107], [124, 123, 120], [188, 175, 111], [255, 234, 70]]
    )
    share = metres.clip(0, far) / far * (len(colours) - 1)
    rgb = np.stack(
        [np.interp(share, range(len(colours)), channel) for channel in colours.T], axis=-1
    )
    return (rgb.round() * (share > 0)[..., None]).astype(np.uint8)


def grey(shares: np.ndarray) -> np.ndarray:
    """Shares (H, W) of 0 (black) to 1 (white)."""
    return np.repeat((shares * 255).round().astype(np.uint8)[..., None], 3, axis=-1)


def bars(shares: np.ndarray, height: int = 32, width: int = 4) -> np.ndarray:
    """Shares (C,) of 0 to 1: one bar for each, in the classes' colours, on white."""
    filled = np.arange(height, 0, -1)[:, None] <= (shares * height).round()
    return np.repeat(
        np.where(filled[..., None], palette(len(shares)), np.uint8(255)), width, axis=1
    )
