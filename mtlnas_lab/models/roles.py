"""Primary and auxiliary tasks, as in Aux-NAS (PAPERS.md 2.1): two kinds of edges, two forces on α.

Edges *primary → auxiliary* let the auxiliary loss teach the primary network; entropy decides them. Edges *auxiliary → primary*
bring features that help it; a ramp of L1 shuts them, so that the primary network can be used alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core.architecture import Architecture
from ..core.lab import Lab
from ..core.schedule import Schedule
from ..core.space import SearchSpace
from ..errors import ConfigError
from .baselines import restrict_to

L1 = Schedule(end=1000.0, start=0.0, period=(0.5, 0.8))  # as released: no force, a ramp, then shut
START = {"out": 0.5, "into": 0.001}  # p of edges out of and into the primary network, as released
# a gate's gradient fades as it shuts, and Adam takes steps of ½ ln(1/β₂) at most while it does
ALPHA_BETAS = (0.5, 0.5)


def edges_into(space: SearchSpace, primary: str) -> tuple[bool, ...]:
    """Which of the E edges lead into the primary network: auxiliary → primary."""
    return tuple(edge.target.task == primary for edge in space.edges)


def edges_out_of(space: SearchSpace, primary: str) -> tuple[bool, ...]:
    """Which of the E edges lead out of the primary network: primary → auxiliary."""
    return tuple(edge.source.task == primary for edge in space.edges)


def star(lab: Lab, primary: str, fusion=None) -> Lab:
    """The lab with candidates between the primary network and the auxiliary ones alone, their fusion started afresh.

    Auxiliary networks are not joined to each other, so that the cost of training grows by the same with each of them.

    Args:
        lab: of two tasks or more.
        primary: the task that is wanted in the end.
        fusion: makes the operation of a node; by default as the lab has it.

    Raises:
        ConfigError: there is no such task.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> lab = condition("noise-partner").lab(seed=0)
        >>> len(star(lab, "segmentation").space)
        8
    """
    if primary not in lab.space.tasks:
        raise ConfigError(
            f"there is no task {primary!r} to be the primary one; choose among {', '.join(lab.space.tasks)}"
        )
    touching = [primary in (edge.source.task, edge.target.task) for edge in lab.space.edges]
    return restrict_to(lab, Architecture(lab.space, tuple(touching)), fusion)


def share(chosen: Sequence[bool]) -> list[float]:
    """Factors that make a mean over all edges the mean over the chosen ones.

    Example:
        >>> share([True, False, True, False])
        [2.0, 0.0, 2.0, 0.0]
    """
    count = max(sum(chosen), 1)
    return [len(chosen) / count if one else 0.0 for one in chosen]


def set_starts(lab: Lab, primary: str, out: float = START["out"], into: float = START["into"]):
    """α of each direction begins at its own p = σ(α); returns the lab.

    Args:
        lab: its α is changed.
        primary: the task that is wanted in the end.
        out: p of edges primary → auxiliary, between 0 and 1.
        into: p of edges auxiliary → primary.

    Example:
        >>> from mtlnas_lab.bench.condition import condition
        >>> lab = set_starts(condition("segmentation-normals").lab(seed=0), "segmentation")
        >>> lab.alphas.alpha.sigmoid().detach().numpy().round(3)
        array([0.001, 0.001, 0.001, 0.001, 0.5  , 0.5  , 0.5  , 0.5  ],
              dtype=float32)
    """
    for name, p in {"out": out, "into": into}.items():
        if not 0 < p < 1:
            raise ConfigError(f"{name} = {p}: an edge begins with a p between 0 and 1")
    alpha = lab.alphas.alpha.detach()
    alpha[list(edges_out_of(lab.space, primary))] = math.log(out / (1 - out))
    alpha[list(edges_into(lab.space, primary))] = math.log(into / (1 - into))
    return lab


def factors(space: SearchSpace, primary: str) -> dict[str, list[float]]:
    """What each edge counts in a search's two penalties: `Search(…, **factors(space, primary))`.

    Entropy is then the mean over edges out of the primary network, L1 that over edges into it.
    """
    return {
        "entropy_factors": share(edges_out_of(space, primary)),
        "l1_factors": share(edges_into(space, primary)),
    }
