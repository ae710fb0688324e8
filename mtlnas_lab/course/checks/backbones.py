"""Checks of notebook 02: networks cut in stages, what a feature sees, one trunk for several tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ...core.backbone import Backbone
from ...core.space import Stage, plan
from ...models.layers import conv_bn_relu
from ..checking import Wrong, exercise
from .common import RIGHT, YOURS, close, differ, kind, near_misses, number, plain, row


def backbone(seed: int, outputs: int = 2) -> Backbone:
    """Four stages in two groups, the second group at half the size; small, and with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages = [
            nn.Sequential(*conv_bn_relu(3, 4)),
            nn.Sequential(*conv_bn_relu(4, 4)),
            nn.Sequential(nn.MaxPool2d(2), *conv_bn_relu(4, 6)),
            nn.Sequential(*conv_bn_relu(6, 6)),
        ]
        head = nn.Conv2d(6, outputs, 1)
    return Backbone(stages, plan([4, 4, 6, 6], [2, 2]), head).eval()


class Fed(nn.Module):
    """A piece of a network that says in a sentence when it is fed something that it cannot take."""

    def __init__(self, piece: nn.Module, name: str):
        super().__init__()
        self.piece = piece
        self.name = name
        # a stage may begin with a pooling, which takes any number of channels
        layer = next(part for part in piece.modules() if isinstance(part, nn.Conv2d))
        self.channels = layer.in_channels

    def forward(self, x):
        if not isinstance(x, torch.Tensor) or x.ndim != 4:
            raise Wrong(f"{self.name} takes a map of shape (B, C, H, W); yours feeds it {kind(x)}")
        if x.shape[1] != self.channels:
            raise Wrong(
                f"{self.name} takes a map of {self.channels} channels, yours feeds it one of {x.shape[1]}: pieces "
                "run one after the other, each once, each on what the one before gives"
            )
        return self.piece(x)


def _lines(ax, right, yours, xlabel: str, ylabel: str, xticks=()) -> None:
    """A number for each stage: a wide pale line, and yours with its points."""
    ax.plot(right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, "o-", color=YOURS, ms=4, label="yours")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if xticks:
        ax.set_xticks(xticks)
    ax.legend(loc="best", frameon=False)


@exercise("02.until")
@torch.no_grad()
def until(answer, ax):
    """The features behind a stage."""
    network = backbone(0)
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    behind = [image]  # behind[0] is what stage 0 reads
    for stage in network.stages:
        behind.append(stage(behind[-1]))
    output = network.head(behind[-1])
    # from here on each piece says itself what is wrong with its input
    for place, stage in enumerate(list(network.stages)):
        network.stages[place] = Fed(stage, f"stage {place}")
    network.head = Fed(network.head, "the head")

    yours = []
    for stage in range(4):
        given = answer(network, image, stage)
        if not isinstance(given, torch.Tensor):
            raise Wrong(f"give the features behind stage {stage}, a tensor; yours is {kind(given)}")
        yours.append(given.detach())
    right_means = [maps.float().mean() for maps in behind[1:]]
    yours_means = [maps.float().mean() for maps in yours]
    _lines(ax, right_means, yours_means, "stage", "mean of its features", range(4))
    for stage, mine in enumerate(yours):
        _judge_features(stage, mine, behind, output)
    return (
        "Running a network piece by piece is all that fusion needs: between two pieces there is a place to add "
        "something."
    )


def _judge_features(
    stage: int, mine: torch.Tensor, behind: list[torch.Tensor], output: torch.Tensor
) -> None:
    """Which other place of the network it is that these features come from."""
    right = behind[stage + 1]
    if _alike(mine, right):
        return
    if _alike(mine, behind[stage]):
        raise Wrong(
            f"asked for stage {stage} you stop one too early: stages count from 0, and the features lie behind it"
        )
    if _alike(mine, output):
        raise Wrong("this is the head's output; the features lie behind a stage, before the head")
    if stage < 3 and _alike(mine, behind[-1]):
        raise Wrong(
            f"asked for stage {stage} you went through all of them; stop behind stage {stage}"
        )
    if mine.shape == right.shape:
        raise Wrong(
            f"the shape is right, the numbers are not: stage {stage} works on what the stage before gives, all the "
            "way from the image"
        )
    raise Wrong(
        f"behind stage {stage} the features have shape {tuple(right.shape)}; yours have {tuple(mine.shape)}"
    )


