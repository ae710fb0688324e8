"""Warm start: neighbours and Reptile against values by hand, a search from a start against the core's, the arms."""

import functools
import pickle
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.bench.training import losses
from mtlnas_lab.core.architecture import derive
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import task_distance as td
from mtlnas_lab.explore import warm_start as ws
from mtlnas_lab.explore.study import Exploration

WHERE = "segmentation-normals"
TARGET = ("segmentation", "normals")


def far(*rows) -> td.Distances:
    """Distances between TASKS, source by target."""
    return td.Distances(ws.TASKS, np.array(rows), np.zeros((4, 4, 3)), np.zeros(4))


# segmentation, normals, depth, edges
MADE_UP = far(
    [0.1, 0.8, 0.8, 0.8], [0.7, 0.1, 0.8, 0.8], [0.6, 0.3, 0.1, 0.8], [0.2, 0.5, 0.8, 0.1]
)


def entry(*tasks, alpha=(0.5, -3.0, 0.0, 2.0, -0.25, 1.0, 4.0, -4.0)):
    return derive(ws.lab_of(tasks, seed=0).space, list(alpha))


# --- the store --------------------------------------------------------------------------------------------------------
def test_a_store_has_all_pairs_but_the_targets_own():
    assert len(ws.others(TARGET)) == 5 and len(ws.others(("depth", "edges"))) == 5
    assert ("segmentation", "normals") not in ws.others(("normals", "segmentation"))


def test_neighbours_by_hand():
    """Depth for normals and edges for segmentation: (0.3 + 0.2)/2; shared tasks count as near as the same task is."""
    store = [entry("depth", "edges"), entry("segmentation", "edges"), entry("normals", "depth")]
    found = ws.neighbours(store, TARGET, MADE_UP)
    assert [one.found.space.tasks for one in found] == [
        ("depth", "edges"),
        ("segmentation", "edges"),
        ("normals", "depth"),
    ]
    assert [one.distance for one in found] == pytest.approx([0.25, 0.3, 0.35])
    assert found[0].tasks == {"depth": "normals", "edges": "segmentation"}
    assert found[1].tasks == {"segmentation": "segmentation", "edges": "normals"}
    assert found[2].tasks == {"normals": "normals", "depth": "segmentation"}


def test_the_nearer_way_round_is_the_least_of_both():
    generator = np.random.default_rng(0)
    for _ in range(20):
        made_up = far(*generator.random((4, 4)))
        pair = tuple(generator.permutation(ws.TASKS)[:2])
        (found,) = ws.neighbours([entry(*pair)], TARGET, made_up)
        means = []
        for ways in permutations(TARGET):
            places = [(ws.TASKS.index(a), ws.TASKS.index(b)) for a, b in zip(pair, ways)]
            means.append(np.mean([made_up.matrix[place] for place in places]))
        assert found.distance == pytest.approx(min(means))


def test_a_neighbours_start_has_each_edge_where_its_counterpart_was():
    (found,) = ws.neighbours([entry("depth", "edges")], TARGET, MADE_UP)
    space = condition(WHERE).space
    start = found.start(space, kappa=0.5)
    there = dict(zip(map(str, found.found.space.edges), found.found.alpha))
    here = dict(zip(map(str, space.edges), start))
    clipped = 0.5 * np.clip(there["edges:2 -> depth:2"], -1, 1)
    assert here["segmentation:2 -> normals:2"] == pytest.approx(clipped)
    assert sorted(start) == pytest.approx(sorted(0.5 * np.clip(found.found.alpha, -1, 1)))


def test_a_search_for_the_store_repeats_with_its_seed():
    one = ws.searched(("depth", "edges"), 7, steps=2)
    ws.searched.cache_clear()
    again = ws.searched(("depth", "edges"), 7, steps=2)
    assert one.alpha == again.alpha and any(one.alpha)
    assert ws.searched(("depth", "edges"), 8, steps=2).alpha != one.alpha


# --- the meta start ---------------------------------------------------------------------------------------------------
class Fake:
    """A search whose α goes a step towards its own goal each time."""

    def __init__(self, goal, edges=2):
        self.goal = torch.tensor(goal)
        self.config = replace(ws.SETTINGS, steps=4)
        self.lab = type("Lab", (), {"alphas": ArchitectureWeights(edges)})()
        self.step_number = 0
        self.begun = []

    def __iter__(self):
        while self.step_number < self.config.steps:
            self.begun.append(self.lab.alphas.alpha.tolist())
            with torch.no_grad():
                self.lab.alphas.alpha += self.goal
            self.step_number += 1
            yield step_event(self.step_number)


