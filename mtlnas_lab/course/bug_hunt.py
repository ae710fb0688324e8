"""Six faults that real code for architecture search has had, each in a search that is otherwise healthy.

    log = run(buggy(3))                              # or SearchStudio(lambda: buggy(3)), to press Start yourself
    examine(log, run(healthy()), "Patient 3")

Do not read on before you have done notebook `bug_hunt`: what is wrong stands below, a method for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..core.evaluate import Scores, evaluate, recalibrated
from ..core.events import Event, Step
from ..core.relaxation import deterministic, entropy
from ..core.search import Search
from ..data import dataset, loader
from ..errors import ConfigError
from ..experiments import presets
from ..runs.event_log import EventLog


class Healthy(Search):
    """The search, its step cut in pieces: what every patient does but for one piece."""

    def step(self) -> Step:
        start = time.perf_counter()
        self.prepare()
        pull = self.alpha_update()
        losses = self.weight_update()
        labelled = dict.fromkeys(losses, torch.tensor(True))  # every room has every label
        weights = self.current("entropy_weight"), self.current("l1_weight")
        report = self._report(losses, labelled, pull, *weights, start)
        self.step_number += 1
        return report

    def prepare(self) -> None:
        self.lab.supernet.train()

    def alpha_update(self) -> Tensor:
        """Moves α; gives what the tasks alone ask of it."""
        alpha = self.lab.alphas.alpha
        image, targets = self.alpha_batch()
        losses = self._losses(image, targets, self._gates("alpha_gates"))
        (alpha.grad,) = torch.autograd.grad(self._total(losses) + self.penalty(alpha), [alpha])
        push = self.penalty(alpha)
        pull = (
            alpha.grad - torch.autograd.grad(push, [alpha])[0] if push.requires_grad else alpha.grad
        )
        for group in self.alpha_optimizer.param_groups:
            group["lr"] = self.current("alpha_lr")
        self.alpha_optimizer.step()
        return pull

    def alpha_batch(self) -> dataset.Batch:
        return next(self.alpha_batches)

    def penalty(self, alpha: Tensor) -> Tensor:
        return self.current("entropy_weight") * entropy(alpha)

    def weight_update(self) -> dict[str, Tensor]:
        image, targets = next(self.weight_batches)
        self.weight_optimizer.zero_grad()
        losses = self._losses(image, targets, self._gates("weight_gates").detach())
        self._total(losses).backward()
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.current("weight_lr") * group["factor"]
        self.weight_optimizer.step()
        return losses


# --- the patients -----------------------------------------------------------------------------------------------------
class Patient1(Healthy):
    """λ's ramp is counted against the 20,001 steps of another run: this one ends long before the ramp begins."""

    def current(self, knob: str):
        if knob == "entropy_weight" and knob not in self.knobs:
            return self.config.entropy_weight(self.step_number, 20_001)
        return super().current(knob)


class Patient2(Healthy):
    """The stream starts afresh at every step, as `next(iter(loader))` does without shuffling: the same first batch."""

    def alpha_batch(self) -> dataset.Batch:
        self.alpha_batches.position = 0
        return next(self.alpha_batches)


class Patient3(Healthy):
    """Each optimiser is given the other one's learning rate."""

    def current(self, knob: str):
        return super().current({"alpha_lr": "weight_lr", "weight_lr": "alpha_lr"}.get(knob, knob))


class Patient4(Healthy):
    """The penalty is computed from numbers, not from α: it is added to the loss and has no gradient."""

    def penalty(self, alpha: Tensor) -> Tensor:
        return self.current("entropy_weight") * entropy(alpha.detach())


class Patient5(Healthy):
    """With momentum 0 batch norm's running statistics stay as they were: training ignores them, evaluation does not."""

    def prepare(self) -> None:
        self.lab.supernet.train()
        for module in self.lab.supernet.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0


class Patient6(Healthy):
    """τ halves at every step and has no floor: soon the gates are a step function of α, whose gradient is 0."""

    def _gates(self, update: str) -> Tensor:
        alpha = self.lab.alphas.alpha
        u = torch.rand(len(alpha), generator=self.generator).clamp(1e-6, 1 - 1e-6).to(alpha.device)
        return torch.sigmoid((alpha + torch.logit(u)) / 0.5**self.step_number)


