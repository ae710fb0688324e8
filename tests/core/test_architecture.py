import math

import pytest
import torch
from helpers import Stream, batch, small_lab

from mtlnas_lab.core.architecture import Architecture, agreement, derive
from mtlnas_lab.core.fusion import NDDR, CrossStitch, ResidualFusion
from mtlnas_lab.core.search import Search, SearchConfig
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.errors import ConfigError, SpaceError
from mtlnas_lab.models.baselines import (
    BASELINES,
    baseline,
    group_ends,
    no_edges,
    random_graph,
    same_stage,
)
from mtlnas_lab.models.pruned import operations, prune


def test_derive_keeps_what_is_above_zero():
    lab = small_lab()
    found = derive(lab.space, lab.alphas.alpha)
    assert found.kept == tuple((lab.alphas.alpha > 0).tolist()) == lab.derive().kept
    assert len(found) == len(found.edges) and found.probability[0] == pytest.approx(
        torch.sigmoid(lab.alphas.alpha[0]).item()
    )
    assert Architecture.from_json(found.to_json()) == found
    assert Architecture(lab.space, found.kept).probability == tuple(map(float, found.kept))


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("fusion", [NDDR, ResidualFusion, CrossStitch])
def test_pruned_network_computes_the_same_with_fewer_operations(fusion, tasks):
    lab = small_lab(tasks, fusion)
    search = Search(lab, SearchConfig(steps=2), Stream(lab), Stream(lab, 9))
    search.step(), search.step()
    found, image = lab.derive(), batch(5)[0]
    pruned = prune(lab.supernet, found)
    expected = lab.supernet.eval()(image, found.kept)
    for task, output in pruned(image).items():
        assert torch.allclose(output, expected[task], atol=1e-5)
    everything = operations(lab.supernet, image, torch.ones(len(lab.space)))
    alone = sum(operations(backbone, image) for backbone in lab.supernet.backbones.values())
    if fusion is not CrossStitch:  # which has no convolutions to count
        assert alone < operations(pruned, image) < everything
        kept_alone = operations(lab.supernet, image, found.kept)
        assert operations(pruned, image) == kept_alone, (
            "what a pruned network costs is what the open edges cost"
        )
    before = pruned(image)
    Search(lab, SearchConfig(steps=3), Stream(lab), Stream(lab, 9)).step()
    assert all(torch.equal(before[task], output) for task, output in pruned(image).items())


def test_pruned_to_nothing_and_to_everything():
    lab, image = small_lab(), batch(5)[0]
    lab.supernet.eval()
    for kept in ((False,) * 48, (True,) * 48):
        for task, output in prune(lab.supernet, kept)(image).items():
            assert torch.allclose(output, lab.supernet(image, kept)[task], atol=1e-5)
    with pytest.raises(SpaceError, match="3 gates"):
        prune(lab.supernet, (True,) * 3)


def test_agreement():
    space = small_lab().space
    a, b = (Architecture(space, [i < n for i in range(48)]) for n in (10, 20))
    assert agreement(a, b) == {"both": 10, "either": 20, "jaccard": 0.5, "flips": 10}
    assert agreement(no_edges(space), no_edges(space))["jaccard"] == 1
    with pytest.raises(SpaceError, match="one space"):
        agreement(a, no_edges(small_lab(3).space))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda space: Architecture(space, (True,) * 3), "3 values of gates for a space of 48"),
        (lambda space: derive(space, [0.0] * 47), "47 values"),
        (lambda space: Architecture.from_json({"space": space.to_json()}), "not an architecture"),
        (
            lambda space: Architecture.from_json(
                {"space": space.to_json(), "kept": ["normals:0 -> segmentation:5"], "alpha": None}
            ),
            "no candidate",
        ),
        (lambda space: random_graph(space, 49), "49 edges"),
    ],
)
def test_errors(make, words):
    with pytest.raises((SpaceError, ConfigError), match=words):
        make(small_lab().space)


SPACE = {
    "plans": {"a": {"channels": [4, 4], "groups": [2]}, "b": {"channels": [4, 4], "groups": [2]}},
    "edges": ["b:0 -> a:0", "a:0 -> b:0"],
}
GOOD = {"space": SPACE, "kept": ["a:0 -> b:0"], "alpha": [0.5, -0.5]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": ["x", 0.5]},
        {"alpha": 5},
        {"alpha": "ab"},
        {"alpha": {"0": 1, "1": 2}},
        {"alpha": [0.5]},
        {"alpha": []},
        {"alpha": [None, 0.5]},
        {"alpha": [True, 0.5]},
        {"alpha": [[0.5], 0.5]},
        {"alpha": [10**400, 0.5]},
        {"alpha": [math.nan, 0.5]},
        {"alpha": ["NaN", 0.5]},
        {"alpha": [math.inf, 0.5]},
        {"alpha": False},
        {"kept": [5]},
        {"kept": 5},
        {"kept": None},
        {"kept": "a:0 -> b:0"},
        {"kept": {"a:0 -> b:0": True}},
        {"kept": [[]]},
        {"kept": ["a:" + "9" * 5_000 + " -> b:0"]},
        {"kept": ["a:1 -> b:0"]},
        {"kept": [True, False]},
        {"space": None},
        {"space": []},
        {"space": {**SPACE, "edges": [5]}},
    ],
    ids=lambda wrong: repr(wrong)[:40],
)
def test_an_architecture_of_the_wrong_shape_is_a_space_error_of_one_line(wrong):
    assert len(Architecture.from_json(GOOD)) == 1
    assert Architecture.from_json({**GOOD, "alpha": None}).alpha is None
    without = {name: value for name, value in GOOD.items() if name not in wrong}
    for data in ({**GOOD, **wrong}, without):
        with pytest.raises(SpaceError) as caught:
            Architecture.from_json(data)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [None, 5, "x", [], [GOOD]])
