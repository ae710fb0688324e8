"""What a class guessed before an experiment spoke, a panel for each question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from ..errors import ConfigError
from .style import STYLES, drawable, shorten

LOOK = STYLES["web-light"]
COLUMNS = 2
ROOM = 60  # mm for a name


def plot_guesses(asked: Mapping[str, Mapping], counted: str = "readers"):
    """Draw the guesses of a class, question by question, and what the experiment said.

    Args:
        asked: {question: {"guesses": texts, "outcomes": texts}}; where all guesses are numbers they stand on an axis, others
            are counted.
        counted: What a bar or a dot is.

    Returns:
        The matplotlib figure.

    Raises:
        ConfigError: There is no guess.

    Example:
        >>> from mtlnas_lab.viz.guesses import plot_guesses
        >>> asked = {"07.pixels": {"guesses": ["40", "5", "5"], "outcomes": ["1.9 %"]}}
        >>> figure = plot_guesses(asked)
        >>> figure.axes[0].get_title(loc="left")
        '07.pixels: it is 1.9 %'
    """
    if not any(one["guesses"] for one in asked.values()):
        raise ConfigError(
            "nobody made a guess; guesses are read from notebooks in which reveal(…) was run behind one"
        )
    rows = math.ceil(len(asked) / COLUMNS)
    with LOOK.context():
        figure = LOOK.figure(height=8 + 48 * rows, layout="constrained")
        axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        for ax, (name, one) in zip(axes, asked.items()):
            _draw(ax, name, one, counted)
        for ax in axes[len(asked) :]:
            ax.set_axis_off()
        for ax in axes[: len(asked)]:
            ax.legend(loc="best", fontsize=LOOK.small)
    return figure


def _draw(ax, name: str, one: Mapping, counted: str) -> None:
    outcomes = Counter(one["outcomes"]).most_common(1)
    said = outcomes[0][0] if outcomes else "not known"
    ax.set_title(drawable(shorten(f"{name}: it is {said}", LOOK.font, 110)))
    numbers = [_number(guess) for guess in one["guesses"]]
    color = LOOK.colors(["guess", "outcome"])
    if None not in numbers:
        heights = []
        for i, value in enumerate(numbers):
            heights.append(numbers[:i].count(value) + 1)
        ax.plot(numbers, heights, "o", color=color["guess"], label="a guess")
        truth = _number(said.split(" ")[0].rstrip("%°"))
        if truth is not None:
            ax.axvline(truth, color=color["outcome"], ls="--", label="what happened")
        ax.set(xlabel="guess", ylabel=counted, ylim=(0, max(heights) + 1))
        ax.yaxis.get_major_locator().set_params(integer=True)
        return
    counts = Counter(one["guesses"]).most_common()
    labels = [drawable(shorten(guess, LOOK.small, ROOM)) for guess, _ in counts]
    ax.barh(
        range(len(counts)), [count for _, count in counts], color=color["guess"], label="guesses"
    )
    ax.set(yticks=range(len(counts)), yticklabels=labels, xlabel=counted)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.invert_yaxis()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
