"""Build a search space by its rules, and see what they leave: the candidate graph, its counts, its weights."""

from __future__ import annotations

from collections.abc import Mapping

import traitlets

from ...core.architecture import Architecture
from ...core.space import Plan, SearchSpace, Stage, not_deeper, other_task, plan, same_group, within
from ...errors import MTLNASError, SpaceError
from ...viz.heatmap import plot_heatmap, side_by_side
from ..studio.encoding import stage
from .base import STYLE, Explorer, page

BACKBONES = {
    "VGG-16": plan([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, [2, 2, 3, 3, 3]),
    "ResNet-50": plan([256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3, [3, 4, 6, 3]),
}
OWN, TYPED = "as given", "stages below"
NAMES = ("segmentation", "normals", "depth", "edges", "room")
DRAWN, STAGES = 3000, 30  # edges that a page draws; stages that can be typed


def fusion_weights(space: SearchSpace) -> int:
    """Weights of the NDDR fusion: for each node that an edge enters, C columns of its own and C_s of each source
    (a 1×1 convolution to C channels), and the batch norm's 2·C."""
    total = 0
    for node in space.nodes:
        if into := space.into(node):
            channels = space.stage(node).channels
            columns = sum(space.stage(space.edges[i].source).channels for i in into)
            total += channels * (channels + columns) + 2 * channels
    return total


def read_stages(text: str) -> Plan:
    """The plan of '64 64 | 128 128 | 256': channels of each stage, groups of stages between bars."""
    groups = [part.replace(",", " ").split() for part in text.split("|")]
    words = [word for group in groups for word in group]
    wrong = next(
        (w for w in words if not (w.isascii() and w.isdecimal() and 0 < int(w[:9]) <= 65536)), None
    )
    if wrong is not None:
        raise SpaceError(
            f"{wrong[:20]!r} is no number of channels; write 1 to 65536, as in 64 64 | 128 128"
        )
    if not all(groups) or len(words) > STAGES:
        raise SpaceError(
            f"{len(words)} stages in {len(groups)} groups; give 1 to {STAGES}, some between any bars"
        )
    return plan([int(word) for word in words], [len(group) for group in groups])


class SpaceExplorer(Explorer):
    """`SpaceExplorer()`, or with plans {task: plan} of your own. `.space` is the SearchSpace that is shown.

    limit: the rule `within` (0: no limit); same_group: the rule of that name; removed: edges taken out by hand.
    """

    _esm = page("spaces")
    choices = traitlets.List().tag(sync=True)
    backbone = traitlets.Unicode("VGG-16").tag(sync=True)
    stages = traitlets.Unicode("64 64 | 128 128 | 256 256").tag(sync=True)
    tasks = traitlets.Int(2, min=2, max=5).tag(sync=True)
    limit = traitlets.Int(3, min=0, max=5).tag(sync=True)
    same_group = traitlets.Bool(True).tag(sync=True)
    removed = traitlets.List(traitlets.Unicode()).tag(sync=True)
    stage = traitlets.Dict().tag(sync=True)  # every candidate of the rules, those taken out too
    facts = traitlets.Dict().tag(sync=True)

    def __init__(self, plans: Mapping[str, Plan] | None = None, **state):
        if plans is not None:
            if not isinstance(plans, Mapping) or not all(
                isinstance(s, Stage) for p in plans.values() for s in p
            ):
                raise SpaceError(
                    "plans are {task: plan(channels, groups)}, as in {'normals': plan([64, 64], [2]), …}"
                )
            SearchSpace.build(plans)
        self.plans = dict(plans or {})
        choices = [*([OWN] if self.plans else []), *BACKBONES, TYPED]
        super().__init__(**{"choices": choices, "backbone": choices[0], **state})
        self._candidates()  # what cannot be is raised here; later the panel says it
        self._changed(None)
        self.observe(
            self._changed, ["backbone", "stages", "tasks", "limit", "same_group", "removed"]
        )

    def _candidates(self) -> SearchSpace:
        if self.backbone not in self.choices:
            raise SpaceError(
                f"there is no backbone {self.backbone!r}; choose one of {', '.join(self.choices)}"
            )
        rules = [
            other_task,
            not_deeper,
            within(self.limit or None),
            *([same_group] if self.same_group else []),
        ]
        if self.backbone == OWN:
            return SearchSpace.build(self.plans, rules)
        stages = read_stages(self.stages) if self.backbone == TYPED else BACKBONES[self.backbone]
        return SearchSpace.build(dict.fromkeys(NAMES[: self.tasks], stages), rules)

    @property
    def space(self) -> SearchSpace:
        """The search space that is shown, without the edges taken out. Raises SpaceError where the panel shows one."""
        candidates = self._candidates()
        return candidates.only([str(edge) not in self.removed for edge in candidates.edges])

    def _changed(self, change) -> None:
        with self._lock:
            try:
                candidates = self._candidates()
                space = candidates.only(
                    [str(edge) not in self.removed for edge in candidates.edges]
                )
            except MTLNASError as error:
                self.message = str(error)
                return
            drawn = len(candidates) <= DRAWN
            pairs = [
                [a, b, sum(e.source.task == a and e.target.task == b for e in space.edges)]
                for b in space.tasks
                for a in space.tasks
                if a != b
            ]
            width = {node: candidates.stage(node).channels for node in candidates.nodes}
            costs = [width[edge.source] * width[edge.target] for edge in candidates.edges]
            self.stage = stage(candidates) if drawn else {}
            self.facts = {
                "edges": len(space),
                "candidates": len(candidates),
                "pairs": pairs,
                "costs": costs if drawn else [],
                "weights": fusion_weights(space),
            }
            self.message = (
                "" if drawn else f"{len(candidates)} edges are counted; up to {DRAWN} are drawn"
            )

    def caption(self) -> str:
        space, candidates = self.space, self._candidates()
        return (
            f"Search space of {', '.join(space.tasks)}: {len(space)} of {len(candidates)} candidate edges, "
            f"2^{len(space)} architectures, {fusion_weights(space):,} fusion weights"
        )

    def figure(self, look):
        candidates = self._candidates()
        shown = Architecture(
            candidates, tuple(str(edge) not in self.removed for edge in candidates.edges)
        )
        if len(candidates.tasks) == 2:
            return side_by_side(shown, style=STYLE, title="Candidate edges")
        return plot_heatmap(
            shown, style=STYLE, height=140, colorbar=False, title="Candidate edges"
        ).figure
