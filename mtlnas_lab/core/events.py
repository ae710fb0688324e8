"""What a search says: its events. A run folder keeps them, one checked line of JSON each (`runs.event_file`)."""

from __future__ import annotations

from dataclasses import dataclass

Numbers, Losses, Scores = tuple[float, ...], dict[str, float], dict


@dataclass(frozen=True)
class Started:
    """The first record of a run. Its copies of config and space are the ones that count."""

    config: dict
    space: dict
    versions: dict
    device: str
    threads: int
    alpha: Numbers = ()  # E, before the first step; () where it was not kept


@dataclass(frozen=True)
class Step:
    """One search step under E edges (E = 0 while backbones are pretrained)."""

    step: int  # how many steps are done, this one included
    alpha: Numbers  # E
    alpha_grad: Numbers  # E, of the task losses alone
    loss: Losses  # {task: value}
    entropy: float  # nats, mean over the edges
    entropy_fraction: float  # over ln 2
    entropy_weight: float
    l1_weight: float
    temperature: float
    alpha_lr: float
    seconds: float  # what this step took


@dataclass(frozen=True)
class Evaluated:
    step: int
    scores: Scores  # as in scores.json: {gates: {task: {metric: value}}}


@dataclass(frozen=True)
class Turned:
    step: int  # the first one under these knobs
    knobs: Scores


@dataclass(frozen=True)
class Checkpoint:
    step: int
    file: str  # in the run's folder `checkpoints`
    sha256: str


@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint: earlier records with seq > from_seq stay in the file but no longer count."""

    from_step: int
    from_seq: int


@dataclass(frozen=True)
class Recovered:
    """The record before this one was cut short after so many bytes."""

    bytes: int


@dataclass(frozen=True)
class Failed:
    step: int
    task: str | None
    message: str
    checkpoint: str | None  # the last good one


@dataclass(frozen=True)
class Finished:
    step: int
    seconds: float  # of the whole search


Event = Started | Step | Evaluated | Turned | Checkpoint | Resumed | Recovered | Failed | Finished
