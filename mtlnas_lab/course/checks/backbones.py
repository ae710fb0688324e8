"""Checks of notebook 02: networks cut in stages, what a feature sees, one trunk for several tasks."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...core.backbone import Backbone
from ...core.space import Stage, plan
from ...models.layers import conv_bn_relu
from ..checking import Wrong, exercise
from .common import close, differ, kind, near_misses, number, plain, row

RIGHT, YOURS = "#4575b4", "#b35806"


def backbone(seed: int, outputs: int = 2) -> Backbone:
    """Four stages in two groups, the second group at half the size; small, and with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages = [
            nn.Sequential(*pool, *conv_bn_relu(a, b))
            for pool, a, b in (([], 3, 4), ([], 4, 4), ([nn.MaxPool2d(2)], 4, 6), ([], 6, 6))
        ]
        return Backbone(stages, plan([4, 4, 6, 6], [2, 2]), nn.Conv2d(6, outputs, 1)).eval()


class Fed(nn.Module):
    """A piece of a network that says in a sentence when it is fed something that it cannot take."""

    def __init__(self, piece: nn.Module, name: str):
        super().__init__()
        self.piece, self.name = piece, name
        layer = next(part for part in piece.modules() if isinstance(part, nn.Conv2d))
        self.channels = layer.in_channels

    def forward(self, x):
        if not isinstance(x, torch.Tensor) or x.ndim != 4:
            raise Wrong(f"{self.name} takes a map of shape (B, C, H, W); yours feeds it {kind(x)}")
        if x.shape[1] != self.channels:
            raise Wrong(
                f"{self.name} takes a map of {self.channels} channels, yours feeds it one of {x.shape[1]}: pieces run "
                "one after the other, each once, each on what the one before gives"
            )
        return self.piece(x)


@exercise("02.until")
@torch.no_grad()
def until(answer, ax):
    """The features behind a stage."""
    network, image = backbone(0), torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    behind = [image]
    for stage in network.stages:
        behind.append(stage(behind[-1]))
    whole = network.head(behind[-1])
    for place, stage in enumerate(list(network.stages)):
        network.stages[place] = Fed(stage, f"stage {place}")
    network.head = Fed(network.head, "the head")
    yours = []
    for stage in range(4):
        given = answer(network, image, stage)
        if not isinstance(given, torch.Tensor):
            raise Wrong(f"give the features behind stage {stage}, a tensor; yours is {kind(given)}")
        yours.append(given.detach())
    for values, style, label in (
        (behind[1:], {"color": RIGHT, "lw": 4, "alpha": 0.5}, "right"),
        (yours, {"color": YOURS, "marker": "o"}, "yours"),
    ):
        ax.plot([x.float().mean() for x in values], label=label, **style)
    ax.set(xlabel="stage", ylabel="mean of its features", xticks=range(4))
    ax.legend(frameon=False)
    for stage, mine in enumerate(yours):
        if mine.shape == behind[stage + 1].shape and torch.allclose(
            mine, behind[stage + 1], atol=1e-5
        ):
            continue
        if mine.shape == behind[stage].shape and torch.allclose(mine, behind[stage], atol=1e-5):
            raise Wrong(
                f"asked for stage {stage} you stop one too early: stages count from 0, and the features lie "
                "behind it"
            )
        if mine.shape == whole.shape and torch.allclose(mine, whole, atol=1e-5):
            raise Wrong(
                "this is the head's output; the features lie behind a stage, before the head"
            )
        if (
            stage < 3
            and mine.shape == behind[-1].shape
            and torch.allclose(mine, behind[-1], atol=1e-5)
        ):
            raise Wrong(
                f"asked for stage {stage} you went through all of them; stop behind stage {stage}"
            )
        if mine.shape == behind[stage + 1].shape:
            raise Wrong(
                f"the shape is right, the numbers are not: stage {stage} works on what the stage before "
                "gives, "
                "all the way from the image"
            )
        raise Wrong(
            f"behind stage {stage} the features have shape {tuple(behind[stage + 1].shape)}; yours have "
            f"{tuple(mine.shape)}"
        )
    return (
        "Running a network piece by piece is all that fusion needs: between two pieces there is a place to add "
        "something."
    )