def test_what_is_no_architecture_is_refused(data):
    with pytest.raises(SpaceError, match="not an architecture"):
        Architecture.from_json(data)


# --- baselines --------------------------------------------------------------------------------------------------------
def test_gate_vectors():
    space = small_lab().space
    assert len(same_stage(space)) == 2 * 13 and len(group_ends(space)) == 2 * 5
    assert [e.target.stage for e in group_ends(space).edges[:5]] == [1, 3, 6, 9, 12]
    drawn = [random_graph(space, 20, seed) for seed in range(40)]
    assert all(len(graph) == 20 for graph in drawn) and len({graph.kept for graph in drawn}) == 40
    assert random_graph(space, 20, 3) == drawn[3]
    often = torch.tensor([graph.kept for graph in drawn]).double().mean(0)
    assert (
        often.min() > 0.1 and often.max() < 0.75
    )  # each edge in 20 of 48 of the graphs, give or take


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_and_leaves_the_lab_alone(name):
    lab = small_lab()
    before = {key: value.clone() for key, value in lab.supernet.state_dict().items()}
    made, gates = baseline(name, lab, 20, seed=1)
    search = Search(made, SearchConfig(steps=24, weight_lr=5e-3), Stream(made), gates=gates.kept)
    losses = [event.loss for event in search if hasattr(event, "loss")]
    assert sum(losses[-4 + i][t] < losses[i][t] for i in range(4) for t in made.tasks) >= 6
    assert all(torch.equal(before[key], value) for key, value in lab.supernet.state_dict().items())
    assert len(gates) == {
        "random_graph": 20,
        "all_edges": 48,
        "nddr_group_ends": 10,
        "cross_stitch": 10,
        "nddr_every_stage": 26,
    }.get(name, 0)


def test_unknown_baseline():
    with pytest.raises(ConfigError, match="single_task, shared_trunk"):
        baseline("best", small_lab(), 3)


def test_the_primary_network_alone():
    lab = small_lab()
    with torch.no_grad():
        lab.alphas.alpha.fill_(-1.0)
        lab.alphas.alpha[lab.space.index("segmentation:0 -> normals:0")] = 2.0
    alone = lab.derive(primary="segmentation")
    assert alone.space.tasks == ("segmentation",) and alone.edges == ()
    with pytest.raises(ConfigError, match="normals reads from another network by 1 open edge"):
        lab.derive(primary="normals")
    with pytest.raises(ConfigError, match="no task 'depth'"):
        lab.derive(primary="depth")
    with pytest.raises(ConfigError, match="leave the budget out"):
        lab.derive(budget=3, primary="segmentation")


@pytest.mark.parametrize("fusion", [NDDR, ResidualFusion])
def test_the_primary_network_alone_computes_the_same(fusion):
    """Pruned to one network: the output of the supernet with all edges shut, by the other networks' work less."""
    lab = small_lab(tasks=3, fusion=fusion)
    image, _ = batch(0)
    with torch.no_grad():
        lab.alphas.alpha.fill_(-1.0)
        lab.supernet.train()(
            image, [True] * len(lab.space)
        )  # statistics that are not as at the start
        lab.supernet.eval()
        alone = prune(lab.supernet, lab.derive(primary="normals"))
        expected = lab.supernet(image, [False] * len(lab.space))["normals"]
    outputs = alone(image)
    assert list(outputs) == ["normals"]
    assert torch.allclose(outputs["normals"], expected, atol=1e-4)
    names = {name.split(".")[2] for name, _ in alone.named_parameters() if "backbones" in name}
    assert names == {"normals"}
    if (
        fusion is ResidualFusion
    ):  # nothing is left of it, so the price is that of the backbone by itself
        backbone = lab.supernet.backbones["normals"]
        assert operations(alone, image) == operations(backbone, image)


def test_the_primary_network_of_another_supernet():
    lab = small_lab()
    other = SearchSpace({"normals": plan([4, 4], [1, 1])}, ())
    with pytest.raises(SpaceError, match="other stages"):
        prune(lab.supernet, Architecture(other, ()))
