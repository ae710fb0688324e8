"""The events of a run as columns of numbers, for viewers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import lru_cache

import numpy as np

from ..core.events import (
    Evaluated,
    Event,
    Failed,
    Finished,
    Recovered,
    Resumed,
    Started,
    Step,
    Turned,
)
from ..core.schedule import Schedule, visibility_schedules
from ..core.space import SearchSpace
from ..errors import ConfigError, RunError

MOST_STEPS = 10**9  # that a file can plan


class _View(Sequence):
    """Events in order, as a list has them; steps are made from the log's table when they are asked for."""

    def __init__(self, log: EventLog, items: list[Event | int]):
        self._log = log
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, which):
        found = self._items[which]
        if isinstance(which, slice):
            return [self._log._whole(item) for item in found]
        return self._log._whole(found)

    def __eq__(self, other) -> bool:
        return list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))


class EventLog:
    """The events that count, in order: what viewers read. Arrays it hands out are read-only and never change later.

    Steps are kept as rows of one table (some 1 kB each for 48 edges): a log grows for as long as somebody watches. A row
    is added at the end, and only what a `Resumed` leaves behind is taken from there again: each record costs the same,
    however often a run went on and in whatever order its steps are told.

    Args:
        events: Those that there are already, in order.
        problems: What could not be read, a line each, where a file was read.

    Raises:
        RunError: A step has other edges or tasks than those before it.

    Example:
        >>> from mtlnas_lab.core.events import Step
        >>> rest = dict(entropy=0.5, entropy_fraction=0.7, entropy_weight=1.0, temperature=1.0)
        >>> rest |= dict(l1_weight=0.0, alpha_lr=0.1, seconds=0.2)
        >>> log = EventLog()
        >>> for number in (1, 2, 3):
        ...     log.append(Step(number, (0.1 * number, -1.0), (0.0, 0.0), {"depth": 2.0}, **rest))
        >>> log.alpha.shape
        (3, 2)
        >>> log.loss["depth"]
        array([2., 2., 2.])
        >>> log.column("entropy").mean()
        np.float64(0.5)
        >>> log.steps[-1].alpha[1]
        -1.0
    """

    SCALARS = tuple(field.name for field in fields(Step) if field.type in ("int", "float"))

    def __init__(self, events: Iterable[Event] = (), problems: list[str] | None = None):
        if problems is None:
            problems = []
        self.problems = problems
        self._clear()
        for event in events:
            self.append(event)

    def _clear(self) -> None:
        self._events: list[Event | int | None] = []  # a step is its row; None: left behind
        self._seqs: list[int] = []
        self._undoable: list[int] = []  # places in `_events` of what a `Resumed` may leave behind
        self._holes = False  # whether `_events` has a None
        self._of: dict[type, list[Event | int]] = {}
        self._resumptions: list[tuple[int, int]] = []
        self._tasks: tuple[str, ...] = ()
        self._edges = 0
        self._table = np.empty((0, len(self.SCALARS)))
        self._rows = 0
        self._shown = 0  # rows of the table that were handed out: they stay as they are
        self._numbers: list[int] = []  # the step of each row
        self._silent: dict[int, set[str]] = {}  # rows that say nothing of a task
        self._latest: dict[int, int] = {}  # {step: its last row}
        self._earlier: dict[int, int] = {}  # {row: the row of the same step before it}
        self._live: list[int] = []  # the last row of each step, ascending by step
        self._odd = False  # whether the rows are not `_live`: a step was told twice, or late
        self._sorted = True  # whether `_live` is up to date

    @property
    def events(self) -> Sequence[Event]:
        """All events that count, in order."""
        return _View(self, self._whole_events())

    @property
    def steps(self) -> Sequence[Step]:
        """The last record of each step, ascending."""
        return _View(self, self._ascending())

    @property
    def table(self) -> np.ndarray:
        """(S, 8 + T + 2E) float64: SCALARS, losses, α, its gradient."""
        return self._columns(0, self._table.shape[1])

    @property
    def resumptions(self) -> list[tuple[int, int]]:
        """(from_seq, seq) of each `Resumed`: what lies between does not count."""
        return self._resumptions

    @property
    def seqs(self) -> list[int]:
        """The seq of each event."""
        self._whole_events()
        return self._seqs

    def append(self, event: Event, seq: int | None = None) -> None:
        """One more event, by default of the next seq. Raises RunError for a step whose edges or tasks are others."""
        if seq is None:
            seq = self._seqs[-1] + 1 if self._seqs else 1
        if isinstance(event, Resumed):
            while self._undoable and self._seqs[self._undoable[-1]] > event.from_seq:
                self._leave_behind(self._undoable.pop())
            self._resumptions.append((event.from_seq, seq))
        kept: Event | int = event
        if isinstance(event, Step):
            kept = self._add_step(event)
        if not isinstance(event, (Resumed, Recovered)):
            self._undoable.append(len(self._events))
        self._events.append(kept)
        self._seqs.append(seq)
        self._of.setdefault(type(event), []).append(kept)

    def _leave_behind(self, place: int) -> None:
        item = self._events[place]
        self._events[place] = None
        self._holes = True
        if isinstance(item, int):
            self._of[Step].pop()
            self._take_row(item)
        else:
            self._of[type(item)].pop()

    def _whole_events(self) -> list[Event | int]:
        """`_events` without holes, closed when somebody asks: not each time that the run went on."""
        if self._holes:
            there = [place for place, item in enumerate(self._events) if item is not None]
            self._events[:] = [self._events[place] for place in there]
            self._seqs[:] = [self._seqs[place] for place in there]
            self._undoable.clear()
            for place, item in enumerate(self._events):
                if not isinstance(item, (Resumed, Recovered)):
                    self._undoable.append(place)
            self._holes = False
        return self._events

    def _whole(self, item: Event | int) -> Event:
        """A step from its row; every other event is kept as it is."""
        if not isinstance(item, int):
            return item
        row = self._table[item].tolist()
        first = len(self.SCALARS)
        split = first + len(self._tasks)
        silent = self._silent.get(item, ())
        loss = {}
        for task, value in zip(self._tasks, row[first:split]):
            if task not in silent:  # NaN in the table, but the step had no such loss
                loss[task] = value
        scalars = dict(zip(self.SCALARS, row))
        scalars["step"] = self._numbers[item]  # a whole number again
        alpha = tuple(row[split : split + self._edges])
        alpha_grad = tuple(row[split + self._edges :])
        return Step(**scalars, alpha=alpha, alpha_grad=alpha_grad, loss=loss)

    def _add_step(self, step: Step) -> int:
        """The row of a step, at the end of the table."""
        if not self._rows:
            self._start_table(step)
        known = set(self._tasks)  # a log may have thousands of tasks
        late = [task for task in step.loss if task not in known]
        if late and self.started and set(late) <= set(self.started.space.get("plans", ())):
            self._widen(late)
            known.update(late)
        edges = {len(step.alpha), len(step.alpha_grad)}
        if edges != {self._edges} or not known.issuperset(step.loss):
            raise RunError(
                f"step {step.step} has {len(step.alpha)} edges and tasks {list(step.loss)}; "
                f"the log has {self._edges} and {list(self._tasks)}"
            )
        row = self._rows
        self._make_room(row)
        scalars = [getattr(step, name) for name in self.SCALARS]
        losses = [step.loss.get(task, math.nan) for task in self._tasks]
        self._table[row] = [*scalars, *losses, *step.alpha, *step.alpha_grad]
        silent = known.difference(step.loss)
        if silent:
            self._silent[row] = silent
        self._number_row(row, step.step)
        return row

    def _start_table(self, step: Step) -> None:
        """An empty table with the columns of this step."""
        self._tasks = tuple(step.loss)
        self._edges = len(step.alpha)
        width = len(self.SCALARS) + len(self._tasks) + 2 * self._edges
        self._table = np.empty((0, width))
        self._shown = 0
        self._odd = False
        self._sorted = True
        self._live.clear()

    def _make_room(self, row: int) -> None:
        """A larger table where this one is full, or where the row was handed out: an array never changes later."""
        if row < len(self._table) and row >= self._shown:
            return
        table = np.empty((2 * row + 8, self._table.shape[1]))  # twice as many: a row costs the same
        table[:row] = self._table[:row]
        self._table = table
        self._shown = 0

    def _number_row(self, row: int, number: int) -> None:
        """Keeps which step a row is of, and which row of a step counts."""
        if number in self._latest:
            self._earlier[row] = self._latest[number]
        if self._odd or (row and number <= self._numbers[-1]):
            self._odd = True
            self._sorted = False
        else:
            self._live.append(row)
        self._latest[number] = row
        self._numbers.append(number)
        self._rows = row + 1

    def _widen(self, late: list[str]) -> None:
        """Columns for tasks of the run that no step has said anything of: their first batches had no label."""
        first = len(self.SCALARS) + len(self._tasks)
        self._table = np.insert(self._table, [first] * len(late), np.nan, axis=1)
        self._tasks += tuple(late)
        self._shown = 0
        for row in range(self._rows):
            self._silent.setdefault(row, set()).update(late)

    def _take_row(self, row: int) -> None:
        """Takes the last row away again; the record of the same step before it counts then."""
        number = self._numbers.pop()
        self._silent.pop(row, None)
        if row in self._earlier:
            self._latest[number] = self._earlier.pop(row)
        else:
            del self._latest[number]
        if self._odd:
            self._sorted = False
        else:
            self._live.pop()
        self._rows = row

    def _ascending(self) -> list[int]:
        """The last row of each step, in the order of steps."""
        if not self._sorted:
            self._live[:] = [self._latest[number] for number in sorted(self._latest)]
            self._odd = self._live != list(range(self._rows))
            self._sorted = True
        return self._live

    def _columns(self, first: int, count: int) -> np.ndarray:
        rows = self._ascending()
        if self._odd:
            columns = self._table[rows, first : first + count]
        else:
            self._shown = max(self._shown, self._rows)
            columns = self._table[: self._rows, first : first + count]
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
        losses = {}
        for column, task in enumerate(self._tasks, len(self.SCALARS)):
            losses[task] = self._columns(column, 1)[:, 0]
        return losses

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

    @property
    def evaluated(self) -> Sequence[Evaluated]:
        """The scores during the search."""
        return self.of(Evaluated)

    @property
    def turned(self) -> Sequence[Turned]:
        """The knobs that were turned."""
        return self.of(Turned)

    @property
    def started(self) -> Started | None:
        """How the run began; None before it has."""
        return self._last(Started)

    @property
    def finished(self) -> Finished | None:
        """How the run ended; None before it has."""
        return self._last(Finished)

    @property
    def failed(self) -> Failed | None:
        """What stopped the run, if a loss was not a number."""
        return self._last(Failed)

    def _last(self, kind: type) -> Event | None:
        events = self.of(kind)
        return events[-1] if events else None

    @property
    def space(self) -> SearchSpace:
        """The search space of the run. Raises RunError before the run has started."""
        if not self.started:
            raise RunError(
                "the log does not begin with a 'started' record, so its search space is unknown"
            )
        return SearchSpace.from_json(self.started.space)

    @property
    def search_settings(self) -> Mapping:
        """The settings of the search, alone or within those of a whole experiment; {} before the run has started."""
        if not self.started:
            return {}
        config = self.started.config
        if isinstance(config.get("search"), Mapping):
            return config["search"]
        return config

    @property
    def planned_steps(self) -> int:
        """How many steps the search is to take, as its settings say; 0 where they do not."""
        steps = self.search_settings.get("steps")
        if isinstance(steps, float) and not math.isfinite(steps):
            return 0
        if not isinstance(steps, (int, float)):
            return 0
        return int(min(max(steps, 0), MOST_STEPS))

    @property
    def blindfolds(self) -> list[tuple[int, dict[str, Schedule]]]:
        """[(first step, {task: how much its network sees from there on})], of the settings and of the knobs turned.

        A task that is not named sees all. What a file says that is not a visibility does not count.
        """
        return self._blindfolds(_visibility)

    def _blindfolds(self, read: Callable) -> list[tuple[int, dict[str, Schedule]]]:
        seen = read(self.search_settings.get("visibility", {}))
        found = [(1, seen)]
        for event in self.turned:
            covered = read(event.knobs.get("visibility", {}))
            if covered:
                seen = seen | covered
                found.append((event.step, seen))
        return found

    def visibility_periods(
        self, count: int, read: Callable | None = None
    ) -> dict[str, list[tuple[int, int, list[float]]]]:
        """{task: [(first step, last step, v of each)]}: between the turns of its eye, of the first `count` steps.

        A task that is not named saw all.

        Args:
            count: How many steps.
            read: Makes {task: Schedule} of what the log says of visibility; `core.schedule.visibility_schedules` raises
                ConfigError for what no search would take. By default that does not count, as in `visibility`.

        Example:
            >>> from mtlnas_lab.core.events import Started, Turned
            >>> log = EventLog([Started({"steps": 9}, {}, {}, "cpu", 1)])
            >>> log.append(Turned(3, {"visibility": {"segmentation": 0.0}}))
            >>> log.visibility_periods(4)
            {'segmentation': [(1, 2, [1.0, 1.0]), (3, 4, [0.0, 0.0])]}
        """
        changes: dict[str, dict[int, Schedule]] = {}
        for first, schedules in self._blindfolds(read or _visibility):
            for task, schedule in schedules.items():
                own = changes.setdefault(task, {1: _constant(1.0)})
                if schedule != own[max(own)]:
                    own[max(first, 1)] = schedule
        return {task: self._periods(own, count) for task, own in changes.items()}

    def _periods(
        self, changes: Mapping[int, Schedule], count: int
    ) -> list[tuple[int, int, list[float]]]:
        steps = max(self.planned_steps, 1)
        firsts = sorted(first for first in changes if first <= count)
        ends = [*(first - 1 for first in firsts[1:]), count]
        periods = []
        for first, last in zip(firsts, ends):
            values = [changes[first](step - 1, steps) for step in range(first, last + 1)]
            periods.append((first, last, values))
        return periods

    def visibility(self, step: int) -> dict[str, float]:
        """{task: v}: how much of the image each task's network saw in a step, from 0 (noise alone) to 1.

        A task that is not named saw all. Of a step that is still to come: what it will see if no knob is turned.

        Args:
            step: Its number, from 1.

        Example:
            >>> from mtlnas_lab.core.events import Started, Turned
            >>> config = {"steps": 9, "visibility": {"normals": 0.5}}
            >>> log = EventLog([Started(config, {}, {}, "cpu", 1)])
            >>> log.append(Turned(4, {"visibility": {"segmentation": 0.0}}))
            >>> log.visibility(3)
            {'normals': 0.5}
            >>> log.visibility(4)
            {'normals': 0.5, 'segmentation': 0.0}
        """
        seen: dict[str, Schedule] = {}
        for first, schedules in self.blindfolds:
            if first <= max(step, 1):
                seen = schedules
        steps = max(self.planned_steps, 1)
        return {task: schedule(max(step, 1) - 1, steps) for task, schedule in seen.items()}


