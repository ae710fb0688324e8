"""Whether data, which a file may hold, are those of a curve: types, lengths and ranges, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ConfigError
from .style import brief

MOST_STEPS = 5_000_000
MOST_TASKS = 20_000
MOST_EDGES = 1_000_000
DEEPEST = 10_000  # stages of a task
MOST_MARKED = 200  # points with a name
MOST_GRAPHS = 1_000_000


def entropy(data: Mapping) -> None:
    count = _base(data)
    for name in ("mean", "low", "high", "weight"):
        _numbers(name, data[name], count)


def gates(data: Mapping) -> None:
    _base(data)
    rows = _numbers("rows", data["rows"], None)
    kept = _list("kept", data["kept"], None, MOST_EDGES)
    if not all(isinstance(keep, bool) for keep in kept):
        raise ConfigError("kept is not a list of True and False")
    for row in _list("p", data["p"], rows, MOST_STEPS):
        _numbers("p", row, len(kept))


def losses(data: Mapping) -> None:
    count = _base(data)
    for task, loss in _dict("loss", data["loss"]).items():
        _numbers(f"the loss of {brief(task)}", loss, count)


def scores(data: Mapping) -> None:
    count = len(_steps(data))
    for gate, tasks in _dict("scores", data["scores"]).items():
        for task, metrics in _dict(gate, tasks).items():
            for metric, values in _dict(task, metrics).items():
                _numbers(f"{brief(metric)} of {brief(task)}", values, count)
            if not metrics:
                raise ConfigError(f"there are no scores of {brief(task)}")


def collapse(data: Mapping) -> None:
    steps = _steps(data)
    if len(steps) > 200:
        raise ConfigError(f"there are {len(steps)} ridges; at most 200 can be drawn")
    for row in _list("p", data["p"], len(steps), 200):
        if not _numbers("p", row, None):
            raise ConfigError("there are no edges")


def heatmap(data: Mapping) -> None:
    depth = _dict("depth", data["depth"])
    if len(depth) < 2:
        raise ConfigError("depth names fewer than two tasks")
    for task, stages in depth.items():
        if type(stages) is not int or not 1 <= stages <= DEEPEST:
            raise ConfigError(f"{brief(task)} has {brief(stages)} stages; give 1 to {DEEPEST}")
    edges = _list("edges", data["edges"], None, MOST_EDGES)
    for i, edge in enumerate(edges):
        if not isinstance(edge, Sequence) or isinstance(edge, str) or len(edge) != 4:
            raise ConfigError(f"edge {i} is {brief(edge)}; give task, stage, task, stage")
        for task, stage in (edge[:2], edge[2:]):
            known = isinstance(task, str) and type(stage) is int and task in depth
            if not known or not 0 <= stage < depth[task]:
                raise ConfigError(f"edge {i} has an end {brief([task, stage])}, which is not there")
    _numbers("p", data["p"], len(edges))
    if not all(p is not None and 0 <= p <= 1 for p in data["p"]):
        raise ConfigError("p is not from 0 to 1 everywhere")
    if not all(isinstance(keep, bool) for keep in _list("kept", data["kept"], len(edges))):
        raise ConfigError("kept is not a list of True and False")


# --- a table of all graphs --------------------------------------------------------------------------------------------
def front(data: Mapping) -> None:
    count = _points(data, ("x", "y", "edges"))
    _numbers("floor", data["floor"], 2)
    for place in _list("marked", data["marked"], None, MOST_MARKED):
        name, row = _list("marked", place, 2)
        if not isinstance(name, str) or type(row) is not int or not 0 <= row < count:
            raise ConfigError(f"marked has {brief(place)}; give [name, row]")


def found(data: Mapping) -> None:
    count = _points(data, ("x", "y", "edges"))
    for name in ("found", "truth"):
        for row in _list(name, data[name], None, MOST_GRAPHS):
            if type(row) is not int or not 0 <= row < count:
                raise ConfigError(f"{name} has {brief(row)}; give rows from 0 to {count - 1}")


def agreement(data: Mapping) -> None:
    names = _texts("names", data["names"], None)
    rows = _list("values", data["values"], names)
    for row in rows:
        _full("values", row, len(rows[0]))
    _numbers("tau", data["tau"], names - 1)


def distances(data: Mapping) -> None:
    rows = _texts("sources", data["sources"], None)
    columns = _texts("targets", data["targets"], None)
    for row in _list("values", data["values"], rows):
        _full("values", row, columns)


def profile(data: Mapping) -> None:
    names = _texts("names", data["names"], None)
    rows = _list("values", data["values"], names)
    for row in rows:
        _full("values", row, len(rows[0]))


def choices(data: Mapping) -> None:
    _texts("share", [data["share"]], 1)
    stages = _texts("stages", data["stages"], None)
    operations = _texts("operations", data["operations"], None)
    for row in _list("shares", data["shares"], stages):
        _full("shares", row, operations)


def decisions(data: Mapping) -> None:
    steps = _numbers("steps", data["steps"], None)
    stages = _texts("stages", data["stages"], None)
    for row in _list("left", data["left"], stages):
        _full("left", row, steps)


def tournament(data: Mapping) -> None:
    graphs = _texts("names", data["names"], None)
    edges = _list("edges", data["edges"], None, MOST_EDGES)
    for edge in edges:
        _full("edges", _list("edges", edge, 2), 2)
        if not all(type(end) is int and 0 <= end < graphs for end in edge):
            raise ConfigError(f"edges has {brief(edge)}; give two of 0 to {graphs - 1}")
        if edge[0] == edge[1]:
            raise ConfigError(f"edges has {brief(edge)}, from a graph to itself")
    _full("weight", data["weight"], len(edges))
    if not all(weight >= 0 for weight in data["weight"]):
        raise ConfigError("weight has a number below 0")


def budgets(data: Mapping) -> None:
    _texts("quantity", [data["quantity"]], 1)
    series = _list("series", data["series"], None, MOST_STEPS)
    if not series:
        raise ConfigError("there is no method")
    for one in series:
        method, budget, values, half = _list("series", one, 4)
        _texts("method", [method], 1)
        _full("budget", [budget], 1)
        if budget <= 0:
            raise ConfigError(f"a budget is {brief(budget)}; give numbers above 0")
        if not _list("values", values, None):
            raise ConfigError(f"{brief(method)} has no value at {brief(budget)}")
        _full("values", values, len(values))
        _numbers("half", [half], 1)


def population(data: Mapping) -> None:
    edges = _texts("edges", data["edges"], None)
    graphs = len(_list("generation", data["generation"], None, MOST_GRAPHS))
    if not graphs:
        raise ConfigError("there are no graphs")
    _full("generation", data["generation"], graphs)
    for row in _list("bits", data["bits"], edges):
        _full("bits", row, graphs)


def adaptation(data: Mapping) -> None:
    count = len(_steps(data))
    names = _texts("names", data["names"], None)
    for row in _list("values", data["values"], names):
        _full("values", row, count)
    for row in _list("half", data["half"], names):
        _numbers("half", row, count)


def ranks(data: Mapping) -> None:
    _points(data, ("x", "y", "rank"))


def effects(data: Mapping) -> None:
    _texts("score", [data["score"]], 1)
    edges = _texts("edges", data["edges"], None)
    _texts("groups", data["groups"], edges)
    seeds = _texts("seeds", data["seeds"], None)
    for row in _list("effect", data["effect"], seeds):
        _full("effect", row, edges)
    _numbers("half", data["half"], edges)


def seeds(data: Mapping) -> None:
    _texts("score", [data["score"]], 1)
    count = _texts("seeds", data["seeds"], None)
    rows = _list("values", data["values"], count)
    for row in rows:
        _full("values", row, len(rows[0]))
    _numbers("floor", data["floor"], 1)


def regret(data: Mapping) -> None:
    _texts("score", [data["score"]], 1)
    curves = _dict("curves", data["curves"])
    if not curves:
        raise ConfigError("there are no curves")
    for name, searches in curves.items():
        for seed, points in _dict(name, searches).items():
            if not _list(f"seed {brief(seed)}", points, None):
                raise ConfigError(f"seed {brief(seed)} of {brief(name)} has no answer")
            for point in points:
                _full("a curve", point, 2)
        if not searches:
            raise ConfigError(f"there is no search of {brief(name)}")
    _numbers("floor", data["floor"], 1)


def _points(data: Mapping, names: Sequence[str]) -> int:
    """How many points there are, each with all of these numbers."""
    _texts("names", data["names"], 2)
    count = len(_list(names[0], data[names[0]], None, MOST_EDGES))
    if not count:
        raise ConfigError("there are no graphs")
    for name in names:
        _full(name, data[name], count)
    return count


def _full(name: str, value, count: int) -> None:
    _numbers(name, value, count)
    if None in value:
        raise ConfigError(f"{name} has a hole")


def _texts(name: str, value, count: int | None) -> int:
    """How many texts that is, at least one."""
    found = _list(name, value, count, MOST_EDGES)
    if not found or not all(isinstance(one, str) for one in found):
        raise ConfigError(f"{name} is {brief(value)}; give a list of texts")
    return len(found)


# --- parts ------------------------------------------------------------------------------------------------------------
def _base(data: Mapping) -> int:
    """The number of steps."""
    for place in _list("turned", data["turned"], None):
        pair = _list("turned", place, 2)
        _numbers("turned", pair[:1], 1)
        if pair[0] is None or not isinstance(pair[1], str):
            raise ConfigError(f"turned has {brief(place)}; give [step, text]")
    return len(_steps(data))


def _steps(data: Mapping) -> list:
    steps = data["step"]
    if not _numbers("step", steps, None) or None in steps:
        raise ConfigError("step is empty, or has a hole")
    if not all(0 <= step <= 1e12 for step in steps) or sorted(steps) != steps:
        raise ConfigError("step does not count up from 0")
    return steps


def _dict(name: str, value) -> Mapping:
    if not isinstance(value, Mapping) or len(value) > MOST_TASKS:
        raise ConfigError(f"{brief(name)} is {brief(value)}; give a dict of at most {MOST_TASKS}")
    return value


def _list(name: str, value, count: int | None, most: int = MOST_STEPS) -> list:
    if not isinstance(value, list) or len(value) > most:
        raise ConfigError(f"{name} is {brief(value)}; give a list of at most {most}")
    if count is not None and len(value) != count:
        raise ConfigError(f"{name} has {len(value)} values; give {count}")
    return value


def _numbers(name: str, value, count: int | None) -> int:
    """How many numbers that is; None stands for one that was not finite."""
    for one in _list(name, value, count):
        number = isinstance(one, (int, float)) and not isinstance(one, bool)
        if one is not None and not (number and abs(one) <= 1e100):
            raise ConfigError(f"{name} has {brief(one)}; give numbers")
    return len(value)
