"""What a search says: events, one checked line of JSON each (`files.py`); the log that listens; replay."""

from __future__ import annotations

import math
import operator
import os
import reprlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from . import files
from .errors import RunError
from .files import SPECIAL, plain, revive
from .space import SearchSpace

Numbers, Losses, Scores = tuple[float, ...], dict[str, float], dict


@dataclass(frozen=True)
class Started:
    """The first record of a run. Its copies of config and space are the ones that count."""

    config: dict
    space: dict
    versions: dict
    device: str
    threads: int


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
KINDS = {kind.__name__.lower(): kind for kind in Event.__args__}


def _clean(kind: str, value: object) -> object:
    """`value` as a field of that kind holds it. Raises whatever shows that it can't."""
    match kind:
        case "int" if 0 <= operator.index(value) < 2**53:
            return operator.index(value)
        case "float":
            return SPECIAL[value] if isinstance(value, str) else float(value)
        case "Numbers":
            return tuple(
                [SPECIAL[item] if isinstance(item, str) else float(item) for item in value]
            )
        case "Losses":
            return {str(task): _clean("float", loss) for task, loss in value.items()}
        case "dict":
            return plain({**value})
        case "Scores":
            return revive(plain({**value}))
        case "str" | "str | None" if isinstance(value, str) or kind != "str" and value is None:
            return value
    raise ValueError


def _event(kind: type, values: dict) -> Event:
    """An event whose fields hold what they say. Raises RunError."""
    cleaned = {}
    for field in fields(kind):
        try:
            cleaned[field.name] = _clean(field.type, values[field.name])
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError):
            raise RunError(
                f"{field.name} of {kind.__name__} is {reprlib.repr(values.get(field.name))}; "
                f"it should be {field.type}"
            ) from None
    return kind(**cleaned)


def encode(event: Event, seq: int) -> bytes:
    """The event's line, newline included. Raises RunError for values that `decode` would not give back."""
    return files.encode(
        {"seq": seq, "kind": type(event).__name__.lower(), **vars(_event(type(event), vars(event)))}
    )


def _numbered(record: dict) -> tuple[int, Event]:
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RunError(
            f"a record of kind {reprlib.repr(kind)}, which a newer version may know: skipped"
        )
    return record["seq"], _event(KINDS[kind], record)


def decode(line: bytes) -> tuple[int, Event]:
    """(seq, event) of a line. Raises RunError for a line that is damaged, beyond the limits or of a newer version."""
    return _numbered(files.decode(line))


def read_lines(data: bytes) -> tuple[list[tuple[int, Event]], list[str]]:
    """What can be read of a log's bytes, whatever they are: ([(seq, event)], problems with their line numbers)."""
    reader = files.Reader(_numbered)
    return list(reader.feed(data if data[-1:] in (b"", b"\n") else data + b"\n")), reader.problems


class _View(Sequence):
    """Events in order, as a list has them; steps are made from the log's table when they are asked for."""

    def __init__(self, log: EventLog, items: list[Event | int]):
        self._log, self._items = log, items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, which):
        found = self._items[which]
        return (
            [self._log._whole(item) for item in found]
            if isinstance(which, slice)
            else self._log._whole(found)
        )

    def __eq__(self, other) -> bool:
        return list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))


