"""Checks of notebook 12: the two forces of Aux-NAS, and how much a residual fusion with small gates changes."""

from __future__ import annotations

import torch

from ...core.relaxation import edge_entropy
from ..checking import exercise
from .common import bars, differ, near_misses, numbers

ALPHAS = [
    [-2.0, 0.5, 1.5, -0.5],
    [0.0, 0.0, 0.0, 0.0],
    [3.0, -4.0, 2.0, 1.0],
    [1.0, 2.0, -1.0, 0.3],
]
INTO = [[True, True, False, False], [True, False, True, False], [True, False, False, False]]
INTO.append([False, True, True, True])
WEIGHTS = [(10.0, 100.0), (2.0, 3.0), (10.0, 1000.0), (5.0, 0.5)]


# --- the two forces -------------------------------------------------------------------------------------------------------
@exercise("12.forces")
def forces(answer, ax):
    """Entropy on edges out of the primary network, L1 on those into it."""
    cases = []
    for alpha, into, weights in zip(ALPHAS, INTO, WEIGHTS):
        cases.append((torch.tensor(alpha), torch.tensor(into), *weights))
    right = [_forces(*case) for case in cases]
    yours = numbers(answer, cases, "what is added to the tasks' losses")
    bars(ax, right, yours, [f"case {i}" for i in range(len(cases))], "penalty")
    ax.set_yscale("symlog")

    def each(way):
        return [float(way(*case)) for case in cases]

    mistakes = {}
    mistakes[
        "the directions are exchanged: entropy belongs on edges out of the primary network, L1 on those into it"
    ] = each(lambda alpha, into, h, one: _forces(alpha, ~into, h, one))
    mistakes["both forces act on all edges; use `into` to choose"] = each(
        lambda alpha, into, h, one: h * edge_entropy(alpha).mean() + one * alpha.sigmoid().mean()
    )
    mistakes["each mean is over the edges of its own direction; yours divide by all edges"] = each(
        lambda alpha, into, h, one: _summed(alpha, into, h, one) / len(alpha)
    )
    mistakes["a mean over the edges of each direction, not a sum"] = each(_summed)
    mistakes["L1 is the mean of p = σ(α), not of |α|"] = each(
        lambda alpha, into, h, one: _out(alpha, into, h) + one * alpha[into].abs().mean()
    )
    mistakes["L1 is the mean of p = σ(α), not of α"] = each(
        lambda alpha, into, h, one: _out(alpha, into, h) + one * alpha[into].mean()
    )
    mistakes["the weights are missing: entropy_weight and l1_weight"] = each(
        lambda alpha, into, h, one: _forces(alpha, into, 1.0, 1.0)
    )
    mistakes["the weights are exchanged"] = each(
        lambda alpha, into, h, one: _forces(alpha, into, one, h)
    )
    mistakes["only the entropy is there; L1 on edges into the primary network is missing"] = each(
        lambda alpha, into, h, one: _out(alpha, into, h)
    )
    mistakes["only L1 is there; entropy on edges out of the primary network is missing"] = each(
        lambda alpha, into, h, one: one * alpha[into].sigmoid().mean()
    )
    places = [f"with α = {alpha}, into = {into}," for alpha, into in zip(ALPHAS, INTO)]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-3, rtol=1e-4)
    return "L1 pushes one direction shut, entropy makes the other decide. Without L1 this is MTL-NAS for one direction."


def _out(alpha: torch.Tensor, into: torch.Tensor, entropy_weight: float) -> torch.Tensor:
    return entropy_weight * edge_entropy(alpha[~into]).mean()


def _forces(alpha: torch.Tensor, into: torch.Tensor, entropy_weight: float, l1_weight: float):
    return float(_out(alpha, into, entropy_weight) + l1_weight * alpha[into].sigmoid().mean())


def _summed(alpha: torch.Tensor, into: torch.Tensor, entropy_weight: float, l1_weight: float):
    return (
        entropy_weight * edge_entropy(alpha[~into]).sum() + l1_weight * alpha[into].sigmoid().sum()
    )


# --- what is removed ------------------------------------------------------------------------------------------------------
@exercise("12.change")
def change(answer, ax):
    """How much a primary feature changes when its sources are removed."""
    draw = torch.Generator().manual_seed(25)
    cases = []
    for gates in ([0.5, 0.9], [0.01, 0.001], [0.0, 0.0], [0.2, 0.0]):
        weight = torch.randn(3, 2, generator=draw)
        sources = torch.randn(2, 7, generator=draw)
        cases.append((weight, torch.tensor(gates), sources))
    right = [float(_added(*case).abs().max()) for case in cases]
    yours = numbers(answer, cases, "the largest change")
    bars(ax, right, yours, [f"z = {case[1].tolist()}" for case in cases], "largest change")
    ax.tick_params(axis="x", labelsize=7)

    def each(way):
        return [float(way(*case)) for case in cases]

    mistakes = {}
    mistakes["the gates are missing: each source counts z times"] = each(
        lambda w, z, s: (w @ s).abs().max()
    )
    mistakes[
        "this is the largest value, but a change may be negative: take absolute values first"
    ] = each(lambda w, z, s: _added(w, z, s).max())
    mistakes["this is the mean change; the largest one is asked for"] = each(
        lambda w, z, s: _added(w, z, s).abs().mean()
    )
    mistakes["the weights are missing: W·[z_1 F_1, z_2 F_2]"] = each(
        lambda w, z, s: (z[:, None] * s).abs().max()
    )
    mistakes["this is the sum of all changes; the largest one is asked for"] = each(
        lambda w, z, s: _added(w, z, s).abs().sum()
    )
    mistakes["the gates are squared somewhere: each source counts z times"] = each(
        lambda w, z, s: _added(w, z * z, s).abs().max()
    )
    mistakes["this is the largest gate; multiply the sources by gates and weights"] = each(
        lambda w, z, s: z.max()
    )
    places = [f"with z = {case[1].tolist()}" for case in cases]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6, rtol=1e-4)
    return "With z = 0 nothing changes at all, and what is small in z is small in the output: that is why L1 may cut for free."


def _added(weight: torch.Tensor, gates: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
    return weight @ (gates[:, None] * sources)