def rows_of(given: object, count: int) -> list[tuple[int, ...]]:
    """`count` rows of four whole numbers."""
    wanted = f"give one (channels, group, index, size) for each of the {count} stages"
    if isinstance(given, (torch.Tensor, np.ndarray)):
        given = given.tolist()
    if isinstance(given, (list, tuple)) and len(given) == count:
        if all(isinstance(row, Stage) for row in given):
            given = [(row.channels, row.group, row.index, row.size) for row in given]
        if all(isinstance(row, (list, tuple)) and len(row) == 4 for row in given):
            return [tuple(_whole(value, wanted) for value in row) for row in given]
    how = "is" if not isinstance(given, (list, tuple)) else "are"
    raise Wrong(f"{wanted}, four numbers a row; yours {how} {told_rows(given)}")


def told_rows(given: object) -> str:
    if not isinstance(given, (list, tuple)):
        return kind(given)
    widths = {len(row) for row in given if isinstance(row, (list, tuple))}
    inside = f" of {widths.pop()} numbers" if len(widths) == 1 else ""
    return f"{len(given)} rows{inside}"


def _whole(value: object, wanted: str) -> int:
    made = number(value, wanted)
    if not made.is_integer():
        raise Wrong(f"{wanted}, whole numbers; yours has {plain(made)}")
    return int(made)


@exercise("02.plan")
def stages_of(answer, ax):
    """The plan of a backbone."""
    channels, groups = [8, 8, 16, 16, 16, 32], [2, 3, 1]
    right = [
        (stage.channels, stage.group, stage.index, stage.size) for stage in plan(channels, groups)
    ]
    yours = rows_of(answer(list(channels), list(groups)), len(right))
    for rows, style, label in (
        (right, {"color": RIGHT, "lw": 4, "alpha": 0.5}, "right"),
        (yours, {"color": YOURS, "marker": "o"}, "yours"),
    ):
        ax.plot(
            [group + (index + 1) / size if size else 0 for _, group, index, size in rows],
            label=label,
            **style,
        )
    ax.set(xlabel="stage", ylabel="groups done behind it")
    ax.legend(frameon=False)
    if yours == right:
        wider = plan([4, 4, 4, 8, 8], [1, 4])
        again = [(stage.channels, stage.group, stage.index, stage.size) for stage in wider]
        if rows_of(answer([4, 4, 4, 8, 8], [1, 4]), 5) != again:
            raise Wrong(
                "right for groups of 2, 3 and 1, but not for groups of 1 and 4: use the arguments"
            )
        return "A plan is all that a search space knows of a network: no weights, no task."
    columns, expected = list(zip(*yours)), list(zip(*right))
    if columns[0] != expected[0]:
        raise Wrong("the first number is the stage's channels, in the order they were given")
    if columns[1] != expected[1]:
        raise Wrong(
            "groups count from 0"
            if columns[1] == tuple(g + 1 for g in expected[1])
            else f"groups of {groups} stages are numbered {expected[1]}; yours are {columns[1]}"
        )
    if columns[2] != expected[2]:
        if columns[2] == tuple(range(6)):
            raise Wrong(
                "the index begins anew in each group; yours counts through the whole network"
            )
        raise Wrong(
            "inside a group stages count from 0"
            if columns[2] == tuple(i + 1 for i in expected[2])
            else f"inside the groups stages are numbered {expected[2]}; yours are {columns[2]}"
        )
    raise Wrong(
        f"the last number is how many stages the group has, {expected[3]}; yours are {columns[3]}"
    )


CONV, POOL = (3, 1, 1), (3, 2, 1)  # (kernel, stride, dilation) of a layer


VGG16 = [
    [CONV],
    [CONV],
    [POOL, CONV],
    [CONV],
    *[[POOL, CONV], [CONV], [CONV]] * 2,
    [CONV, (3, 1, 2)],
    [(3, 1, 2)],
    [(3, 1, 2)],
]


