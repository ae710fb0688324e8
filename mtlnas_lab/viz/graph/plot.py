"""One call that draws a fusion graph."""

from __future__ import annotations

from collections.abc import Sequence

from ..origin import remember
from ..provenance import provenance
from ..sources import opened
from ..style import MM
from .build import fusion_graph
from .figure import GraphFigure
from .shapes import draw


def plot_fusion_graph(
    source,
    ax=None,
    *,
    alpha: Sequence[float] | None = None,
    step: int | None = None,
    split: bool = False,
    **look,
):
    """Draw a fusion graph.

    Width, opacity and colour of an edge grow with σ(α); kept edges are solid, dropped ones dashed and faint, or hidden.

    Args:
        source: a SearchSpace, an Architecture, an EventLog, a Run or its folder, a Search or a Lab, or a graph that
            `fusion_graph` made.
        ax: axes to fill, at the text sizes of the style; by default the picture is a figure of its own.
        alpha: (E,) logits, one for each candidate edge; overrides what the source says.
        step: the graph as it was after that step of the search.
        split: splits a node into features, which edges read, and fused features.
        **look: fields of `GraphFigure`: style='paper-single', width=None (mm), dropped='faint' | 'hide',
            labels='stage' | 'channels' | {node: text} | None, color='probability' | 'source', legend=True,
            colorbar=True, title=None, threshold=0 (the smallest σ(α) that is drawn), layout={node: (x, y)} or a JSON
            file of that, as the figure studio saves it.

    Returns:
        The matplotlib axes.

    Raises:
        SpaceError: for a source that has no fusion graph.
        ConfigError: for a look there is not.

    Example:
        >>> from mtlnas_lab import SearchSpace, Stage, plot_fusion_graph
        >>> stages = [Stage(channels=8, group=0, index=i, size=2) for i in range(2)]
        >>> space = SearchSpace.build({"segmentation": stages, "normals": stages})
        >>> ax = plot_fusion_graph(space, alpha=[2.0, -2.0, 1.0, 3.0, -1.0, 0.5], title="Six edges")
        >>> sorted({text.get_text() for text in ax.texts} & {"segmentation", "normals", "Six edges"})
        ['Six edges', 'normals', 'segmentation']
    """
    source = opened(source)
    figure = GraphFigure(fusion_graph(source, alpha, step=step, split=split), **look)
    if ax is None:
        ax = draw(figure.scene())
        remember(ax.figure, provenance=provenance(source, step))
        return ax
    box = ax.get_window_extent()
    mm = MM / ax.figure.dpi  # of a pixel
    return draw(figure.scene(width=box.width * mm, height=box.height * mm), ax)
