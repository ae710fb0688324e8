"""Edges that close for good: where a gate has stayed low for long, its edge is shut, and costs nothing from then on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from ..values import told, whole

PATIENCE = 20  # steps that a gate has to stay low without a break


class Closing:
    """Counts, edge by edge, for how many steps in a row a gate σ(α) has been low.

    Args:
        below: A gate is low where σ(α) is smaller; 0 closes nothing.
        edges: E, the number of candidate edges.

    Example:
        >>> closing = Closing(below=0.01, edges=2)
        >>> for _ in range(20):
        ...     closing.see([-5.0, 5.0], forced={})
        >>> closing.due
        [0]
    """

    def __init__(self, below: float, edges: int):
        self.low_for = [0] * edges  # steps, of each edge
        self._threshold = -math.inf
        if below:
            self._threshold = math.log(below) - math.log1p(-below)

    def see(self, alpha: Sequence[float], forced: Mapping[int, bool]) -> None:
        """Counts a step.

        Args:
            alpha: E numbers, after the step.
            forced: {index of an edge: open?}; what is forced is not counted, and begins anew when it is set free.
        """
        for i, value in enumerate(alpha):
            low = value < self._threshold and i not in forced
            self.low_for[i] = self.low_for[i] + 1 if low else 0

    @property
    def due(self) -> list[int]:
        """The edges that have been low for long enough."""
        return [i for i, steps in enumerate(self.low_for) if steps >= PATIENCE]


def checked_counts(value: object, edges: int) -> list[int]:
    """The counts of a stored state. Raises ConfigError for anything else."""
    if not isinstance(value, list | tuple) or len(value) != edges:
        raise ConfigError(f"low_for = {told(value)} are not the counts of {edges} edges")
    return [whole("low_for", count) for count in value]
