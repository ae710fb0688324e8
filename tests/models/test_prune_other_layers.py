"""Layers that compute their weights, or more than torch's own: pruned networks still compute what the supernet does."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.fusion import NDDR
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.models.pruned import prune


def old(norm):
    def made(layer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own: there is a newer form
            return norm(layer)

    return made


class Standardised(nn.Conv2d):
    """A convolution with a forward of its own."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class Twice(nn.Sequential):
    """What comes second does not read the first alone."""

    def forward(self, x):
        first = self[0](x)
        return self[1](first) + first


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


def hooked(layer):
    layer.register_forward_hook(lambda module, inputs, output: output * 2)
    return layer


def parametrized(layer):
    parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


def seq(wrap, norm=nn.BatchNorm2d):
    return lambda: nn.Sequential(
        wrap(nn.Conv2d(4, 4, 3, padding=1, bias=False)), norm(4), nn.ReLU()
    )


STAGES = {
    "weight_norm": seq(parametrizations.weight_norm),
    "spectral_norm": seq(parametrizations.spectral_norm),
    "old weight_norm": seq(old(nn.utils.weight_norm)),
    "old spectral_norm": seq(old(nn.utils.spectral_norm)),
    "parametrized": seq(parametrized),
    "both": seq(lambda layer: parametrized(parametrizations.weight_norm(layer))),
    "a hook": seq(hooked),
    "a forward of its own": lambda: nn.Sequential(
        Standardised(4, 4, 3, padding=1), nn.BatchNorm2d(4)
    ),
    "no statistics": seq(
        lambda layer: layer, lambda width: nn.BatchNorm2d(width, track_running_stats=False)
    ),
    "no scale": seq(lambda layer: layer, lambda width: nn.BatchNorm2d(width, affine=False)),
    "not in a row": lambda: Twice(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
}


@pytest.mark.parametrize("stage", STAGES)
def test_pruned_computes_the_same(stage):
    torch.manual_seed(0)
    backbones = {
        task: Backbone(
            [nn.Conv2d(3, 4, 3, padding=1), STAGES[stage](), STAGES[stage]()],
            plan([4] * 3, [3]),
            nn.Conv2d(4, 2, 1),
        )
        for task in "ab"
    }
    space = SearchSpace.build({task: made.plan for task, made in backbones.items()})
    net, gates = SuperNet(backbones, space, NDDR), [i % 2 == 0 for i in range(len(space))]
    image = torch.randn(2, 3, 16, 16)
    for _ in range(3):  # so that statistics and norms are not those of the start
        sum(output.square().mean() for output in net(image, gates).values()).backward()
    pruned, again = prune(net.eval(), gates), copy.deepcopy(net)
    assert not [
        name for name, _ in pruned.named_parameters() if "original" in name or "_orig" in name
    ]
    with torch.no_grad():
        for task, output in net(image, gates).items():
            assert output.abs().max() > 1e-3
            torch.testing.assert_close(pruned(image)[task], output, atol=1e-5, rtol=1e-4)
            assert torch.equal(again(image, gates)[task], output)
