"""One call that draws a fusion graph."""

from __future__ import annotations

from collections.abc import Sequence

from ..sources import opened
from .build import fusion_graph


def plot_fusion_graph(
    source,
    ax=None,
    *,
    alpha: Sequence[float] | None = None,
    step: int | None = None,
    split: bool = False,
    **look,
):
    """Draw a fusion graph and return the axes; `source` is whatever `fusion_graph` takes, or a graph it made.

    look: style='paper-single', width=None (mm), dropped='faint' | 'hide', labels='stage' | 'channels' | {node: text} |
    None, color='probability' | 'source', legend=True, colorbar=True, title=None, threshold=0 (the smallest σ(α) that is
    drawn), layout={node: (x, y)} or a JSON file of that, as the figure studio saves it (see `GraphFigure`).

    Width, opacity and colour of an edge grow with σ(α); kept edges are solid, dropped ones dashed and faint, or hidden.
    With `ax`, the picture fills those axes at the text sizes of the style; without, it is a figure of its own.
    """
    from ..provenance import provenance
    from .figure import GraphFigure
    from .shapes import draw

    source = opened(source)
    figure = GraphFigure(fusion_graph(source, alpha, step=step, split=split), **look)
    if ax is None:
        ax = draw(figure.scene())
        ax.figure.lab_facts = provenance(source, **({} if step is None else {"step": step}))
        return ax
    box = ax.get_window_extent()
    scale = 25.4 / ax.figure.dpi
    return draw(figure.scene(width=box.width * scale, height=box.height * scale), ax)
