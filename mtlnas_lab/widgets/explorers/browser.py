"""Image, truth, prediction and error of each task, before and after: one image at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import traitlets

from ...errors import ConfigError, MTLNASError
from .base import Explorer, address, colours, page


class PredictionBrowser(Explorer):
    """Goes through `items`, a sequence (it may compute an item when it is asked for) of

    {"image": picture, "tasks": {task: {column: picture, or (picture, text), or text}}, "title": text}

    where a picture is (H, W, 3) uint8; the columns are shown in the order of the first task, as 'truth', 'before', ….
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
        if not (isinstance(at, int) and 0 <= at < len(items)):
            raise ConfigError(f"there is no item {at!r}; items are 0 to {len(items) - 1}")
        self.items = items
        super().__init__(count=len(items), at=at)
        self.item, self._cells = self._read(at)
        self.observe(self._changed, "at")

    def _read(self, at: int) -> tuple[dict, dict]:
        """(what the page shows, {task: {column: (picture or None, text)}}) of an item."""
        item = self.items[at]
        if (
            not isinstance(item, Mapping)
            or not isinstance(item.get("tasks"), Mapping)
            or "image" not in item
        ):
            raise ConfigError(
                f'item {at} is no {{"image": …, "tasks": {{task: {{column: picture}}}}}}'
            )
        cells = {
            str(task): {str(column): _cell(value) for column, value in row.items()}
            for task, row in item["tasks"].items()
        }
        shown = [
            [
                task,
                [
                    [column, "" if picture is None else address(picture), text]
                    for column, (picture, text) in row.items()
                ],
            ]
            for task, row in cells.items()
        ]
        self._image = colours(item["image"])
        return {
            "title": str(item.get("title", f"image {at}")),
            "image": address(self._image),
            "tasks": shown,
        }, cells

    def _changed(self, change) -> None:
        with self._lock:
            try:
                if not 0 <= self.at < len(self.items):
                    raise ConfigError(
                        f"there is no item {self.at}; items are 0 to {len(self.items) - 1}"
                    )
                (self.item, self._cells), self.message = self._read(self.at), ""
            except MTLNASError as error:
                self.message = str(error)[:500]
            except Exception as error:  # items may be computed by anybody
                self.message = f"{type(error).__name__}: {error}"[:500]

    def caption(self) -> str:
        return f"{self.item['title']} ({self.at + 1} of {self.count}): " + ", ".join(
            f"{task} {column} {text}"
            for task, row in self._cells.items()
            for column, (_, text) in row.items()
            if text
        )

    def figure(self, look):
        count, columns = (
            len(self._cells),
            1 + max((len(row) for row in self._cells.values()), default=0),
        )
        figure = look.figure(count * (look.width / columns + 10), layout="constrained")
        for i, (task, row) in enumerate(self._cells.items()):
            cells = [("image", (self._image, "") if i == 0 else (None, "")), *row.items()]
            for k, (column, (picture, text)) in enumerate(cells):
                ax = figure.add_subplot(count, columns, i * columns + k + 1)
                ax.set_axis_off()
                if picture is not None:
                    ax.imshow(picture, interpolation="nearest")
                if k or i == 0:
                    ax.set_title(
                        f"{task}\n{column} {text}" if k else column,
                        fontsize=look.small,
                        weight="normal",
                    )
        return figure


def _cell(value) -> tuple:
    if isinstance(value, str):
        return None, value
    picture, text = value if isinstance(value, tuple) else (value, "")
    return colours(picture), str(text)
