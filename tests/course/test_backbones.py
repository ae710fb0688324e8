"""Checks of notebook 02 with right, wrong and almost right answers."""

import pytest
from judging import cases, judge, refused

from mtlnas_lab.core.space import plan
from mtlnas_lab.course.checks import backbones as n02
from mtlnas_lab.models.vgg import vgg16


def until(network, image, stage, extra=1, head=False):
    for part in network.stages[: stage + extra]:
        image = part(image)
    return network.head(image) if head else image


def rows(channels, groups, group=0, index=0):
    return [(s.channels, s.group + group, s.index + index, s.size) for s in plan(channels, groups)]


def shared(stages, heads, image):
    for stage in stages:
        image = stage(image)
    return {task: head(image) for task, head in heads.items()}


def each_alone(stages, heads, image):
    return {task: shared(stages, {task: head}, image)[task] for task, head in heads.items()}


def trunk_alone(stages, heads, image):
    return dict.fromkeys(heads, shared(stages, {"x": lambda x: x}, image)["x"])


ANSWERS = {
    "02.until": [
        (until, None),
        (lambda n, x, s: until(n, x, s, extra=0), "one too early"),
        (lambda n, x, s: until(n, x, 3), "all of them"),
        (lambda n, x, s: until(n, x, 3, head=True), "head's output"),
        (lambda n, x, s: until(n, x, s) + 1, "numbers are not"),
        (lambda n, x, s: x, "one too early"),
        (lambda n, x, s: x[0, 0], "shape (1, 4, 8, 8)"),
    ],
    "02.plan": [
        (rows, None),
        (lambda c, g: rows(c, g, group=1), "groups count from 0"),
        (lambda c, g: rows(c, g, index=1), "inside a group stages count from 0"),
        (
            lambda c, g: [(a, b, i, d) for i, (a, b, _, d) in enumerate(rows(c, g))],
            "anew in each group",
        ),
        (lambda c, g: [(a, 0, i, d) for a, _, i, d in rows(c, g)], "are numbered"),
        (lambda c, g: [(a, b, i, 3) for a, b, i, _ in rows(c, g)], "how many stages"),
        (lambda c, g: [(64, b, i, d) for _, b, i, d in rows(c, g)], "first number"),
        (lambda c, g: [row[:3] for row in rows(c, g)], "for each of the 6"),
    ],
    "02.field": [
        (n02.fields, None),
        (lambda s: n02.fields(s, lambda k, stride, d, j: k * d * j), "kernel − 1"),
        (lambda s: n02.fields(s, lambda k, stride, d, j: (k - 1) * d), "by the jump"),
        (lambda s: n02.fields(s, lambda k, stride, d, j: (k - 1) * j), "dilation of 2"),
        (lambda s: n02.fields(s, first=True), "too early"),
        (lambda s: [x - 1 for x in n02.fields(s)], "size 1"),
        (lambda s: n02.fields(n02.VGG16), "right for VGG-16"),
        (lambda s: [3] * 13, "first four"),
        (lambda s: [3, 5], "13 stages"),
    ],
    "02.shared": [
        (shared, None),
        (each_alone, "ran 3 times"),
        (trunk_alone, "never went through its head"),
        (lambda s, h, x: shared(s[:-1] + [lambda y: s[-1](y) + 1], h, x), "something else"),
        (lambda s, h, x: list(shared(s, h, x).values()), "a dict"),
        (lambda s, h, x: {"normals": shared(s, h, x)["normals"]}, "one output for each head"),
    ],
}


@pytest.mark.parametrize("name, answer, said", cases(ANSWERS))
def test_right_almost_right_and_wrong(name, answer, said):
    judge(name, answer, said)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_stub_is_not_filled_in_and_a_wrong_type_is_told(name):
    refused(name, lambda *_: "text", 3)


def test_the_recipe_of_the_check_is_that_of_the_backbone():
    """(kernel, stride, dilation) of every pooling and convolution of VGG-16's stages."""
    layers = [
        [m for m in stage if hasattr(m, "kernel_size")]
        for stage in vgg16(2, widths=(2,) * 5, hidden=2).stages
    ]
    first = lambda value: value[0] if isinstance(value, tuple) else value  # noqa: E731
    assert [
        [tuple(map(first, (m.kernel_size, m.stride, m.dilation))) for m in stage]
        for stage in layers
    ] == n02.VGG16
