"""Stages, heads and fusions that change their input in place, where edges, other heads and the caller still read it."""

import copy

import pytest
import torch
from torch import nn

from mtlnas_lab.core.backbone import Backbone, step
from mtlnas_lab.core.fusion import NDDR, CrossStitch, ResidualFusion
from mtlnas_lab.core.space import Node, SearchSpace, plan
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.in_place import untouched
from mtlnas_lab.models import traced
from mtlnas_lab.models.baselines import SharedTrunk, Sluice
from mtlnas_lab.models.onnx import onnx_difference, to_onnx, to_torch
from mtlnas_lab.models.pruned import prune


class Stage(nn.Module):
    """A stage that first does something to its input."""

    def __init__(self, first, inputs=4):
        super().__init__()
        self.first, self.conv = first, nn.Conv2d(inputs, 4, 3, padding=1)

    def forward(self, x):
        return self.conv(self.first(x))


class Do(nn.Module):
    def __init__(self, do):
        super().__init__()
        self.do = do

    def forward(self, x):
        return self.do(x)


def added(x):
    x += 1
    return x


def through_a_view(x):
    x.flatten(2).transpose(1, 2).mul_(2)
    return x


def uncounted(x):
    x.data.mul_(2)
    return x


FIRST = {
    "relu": lambda: nn.ReLU(inplace=True),
    "in a row": lambda: nn.Sequential(nn.Identity(), nn.ReLU6(inplace=True)),
    "x +=": lambda: Do(added),
    "x.mul_": lambda: Do(lambda x: x.mul_(2)),
    "view": lambda: Do(through_a_view),
    "detached": lambda: Do(lambda x: (x.detach().mul_(2), x)[1]),
    "data": lambda: Do(uncounted),
    "functional": lambda: Do(lambda x: nn.functional.leaky_relu(x, 0.1, inplace=True)),
    "out": lambda: Do(lambda x: x[:, :1].zero_() + x),
}


def backbone(first, outputs=2, head=None):
    torch.manual_seed(0)
    stages = [nn.Conv2d(3, 4, 3, padding=1), *(Stage(first()) for _ in range(3))]
    return Backbone(stages, plan([4] * 4, [4]), head or nn.Conv2d(4, outputs, 1), signed=True)


def network(first, fusion):
    backbones = {task: backbone(first) for task in ("a", "b")}
    space = SearchSpace.build({task: made.plan for task, made in backbones.items()})
    made = SuperNet(backbones, space, fusion)
    for parameter in made.fusion.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made.eval()


def by_hand(net, image):
    """All edges open, every stage with a copy of its own."""
    features, fused = {}, dict.fromkeys(net.space.tasks, image)
    for stage in range(4):
        for task in fused:
            here = net.backbones[task].stages[stage]
            features[Node(task, stage)] = here(fused[task].clone()).clone()
        for task in fused:
            node = Node(task, stage)
            brought = [features[net.space.edges[i].source] for i in net.space.into(node)]
            fused[task] = net.fusion[str(node)](features[node], brought)
    return {task: net.backbones[task].head(x) for task, x in fused.items()}


