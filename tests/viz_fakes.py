"""Spaces, α and logs for the tests of pictures."""

import numpy as np

from mtlnas_lab.core.architecture import derive
from mtlnas_lab.core.events import Evaluated, Finished, Started, Step, Turned
from mtlnas_lab.core.space import SearchSpace, not_deeper, other_task, paper_rules, plan
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz import (
    save_fusion_graph,
)
from mtlnas_lab.viz.graph.shapes import Box, Curve, sample
from mtlnas_lab.viz.style import (
    PT,
    text_width,
)

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


ALL = ("pdf", "svg", "png", "tikz", "html")


def save(folder, names=None, formats=ALL, kind="mid", tasks=2, **look):
    two = space(tasks, **({"names": names} if names else {}))
    written = save_fusion_graph(derive(two, alphas(two, kind)), folder, formats, **look)
    return {file.suffix[1:]: file for file in written}


SPACES = {
    "vgg": space(),
    "no limit": space(limit=None),
    "three": space(3),
    "three, no limit": space(3, limit=None),
    "resnet": space(plan=RESNET),
    "five": space(5, RESNET),
    "unlike": SearchSpace.build({"a": VGG, "b": RESNET}),
    "short": space(plan=plan([8, 16], [1, 1])),
    "hostile": space(5, names=HOSTILE),
    "all pairs": SearchSpace.build({"a": VGG, "b": VGG}, (other_task, not_deeper)),
}


def extent(item) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in mm; of text, from the tops of its capitals to its base line."""
    if isinstance(item, Curve):
        x, y = np.concatenate([sample(item.points), item.head or item.points]).T
        return x.min(), y.min(), x.max(), y.max()
    if isinstance(item, Box):
        return (
            item.x - item.width / 2,
            item.y - item.height / 2,
            item.x + item.width / 2,
            item.y + item.height / 2,
        )
    long, high = (
        text_width(item.text, item.size) * (1.12 if item.bold else 1),
        0.73 * item.size * PT,
    )
    before = {"start": 0, "middle": long / 2, "end": long}[item.anchor]
    if item.turn:
        return item.x - high, item.y - before, item.x, item.y - before + long
    return item.x - before, item.y, item.x - before + long, item.y + high


EYES = {  # Machado, Oliveira & Fernandes 2009, severity 1, linear RGB
    "full": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def seen(colors, eye) -> np.ndarray:
    """CIE L*a*b* (N, 3) of sRGB colours (N, 3) as that eye sees them."""
    colors = np.asarray(colors, float)
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(EYES[eye]), 0, 1) @ TO_XYZ.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
