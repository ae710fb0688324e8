"""A log as the bytes and the small JSON that the canvas draws. Pure functions of data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from ...core.events import Checkpoint
from ...core.space import Edge, SearchSpace
from ...errors import MTLNASError, SpaceError
from ...runs.event_log import EventLog

VERSION = 1


TASKS, STAGES, EDGES = (
    16,
    1_000,
    2_000,
)  # what a canvas can draw ten times a second, and a person tell apart


GATES = ("soft", "hard", "hard_recalibrated")


COLUMNS = ("step", "entropy", "entropy_weight", "temperature", "l1_weight", "alpha_lr")


TAIL = 1_750  # how many values of α the steps behind a frame hold before a new one is due


LIVE, RECORDED = 7_000, 60_000  # how many values of σ(α) a frame holds: 10 times a second, or once


HALF = 32_767  # the largest code of an edge that is not open


MARKS = 200  # events on the time axis, the latest ones


def rows(steps: int, edges: int, values: int) -> np.ndarray:
    """(N,) which of so many steps are shown: every 2^k-th and the last, so that they rarely change while steps come."""
    most, stride = min(max(values // max(edges, 1), 32), 600), 1
    while steps > most * stride:
        stride *= 2
    picked = np.arange(stride - 1, steps, stride)
    return picked if len(picked) and picked[-1] == steps - 1 else np.append(picked, steps - 1)


def frame(log: EventLog, values: int = LIVE) -> bytes:
    """The history in little-endian binary; b"" before the first step. N rows, E edges, T tasks, C = 6 columns.

    float32 [8]: version, N, E, T, C, largest |gradient|, steps, which of them have a row (every so many) · float32 [C + T][N]: COLUMNS, then the losses, mean over the
    steps of a row · float32 [2][E]: α and ∂ losses/∂α of the last step · uint16 [N][E]: `codes` of α ·
    int8 [N][E]: ± sqrt(|gradient| / largest)·127
    """
    if not log.steps:
        return b""
    alpha = log.alpha  # first: another thread may append while this one reads
    steps, edges = alpha.shape
    grad, picked = log.alpha_grad[:steps], rows(steps, edges, values)
    starts = np.append(0, picked[:-1] + 1)
    columns = [log.column(name)[picked] for name in COLUMNS] + [
        _means(loss[:steps], starts) for loss in log.loss.values()
    ]
    with np.errstate(all="ignore"):  # a file may hold any number
        g = np.nan_to_num(grad[picked], posinf=0, neginf=0)
        largest = float(np.abs(g).max(initial=0)) or 1.0
        head = (
            VERSION,
            len(picked),
            edges,
            len(log.loss),
            len(COLUMNS),
            largest,
            steps,
            picked[0] + 1,
        )
        parts = [
            np.array(head, "<f4"),
            np.array(columns, "<f4"),
            alpha[-1].astype("<f4"),
            grad[-1].astype("<f4"),
            codes(alpha[picked]),
            (np.sign(g) * np.sqrt(np.abs(g) / largest) * 127).round().astype("i1"),
        ]
    return b"".join(part.tobytes() for part in parts)


def codes(alpha: np.ndarray) -> np.ndarray:
    """σ(α)·65535 as uint16, above the half exactly where α > 0: a page counts open edges as an architecture does."""
    code = np.nan_to_num(0.5 * (1 + np.tanh(alpha / 2)) * 65535).round()
    shut = np.minimum(code, HALF)  # α = 0 would be rounded up
    return np.where(alpha > 0, np.maximum(code, HALF + 1), shut).astype("<u2")


def tail(log: EventLog, first: int) -> bytes:
    """The steps behind the first ones, for a page that has the frame of those: float32 [n][8 + T + 2E] (EventLog.table).

    Often, and beside a search that waits for the interpreter meanwhile: so there is nothing here but a copy.
    """
    with np.errstate(all="ignore"):
        return log.table[first:].astype("<f4").tobytes()


def _means(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Mean of the finite values of each part; NaN where there is none."""
    fine = np.isfinite(values)
    sums, counts = (
        np.add.reduceat(np.where(fine, values, 0), starts),
        np.add.reduceat(fine, starts, dtype=float),
    )
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def stage(space: SearchSpace, title: str = "") -> dict:
    """What never changes: tasks, their stages as (channels, group, index, size), edges as four indices, and as text."""
    number = {task: i for i, task in enumerate(space.tasks)}
    return {
        "title": title[:200],
        "tasks": list(space.tasks),
        "plans": [
            [[s.channels if _number(s.channels) else 0, s.group, s.index, s.size] for s in stages]
            for stages in space.plans.values()
        ],
        "edges": [
            [number[e.source.task], e.source.stage, number[e.target.task], e.target.stage]
            for e in space.edges
        ],
        "names": [str(edge) for edge in space.edges],
    }


