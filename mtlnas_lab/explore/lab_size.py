"""At lab size, 48 edges and 2^48 graphs, nobody knows the truth: is the graph that a search answers ahead of random ones?

The graph is trained anew, as long as each random graph with as many edges, from the same weights and on the same batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..bench.graph import Graph, kept_of, number_of
from ..bench.searchers import SEARCHERS, LabProblem, Searcher, answers
from ..bench.training import scored
from ..core.space import SearchSpace
from ..errors import ConfigError
from ..experiments.presets import preset, tiny
from ..values import choice
from . import ofa2

METRICS = {"segmentation": "miou", "normals": "mean_angle"}  # the one of each task that is told
METHODS: Mapping[str, Searcher] = SEARCHERS | {"ofa2": ofa2.searcher}


def found(
    seed: int, method: str, budget: float = 1000, steps: int = 200, random: int = 0
) -> dict[str, float]:
    """One search in the preset `tiny` on the shipped rooms, from the shipped backbones.

    Args:
        seed: Of the search, of all trainings, and of the random graphs.
        method: A name of METHODS.
        budget: What the search may spend, in plain training steps.
        steps: Of every training.
        random: How many random graphs with as many edges are trained beside the answer, two or more; 0: none.

    Returns:
        Of the answer, on test: `loss`, the weighted sum over tasks; `<task>_<metric>`, as METRICS names it; `edges`;
        `spent`, in plain training steps. Beside random graphs: `lead`, how much less its loss is than their mean; `beats`,
        the share of them that it beats (½ where there are no others); `spread`, the standard deviation of their losses.

    Raises:
        ConfigError: There is no such method, its budget is too small, or one random graph is asked for.
    """
    if random == 1:
        raise ConfigError("random = 1: one random graph has no spread; give two or more, or 0")
    choice("method", method, tuple(METHODS))
    config = replace(preset("tiny").search, steps=steps)
    problem = LabProblem(lambda seed: tiny(seed=seed), config, budget, seed)
    *_, (spent, graph) = answers(METHODS[method], problem)
    edges = graph.bit_count()
    scores = _scores(problem, graph)
    scores |= {"edges": float(edges), "spent": spent}
    if random:
        others = _random_graphs(edges, problem.space, random, seed)
        losses = np.array([_scores(problem, other)["loss"] for other in others])
        scores |= _beside(scores["loss"], losses)
    return scores


def _scores(problem: LabProblem, graph: Graph) -> dict[str, float]:
    """The total loss on test and each task's metrics, of a graph that is trained now."""
    lab = problem.trained_lab(graph)
    record = scored(lab, kept_of(graph, problem.space), "test", "trained")
    losses = {task: record[f"test/trained/{task}/loss"] for task in lab.tasks}
    scores = {"loss": lab.total(losses)}
    for task in lab.tasks:
        metric = METRICS[task]
        scores[f"{task}_{metric}"] = record[f"test/trained/{task}/{metric}"]
    return scores


def _random_graphs(edges: int, space: SearchSpace, count: int, seed: int) -> list[int]:
    """Graphs with so many edges; none where all or no candidates are open."""
    candidates = len(space)
    if edges in (0, candidates):
        return []
    draw = np.random.default_rng([seed, edges])
    graphs = []
    for _ in range(count):
        kept = np.zeros(candidates, bool)
        kept[draw.choice(candidates, edges, replace=False)] = True
        graphs.append(number_of(kept, space))
    return graphs


def _beside(loss: float, others: np.ndarray) -> dict[str, float]:
    if not len(others):
        return {"lead": 0.0, "beats": 0.5, "spread": 0.0}
    beats = np.mean(others > loss) + np.mean(others == loss) / 2
    return {
        "lead": float(others.mean() - loss),
        "beats": float(beats),
        "spread": float(others.std(ddof=1)),
    }


ARMS = {"found": found}
