"""A search without networks, for the tests of widgets: edges drift, λ pushes them apart. As a program: writes a run."""

import sys
import threading
import time
from pathlib import Path

import numpy as np

from mtlnas_lab.core.events import Evaluated, Finished, Started, Step, Turned
from mtlnas_lab.core.space import SearchSpace, paper_rules, plan
from mtlnas_lab.errors import ConfigError

VGG = plan([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, [2, 2, 3, 3, 3])


class FakeSearch:
    """An iterator of events with `turn`, like a search; `pause` seconds a step; `thread_ids` says who iterated."""

    def __init__(self, space=None, steps=100, pause=0.0, seed=0, evaluate_every=0):
        self.space = space or SearchSpace.build(
            {"segmentation": VGG, "normals": VGG}, paper_rules()
        )
        self.steps, self.pause, self.every, self.step_number = steps, pause, evaluate_every, 0
        self.random = np.random.default_rng(seed)
        self.drift, self.alpha = (
            self.random.normal(0, 1, len(self.space)),
            np.zeros(len(self.space)),
        )
        self.knobs, self.forced, self._turned, self._lock = {}, {}, [], threading.Lock()
        self.thread_ids, self.fail_at = set(), 0

    def turn(self, **knobs):
        if isinstance(knobs.get("entropy_weight"), (int, float)) and knobs["entropy_weight"] < 0:
            raise ConfigError(
                f"entropy_weight = {knobs['entropy_weight']} is no setting; give a finite number from 0 up"
            )
        with self._lock:
            self._turned.append(knobs)

    def score_now(self):
        return Evaluated(
            self.step_number,
            {
                gates: {self.space.tasks[0]: {"miou": 0.2 - cost}}
                for gates, cost in (("soft", 0), ("hard", 0.02), ("hard_recalibrated", 0.01))
            },
        )

    def __iter__(self):
        if self.step_number == 0:
            config = {
                "steps": self.steps,
                "alpha_gates": "deterministic",
                "weight_gates": "stochastic",
                "entropy_weight": {"end": 10.0},
            }
            yield Started(config, self.space.to_json(), {}, "cpu", 1)
        while self.step_number < self.steps:
            self.thread_ids.add(threading.get_ident())
            with self._lock:
                turned, self._turned = self._turned, []
            for knobs in turned:
                self.knobs |= knobs
                yield Turned(self.step_number + 1, knobs)
            if self.step_number + 1 == self.fail_at:
                raise ValueError("the disk of this fake is full")
            yield self.step()
            if self.every and self.step_number % self.every == 0:
                yield self.score_now()
        yield Finished(self.step_number, self.steps * self.pause)

    def step(self):
        time.sleep(self.pause)
        t, edges = self.step_number / self.steps, len(self.space)
        weight = self.knobs.get("entropy_weight", 10 * max(0.0, (t - 0.3) / 0.7))
        p = 1 / (1 + np.exp(-self.alpha))
        grad = (-0.02 * self.drift + self.random.normal(0, 0.03, edges)) / edges
        self.alpha = self.alpha - min(30 / self.steps, 0.3) * edges * (
            grad - weight * self.alpha * p * (1 - p) / edges
        )
        self.alpha = self.alpha.clip(-12, 12)
        p = 1 / (1 + np.exp(-self.alpha))
        entropy = float((-p * np.log(p) - (1 - p) * np.log1p(-p)).mean())
        self.step_number += 1
        loss = {
            task: 1.4 * np.exp(-2.5 * t) + 0.5 + 0.2 * i + self.random.normal(0, 0.06)
            for i, task in enumerate(self.space.tasks)
        }
        return Step(
            self.step_number,
            tuple(self.alpha),
            tuple(grad),
            loss,
            entropy,
            entropy / np.log(2),
            weight,
            self.knobs.get("l1_weight", 0.0),
            self.knobs.get("temperature", (1 - t) ** 2),
            self.knobs.get("alpha_lr", 0.02),
            max(self.pause, 1e-4),
        )


def wait(until, seconds=10.0):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def press(one, **message):
    one._on_message(one.view, message, [])


def write_run(path: Path, search: FakeSearch) -> None:
    """What a recorded search leaves, without checkpoints."""
    from mtlnas_lab.runs.run_writer import RunWriter

    with RunWriter.create(
        path, {"steps": search.steps, "entropy_weight": {"end": 10.0}}, search.space
    ) as run:
        for event in search:
            run.append(event)
            for knobs in run.requests():
                search.turn(**knobs)


if __name__ == "__main__":
    write_run(Path(sys.argv[1]), FakeSearch(steps=100_000, pause=0.01))


class GraphTable:
    """What an explorer of a landscape needs of a table of graphs: made-up losses, the same each time."""

    def __init__(self, space, seeds=3, missing=0):
        import numpy as np

        self.space, self.tasks, self.seeds = space, space.tasks, tuple(range(seeds))
        self.graphs = tuple(range(2 ** len(space) - missing))
        bits = (np.arange(2 ** len(space))[:, None] >> np.arange(len(space))) & 1
        random = np.random.default_rng(0)
        self.known = {}
        for place, task in enumerate(self.tasks):
            into = np.array([edge.target.task == task for edge in space.edges])
            worth = np.where(into, -0.02, 0.01) * (1 + np.arange(len(space)))
            noise = random.normal(0, 0.01, (len(bits), seeds))
            self.known[f"{task}/loss"] = 1 + place + (bits @ worth)[:, None] + noise
        self.known["total"] = sum(self.known.values())

    def by_seed(self, by, split="test"):
        return self.known[by]

    def noise_floor(self, by, split="test"):
        from types import SimpleNamespace

        return SimpleNamespace(smallest=0.02)
