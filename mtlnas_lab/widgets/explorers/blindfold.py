"""Cover the eyes of one network: what reaches one of its nodes over an edge then?"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping

import numpy as np
import traitlets

from ...errors import ConfigError
from ...values import number
from ..studio.runner import one_line
from .base import Explorer, address, checked_picture, page

Look = Callable[[float], Mapping]

LETTERS = 120  # of a line below the still pictures


class Blindfold(Explorer):
    """A slider from all to nothing: what a network sees, and the maps at one of its nodes.

    `look` is called once here, then after each move of the slider.

    Args:
        look: called with a visibility from 0 (noise alone) to 1 (the image). Returns {"task": name, "pictures": {title:
            ((H, W, 3) uint8, text)}, "caption": text on the pictures}, as `analysis.predictions.look_into` makes it.
        visibility: at first.

    Raises:
        ConfigError: for arguments, or an answer of `look`, that are not such.
    """

    _esm = page("blindfold")
    visibility = traitlets.Float(1.0, min=0.0, max=1.0).tag(sync=True)
    task = traitlets.Unicode("").tag(sync=True)  # whose eyes are covered
    pictures = traitlets.List().tag(sync=True)  # [title, address, text]
    note = traitlets.Unicode("").tag(sync=True)

    def __init__(self, look: Look, visibility: float = 1.0):
        if not callable(look):
            raise ConfigError(
                f"look is a {type(look).__name__}; give a function of the visibility, as look_into(lab, edge)"
            )
        self.look = look
        self._tiles: dict[str, tuple[np.ndarray, str]] = {}
        super().__init__(visibility=number("visibility", visibility, most=1.0))
        self._show()
        self.observe(self._changed, "visibility")

    def _show(self) -> None:
        found = self.look(self.visibility)
        tiles = {}
        try:
            for title, (array, text) in found["pictures"].items():
                tiles[str(title)] = (checked_picture(array), str(text))
            task = str(found["task"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                'look gave no pictures; it must return {"task": name, "pictures": {title: (array, text)}}, not this '
                f"({error!r:.80})"
            ) from None
        self._tiles = tiles
        self.task = task
        self.pictures = [[title, address(array), text] for title, (array, text) in tiles.items()]
        self.note = str(found.get("caption", ""))

    def _changed(self, change) -> None:
        with self._lock:
            try:
                self._show()
                self.message = ""
            except Exception as error:  # look can be anybody's
                self.message = one_line(error)

    def _seen(self) -> str:
        """What the network sees now, as a sentence."""
        if self.visibility == 1:
            return f"{self.task} sees the image"
        if self.visibility == 0:
            return f"{self.task} sees noise"
        return f"{self.task} sees {self.visibility:.2g} of the image, the rest noise"

    def caption(self) -> str:
        texts = [f"{title}: {text}" for title, (_, text) in self._tiles.items() if text]
        return "; ".join([self._seen(), *texts])

    def figure(self, look):
        figure = look.figure(0.36 * look.width, layout="constrained")
        figure.suptitle(self._seen())
        legend = textwrap.fill(self.note, LETTERS)
        figure.supxlabel(legend, fontsize=look.small, x=0.01, ha="left")
        axes = figure.subplots(1, len(self._tiles), squeeze=False)[0]
        for ax, (title, (array, text)) in zip(axes, self._tiles.items()):
            ax.imshow(array, interpolation="nearest")
            ax.set_title(f"{title}\n{text}", fontsize=look.small, weight="normal", wrap=True)
            ax.set_axis_off()
        return figure
