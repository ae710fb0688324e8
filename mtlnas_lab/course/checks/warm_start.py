"""Checks of notebook 17: where a warm search begins, and one round of Reptile on α."""

from __future__ import annotations

import torch

from ..checking import Wrong, exercise
from .common import bars, close, differ, near_misses, row


# --- where it begins ----------------------------------------------------------------------------------------------------
@exercise("17.start")
def start(answer, ax):
    """κ · clip(α, −1, 1), edge by edge."""
    alpha = torch.tensor([-6.0, -1.5, -0.4, 0.0, 0.8, 5.0])
    kappa = 0.5
    right = kappa * alpha.clamp(-1, 1).double()
    yours = row(answer(alpha.clone(), kappa), len(alpha), "the edges")
    names = [f"α = {value:g}" for value in alpha.tolist()]
    bars(ax, right, yours, names, "start")

    exact = alpha.double()
    p = torch.sigmoid(exact)
    mistakes = {
        "this scales α and does not clip it: an edge that was decided at 6 would still be decided": kappa
        * exact,
        "this forgets κ": exact.clamp(-1, 1),
        "these are gates; α itself is asked, before the σ": torch.sigmoid(right),
        "this scales gates; do it on α": 0.5 + kappa * (p - 0.5),
    }
    late = (kappa * exact).clamp(-1, 1)
    mistakes["clip first, then multiply: otherwise κ does not say how far the start may be"] = late
    signs = kappa * exact.sign()
    mistakes["these are signs: an edge that was hardly decided begins as far out as the others"] = (
        signs
    )
    mistakes["clip on both sides: edges that were shut begin shut"] = kappa * exact.clamp(max=1)
    mistakes["edges below 0 keep their sign: they begin shut"] = kappa * exact.clamp(0, 1)
    places = [f"for {name}" for name in names]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    said = "right for κ = 0.5, but not for κ = 2"
    twice = row(answer.also(said, torch.tensor([3.0, -0.25]), 2.0), 2, "the edges")
    if not close(twice, [2.0, -0.5]):
        raise Wrong(f"{said}, where 3 and −0.25 begin at 2 and −0.5: use the argument")
    return "κ is the largest |α| of a start: no gate begins outside of σ(−κ) to σ(κ)."


# --- the meta start -----------------------------------------------------------------------------------------------------
@exercise("17.reptile")
def reptile(answer, ax):
    """One round of Reptile on α."""
    alpha = torch.tensor([0.5, 0.0, -1.0, 2.0])
    after = torch.tensor([[1.5, 0.3, -2.0, 2.0], [0.5, -0.6, -3.0, 0.0], [2.5, 0.0, -1.0, 1.0]])
    epsilon = 0.4
    moved = (after - alpha).double()
    begun = alpha.double()
    mean = moved.mean(0)
    right = begun + epsilon * mean
    yours = row(answer(alpha.clone(), after.clone(), epsilon), len(alpha), "the edges")
    bars(ax, right, yours, [f"edge {place}" for place in range(4)], "α after the round")

    mistakes = {
        "this is the mean of where the tasks went (ε = 1); go a share ε of the way there": begun
        + mean,
        "take the mean over the tasks, not the sum": begun + epsilon * moved.sum(0),
        "this goes away from the tasks: the sign is the other way round": begun - epsilon * mean,
        "this is the step alone; add it to α": epsilon * mean,
    }
    mistakes["this follows the last task alone"] = begun + epsilon * moved[-1]
    mistakes["this follows the first task alone"] = begun + epsilon * moved[0]
    stays = begun + (1 - epsilon) * mean
    mistakes["ε is the share of the way to the tasks, not of what stays"] = stays
    added = begun + epsilon * after.double().mean(0)
    mistakes["take off α before you scale: ε · (α after − α)"] = added
    places = [f"for edge {place}" for place in range(4)]
    near_misses(yours, right, mistakes, differ(right, yours, places), atol=1e-6)
    said = "right for three tasks, but not for one task and ε = 1"
    one = row(answer.also(said, torch.zeros(2), torch.tensor([[2.0, -3.0]]), 1.0), 2, "the edges")
    if not close(one, [2.0, -3.0]):
        raise Wrong(f"{said}, where α goes to where that task went: use the arguments")
    return "No gradient goes through the tasks' steps: Reptile looks at where they end."