PATIENTS = {
    int(kind.__name__[-1]): kind
    for kind in (Patient1, Patient2, Patient3, Patient4, Patient5, Patient6)
}


def buggy(number: int, **settings) -> Search:
    """Patient 1 … 6: a short, hurried search on the rooms with one fault. settings: fields of its SearchConfig."""
    if number not in PATIENTS:
        raise ConfigError(
            f"there is no patient {number!r}; there are {', '.join(map(str, PATIENTS))}"
        )
    return _made(PATIENTS[number], settings)


def healthy(**settings) -> Search:
    """The same search without a fault."""
    return _made(Healthy, settings)


def _made(kind: type[Healthy], settings: Mapping) -> Healthy:
    steps = presets.quick(60, 6)
    config = replace(
        presets.preset("tiny").search,
        **{
            "steps": steps,
            "batch_size": 4,
            "alpha_lr": 0.1,
            "evaluate_every": steps // 3,
            **settings,
        },
    )
    return kind(presets.tiny(seed=0), config, evaluate=scores)


def scores(search: Search, images: int = 40) -> dict[str, Scores]:
    """The discretization gap on a few validation images: quick, and good enough for large differences."""
    lab, kept = search.lab, search.architecture().kept
    batches = {
        split: list(
            loader.sequential(lab.data[split].subset(torch.arange(images)), tuple(lab.tasks), 20)
        )
        for split in ("train", "val")
    }
    soft = deterministic(lab.alphas.alpha.detach())
    gaps = {
        name: evaluate(lab.supernet, gates, lab.tasks, batches["val"])
        for name, gates in (("soft", soft), ("hard", kept))
    }
    with recalibrated(lab.supernet, kept, batches["train"]) as network:
        return gaps | {"hard_recalibrated": evaluate(network, kept, lab.tasks, batches["val"])}


def run(search: Iterable[Event]) -> EventLog:
    """All its events, as a log."""
    return EventLog(search)


# --- what can be seen -------------------------------------------------------------------------------------------------
OBSERVATIONS = (
    "λ grows",
    "the entropy falls",
    "the gates leave ½",
    "the tasks' pull changes direction",
    "the tasks pull to the end",
    "segmentation's loss is as usual",
    "normals' loss is as usual",
    "recalibrating changes little",
)


SUSPECTS = {  # name, in the order of the alphabet: what is wrong, and which observations it spoils
    "dead penalty": ("the entropy term has no gradient", (1,)),
    "leak": ("test images are among the training images", ()),
    "learning rates": ("the two optimisers have each other's learning rate", (1, 2, 5, 6)),
    "mirror": ("mirrored images keep the sign of their normals' n_x", (6,)),
    "ramp": ("λ's ramp never comes to its value", (0, 1)),
    "same batch": ("α sees the same batch at every step", (3,)),
    "stale statistics": ("batch norm's running statistics are stale", (7,)),
    "temperature": ("the gates' temperature falls to 0", (4,)),
}


GUILTY = {
    1: "ramp",
    2: "same batch",
    3: "learning rates",
    4: "dead penalty",
    5: "stale statistics",
    6: "temperature",
}


def expected(suspect: str) -> tuple[bool, ...]:
    """Which OBSERVATIONS hold in a search with this fault."""
    return tuple(i not in SUSPECTS[suspect][1] for i in range(len(OBSERVATIONS)))


