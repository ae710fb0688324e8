"""A log as the small JSON that a page shows beside its canvas. Pure functions of data.

What a log says may come from a file that anybody wrote: everything here is cut to what a page can bear, and a number
that is not finite becomes null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ...core.events import Checkpoint
from ...core.space import Edge, SearchSpace, Stage
from ...errors import MTLNASError, SpaceError
from ...runs.event_log import EventLog
from .encoding import SLIDERS

# A plain panel is for those who see a search for the first time. The eyes are in both.
PLAIN = {"panels": ["graph", "entropy", "losses"], "knobs": ["entropy_weight"]}

# What a canvas can draw ten times a second, and a person tell apart.
TASKS = 16
STAGES = 1_000
EDGES = 2_000

GATES = ("soft", "hard", "hard_recalibrated")
MARKS = 200  # events on the time axis, the latest ones
POINTS = 400  # values of each task's visibility
METRICS = 3  # of each task
PACE = 20  # steps that the seconds a step are the mean of
LARGEST_WEIGHT = 20.0  # of the slider of λ, unless the search was set to go further

SHORT = {
    "entropy_weight": "λ",
    "l1_weight": "L1",
    "temperature": "τ",
    "alpha_lr": "α rate",
    "weight_lr": "w rate",
    "alpha_gates": "α gates",
    "weight_gates": "w gates",
}
FORCED = {True: "open", False: "shut", None: "free"}


# --- the space --------------------------------------------------------------------------------------------------------
def stage(space: SearchSpace, title: str = "") -> dict:
    """What never changes: tasks, their stages as (channels, group, index, size), edges as four indices, and as text."""
    number = {task: i for i, task in enumerate(space.tasks)}
    plans = []
    for stages in space.plans.values():
        plans.append([_stage_numbers(one) for one in stages])
    edges = []
    for edge in space.edges:
        source, target = edge.source, edge.target
        edges.append([number[source.task], source.stage, number[target.task], target.stage])
    return {
        "title": title[:200],
        "tasks": list(space.tasks),
        "plans": plans,
        "edges": edges,
        "names": [str(edge) for edge in space.edges],
    }


def _stage_numbers(one: Stage) -> list:
    channels = one.channels if is_number(one.channels) else 0
    return [channels, one.group, one.index, one.size]


def check_drawable(tasks: int, stages: int, edges: int) -> None:
    """Raises SpaceError for a space of more tasks, stages and edges than a studio can draw."""
    if tasks > TASKS or stages > STAGES or edges > EDGES:
        raise SpaceError(
            f"this space has {tasks:,} tasks, {stages:,} stages and {edges:,} candidate edges; a studio "
            f"draws up to {TASKS:,}, {STAGES:,} and {EDGES:,}; build it with rules that leave fewer"
        )


def space_of(log: EventLog) -> SearchSpace | None:
    """The log's space; None before it is known. Raises SpaceError for one that is broken, empty or too large to draw."""
    if not log.started:
        return None
    try:
        # Counted before it is built: to build a space of a million edges takes long.
        plans = list(log.started.space["plans"].values())
        stages = sum(len(plan["channels"]) for plan in plans)
        check_drawable(len(plans), stages, len(log.started.space["edges"]))
        space = log.space
    except MTLNASError as error:
        raise SpaceError(str(error)[:300]) from None
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise SpaceError(f"this is not a search space: {error!r}"[:300]) from None
    if not len(space):
        raise SpaceError(
            "this run has no candidate edges, so there is no graph to watch; was it a pretraining or a baseline?"
        )
    return space


def drawable_space(log: EventLog, otherwise: SearchSpace | None) -> SearchSpace | None:
    """The log's space, else the other one. Raises SpaceError where a studio cannot draw it."""
    space = space_of(log)
    if space is None:
        space = otherwise
    if space is not None:
        check_drawable(len(space.tasks), len(space.nodes), len(space))
    return space


def unfit(log: EventLog, edges: int) -> str:
    """Why the steps of a log cannot be drawn in a space of so many edges; "" where they can."""
    in_steps = log.alpha.shape[1]
    losses = len(log.loss)
    if in_steps and in_steps != edges:
        return f"the steps of this run have {in_steps} edges, its space has {edges}"
    if losses > TASKS:
        return (
            f"the steps of this run have losses of {losses:,} tasks; a studio draws up to {TASKS}"
        )
    return ""


