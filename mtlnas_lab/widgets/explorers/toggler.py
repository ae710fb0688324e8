"""Open and shut edges of a trained supernet by hand: what does each one bring to both tasks?"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import traitlets

from ...core.architecture import Architecture
from ...core.space import SearchSpace
from ...errors import ConfigError
from ...tasks.metric_names import METRICS, direction_of
from ...viz.graph.plot import plot_fusion_graph
from ..jupyter import live
from ..studio.panel import stage
from ..studio.runner import one_line
from .base import STYLE, Explorer, address, checked_picture, page

Look = Callable[[list[bool]], Mapping]

NAMED = 3  # flipped edges that are told by name
SAME = 1e-9  # a smaller difference is none


class Found(NamedTuple):
    """What a look found under some gates."""

    gates: list[bool]
    scores: dict[str, dict[str, float]]  # {task: {metric: value}}
    pictures: dict[str, np.ndarray]  # (H, W, 3) uint8
    caption: str
    seconds: float


class EdgeToggler(Explorer):
    """Opens and shuts edges, and shows what the network is worth then, compared with what was shown before.

    `look` is called once here, then in a thread of its own after each click (the latest gates win).

    Args:
        look: called with E booleans in the order of `space.edges`. Returns {"scores": {task: {metric: value}},
            "pictures": {name: (H, W, 3) uint8}, "caption": text on the pictures}; the last two may be left out.
        space: of the supernet.
        start: the gates at first, or an architecture; by default all are open.

    Raises:
        ConfigError: for arguments, or an answer of `look`, that are not such.
    """

    _esm = page("toggler")
    stage = traitlets.Dict().tag(sync=True)
    gates = traitlets.List(traitlets.Bool()).tag(sync=True)
    start = traitlets.List(traitlets.Bool()).tag(sync=True)
    rows = traitlets.List().tag(sync=True)  # [task, metric, value, difference or None, verdict]
    pictures = traitlets.List().tag(sync=True)  # [name, address]
    told = traitlets.Unicode("").tag(sync=True)  # what was changed since the state before
    note = traitlets.Unicode("").tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    seconds = traitlets.Float(0.0).tag(sync=True)  # that a look takes

    def __init__(self, look: Look, space: SearchSpace, start: Sequence[bool] | None = None):
        if not callable(look):
            raise ConfigError(
                f"look is a {type(look).__name__}; give a function of the gates, as look_at(lab)"
            )
        if not isinstance(space, SearchSpace) or not len(space):
            raise ConfigError(
                f"{space!r:.80} has no edges to open and shut; give the supernet's search space"
            )
        if start is None:
            start = (True,) * len(space)
        gates = [bool(gate) for gate in getattr(start, "kept", start)]
        if len(gates) != len(space):
            raise ConfigError(
                f"{len(gates)} gates to start with for {len(space)} edges; give one for each edge"
            )
        self.look = look
        self.space = space
        self._shown: Found | None = None
        self._thread: threading.Thread | None = None  # while it looks
        super().__init__(stage=stage(space), gates=gates, start=gates)
        self._show(self._look(gates))
        self.observe(self._changed, "gates")

    @traitlets.validate("gates")
    def _right_length(self, proposal):
        gates = proposal["value"]
        if len(gates) != len(self.space):
            raise traitlets.TraitError(
                f"{len(gates)} gates for {len(self.space)} edges; give one for each"
            )
        return gates

    # --- looking ------------------------------------------------------------------------------------------------------
    def _look(self, gates: list[bool]) -> Found:
        """What `look` says of these gates, checked."""
        begun = time.perf_counter()
        found = self.look(list(gates))
        seconds = time.perf_counter() - begun
        try:
            scores = {}
            for task, values in found["scores"].items():
                scores[str(task)] = {str(metric): float(value) for metric, value in values.items()}
            pictures = {}
            for name, array in found.get("pictures", {}).items():
                pictures[str(name)] = checked_picture(array)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                'look gave no scores; it must return {"scores": {task: {metric: value}}, '
                f'"pictures": {{name: array}}}}, not this ({error!r:.80})'
            ) from None
        return Found(gates, scores, pictures, str(found.get("caption", "")), seconds)

    def _changed(self, change) -> None:
        if not live():
            self._work()
            return
        with self._lock:
            if self._thread is None:
                self.busy = True
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        """Look until what is shown is of the gates that are set."""
        while True:
            gates = list(self.gates)
            found = None
            message = ""
            try:
                found = self._look(gates)
            except Exception as error:  # look can be anybody's
                message = one_line(error)
            with self._lock:
                if gates != list(self.gates):  # clicked meanwhile
                    continue
                self.message = message
                if found is not None:
                    self._show(found)
                self.busy = False
                self._thread = None
                return

    def wait(self, seconds: float = 60.0) -> EdgeToggler:
        """Until the page shows what the gates say."""
        thread = self._thread  # it takes itself away at its end
        if thread is not None:
            thread.join(seconds)
        return self

    # --- showing ------------------------------------------------------------------------------------------------------
    def _show(self, found: Found) -> None:
        before = self._shown or found
        rows = []
        for task, values in found.scores.items():
            values_before = before.scores.get(task, {})
            rows += [
                row(task, metric, value, values_before.get(metric))
                for metric, value in values.items()
            ]
        self.rows = rows
        self.pictures = [[name, address(array)] for name, array in found.pictures.items()]
        self.told = self._difference(before.gates, found.gates)
        self.note = found.caption
        self.seconds = round(found.seconds, 3)
        self._shown = found

    def _difference(self, before: list[bool], now: list[bool]) -> str:
        """Which edges were opened or shut, the first ones by name."""
        flipped = []
        for edge, was_open, is_open in zip(self.space.edges, before, now):
            if was_open != is_open:
                flipped.append(f"{'opened' if is_open else 'shut'} {edge}")
        text = ", ".join(flipped[:NAMED])
        if len(flipped) > NAMED:
            text += f" and {len(flipped) - NAMED} more"
        return text

    def caption(self) -> str:
        return f"{self._open()}: {', '.join(self._lines())}"

    def _open(self) -> str:
        return f"{sum(self.gates)} of {len(self.gates)} edges open"

    def _lines(self) -> list[str]:
        known = [row for row in self.rows if row[2] is not None]
        return [f"{task} {metric} {value:.3g}" for task, metric, value, *_ in known]

    def figure(self, look):
        pictures = self._shown.pictures
        height = 0.55 if pictures else 0.42
        figure = look.figure(height * look.width, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
        figure.canvas.draw()  # the graph is drawn for the size that its axes have
        graph = Architecture(self.space, tuple(self.gates))
        plot_fusion_graph(graph, above.add_axes((0, 0, 1, 1)), style=STYLE, title=self._open())
        axes = below.subplots(1, len(pictures) + 1, squeeze=False)[0]
        for ax, (name, array) in zip(axes, pictures.items()):
            ax.imshow(array, interpolation="nearest")
            ax.set_title(name)
        scores = axes[-1]
        scores.text(0, 1, "\n".join(self._lines()), va="top", transform=scores.transAxes)
        for ax in axes:
            ax.set_axis_off()
        return figure


def row(task: str, metric: str, value: float, before: float | None) -> list:
    """[task, metric's name, value, difference, 'better' | 'worse' | 'same' | ''] as JSON: no NaN."""
    name = metric
    if metric in METRICS:
        name = METRICS[metric].label
    better = direction_of(metric)
    if not math.isfinite(value):
        return [task, name, None, None, ""]
    if before is None or not math.isfinite(before):
        return [task, name, value, None, ""]
    change = value - before
    return [task, name, value, change, _verdict(change, better)]


def _verdict(change: float, better: int) -> str:
    """better: 1 where more is better, −1 where less is; 0 where nobody knows."""
    if abs(change) < SAME:
        return "same"
    if better == 0:
        return ""
    if change * better > 0:
        return "better"
    return "worse"
