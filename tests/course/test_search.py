"""Checks of notebook 06 on right, almost right and wrong answers."""

import numpy as np
import torch
from judging import judged

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
    def update(alpha, task_loss, weight, optimizer):
        (alpha.grad,) = torch.autograd.grad(objective(alpha, task_loss, weight), [alpha])
        optimizer.step()
        return alpha.grad

    return update


def backward(alpha, task_loss, weight, optimizer):
    (task_loss(alpha) + weight * entropy(alpha)).backward()
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
            (
                lambda a, tasks, weight, optimizer: torch.autograd.grad(tasks(a), [a])[0],
                "has not moved",
            ),
        ],
    )


def test_ramp():
    judged(
        "06.ramp",
        [
            lambda step, steps: 10 * max(0, (step / steps - 0.3) / 0.7),
            (lambda step, steps: 10 * step / steps, "the tasks are heard first"),
            (lambda step, steps: 10 * step / steps if step / steps > 0.3 else 0, "jumps"),
            (lambda step, steps: 10 * max(0, step / steps - 0.3), "at the middle"),
            (lambda step, steps: 10 * max(0, (step - 60) / 140), "use `steps`"),
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


def test_tip():
    p = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    judged(
        "06.tip",
        [
            lambda a, pull, edges: pull * edges / (a * p(a) * (1 - p(a))),
            (lambda a, pull, edges: pull / (a * p(a) * (1 - p(a))), "mean over the edges"),
            (lambda a, pull, edges: -pull * edges / (a * p(a) * (1 - p(a))), "the sign"),
            (lambda a, pull, edges: pull * edges / (a * p(a) * (1 - p(a))) * np.log(2), "bits"),
            (lambda a, pull, edges: pull * edges / (p(a) * (1 - p(a))), "at balance"),
        ],
    )
