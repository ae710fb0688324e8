"""Searches for a good graph, all asked alike: with a budget in plain training steps and a seed, one idea a file."""

from .baselines import all_edges, guess, no_edges
from .evolution import evolution
from .lab_problem import LabProblem
from .local_search import local_search
from .mtlnas import as_released, ramp, warmed_up, with_l1
from .one_shot import one_shot
from .perturbation import perturbation
from .problem import BudgetSpent, Problem, Searcher, TableProblem, answers, best_so_far, search
from .random_search import random_search

WITHOUT_A_LOOK: dict[str, Searcher] = {  # they ask nobody
    "guess": guess,
    "no_edges": no_edges,
    "all_edges": all_edges,
}
ON_THE_TABLE: dict[str, Searcher] = (
    WITHOUT_A_LOOK
    | {  # each look is a training, which a table knows
        "random": random_search,
        "local_search": local_search,
        "evolution": evolution,
    }
)
WITH_A_SUPERNET: dict[str, Searcher] = {  # they train one, and never ask the table
    "mtlnas": as_released,
    "mtlnas_ramp": ramp,
    "mtlnas_warm_up": warmed_up,
    "mtlnas_l1": with_l1,
    "one_shot": one_shot,
    "perturbation": perturbation,
}
SEARCHERS = ON_THE_TABLE | WITH_A_SUPERNET

__all__ = [
    "ON_THE_TABLE",
    "SEARCHERS",
    "WITHOUT_A_LOOK",
    "WITH_A_SUPERNET",
    "BudgetSpent",
    "LabProblem",
    "Problem",
    "Searcher",
    "TableProblem",
    "answers",
    "best_so_far",
    "search",
]