def rows_of(given: object, count: int) -> list[tuple[int, ...]]:
    """`count` rows of four whole numbers."""
    wanted = f"give one (channels, group, index, size) for each of the {count} stages"
    if isinstance(given, (torch.Tensor, np.ndarray)):
        given = given.tolist()
    if isinstance(given, (list, tuple)) and len(given) == count:
        rows = [_as_row(row) for row in given]
        if all(isinstance(row, (list, tuple)) and len(row) == 4 for row in rows):
            return [_whole_row(row, wanted) for row in rows]
    how = "are" if isinstance(given, (list, tuple)) else "is"
    raise Wrong(f"{wanted}, four numbers a row; yours {how} {told_rows(given)}")


def _as_row(row: object) -> object:
    """A Stage of the library as the row that the exercise asks for; anything else as it is."""
    if isinstance(row, Stage):
        return row.channels, row.group, row.index, row.size
    return row


def told_rows(given: object) -> str:
    """How many rows there are, and how wide, where they are rows at all."""
    if not isinstance(given, (list, tuple)):
        return kind(given)
    widths = {len(row) for row in given if isinstance(row, (list, tuple))}
    if len(widths) == 1:
        return f"{len(given)} rows of {widths.pop()} numbers"
    return f"{len(given)} rows"


def _whole_row(row: Sequence, wanted: str) -> tuple[int, ...]:
    """Four numbers as int, if they are whole ones."""
    found = []
    for value in row:
        made = number(value, wanted)
        if not made.is_integer():
            raise Wrong(f"{wanted}, whole numbers; yours has {plain(made)}")
        found.append(int(made))
    return tuple(found)


@exercise("02.plan")
def stages_of(answer, ax):
    """The plan of a backbone."""
    # three groups of unlike size, for an index that counts on and a size that stays would not show
    channels = [8, 8, 16, 16, 16, 32]
    groups = [2, 3, 1]
    right = [_as_row(stage) for stage in plan(channels, groups)]
    yours = rows_of(answer(list(channels), list(groups)), len(right))
    _lines(ax, _progress(right), _progress(yours), "stage", "groups done behind it")
    if yours == right:
        again = [_as_row(stage) for stage in plan([4, 4, 4, 8, 8], [1, 4])]
        if rows_of(answer([4, 4, 4, 8, 8], [1, 4]), 5) != again:
            raise Wrong(
                "right for groups of 2, 3 and 1, but not for groups of 1 and 4: use the arguments"
            )
        return "A plan is all that a search space knows of a network: no weights, no task."
    # column by column, the first that is wrong: the later ones often follow from it
    expected = list(zip(*right))
    columns = list(zip(*yours))
    if columns[0] != expected[0]:
        raise Wrong("the first number is the stage's channels, in the order they were given")
    if columns[1] != expected[1]:
        if columns[1] == tuple(group + 1 for group in expected[1]):
            raise Wrong("groups count from 0")
        raise Wrong(f"groups of {groups} stages are numbered {expected[1]}; yours are {columns[1]}")
    if columns[2] != expected[2]:
        # enumerate over all stages
        if columns[2] == tuple(range(6)):
            raise Wrong(
                "the index begins anew in each group; yours counts through the whole network"
            )
        if columns[2] == tuple(index + 1 for index in expected[2]):
            raise Wrong("inside a group stages count from 0")
        raise Wrong(f"inside the groups stages are numbered {expected[2]}; yours are {columns[2]}")
    raise Wrong(
        f"the last number is how many stages the group has, {expected[3]}; yours are {columns[3]}"
    )


def _progress(rows: Sequence[tuple[int, ...]]) -> list[float]:
    """How many groups lie behind each stage: its group, and its share of that."""
    done = []
    for _, group, index, size in rows:
        if size:
            done.append(group + (index + 1) / size)
        else:  # a wrong answer may say that a group has no stages
            done.append(0)
    return done