class EventLog:
    """The events that count, in order: what viewers read. Arrays it hands out are read-only and never change later.

    Steps are kept as rows of one table (some 1 kB each for 48 edges): a log grows for as long as somebody watches.
    """

    SCALARS = tuple(field.name for field in fields(Step) if field.type in ("int", "float"))

    def __init__(self, events: Iterable[Event] = (), problems: list[str] | None = None):
        self.problems = [] if problems is None else problems
        self._clear()
        for event in events:
            self.append(event)

    def _clear(self) -> None:
        self._events: list[Event | int] = []  # a step is its number
        self.seqs: list[int] = []
        self._steps: list[int] = []  # numbers of the steps, ascending
        self._silent: dict[int, set[str]] = {}  # steps that say nothing of a task
        self._of: dict[type, list[Event | int]] = {}
        self._table, self._tasks, self._edges = np.empty((0, len(self.SCALARS))), (), 0

    events = property(lambda self: _View(self, self._events))
    table = property(
        lambda self: self._columns(0, self._table.shape[1]),
        doc="(S, 8 + T + 2E) float64: SCALARS, losses, α, its gradient.",
    )
    steps = property(
        lambda self: _View(self, self._steps), doc="The last record of each step, ascending."
    )

    @classmethod
    def read(cls, path: str | os.PathLike) -> EventLog:
        """The log of an `events.jsonl`; `problems` says what was damaged. Raises RunError where there is no file."""
        tail = Tail(path)
        tail.poll()
        if not tail.file:
            raise RunError(f"there is no log {path}; a run keeps it in its events.jsonl")
        return tail.log

    def append(self, event: Event, seq: int | None = None) -> None:
        """One more event, by default of the next seq. Raises RunError for a step whose edges or tasks are others."""
        seq = seq or (self.seqs[-1] if self.seqs else 0) + 1
        if isinstance(event, Resumed):
            records = list(zip(self.events, self.seqs))
            self._clear()
            for earlier, number in records:
                if number <= event.from_seq or isinstance(earlier, (Resumed, Recovered)):
                    self._add(earlier, number)
        self._add(event, seq)

    def _add(self, event: Event, seq: int) -> None:
        if isinstance(event, Step):
            self._add_step(event)
        kept = event.step if isinstance(event, Step) else event
        self._events.append(kept)
        self.seqs.append(seq)
        self._of.setdefault(type(event), []).append(kept)

    def _whole(self, item: Event | int) -> Event:
        """A step from its row; every other event is kept as it is."""
        if not isinstance(item, int):
            return item
        first, row = len(self.SCALARS), self._table[bisect_left(self._steps, item)].tolist()
        split = first + len(self._tasks)
        silent = self._silent.get(item, ())
        return Step(
            **dict(zip(self.SCALARS, row)) | {"step": item},
            alpha=tuple(row[split : split + self._edges]),
            alpha_grad=tuple(row[split + self._edges :]),
            loss={
                task: value
                for task, value in zip(self._tasks, row[first:split])
                if task not in silent
            },
        )

    def _add_step(self, step: Step) -> None:
        if not self._steps:
            self._tasks, self._edges = tuple(step.loss), len(step.alpha)
            self._table = np.empty((0, len(self.SCALARS) + len(step.loss) + 2 * len(step.alpha)))
        late = [task for task in step.loss if task not in self._tasks]
        if late and self.started and set(late) <= set(self.started.space.get("plans", ())):
            self._widen(late)
        if {len(step.alpha), len(step.alpha_grad)} != {self._edges} or not set(step.loss) <= set(
            self._tasks
        ):
            raise RunError(
                f"step {step.step} has {len(step.alpha)} edges and tasks {list(step.loss)}; "
                f"the log has {self._edges} and {list(self._tasks)}"
            )
        n, place = len(self._steps), bisect_left(self._steps, step.step)
        again = place < n and self._steps[place] == step.step
        if place < n or n == len(self._table):  # rows that were handed out stay as they are
            table = np.empty((2 * n + 8, self._table.shape[1]))
            table[:place], table[place + 1 : n + 1 - again] = (
                self._table[:place],
                self._table[place + again : n],
            )
            self._table = table
        self._table[place] = [
            *(getattr(step, name) for name in self.SCALARS),
            *(step.loss.get(task, math.nan) for task in self._tasks),
            *step.alpha,
            *step.alpha_grad,
        ]
        self._steps[place : place + again] = [step.step]
        self._silent.pop(step.step, None)
        if silent := set(self._tasks) - set(step.loss):
            self._silent[step.step] = silent

    def _widen(self, late: list[str]) -> None:
        """Columns for tasks of the run that no step has said anything of: their first batches had no label."""
        first = len(self.SCALARS) + len(self._tasks)
        self._table = np.insert(self._table, [first] * len(late), np.nan, axis=1)
        self._tasks += tuple(late)
        for number in self._steps:
            self._silent.setdefault(number, set()).update(late)

    def _columns(self, first: int, count: int) -> np.ndarray:
        columns = self._table[: len(self._steps), first : first + count]
        columns.flags.writeable = False
        return columns

    def column(self, name: str) -> np.ndarray:
        """(S,) float64: a number of the S steps, such as "entropy". Raises RunError for a name not in SCALARS."""
        if name not in self.SCALARS:
            raise RunError(f"steps have no column {name!r}; they have {', '.join(self.SCALARS)}")
        return self._columns(self.SCALARS.index(name), 1)[:, 0]

    @property
    def loss(self) -> dict[str, np.ndarray]:
        """{task: (S,) float64}; NaN where a step says nothing of a task."""
        return {
            task: self._columns(i, 1)[:, 0] for i, task in enumerate(self._tasks, len(self.SCALARS))
        }

    @property
    def alpha(self) -> np.ndarray:
        """(S, E) float64: α after each step."""
        return self._columns(len(self.SCALARS) + len(self._tasks), self._edges)

    @property
    def alpha_grad(self) -> np.ndarray:
        """(S, E) float64: ∂ task losses / ∂α at each step."""
        return self._columns(len(self.SCALARS) + len(self._tasks) + self._edges, self._edges)

    def of(self, kind: type) -> Sequence[Event]:
        """The events of one kind, such as Turned."""
        return _View(self, self._of.get(kind, []))

    evaluated = property(lambda self: self.of(Evaluated))
    turned = property(lambda self: self.of(Turned))
    started = property(lambda self: next(reversed(self.of(Started)), None))
    finished = property(lambda self: next(reversed(self.of(Finished)), None))
    failed = property(lambda self: next(reversed(self.of(Failed)), None))

    @property
    def space(self) -> SearchSpace:
        """The search space of the run. Raises RunError before the run has started."""
        if not self.started:
            raise RunError(
                "the log does not begin with a 'started' record, so its search space is unknown"
            )
        return SearchSpace.from_json(self.started.space)


class Tail:
    """Follows an `events.jsonl` that grows: `poll` gives the new events, `log` has all. A replaced file starts anew."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._anew()

    def _anew(self) -> None:
        self.reader, self.file, self.size = files.Reader(_numbered), None, 0
        self.log = EventLog(problems=self.reader.problems)

    def poll(self, most: int = files.LOG) -> list[Event]:
        """The events of the lines that were completed since the last call; none where there is no file (yet).

        most: bytes to read now; the rest comes with the next call.
        """
        if not os.path.lexists(self.path):
            return []
        with (
            files.told(self.path),
            os.fdopen(files.open_plain(self.path), "rb", buffering=0) as stream,
        ):
            info, events = os.fstat(stream.fileno()), []
            if info.st_size > files.LOG:
                raise RunError(
                    f"{self.path} has {info.st_size} bytes; a log has at most {files.LOG}"
                )
            if self.file not in (None, (info.st_dev, info.st_ino)) or info.st_size < self.size:
                self._anew()
            self.file = info.st_dev, info.st_ino
            stream.seek(self.size)
            end = self.size + most
            while data := stream.read(min(2**22, end - self.size)):
                self.size += len(data)
                for seq, event in self.reader.feed(data):
                    try:
                        self.log.append(event, seq)
                        events.append(event)
                    except RunError as error:
                        self.reader.note(str(error))
        return events