def staged(log: EventLog, space: SearchSpace | None, title: str) -> tuple[dict, str]:
    """(the stage of what the run says of its space, else of `space`; "" or why that cannot be drawn)."""
    try:
        space = space_of(log) or space
        drawable(len(space.tasks), len(space.nodes), len(space)) if space else None
    except MTLNASError as error:
        return {}, str(error)
    return stage(space, title) if space else {}, ""


def marks(log: EventLog) -> dict:
    """What happened at single steps: knobs that were turned, edges forced, evaluations, checkpoints to branch from."""
    turned = [[event.step, short_knobs(event.knobs)] for event in log.turned[-MARKS:]]
    evaluated = [[event.step, _scores(event.scores)] for event in log.evaluated[-MARKS:]]
    return {
        "turned": turned,
        "evaluated": evaluated,
        "checkpoints": sorted({e.step for e in log.of(Checkpoint)})[-MARKS:],
        "forced": _forces(log),
        "losses": list(log.loss)[:TASKS],
    }


def _forces(log: EventLog) -> list:
    """[[from which step on, {edge: open, shut or (null) free again}]]; what lies far back becomes one entry."""
    found = [[event.step, force] for event in log.turned if (force := _force(event.knobs))]
    early, latest = found[:-MARKS], found[-MARKS:]
    merged: dict = {}
    for _, force in early:
        merged |= force if len(merged) < EDGES else {}
    return [[early[-1][0], merged], *latest] if early else latest


def settings(log: EventLog, now: Mapping = {}, asked: Iterable[Mapping] = ()) -> tuple[dict, int]:
    """(what the sliders show, how many steps are planned), from the settings, the knobs turned and the last step.

    now: knobs of the next step, where the search says them. asked: knobs turned since, that no step has used yet.
    """
    config = log.started.config if log.started else {}
    config = config["search"] if isinstance(config.get("search"), Mapping) else config

    def gates(told):
        return {n: told[n] for n in ("alpha_gates", "weight_gates") if isinstance(told.get(n), str)}  # noqa: E731

    knobs, forced, weight, last = (
        gates(config),
        {},
        config.get("entropy_weight"),
        log.steps[-1] if log.steps else None,
    )
    end = weight.get("end") if isinstance(weight, Mapping) else weight
    knobs["most"] = min(max(20.0, 2 * end), 1e6) if _number(end) else 20.0
    told, later = (
        [event.knobs for event in log.turned],
        [e.knobs for e in log.turned[-MARKS:] if not last or e.step > last.step],
    )
    for one in told:
        knobs |= gates(one)
    for one in (*told, *asked):
        forced |= _force(one) if len(forced) < EDGES else {}
    knobs["force"] = {edge: bool(to) for edge, to in forced.items() if to is not None}
    if last:
        knobs |= {name: _finite(getattr(last, name)) for name in COLUMNS[2:]}
    knobs |= now
    for one in (*later, *asked):
        knobs |= gates(one) | {
            name: float(one[name]) for name in COLUMNS[2:] if _number(one.get(name))
        }
    steps = config.get("steps")
    return knobs, int(min(max(steps, 0), 1e9)) if _number(steps) else 0