CONV = (3, 1, 1)  # (kernel, stride, dilation) of a layer


POOL = (3, 2, 1)


DILATED = (3, 1, 2)


VGG16 = [
    [CONV],
    [CONV],
    [POOL, CONV],
    [CONV],
    [POOL, CONV],
    [CONV],
    [CONV],
    [POOL, CONV],
    [CONV],
    [CONV],
    [CONV, DILATED],
    [DILATED],
    [DILATED],
]


def grow_by(kernel: int, stride: int, dilation: int, jump: int) -> int:
    """By how many pixels a layer widens what one feature sees."""
    return (kernel - 1) * dilation * jump


def fields(stages, grow=grow_by, first=False) -> list[int]:
    """Side of the square of pixels that one feature sees; `grow` and `first` (stride before size) make mistakes."""
    size = 1
    jump = 1
    sizes = []
    for layers in stages:
        for layer in layers:
            stride = layer[1]
            if first:
                jump *= stride
            size += grow(*layer, jump)
            if not first:
                jump *= stride
        sizes.append(size)
    return sizes


@exercise("02.field")
def field(answer, ax):
    """What one feature sees of the picture."""
    right = fields(VGG16)
    stages = [list(layers) for layers in VGG16]
    layers = sum(map(len, VGG16))
    given = answer(stages)
    if isinstance(given, (list, tuple)) and len(given) == layers:
        raise Wrong(
            f"these are {layers} numbers, one for each layer; append one behind each of the 13 stages"
        )
    yours = row(given, 13, "the 13 stages")
    ax.axhline(64, color="#777777", ls=":", label="the whole picture")
    _lines(ax, right, yours, "stage", "field (pixels)", range(0, 13, 2))
    first = ", ".join(str(value) for value in right[:4])
    places = [f"behind stage {stage}" for stage in range(13)]
    said = f"{differ(right, yours, places)}; the first four should be {first}"
    near_misses(yours, right, _wrong_fields(right), said)

    # unlike VGG-16: a kernel of 5, one of 1, a dilation of 4
    odd = [[(5, 3, 1), (1, 1, 1)], [(3, 1, 4), (2, 2, 1)], [(3, 1, 1)]]
    given = answer(odd)
    if not isinstance(given, (list, tuple, torch.Tensor, np.ndarray)) or len(given) != len(odd):
        raise Wrong("right for VGG-16, but 3 stages should give 3 numbers: use the argument")
    other = row(given, 3, "the 3 stages")
    if not close(other, fields(odd)):
        said = differ(fields(odd), other, places)
        raise Wrong(f"right for VGG-16, but for the stages {odd}: {said}")
    return (
        "From stage 7 on a feature could see the whole picture of 64 pixels; deep stages know what, shallow ones "
        "know where."
    )


def _wrong_fields(right: list[int]) -> dict[str, list[int]]:
    """Sentence → the 13 sizes that this mistake gives."""
    # one of the three factors of grow_by is forgotten
    whole_kernel = fields(VGG16, lambda kernel, stride, dilation, jump: kernel * dilation * jump)
    without_jump = fields(VGG16, lambda kernel, stride, dilation, jump: (kernel - 1) * dilation)
    without_dilation = fields(VGG16, lambda kernel, stride, dilation, jump: (kernel - 1) * jump)
    kernels_alone = fields(VGG16, lambda kernel, stride, dilation, jump: kernel - 1)
    # the loop around it: its order, its start, its end
    stride_first = fields(VGG16, first=True)
    from_zero = [size - 1 for size in right]
    from_two = [size + 1 for size in right]
    stage_by_stage = [fields([stage])[0] for stage in VGG16]
    jumps_instead = jumps(VGG16)
    mistakes = {
        "a 3×3 kernel reaches one pixel further on each side: it adds kernel − 1, not kernel": whole_kernel,
        "behind a pooling of stride 2 two neighbours stand two pixels apart: multiply what a kernel adds by the "
        "jump": without_jump,
        "the last three stages have a dilation of 2, which spreads the kernel: it adds (kernel − 1)·dilation·jump": (
            without_dilation
        ),
        "neither the strides nor the dilations are used: a kernel adds (kernel − 1)·dilation·jump, and a stride "
        "multiplies the jump": kernels_alone,
        "the stride comes too early: a layer's own kernel still moves in the old steps; grow first, then multiply": (
            stride_first
        ),
        "before any layer one feature sees one pixel: begin with size 1, not with 0": from_zero,
        "before any layer one feature sees one pixel: begin with size 1, not with 2": from_two,
        "these are the jumps, how far apart neighbours stand; asked for is the size": jumps_instead,
        "each stage begins anew with one pixel; size and jump go on from stage to stage": stage_by_stage,
    }
    return mistakes


