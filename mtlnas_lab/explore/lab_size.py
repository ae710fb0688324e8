"""At lab size, 48 edges and 2^48 graphs, nobody knows the truth: is the graph that a search answers ahead of random ones?

The graph is trained anew, as long as each random graph with as many edges, from the same weights and on the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..analysis.study import expanded
from ..bench.graph import Graph, kept_of, number_of
from ..bench.searchers import SEARCHERS, LabProblem, Searcher, answers
from ..bench.training import go_on, scored
from ..core.lab import Lab
from ..core.search import Search
from ..core.space import SearchSpace
from ..errors import ConfigError
from ..experiments.config import Experiment
from ..models.baselines import without_candidates
from ..values import choice
from . import ofa2

# the one of each task that is told
METRICS = {"segmentation": "miou", "seg13": "miou", "normals": "mean_angle"}
METHODS: Mapping[str, Searcher] = SEARCHERS | {"ofa2": ofa2.searcher}


def found(
    seed: int,
    method: str,
    budget: float = 1000,
    steps: int = 200,
    random: int = 0,
    data: str = "rooms",
    eval_data: str | None = None,
    tasks: Sequence[str] = (),
    pretrain_steps: int | None = None,
) -> dict[str, float]:
    """One search in the preset `tiny`, from networks that were taught alone.

    Args:
        seed: Of the search, of all trainings, of the random graphs, and of the networks where they are taught here.
        method: A name of METHODS.
        budget: What the search may spend, in plain training steps.
        steps: Of every training.
        random: How many random graphs with as many edges are trained beside the answer, two or more; 0: none.
        data: The shipped rooms, with their shipped networks; or a path, as in `Experiment`, with $NAMES of the environment.
        eval_data: Another pack to score on.
        tasks: Names of METRICS; otherwise the data's first dense pair.
        pretrain_steps: How long each network is taught alone, which nobody pays for; otherwise as the preset says.

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
    if eval_data:
        eval_data = expanded(eval_data)
    experiment = Experiment.from_preset(
        "tiny",
        expanded(data),
        seed,
        steps,
        pretrain_steps,
        eval_data=eval_data,
        tasks=tuple(tasks),
        device="cpu",
    )
    problem = LabProblem(_taught(experiment), experiment.search, budget, seed)
    *_, (spent, graph) = answers(METHODS[method], problem)
    edges = graph.bit_count()
    scores = _scores(problem, graph)
    scores |= {"edges": float(edges), "spent": spent}
    if random:
        others = _random_graphs(edges, problem.space, random, seed)
        losses = np.array([_scores(problem, other)["loss"] for other in others])
        scores |= _beside(scores["loss"], losses)
    return scores


def _taught(experiment: Experiment) -> Callable[[int], Lab]:
    """Makes the lab of an experiment, again and again, with networks that were taught alone once."""
    packs, _ = experiment.packs()
    alone = without_candidates(experiment.lab(packs=packs))
    if experiment.pretrain.steps:
        go_on(Search(alone, experiment.pretrain), f"pretraining of seed {experiment.seed}")
    taught = alone.supernet.backbones.state_dict()

    def make(seed: int) -> Lab:
        lab = experiment.lab(begin=False, packs=packs)
        lab.supernet.backbones.load_state_dict(taught)
        return lab

    return make


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
