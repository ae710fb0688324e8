"""From architecture weights α to gates, and the forces that push gates to 0 and 1.

Every relaxation is a function (alpha, temperature, generator) -> gates, both of shape (E,): each edge is its own
Bernoulli variable with probability p = σ(α), there is no softmax across edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from ..values import told

# the released schedule ends at exactly 0, where the concrete distribution has no gradient
TEMPERATURE_FLOOR = 0.05


class ArchitectureWeights(nn.Module):
    """α: one logit for each candidate edge, in the order of `space.edges`. α = 0 means undecided, p = ½.

    A search asks α itself for gates and for its entropy, so that a subclass may read its logits in another way.

    Args:
        edges: E, how many candidates there are.
        start: where α begins: a number for all edges, or E numbers, as `architecture.warm_start` gives them.

    Raises:
        ConfigError: for another number of starts than E.

    Example:
        >>> ArchitectureWeights(3, [0.5, 0.0, -0.5]).alpha.tolist()
        [0.5, 0.0, -0.5]
    """

    most = math.log(2)  # the entropy, in nats, where nothing is decided

    def __init__(self, edges: int, start: float | Sequence[float] = 0.0):
        super().__init__()
        begin = torch.as_tensor(start, dtype=torch.float32)
        if begin.ndim and begin.shape != (edges,):
            raise ConfigError(
                f"α of {edges} edges cannot begin at {len(begin)} numbers; give one for each edge, or one for all"
            )
        self.alpha = nn.Parameter(begin.expand(edges).clone())

    def gates(
        self, name: str, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """(E,) gates through the relaxation of this name. Raises ConfigError where there is none."""
        return relaxation(name)(self.alpha, temperature, generator)

    def entropy(self, factors: Tensor | float = 1.0) -> Tensor:
        """How undecided α is, in nats: what the entropy weight of a search multiplies."""
        return entropy(self.alpha, factors)

    def entropy_gradient(self, factors: Tensor | float = 1.0) -> Tensor:
        """(E,) its gradient."""
        return entropy_gradient(self.alpha.detach(), factors)


Relaxation = Callable[[Tensor, float, torch.Generator | None], Tensor]


def deterministic(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """z = σ(α). Nothing is drawn; the temperature is not used."""
    return torch.sigmoid(alpha)


def stochastic(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Binary concrete: z = σ((α + ln u − ln(1 − u)) / τ), u uniform in (0, 1), τ at least TEMPERATURE_FLOOR."""
    noisy = alpha + _logistic_noise(alpha, generator)
    return torch.sigmoid(noisy / max(temperature, TEMPERATURE_FLOOR))


def straight_through(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Hard gates of a binary concrete sample going forward, the soft sample's gradient going back."""
    soft = stochastic(alpha, temperature, generator)
    return (soft > 0.5).to(soft.dtype) + soft - soft.detach()


def bernoulli(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """z ~ Bernoulli(σ(α)): a sample of whole architectures, without gradient; for evaluation."""
    return (alpha.detach() + _logistic_noise(alpha, generator) > 0).to(alpha.dtype)


def discretize(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """z = 1 where α > 0, else 0: the architecture. An edge at exactly 0 is closed (released code)."""
    return (alpha.detach() > 0).to(alpha.dtype)


def all_open(
    alpha: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """z = 1 everywhere: the supernet as a baseline."""
    return torch.ones_like(alpha)


RELAXATIONS: dict[str, Relaxation] = {
    f.__name__: f
    for f in (deterministic, stochastic, straight_through, bernoulli, discretize, all_open)
}


def relaxation(name: str) -> Relaxation:
    """The relaxation of this name. Raises ConfigError."""
    if not isinstance(name, str) or name not in RELAXATIONS:
        raise ConfigError(
            f"there is no relaxation {told(name)}; choose one of {', '.join(RELAXATIONS)}"
        )
    return RELAXATIONS[name]


def _logistic_noise(alpha: Tensor, generator: torch.Generator | None) -> Tensor:
    """ln u − ln(1 − u), drawn where the generator lives, so that every device sees the same draw."""
    device = generator.device if generator is not None else alpha.device
    u = torch.rand(alpha.shape, generator=generator, device=device, dtype=alpha.dtype)
    tiny = torch.finfo(alpha.dtype).eps
    u = u.clamp(tiny, 1 - tiny)  # ln 0 would be a gate without gradient for ever
    return (u.log() - (-u).log1p()).to(alpha.device)


# --- forces on α ------------------------------------------------------------------------------------------------------
def edge_entropy(alpha: Tensor) -> Tensor:
    """H(p) = −p ln p − (1 − p) ln(1 − p) with p = σ(α), for each edge, in nats: (E,) -> (E,)."""
    p = torch.sigmoid(alpha)
    return p * F.softplus(-alpha) + (1 - p) * F.softplus(alpha)


def _mean(of_edges: Tensor) -> Tensor:
    """0 where there is no edge, as while backbones are pretrained: torch's mean of nothing is NaN."""
    return of_edges.mean() if len(of_edges) else of_edges.sum()


def entropy(alpha: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    """Mean of f·H over the edges, in nats; ln 2 where nothing is decided and f = 1. Its gradient: `entropy_gradient`."""
    return _mean(edge_entropy(alpha) * factors)


def entropy_fraction(alpha: Tensor) -> Tensor:
    """Mean entropy over ln 2: 1 where nothing is decided, 0 where everything is."""
    return entropy(alpha) / math.log(2)


def entropy_gradient(alpha: Tensor, factors: Tensor | float = 1.0) -> Tensor:
    """∂(mean f·H)/∂α = −f α p (1 − p) / E: zero at α = 0, strongest near |α| = 1.5."""
    p = torch.sigmoid(alpha)
    return -alpha * p * (1 - p) * factors / max(len(alpha), 1)


def l1(alpha: Tensor, costs: Tensor | float = 1.0) -> Tensor:
    """Mean of c·σ(α) over the edges: the price of open edges, c = `space.costs` or 1."""
    return _mean(torch.sigmoid(alpha) * costs)


def l1_gradient(alpha: Tensor, costs: Tensor | float = 1.0) -> Tensor:
    """∂(mean c·p)/∂α = c p (1 − p) / E."""
    p = torch.sigmoid(alpha)
    return costs * p * (1 - p) / max(len(alpha), 1)


# --- for pictures and tables, which have arrays and not tensors -------------------------------------------------------
def probabilities(alpha: np.ndarray | Sequence[float]) -> np.ndarray:
    """p = σ(α) of numbers or of an array of any shape, in float64."""
    return torch.sigmoid(torch.tensor(np.asarray(alpha, np.float64))).numpy()


def entropies(alpha: np.ndarray | Sequence[float]) -> np.ndarray:
    """H(σ(α)) in nats of numbers or of an array of any shape, in float64: `edge_entropy` for arrays."""
    return edge_entropy(torch.tensor(np.asarray(alpha, np.float64))).numpy()
