"""What each task's network sees in a search: in words for legends, as data for marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import networkx as nx

from ..core.lab import Lab
from ..core.schedule import visibility_schedules
from ..core.search import Search
from ..runs.event_log import EventLog
from ..runs.run import Run
from ..values import WORDS
from .sources import opened


@dataclass(frozen=True)
class Sight:
    """What the network of one task sees.

    Args:
        view: As a view is written, "depth" or "blurred:0.3".
        share: How much of that it sees, from 0 to 1; the rest is noise.
        words: That as a predicate, as in "sees noise"; it also says what was otherwise before.
    """

    view: str = "image"
    share: float = 1.0
    words: str = "sees the image"


def sights(source, step: int | None = None) -> dict[str, Sight]:
    """What the networks see that do not see the image at all times.

    Args:
        source: a Run or its folder, an EventLog, a Search or a Lab; of anything else nothing is known.
        step: of the search that is shown; by default its last one.

    Returns:
        {task: Sight}; empty where all networks see the image, and saw it.

    Example:
        >>> from mtlnas_lab import Search, SearchConfig, presets
        >>> search = Search(presets.tiny(), SearchConfig(visibility={"segmentation": 0.2}))
        >>> for task, sight in sights(search).items():
        ...     print(task, sight.words)
        segmentation sees 20 % of the image
    """
    source = opened(source)
    if isinstance(source, Run):
        source = source.log
    if isinstance(source, Search):
        source = source.lab
    if isinstance(source, Lab):
        return _of_lab(source)
    if not isinstance(source, EventLog):
        return {}
    if step is None:
        step = source.steps[-1].step if len(source.steps) else 1
    return along(source, [step])[0]


def along(log: EventLog, steps: Sequence[int]) -> list[dict[str, Sight]]:
    """As `sights`, at each of these steps; all name the same tasks, those that one of them has to speak of."""
    if not log.started:
        return [{} for _ in steps]
    count = max([*steps, 1])
    shares = _shares(log, count)
    views = {task: str(view) for task, view in _mapping(log.started.config, "views").items()}
    tasks = []
    for task in dict.fromkeys([*log.started.space.get("plans", ()), *views, *shares]):
        if task in shares or views.get(task, "image") != "image":
            tasks.append(task)
    found: list[dict[str, Sight]] = []
    for step in steps:
        now = {}
        for task in tasks:
            row = shares.get(task, (1.0,))
            now[task] = _sight(views.get(task, "image"), row[: max(step, 1)])
        found.append(now)
    return found


def sentences(found: Mapping[str, Sight]) -> list[str]:
    """A sentence for each task, as in "segmentation sees noise"."""
    return [f"{task} {sight.words}" for task, sight in found.items()]


def mark(graph: nx.Graph, found: Mapping[str, Sight]) -> None:
    """Have a fusion graph say what the networks see: `view` and `visibility` of each node, and `seen`, in words."""
    for _, data in graph.nodes(data=True):
        sight = found.get(data["task"], Sight())
        data["view"] = sight.view
        data["visibility"] = sight.share
    write_seen(graph, sentences(found))


def is_marked(graph: nx.Graph) -> bool:
    """Whether its nodes say what the networks see."""
    return any("view" in data for _, data in graph.nodes(data=True))


def seen(graph: nx.Graph) -> list[str]:
    """The sentences of a fusion graph on what the networks see; none where all see the image."""
    return graph.graph.get("seen", "").splitlines()


def write_seen(graph: nx.Graph, lines: Sequence[str]) -> None:
    """Have a graph carry these sentences: as one text, which GraphML can hold."""
    if lines:
        graph.graph["seen"] = "\n".join(lines)


def together(named: Mapping[str, Sequence[str]]) -> list[str]:
    """The sentences of several graphs: as they are where all say the same, otherwise with the names of those that do."""
    said = [tuple(lines) for lines in named.values()]
    if len(set(said)) < 2:
        return list(said[0]) if said else []
    names: dict[str, list[str]] = {}
    for name, lines in named.items():
        for line in lines:
            names.setdefault(line, []).append(name)
    return [f"{', '.join(those)}: {line}" for line, those in names.items()]


def counted(said: Sequence[Sequence[str]]) -> list[str]:
    """The sentences of several runs, each with how many of them it is true of."""
    counts = Counter(line for lines in said for line in lines)
    return [f"{line} ({count} of {len(said)} runs)" for line, count in counts.items()]


# --- from a search to what is seen --------------------------------------------------------------------------------------
def _of_lab(lab: Lab) -> dict[str, Sight]:
    found = {}
    for task in lab.tasks:
        view = str(lab.views.get(task, "image"))
        found[task] = _sight(view, (lab.visibility.get(task, 1.0),))
    return {task: sight for task, sight in found.items() if sight != Sight()}


def _mapping(config: Mapping, name: str) -> Mapping:
    """A section of a run's settings; one that is missing is empty."""
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def _shares(log: EventLog, count: int) -> dict[str, tuple[float, ...]]:
    """{task: how much its network saw in each of the first `count` steps}, of those that did not see all in each."""
    rows: dict[str, tuple[float, ...]] = {}
    for task, periods in log.visibility_periods(count, visibility_schedules).items():
        row = tuple(v for _, _, values in periods for v in values)
        if set(row) != {1.0}:
            rows[task] = row
    return rows


def _sight(view: str, shares: Sequence[float]) -> Sight:
    """Of a network that had this view, and saw so much of it in each step until now."""
    share = shares[-1]
    now = words(view, share)
    runs = [(one, len(list(same))) for one, same in groupby(shares)]
    begin = len(shares) - runs[-1][1] + 1  # the first step from which on it sees as much as now
    covered = [step for step, one in enumerate(shares, 1) if one < 1]
    if share == 1 and covered:
        return Sight(view, share, f"saw {_before(view, shares, covered)}, then {now}")
    if begin == 1:
        return Sight(view, share, f"sees {now}")
    if begin == len(shares):
        return Sight(view, share, f"sees {now} at step {begin}")
    return Sight(view, share, f"sees {now} from step {begin} on")


def _before(view: str, shares: Sequence[float], covered: Sequence[int]) -> str:
    """What a network saw whose eyes were covered in some steps, and when."""
    first = covered[0]
    last = covered[-1]
    values = set(shares[first - 1 : last])
    what = f"less of {words(view, 1.0)}"
    if len(values) == 1:
        what = words(view, values.pop())
    if first == 1:
        return f"{what} until step {last}"
    return f"{what} from step {first} to {last}"


def words(view: str, share: float) -> str:
    """What a network sees of a view, as in "20 % of the image"; the rest is noise."""
    name, _, amount = view.partition(":")
    if name == "noisy":  # the same as a blindfold that lets so much through
        name = "image"
        share = share * _number(amount)
        amount = ""
    if share == 0:
        return "noise"
    what = WORDS.get(name, name)
    if amount:
        what = f"{what} ({percent(_number(amount))} left)"
    if share == 1:
        return what
    return f"{percent(share)} of {what}"


def percent(share: float) -> str:
    """A share as a reader says it: 20 %."""
    return f"{100 * share:.3g} %"


def _number(amount: str) -> float:
    try:
        return float(amount or 0)
    except ValueError:
        return 0.0
