"""Pictures of data: fusion graphs for papers, curves of a search, predictions. Never a model, never pyplot.

    from mtlnas_lab.viz import plot_fusion_graph, save_fusion_graph, overview

A `GraphFigure` (a graph, and how it should look) becomes a `Scene` (plain shapes in mm), from which every format is
written.
"""

from .axes import CurveFigure
from .compare import consensus_graph, difference_graph, filmstrip, small_multiples, stability
from .curves import plot_collapse, plot_entropy, plot_gap, plot_gates, plot_losses, plot_scores
from .explain import explain, to_latex, to_markdown
from .export import figure_files, refigure, save_figure, save_fusion_graph
from .facts import provenance
from .geometry import GraphFigure, GraphGrid
from .graph import fusion_graph, ladder_layout, plot_fusion_graph
from .heat import overview, plot_heatmap, side_by_side
from .motion import animate
from .pictures import plot_predictions
from .style import STYLES, FigureStyle, style

__all__ = [
    "STYLES",
    "CurveFigure",
    "FigureStyle",
    "GraphFigure",
    "GraphGrid",
    "animate",
    "consensus_graph",
    "difference_graph",
    "explain",
    "figure_files",
    "filmstrip",
    "fusion_graph",
    "ladder_layout",
    "overview",
    "plot_collapse",
    "plot_entropy",
    "plot_fusion_graph",
    "plot_gap",
    "plot_gates",
    "plot_heatmap",
    "plot_losses",
    "plot_predictions",
    "plot_scores",
    "provenance",
    "refigure",
    "save_figure",
    "save_fusion_graph",
    "side_by_side",
    "small_multiples",
    "stability",
    "style",
    "to_latex",
    "to_markdown",
]
