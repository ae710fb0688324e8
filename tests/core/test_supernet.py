import pytest
import torch
from helpers import batch, small_lab
from torch import nn

from mtlnas_lab.core.backbone import Backbone, Dropout
from mtlnas_lab.core.fusion import NDDR, ResidualFusion
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.relaxation import deterministic
from mtlnas_lab.core.space import Node, SearchSpace, plan
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.errors import ConfigError, SpaceError, TaskError
from mtlnas_lab.models.vgg import vgg16
from mtlnas_lab.tasks.task import Segmentation


def test_forward_by_hand():
    """The supernet's pass, written out: stages side by side, fusion from features before fusion."""
    lab = small_lab(dtype=torch.float64)
    net, gates, image = (
        lab.supernet.eval(),
        deterministic(lab.alphas.alpha),
        batch(0, dtype=torch.float64)[0],
    )
    x = dict.fromkeys(lab.space.tasks, image)
    features = {}
    for stage in range(13):
        for task in x:
            features[Node(task, stage)] = net.backbones[task].stages[stage](x[task])
        for task in x:
            node = Node(task, stage)
            edges = [lab.space.edges[i] for i in lab.space.into(node)]
            nddr = net.fusion[str(node)]
            mixed = torch.cat(
                [features[node]] + [gates[lab.space.index(e)] * features[e.source] for e in edges],
                1,
            )
            x[task] = torch.relu(nddr.norm(nddr.conv(mixed)))
    expected = {task: net.backbones[task].head(x[task]) for task in x}
    for task, output in net(image, gates).items():
        assert torch.allclose(output, expected[task], atol=1e-12)


@pytest.mark.parametrize("tasks", [2, 3])
def test_hard_gates_as_numbers_and_as_a_mask_agree(tasks):
    lab = small_lab(tasks, dtype=torch.float64)
    lab.supernet.eval()
    kept = (lab.alphas.alpha > 0).tolist()
    image = batch(0, dtype=torch.float64)[0]
    soft, hard = (
        lab.supernet(image, torch.tensor(kept, dtype=torch.float64)),
        lab.supernet(image, kept),
    )
    for task in lab.tasks:
        assert torch.allclose(soft[task], hard[task], atol=1e-12)


def test_residual_start_is_the_single_task_network_in_training_too():
    lab = small_lab(fusion=ResidualFusion, dtype=torch.float64)
    image = batch(0, dtype=torch.float64)[0]
    fused = lab.supernet.train()(image, deterministic(lab.alphas.alpha))
    for task, backbone in lab.supernet.backbones.items():
        assert torch.equal(fused[task], backbone(image))


def turned_edge_by_edge(network, image, gates, step=1):
    """Holds `turned` of every candidate edge (or each `step`-th) against a whole pass each, to the bit."""
    others = {}
    for i, gate in list(enumerate(gates))[::step]:
        other = gates.clone() if isinstance(gates, torch.Tensor) else list(gates)
        other[i] = 1 - gate if isinstance(gates, torch.Tensor) else not gate
        others[i] = other
    found = network.turned(image, gates, others)
    places = []
    for i, outputs in found:
        places.append(network.space.place[network.space.edges[i].target])
        expected = network(image, others.pop(i))
        assert list(outputs) == list(expected)
        for task, output in outputs.items():
            assert torch.equal(output, expected[task]), (network.space.edges[i], task)
    assert not others and places == sorted(places)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("fusion", [NDDR, ResidualFusion])
def test_a_turned_edge_gives_what_a_pass_from_the_images_gives(fusion, tasks, dtype):
    lab = small_lab(tasks, fusion, dropout=0.5, dtype=dtype)
    for parameter in lab.supernet.fusion.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    lab.supernet.eval().to(memory_format=torch.channels_last)
    apart = {task: batch(i, count=1, dtype=dtype)[0] for i, task in enumerate(lab.tasks)}
    soft = deterministic(lab.alphas.alpha)
    turned_edge_by_edge(lab.supernet, apart["normals"], (soft > 0.5).tolist(), step=5)
    turned_edge_by_edge(lab.supernet, apart, soft, step=5)
    assert list(lab.supernet.turned(apart, soft, {})) == []