# --- what happened at single steps ------------------------------------------------------------------------------------
def marks(log: EventLog) -> dict:
    """What happened at single steps: knobs that were turned, edges forced, evaluations, checkpoints to branch from."""
    turned = [[event.step, short_knobs(event.knobs)] for event in log.turned[-MARKS:]]
    evaluated = [[event.step, _scores(event.scores)] for event in log.evaluated[-MARKS:]]
    checkpoints = sorted({event.step for event in log.of(Checkpoint)})
    return {
        "turned": turned,
        "evaluated": evaluated,
        "checkpoints": checkpoints[-MARKS:],
        "forced": _forces(log),
        "visibility": _visibility(log),
        "losses": list(log.loss)[:TASKS],
    }


def _forces(log: EventLog) -> list:
    """[[from which step on, {edge: open, shut or (null) free again}]]; what lies far back becomes one entry."""
    found = []
    for event in log.turned:
        force = _force(event.knobs)
        if force:
            found.append([event.step, force])
    early = found[:-MARKS]
    latest = found[-MARKS:]
    if not early:
        return latest
    merged: dict = {}
    for _, force in early:
        if len(merged) < EDGES:
            merged |= force
    return [[early[-1][0], merged], *latest]


def _visibility(log: EventLog) -> dict[str, list]:
    """{task: [[from which step on, how much its network sees]]}, of the tasks whose network does not always see all.

    A schedule is followed to the end that was planned, so that a page also knows the steps which come behind its marks.
    """
    steps = max(log.planned_steps, 1)
    stride = max(steps // POINTS, 1)
    blindfolds = log.blindfolds
    ends = [*(first for first, _ in blindfolds[1:]), steps + 1]
    found: dict[str, list] = {}
    for (first, seen), end in zip(blindfolds, ends):
        first = max(first, 1)
        end = max(
            min(end, steps + 1), first + 1
        )  # behind what was planned nothing changes by itself
        for task, schedule in list(seen.items())[:TASKS]:
            points = found.setdefault(task, [[1, 1.0]])
            for step in range(first, end, stride):
                _add_point(points, step, round(schedule(step - 1, steps), 3))
    return {task: _thinned(points) for task, points in found.items() if points != [[1, 1.0]]}


def _add_point(points: list, step: int, value: float) -> None:
    """The value from this step on, where it is another one."""
    if points[-1][0] >= step:
        points[-1] = [points[-1][0], value]
    elif points[-1][1] != value:
        points.append([step, value])


def _thinned(points: list) -> list:
    """At most POINTS of them: the last one in each part of the run. A canvas has no pixel for more."""
    if len(points) <= POINTS:
        return points
    last, _ = points[-1]
    kept = {step * (POINTS - 1) // last: [step, value] for step, value in points}
    return list(kept.values())


def _force(knobs: Mapping) -> dict:
    """{edge as a space writes it: True, False or None}, also where a person wrote it in another way."""
    return {_edge_name(str(edge)): to for edge, to in _first(knobs.get("force"), EDGES)}


@lru_cache(4096)
def _edge_name(edge: str) -> str:
    try:
        return str(Edge.parse(edge))
    except MTLNASError:
        return edge  # the page knows no such edge


def _scores(scores: Mapping) -> dict:
    """{gates: {task: {metric: number or null}}}, the first three metrics of each task."""
    return {gates: _scores_of_tasks(scores.get(gates)) for gates in GATES}


def _scores_of_tasks(scores: object) -> dict:
    found = {}
    for task, metrics in _first(scores, TASKS):
        of_task = {str(metric)[:100]: _finite(value) for metric, value in _first(metrics, METRICS)}
        if of_task:
            found[str(task)] = of_task
    return found


def _first(value: object, most: int) -> list[tuple]:
    """The first items of a mapping; [] of what is not a mapping."""
    if isinstance(value, Mapping):
        return list(value.items())[:most]
    return []


def short_knobs(knobs: Mapping) -> str:
    """Knobs in a few words, for the time axis: λ = 10, α rate = 0.02."""
    parts = []
    for knob, value in knobs.items():
        if knob == "force" and isinstance(value, Mapping):
            parts += [f"{edge} {FORCED.get(to, to)}" for edge, to in _first(value, 2)]
            continue
        if knob == "visibility" and isinstance(value, Mapping):
            parts += [f"{task} sees {_share(share)}" for task, share in _first(value, 2)]
            continue
        if isinstance(value, Mapping):  # a schedule: what it comes to
            value = value.get("end", "…")
        if is_number(value):
            value = f"{value:.3g}"
        parts.append(f"{SHORT.get(knob, knob)} = {value}")
    return ", ".join(parts)[:120]


def _share(value: object) -> str:
    """A visibility in per cent; of a schedule, what it comes to."""
    if isinstance(value, Mapping):
        value = value.get("end")
    return f"{100 * value:.0f} %" if is_number(value) else "…"


# --- what the sliders show --------------------------------------------------------------------------------------------
def settings(log: EventLog, now: Mapping = {}, asked: Iterable[Mapping] = ()) -> tuple[dict, int]:
    """(what the sliders show, how many steps are planned), from the settings, the knobs turned and the last step.

    Args:
        log: of the search.
        now: knobs of the next step, where the search says them.
        asked: knobs turned since, that no step has used yet.
    """
    config = log.search_settings
    asked = list(asked)
    turned = [event.knobs for event in log.turned]
    last = log.steps[-1] if log.steps else None

    # What is said later counts: settings, knobs turned, the last step, the search itself, what was asked since.
    knobs = _gates(config)
    knobs["most"] = _largest_weight(config.get("entropy_weight"))
    for one in turned:
        knobs |= _gates(one)
    knobs["force"] = _forced_now([*turned, *asked])
    if last is not None:
        knobs |= {name: _finite(getattr(last, name)) for name in SLIDERS}
    last_step = last.step if last is not None else 0
    seen = log.visibility(last_step + 1)
    knobs |= now
    knobs["visibility"] = dict(_first(seen, TASKS)) | knobs.get("visibility", {})
    unused = [
        event.knobs for event in log.turned[-MARKS:] if last is None or event.step > last.step
    ]
    for one in (*unused, *asked):
        knobs |= _gates(one)
        knobs |= {name: float(one[name]) for name in SLIDERS if is_number(one.get(name))}
    for one in asked:
        covered = _first(one.get("visibility"), TASKS)
        knobs["visibility"] |= {task: float(share) for task, share in covered if is_number(share)}
    return knobs, log.planned_steps


def _gates(knobs: Mapping) -> dict:
    """The relaxations that are named."""
    names = ("alpha_gates", "weight_gates")
    return {name: knobs[name] for name in names if isinstance(knobs.get(name), str)}


def _largest_weight(weight: object) -> float:
    """Where the slider of λ ends: at twice what the search is set to come to."""
    end = weight
    if isinstance(weight, Mapping):
        end = weight.get("end")
    if not is_number(end):
        return LARGEST_WEIGHT
    return min(max(LARGEST_WEIGHT, 2 * end), 1e6)


def _forced_now(knobs: Iterable[Mapping]) -> dict[str, bool]:
    """{edge: open or shut}, without those that are free again."""
    forced: dict = {}
    for one in knobs:
        if len(forced) < EDGES:
            forced |= _force(one)
    return {edge: bool(to) for edge, to in forced.items() if to is not None}


# --- numbers ----------------------------------------------------------------------------------------------------------
def pace(log: EventLog) -> float:
    """Seconds a step, the mean of the latest ones; 0 where none is known."""
    latest = log.column("seconds")[-PACE:].tolist()
    known = [seconds for seconds in latest if 0 < seconds < 1e6]
    if not known:
        return 0.0
    return round(sum(known) / len(known), 4)


def size_of(log: EventLog) -> tuple[int, int, int]:
    """Changes with every event of a log, and with the log."""
    last = log.seqs[-1] if log.seqs else 0
    return id(log), len(log.seqs), last


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)


def _finite(value: object) -> float | None:
    """A number as JSON that a browser reads: what is not finite becomes null."""
    if is_number(value):
        return float(value)
    return None
