"""Open and shut edges of a trained supernet by hand: what does each one bring to both tasks?"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import traitlets

from ...core.architecture import Architecture
from ...core.space import SearchSpace
from ...errors import ConfigError, MTLNASError
from ...viz.curves import METRICS
from ...viz.graph.plot import plot_fusion_graph
from ..jupyter import live
from ..studio.encoding import stage
from .base import STYLE, Explorer, address, colours, page

Look = Callable[[list[bool]], Mapping]


class EdgeToggler(Explorer):
    """`look(gates)`, E booleans in the order of `space.edges`, says what the network is worth under these gates:
    {"scores": {task: {metric: value}}, "pictures": {name: (H, W, 3) uint8}, "caption": text on the pictures}.

    It is called once here, then in a thread of its own after each click (the latest gates win). start: the gates at
    first, or an architecture; all open by default. Scores are compared with what was shown before.
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
        gates = [
            bool(gate)
            for gate in ((True,) * len(space) if start is None else getattr(start, "kept", start))
        ]
        if len(gates) != len(space):
            raise ConfigError(
                f"{len(gates)} gates to start with for {len(space)} edges; give one for each edge"
            )
        self.look, self.space, self._shown, self._thread = look, space, None, None
        super().__init__(stage=stage(space), gates=gates, start=gates)
        self._show(gates, self._asked(gates))
        self.observe(self._changed, "gates")

    @traitlets.validate("gates")
    def _right_length(self, proposal):
        if len(proposal["value"]) != len(self.space):
            raise traitlets.TraitError(
                f"{len(proposal['value'])} gates for {len(self.space)} edges; give one for each"
            )
        return proposal["value"]

    def _asked(self, gates: list[bool]) -> Mapping:
        """What `look` says of these gates, checked."""
        begun = time.perf_counter()
        found = self.look(list(gates))
        try:
            scores = {
                str(task): {str(metric): float(value) for metric, value in values.items()}
                for task, values in found["scores"].items()
            }
            pictures = {
                str(name): colours(array) for name, array in found.get("pictures", {}).items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                'look gave no scores; it must return {"scores": {task: {metric: value}}, '
                f'"pictures": {{name: array}}}}, not this ({error!r:.80})'
            ) from None
        return {
            "scores": scores,
            "pictures": pictures,
            "caption": str(found.get("caption", "")),
            "seconds": time.perf_counter() - begun,
        }

    def _changed(self, change) -> None:
        if not live():
            return self._work()
        with self._lock:
            if self._thread is None:
                self.busy = True
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            gates = list(self.gates)
            try:
                found, wrong = self._asked(gates), ""
            except MTLNASError as error:
                found, wrong = None, str(error)
            except Exception as error:  # look can be anybody's
                found, wrong = None, f"{type(error).__name__}: {error}"
            with self._lock:
                if gates != list(self.gates):  # clicked meanwhile
                    continue
                self.message = wrong[:500]
                if found:
                    self._show(gates, found)
                self.busy, self._thread = False, None
                return

    def wait(self, seconds: float = 60.0) -> EdgeToggler:
        """Until the page shows what the gates say."""
        if (thread := self._thread) is not None:
            thread.join(seconds)
        return self

    def _show(self, gates: list[bool], found: Mapping) -> None:
        before = self._shown or (gates, found)
        self.rows = [
            row(task, metric, value, before[1]["scores"].get(task, {}).get(metric))
            for task, values in found["scores"].items()
            for metric, value in values.items()
        ]
        self.pictures = [[name, address(array)] for name, array in found["pictures"].items()]
        flipped = [
            f"{'opened' if gates[i] else 'shut'} {edge}"
            for i, edge in enumerate(self.space.edges)
            if gates[i] != before[0][i]
        ]
        self.told = ", ".join(flipped[:3]) + (
            f" and {len(flipped) - 3} more" if len(flipped) > 3 else ""
        )
        self.note, self.seconds, self._shown = (
            found["caption"],
            round(found["seconds"], 3),
            (gates, found),
        )

    def caption(self) -> str:
        return f"{sum(self.gates)} of {len(self.gates)} edges open: {', '.join(self._lines())}"

    def _lines(self) -> list[str]:
        return [
            f"{task} {metric} {value:.3g}"
            for task, metric, value, *_ in self.rows
            if value is not None
        ]

    def figure(self, look):
        pictures = self._shown[1]["pictures"]
        figure = look.figure((0.55 if pictures else 0.42) * look.width, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
        figure.canvas.draw()
        plot_fusion_graph(
            Architecture(self.space, tuple(self.gates)),
            above.add_axes((0, 0, 1, 1)),
            style=STYLE,
            title=f"{sum(self.gates)} of {len(self.gates)} edges open",
        )
        axes = below.subplots(1, len(pictures) + 1, squeeze=False)[0]
        for ax, (name, array) in zip(axes, pictures.items()):
            ax.imshow(array, interpolation="nearest")
            ax.set_title(name)
        axes[-1].text(0, 1, "\n".join(self._lines()), va="top", transform=axes[-1].transAxes)
        for ax in axes:
            ax.set_axis_off()
        return figure


def row(task: str, metric: str, value: float, before: float | None) -> list:
    """[task, metric's name, value, difference, 'better' | 'worse' | 'same' | ''] as JSON: no NaN."""
    name, better = METRICS.get(metric, (metric, 0))
    if not math.isfinite(value):
        return [task, name, None, None, ""]
    if before is None or not math.isfinite(before):
        return [task, name, value, None, ""]
    change = value - before
    verdict = (
        "same"
        if abs(change) < 1e-9
        else "better"
        if change * better > 0
        else "worse"
        if better
        else ""
    )
    return [task, name, value, change, verdict]
