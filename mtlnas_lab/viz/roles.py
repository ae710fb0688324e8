"""Primary and auxiliary networks as pictures: how the gates of each direction end, and what the primary network costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..errors import ConfigError
from .heatmap import plot_heatmap
from .study_plots import LOOK, in_style
from .style import TASK_COLORS, brief, shorten

OUT = {"color": TASK_COLORS[0], "marker": "o", "linestyle": "-", "label": "primary → auxiliary"}
INTO = {"color": TASK_COLORS[1], "marker": "s", "linestyle": "--", "label": "auxiliary → primary"}


@in_style
def plot_roles(
    space,
    alpha: Sequence[float],
    primary: str,
    price: Mapping[str, int],
    difference: float,
    step: int | None = None,
):
    """σ(α) of both directions, and a counter: what the primary network costs, and what cutting it loose would change now.

    Args:
        space: with E candidate edges.
        alpha: E logits, as they are at this step.
        primary: the task that is wanted in the end.
        price: multiply-adds of one image: {"training": all networks, "use": the primary one alone}.
        difference: the largest change of a primary output where the auxiliary networks are removed now.
        step: of the search, for the title.

    Returns:
        The matplotlib figure.

    Raises:
        ConfigError: the primary task is not there, or a price is missing.

    Example:
        >>> from mtlnas_lab import SearchSpace
        >>> from mtlnas_lab.core.space import plan
        >>> space = SearchSpace.build(dict.fromkeys(["a", "b"], plan([8, 16], [1, 1])))
        >>> figure = plot_roles(space, [-3, -3, 2, 2], "a", {"training": 2_000_000, "use": 1_000_000}, 0.02)
        >>> [text.get_text() for text in figure.axes[-1].texts]
        [' 2.00 M', ' 1.00 M']
    """
    if primary not in space.tasks or not {"training", "use"} <= set(price):
        raise ConfigError(
            f"primary = {brief(primary)}, price = {brief(str(price))}: give one of {', '.join(space.tasks)}, and multiply-adds "
            "of training and use"
        )
    figure = LOOK.figure(0.4 * LOOK.width, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    title = "Gates" if step is None else f"Gates after step {step}"
    plot_heatmap(space, alpha=list(alpha), ax=left.add_subplot(), style=LOOK, title=title)
    ax = right.add_subplot()
    names = ["training:\nall networks", f"use:\n{shorten(primary, LOOK.font, 30)} alone"]
    millions = [price["training"] / 1e6, price["use"] / 1e6]
    hatch = ["", "//"]
    ax.barh(names, millions, color=[TASK_COLORS[2], TASK_COLORS[0]], hatch=hatch, height=0.55)
    for y, value in enumerate(millions):
        ax.text(value, y, f" {value:.2f} M", va="center", ha="left", fontsize=LOOK.font)
    ax.set(
        xlim=(0, 1.35 * max(millions)),
        ylim=(1.6, -0.6),
        xlabel="million multiply-adds of one image",
    )
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.grid(axis="y", visible=False)
    ax.set_title(f"Cut loose now: output ± {difference:.2g}", loc="left", fontsize=LOOK.font)
    return figure


@in_style
def plot_shutting(gates, differences, limit: float = 1e-3):
    """Each gate over the steps by its direction, and below it what removing the auxiliary networks would change.

    Args:
        gates: frame: step, edge, into (whether it leads into the primary network), p = σ(α); a line for each.
        differences: frame: step, difference: the largest change of a primary output.
        limit: below it the output counts as the same.

    Returns:
        The matplotlib figure.

    Example:
        >>> import pandas as pd
        >>> gates = pd.DataFrame({"step": [1, 2], "edge": ["b:0 -> a:0"] * 2, "into": [True] * 2, "p": [0.5, 0.1]})
        >>> figure = plot_shutting(gates, pd.DataFrame({"step": [1, 2], "difference": [0.2, 1e-4]}))
        >>> figure.axes[1].get_yscale()
        'log'
    """
    figure = LOOK.figure(0.62 * LOOK.width, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for into, look in ((False, OUT), (True, INTO)):
        part = gates[gates["into"] == into]
        plain = {name: look[name] for name in ("color", "linestyle")}
        for _, line in part.groupby("edge", sort=False):
            above.plot(line.step, line.p, lw=0.8, alpha=0.5, **plain)
        mean = part.groupby("step").p.mean()
        every = max(len(mean) // 12, 1)
        above.plot(mean.index, mean, lw=2.2, markevery=every, markersize=5, **look)
    above.set(ylabel="gate σ(α)", ylim=(-0.03, 1.03))
    found = np.maximum(differences.difference, 1e-9)  # a logarithm has no 0
    changed = {"color": LOOK.ink, "marker": "D", "markersize": 4, "lw": 1.4}
    below.plot(differences.step, found, label="largest change of an output", **changed)
    below.axhline(limit, color=LOOK.soft, lw=1.4, ls=":", label=f"counts as the same: {limit:g}")
    below.set(yscale="log", xlabel="step of the search", ylabel="cut loose now:\nchange of output")
    figure.legend(loc="outside upper center", ncols=4)
    return figure
