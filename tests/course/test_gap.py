"""Checks of notebook 07 on right, almost right and wrong answers."""

import torch
from judging import judged
from right_answers import derived


def test_derive():
    judged(
        "07.derive",
        [
            derived,
            (lambda alpha, budget: alpha > 0, "whatever the sign"),
            (lambda alpha, budget: [not keep for keep in derived(alpha, budget)], "left out"),
            (lambda alpha, budget: derived(-alpha, budget), "the smallest α"),
            (lambda alpha, budget: derived(alpha.abs(), budget), "all but closed"),
            (lambda alpha, budget: [i < budget for i in range(len(alpha))], "choose by α"),
            (lambda alpha, budget: alpha > -9, "every edge"),
            (lambda alpha, budget: alpha >= alpha.sort().values[-budget], "keep the first of them"),
            (lambda alpha, budget: derived(alpha, budget + 1), "yours keeps 5"),
            (
                lambda alpha, budget: derived(alpha, budget) if len(alpha) > 3 else [True] * 3,
                "use the arg",
            ),
            (lambda alpha, budget: alpha.argsort()[-budget:], "one truth value for each"),
        ],
    )


def test_gap():
    judged(
        "07.gap",
        [
            lambda soft, hard, more: 100 * (soft - hard if more else hard - soft) / soft,
            (lambda soft, hard, more: 100 * (soft - hard) / soft, "for an angle less is better"),
            (
                lambda soft, hard, more: 100 * (hard - soft if more else soft - hard) / soft,
                "the sign",
            ),
            (lambda soft, hard, more: (soft - hard if more else hard - soft) / soft, "per cent"),
            (
                lambda soft, hard, more: 100 * (soft - hard if more else hard - soft) / hard,
                "divide by the soft",
            ),
            (lambda soft, hard, more: abs(soft - hard), "where less is"),
        ],
    )


def test_statistics():
    stack = torch.stack
    judged(
        "07.statistics",
        [
            lambda batches: (
                stack([x.mean(0) for x in batches]).mean(0),
                stack([x.var(0) for x in batches]).mean(0),
            ),
            (
                lambda batches: (
                    stack([x.mean(0) for x in batches]).mean(0),
                    stack([x.var(0, unbiased=False) for x in batches]).mean(0),
                ),
                "unbiased",
            ),
            (
                lambda batches: (torch.cat(batches).mean(0), torch.cat(batches).var(0)),
                "all rows together",
            ),
            (lambda batches: (batches[-1].mean(0), batches[-1].var(0)), "last batch alone"),
            (
                lambda batches: (torch.cat(batches).mean(), torch.cat(batches).var()),
                "each of the 3 channels",
            ),
            (
                lambda batches: (
                    stack([x.mean(0) for x in batches]).mean(0),
                    stack([x.std(0) for x in batches]).mean(0),
                ),
                "each batch's variance",
            ),
        ],
    )


def test_random():
    def control(kept, generator):
        chosen = set(torch.randperm(len(kept), generator=generator)[: sum(kept)].tolist())
        return [i in chosen for i in range(len(kept))]

    judged(
        "07.random",
        [
            control,
            (
                lambda kept, g: (
                    torch.rand(len(kept), generator=g) < sum(kept) / len(kept)
                ).tolist(),
                "another number of",
            ),
            (lambda kept, g: kept, "every draw is the same"),
            (lambda kept, g: control(kept, None), "the same generator"),
            (lambda kept, g: [True] + control(kept[1:], g), "more often than others"),
            (lambda kept, g: control(kept, g)[:5], "12 candidate edges"),
        ],
    )


def test_cost():
    def total(space, kept, size):
        return sum(
            keep * size(space.stage(edge.source).channels, space.stage(edge.target).channels)
            for edge, keep in zip(space.edges, kept)
        )

    judged(
        "07.cost",
        [
            lambda space, kept: total(space, kept, lambda a, b: a * b),
            (
                lambda space, kept: total(space, [True] * len(kept), lambda a, b: a * b),
                "closed edges cost nothing",
            ),
            (lambda space, kept: total(space, kept, lambda a, b: b * b), "as wide"),
            (lambda space, kept: sum(kept), "number of edges"),
            (lambda space, kept: total(space, kept, lambda a, b: a + b), "source times"),
        ],
    )
