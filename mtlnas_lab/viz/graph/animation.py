"""A search as a moving picture."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ...errors import ConfigError
from ..export import make_folder, put, ready
from ..provenance import provenance
from ..sources import opened, read_log
from ..style import MM, FigureStyle, brief, in_range
from .compare import graphs_along
from .figure import GraphFigure
from .shapes import draw

LAST_MS = 2000  # how long the last picture stays


def frames(
    source, count: int = 60, *, style: str | FigureStyle = "web-light", pixels: int = 1000, **look
) -> Iterator:
    """`count` Pillow images, `pixels` wide, of the fusion graph along a search, in one layout."""
    from PIL import Image

    log = read_log(source)
    _check_whole("count", count, 1, 1000)
    _check_whole("pixels", pixels, 50, 4000)
    for step, graph in graphs_along(log, count):
        on = sum(alpha > 0 for alpha in step.alpha)
        title = f"step {step.step},  entropy {step.entropy:.3f} nats,  {on} edges on"
        scene = GraphFigure(graph, style, title=title, **look).scene()
        stream = io.BytesIO()
        draw(scene).figure.savefig(stream, format="png", dpi=pixels * MM / scene.width)
        yield Image.open(stream, formats=("PNG",)).convert("RGB")


def _check_whole(name: str, value, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ConfigError(f"{name}={brief(value)}; give a whole number from {low} to {high}")


def animate(
    source,
    path: str | os.PathLike,
    *,
    count: int = 60,
    fps: float = 12,
    pixels: int = 1000,
    style: str | FigureStyle = "web-light",
    **look,
) -> Path:
    """Write the graph along a search as `path`: .gif (by Pillow) or .mp4 (by ffmpeg, if it is installed).

    The last picture stays for two seconds; the comment of the file says where it comes from. Raises ConfigError for
    another ending, or where ffmpeg is missing.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ConfigError(
            f"{path.name} is neither .gif nor .mp4; name the file after what it should be"
        )
    ffmpeg = shutil.which("ffmpeg")
    if path.suffix == ".mp4" and not ffmpeg:
        raise ConfigError(
            "an .mp4 needs ffmpeg, which is not installed here; install it, or write a .gif"
        )
    in_range("fps is", fps, 0.1, 100)
    ready(path)  # before the work, which may take minutes
    source = opened(source)
    pictures = list(frames(source, count, style=style, pixels=pixels, **look))
    comment = json.dumps(provenance(source))
    make_folder(path.parent)
    if path.suffix == ".gif":
        times = [round(1000 / fps)] * (len(pictures) - 1) + [LAST_MS]
        # One palette for all, from the middle of the search, or colours would flicker.
        put(path, gif(pictures, times, comment, pictures[len(pictures) // 2].quantize(128)))
    else:
        _write_mp4(ffmpeg, path, pictures, fps, comment)
    return path


def gif(pictures: list, times: list[int], comment: str, palette) -> bytes:
    """A GIF of Pillow images, each shown for so many ms, in the colours of one image that has a palette."""
    first, *others = (picture.quantize(palette=palette, dither=0) for picture in pictures)
    stream = io.BytesIO()
    first.save(
        stream,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=times,
        loop=0,
        comment=comment,
    )
    return stream.getvalue()


def _write_mp4(ffmpeg: str, path: Path, pictures: list, fps: float, comment: str) -> None:
    width, height = (size // 2 * 2 for size in pictures[0].size)  # yuv420p wants even sizes
    still = pictures[-1:] * round(LAST_MS / 1000 * fps)
    raw = b"".join(picture.crop((0, 0, width, height)).tobytes() for picture in pictures + still)
    taken = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps:g} -i -"
    # The same bytes each time, and no metadata but ours.
    given = "-pix_fmt yuv420p -fflags +bitexact -map_metadata -1"
    command = [ffmpeg, "-y", "-loglevel", "error", *taken.split(), *given.split()]
    command += ["-metadata", f"comment={comment}", str(path.resolve())]
    done = subprocess.run(command, input=raw, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ConfigError(f"ffmpeg could not write {path}: {''.join(reason)}; write a .gif")
