"""What a matplotlib figure or axes shows, where it was drawn here: what `save_figure` writes into the files.

matplotlib's own objects carry nothing of ours. They are the keys of a table that forgets them when they are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary


@dataclass
class Origin:
    """What is known of one figure, or of one axes with a fusion graph. Nothing, by default."""

    spec: object = None  # the CurveFigure that was drawn
    scene: object = None  # the Scene that was drawn on these axes
    notes: tuple[str, ...] = ()  # what the picture shows otherwise than it was told
    provenance: Mapping | None = None  # see `provenance`
    dpi: float | None = None  # of its PNG file; on a screen a figure may have fewer


_known: WeakKeyDictionary[object, Origin] = WeakKeyDictionary()


def remember(artist, **known) -> None:
    """Note something about a figure or axes; what was noted before stays."""
    if artist not in _known:
        _known[artist] = Origin()
    for name, value in known.items():
        setattr(_known[artist], name, value)


def origin(artist) -> Origin:
    """What was noted about a figure or axes. It is empty for all that was drawn elsewhere, and for other objects."""
    try:
        return _known.get(artist, Origin())
    except TypeError:  # a text or a number has no weak reference
        return Origin()
