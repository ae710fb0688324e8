"""The two forces and roles of Aux-NAS by hand, and that the primary network alone is the same."""

from dataclasses import replace

import pytest
import torch

from mtlnas_lab.analysis.study import FOLDER
from mtlnas_lab.bench.condition import condition
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.explore import aux_nas
from mtlnas_lab.explore.aux_nas import (
    ARMS,
    Setting,
    aux_search,
    difference,
    price,
)
from mtlnas_lab.explore.study import Exploration, Findings
from mtlnas_lab.models.baselines import no_edges
from mtlnas_lab.models.onnx import to_onnx
from mtlnas_lab.models.pruned import prune
from mtlnas_lab.models.roles import (
    edges_into,
    edges_out_of,
    set_starts,
    share,
    star,
)

PRIMARY = "segmentation"


def trained_a_little(steps=3, **settings):
    setting = Setting(**settings)
    lab = set_starts(star(setting.lab(0), PRIMARY), PRIMARY, into=0.5)
    for _ in aux_search(lab, PRIMARY, replace(setting.config(0), steps=steps, l1_weight=0.0)):
        pass
    return lab


@pytest.fixture(scope="module")
def lab():
    return trained_a_little()


def test_directions_part_the_edges(lab):
    into, out = edges_into(lab.space, PRIMARY), edges_out_of(lab.space, PRIMARY)
    assert [a != b for a, b in zip(into, out)] == [True] * 8 and sum(into) == 4


def test_auxiliary_networks_are_not_joined_to_each_other():
    three = Setting(auxiliaries=("normals", "depth")).lab(0)
    edges = star(three, PRIMARY).space.edges
    assert len(edges) == 16 < len(three.space)
    assert all(PRIMARY in (edge.source.task, edge.target.task) for edge in edges)
    with pytest.raises(ConfigError, match="no task 'edges' to be the primary one"):
        star(three, "edges")


def test_each_direction_has_its_own_force():
    """∂/∂α of the penalties by hand: entropy's on edges out, L1's on edges in, each a mean over its own four."""
    setting = Setting(steps=4, l1=100.0)
    lab = set_starts(star(setting.lab(0), PRIMARY), PRIMARY, out=0.7, into=0.2)
    alpha = lab.alphas.alpha.detach().clone()
    config = replace(setting.config(0), entropy_weight=10.0, l1_weight=100.0)
    report = aux_search(lab, PRIMARY, config).step()
    forces = lab.alphas.alpha.grad - torch.tensor(report.alpha_grad)
    p, into = torch.sigmoid(alpha), torch.tensor(edges_into(lab.space, PRIMARY))
    by_hand = torch.where(into, 100 * p * (1 - p) / 4, -10 * alpha * p * (1 - p) / 4)
    assert torch.allclose(forces, by_hand, atol=1e-4)


def test_the_ramp():
    config = Setting(steps=100, l1=1000.0).config(0)
    weights = [config.l1_weight(step, 100) for step in (0, 50, 65, 80, 99)]
    assert weights == pytest.approx([0, 0, 500, 1000, 1000])


def test_aux_g_never_opens_an_edge_into_the_primary_network():
    setting = Setting(steps=2)
    lab = set_starts(star(setting.lab(0), PRIMARY), PRIMARY)
    search = aux_search(lab, PRIMARY, setting.config(0), shut=True)
    before = {name: p.clone() for name, p in lab.supernet.fusion.named_parameters()}
    list(search)
    kept = search.architecture().kept
    assert not any(keep and one for keep, one in zip(kept, edges_into(lab.space, PRIMARY)))
    for name, p in lab.supernet.fusion.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith(PRIMARY), name


def test_factors_of_no_edge():
    assert share([False, False]) == [0.0, 0.0]


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0])
def test_a_start_that_no_gate_can_have(p):
    with pytest.raises(ConfigError, match="a p between 0 and 1"):
        set_starts(star(Setting().lab(0), PRIMARY), PRIMARY, into=p)


def test_difference_is_what_removing_changes(lab):
    (batch,) = list(lab.seen([lab.data["val"].batch(torch.arange(160), lab.targets)]))
    with torch.no_grad():
        lab.supernet.eval()
        gates = lab.alphas.alpha.sigmoid()
        soft = lab.supernet(batch[0], gates)[PRIMARY]
        gates[list(edges_into(lab.space, PRIMARY))] = 0  # the auxiliary network runs, unheard
        unheard = lab.supernet(batch[0], gates)[PRIMARY]
    assert difference(lab, PRIMARY) == pytest.approx(float((soft - unheard).abs().max()), rel=1e-3)
    assert difference(lab, PRIMARY) > 1e-4


def test_shut_gates_change_nothing(lab):
    shut = lab.copy()
    shut.alphas.alpha.data[list(edges_into(lab.space, PRIMARY))] = -40.0
    assert difference(shut, PRIMARY) < 1e-6


