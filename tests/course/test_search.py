"""Checks of notebook 06 on right, almost right and wrong answers."""

import numpy as np
import torch
from judging import judged
from right_answers import update

from mtlnas_lab.core.relaxation import entropy


def order(count, generator):
    return torch.randperm(count, generator=generator)


def test_halves():
    judged(
        "06.halves",
        [
            lambda n, g: (lambda o: (o[: n // 2], o[n // 2 :]))(order(n, g)),
            (lambda n, g: (order(n, g)[: n // 2], order(n, g)[n // 2 :]), "in both halves"),
            (
                lambda n, g: (lambda o: (o[: n // 2], o[n // 2 : 2 * (n // 2)]))(order(n, g)),
                "every image belongs",
            ),
            (lambda n, g: (torch.arange(n // 2), torch.arange(n // 2, n)), "not drawn"),
            (lambda n, g: (lambda o: (o[:5], o[5:]))(order(n, g)), "one at most"),
            (
                lambda n, g: (lambda o: (o[: n // 2], o[n // 2 :]))(torch.randperm(n)),
                "same generator",
            ),
            (lambda n, g: order(n, g)[: n // 2], "two lists"),
        ],
    )


def moving(objective):
    def update(alpha, task_losses, weight, optimizer):
        def tasks(alpha):
            return sum(loss(alpha) for loss in task_losses) / len(task_losses)

        (alpha.grad,) = torch.autograd.grad(objective(alpha, tasks, weight), [alpha])
        optimizer.step()
        return alpha.grad

    return update


def backward(alpha, task_losses, weight, optimizer):
    tasks = sum(loss(alpha) for loss in task_losses) / len(task_losses)
    (tasks + weight * entropy(alpha)).backward()
    optimizer.step()
    return alpha.grad


def test_update():
    judged(
        "06.update",
        [
            moving(lambda a, tasks, weight: tasks(a) + weight * entropy(a)),
            (backward, "w has got a gradient too"),
            (moving(lambda a, tasks, weight: tasks(a)), "entropy term is missing"),
            (moving(lambda a, tasks, weight: tasks(a) - weight * entropy(a)), "wrong sign"),
            (
                moving(lambda a, tasks, weight: tasks(a) + weight * entropy(a) * len(a)),
                "entropy's mean",
            ),
            (moving(lambda a, tasks, weight: 3 * tasks(a) + weight * entropy(a)), "their mean"),
            (moving(lambda a, tasks, weight: 3 * (tasks(a) + weight * entropy(a))), "everything"),
            (moving(lambda a, tasks, weight: tasks(a) + 3 * weight * entropy(a)), "counts once"),
            (
                lambda a, losses, weight, optimizer: update(a, losses[:1], weight, optimizer),
                "only the first part",
            ),
            (
                lambda a, losses, weight, optimizer: update(a, losses[-1:], weight, optimizer),
                "only the last part",
            ),
            (
                lambda a, losses, weight, optimizer: torch.autograd.grad(losses[0](a), [a])[0],
                "has not moved",
            ),
        ],
    )


def test_settled():
    def right(alpha):
        apart = (alpha > 0) != (alpha[-1] > 0)
        return (apart * np.arange(1, len(alpha) + 1)[:, None]).max(0) + 1

    judged(
        "06.settled",
        [
            right,
            (lambda alpha: right(alpha) - 1, "count from 1"),
            (lambda alpha: ((alpha > 0) != (alpha[-1] > 0)).sum(0) + 1, "how often"),
            (lambda alpha: ((alpha > 0) == (alpha[-1] > 0)).argmax(0) + 1, "may leave"),
            (lambda alpha: len(alpha) + 1 - right(alpha), "not from its end"),
            (lambda alpha: [1, 5, 10, 1], "one number for each"),
        ],
    )


def test_force():
    def forced(gates, wanted, copy):
        gates = copy(gates)
        for i, to in wanted.items():
            gates[i] = float(to)
        return gates

    judged(
        "06.force",
        [
            lambda gates, wanted: forced(gates, wanted, torch.clone),
            (
                lambda gates, wanted: forced(gates, wanted, lambda g: g.detach().clone()),
                "gradient is gone",
            ),
            (lambda gates, wanted: forced(gates, wanted, lambda g: g), "have changed"),
            (
                lambda gates, wanted: forced(gates, dict.fromkeys(wanted, True), torch.clone),
                "edge 3 should be 0",
            ),
            (lambda gates, wanted: gates.clone(), "edge 1 should be 1"),
            (lambda gates, wanted: torch.tensor([0.0, 1, 0, 0]), "free edges"),
        ],
    )


def test_part():
    def first(differs):
        return int(differs.argmax()) + 1 if differs.any() else 0

    judged(
        "06.part",
        [
            lambda one, other: first(((one > 0) != (other > 0)).any(1)),
            (lambda one, other: first((one != other).any(1)), "not yet another graph"),
            (lambda one, other: int(((one > 0) != (other > 0)).any(1).argmax()), "count from 1"),
            (lambda one, other: int(((one > 0) != (other > 0)).any(1).argmax()) + 1, "return 0"),
            (lambda one, other: 0, "never do"),
            (lambda one, other: 7 if len(one) > 6 else 0, "use the arguments"),
        ],
    )