def with_start(log: EventLog) -> EventLog:
    """The log with a step 0 in front, which says α before the search moved it; as it is where that was not kept.

    Args:
        log: Of a search.

    Example:
        >>> from mtlnas_lab import EventLog, Search, SearchConfig, presets
        >>> log = EventLog(Search(presets.tiny(), SearchConfig(steps=1, batch_size=2)))
        >>> whole = with_start(log)
        >>> [step.step for step in whole.steps]
        [0, 1]
        >>> set(whole.steps[0].alpha)
        {0.0}
    """
    import torch  # a replay does without

    from ..core.relaxation import entropy

    steps = log.steps
    if not log.started or not steps or not steps[0].alpha:
        return log
    first = steps[0]
    alpha = log.started.alpha
    if len(alpha) != len(first.alpha) or first.step < 1:
        return log
    nats = float(entropy(torch.tensor(alpha)))
    start = replace(
        first,
        step=0,
        alpha=alpha,
        alpha_grad=(0.0,) * len(alpha),
        loss=dict.fromkeys(first.loss, math.nan),
        entropy=nats,
        entropy_fraction=nats / math.log(2),
        seconds=0.0,
    )
    rest = [event for event in log.events if event is not log.started]
    return EventLog([log.started, start, *rest])


def _visibility(value: object) -> dict[str, Schedule]:
    """{task: Schedule} of what a log says; without what is not one."""
    found = {}
    if isinstance(value, Mapping):
        for task, share in value.items():
            with suppress(ConfigError):
                found[task] = _seen(task, share)
    return found


def _seen(task: str, share: object) -> Schedule:
    """One task's visibility, checked. Raises ConfigError."""
    if isinstance(share, float) and 0 <= share <= 1:
        return _constant(share)
    return visibility_schedules({task: share})[task]


@lru_cache(1024)
def _constant(share: float) -> Schedule:
    """An eye that is dragged comes by the same few values again and again."""
    return Schedule.constant(share)
