"""What a saved output says of itself: it is a picture of a panel, and how to have the panel."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..viz.pixels import width_of

BACK = "A picture of the panel. To use the panel, run this cell in JupyterLab; after a reload, run it again"
SHOW = f"{BACK}, or studio.show(), which keeps the search"

# The line of text.
HIGH = 22  # pixels
DPI = 100
MARGIN = 8  # pixels on its left
TEXT = {"va": "center", "fontsize": 7.5, "color": "#5c6370"}


def shown(png: bytes, line: str = BACK, drawing: bool = True) -> tuple[dict, dict]:
    """What a cell's output holds of a picture (PNG): data and metadata, by kind.

    Args:
        png: Of the panel.
        line: Stands below it.
        drawing: Whether it is made of lines; it then says its width, as every drawing of a notebook does, so that a dark
            page shows it on dark paper.
    """
    whole = signed(png, line)
    data = {"image/png": base64.b64encode(whole).decode()}
    if not drawing:
        return data, {}
    return data, {"image/png": {"width": width_of(whole)}}


def signed(png: bytes, line: str = BACK) -> bytes:
    """A picture (PNG) with a line of text below it."""
    above = Image.open(io.BytesIO(png), formats=("PNG",)).convert("RGB")
    below = _line_of_text(line, above.width)
    whole = Image.new("RGB", (above.width, above.height + below.height), "white")
    whole.paste(above, (0, 0))
    whole.paste(below, (0, above.height))
    stream = io.BytesIO()
    whole.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _line_of_text(line: str, width: int) -> Image.Image:
    """A figure of its own, not pyplot's: a cell may be drawing meanwhile."""
    figure = Figure(figsize=(width / DPI, HIGH / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    figure.text(MARGIN / width, 0.5, line, **TEXT)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    return Image.fromarray(pixels[..., :3])
