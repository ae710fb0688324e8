"""One candidate edge under the microscope: two forces on its α, and the point from which it tips to 0 or to 1."""

from __future__ import annotations

import numpy as np
import traitlets

from ...errors import ConfigError, RunError
from ...viz.curves import edge_entropy, gates, read_log
from ..studio.encoding import frame, space_of, stage
from .base import Explorer, page

EDGES, STEPS = 48, 300  # without a log: the edges of the paper's VGG-16 space


def phase(alpha, gradient: float, weight: float, edges: int = 1) -> dict[str, np.ndarray]:
    """What moves one α. gradient: ∂L/∂z of the task losses by the gate z = σ(α), taken as constant; weight: λ of the
    mean entropy over `edges` edges. With p = σ(α):

    `tasks` = gradient·p(1 − p) = ∂L/∂α, `entropy_gradient` = −λ/E·α·p(1 − p) = ∂(λ·mean H)/∂α,
    `speed` = −(tasks + entropy_gradient) = dα/dt, `p`, `entropy` (H, nats). Arrays of α's shape.
    """
    alpha = np.asarray(alpha, dtype=float)
    p = gates(alpha)
    tasks, entropy = gradient * p * (1 - p), -weight / max(edges, 1) * alpha * p * (1 - p)
    return {
        "p": p,
        "entropy": edge_entropy(alpha),
        "tasks": tasks,
        "entropy_gradient": entropy,
        "speed": -(tasks + entropy),
    }


def tipping(gradient: float, weight: float, edges: int = 1) -> float | None:
    """The fixed point of `phase`, α = gradient·E/λ: above it the gate goes to 1, below it to 0. None for λ = 0."""
    return gradient * edges / weight if weight > 0 else None


def descend(
    alpha: float, gradient: float, weight: float, rate: float, steps: int, edges: int = 1
) -> np.ndarray:
    """(steps + 1,) α under plain gradient descent with learning rate `rate`."""
    path = np.empty(steps + 1)
    path[0] = alpha
    for step in range(steps):
        path[step + 1] = path[step] + rate * phase(path[step], gradient, weight, edges)["speed"]
    return path


class EdgeMicroscope(Explorer):
    """`EdgeMicroscope()`, or with a log, a run or its folder, and an edge of it ('normals:2 -> segmentation:3', or its
    number; by default the edge that the tasks pulled at most). Then the recorded journey of that edge is drawn behind,
    and the descent begins where the edge stood when λ came on.

    Raises RunError for a log without steps, SpaceError for an edge that is none.
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
        self.history = None
        if log_or_run is None:
            if edge is not None:
                raise ConfigError(f"edge {edge!r} of which search? give a log or a run first")
            super().__init__(edges=edges)
            return
        self.history = log = read_log(log_or_run)
        space = space_of(log)
        if not log.steps or space is None:
            raise RunError(
                "this log has no step with edges, so there is no edge to look at; give the log of a search"
            )
        slope = np.nan_to_num(gates(log.alpha) * (1 - gates(log.alpha)))
        grad = np.nan_to_num(log.alpha_grad, posinf=0, neginf=0)
        fitted = (grad * slope).sum(0) / np.maximum((slope * slope).sum(0), 1e-12)
        weight = np.nan_to_num(log.column("entropy_weight"))
        row = int(np.argmax(weight > 0))  # 0 where λ never comes on
        super().__init__(
            edges=len(space),
            stage=stage(space),
            frame=frame(log),
            rate=1.0,
            weight=float(weight.max()),
            begin=int(log.steps[row].step),
            steps=int(log.steps[-1].step),
            known=np.stack([np.nan_to_num(log.alpha[row]), fitted], 1).round(8).tolist(),
        )
        self.choose(int(np.abs(fitted).argmax()) if edge is None else edge)

    def choose(self, edge) -> EdgeMicroscope:
        """Look at another edge of the log."""
        if self.history is None:
            raise ConfigError(
                "there is no log to choose an edge of; give one: EdgeMicroscope(log, edge)"
            )
        space, number = self.history.space, edge
        if not isinstance(edge, int):
            number = space.index(edge)
        elif not 0 <= edge < len(space):
            raise ConfigError(f"edge {edge} is not there; the log has edges 0 to {len(space) - 1}")
        with self._lock:
            self.edge, (self.alpha, self.gradient) = number, self.known[number]
        return self

    def path(self) -> np.ndarray:
        """(steps − begin + 1,) α as it is shown."""
        return descend(
            self.alpha, self.gradient, self.weight, self.rate, self.steps - self.begin, self.edges
        )

    def caption(self) -> str:
        tip = tipping(self.gradient, self.weight, self.edges)
        name = f"Edge {self.stage['names'][self.edge]}" if self.stage else "One edge"
        return (
            f"{name}: from α = {self.alpha:.2f} (σ = {gates(self.alpha):.2f}) under λ = {self.weight:.3g} the gate "
            f"is {gates(self.path()[-1]):.2f} after {self.steps - self.begin} steps of gradient descent; "
            + (
                "without the entropy term nothing tips"
                if tip is None
                else f"it tips at α = {tip:.2f}"
            )
        )

    def figure(self, look):
        figure = look.figure(0.32 * look.width, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
        journey = self.history.alpha[:, self.edge] if self.history else np.zeros(0)
        end = max(6.0, np.ceil(np.abs(journey).max(initial=0)), abs(self.alpha))
        alpha = np.linspace(-end, end, 241)
        found = phase(alpha, self.gradient, self.weight, self.edges)
        left.plot(alpha, found["speed"], color=look.ink, label="sum, dα/dt")
        left.plot(alpha, -found["tasks"], "--", color=look.task_colors[0], label="tasks −∂L/∂α")
        left.plot(
            alpha,
            -found["entropy_gradient"],
            ":",
            color=look.task_colors[5],
            label="entropy −∂(λH)/∂α",
        )
        tip = tipping(self.gradient, self.weight, self.edges)
        if tip is not None and abs(tip) <= end:
            left.plot(tip, 0, "o", mfc=look.paper, mec=look.ink, label="tips here")
        left.plot(self.alpha, 0, "D", color=look.ink, label="start")
        left.axhline(0, color=look.soft, lw=0.7)
        left.set(xlabel="α", ylabel="pull on α", title="Forces on one α")
        left.legend()
        if self.history:
            right.plot(
                self.history.column("step"), gates(journey), "--", color=look.soft, label="recorded"
            )
        path = self.path()
        right.plot(
            self.begin + np.arange(len(path)), gates(path), color=look.ink, label="gradient descent"
        )
        right.set(xlabel="step", ylabel="gate σ(α)", ylim=(-0.03, 1.03), title="Where it goes")
        right.legend()
        return figure
