"""From u to a gate: the stochastic relaxation at one α and one temperature."""

from __future__ import annotations

import numpy as np
import traitlets

from ...viz.curves import gates
from .base import Explorer, page

SAMPLES = 2000
FLOOR = 0.05  # of the temperature, as in relaxation.TEMPERATURE_FLOOR


def uniform(seed: int, count: int = SAMPLES) -> np.ndarray:
    """(count,) numbers in (0, 1), the same here and in the page: a counter through the mixer of MurmurHash3."""
    x = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(
        seed * 0x85EBCA6B & 0xFFFFFFFF
    )
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return (x + 0.5) / 2**32


def concrete(u, alpha: float, temperature: float) -> np.ndarray:
    """z = σ((α + ln u − ln(1 − u)) / τ), τ at least 0.05."""
    u = np.asarray(u)
    return gates((alpha + np.log(u) - np.log1p(-u)) / max(temperature, FLOOR))


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
        above, near = np.mean(z > 0.5), np.mean(abs(z - 0.5) > 0.45)
        return (
            f"Stochastic gates at α = {self.alpha:.2f}, τ = {self.temperature:.2f}: {above:.1%} of {len(z)} "
            f"samples lie above ½ (expected: σ(α) = {gates(self.alpha):.1%}), {near:.0%} within 0.05 of 0 or 1"
        )

    def figure(self, look):
        figure = look.figure(0.32 * look.width, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
        u, z = np.linspace(0.001, 0.999, 400), self.drawn()
        left.plot(
            u,
            concrete(u, self.alpha, self.temperature),
            color=look.task_colors[0],
            label="stochastic gate",
        )
        left.set(xlabel="u, uniform in 0…1", ylabel="gate z", title="From u to a gate")
        right.hist(
            z, bins=40, range=(0, 1), orientation="horizontal", color=look.task_colors[0], alpha=0.6
        )
        right.set(xlabel=f"of {len(z)} samples", title="How often which gate")
        for ax in (left, right):
            ax.axhline(
                gates(self.alpha),
                ls="--",
                color=look.task_colors[5],
                label="deterministic gate σ(α)",
            )
            ax.axhline(0.5, ls=":", color=look.soft, label="cut here: ½")
        left.legend()
        return figure
