"""The recorded fusion graph alone, with one slider over the steps: small enough for a slide."""

from __future__ import annotations

import traitlets

from ...core.architecture import Architecture
from ...core.events import Step
from ...errors import ConfigError
from ...runs.event_log import with_start
from ...viz.graph.plot import plot_fusion_graph
from ..studio.encoding import frame
from ..studio.panel import stage
from .base import STYLE, Explorer, page, searched


class ReplayScrubber(Explorer):
    """Replays what a search did to its graph, from step 0 on, before it moved any α.

    Args:
        log_or_run: a log, a run or its folder.
        title: of the panel.
        at: the step that is shown first; -1: the last.

    Raises:
        RunError: for a log without steps or edges.
        ConfigError: for a step that was not recorded.
    """

    _esm = page("scrubber")
    frame = traitlets.Bytes(b"").tag(sync=True)
    stage = traitlets.Dict().tag(sync=True)
    at = traitlets.Int(-1).tag(sync=True)  # the step that is shown; -1: the last
    speed = traitlets.Int(1, min=0, max=3).tag(sync=True)  # 2^(speed − 1)

    def __init__(self, log_or_run, *, title: str = "", at: int = -1):
        log, space = searched(log_or_run, "graph to replay")
        last = log.steps[-1].step
        if not isinstance(at, int) or at > last:
            raise ConfigError(f"step {at!r} was not recorded; the last one is {last}")
        self.history = with_start(log)
        super().__init__(stage=stage(space, title), frame=frame(self.history), at=at)

    @property
    def architecture(self) -> Architecture:
        """What would be found at the step that is shown: edges with α > 0."""
        alpha = self._step().alpha
        return Architecture(self.history.space, tuple(a > 0 for a in alpha), alpha)

    def _step(self) -> Step:
        """The last step up to `at`."""
        steps = self.history.steps
        if self.at < 0:
            return steps[-1]
        numbers = self.history.column("step")
        place = int(numbers.searchsorted(self.at, side="right")) - 1
        return steps[max(place, 0)]

    def caption(self) -> str:
        kept = self.architecture.kept
        return f"Fusion graph after step {self._step().step}: {sum(kept)} of {len(kept)} edges open"

    def figure(self, look):
        title = self.stage["title"] or f"Fusion graph after step {self._step().step}"
        return plot_fusion_graph(self.architecture, style=STYLE, title=title).figure