def fields(
    stages, grow=lambda kernel, _, dilation, jump: (kernel - 1) * dilation * jump, first=False
) -> list[int]:
    """Side of the square of pixels that one feature sees; `grow` and `first` (stride before size) make mistakes."""
    size, jump, sizes = 1, 1, []
    for layers in stages:
        for layer in layers:
            jump *= layer[1] if first else 1
            size += grow(*layer, jump)
            jump *= 1 if first else layer[1]
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
    ax.plot(right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, "o-", color=YOURS, ms=4, label="yours")
    ax.axhline(64, color="#777777", ls=":", label="the whole picture")
    ax.set(xlabel="stage", ylabel="field (pixels)", xticks=range(0, 13, 2))
    ax.legend(frameon=False)
    almost = {
        "a 3×3 kernel reaches one pixel further on each side: it adds kernel − 1, not kernel": fields(
            VGG16, lambda kernel, stride, dilation, jump: kernel * dilation * jump
        ),
        "behind a pooling of stride 2 two neighbours stand two pixels apart: multiply what a kernel adds by the "
        "jump": fields(VGG16, lambda kernel, stride, dilation, jump: (kernel - 1) * dilation),
        "the last three stages have a dilation of 2, which spreads the kernel: it adds (kernel − 1)·dilation·jump": fields(
            VGG16, lambda kernel, stride, dilation, jump: (kernel - 1) * jump
        ),
        "neither the strides nor the dilations are used: a kernel adds (kernel − 1)·dilation·jump, and a stride "
        "multiplies the jump": fields(VGG16, lambda kernel, stride, dilation, jump: kernel - 1),
        "the stride comes too early: a layer's own kernel still moves in the old steps; grow first, then multiply": fields(
            VGG16, first=True
        ),
        "before any layer one feature sees one pixel: begin with size 1, not with 0": [
            x - 1 for x in right
        ],
        "before any layer one feature sees one pixel: begin with size 1, not with 2": [
            x + 1 for x in right
        ],
        "these are the jumps, how far apart neighbours stand; asked for is the size": jumps(VGG16),
        "each stage begins anew with one pixel; size and jump go on from stage to stage": [
            fields([stage])[0] for stage in VGG16
        ],
    }
    first = ", ".join(str(value) for value in right[:4])
    places = [f"behind stage {stage}" for stage in range(13)]
    said = differ(right, yours, places)
    near_misses(yours, right, almost, f"{said}; the first four should be {first}")
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


def jumps(stages) -> list[int]:
    """How many pixels apart two neighbouring features stand behind each stage."""
    jump, found = 1, []
    for layers in stages:
        for _, stride, _ in layers:
            jump *= stride
        found.append(jump)
    return found


class Counted(nn.Module):
    """A stage that counts how often it ran."""

    def __init__(self, stage: nn.Module):
        super().__init__()
        self.stage, self.runs = stage, 0

    def forward(self, x):
        self.runs += 1
        return self.stage(x)


@exercise("02.shared")
@torch.no_grad()
def shared(answer, ax):
    """One trunk, two heads."""
    network, image = backbone(2), torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    stages = [Fed(stage, f"stage {number}") for number, stage in enumerate(network.stages)]
    plain_heads = {
        "segmentation": network.head,
        "normals": backbone(5, outputs=3).head,
        "depth": backbone(6, outputs=1).head,
    }
    heads = {task: Fed(head, f"the head of {task}") for task, head in plain_heads.items()}
    x = image
    for stage in stages:
        x = stage(x)
    right = {task: head(x) for task, head in heads.items()}
    yours = answer(stages, heads, image)
    counted = [Counted(stage) for stage in stages]
    answer.once(list(counted), dict(heads), image.clone())
    runs = [stage.runs for stage in counted]
    ax.bar(range(4), runs, color=YOURS, width=0.5, label="yours")
    ax.axhline(1, color=RIGHT, lw=4, alpha=0.5, label="needed")
    ax.set(xlabel="stage of the trunk", ylabel="times it ran", xticks=range(4), ylim=(0, 4))
    ax.legend(frameon=False)
    if not isinstance(yours, dict):
        raise Wrong(
            f"give a dict with one output for each head: {', '.join(heads)}; yours is {kind(yours)}"
        )
    if set(yours) != set(heads):
        has = ", ".join(map(str, yours)) or "none"
        raise Wrong(
            f"give a dict with one output for each head: {', '.join(heads)}; yours has {has}"
        )
    for task, output in right.items():
        mine = yours[task]
        if not isinstance(mine, torch.Tensor):
            raise Wrong(f"give the output of each head, a tensor; yours for {task} is {kind(mine)}")
        others = [name for name in right if name != task and _alike(mine, right[name])]
        if others:
            raise Wrong(f"what you give for {task} comes from the head of {others[0]}")
        if mine.shape == image.shape != output.shape or mine.shape[1:2] == x.shape[1:2]:
            raise Wrong(f"what you give for {task} never went through its head")
        if not _alike(mine, output):
            raise Wrong(
                f"{task}: its head must see what the last stage gives for this image; yours saw something else"
            )
    if max(runs) > 1:
        raise Wrong(
            f"right numbers, but the trunk ran {max(runs)} times, once for each head: then nothing is shared "
            "but memory"
        )
    if len(answer(stages[:2], {"a": nn.Identity()}, image)) != 1:
        raise Wrong("right for three heads, but not for one: go through `heads`")
    return (
        "Everything is shared up to the heads. MTL-NAS asks for something in between: two trunks, joined where it "
        "helps."
    )


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-5)