@torch.no_grad()
@pytest.mark.parametrize("fusion", [NDDR, CrossStitch, ResidualFusion])
@pytest.mark.parametrize("first", FIRST)
def test_edges_and_the_caller_read_what_was_there(first, fusion):
    net, image = network(FIRST[first], fusion), torch.randn(2, 3, 8, 8)
    expected, before = by_hand(net, image), image.clone()
    for _ in range(2):  # when it is found out, and when it is known
        for gates in ([True] * len(net.space), torch.ones(len(net.space))):
            for task, output in net(image, gates).items():
                torch.testing.assert_close(output, expected[task], atol=1e-5, rtol=1e-4)
    assert torch.equal(image, before)
    pruned = prune(net, [True] * len(net.space))
    for _ in range(2):
        for task, output in pruned(image).items():
            torch.testing.assert_close(output, expected[task], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("first", FIRST)
def test_a_closed_edge_and_a_first_stage_leave_the_network_as_it_is_alone(first):
    net, image = network(FIRST[first], ResidualFusion), torch.randn(2, 3, 8, 8)
    alone, shut = net.backbones["a"](image), net(image, [False] * len(net.space))["a"]
    assert torch.equal(alone, shut)
    head = nn.Conv2d(4, 2, 1)
    eager = Backbone([Stage(FIRST[first](), 3)], plan([4], [1]), head)
    before = image.clone()
    eager(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("fusion", [NDDR, CrossStitch, ResidualFusion])
def test_training_and_its_gradients(fusion):
    net, image = network(FIRST["relu"], fusion).train(), torch.randn(2, 3, 8, 8)
    gradients = []
    for _ in range(2):
        gates = torch.full((len(net.space),), 0.5, requires_grad=True)
        sum(output.sum() for output in net(image, gates).values()).backward()
        gradients.append(gates.grad)
    assert torch.equal(*gradients) and gradients[0].abs().min() > 0


def test_what_changes_nothing_gets_no_copy():
    seen, plain = [], Do(lambda x: x * 2)
    plain.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.randn(2)
    for _ in range(3):
        untouched(plain, x)
    assert [other is x for other in seen] == [False, True, True]
    with torch.inference_mode():
        assert torch.equal(untouched(Do(added), torch.ones(2) * 1), torch.ones(2) * 2)


def test_training_and_use_are_found_out_each_for_itself():
    class Moody(nn.Module):
        def forward(self, x):
            return nn.functional.relu(x, inplace=not self.training)

    net, x = Moody(), -torch.ones(3)
    for training in (True, True, False, False):
        assert untouched(net.train(training), x).sum() == 0 and x.sum() == -3


def test_a_module_that_begins_to_change_its_input_is_told_of():
    net, x = nn.ReLU(), -torch.ones(3)
    untouched(net, x)
    net.inplace = True
    with pytest.raises(ConfigError, match="ReLU has begun to change its input in place"):
        untouched(net, x)
    x = -torch.ones(3)
    assert untouched(net, x).sum() == 0 and x.sum() == -3


def test_what_goes_beside_the_map_stays_as_it_is():
    class Skip(nn.Module):
        def forward(self, x, skip):
            return x + skip.relu_(), skip

    x, skip = torch.ones(2), -torch.ones(2)
    for _ in range(2):
        step(stage := Skip(), x, (skip,))
        step(stage, x, (skip,))
    assert skip.sum() == -2


@pytest.mark.parametrize("mode", [True, False])
def test_baselines(mode):
    image = torch.randn(2, 3, 8, 8)
    heads = {task: nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)) for task in ("a", "b")}
    trunk = SharedTrunk(backbone(FIRST["relu"]), copy.deepcopy(heads)).train(mode)
    other = SharedTrunk(
        backbone(FIRST["relu"]), {"b": trunk.heads["b"], "a": trunk.heads["a"]}
    ).train(mode)
    trunk.heads["a"][0] = other.heads["a"][0] = Do(added)
    for _ in range(2):
        one, two = trunk(image), other(image)
        assert all(torch.equal(one[task], two[task]) for task in one)
    sluice = Sluice({task: backbone(FIRST["x +="]) for task in ("a", "b")}).train(mode)
    assert all(torch.equal(x, sluice(image)[task]) for task, x in sluice(image).items())


def test_a_fusion_of_ones_own():
    class Greedy(ResidualFusion):
        def forward(self, own, sources, gates=None):
            for source in sources:
                if source is not None:
                    own += source.mul_(0.5)
            return own

    class Modest(Greedy):
        def forward(self, own, sources, gates=None):
            return super().forward(own.clone(), [source.clone() for source in sources])

    image, outputs = torch.randn(2, 3, 8, 8), []
    for kind in (Greedy, Modest):
        net = network(nn.ReLU, kind)
        outputs.append(net(image, [True] * len(net.space)))
    assert all(torch.equal(x, outputs[1][task]) for task, x in outputs[0].items())


class Traced(nn.Module):
    """A network that changes maps at its cuts, and reads them under their old names afterwards."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(i, 4, 3, padding=1) for i in (3, 4, 4))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        first = self.a(x)
        second = self.b(self.relu(first.view(first.shape)) + first)
        second *= 0.5
        third = second.clamp_(max=0.3) + second
        return self.c(third + first)


def test_a_traced_network():
    torch.manual_seed(0)
    net, image = Traced().eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        expected = net(image)
    made = traced.staged(net, ["a", "b", "c"], outputs=2, groups=[3])
    assert net.relu.inplace  # the network that was given is as it was
    for _ in range(2):
        x, beside, maps = image, (), []
        for stage in made.stages:
            x, beside = step(stage, x, beside)
            maps.append((x, x.detach().clone()))
        torch.testing.assert_close(x, expected)
        assert all(torch.equal(x, kept) for x, kept in maps)


class Lost(Traced):
    def __init__(self, do):
        super().__init__()
        self.do = do

    def forward(self, x):
        first = self.a(x)
        self.do(self, first)
        return self.b(first)


@pytest.mark.parametrize(
    "do",
    [
        lambda net, x: net.relu(x),
        lambda net, x: x.view(x.shape).relu_(),
        lambda net, x: torch.relu_(x),
        lambda net, x: nn.functional.relu(x, inplace=True),
    ],
)
def test_what_tracing_would_lose_is_refused(do):
    with pytest.raises(ConfigError, match="Lost changes a map in place by .*relu"):
        traced.staged(Lost(do), ["a", "b"], outputs=2)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["relu", "x +=", "view"])
def test_exported(first, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    net = network(FIRST[first], ResidualFusion)
    for run_before in (False, True):
        network_ = prune(net, [True] * len(net.space))
        if run_before:
            network_(torch.randn(1, 3, 16, 16))
        path = to_onnx(network_, tmp_path / "network.onnx", (16, 16))
        assert onnx_difference(path, network_, [(1, 16, 16)]) < 1e-4
        program = torch.export.load(to_torch(network_, tmp_path / "n.pt2", (16, 16))).module()
        image = torch.randn(2, 3, 16, 16)
        for task, output in by_hand(net, image).items():
            torch.testing.assert_close(program(image)[task], output, atol=1e-4, rtol=1e-3)