def jumps(stages) -> list[int]:
    """How many pixels apart two neighbouring features stand behind each stage."""
    jump = 1
    found = []
    for layers in stages:
        for _, stride, _ in layers:
            jump *= stride
        found.append(jump)
    return found


class Counted(nn.Module):
    """A stage that counts how often it ran."""

    def __init__(self, stage: nn.Module):
        super().__init__()
        self.stage = stage
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return self.stage(x)


@exercise("02.shared")
@torch.no_grad()
def shared(answer, ax):
    """One trunk, two heads."""
    network = backbone(2)
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    stages = [Fed(stage, f"stage {number}") for number, stage in enumerate(network.stages)]
    heads = {
        "segmentation": Fed(network.head, "the head of segmentation"),
        "normals": Fed(backbone(5, outputs=3).head, "the head of normals"),
        "depth": Fed(backbone(6, outputs=1).head, "the head of depth"),
    }
    x = image
    for stage in stages:
        x = stage(x)
    right = {task: head(x) for task, head in heads.items()}
    yours = answer(stages, heads, image)

    # once more with stages that count: an `Answer` hands over copies, and a copy's count is lost
    counted = [Counted(stage) for stage in stages]
    answer.once(list(counted), dict(heads), image.clone())
    runs = [stage.runs for stage in counted]
    ax.bar(range(4), runs, color=YOURS, width=0.5, label="yours")
    ax.axhline(1, color=RIGHT, lw=4, alpha=0.5, label="needed")
    ax.set(xlabel="stage of the trunk", ylabel="times it ran", xticks=range(4), ylim=(0, 4))
    ax.legend(loc="best", frameon=False)

    wanted = f"give a dict with one output for each head: {', '.join(heads)}"
    if not isinstance(yours, dict):
        raise Wrong(f"{wanted}; yours is {kind(yours)}")
    if set(yours) != set(heads):
        has = ", ".join(map(str, yours)) or "none"
        raise Wrong(f"{wanted}; yours has {has}")
    for task in right:
        _judge_output(task, yours[task], right, image, x)
    if max(runs) > 1:
        raise Wrong(
            f"right numbers, but the trunk ran {max(runs)} times, once for each head: then nothing is shared but "
            "memory"
        )
    if len(answer(stages[:2], {"a": nn.Identity()}, image)) != 1:
        raise Wrong("right for three heads, but not for one: go through `heads`")
    return (
        "Everything is shared up to the heads. MTL-NAS asks for something in between: two trunks, joined where it "
        "helps."
    )


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-5)


def _judge_output(
    task: str, mine: object, right: dict[str, torch.Tensor], image: torch.Tensor, last: torch.Tensor
) -> None:
    """What an answer gives for one task; `last` is what the trunk gives."""
    output = right[task]
    if not isinstance(mine, torch.Tensor):
        raise Wrong(f"give the output of each head, a tensor; yours for {task} is {kind(mine)}")
    for name, other in right.items():
        if name != task and _alike(mine, other):
            raise Wrong(f"what you give for {task} comes from the head of {name}")
    if mine.shape == image.shape != output.shape or mine.shape[1:2] == last.shape[1:2]:
        raise Wrong(f"what you give for {task} never went through its head")
    if not _alike(mine, output):
        raise Wrong(
            f"{task}: its head must see what the last stage gives for this image; yours saw something else"
        )
