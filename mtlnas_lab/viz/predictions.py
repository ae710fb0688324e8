"""What the networks see and say: image, truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import TaskError
from .origin import remember
from .style import PT, FigureStyle, drawable, noting, shorten, warn_of_boxes
from .style import style as style_named


def plot_predictions(
    image,
    targets: Mapping,
    outputs: Mapping,
    tasks: Mapping,
    *,
    scores: Mapping | None = None,
    style: str | FigureStyle = "paper-double",
):
    """A figure with one row for each image: the image, then truth and prediction of each task.

    image (B, 3, H, W) or (3, H, W), values 0…1; targets and outputs {task: batch}; tasks {task: object with
    `picture(x) -> (H, W, 3) uint8`}: no model is known here. scores {task: text} goes above its prediction.
    """
    look = style_named(style)
    names = [name for name in tasks if name in outputs]
    if not names:
        raise TaskError(
            f"outputs are of {', '.join(outputs) or 'nothing'}, tasks are {', '.join(tasks) or 'none'}; "
            "give outputs of a task that is in tasks"
        )
    image = np.asarray(image)
    if image.ndim == 3:  # one image: a batch of it
        image = image[None]
        targets = {name: value[None] for name, value in targets.items()}
        outputs = {name: value[None] for name, value in outputs.items()}
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    columns = [Column("image", pixels, np.asarray)]
    for name in names:
        picture = tasks[name].picture
        if name in targets:
            columns.append(Column(f"{name}: truth", targets[name], picture))
        title = f"{name}: prediction"
        if scores and name in scores:
            title += f"\n{scores[name]}"
        columns.append(Column(title, outputs[name], picture))
    return _draw(columns, look)


class Column(NamedTuple):
    """One kind of picture, of every image of the batch."""

    title: str
    values: Sequence
    picture: Callable  # makes (H, W, 3) uint8 of one value


def _draw(columns: list[Column], look: FigureStyle):
    """A row for each image; the figure is so high that pixels are square."""
    count, height, width, _ = columns[0].values.shape
    room = look.width / len(columns)  # mm of a column
    titles = 3.2 * look.font * PT
    with noting() as notes, look.context():
        figure = look.figure(room * height / width * count + titles, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, hspace=0.01, wspace=0.01)
        grid = figure.subplots(count, len(columns), squeeze=False)
        for row, axes in enumerate(grid):
            for ax, column in zip(axes, columns):
                ax.set_axis_off()
                shown = np.asarray(column.picture(column.values[row]))
                ax.imshow(shown, interpolation="nearest")
        for ax, column in zip(grid[0], columns):
            lines = [shorten(line, look.small, room) for line in column.title.split("\n")[:4]]
            plain = {"fontsize": look.small, "fontweight": "normal", "parse_math": False}
            ax.set_title("\n".join(map(drawable, lines)), loc="center", **plain)
    remember(figure, notes=tuple(notes.lines()))
    warn_of_boxes(notes)
    return figure
