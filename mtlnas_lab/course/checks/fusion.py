"""Checks of notebook 04: 1×1 convolution, identity start, gates in the weight, cross-stitch, what fusion costs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from ...core.fusion import identity_start
from ..checking import Wrong, exercise
from .common import apart, bars, close, curves, differ, near_misses, numbers, tensor


def matrices(ax, right: torch.Tensor, yours: torch.Tensor) -> None:
    """Two weights as pictures, the right one above."""
    gap = torch.full((1, right.shape[1]), torch.nan, dtype=right.dtype)
    both = torch.cat([right, gap, yours]).numpy()
    # one scale for both, symmetric about 0, or a pale right weight would look like a wrong one
    size = right.abs().max().item()
    drawn = ax.imshow(both, cmap="PuOr", vmin=-size, vmax=size, aspect="auto")
    rows = len(right)
    ax.set(
        xlabel="input channel",
        yticks=[rows / 2 - 0.5, 1.5 * rows + 0.5],
        yticklabels=["right", "yours"],
    )
    ax.figure.colorbar(drawn, ax=ax, label="weight")


@exercise("04.pixelwise")
def pixelwise(answer, ax):
    """The 1×1 convolution as a matrix at every pixel."""
    draw = torch.Generator().manual_seed(0)
    # height and width differ from each other and from the channels, so that no exchange of axes goes unseen
    maps = torch.randn((2, 4, 3, 5), generator=draw)
    square = torch.randn((4, 4), generator=draw)
    wide = torch.randn((3, 4), generator=draw)
    right = _convolved(maps, square)
    yours = tensor(answer(maps, square), (2, 4, 3, 5), "maps (B, C, H, W)")
    drawn_right = right[0, 0].double().flatten()
    drawn_yours = yours[0, 0].flatten()
    curves(ax, range(15), drawn_right, drawn_yours, "pixel of the first output map", "value")
    near_misses(
        yours,
        right,
        _wrong_products(maps, square),
        "at each pixel the channels, a vector, should be multiplied by the matrix: out[b, o, y, x] = Σ_c weight[o, "
        "c]·maps[b, c, y, x]",
    )
    again = tensor(
        answer(maps, wide),
        (2, 3, 3, 5),
        "one output map for each row of the weight (3 maps from 4)",
    )
    if not close(again, _convolved(maps, wide)):
        raise Wrong("right for a square matrix, but not for one that makes 3 maps from 4")
    return (
        "No pixel sees its neighbour: the fusion mixes channels, the stages around it mix places."
    )


def _convolved(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) maps and a (C_out, C) matrix → (B, C_out, H, W), by torch's own convolution."""
    return F.conv2d(maps, weight[:, :, None, None])


