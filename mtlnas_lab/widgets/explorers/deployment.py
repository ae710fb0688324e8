"""Toggle the tasks that are wanted and slide the budget: the graph that a generator has for them, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import traitlets

from ...core.architecture import Architecture
from ...core.space import SearchSpace
from ...errors import ConfigError
from ...viz.graph.plot import plot_fusion_graph
from ..studio.panel import stage
from .base import STYLE, Explorer, page

NEEDED = ("kept", "cost", "loss", "alone")  # of each answer


class DeploymentExplorer(Explorer):
    """Shows the graph of a deployment: which tasks are wanted, and how much fusion may cost.

    The page holds an answer for each set of tasks and each budget, so that it is drawn anew while the slider moves.

    Args:
        space: of T tasks and E edges.
        budgets: shares from 0 to 1, in ascending order.
        answers: {tasks wanted, as bits such as "101": an answer for each budget}; an answer is {"kept": E booleans, "cost":
            share, "loss": T losses, "alone": T losses without any edge}, as `explore.eas.answers` gives them.
        wanted: T booleans, at first; by default all.
        budget: at first.

    Raises:
        ConfigError: for answers that are missing or incomplete.
    """

    _esm = page("deployment")
    stage = traitlets.Dict().tag(sync=True)
    budgets = traitlets.List().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    wanted = traitlets.List(traitlets.Bool()).tag(sync=True)
    budget = traitlets.Float(0.5).tag(sync=True)

    def __init__(
        self,
        space: SearchSpace,
        budgets: Sequence[float],
        answers: Mapping[str, Sequence[Mapping]],
        wanted: Sequence[bool] | None = None,
        budget: float = 0.5,
    ):
        self.space = space
        tasks = len(space.tasks)
        if wanted is None:
            wanted = (True,) * tasks
        missing = []
        for bits in _subsets(tasks):
            if len(answers.get(bits, ())) != len(budgets):
                missing.append(bits)
        if missing or not budgets:
            raise ConfigError(
                f"there is no answer for each of {len(budgets)} budgets where the tasks wanted are {', '.join(missing[:3])}; "
                "give all sets of tasks, as explore.eas.answers does"
            )
        super().__init__(
            stage=stage(space),
            budgets=[float(one) for one in budgets],
            answers=_all_plain(answers, space),
            wanted=[bool(one) for one in wanted],
            budget=float(budget),
        )

    @traitlets.validate("wanted")
    def _some(self, proposal):
        wanted = proposal["value"]
        if len(wanted) != len(self.space.tasks) or not any(wanted):
            raise traitlets.TraitError(
                f"wanted = {wanted}: say of each of {', '.join(self.space.tasks)} whether it is wanted, of one at least yes"
            )
        return wanted

    # --- what is shown --------------------------------------------------------------------------------------------------
    @property
    def answer(self) -> dict:
        """What is stored for the tasks wanted and the nearest budget."""
        rows = self.answers["".join(str(int(one)) for one in self.wanted)]
        return rows[int(np.abs(np.array(self.budgets) - self.budget).argmin())]

    @property
    def architecture(self) -> Architecture:
        """The graph that is shown."""
        return Architecture(self.space, tuple(bit == "1" for bit in self.answer["kept"]))

    def caption(self) -> str:
        losses = []
        for task, loss, one in zip(self.space.tasks, self.answer["loss"], self.wanted):
            if one:
                losses.append(f"{task} loss {loss:.4g}")
        graph = self.architecture
        return (
            f"{', '.join(losses)} with {len(graph)} of {len(self.space)} edges, which cost {self.answer['cost']:.0%} of all "
            f"where {self.budget:.0%} are allowed"
        )

    def figure(self, look):
        figure = look.figure(0.42 * look.width, layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.3, 1))
        figure.canvas.draw()  # the graph is drawn for the size that its axes have
        title = f"Budget {self.budget:.0%}, cost {self.answer['cost']:.0%}"
        axes = left.add_axes((0, 0.05, 1, 0.9))
        plot_fusion_graph(self.architecture, axes, style=STYLE, title=title)
        ax = right.add_subplot()
        asked = [place for place, one in enumerate(self.wanted) if one]
        rows = self.answers["".join(str(int(one)) for one in self.wanted)]
        shares = []
        for row in rows:
            shares.append(np.mean([row["loss"][t] / row["alone"][t] for t in asked]))
        ax.plot(self.budgets, shares, color=look.task_colors[0], marker="o", markersize=3)
        ax.axhline(1, color=look.soft, ls="--", lw=1)
        ax.plot(
            [self.budget], [np.interp(self.budget, self.budgets, shares)], "o", mfc="none", ms=9
        )
        ax.set(xlabel="budget", ylabel="loss / loss without edges")
        return figure


def _subsets(tasks: int) -> list[str]:
    """All sets of tasks but the empty one, as bits."""
    return [format(number, f"0{tasks}b") for number in range(1, 2**tasks)]


def _all_plain(answers: Mapping[str, Sequence[Mapping]], space: SearchSpace) -> dict:
    plain = {}
    for bits, rows in answers.items():
        plain[bits] = [_plain(row, space) for row in rows]
    return plain


def _plain(answer: Mapping, space: SearchSpace) -> dict:
    """An answer as JSON holds it. Raises ConfigError."""
    try:
        kept, cost, loss, alone = (answer[name] for name in NEEDED)
        bits = "".join(str(int(bool(one))) for one in kept)
        numbers = [float(cost), *map(float, loss), *map(float, alone)]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"an answer is incomplete ({error!r}); it has {', '.join(NEEDED)}"
        ) from None
    tasks = len(space.tasks)
    if len(bits) != len(space) or len(numbers) != 1 + 2 * tasks or not np.isfinite(numbers).all():
        raise ConfigError(
            f"an answer has {len(bits)} gates and {len(numbers) - 1} losses; give {len(space)} gates, and {tasks} losses twice"
        )
    return {
        "kept": bits,
        "cost": round(numbers[0], 4),
        "loss": [round(one, 5) for one in numbers[1 : 1 + tasks]],
        "alone": [round(one, 5) for one in numbers[1 + tasks :]],
    }
