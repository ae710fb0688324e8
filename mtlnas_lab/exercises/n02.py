"""Checks of notebook 02: networks cut in stages, what a feature sees, one trunk for several tasks."""

from __future__ import annotations

import torch
from torch import nn

from ..backbones import Backbone, conv_bn_relu
from ..space import plan
from .book import Wrong, exercise

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


@exercise("02.until")
@torch.no_grad()
def until(answer, ax):
    """The features behind a stage."""
    network, image = backbone(0), torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    behind = [image]
    for stage in network.stages:
        behind.append(stage(behind[-1]))
    yours = [torch.as_tensor(answer(network, image.clone(), number)) for number in range(4)]
    for values, style, label in (
        (behind[1:], {"color": RIGHT, "lw": 4, "alpha": 0.5}, "right"),
        (yours, {"color": YOURS, "marker": "o"}, "yours"),
    ):
        ax.plot([x.float().mean() for x in values], label=label, **style)
    ax.set(xlabel="stage", ylabel="mean of its features", xticks=range(4))
    ax.legend(frameon=False)
    for number, mine in enumerate(yours):
        if mine.shape == behind[number + 1].shape and torch.allclose(
            mine, behind[number + 1], atol=1e-5
        ):
            continue
        if mine.shape == behind[number].shape and torch.allclose(mine, behind[number], atol=1e-5):
            raise Wrong(
                f"asked for stage {number} you stop one too early: stages count from 0, and the features lie "
                "behind it"
            )
        if mine.shape == (head := network(image)).shape and torch.allclose(mine, head, atol=1e-5):
            raise Wrong(
                "this is the head's output; the features lie behind a stage, before the head"
            )
        if (
            number < 3
            and mine.shape == behind[-1].shape
            and torch.allclose(mine, behind[-1], atol=1e-5)
        ):
            raise Wrong(
                f"asked for stage {number} you went through all of them; stop behind stage {number}"
            )
        if mine.shape == behind[number + 1].shape:
            raise Wrong(
                f"the shape is right, the numbers are not: stage {number} works on what the stage before "
                "gives, "
                "all the way from the image"
            )
        raise Wrong(
            f"behind stage {number} the features have shape {tuple(behind[number + 1].shape)}; yours have "
            f"{tuple(mine.shape)}"
        )
    return (
        "Running a network piece by piece is all that fusion needs: between two pieces there is a place to add "
        "something."
    )


@exercise("02.plan")
def stages_of(answer, ax):
    """The plan of a backbone."""
    channels, groups = [8, 8, 16, 16, 16, 32], [2, 3, 1]
    right = [
        (stage.channels, stage.group, stage.index, stage.size) for stage in plan(channels, groups)
    ]
    yours = [tuple(int(x) for x in row) for row in answer(list(channels), list(groups))]
    if len(yours) != len(right) or any(len(row) != 4 for row in yours):
        raise Wrong(
            f"give one (channels, group, index, size) for each of the {len(right)} stages, not {len(yours)} "
            "rows"
        )
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
    yours, right = [float(x) for x in answer([list(layers) for layers in VGG16])], fields(VGG16)
    ax.plot(right, color=RIGHT, lw=4, alpha=0.5, label="right")
    ax.plot(yours, "o-", color=YOURS, ms=4, label="yours")
    ax.axhline(64, color="#777777", ls=":", label="the whole picture")
    ax.set(xlabel="stage", ylabel="field (pixels)", xticks=range(0, 13, 2))
    ax.legend(frameon=False)
    if len(yours) != 13:
        raise Wrong(f"give one number for each of the 13 stages; yours has {len(yours)}")
    if yours == fields(VGG16, lambda kernel, stride, dilation, jump: kernel * dilation * jump):
        raise Wrong(
            "a 3×3 kernel reaches one pixel further on each side: it adds kernel − 1, not kernel"
        )
    if yours == fields(VGG16, lambda kernel, stride, dilation, jump: (kernel - 1) * dilation):
        raise Wrong(
            "behind a pooling of stride 2 two neighbours stand two pixels apart: multiply what a kernel adds "
            "by the jump"
        )
    if yours == fields(VGG16, lambda kernel, stride, dilation, jump: (kernel - 1) * jump):
        raise Wrong(
            "the last three stages have a dilation of 2, which spreads the kernel: it adds (kernel − "
            "1)·dilation·jump"
        )
    if yours == fields(VGG16, first=True):
        raise Wrong(
            "the stride comes too early: a layer's own kernel still moves in the old steps; grow first, then "
            "multiply"
        )
    if yours == [x + 1 for x in right] or yours == [x - 1 for x in right]:
        raise Wrong("before any layer one feature sees one pixel: begin with size 1 and jump 1")
    if yours != right:
        raise Wrong(
            f"the first four should be {right[:4]}, yours are {[int(x) for x in yours[:4]]}"
        )
    odd = [[(5, 3, 1), (1, 1, 1)], [(3, 1, 4), (2, 2, 1)], [(3, 1, 1)]]
    if (other := [float(x) for x in answer(odd)]) != fields(odd):
        raise Wrong(
            f"right for VGG-16, but for the stages {odd} it should be {fields(odd)}; yours is {other}"
        )
    return (
        "From stage 7 on a feature could see the whole picture of 64 pixels; deep stages know what, shallow ones "
        "know where."
    )


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
    stages = [Counted(stage) for stage in network.stages]
    heads = {
        "segmentation": network.head,
        "normals": backbone(5, outputs=3).head,
        "depth": backbone(6, outputs=1).head,
    }
    x = image
    for stage in network.stages:
        x = stage(x)
    yours, right = (
        answer(stages, dict(heads), image.clone()),
        {task: head(x) for task, head in heads.items()},
    )
    runs = [stage.runs for stage in stages]
    ax.bar(range(4), runs, color=YOURS, width=0.5, label="yours")
    ax.axhline(1, color=RIGHT, lw=4, alpha=0.5, label="needed")
    ax.set(xlabel="stage of the trunk", ylabel="times it ran", xticks=range(4), ylim=(0, 4))
    ax.legend(frameon=False)
    if not isinstance(yours, dict) or set(yours) != set(heads):
        raise Wrong(f"give a dict with one output for each head: {', '.join(heads)}")
    for task, output in right.items():
        mine = torch.as_tensor(yours[task])
        if (
            mine.shape == image.shape
            and mine.shape != output.shape
            or mine.shape[1:2] == x.shape[1:2]
        ):
            raise Wrong(f"what you give for {task} never went through its head")
        if mine.shape != output.shape or not torch.allclose(mine, output, atol=1e-5):
            raise Wrong(
                f"{task}: its head must see what the last stage gives for this image; yours saw something else"
            )
    if max(runs) > 1:
        raise Wrong(
            f"right numbers, but the trunk ran {max(runs)} times, once for each head: then nothing is shared "
            "but memory"
        )
    return (
        "Everything is shared up to the heads. MTL-NAS asks for something in between: two trunks, joined where it "
        "helps."
    )