def _wrong_products(maps: torch.Tensor, square: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence → what this mistake makes of the 1×1 convolution."""
    right = _convolved(maps, square)
    transposed = torch.einsum("co,bchw->bohw", square, maps)
    averaged = right.mean((2, 3), keepdim=True).expand_as(right)
    # `weight * maps` broadcasts without an error, after a diagonal or a sum made the shapes fit
    diagonal = maps * square.diagonal().view(4, 1, 1)
    added_first = maps * square.sum(1).view(4, 1, 1)
    one_picture = right[:1].expand_as(right)
    # `weight @ maps` multiplies the last two axes, which are rows and columns of a map
    on_rows = torch.einsum("yz,bczw->bcyw", square[:3, :3], maps)
    mistakes = {
        "this is the matrix transposed: weight[o, c] is what output channel o takes from input channel c": transposed,
        "you average over pixels; a 1×1 convolution looks at one pixel at a time": averaged,
        "only the diagonal is used: each output channel takes a share of every input channel": diagonal,
        "the weights of an output channel are added up before they meet the maps: multiply first, then add": (
            added_first
        ),
        "right, but for one picture: each picture of the batch has maps of its own": one_picture,
        "a pixel is a vector of channels; yours multiplies rows or columns of the map": on_rows,
        "σ, ReLU or another bend is not a part of it: a 1×1 convolution is a matrix product": right.relu(),
    }
    return mistakes


@exercise("04.start")
def start(answer, ax):
    """The identity start of a fusion weight."""
    _judge_start(answer, [6, 6], 0.9, 0.1, ax)
    # three shares differ from two, and unlike widths need an identity that is not square
    _judge_start(answer, [6, 6, 6], 0.8, 0.2)
    _judge_start(answer, [4, 8], 0.9, 0.1)
    return "Every row sums to 1 where the sources are as wide as the node: a mean of maps, mostly the node's own."


def _judge_start(answer, sources: list[int], own: float, others: float, ax=None) -> None:
    """One case of the exercise, at a node of 6 channels; drawn where there is an ax."""
    channels = 6
    right = identity_start(channels, sources, own, others)[:, :, 0, 0].double()
    given = answer(channels, list(sources), own, others)
    yours = _start_weight(given, right, len(sources))
    if ax is not None:
        matrices(ax, right, yours)

    identities = (right > 0).double()
    own_block = identities[:, :channels]
    other_blocks = identities[:, channels:]
    sources_first = right.roll(-channels, 1)
    undivided = torch.cat([own * own_block, others * other_blocks], 1)
    exchanged = torch.cat([others * own_block, own * other_blocks], 1)
    own_everywhere = torch.cat([own * own_block, own * other_blocks], 1)
    mistakes = {
        "the node's own features come first, so the large identity stands at the left": sources_first,
        f"{others} is what all sources share: {len(sources)} of them get {others}/{len(sources)} each": undivided,
        "own and others are exchanged: `own` weighs the node's own block, the first one": exchanged,
        "all blocks are weighed by `own`; the sources share `others`": own_everywhere,
        "identities stand at the right places; now weigh them, own·I and others/k·I": identities,
    }
    near_misses(yours, right, mistakes, atol=1e-5)
    if close(yours, right, 1e-5):
        return
    if sources == [4, 8]:
        raise Wrong(
            "right for equal widths; but a block is as wide as its source, torch.eye(channels, c): 4 channels speak "
            "to the first 4 rows alone"
        )
    width = right.shape[1]
    places = [f"row {i // width}, column {i % width}:" for i in range(right.numel())]
    said = differ(right.flatten(), yours.flatten(), places, 1e-5)
    # the sum of a row says more than its first wrong entry
    if not close(yours[0].sum(), own + others):
        whole, mine = apart(own + others, yours[0].sum())
        said = f"the first row then sums to {whole}, yours to {mine}"
    raise Wrong(
        f"for {channels} channels and sources of {list(sources)} it should be [own·I, others/k·I, …] side by side; "
        f"{said}"
    )


def _start_weight(given: object, right: torch.Tensor, count: int) -> torch.Tensor:
    """The weight that an answer gives, as a matrix; a convolution's (C, C_in, 1, 1) will do."""
    rows, columns = right.shape
    if isinstance(given, torch.Tensor) and given.shape == (rows, columns, 1, 1):
        given = given[:, :, 0, 0]
    if isinstance(given, (list, tuple)) and len(given) == count + 1:
        raise Wrong("these are the blocks; lay them side by side: torch.cat(blocks, 1)")
    if isinstance(given, torch.Tensor) and given.shape == (columns, rows):
        raise Wrong(
            "the blocks stand on top of each other; lay them side by side: torch.cat(blocks, 1)"
        )
    return tensor(given, (rows, columns), f"{rows} rows, a column for each input channel")


@exercise("04.fold")
def fold(answer, ax):
    """Gates in the columns of the weight."""
    draw = torch.Generator().manual_seed(1)
    channels = [4, 4, 3]
    gates = torch.tensor([0.2, 0.7])
    weight = torch.randn(4, sum(channels), generator=draw)
    what = "the weight with its columns gated"
    yours = tensor(answer(weight, gates, list(channels)), (4, 11), what)
    right = _scaled(weight, 1.0, 0.2, 0.7).double()
    matrices(ax, right, yours)

    own = "the node's own columns must stay as they are: no gate closes a network's own stream"
    for wrong in (_scaled(weight, 0.2, 0.2, 0.7), _scaled(weight, 0.0, 0.2, 0.7)):
        near_misses(yours, right, {own: wrong}, atol=1e-5)
    near_misses(yours, right, _wrong_foldings(weight), atol=1e-5)
    if close(yours[:, 6:], weight[:, 6:].double(), 1e-5):
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
    said = "right for channels [4, 4, 3], but not for [2, 3], with one source"
    again = answer.also(said, torch.ones(2, 5), torch.tensor([0.5]), [2, 3])
    if not close(tensor(again, (2, 5), what), [[1, 1, 0.5, 0.5, 0.5]] * 2, 1e-5):
        raise Wrong(f"{said}: use the arguments")
    return "The weight has hundreds of entries, the maps have thousands: the same function, and less to keep."


def _scaled(weight: torch.Tensor, own: float, first: float, second: float) -> torch.Tensor:
    """A (4, 4 + 4 + 3) weight, each of its three blocks of columns multiplied by one number."""
    factors = torch.tensor([own, first, second])
    return weight * factors.repeat_interleave(torch.tensor([4, 4, 3]))


def _wrong_foldings(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence → what this mistake makes of a weight whose gates are 0.2 and 0.7."""
    # which gate falls on which block
    own_gated = _scaled(weight, 0.2, 0.7, 1.0)
    exchanged = _scaled(weight, 1.0, 0.7, 0.2)
    first_for_both = _scaled(weight, 1.0, 0.2, 0.2)
    first_alone = _scaled(weight, 1.0, 0.2, 1.0)
    second_alone = _scaled(weight, 1.0, 1.0, 0.7)
    # what is done with it
    divided = _scaled(weight, 1.0, 1 / 0.2, 1 / 0.7)
    added = weight + torch.tensor([0.0] * 4 + [0.2] * 4 + [0.7] * 3)
    # the last block gets four columns, and takes one of the block before
    always_four_wide = weight * torch.tensor([1.0] * 4 + [0.2] * 3 + [0.7] * 4)
    mistakes = {
        "nothing is gated yet": weight,
        "the first gate fell on the node's own block; gates belong to sources, the own features have none": own_gated,
        "gates and sources stand in the same order: the first gate belongs to the second block of columns": exchanged,
        "one gate is used for both sources; each source has its own": first_for_both,
        "only the first gate is used": first_alone,
        "only the second gate is used": second_alone,
        "you divide by the gates; a gate of 0 should close an edge, so multiply": divided,
        "you add the gates; a gate of 0 should close an edge, so multiply": added,
        "both blocks are taken to be 4 columns wide at most: the second source has 3 channels, and `channels` says so": (
            always_four_wide
        ),
    }
    return mistakes


@exercise("04.cross_stitch")
def cross_stitch(answer, ax):
    """Cross-stitch for T tasks."""
    maps = torch.randn(3, 2, 4, 2, 3, generator=torch.Generator().manual_seed(2))
    # not symmetric, and its rows do not sum to 1: an exchange of t and s, or a mean, shows
    mix = torch.tensor([[0.8, 0.3, 0.1], [0.05, 0.9, -0.2], [0.4, 0.15, 0.6]])
    right = torch.einsum("ts,sbchw->tbchw", mix, maps).double()
    given = answer(maps, mix)
    if isinstance(given, (list, tuple)) and all(isinstance(one, torch.Tensor) for one in given):
        if len({one.shape for one in given}) > 1:
            shapes = ", ".join(str(tuple(one.shape)) for one in given)
            raise Wrong(f"maps of all tasks have one shape; yours: {shapes}")
        given = torch.stack(list(given))
    if isinstance(given, torch.Tensor) and given.shape == maps.shape[1:]:
        raise Wrong(
            "one map for all tasks is the 1×T reading; each of the T tasks receives a mixture of its own"
        )
    yours = tensor(given, tuple(maps.shape), "a map for each task, stacked")
    drawn_right = right[:, 0, 0].flatten()
    drawn_yours = yours[:, 0, 0].flatten()
    curves(ax, range(18), drawn_right, drawn_yours, "pixel of channel 0, task after task", "value")
    near_misses(yours, right, _wrong_mixtures(maps, mix), "map t should be Σ_s mix[t, s]·maps[s]")
    return "T² numbers a stage. Search edges close single entries of this matrix; the diagonal has no gate."


def _wrong_mixtures(maps: torch.Tensor, mix: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence → what this mistake makes of map t = Σ_s mix[t, s] · maps[s]."""
    right = torch.einsum("ts,sbchw->tbchw", mix, maps).double()
    first_row = right[:1].expand_as(right)
    transposed = torch.einsum("st,sbchw->tbchw", mix, maps)
    kept = maps * mix.diagonal().view(3, 1, 1, 1, 1)
    # a loop that writes into the list it reads from
    running = maps.clone()
    for task in range(3):
        running[task] = torch.einsum("s,sbchw->bchw", mix[task], running)
    own_map_by_row_sum = maps * mix.sum(1).view(3, 1, 1, 1, 1)
    mistakes = {
        "all three tasks receive the same mixture: this is 1×T, one row. Row t makes the map of task t": first_row,
        "rows and columns are exchanged: mix[t, s] is what task t takes from task s": transposed,
        "only the diagonal is used, so nothing crosses from task to task": kept,
        "the diagonal is not used: a task keeps its own share, mix[t, t]": right - kept,
        "a later task reads maps that you have already mixed: read the old maps, write into new ones": running,
        "each task receives its own map, weighed by the sum of a row: multiply each map by its own share": (
            own_map_by_row_sum
        ),
        "a mean instead of a sum: every mixture is too small by the number of tasks": right / 3,
        "the old map is still added: mix[t, t] is what a task keeps of itself": right + maps,
    }
    return mistakes


OPENED = {"both open": (True, True), "one open": (True, False), "none open": (False, False)}


@exercise("04.cost")
def cost(answer, ax):
    """Multiply-adds of one fusion."""
    arguments = [(12, 20, 32, [32, 16], list(opened)) for opened in OPENED.values()]
    what = "the multiply-adds for one image"
    yours = numbers(answer, arguments, what)
    right = _multiply_adds()
    thousands = [count / 1000 for count in right]
    bars(ax, thousands, yours / 1000, list(OPENED), "thousand multiply-adds")

    # whole numbers: exactly right or not
    places = ["with both sources open", "with the first source open", "with both sources closed"]
    said = f"{differ(right, yours, places)}: H·W·C·(C + Σ C_k over the open ones)"
    near_misses(yours, right, _wrong_operations(right), said, atol=0)
    other = numbers(answer, [(3, 5, 8, [4], [True])], what)
    if other[0] != 1440:
        place = "for a map of 3 × 5, 8 channels and one open source of 4"
        said = differ([1440], other, [place])
        raise Wrong(f"right for 12 × 20 pixels and 32 channels, but {said}: use the arguments")
    return "Closed edges cost nothing; the node's own 32 × 32 block is left, also where nothing is fused."


def _multiply_adds(
    of_source: Callable[[int], int] = lambda channels: channels,
    pixels: int = 240,
    rows: int = 32,
    own: int = 32,
) -> list[int]:
    """pixels · rows · (own + Σ of_source(C_k) over the open sources), for each case of OPENED."""
    counts = []
    for opened in OPENED.values():
        columns = own
        for channels, is_open in zip((32, 16), opened):
            if is_open:
                columns += of_source(channels)
        counts.append(pixels * rows * columns)
    return counts


def _wrong_operations(right: list[int]) -> dict[str, list[int]]:
    """Sentence → the three counts that this mistake gives."""
    # the three factors H·W, C and C + Σ C_k: one of them left out, or another number in its place
    sources_alone = _multiply_adds(own=0)
    one_pixel = _multiply_adds(pixels=1)
    one_row = _multiply_adds(rows=1)
    maps_counted = _multiply_adds(lambda channels: 1)
    # C·C + Σ C_k·C_k: the columns by themselves
    width_twice = _multiply_adds(lambda channels: channels * channels, rows=1, own=32 * 32)
    with_bias = [count + 240 * 32 for count in right]
    both_operations = [2 * count for count in right]
    mistakes = {
        "closed edges are counted too; multiplying by 0 is work, leaving them out is none": right[
            :1
        ]
        * 3,
        "the node's own channels enter the convolution, too: C + Σ C_k": sources_alone,
        "this is the cost at one pixel; the same matrix is used at every one of H·W": one_pixel,
        "you count open maps, but a map has C_k channels": maps_counted,
        "without the channels that come out: a matrix has C rows, C·(C + Σ C_k) numbers": one_row,
        "each source's cost is multiplied by its own width twice; a block has C rows and C_k columns": width_twice,
        "the bias is counted; the 1×1 convolution of a fusion has none": with_bias,
        "these are twice as many: a multiplication and its addition count as one": both_operations,
    }
    return mistakes