def _force(knobs: Mapping) -> dict:
    """{edge as a space writes it: True, False or None}, also where a person wrote it in another way."""
    force = knobs.get("force")
    return (
        {_written(str(edge)): to for edge, to in list(force.items())[:EDGES]}
        if isinstance(force, Mapping)
        else {}
    )


@lru_cache(4096)
def _written(edge: str) -> str:
    try:
        return str(Edge.parse(edge))
    except MTLNASError:
        return edge


def unfit(log: EventLog, edges: int) -> str:
    """Why the steps of a log cannot be drawn in a space of so many edges; "" where they can."""
    theirs, losses = log.alpha.shape[1], len(log.loss)
    if theirs and theirs != edges:
        return f"the steps of this run have {theirs} edges, its space has {edges}"
    return (
        f"the steps of this run have losses of {losses:,} tasks; a studio draws up to {TASKS}"
        if losses > TASKS
        else ""
    )


def pace(log: EventLog) -> float:
    """Seconds a step, the mean of the latest ones."""
    latest = [seconds for seconds in log.column("seconds")[-20:].tolist() if 0 < seconds < 1e6]
    return round(sum(latest) / len(latest), 4) if latest else 0.0


def size_of(log: EventLog) -> tuple[int, int, int]:
    """Changes with every event of a log, and with the log."""
    return id(log), len(log.seqs), log.seqs[-1] if log.seqs else 0


def drawable(*sizes: int) -> None:
    """Raises SpaceError for a space of more tasks, stages and edges than a studio can draw."""
    if any(size > most for size, most in zip(sizes, (TASKS, STAGES, EDGES))):
        raise SpaceError(
            "this space has {:,} tasks, {:,} stages and {:,} candidate edges; a studio ".format(
                *sizes
            )
            + f"draws up to {TASKS:,}, {STAGES:,} and {EDGES:,}; build it with rules that leave fewer"
        )


def space_of(log: EventLog) -> SearchSpace | None:
    """The log's space; None before it is known. Raises SpaceError for one that is broken, empty or too large to draw."""
    if not log.started:
        return None
    try:
        plans, edges = list(log.started.space["plans"].values()), log.started.space["edges"]
        drawable(len(plans), sum(len(plan["channels"]) for plan in plans), len(edges))
        space = log.space
    except (MTLNASError, LookupError, TypeError, AttributeError, ValueError) as error:
        told = (
            str(error) if isinstance(error, MTLNASError) else f"this is no search space: {error!r}"
        )
        raise SpaceError(told[:300]) from None
    if not len(space):
        raise SpaceError(
            "this run has no candidate edges, so there is no graph to watch; was it a pretraining or a baseline?"
        )
    return space


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def short_knobs(knobs: Mapping) -> str:
    names = {
        "entropy_weight": "λ",
        "l1_weight": "L1",
        "temperature": "τ",
        "alpha_lr": "α rate",
        "weight_lr": "w rate",
        "alpha_gates": "α gates",
        "weight_gates": "w gates",
    }
    parts = []
    for knob, value in knobs.items():
        if knob == "force" and isinstance(value, Mapping):
            words = {True: "open", False: "shut", None: "free"}
            parts += [f"{edge} {words.get(to, to)}" for edge, to in list(value.items())[:2]]
        else:
            value = value.get("end", "…") if isinstance(value, Mapping) else value
            parts.append(f"{names.get(knob, knob)} = {f'{value:.3g}' if _number(value) else value}")
    return ", ".join(parts)[:120]


def _scores(scores: object) -> dict:
    """{gates: {task: {metric: number or null}}}, the first three metrics of each task."""
    parts = lambda value, most: list(value.items())[:most] if isinstance(value, Mapping) else []  # noqa: E731
    return {
        gates: {
            str(task): {str(metric)[:100]: _finite(value) for metric, value in parts(metrics, 3)}
            for task, metrics in parts(scores.get(gates), TASKS)
            if parts(metrics, 1)
        }
        for gates in GATES
    }


def _finite(value: object) -> float | None:
    """A number as JSON that a browser reads: what is not finite becomes null."""
    return float(value) if _number(value) else None
