import pytest
import torch
from torch.nn import functional as F

from mtlnas_lab.core.fusion import (
    NDDR,
    CrossStitch,
    Fusion,
    ResidualFusion,
    gated_conv,
    product_of_joined,
)
from mtlnas_lab.errors import FusionError

KINDS = [NDDR, ResidualFusion, CrossStitch]


def maps(count=3, channels=4, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, 5, 6, generator=g, dtype=dtype) for _ in range(count)]


def operation(kind, sources=2, channels=4):
    made = kind(channels, [channels] * sources).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(
                torch.randn(
                    parameter.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64
                )
                * 0.1
            )
    return made


def test_nddr_is_the_formula():
    """O = ReLU(BN(W·[F, z_1 F_1, z_2 F_2])): gates on the maps and gates in the weights are one function."""
    own, *sources = maps()
    z, nddr = torch.tensor([0.3, 0.9], dtype=torch.float64), operation(NDDR)
    x = torch.cat([own, *(gate * source for gate, source in zip(z, sources))], 1)
    assert torch.allclose(nddr(own, sources, z), F.relu(nddr.norm(nddr.conv(x))), atol=1e-13)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("gated", [True, False])
def test_products_that_add_up_are_the_convolution_of_the_concatenation(layout, gated):
    inputs = [x.contiguous(memory_format=layout) for x in (*maps(2), maps(1, channels=7)[0])]
    g = torch.Generator().manual_seed(3)
    weight = torch.randn(4, 15, 1, 1, generator=g, dtype=torch.float64)
    z = torch.rand(15, generator=g, dtype=torch.float64) if gated else None
    leaves = [x.requires_grad_() for x in (weight, *inputs, *([z] if gated else []))]
    columns = z.view(1, -1, 1, 1) if gated else 1
    whole = F.conv2d(torch.cat(inputs, 1), weight * columns)
    added = gated_conv(inputs, weight, z)
    assert added.is_contiguous(memory_format=layout)
    assert torch.allclose(added, whole, rtol=0, atol=1e-12)
    asked = torch.randn(whole.shape, generator=g, dtype=torch.float64)
    expected = torch.autograd.grad(whole, leaves, asked)
    for ours, theirs in zip(torch.autograd.grad(added, leaves, asked), expected):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)


def test_a_product_that_is_asked_for_is_that_of_other_nodes_too():
    own, *sources = maps()
    asked = NDDR(4, [4, 4], product=product_of_joined).double()
    usual = asked.like(4, [4, 4])
    assert usual.product is product_of_joined and asked.only([True, False]).product is usual.product
    usual = NDDR(4, [4, 4]).double()
    usual.load_state_dict(asked.state_dict())
    z = torch.tensor([0.3, 0.7], dtype=torch.float64)
    assert torch.allclose(asked(own, sources, z), usual(own, sources, z), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [NDDR, ResidualFusion])
def test_a_node_keeps_no_copy_of_the_maps_that_enter_it(kind):
    own, *sources = [x.requires_grad_() for x in maps(4)]
    made = operation(kind, sources=3)
    kept = {}  # by their memory, maps that the backward pass needs

    def keep(tensor):
        if tensor.ndim == 4 and tensor.shape[-2:] == own.shape[-2:]:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    gates = torch.full((3,), 0.5, dtype=torch.float64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        made(own, sources, gates)
    entered = {x.untyped_storage().data_ptr() for x in (own, *sources)}
    made_here = [x for place, x in kept.items() if place not in entered]
    assert len(made_here) <= 2, "what enters the batch norm, and what it puts out"
    assert all(x.shape == own.shape for x in made_here)


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_source_is_a_source_times_zero(kind):
    own, *sources = maps()
    made = operation(kind).eval()
    soft = made(own, sources, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(made(own, [None, sources[1]]), soft, atol=1e-13)
    assert torch.allclose(made.only([False, True])(own, [sources[1]]), soft, atol=1e-13)
    nothing = made(own, sources, torch.zeros(2, dtype=torch.float64))
    assert torch.allclose(made(own, [None, None]), nothing, atol=1e-13)
    assert torch.allclose(made.only([False, False])(own, []), nothing, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_have_the_right_gradient(kind):
    own, *sources = maps(channels=3)
    made = operation(kind, channels=3).eval()
    z = torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda gates: made(own, sources, gates), z)


def test_starts():
    own, *sources = maps()
    residual = ResidualFusion(4, [4, 4]).double()
    assert torch.equal(residual(own, sources, torch.rand(2, dtype=torch.float64)), own)
    weight = NDDR(4, [4, 4], start=(0.9, 0.1)).conv.weight[:, :, 0, 0]
    assert torch.allclose(
        weight, torch.cat([0.9 * torch.eye(4), 0.05 * torch.eye(4), 0.05 * torch.eye(4)], 1)
    )
    identity = NDDR(4, [4, 4], start=(1.0, 0.0)).double().eval()
    positive = own.abs()
    assert torch.allclose(
        identity(positive, sources), positive, rtol=1e-3
    )  # but for eps = 1e-3 in the batch norm
    assert NDDR(4, [4], start=None).conv.weight.std() > 0.1
    assert CrossStitch(4, [4, 4]).mix.tolist() == pytest.approx([0.9, 0.05, 0.05])
    assert NDDR(4, [4], start=(0.5, 0.5)).like(8, [8]).start == (0.5, 0.5)


def test_unlike_channels():
    own, other = maps(1)[0], maps(1, channels=7)[0]
    assert (
        NDDR(4, [7]).double()(own, [other], torch.ones(1, dtype=torch.float64)).shape == own.shape
    )
    with pytest.raises(FusionError, match="use NDDR or ResidualFusion"):
        CrossStitch(4, [7])


def test_settings_of_an_own_operation_are_not_lost_without_a_word():
    class Scaled(Fusion):
        def __init__(self, channels, source_channels, scale=1.0):
            super().__init__(channels, source_channels)
            self.scale = scale

    with pytest.raises(
        FusionError, match=r"settings of its own \(scale\); define its method `like`"
    ):
        Scaled(4, [4], scale=2.0).like(8, [8])
    same = ResidualFusion(4, [4]).like(8, [8, 8])
    assert same.channels == 8 and same.source_channels == (8, 8)
