"""What the networks see and say: image, truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import TaskError
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
    look, names = style_named(style), [name for name in tasks if name in outputs]
    if not names:
        raise TaskError(
            f"outputs are of {', '.join(outputs) or 'nothing'}, tasks are {', '.join(tasks) or 'none'}; "
            "give outputs of a task that is in tasks"
        )
    image = np.asarray(image)
    rows = (lambda x: x[None]) if image.ndim == 3 else (lambda x: x)
    image = (np.clip(rows(image), 0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    shown = [("image", image, np.asarray)]
    for name in names:
        if name in targets:
            shown.append((f"{name}: truth", rows(targets[name]), tasks[name].picture))
        score = f"\n{scores[name]}" if scores and name in scores else ""
        shown.append((f"{name}: prediction{score}", rows(outputs[name]), tasks[name].picture))
    height = (
        look.width / len(shown) * image.shape[1] / image.shape[2] * len(image)
        + 3.2 * look.font * PT
    )
    with noting() as notes, look.context():
        figure = look.figure(height, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, hspace=0.01, wspace=0.01)
        for row, axes in enumerate(figure.subplots(len(image), len(shown), squeeze=False)):
            for ax, (title, values, picture) in zip(axes, shown):
                ax.set_axis_off()
                ax.imshow(np.asarray(picture(values[row])), interpolation="nearest")
                if row == 0:
                    room = look.width / len(shown)
                    lines = [shorten(line, look.small, room) for line in title.split("\n")[:4]]
                    ax.set_title(
                        "\n".join(map(drawable, lines)),
                        fontsize=look.small,
                        loc="center",
                        fontweight="normal",
                        parse_math=False,
                    )
    figure.lab_notes = tuple(notes.lines())
    warn_of_boxes(notes)
    return figure
