"""Six faults that real code for architecture search has had, each in a search that is otherwise healthy.

    log = run(buggy(3))                              # or SearchStudio(lambda: buggy(3)), to press Start yourself
    examine(log, run(healthy()), "Patient 3")        # SearchStudio(log, compare=…) replays it

All learn from the image itself: a patient has no views, and to turn `visibility` changes nothing in what it learns from.

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
        report = self._report(losses, labelled, pull, start)
        self.step_number += 1
        return report

    def prepare(self) -> None:
        self.lab.supernet.train()

    def alpha_update(self) -> Tensor:
        """Moves α; gives what the tasks alone ask of it."""
        alpha = self.lab.alphas.alpha
        image, targets = self.alpha_batch()
        losses = self._losses(image, targets, self._gates("alpha_gates"))
        (alpha.grad,) = torch.autograd.grad(self.lab.total(losses) + self.penalty(alpha), [alpha])
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
        self.lab.total(losses).backward()
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


PATIENTS = {1: Patient1, 2: Patient2, 3: Patient3, 4: Patient4, 5: Patient5, 6: Patient6}


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
    # so large a step of α that its gates decide within 60 of them
    hurried = {
        "steps": presets.quick(60, 3),
        "batch_size": 4,
        "alpha_lr": 0.1,
        "evaluate_every": presets.quick(20, 3),
        "augment": True,  # so that the first batch, again and again, is not quite the same
        "lr_power": 0.0,  # the rates stay: what a patient does with them is seen to the end
    }
    config = replace(presets.preset("tiny").search, **{**hurried, **settings})
    return kind(presets.tiny(seed=0), config, evaluate=scores)


def scores(search: Search) -> dict[str, Scores]:
    """The discretization gap on a few validation images: quick, and good enough for large differences."""
    images = presets.quick(40, 8)
    lab = search.lab
    kept = search.architecture().kept
    tasks = tuple(lab.tasks)
    few = torch.arange(images)
    train = list(loader.sequential(lab.data["train"].subset(few), tasks, 20))
    val = list(loader.sequential(lab.data["val"].subset(few), tasks, 20))
    soft = deterministic(lab.alphas.alpha.detach())
    found = {
        "soft": evaluate(lab.supernet, soft, lab.tasks, val),
        "hard": evaluate(lab.supernet, kept, lab.tasks, val),
    }
    with recalibrated(lab.supernet, kept, train) as network:
        found["hard_recalibrated"] = evaluate(network, kept, lab.tasks, val)
    return found


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
    pull = log.alpha_grad  # (steps, E)
    quarter = max(1, len(log.steps) // 4)
    size = np.linalg.norm(pull, axis=1)
    # 1e-12: a pull of exactly 0 has no direction, and counts as turned by 90°
    cosine = (pull[1:] * pull[:-1]).sum(1) / np.maximum(size[1:] * size[:-1], 1e-12)
    # in the last quarter alone: at first no gate is so sharp that nothing comes through
    silent = np.abs(pull[-quarter:]) < 1e-8
    last = log.evaluated[-1].scores
    hard = last["hard"]["normals"]["mean_angle"]
    recalibrated_hard = last["hard_recalibrated"]["normals"]["mean_angle"]
    found = {
        "λ": log.column("entropy_weight")[-1],
        "entropy": log.column("entropy_fraction")[-1],
        "largest |α|": float(np.abs(log.alpha).max()),
        "cosine of successive pulls": float(cosine.mean()),
    }
    found["silent pulls"] = float(silent.mean())
    found["degrees by recalibrating"] = abs(hard - recalibrated_hard)
    # in the first quarter alone: a loss that leaps there may still come down to the usual one
    for task, loss in log.loss.items():
        found[f"loss of {task}"] = float(loss[:quarter].mean())
    return found


def symptoms(log: EventLog, reference: EventLog) -> tuple[bool, ...]:
    """Which OBSERVATIONS hold in `log`, beside the healthy `reference` of the same length."""
    mine = measure(log)
    right = measure(reference)
    # the borders are far from both sides: of the entropy the healthy search keeps less than 0.15, a patient more than 0.7
    lambda_grows = mine["λ"] > 0.5 * right["λ"]
    entropy_falls = mine["entropy"] < 0.5
    gates_leave_half = mine["largest |α|"] > 0.2
    pull_turns = mine["cosine of successive pulls"] < 0.5
    tasks_pull = mine["silent pulls"] < 0.9
    usual = [mine[f"loss of {task}"] < 1.3 * right[f"loss of {task}"] for task in log.loss]
    little = mine["degrees by recalibrating"] < 2
    # in the order of OBSERVATIONS
    holds = [lambda_grows, entropy_falls, gates_leave_half, pull_turns, tasks_pull, *usual, little]
    return tuple(bool(one) for one in holds)


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
    """Six panels of a search (PANELS); thin and grey the healthy one. Returns the figure."""
    from matplotlib.lines import Line2D

    from ..viz import style

    look = replace(style("web-light"), width=228)
    blue = look.task_colors[0]
    grey = "#a3a9b4"

    def handle(label: str, color: str, **line) -> Line2D:
        """An entry of the legend, which explains lines of several panels at once."""
        return Line2D([], [], label=label, color=color, **line)

    handles = [handle(title, blue, lw=2)]
    if log is not reference:
        handles.append(handle("the healthy search", grey, lw=1))
    handles.append(handle("λ / 10", look.soft, ls=":"))
    handles.append(handle("hard gates", look.soft, marker="s", ms=4))
    handles.append(handle("hard gates, recalibrated", look.ink, ls="--", marker="^", ms=4))
    with look.context():
        figure = look.figure(112, layout="constrained")
        axes = list(figure.subplots(2, 3).flat)
        if log is not reference:
            _draw(reference, axes, grey, grey, 0.9)
        _draw(log, axes, blue, look.ink, 1.7)
        for ax, (name, unit) in zip(axes, PANELS.items()):
            ax.set(title=name, ylabel=unit, xlabel="search step")
        axes[1].set_ylim(-0.03, 1.03)
        figure.legend(handles=handles, loc="outside upper left", ncols=5)
    return figure


def _draw(log: EventLog, axes, color: str, other: str, width: float) -> None:
    """One search into the six panels; `other` is the color of its scores after recalibrating."""
    steps = log.column("step")
    # 48 jagged lines would be a carpet: the five edges that are pulled most
    busiest = np.argsort(np.abs(log.alpha_grad).mean(0))[-5:]
    axes[0].plot(steps, log.column("entropy_fraction"), color=color, lw=width)
    axes[0].plot(steps, log.column("entropy_weight") / 10, color=color, lw=width, ls=":")
    axes[1].plot(steps, 1 / (1 + np.exp(-log.alpha)), color=color, lw=0.5 * width)
    axes[2].plot(steps, log.alpha_grad[:, busiest], color=color, lw=0.6 * width)
    for ax, loss in zip(axes[3:5], log.loss.values()):
        # a mean over five steps, for batches of four pictures make losses leap
        window = min(5, len(loss))
        smooth = np.convolve(loss, np.ones(window) / window, "valid")
        ax.plot(steps[window - 1 :], smooth, color=color, lw=width)
    when = [event.step for event in log.evaluated]
    hard = _mean_angles(log, "hard")
    recalibrated_hard = _mean_angles(log, "hard_recalibrated")
    size = 2.4 * width
    axes[5].plot(when, hard, "s-", ms=size, lw=width, color=color)
    axes[5].plot(when, recalibrated_hard, "^--", ms=size, lw=width, color=other)


def _mean_angles(log: EventLog, gates: str) -> list[float]:
    """The score of normals under these gates, evaluation by evaluation."""
    return [event.scores[gates]["normals"]["mean_angle"] for event in log.evaluated]