def measure(log: EventLog) -> dict[str, float]:
    """The numbers behind the observations."""
    pull, quarter = log.alpha_grad, max(1, len(log.steps) // 4)
    size = np.linalg.norm(pull, axis=1)
    turn = (pull[1:] * pull[:-1]).sum(1) / np.maximum(size[1:] * size[:-1], 1e-12)
    angle = {
        gates: log.evaluated[-1].scores[gates]["normals"]["mean_angle"]
        for gates in ("hard", "hard_recalibrated")
    }
    return {
        "λ": log.column("entropy_weight")[-1],
        "entropy": log.column("entropy_fraction")[-1],
        "largest |α|": float(np.abs(log.alpha).max()),
        "cosine of successive pulls": float(turn.mean()),
        "silent pulls": float((np.abs(pull[-quarter:]) < 1e-8).mean()),
        **{f"loss of {task}": float(loss[:quarter].mean()) for task, loss in log.loss.items()},
        "degrees by recalibrating": abs(angle["hard"] - angle["hard_recalibrated"]),
    }


def symptoms(log: EventLog, reference: EventLog) -> tuple[bool, ...]:
    """Which OBSERVATIONS hold in `log`, beside the healthy `reference` of the same length."""
    m, right = measure(log), measure(reference)
    usual = [m[f"loss of {task}"] < 1.3 * right[f"loss of {task}"] for task in log.loss]
    return tuple(
        map(
            bool,
            (
                m["λ"] > 0.5 * right["λ"],
                m["entropy"] < 0.5,
                m["largest |α|"] > 0.2,
                m["cosine of successive pulls"] < 0.5,
                m["silent pulls"] < 0.9,
                *usual,
                m["degrees by recalibrating"] < 2,
            ),
        )
    )


# --- pictures ---------------------------------------------------------------------------------------------------------
PANELS = {
    "Entropy and λ": "entropy / ln 2,   λ / 10",
    "Gates": "σ(α)",
    "The tasks' pull on five edges": "∂ losses / ∂α",
    "Loss: segmentation": "cross-entropy",
    "Loss: normals": "1 − cosine",
    "Score: normals": "mean angle, degrees",
}


def examine(log: EventLog, reference: EventLog, title: str):
    """The studio with the healthy search drawn behind, where somebody is there to use it; else a still picture."""
    from ..widgets import SearchStudio
    from ..widgets.studio.widget import live

    return (
        SearchStudio(log, title=title, compare=reference)
        if live()
        else panels(log, reference, title)
    )


def panels(log: EventLog, reference: EventLog, title: str):
    """Six panels of a search; thin and grey the healthy one. Returns the figure."""
    from matplotlib.lines import Line2D

    from ..viz import style

    look = replace(style("web-light"), width=228)
    blue, black, grey = look.task_colors[0], look.ink, "#a3a9b4"
    handles = [
        Line2D([], [], color=blue, lw=2, label=title),
        Line2D([], [], color=grey, lw=1, label="the healthy search"),
        Line2D([], [], color=look.soft, ls=":", label="λ / 10"),
        Line2D([], [], color=look.soft, marker="s", ms=4, label="hard gates"),
        Line2D([], [], color=black, ls="--", marker="^", ms=4, label="hard gates, recalibrated"),
    ]
    if log is reference:
        del handles[1]
    with look.context():
        figure = look.figure(112, layout="constrained")
        axes = list(figure.subplots(2, 3).flat)
        if log is not reference:
            _draw(reference, axes, grey, grey, 0.9)
        _draw(log, axes, blue, black, 1.7)
        for ax, (name, unit) in zip(axes, PANELS.items()):
            ax.set(title=name, ylabel=unit, xlabel="search step")
        axes[1].set_ylim(-0.03, 1.03)
        figure.legend(handles=handles, loc="outside upper left", ncols=5)
    return figure


def _draw(log: EventLog, axes, color: str, other: str, width: float) -> None:
    steps, busiest = log.column("step"), np.argsort(np.abs(log.alpha_grad).mean(0))[-5:]
    axes[0].plot(steps, log.column("entropy_fraction"), color=color, lw=width)
    axes[0].plot(steps, log.column("entropy_weight") / 10, color=color, lw=width, ls=":")
    axes[1].plot(steps, 1 / (1 + np.exp(-log.alpha)), color=color, lw=0.5 * width)
    axes[2].plot(steps, log.alpha_grad[:, busiest], color=color, lw=0.6 * width)
    for ax, loss in zip(axes[3:5], log.loss.values()):
        window = min(5, len(loss))
        ax.plot(
            steps[window - 1 :],
            np.convolve(loss, np.ones(window) / window, "valid"),
            color=color,
            lw=width,
        )
    for gates, line, mark, ink in (
        ("hard", "-", "s", color),
        ("hard_recalibrated", "--", "^", other),
    ):
        angle = [event.scores[gates]["normals"]["mean_angle"] for event in log.evaluated]
        when = [event.step for event in log.evaluated]
        axes[5].plot(when, angle, line, marker=mark, ms=2.4 * width, lw=width, color=ink)