def test_the_primary_network_alone_is_the_same_and_costs_what_its_backbone_costs(lab):
    shut = lab.copy()
    shut.alphas.alpha.data[list(edges_into(lab.space, PRIMARY))] = -40.0
    network = prune(shut.supernet, shut.derive(primary=PRIMARY))
    image, _ = lab.data["val"].batch(torch.arange(16), ())
    with torch.no_grad():
        soft = shut.supernet.eval()(image, shut.alphas.alpha.sigmoid())[PRIMARY]
        alone = network(image)
    assert list(alone) == [PRIMARY]
    assert (alone[PRIMARY] - soft).abs().max() < 1e-3
    # three convolutions of 16 × 16, 16 × 16 and 8 × 8 positions, and the head, by hand
    classes = soft.shape[1]
    by_hand = 256 * 3 * 8 * 9 + 256 * 8 * 8 * 9 + 64 * 8 * 16 * 9 + 64 * 16 * classes
    assert price(shut, PRIMARY)["use"] == by_hand


def test_an_open_edge_into_the_primary_network_is_refused(lab):
    open_edge = lab.copy()
    open_edge.alphas.alpha.data[list(edges_into(lab.space, PRIMARY))] = 1.0
    with pytest.raises(
        ConfigError, match="segmentation reads from another network by 4 open edges"
    ):
        open_edge.derive(primary=PRIMARY)


def test_the_price_grows_by_the_same_with_each_helper():
    helpers = ["normals", "depth", "edges"]
    prices = []
    for count in (1, 2, 3):
        lab = star(Setting(auxiliaries=helpers[:count]).lab(0), PRIMARY)
        prices.append(price(lab, PRIMARY))
    assert len({one["use"] for one in prices}) == 1
    heads = (
        64 * 16 * (3 - 1)
    )  # of normals, and of the two with one channel, in the last stage's 8 × 8
    more = [b["training"] - a["training"] for a, b in zip(prices, prices[1:])]
    assert more[0] == more[1]
    first = prices[0]["training"] - prices[0]["use"]
    assert first == more[0] + heads


def test_a_helper_that_sees_depth_is_gone_from_the_file(tmp_path):
    onnx = pytest.importorskip("onnx")
    lab = trained_a_little(steps=1, view="depth", few=32)
    shut = lab.copy()
    shut.alphas.alpha.data.fill_(-1.0)
    network = prune(shut.supernet, shut.derive(primary=PRIMARY))
    file = to_onnx(network, tmp_path / "alone.onnx", (32, 32))
    graph = onnx.load(file).graph
    assert [one.name for one in graph.input] == ["image"]
    assert [one.name for one in graph.output] == [PRIMARY]


@pytest.mark.parametrize("arm", list(ARMS))
def test_arms_give_numbers(arm):
    settings = {"steps": 2, "few": 32}
    found = ARMS[arm](0, **settings)
    assert {"primary_score", "primary_loss", "operations", "training_operations"} <= set(found)
    assert found["operations"] <= found["training_operations"]
    if arm != "mtl_nas":
        assert found["operations"] == 289_792
    if arm in ("aux_nas", "labelled_only"):
        assert ARMS[arm](0, **settings) == found


def test_arms_begin_with_the_same_primary_network():
    setting = Setting(few=32)
    alone = setting.lab(3).supernet.backbones[PRIMARY].state_dict()
    helped = star(replace(setting, auxiliaries=("depth",)).lab(3), PRIMARY)
    for name, value in helped.supernet.backbones[PRIMARY].state_dict().items():
        assert torch.equal(value, alone[name])


def test_few_labels_and_views_reach_the_data():
    lab = Setting(few=32, view="depth").lab(0)
    batches = sequential(lab.data["train"], (PRIMARY,), 1)
    labelled = [bool(lab.tasks[PRIMARY].labelled(targets[PRIMARY])) for _, targets in batches]
    assert sum(labelled) == 32 and str(lab.views["normals"]) == "depth"
    assert lab.tasks["normals"].weight == 1.0
    assert condition("segmentation-normals").lab(0).tasks["normals"].weight == 20.0


def test_the_study_names_its_controls():
    study = Exploration.load("aux-nas")
    controls = [claim for claim in study.claims if claim.control]
    assert {claim.against for claim in controls if claim.against} == {
        "aux_g",
        "aux_g, 32 labels",
        "aux_g, 32 labels, helper sees depth",
        "labelled_only, 32 labels",
    }
    for arm in study.arms:
        assert study.function(arm) in aux_nas.ARMS.values()
        Setting(**study.settings(arm))


def test_nothing_is_left_of_the_others_in_the_graph(lab):
    shut = lab.copy()
    shut.alphas.alpha.data.fill_(-1.0)
    alone = shut.derive(primary=PRIMARY)
    assert len(alone.space) == 0 and alone.kept == no_edges(alone.space).kept


def test_the_shipped_report_says_what_its_table_says():
    found = Findings.shipped("aux-nas")
    report = (FOLDER / "aux-nas-small" / "report.md").read_text(encoding="utf-8")
    assert [line for line in found.sentences if f"- {line}\n" not in report] == []
    assert len(found.verdicts) == len(found.study.claims)
    rows = found.frame[["arm", "seed"]].drop_duplicates()
    assert len(rows) == len(found.study.arms) * len(found.study.seeds), "every arm, every seed"
