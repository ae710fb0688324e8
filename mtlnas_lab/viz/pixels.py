"""Whether a figure is made of lines, which may stand on paper of any colour, or shows pixels, whose light and dark mean something."""

import io

from matplotlib.collections import QuadMesh


def has_pixels(figure) -> bool:
    """Whether a figure shows images or maps of numbers as colours, whose light and dark have a meaning.

    Args:
        figure: of matplotlib.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure = Figure()
        >>> ax = figure.add_subplot()
        >>> line = ax.plot([1, 2])
        >>> has_pixels(figure)
        False
        >>> image = ax.imshow([[1, 2]])
        >>> has_pixels(figure)
        True
    """
    return any(ax.images or _has(ax, QuadMesh) for ax in figure.axes)


def _has(ax, kind: type) -> bool:
    return any(isinstance(one, kind) for one in ax.collections)


def width_of(png: bytes) -> int:
    """How many pixels wide a PNG is."""
    from PIL import Image

    return Image.open(io.BytesIO(png), formats=("PNG",)).width