@torch.no_grad()
def test_a_turned_edge_between_unlike_backbones_whose_heads_work_in_place():
    """Of `c`, which is shallow, all that is read after its last stage is the same map for every turned edge."""
    backbones = {}
    for task, widths in {"a": [4, 4, 8], "b": [4, 4, 8], "c": [4]}.items():
        stages = [nn.Conv2d(i, o, 3, padding=1) for i, o in zip([3, *widths], widths)]
        head = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(widths[-1], 2, 1))
        backbones[task] = Backbone(stages, plan(widths, [len(widths)]), head, signed=True)
    space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
    into_ab = SearchSpace(space.plans, [edge for edge in space.edges if edge.target.task != "c"])
    network = SuperNet(backbones, into_ab, ResidualFusion).eval()
    for parameter in network.fusion.parameters():
        nn.init.normal_(parameter, std=0.3)
    turned_edge_by_edge(network, torch.randn(2, 3, 8, 8), [True, False] * (len(into_ab) // 2))


def test_tap_visits_every_node_with_its_fused_features():
    lab, seen = small_lab(), {}
    lab.supernet(batch(0)[0], deterministic(lab.alphas.alpha), tap=seen.__setitem__)
    assert set(seen) == set(lab.space.nodes)
    assert all(x.shape[1] == lab.space.stage(node).channels for node, x in seen.items())


def test_unlike_backbones_are_resized_and_matched():
    def convs(widths, strides):
        return [torch.nn.Conv2d(i, o, 3, s, 1) for i, o, s in zip([3, *widths], widths, strides)]  # noqa: E731

    backbones = {
        "a": Backbone(
            convs([4, 4, 8, 8], [1, 1, 2, 1]), plan([4, 4, 8, 8], [2, 2]), torch.nn.Conv2d(8, 2, 1)
        ),
        "b": Backbone(
            convs([6, 10, 10], [2, 2, 1]), plan([6, 10, 10], [1, 2]), torch.nn.Conv2d(10, 3, 1)
        ),
    }
    space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
    out = SuperNet(backbones, space)(torch.randn(2, 3, 16, 16), torch.rand(len(space)))
    assert out["a"].shape == (2, 2, 8, 8) and out["b"].shape == (2, 3, 4, 4)


class WithToken(torch.nn.Module):
    """A stage that puts out a map and something that goes on beside it, and counts how often it was taken along."""

    def __init__(self, inputs):
        super().__init__()
        self.conv = torch.nn.Conv2d(inputs, 4, 1)

    def forward(self, x, token=0.0):
        return self.conv(x), token + 1.0


class TokenAway(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Conv2d(4, 2, 1)

    def forward(self, x, token):
        return self.last(x) * 0 + token


def test_what_goes_beside_the_map_stays_in_its_backbone_and_is_not_fused():
    backbones = {
        "a": Backbone([WithToken(3), WithToken(4), WithToken(4)], plan([4] * 3, [3]), TokenAway()),
        "b": Backbone([torch.nn.Conv2d(3, 4, 1)], plan([4], [1]), torch.nn.Conv2d(4, 2, 1)),
    }
    space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
    net, image = SuperNet(backbones, space), torch.randn(2, 3, 8, 8)
    out = net(image, torch.ones(len(space)))
    assert len(space) == 4 and out["b"].shape == (2, 2, 8, 8)
    assert (out["a"] == 3).all() and (backbones["a"](image) == 3).all()


def test_no_candidate_edge_says_which_rule_and_what_to_do():
    with pytest.raises(
        SpaceError,
        match=r"rule same_group refuses all 2 pairs.*a: \[2\]; b: \[0, 1\].*skips a number",
    ):
        SearchSpace.build({"a": plan([4, 4], [2]), "b": plan([4], [0, 1])})


def test_parameter_groups_hold_every_parameter_once():
    net = small_lab().supernet
    grouped = [p for group in net.parameter_groups().values() for p in group]
    assert len(grouped) == len(set(map(id, grouped))) == len(list(net.parameters()))
    assert len(net.parameter_groups()["last_bias"]) == 2


def test_wrong_space_is_refused():
    lab = small_lab()
    other = SearchSpace.build({task: plan([4] * 4, [2, 2]) for task in lab.tasks})
    with pytest.raises(SpaceError, match="do not have the stages"):
        SuperNet(dict(lab.supernet.backbones.items()), other)
    with pytest.raises(ConfigError, match="one entry for each stage"):
        Backbone([], plan([4], [1]), torch.nn.Identity())


def test_sizes_of_the_paper():
    """PAPERS.md 4: parameters of the full-width networks and of their fusion operations."""
    with torch.device("meta"):
        backbone = vgg16(40)
        count = lambda module, size: sum(p.numel() for p in module.parameters() if p.ndim == size)  # noqa: E731
        assert count(backbone.stages, 4) == 14_710_464
        space = SearchSpace.build(dict.fromkeys(("segmentation", "normals"), backbone.plan))
        fusion = [
            NDDR(
                space.stage(node).channels,
                [space.stage(space.edges[i].source).channels for i in space.into(node)],
            )
            for node in space.nodes
        ]
    assert sum(count(f, 4) for f in fusion) == 10_821_632
    assert sum(p.numel() for f in fusion for p in f.parameters()) == 10_838_528


def test_image_head_and_dropout_by_its_generator():
    net = vgg16(7, dense=False, widths=(4,) * 5, hidden=8, dropout=0.5)
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 7)
    drop = Dropout(0.5)
    drop.generator = torch.Generator().manual_seed(1)
    first = drop(torch.ones(1000))
    drop.generator.manual_seed(1)
    torch.manual_seed(99)
    assert torch.equal(first, drop(torch.ones(1000))) and set(first.tolist()) == {0.0, 2.0}
    assert torch.equal(drop.eval()(torch.ones(3)), torch.ones(3))


def test_a_task_without_a_head_is_named():
    lab = small_lab(tasks=2)
    with pytest.raises(
        ConfigError,
        match="no network here has a head for depth; those here are for segmentation, normals",
    ):
        Lab(small_lab(tasks=3).tasks, lab.supernet, lab.alphas)
    backbone = lab.supernet.backbones["normals"]
    for head in (None, nn.Identity(), nn.Sequential(nn.Conv2d(6, 3, 1, bias=False))):
        with pytest.raises(ConfigError, match="its last layer must have weights and a bias"):
            Backbone(list(backbone.stages), backbone.plan, head)
    five = Lab({**lab.tasks, "normals": Segmentation("normals", 5)}, lab.supernet, lab.alphas)
    image, targets = batch(0)
    with pytest.raises(TaskError, match="task normals: .* axis 1 must have 5 channels"):
        five.loss(
            five.supernet(image, [True] * 48),
            {"segmentation": targets["segmentation"], "normals": targets["segmentation"]},
        )
