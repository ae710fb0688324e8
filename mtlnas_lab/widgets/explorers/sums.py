"""The sums of the explorers, the same here as in the page (sums.js): a still picture shows what the panel showed."""

from __future__ import annotations

import numpy as np

from ...viz.curves import edge_entropy, gates

SAMPLES = 2000
FLOOR = 0.05  # of the temperature, as in core/relaxation.py

# The mixer of MurmurHash3: in turn a shift and a factor; and what the counter and the seed are multiplied with.
MIXER = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))
GOLDEN = 0x9E3779B9
SEED = 0x85EBCA6B
BITS = 0xFFFFFFFF


# --- one edge ---------------------------------------------------------------------------------------------------------
def phase(alpha, gradient: float, weight: float, edges: int = 1) -> dict[str, np.ndarray]:
    """What moves one α under the task losses and the entropy term.

    Args:
        alpha: α, a number or an array.
        gradient: ∂L/∂z of the task losses by the gate z = σ(α), taken as constant.
        weight: λ of the mean entropy.
        edges: E, over how many edges that is the mean.

    Returns:
        arrays of α's shape. With p = σ(α): `tasks` = gradient·p(1 − p) = ∂L/∂α, `entropy_gradient` = −λ/E·α·p(1 − p)
        = ∂(λ·mean H)/∂α, `speed` = −(tasks + entropy_gradient) = dα/dt, `p`, `entropy` (H, nats).

    Example:
        At α = 0 the gate is undecided, and only the tasks pull:

        >>> forces = phase(0.0, gradient=0.1, weight=10.0, edges=48)
        >>> [round(float(forces[name]), 3) for name in ("p", "tasks", "entropy_gradient", "speed")]
        [0.5, 0.025, -0.0, -0.025]
    """
    alpha = np.asarray(alpha, dtype=float)
    p = gates(alpha)
    tasks = gradient * p * (1 - p)
    entropy_gradient = -weight / max(edges, 1) * alpha * p * (1 - p)
    return {
        "p": p,
        "entropy": edge_entropy(alpha),
        "tasks": tasks,
        "entropy_gradient": entropy_gradient,
        "speed": -(tasks + entropy_gradient),
    }


def tipping(gradient: float, weight: float, edges: int = 1) -> float | None:
    """The fixed point of `phase`, α = gradient·E/λ: above it the gate goes to 1, below it to 0. None for λ = 0.

    Example:
        >>> round(tipping(gradient=0.1, weight=10.0, edges=48), 2)
        0.48
    """
    if weight > 0:
        return gradient * edges / weight
    return None


def descend(
    alpha: float, gradient: float, weight: float, rate: float, steps: int, edges: int = 1
) -> np.ndarray:
    """(steps + 1,) α under plain gradient descent with learning rate `rate`."""
    path = np.empty(steps + 1)
    path[0] = alpha
    for step in range(steps):
        speed = phase(path[step], gradient, weight, edges)["speed"]
        path[step + 1] = path[step] + rate * speed
    return path


# --- one gate ---------------------------------------------------------------------------------------------------------
def uniform(seed: int, count: int = SAMPLES) -> np.ndarray:
    """(count,) numbers in (0, 1), the same here and in the page: a counter through the mixer of MurmurHash3."""
    counter = np.arange(1, count + 1, dtype=np.uint32)
    x = counter * np.uint32(GOLDEN) + np.uint32(seed * SEED & BITS)
    for shift, factor in MIXER:
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return (x + 0.5) / 2**32


def concrete(u, alpha: float, temperature: float) -> np.ndarray:
    """Gates z = σ((α + ln u − ln(1 − u)) / τ) of uniform numbers u; τ is at least 0.05."""
    u = np.asarray(u)
    logistic = np.log(u) - np.log1p(-u)
    return gates((alpha + logistic) / max(temperature, FLOOR))
