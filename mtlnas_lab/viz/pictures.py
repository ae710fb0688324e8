"""What the networks see and say: image, truth and prediction side by side."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import TaskError
from .style import FigureStyle
from .style import style as style_named


def plot_predictions(image, targets: Mapping, outputs: Mapping, tasks: Mapping, *, scores: Mapping | None = None,
                     style: str | FigureStyle = "paper-double"):
    """A figure with one row for each image: the image, then truth and prediction of each task.

    image (B, 3, H, W) or (3, H, W) with values 0…1; targets and outputs {task: batch}; tasks {task: object with
    `picture(x) -> (H, W, 3) uint8` and `labels`}: this module knows no model and no task. scores {task: text} goes above.
    """
    look = style_named(style)
    names = [name for name in tasks if name in outputs]
    if not names:
        raise TaskError(f"there are outputs of {', '.join(outputs) or 'nothing'} and tasks {', '.join(tasks) or 'none'}; "
                        "give outputs of a task that is in tasks")
    image = np.asarray(image)
    single = image.ndim == 3
    rows = (lambda x: x[None]) if single else (lambda x: x)
    image = rows(image)
    columns = 1 + sum(1 + (name in targets) for name in names)
    side = look.width / columns
    height = side * image.shape[2] / image.shape[3] * len(image) + 3.2 * look.font * 0.35
    with look.context():
        figure = look.figure(height, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, hspace=0.01, wspace=0.01)
        axes = figure.subplots(len(image), columns, squeeze=False)
        for row in range(len(image)):
            shown = [("image", (np.clip(image[row].transpose(1, 2, 0), 0, 1) * 255).round().astype(np.uint8), None)]
            for name in names:
                for what, values in (("truth", targets), ("prediction", outputs)):
                    if name in values:
                        shown.append((f"{name}: {what}", rows(values[name])[row], tasks[name]))
            for ax, (title, value, task) in zip(axes[row], shown):
                ax.set_axis_off()
                picture = value if task is None else np.asarray(task.picture(value))
                ax.imshow(picture, interpolation="nearest")
                if row == 0:
                    more = (scores or {}).get(title.partition(":")[0], "") if title.endswith("prediction") else ""
                    ax.set_title(title + (f"\n{more}" if more else ""), fontsize=look.small, loc="center", fontweight="normal",
                                 parse_math=False)
    return figure
