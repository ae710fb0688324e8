"""A search as a moving picture."""
from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

from ..errors import ConfigError
from .compare import moments
from .curves import read_log
from .geometry import GraphFigure
from .graph import fusion_graph
from .scene import draw
from .style import FigureStyle
from .style import style as style_named


def frames(source, count: int = 60, style: str | FigureStyle = "web-light", pixels: int = 1000, **look):
    """`count` Pillow images, `pixels` wide, of the fusion graph along a search, in one layout."""
    from PIL import Image

    log, page = read_log(source), style_named(style)
    for i in moments(log, count):
        title = f"step {log.steps[i].step},  entropy {log.steps[i].entropy:.3f} nats,  {int((log.alpha[i] > 0).sum())} edges on"
        figure = draw(GraphFigure(fusion_graph(log.space, log.alpha[i]), page, title=title, **look).scene()).figure
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=pixels / figure.get_size_inches()[0])
        yield Image.open(stream).convert("RGB")


def animate(source, path: str | os.PathLike, *, count: int = 60, fps: float = 12, style: str | FigureStyle = "web-light",
            pixels: int = 1000, **look) -> Path:
    """Write the graph along a search as `path`: .gif (by Pillow) or .mp4 (by ffmpeg, if it is installed). Returns the path.

    The last picture stays for two seconds. Raises ConfigError for another ending, or where ffmpeg is missing.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ConfigError(f"{path.name} is neither .gif nor .mp4; name the file after what it should be")
    ffmpeg = shutil.which("ffmpeg")
    if path.suffix == ".mp4" and not ffmpeg:
        raise ConfigError("an .mp4 needs ffmpeg, which is not installed here; install it, or write a .gif")
    pictures = list(frames(source, count, style, pixels, **look))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        from PIL import Image

        palette = pictures[len(pictures) // 2].quantize(128, method=Image.Quantize.MEDIANCUT)
        small = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
        times = [round(1000 / fps)] * (len(small) - 1) + [2000]
        small[0].save(path, save_all=True, append_images=small[1:], duration=times, loop=0, optimize=False)
        return path
    width, height = (size // 2 * 2 for size in pictures[0].size)
    raw = b"".join(p.crop((0, 0, width, height)).tobytes() for p in pictures + pictures[-1:] * round(2 * fps))
    command = [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}",
               "-i", "-", "-pix_fmt", "yuv420p", "-fflags", "+bitexact", "-map_metadata", "-1", str(path)]
    done = subprocess.run(command, input=raw, capture_output=True)
    if done.returncode:
        raise ConfigError(f"ffmpeg could not write {path}: {done.stderr.decode(errors='replace').strip()[-200:]}; write a .gif")
    return path
