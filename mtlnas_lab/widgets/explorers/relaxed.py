"""From u to a gate: the stochastic relaxation at one α and one temperature."""

from __future__ import annotations

import numpy as np
import traitlets

from ...viz.curves import gates
from .base import Explorer, page
from .sums import SAMPLES, concrete, uniform


class RelaxationExplorer(Explorer):
    """How u ~ U(0, 1) becomes a gate under α and the temperature τ, beside the deterministic σ(α) and the cut gate."""

    _esm = page("relaxed")
    alpha = traitlets.Float(0.7).tag(sync=True)
    temperature = traitlets.Float(0.5).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=2**31 - 1).tag(sync=True)
    samples = traitlets.Int(SAMPLES, min=1, max=20_000).tag(sync=True)

    def __init__(
        self, alpha: float = 0.7, temperature: float = 0.5, seed: int = 0, samples: int = SAMPLES
    ):
        super().__init__(alpha=alpha, temperature=temperature, seed=seed, samples=samples)

    def drawn(self) -> np.ndarray:
        """(samples,) the gates that are shown."""
        return concrete(uniform(self.seed, self.samples), self.alpha, self.temperature)

    def caption(self) -> str:
        z = self.drawn()
        above = np.mean(z > 0.5)
        near = np.mean(abs(z - 0.5) > 0.45)
        return (
            f"Stochastic gates at α = {self.alpha:.2f}, τ = {self.temperature:.2f}: {above:.1%} of {len(z)} "
            f"samples lie above ½ (expected: σ(α) = {gates(self.alpha):.1%}), {near:.0%} within 0.05 of 0 or 1"
        )

    def figure(self, look):
        figure = look.figure(0.32 * look.width, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
        color = look.task_colors[0]
        u = np.linspace(0.001, 0.999, 400)
        left.plot(
            u, concrete(u, self.alpha, self.temperature), color=color, label="stochastic gate"
        )
        left.set(xlabel="u, uniform in 0…1", ylabel="gate z", title="From u to a gate")
        z = self.drawn()
        right.hist(z, bins=40, range=(0, 1), orientation="horizontal", color=color, alpha=0.6)
        right.set(xlabel=f"of {len(z)} samples", title="How often which gate")
        other = {"ls": "--", "color": look.task_colors[5], "label": "deterministic gate σ(α)"}
        cut = {"ls": ":", "color": look.soft, "label": "cut here: ½"}
        for ax in (left, right):
            ax.axhline(gates(self.alpha), **other)
            ax.axhline(0.5, **cut)
        left.legend(loc="best")
        return figure
