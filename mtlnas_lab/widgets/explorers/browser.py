"""Image, truth, prediction and error of each task, before and after: one image at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import traitlets

from ...errors import ConfigError
from ..studio.runner import one_line
from .base import Explorer, address, checked_picture, page


class Tile(NamedTuple):
    """What stands in one column for one task."""

    picture: np.ndarray | None  # (H, W, 3) uint8
    text: str


class Item(NamedTuple):
    """One image and what there is about it."""

    title: str
    image: np.ndarray  # (H, W, 3) uint8
    rows: dict[str, dict[str, Tile]]  # {task: {column: tile}}


class PredictionBrowser(Explorer):
    """Shows one of `items` at a time.

    Args:
        items: a sequence (it may compute an item when it is asked for) of {"image": picture, "tasks": {task: {column:
            picture, or (picture, text), or text}}, "title": text}. A picture is (H, W, 3) uint8; the columns are shown
            in the order of the first task, as 'truth', 'before', ….
        at: the item that is shown first.

    Raises:
        ConfigError: for what are not such items.
    """

    _esm = page("browser")
    at = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(0).tag(sync=True)
    item = traitlets.Dict().tag(sync=True)

    def __init__(self, items: Sequence[Mapping], at: int = 0):
        if not hasattr(items, "__getitem__") or not hasattr(items, "__len__") or not len(items):
            raise ConfigError(
                f"a {type(items).__name__} without items cannot be browsed; give a list of "
                '{"image": …, "tasks": {task: {"truth": …, "prediction": …}}}'
            )
        if not isinstance(at, int) or not 0 <= at < len(items):
            raise ConfigError(f"there is no item {at!r}; items are 0 to {len(items) - 1}")
        self.items = items
        super().__init__(count=len(items), at=at)
        self._show(at)
        self.observe(self._changed, "at")

    def _show(self, at: int) -> None:
        if not 0 <= at < len(self.items):
            raise ConfigError(f"there is no item {at}; items are 0 to {len(self.items) - 1}")
        shown = _read(self.items[at], at)
        self.item = _to_page(shown)
        self._shown = shown

    def _changed(self, change) -> None:
        with self._lock:
            try:
                self._show(self.at)
                self.message = ""
            except Exception as error:  # items may be computed by anybody
                self.message = one_line(error)

    def caption(self) -> str:
        texts = []
        for task, row in self._shown.rows.items():
            texts += [f"{task} {column} {tile.text}" for column, tile in row.items() if tile.text]
        return f"{self._shown.title} ({self.at + 1} of {self.count}): " + ", ".join(texts)

    def figure(self, look):
        rows = self._shown.rows
        columns = 1 + max((len(row) for row in rows.values()), default=0)
        side = look.width / columns
        figure = look.figure(len(rows) * (side + 10), layout="constrained")
        for i, (task, row) in enumerate(rows.items()):
            axes = [
                figure.add_subplot(len(rows), columns, i * columns + k)
                for k in range(1, 2 + len(row))
            ]
            for ax in axes:
                ax.set_axis_off()
            if i == 0:  # the image once, on the left of the first row
                _draw(axes[0], self._shown.image, "image", look)
            for ax, (column, tile) in zip(axes[1:], row.items()):
                _draw(ax, tile.picture, f"{task}\n{column}\n{tile.text}", look)
        return figure


def _draw(ax, picture: np.ndarray | None, title: str, look) -> None:
    if picture is not None:
        ax.imshow(picture, interpolation="nearest")
    ax.set_title(title, fontsize=look.small, weight="normal")


def _read(item, at: int) -> Item:
    """An item as it must be. Raises ConfigError."""
    known = isinstance(item, Mapping) and isinstance(item.get("tasks"), Mapping)
    if not known or "image" not in item:
        raise ConfigError(
            f'item {at} is not {{"image": …, "tasks": {{task: {{column: picture}}}}}}'
        )
    rows = {}
    for task, row in item["tasks"].items():
        rows[str(task)] = {str(column): _tile(value) for column, value in row.items()}
    title = str(item.get("title", f"image {at}"))
    return Item(title, checked_picture(item["image"]), rows)


def _tile(value) -> Tile:
    if isinstance(value, str):
        return Tile(None, value)
    text = ""
    if isinstance(value, tuple):
        value, text = value
    return Tile(checked_picture(value), str(text))


def _to_page(item: Item) -> dict:
    """What the page draws: pictures as addresses, rows and columns as lists, which keep their order."""
    tasks = []
    for task, row in item.rows.items():
        tiles = []
        for column, tile in row.items():
            picture = "" if tile.picture is None else address(tile.picture)
            tiles.append([column, picture, tile.text])
        tasks.append([task, tiles])
    return {"title": item.title, "image": address(item.image), "tasks": tasks}
