"""Which edges rules leave: the candidate graph, its counts, its weights."""

from __future__ import annotations

from collections.abc import Mapping

import traitlets

from ...core.architecture import Architecture
from ...core.space import Plan, SearchSpace, Stage, not_deeper, other_task, plan, same_group, within
from ...errors import MTLNASError, SpaceError
from ...viz.heatmap import plot_heatmap, side_by_side
from ..studio.panel import stage
from .base import STYLE, Explorer, page

VGG = [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
RESNET = [256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3
BACKBONES = {
    "VGG-16": plan(VGG, [2, 2, 3, 3, 3]),
    "ResNet-50": plan(RESNET, [3, 4, 6, 3]),
}
# Two more choices of a backbone.
OWN = "as given"
TYPED = "stages below"

NAMES = ("segmentation", "normals", "depth", "edges", "room")
DRAWN = 3000  # edges that a page draws
STAGES = 30  # that can be typed
CHANNELS = 65_536  # of a stage that is typed, at most


def fusion_weights(space: SearchSpace) -> int:
    """Weights of the NDDR fusion.

    For each node that an edge enters: C columns of its own and C_s of each source (a 1×1 convolution to C channels), and
    the batch norm's 2·C.
    """
    total = 0
    for node in space.nodes:
        into = space.into(node)
        if not into:
            continue
        channels = space.stage(node).channels
        columns = channels + sum(space.stage(space.edges[i].source).channels for i in into)
        total += channels * columns + 2 * channels
    return total


def read_stages(text: str) -> Plan:
    """The plan of '64 64 | 128 128 | 256': channels of each stage, groups of stages between bars.

    Raises:
        SpaceError: for what are not numbers of channels, an empty group, or too many stages.

    Example:
        >>> [(stage.channels, stage.group) for stage in read_stages("64 64 | 128")]
        [(64, 0), (64, 0), (128, 1)]
    """
    groups = [part.replace(",", " ").split() for part in text.split("|")]
    channels = []
    for group in groups:
        channels += group
    for word in channels:
        if not _is_channels(word):
            raise SpaceError(
                f"{word[:20]!r} is not a number of channels; write 1 to {CHANNELS}, as in 64 64 | 128 128"
            )
    if not all(groups) or len(channels) > STAGES:
        raise SpaceError(
            f"{len(channels)} stages in {len(groups)} groups; give 1 to {STAGES}, some between any bars"
        )
    return plan([int(word) for word in channels], [len(group) for group in groups])


def _is_channels(word: str) -> bool:
    if not word.isascii() or not word.isdecimal():
        return False
    return 0 < int(word[:9]) <= CHANNELS  # Python reads no number of thousands of digits


class SpaceExplorer(Explorer):
    """Shows which edges the rules leave of a search space, and what they cost. `.space` is the SearchSpace shown.

    Args:
        plans: {task: plan} of your own; by default the tasks share one of the backbones to choose from.
        **state: what is shown first: backbone, stages, tasks; limit, the rule `within` (0: no limit); same_group, the
            rule of that name; removed, edges taken out by hand.

    Raises:
        SpaceError: for plans or stages that cannot be.

    Example:
        >>> len(SpaceExplorer().space), len(SpaceExplorer(limit=1).space)
        (48, 26)
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
        choices = [*BACKBONES, TYPED]
        self.plans: dict[str, Plan] = {}
        if plans is not None:
            _check(plans)
            self.plans = dict(plans)
            choices.insert(0, OWN)
        super().__init__(**{"choices": choices, "backbone": choices[0], **state})
        self._candidates()  # what cannot be is raised here; later the panel says it
        self._changed(None)
        turned = ["backbone", "stages", "tasks", "limit", "same_group", "removed"]
        self.observe(self._changed, turned)

    def _candidates(self) -> SearchSpace:
        """The space that the rules leave, with the edges that are taken out by hand."""
        if self.backbone not in self.choices:
            raise SpaceError(
                f"there is no backbone {self.backbone!r}; choose one of {', '.join(self.choices)}"
            )
        rules = [other_task, not_deeper, within(self.limit or None)]
        if self.same_group:
            rules.append(same_group)
        if self.backbone == OWN:
            return SearchSpace.build(self.plans, rules)
        return SearchSpace.build(dict.fromkeys(NAMES[: self.tasks], self._stages()), rules)

    def _stages(self) -> Plan:
        """Of every task, where plans were not given."""
        if self.backbone == TYPED:
            return read_stages(self.stages)
        return BACKBONES[self.backbone]

    def _kept(self, candidates: SearchSpace) -> tuple[bool, ...]:
        """For each candidate, whether it was not taken out."""
        return tuple(str(edge) not in self.removed for edge in candidates.edges)

    @property
    def space(self) -> SearchSpace:
        """The search space that is shown, without the edges taken out. Raises SpaceError where the panel shows one."""
        candidates = self._candidates()
        return candidates.only(self._kept(candidates))

    def _changed(self, change) -> None:
        with self._lock:
            try:
                candidates = self._candidates()
                space = candidates.only(self._kept(candidates))
            except MTLNASError as error:
                self.message = str(error)
                return
            shown = {}
            costs = []
            message = f"{len(candidates)} edges are counted; up to {DRAWN} are drawn"
            if len(candidates) <= DRAWN:
                shown = stage(candidates)
                costs = _costs(candidates)
                message = ""
            self.stage = shown
            self.facts = {
                "edges": len(space),
                "candidates": len(candidates),
                "pairs": _pairs(space),
                "costs": costs,
                "weights": fusion_weights(space),
            }
            self.message = message

    def caption(self) -> str:
        candidates = self._candidates()
        space = candidates.only(self._kept(candidates))
        return (
            f"Search space of {', '.join(space.tasks)}: {len(space)} of {len(candidates)} candidate edges, "
            f"2^{len(space)} architectures, {fusion_weights(space):,} fusion weights"
        )

    def figure(self, look):
        candidates = self._candidates()
        shown = Architecture(candidates, self._kept(candidates))
        title = "Candidate edges"
        if len(candidates.tasks) == 2:
            return side_by_side(shown, style=STYLE, title=title)
        return plot_heatmap(shown, style=STYLE, height=140, colorbar=False, title=title).figure


def _check(plans: object) -> None:
    """Raises SpaceError for what are not plans of which a space can be built."""
    stages = []
    if isinstance(plans, Mapping):
        for one in plans.values():
            stages += one
    if not isinstance(plans, Mapping) or not all(isinstance(one, Stage) for one in stages):
        raise SpaceError(
            "plans are {task: plan(channels, groups)}, as in {'normals': plan([64, 64], [2]), …}"
        )
    SearchSpace.build(plans)


def _pairs(space: SearchSpace) -> list[list]:
    """[from, to, how many edges] of all ordered pairs of tasks."""
    counts = {}
    for target in space.tasks:
        for source in space.tasks:
            if source != target:
                counts[source, target] = 0
    for edge in space.edges:
        counts[edge.source.task, edge.target.task] += 1
    return [[source, target, count] for (source, target), count in counts.items()]


def _costs(space: SearchSpace) -> list[int]:
    """Weights that each edge brings: channels of its source times channels of its target."""
    costs = []
    for edge in space.edges:
        source = space.stage(edge.source).channels
        costs.append(source * space.stage(edge.target).channels)
    return costs
