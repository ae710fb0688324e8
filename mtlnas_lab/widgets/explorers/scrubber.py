"""The recorded fusion graph alone, with one slider over the steps: small enough for a slide."""

from __future__ import annotations

import numpy as np
import traitlets

from ...core.architecture import Architecture
from ...errors import ConfigError, RunError
from ...viz.curves import read_log
from ...viz.graph.plot import plot_fusion_graph
from ..studio.encoding import frame, space_of, stage
from .base import STYLE, Explorer, page


class ReplayScrubber(Explorer):
    """Replays what a search did to its graph. Raises RunError for a log without steps or edges."""

    _esm = page("scrubber")
    frame = traitlets.Bytes(b"").tag(sync=True)
    stage = traitlets.Dict().tag(sync=True)
    at = traitlets.Int(-1).tag(sync=True)  # the step that is shown; -1: the last
    speed = traitlets.Int(1, min=0, max=3).tag(sync=True)  # 2^(speed − 1)

    def __init__(self, log_or_run, *, title: str = "", at: int = -1):
        self.history = read_log(log_or_run)
        space = space_of(self.history)
        if not self.history.steps or space is None:
            raise RunError(
                "this log has no step with edges, so there is no graph to replay; give the log of a search"
            )
        if not isinstance(at, int) or at > self.history.steps[-1].step:
            raise ConfigError(
                f"step {at!r} was not recorded; the last one is {self.history.steps[-1].step}"
            )
        super().__init__(stage=stage(space, title), frame=frame(self.history), at=at)

    @property
    def architecture(self) -> Architecture:
        """What would be found at the step that is shown: edges with α > 0."""
        step = self._row()
        return Architecture(self.history.space, tuple(a > 0 for a in step.alpha), step.alpha)

    def _row(self):
        place = (
            int(np.searchsorted([step.step for step in self.history.steps], self.at, side="right"))
            - 1
        )
        return self.history.steps[-1 if self.at < 0 else max(place, 0)]

    def caption(self) -> str:
        kept = self.architecture.kept
        return f"Fusion graph after step {self._row().step}: {sum(kept)} of {len(kept)} edges open"

    def figure(self, look):
        title = self.stage["title"] or f"Fusion graph after step {self._row().step}"
        return plot_fusion_graph(self.architecture, style=STYLE, title=title).figure
