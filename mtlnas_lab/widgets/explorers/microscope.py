"""One candidate edge under the microscope: two forces on its α, and the point from which it tips to 0 or to 1."""

from __future__ import annotations

import numpy as np
import traitlets

from ...errors import ConfigError
from ...runs.event_log import EventLog
from ...viz.curves import gates
from ..studio.encoding import frame
from ..studio.panel import stage
from .base import Explorer, page, searched
from .sums import descend, phase, tipping

# Without a log: the edges of the paper's VGG-16 space.
EDGES = 48
STEPS = 300


class EdgeMicroscope(Explorer):
    """One edge: what pulls at its α, where it tips, and where gradient descent takes it.

    With a log the recorded journey of the edge is drawn behind, and the descent begins where the edge stood when λ came
    on.

    Args:
        log_or_run: a log, a run or its folder; None: an edge of nobody.
        edge: of the log, 'normals:2 -> segmentation:3' or its number; by default the edge that the tasks pulled at most.
        edges: E without a log.

    Raises:
        RunError: for a log without steps.
        SpaceError: for an edge that is not in its space.
    """

    _esm = page("microscope")
    alpha = traitlets.Float(0.8).tag(sync=True)  # where it starts
    gradient = traitlets.Float(0.1).tag(sync=True)  # ∂L/∂z
    weight = traitlets.Float(10.0).tag(sync=True)  # λ
    rate = traitlets.Float(2.0).tag(sync=True)
    begin = traitlets.Int(0).tag(sync=True)  # the descent goes from this step
    steps = traitlets.Int(STEPS).tag(sync=True)  # to this one
    edges = traitlets.Int(EDGES).tag(sync=True)  # E
    edge = traitlets.Int(-1).tag(sync=True)  # of the log
    stage = traitlets.Dict().tag(sync=True)
    frame = traitlets.Bytes(b"").tag(sync=True)
    known = traitlets.List().tag(sync=True)  # each edge's [α at `begin`, ∂L/∂z fitted to its log]

    def __init__(self, log_or_run=None, edge=None, *, edges: int = EDGES):
        self.history: EventLog | None = None
        if log_or_run is None:
            if edge is not None:
                raise ConfigError(f"edge {edge!r} of which search? give a log or a run first")
            super().__init__(edges=edges)
            return
        log, space = searched(log_or_run, "edge to look at")
        self.history = log
        fitted = fitted_gradient(log)
        weight = np.nan_to_num(log.column("entropy_weight"))
        row = int(np.argmax(weight > 0))  # where λ comes on; 0 where it never does
        first = log.steps[row]
        last = log.steps[-1]
        known = np.stack([np.nan_to_num(first.alpha), fitted], axis=1).round(8)
        super().__init__(
            edges=len(space),
            stage=stage(space),
            frame=frame(log),
            rate=1.0,
            weight=float(weight.max()),
            begin=int(first.step),
            steps=int(last.step),
            known=known.tolist(),
        )
        if edge is None:
            edge = int(np.abs(fitted).argmax())
        self.choose(edge)

    def choose(self, edge) -> EdgeMicroscope:
        """Look at another edge of the log."""
        if self.history is None:
            raise ConfigError(
                "there is no log to choose an edge of; give one: EdgeMicroscope(log, edge)"
            )
        space = self.history.space
        number = edge
        if not isinstance(edge, int):
            number = space.index(edge)
        elif not 0 <= edge < len(space):
            raise ConfigError(f"edge {edge} is not there; the log has edges 0 to {len(space) - 1}")
        with self._lock:
            self.edge = number
            self.alpha, self.gradient = self.known[number]
        return self

    def path(self) -> np.ndarray:
        """(steps − begin + 1,) α as it is shown."""
        steps = self.steps - self.begin
        return descend(self.alpha, self.gradient, self.weight, self.rate, steps, self.edges)

    def caption(self) -> str:
        name = "One edge"
        if self.stage:
            name = f"Edge {self.stage['names'][self.edge]}"
        tip = tipping(self.gradient, self.weight, self.edges)
        outlook = "without the entropy term nothing tips"
        if tip is not None:
            outlook = f"it tips at α = {tip:.2f}"
        steps = self.steps - self.begin
        begin = gates(self.alpha)
        end = gates(self.path()[-1])
        return (
            f"{name}: from α = {self.alpha:.2f} (σ = {begin:.2f}) under λ = {self.weight:.3g} the gate "
            f"is {end:.2f} after {steps} steps of gradient descent; {outlook}"
        )

    def figure(self, look):
        figure = look.figure(0.32 * look.width, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
        self._draw_forces(left, look)
        self._draw_journey(right, look)
        return figure

    def _journey(self) -> np.ndarray:
        """(S,) the recorded α of this edge; (0,) without a log."""
        if self.history is None:
            return np.zeros(0)
        return self.history.alpha[:, self.edge]

    def _draw_forces(self, ax, look) -> None:
        farthest = np.ceil(np.abs(self._journey()).max(initial=0))
        end = max(6.0, farthest, abs(self.alpha))
        alpha = np.linspace(-end, end, 241)
        forces = phase(alpha, self.gradient, self.weight, self.edges)
        tasks = look.task_colors[0]
        entropy = look.task_colors[5]
        ax.plot(alpha, forces["speed"], color=look.ink, label="sum, dα/dt")
        ax.plot(alpha, -forces["tasks"], "--", color=tasks, label="tasks −∂L/∂α")
        ax.plot(alpha, -forces["entropy_gradient"], ":", color=entropy, label="entropy −∂(λH)/∂α")
        tip = tipping(self.gradient, self.weight, self.edges)
        if tip is not None and abs(tip) <= end:
            ax.plot(tip, 0, "o", mfc=look.paper, mec=look.ink, label="tips here")
        ax.plot(self.alpha, 0, "D", color=look.ink, label="start")
        ax.axhline(0, color=look.soft, lw=0.7)
        ax.set(xlabel="α", ylabel="pull on α", title="Forces on one α")
        ax.legend(loc="best")

    def _draw_journey(self, ax, look) -> None:
        if self.history is not None:
            steps = self.history.column("step")
            ax.plot(steps, gates(self._journey()), "--", color=look.soft, label="recorded")
        path = self.path()
        steps = self.begin + np.arange(len(path))
        ax.plot(steps, gates(path), color=look.ink, label="gradient descent")
        ax.set(xlabel="step", ylabel="gate σ(α)", ylim=(-0.03, 1.03), title="Where it goes")
        ax.legend(loc="best")


def fitted_gradient(log: EventLog) -> np.ndarray:
    """(E,) the ∂L/∂z of each edge, taken as constant, that fits the recorded ∂L/∂α = ∂L/∂z·p(1 − p) best."""
    p = gates(log.alpha)
    slope = np.nan_to_num(p * (1 - p))
    gradient = np.nan_to_num(log.alpha_grad, posinf=0, neginf=0)
    squares = (slope * slope).sum(0)
    return (gradient * slope).sum(0) / np.maximum(squares, 1e-12)