def step_event(number):
    from mtlnas_lab.core.events import Step

    event = object.__new__(Step)
    object.__setattr__(event, "step", number)
    return event


def test_reptile_by_hand():
    """Two rounds of two steps: α goes ε times the mean of 2 · (1, 0) and 2 · (0, −3) each."""
    fakes = [Fake([1.0, 0.0]), Fake([0.0, -3.0])]
    found = ws.reptile(fakes, rounds=2, epsilon=0.5)
    expected = [[0, 0], [0.5, -1.5], [1.0, -3.0]]
    assert torch.stack(found).tolist() == expected
    assert fakes[1].begun == [[0, 0], [0, -3], [0.5, -1.5], [0.5, -4.5]]
    assert all(fake.step_number == 4 for fake in fakes)


def test_reptile_with_epsilon_0_stays_and_with_one_search_and_1_is_that_search():
    assert ws.reptile([Fake([1.0, 2.0])], epsilon=0.0)[-1].tolist() == [0, 0]
    assert ws.reptile([Fake([1.0, 2.0])], rounds=4, epsilon=1.0)[-1].tolist() == [4, 8]
    many = ws.reptile(
        [Fake([1.0, 2.0])], rounds=9, epsilon=1.0
    )  # rounds without a step are there, too
    assert len(many) == 10 and many[-1].tolist() == [4, 8]


def test_reptile_of_one_real_search_is_the_search():
    config = replace(ws.SETTINGS, steps=3, seed=2)
    search = Search(ws.lab_of(TARGET, 2), config)
    found = ws.reptile([search], rounds=3, epsilon=1.0)[-1]
    alone = Search(ws.lab_of(TARGET, 2), config)
    for _ in alone:
        pass
    assert torch.equal(found, alone.lab.alphas.alpha.detach()) and found.any()


