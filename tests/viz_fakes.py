"""Spaces, α and logs for the tests of pictures."""

import numpy as np

from mtlnas_lab.events import Evaluated, EventLog, Finished, Started, Step, Turned
from mtlnas_lab.space import SearchSpace, paper_rules, plan

VGG = plan([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, [2, 2, 3, 3, 3])
RESNET = plan([256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3, [3, 4, 6, 3])
NAMES = ("segmentation", "normals", "depth", "edges", "room")
HOSTILE = (
    r"50%_of $x^2$ & #1~{y}\z",
    '<script>alert("1")</script>',
    "😀 名前",
    "שלום עולם",
    "a" * 60,
)


def space(tasks=2, plan=VGG, limit=3, names=NAMES) -> SearchSpace:
    return SearchSpace.build(dict.fromkeys(names[:tasks], plan), paper_rules(limit))


def alphas(space, kind="late", seed=0) -> np.ndarray:
    """As at the start of a search, in the middle, or late: every edge decided."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, len(space))
    late = np.where(random.random(len(space)) < 0.5, 4.0, -4.0) + noise / 2
    return {"early": 0.1 * noise, "mid": 1.6 * noise, "late": late}[kind]


def log(space, steps=60, evaluations=6, turned=True, weight=10.0, seed=0) -> EventLog:
    """A search in which every edge drifts away from ½."""
    end, random = alphas(space, seed=seed), np.random.default_rng(seed)
    events = [Started({"preset": "fake", "seed": 3}, space.to_json(), {"torch": "2"}, "cpu", 1)]
    for step in range(1, steps + 1):
        alpha = end * (step / steps) ** 2 + random.normal(0, 0.02, len(end))
        p = 1 / (1 + np.exp(-alpha))
        entropy = float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean()) if len(end) else 0.0
        if turned and step == steps // 2:
            events.append(Turned(step, {"entropy_weight": weight}))
        losses = {
            task: 2 * (i + 1) / step**0.5 + float(random.normal(0, 0.1))
            for i, task in enumerate(space.tasks)
        }
        events.append(
            Step(
                step,
                tuple(alpha),
                tuple(0 * alpha),
                losses,
                entropy,
                entropy / np.log(2),
                weight * step / steps,
                0.0,
                1.0,
                0.02,
                0.1,
            )
        )
        if evaluations and step % (steps // evaluations) == 0:
            scores = {
                gates: {
                    space.tasks[0]: {"miou": 0.2 - cost * entropy, "pixel_accuracy": 0.4},
                    space.tasks[1]: {"mean_angle": 30 + 10 * cost * entropy},
                }
                for gates, cost in (("soft", 0), ("hard", 0.1), ("hard_recalibrated", 0.05))
            }
            events.append(Evaluated(step, scores))
    return EventLog([*events, Finished(steps, 6.0)])
