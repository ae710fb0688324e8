"""Pictures of data: fusion graphs for papers, curves of a search, predictions. Never a model, never pyplot.

    from mtlnas_lab.viz import plot_fusion_graph, save_fusion_graph, overview

A `GraphFigure` (a graph, and how it should look) becomes a `Scene` (plain shapes in mm), from which every format is
written.
"""

from .axes import CurveFigure
from .choices import plot_choices, plot_decisions
from .curves import plot_collapse, plot_entropy, plot_gap, plot_gates, plot_losses, plot_scores
from .distances import plot_distances, plot_profile
from .export import figure_files, refigure, save_figure, save_fusion_graph
from .fronts import plot_agreement, plot_found
from .graph.animation import animate
from .graph.build import fusion_graph, ladder_layout
from .graph.compare import consensus_graph, difference_graph, filmstrip, small_multiples, stability
from .graph.figure import GraphFigure, GraphGrid
from .graph.plot import plot_fusion_graph
from .heatmap import overview, plot_heatmap, side_by_side
from .landscape import plot_effects, plot_front, plot_ranks, plot_regret, plot_seeds
from .population import plot_adaptation, plot_population
from .predictions import plot_predictions
from .provenance import provenance
from .style import STYLES, FigureStyle, style
from .tournaments import plot_budgets, plot_tournament

__all__ = [
    "STYLES",
    "CurveFigure",
    "FigureStyle",
    "GraphFigure",
    "GraphGrid",
    "animate",
    "consensus_graph",
    "difference_graph",
    "figure_files",
    "filmstrip",
    "fusion_graph",
    "ladder_layout",
    "overview",
    "plot_adaptation",
    "plot_agreement",
    "plot_choices",
    "plot_budgets",
    "plot_collapse",
    "plot_decisions",
    "plot_distances",
    "plot_effects",
    "plot_entropy",
    "plot_found",
    "plot_front",
    "plot_fusion_graph",
    "plot_gap",
    "plot_gates",
    "plot_heatmap",
    "plot_losses",
    "plot_population",
    "plot_predictions",
    "plot_profile",
    "plot_ranks",
    "plot_regret",
    "plot_scores",
    "plot_seeds",
    "plot_tournament",
    "provenance",
    "refigure",
    "save_figure",
    "save_fusion_graph",
    "side_by_side",
    "small_multiples",
    "stability",
    "style",
]
