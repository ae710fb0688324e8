"""Pictures of a notebook follow the reader's theme: drawings are shown on dark paper where JupyterLab is dark.

A kernel does not know the theme, and a saved picture cannot: so the first cell of a notebook tells the page, once, how its
drawings are shown in the dark. Light and dark change places, and every colour stays the colour it is called in the text. What
is made of pixels (a photo, a map of numbers as colours) keeps its colours, on a paper that does not dazzle. JupyterLab listens
to such a cell once it has run, or from the start where the reader trusts the notebook (`jupyter trust`).
"""

from __future__ import annotations

import base64
from functools import partial

# JupyterLab writes the width of a picture on it where a notebook says one: so a drawing is told from other pictures.
DARK = '[data-jp-theme-light="false"]'
DRAWINGS = f"{DARK} .jp-RenderedImage img[width], {DARK} img.mtl-drawing"
PIXELS = f"{DARK} .jp-RenderedImage img:not([width]), {DARK} img.mtl-pixels"
PAGE = (
    f"<style>{DRAWINGS} {{ filter: invert(0.93) hue-rotate(180deg) brightness(1.15) }} "
    f"{PIXELS} {{ filter: brightness(0.85); border-radius: 6px }} "
    ".jp-RenderedSVG svg { max-width: 100%; height: auto }</style>"
)


def follow_theme() -> None:
    """Shows this notebook's drawings on dark paper where the page is dark; called in the first cell of a notebook.

    Outside of IPython nothing happens.

    Example:
        >>> from mtlnas_lab.course.theme import follow_theme
        >>> follow_theme()
    """
    from IPython import get_ipython
    from IPython.display import HTML, display

    shell = get_ipython()
    if shell is None:
        return
    display(HTML(PAGE))
    shell.events.register("pre_run_cell", partial(_mark_drawings, shell))


def _mark_drawings(shell, _cell=None) -> None:
    """Before each cell: `%matplotlib inline` says anew how figures become pictures, in whatever cell it stands."""
    from matplotlib.figure import Figure

    formatter = shell.display_formatter.formatters["image/png"]
    if Figure not in formatter.type_printers:
        return
    draw = formatter.lookup_by_type(Figure)
    if getattr(draw, "func", None) is not _marked:
        formatter.for_type(Figure, partial(_marked, draw))


def _marked(draw, figure):
    """What `draw` makes of a figure; a drawing also says its width in pixels."""
    from ..viz.pixels import has_pixels, width_of

    png = draw(figure)
    if not isinstance(png, str) or has_pixels(figure):
        return png
    return png, {"width": width_of(base64.b64decode(png))}
