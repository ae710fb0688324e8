"""Checks of notebook 04: 1×1 convolution, identity start, gates in the weight, cross-stitch, what fusion costs."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ...core.fusion import identity_start
from ..checking import Wrong, exercise
from .common import apart, close, differ, near_misses, numbers, tensor

RIGHT, YOURS = "#4575b4", "#b35806"


def curves(ax, right, yours, xlabel: str, ylabel: str) -> None:
    """Numbers in a row, yours thin on what is right."""
    ax.plot(right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, color=YOURS, lw=1.3, label="yours")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False, fontsize=8)


def matrices(ax, right: torch.Tensor, yours: torch.Tensor) -> None:
    """Two weights as pictures, the right one above."""
    gap = torch.full((1, right.shape[1]), torch.nan, dtype=right.dtype)
    size = right.abs().max().item()
    drawn = ax.imshow(
        torch.cat([right, gap, yours]).numpy(), cmap="PuOr", vmin=-size, vmax=size, aspect="auto"
    )
    rows = len(right)
    ax.set(
        xlabel="input channel",
        yticks=[rows / 2 - 0.5, 1.5 * rows + 0.5],
        yticklabels=["right", "yours"],
    )
    ax.figure.colorbar(drawn, ax=ax, label="weight")


def _rows(maps: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
    """The matrix used on the first three rows of each map instead of on its channels."""
    return torch.einsum("yz,bczw->bcyw", square[:3, :3], maps)


@exercise("04.pixelwise")
def pixelwise(answer, ax):
    """The 1×1 convolution as a matrix at every pixel."""
    draw = torch.Generator().manual_seed(0)
    maps, square, wide = (
        torch.randn(size, generator=draw) for size in ((2, 4, 3, 5), (4, 4), (3, 4))
    )
    right = F.conv2d(maps, square[:, :, None, None]).double()
    yours = tensor(answer(maps, square), (2, 4, 3, 5), "maps (B, C, H, W)")
    curves(
        ax, right[0, 0].flatten(), yours[0, 0].flatten(), "pixel of the first output map", "value"
    )
    weighted = square[:, :, None, None]
    almost = {
        "this is the matrix transposed: weight[o, c] is what output channel o takes from input channel c": torch.einsum(
            "co,bchw->bohw", square, maps
        ),
        "you average over pixels; a 1×1 convolution looks at one pixel at a time": right.mean(
            (2, 3), keepdim=True
        ).expand_as(right),
        "only the diagonal is used: each output channel takes a share of every input channel": maps
        * square.diagonal().view(4, 1, 1),
        "the weights of an output channel are added up before they meet the maps: multiply first, then add": maps
        * square.sum(1).view(4, 1, 1),
        "right, but for one picture: each picture of the batch has maps of its own": right[
            :1
        ].expand_as(right),
        "a pixel is a vector of channels; yours multiplies rows or columns of the map": _rows(
            maps, square
        ),
        "σ, ReLU or another bend is no part of it: a 1×1 convolution is a matrix product": right.relu(),
    }
    near_misses(
        yours,
        F.conv2d(maps, weighted),
        almost,
        "at each pixel the channels, a vector, should be multiplied by the matrix: "
        "out[b, o, y, x] = Σ_c weight[o, c]·maps[b, c, y, x]",
    )
    again = tensor(
        answer(maps, wide),
        (2, 3, 3, 5),
        "one output map for each row of the weight (3 maps from 4)",
    )
    if not close(again, F.conv2d(maps, wide[:, :, None, None])):
        raise Wrong("right for a square matrix, but not for one that makes 3 maps from 4")
    return (
        "No pixel sees its neighbour: the fusion mixes channels, the stages around it mix places."
    )


@exercise("04.start")
def start(answer, ax):
    """The identity start of a fusion weight."""
    cases = ((6, [6, 6], 0.9, 0.1), (6, [6, 6, 6], 0.8, 0.2), (6, [4, 8], 0.9, 0.1))
    for number, (channels, sources, own, others) in enumerate(cases):
        right = identity_start(channels, sources, own, others)[:, :, 0, 0].double()
        yours = answer(channels, list(sources), own, others)
        if isinstance(yours, torch.Tensor) and yours.shape == (*right.shape, 1, 1):
            yours = yours[:, :, 0, 0]
        if isinstance(yours, (list, tuple)) and len(yours) == len(sources) + 1:
            raise Wrong("these are the blocks; lay them side by side: torch.cat(blocks, 1)")
        if isinstance(yours, torch.Tensor) and yours.shape == (right.shape[1], right.shape[0]):
            raise Wrong(
                "the blocks stand on top of each other; lay them side by side: torch.cat(blocks, 1)"
            )
        yours = tensor(
            yours, tuple(right.shape), f"{channels} rows, a column for each input channel"
        )
        if number == 0:
            matrices(ax, right, yours)
        eye = (right > 0).double()
        if torch.allclose(yours, right.roll(-channels, 1), atol=1e-5):
            raise Wrong(
                "the node's own features come first, so the large identity stands at the left"
            )
        shared = torch.cat([right[:, :channels], right[:, channels:] * len(sources)], 1)
        if torch.allclose(yours, shared, atol=1e-5):
            raise Wrong(
                f"{others} is what all sources share: {len(sources)} of them get {others}/{len(sources)} each"
            )
        if close(yours, torch.cat([others * eye[:, :channels], own * eye[:, channels:]], 1), 1e-5):
            raise Wrong(
                "own and others are exchanged: `own` weighs the node's own block, the first one"
            )
        if close(yours, torch.cat([own * eye[:, :channels], own * eye[:, channels:]], 1), 1e-5):
            raise Wrong("all blocks are weighed by `own`; the sources share `others`")
        if torch.allclose(yours, (right > 0).double(), atol=1e-5):
            raise Wrong(
                "identities stand at the right places; now weigh them, own·I and others/k·I"
            )
        if not torch.allclose(yours, right, atol=1e-5) and sources == [4, 8]:
            raise Wrong(
                "right for equal widths; but a block is as wide as its source, torch.eye(channels, c): 4 "
                "channels speak to the first 4 rows alone"
            )
        if not torch.allclose(yours, right, atol=1e-5):
            flat = right.flatten(), yours.flatten()
            size = right.shape[1]
            places = [f"row {i // size}, column {i % size}:" for i in range(right.numel())]
            said = differ(*flat, places, 1e-5)
            if not close(yours[0].sum(), own + others):
                whole, mine = apart(own + others, yours[0].sum())
                said = f"the first row then sums to {whole}, yours to {mine}"
            raise Wrong(
                f"for {channels} channels and sources of {list(sources)} it should be [own·I, others/k·I, …] "
                f"side by side; {said}"
            )
    return "Every row sums to 1 where the sources are as wide as the node: a mean of maps, mostly the node's own."


@exercise("04.fold")
def fold(answer, ax):
    """Gates in the columns of the weight."""
    draw = torch.Generator().manual_seed(1)
    channels, gates = [4, 4, 3], torch.tensor([0.2, 0.7])
    weight = torch.randn(4, sum(channels), generator=draw)
    yours = tensor(
        answer(weight, gates, list(channels)), (4, 11), "the weight with its columns gated"
    )

    def each(*factors):
        return weight * torch.tensor(factors).repeat_interleave(torch.tensor(channels))

    right = each(1.0, 0.2, 0.7).double()
    matrices(ax, right, yours)
    own = "the node's own columns must stay as they are: no gate closes a network's own stream"
    for wrong in (each(0.2, 0.2, 0.7), each(0.0, 0.2, 0.7)):
        near_misses(yours, right, {own: wrong}, atol=1e-5)
    almost = {
        "nothing is gated yet": weight,
        "the first gate fell on the node's own block; gates belong to sources, the own features have none": each(
            0.2, 0.7, 1.0
        ),
        "gates and sources stand in the same order: the first gate belongs to the second block of columns": each(
            1.0, 0.7, 0.2
        ),
        "one gate is used for both sources; each source has its own": each(1.0, 0.2, 0.2),
        "only the first gate is used": each(1.0, 0.2, 1.0),
        "only the second gate is used": each(1.0, 1.0, 0.7),
        "you divide by the gates; a gate of 0 should close an edge, so multiply": each(
            1.0, 5.0, 1 / 0.7
        ),
        "you add the gates; a gate of 0 should close an edge, so multiply": weight
        + each(1.0, 0.2, 0.7) / weight * (torch.arange(11) >= 4),
        "both blocks are taken to be 4 columns wide at most: the second source has 3 channels, and `channels` says so": (
            weight * torch.tensor([1.0] * 4 + [0.2] * 3 + [0.7] * 4)
        ),
    }
    near_misses(yours, right, almost, atol=1e-5)
    if torch.allclose(yours[:, 6:], weight[:, 6:].double(), atol=1e-5):
        raise Wrong(
            "a gate scales a whole block of columns, one for each channel of its source, not a single column"
        )
    near_misses(
        yours,
        right,
        {},
        "the first 4 columns stay, the next 4 are multiplied by the first gate, the last 3 by the second",
        atol=1e-5,
    )
    other, one = torch.ones(2, 5), torch.tensor([0.5])
    said = "right for channels [4, 4, 3], but not for [2, 3], with one source"
    again = tensor(
        answer.also(said, other, one, [2, 3]), (2, 5), "the weight with its columns gated"
    )
    if not close(again, [[1, 1, 0.5, 0.5, 0.5]] * 2, 1e-5):
        raise Wrong(f"{said}: use the arguments")
    return "The weight has hundreds of entries, the maps have thousands: the same function, and less to keep."


@exercise("04.cross_stitch")
def cross_stitch(answer, ax):
    """Cross-stitch for T tasks."""
    maps = torch.randn(3, 2, 4, 2, 3, generator=torch.Generator().manual_seed(2))
    mix = torch.tensor([[0.8, 0.3, 0.1], [0.05, 0.9, -0.2], [0.4, 0.15, 0.6]])
    right = torch.einsum("ts,sbchw->tbchw", mix, maps).double()
    yours = answer(maps, mix)
    if isinstance(yours, (list, tuple)) and all(isinstance(one, torch.Tensor) for one in yours):
        if len({one.shape for one in yours}) > 1:
            raise Wrong(
                f"maps of all tasks have one shape; yours: {', '.join(str(tuple(m.shape)) for m in yours)}"
            )
        yours = torch.stack(list(yours))
    if isinstance(yours, torch.Tensor) and yours.shape == maps.shape[1:]:
        raise Wrong(
            "one map for all tasks is the 1×T reading; each of the T tasks receives a mixture of its own"
        )
    yours = tensor(yours, tuple(maps.shape), "a map for each task, stacked")
    curves(
        ax,
        right[:, 0, 0].flatten(),
        yours[:, 0, 0].flatten(),
        "pixel of channel 0, task after task",
        "value",
    )
    running = maps.clone()
    for task in range(3):
        running[task] = torch.einsum("s,sbchw->bchw", mix[task], running)
    wide = mix.view(3, 3, 1, 1, 1, 1)
    almost = {
        "all three tasks receive the same mixture: this is 1×T, one row. Row t makes the map of task t": right[
            :1
        ].expand_as(right),
        "rows and columns are exchanged: mix[t, s] is what task t takes from task s": torch.einsum(
            "st,sbchw->tbchw", mix, maps
        ),
        "only the diagonal is used, so nothing crosses from task to task": maps
        * mix.diagonal().view(3, 1, 1, 1, 1),
        "the diagonal is not used: a task keeps its own share, mix[t, t]": right
        - maps * mix.diagonal().view(3, 1, 1, 1, 1),
        "a later task reads maps that you have already mixed: read the old maps, write into new ones": running,
        "each task receives its own map, weighed by the sum of a row: multiply each map by its own share": (
            maps * wide.sum(1)
        ),
        "a mean instead of a sum: every mixture is too small by the number of tasks": right / 3,
        "the old map is still added: mix[t, t] is what a task keeps of itself": right + maps,
    }
    near_misses(yours, right, almost, "map t should be Σ_s mix[t, s]·maps[s]")
    return "T² numbers a stage. Search edges close single entries of this matrix; the diagonal has no gate."


@exercise("04.cost")
def cost(answer, ax):
    """Multiply-adds of one fusion."""
    cases = {"both open": (True, True), "one open": (True, False), "none open": (False, False)}

    def count(opened, own=32):
        return 12 * 20 * 32 * (own + sum(c for c, o in zip((32, 16), opened) if o))

    arguments = [(12, 20, 32, [32, 16], list(opened)) for opened in cases.values()]
    yours = numbers(answer, arguments, "the multiply-adds for one image").tolist()
    right = [count(opened) for opened in cases.values()]
    for offset, values, colour, label in (
        (-0.2, right, RIGHT, "right"),
        (0.2, yours, YOURS, "yours"),
    ):
        ax.bar(
            [i + offset for i in range(3)],
            [value / 1000 for value in values],
            0.36,
            color=colour,
            label=label,
        )
    ax.set(xticks=range(3), ylabel="thousand multiply-adds")
    ax.set_xticklabels(cases)
    ax.legend(frameon=False, fontsize=8)
    if yours == right:
        other = numbers(answer, [(3, 5, 8, [4], [True])], "the multiply-adds for one image")
        if other[0] != 1440:
            said = differ(
                [1440], other, ["for a map of 3 × 5, 8 channels and one open source of 4"]
            )
            raise Wrong(f"right for 12 × 20 pixels and 32 channels, but {said}: use the arguments")
        return "Closed edges cost nothing; the node's own 32 × 32 block is left, also where nothing is fused."
    known = {
        "closed edges are counted too; multiplying by 0 is work, leaving them out is none": [
            right[0]
        ]
        * 3,
        "the node's own channels enter the convolution, too: C + Σ C_k": [
            count(o, own=0) for o in cases.values()
        ],
        "this is the cost at one pixel; the same matrix is used at every one of H·W": [
            value // 240 for value in right
        ],
        "you count open maps, but a map has C_k channels": [
            240 * 32 * (32 + sum(o)) for o in cases.values()
        ],
        "without the channels that come out: a matrix has C rows, C·(C + Σ C_k) numbers": [
            value // 32 for value in right
        ],
        "each source's cost is multiplied by its own width twice; a block has C rows and C_k columns": [
            240 * (32 * 32 + sum(c * c for c, o in zip((32, 16), opened) if o))
            for opened in cases.values()
        ],
        "the bias is counted; the 1×1 convolution of a fusion has none": [
            value + 240 * 32 for value in right
        ],
        "these are twice as many: a multiplication and its addition count as one": [
            2 * value for value in right
        ],
    }
    for message, values in known.items():
        if yours == [float(value) for value in values]:
            raise Wrong(message)
    places = ["with both sources open", "with the first source open", "with both sources closed"]
    raise Wrong(f"{differ(right, yours, places)}: H·W·C·(C + Σ C_k over the open ones)")