@pytest.mark.parametrize("settings", [{"epsilon": 2.0}, {"epsilon": -0.1}, {"rounds": 0}])
def test_reptile_refuses(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ws.reptile([Fake([1.0, 2.0])], **settings)


# --- starts and searches from them ------------------------------------------------------------------------------------
@pytest.fixture
def quick(monkeypatch):
    """A store of made-up entries, each with its own α, and made-up distances."""
    store = []
    for place, pair in enumerate(ws.others(TARGET)):
        alpha = np.roll([2.0, -2.0, 0.5, 1.0, -1.0, 3.0, -0.5, 4.0], place)
        store.append(entry(*pair, alpha=alpha.tolist()))
    made = tuple(ws.neighbours(store, TARGET, MADE_UP))
    monkeypatch.setattr(ws, "store_for", lambda target, seed, steps: made)
    monkeypatch.setattr(ws, "meta_start", lambda *_: entry(*TARGET, alpha=[9.0] * 4 + [-9.0] * 4))
    return made


def test_every_start(quick):
    space = condition(WHERE).space
    start = functools.partial(ws.start_of, target=TARGET, seed=3)
    assert start("cold") == (0.0,) * 8
    assert start("open", kappa=2.0) == (2.0,) * 8
    assert start("nearest", kappa=0.3) == quick[0].start(space, 0.3)
    assert start("farthest") == quick[-1].start(space)
    assert start("random") in [one.start(space) for one in quick]
    assert len({start("random", seed=seed) for seed in range(20)}) > 2
    assert start("meta", kappa=0.5) == (0.5,) * 4 + (-0.5,) * 4
    with pytest.raises(ConfigError, match="none of the choices cold, nearest"):
        start("best")


def test_a_descent_is_the_search_of_the_core_from_that_start():
    begin = (0.5, -0.5, 0.0, 1.0, -1.0, 0.2, 0.1, -0.1)
    found = ws.descend(WHERE, 5, begin, False, 6)
    assert found.steps == (0, 1, 2, 3, 4, 5, 6) and found.alphas.shape == (7, 8)
    assert found.alphas[0] == pytest.approx(begin)
    assert found.graphs[0] == 0b01101001, "open are the edges above 0"
    lab = condition(WHERE).lab(5)
    lab = replace(lab, alphas=ArchitectureWeights(8, begin))
    search = Search(lab, replace(ws.SETTINGS, steps=6, seed=5))
    for _ in search:
        pass
    assert lab.alphas.alpha.tolist() == pytest.approx(found.alphas[-1].tolist())
    gates = torch.sigmoid(lab.alphas.alpha.detach())
    scores = losses(lab, gates, "val")
    total = sum(lab.tasks[task].weight * scores[task]["loss"] for task in lab.tasks)
    assert found.losses[-1] == pytest.approx(total, rel=1e-5)


def test_all_starts_of_one_seed_have_the_same_networks_and_batches():
    zero = (0.0,) * 8
    lab = condition(WHERE).lab(5)
    scores = losses(lab, torch.full((8,), 0.5), "val")
    total = sum(lab.tasks[task].weight * scores[task]["loss"] for task in lab.tasks)
    assert ws.descend(WHERE, 5, zero, False, 2).losses[0] == pytest.approx(total, rel=1e-5)


def test_a_frozen_copy_never_changes_its_graph():
    begin = (0.5, -0.5, 0.5, -1.0, 1.0, 0.2, 0.1, -0.1)
    found = ws.descend(WHERE, 5, begin, True, 4)
    assert set(found.graphs) == {0b01110101}
    kept = derive(condition(WHERE).space, list(begin)).kept
    scores = losses(condition(WHERE).lab(5), kept, "val")
    tasks = condition(WHERE).lab(5).tasks
    total = sum(tasks[task].weight * scores[task]["loss"] for task in tasks)
    assert found.losses[0] == pytest.approx(total, rel=1e-5), (
        "its gates are hard from the first look"
    )


def descent(values, graphs=None):
    steps = tuple(range(0, 10 * len(values), 10))
    return ws.Descent(steps, tuple(values), tuple(graphs or [0] * len(values)), np.zeros((1, 8)))


def test_steps_to_a_loss_and_the_graph_at_a_share():
    one = descent([9.0, 5.0, 6.0, 4.0, 4.5], [0, 1, 2, 3, 4])
    assert [one.steps_to(loss) for loss in (9.0, 5.5, 5.0, 4.2, 3.9)] == [0, 10, 10, 30, None]
    assert [one.graph_at(share) for share in (0.0, 0.25, 0.26, 1.0)] == [0, 1, 2, 4]


# --- the study --------------------------------------------------------------------------------------------------------
def test_what_an_arm_measures(quick, monkeypatch):
    cold = descent([9.0, 7.0, 6.0, 5.0, 4.0], [0, 1, 3, 7, 255])
    warm = descent([9.0, 6.0, 4.0, 3.0, 3.5], [254, 127, 127, 255, 255])
    frozen = descent([9.0, 8.0, 7.0, 6.0, 5.0], [254] * 5)

    def descend(about, seed, start, frozen_copy, steps):
        if frozen_copy:
            return frozen
        return warm if any(start) else cold

    monkeypatch.setattr(ws, "descend", descend)
    table = FusionTable.open(WHERE)
    found = ws.warm(0, "nearest", WHERE, steps=40)
    assert (found["steps"], found["reached"], found["edges"], found["turned"]) == (20, 1, 8, 1)
    assert found["regret"] == table.regret(255) and found["early_regret"] == table.regret(127)
    assert ws.warm(0, "cold", WHERE, steps=40)["steps"] == 40
    never = ws.warm(0, "nearest", WHERE, frozen=True, steps=40)
    assert (never["steps"], never["reached"], never["turned"]) == (40, 0, 0)
    with pytest.raises(ConfigError, match="there is no table"):
        ws.warm(0, "cold", "nowhere")


def test_copies_are_looked_up(quick):
    table = FusionTable.open(WHERE)
    regrets = []
    for one in quick:
        regrets.append(table.regret([value > 0 for value in one.start(table.space)]))
    found = ws.copies(0, WHERE)
    assert found["copied_nearest"] == regrets[0] and found["copied_farthest"] == regrets[-1]
    assert found["copied_mean"] == pytest.approx(np.mean(regrets))
    assert -1 <= found["spearman"] <= 1


def test_copies_that_are_all_alike_have_no_order(monkeypatch):
    store = [entry(*pair, alpha=[1.0] * 8) for pair in ws.others(TARGET)]
    made = tuple(ws.neighbours(store, TARGET, MADE_UP))
    monkeypatch.setattr(ws, "store_for", lambda target, seed, steps: made)
    assert ws.copies(0, WHERE)["spearman"] == 0.0


def test_a_whole_arm_with_two_steps(monkeypatch):
    monkeypatch.setattr(ws, "distances", functools.partial(td.distances, images=2))
    for start in ("cold", "farthest", "meta"):
        found = ws.warm(11, start, WHERE, steps=2)
        assert set(found) == {"steps", "reached", "regret", "early_regret", "edges", "turned"}
        assert all(np.isfinite(list(found.values())))


def test_every_arm_of_the_study_can_be_pickled_and_takes_its_settings():
    study = Exploration.load("warm-start")
    for arm in study.arms:
        function = study.function(arm)
        assert pickle.loads(pickle.dumps(function)) is function
        known = function.__code__.co_varnames[: function.__code__.co_argcount]
        assert set(study.settings(arm)) <= set(known)
