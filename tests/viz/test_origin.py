"""What is known of a figure stands beside it: matplotlib's objects carry nothing of ours."""

import gc
import weakref

from matplotlib.figure import Figure
from viz_fakes import log, space

from mtlnas_lab.viz import plot_entropy, plot_fusion_graph, provenance
from mtlnas_lab.viz.origin import Origin, origin


def test_a_figure_has_no_attribute_of_ours():
    history = log(space())
    plain = set(vars(Figure()))
    graph = plot_fusion_graph(history)
    curve = plot_entropy(history)
    for ax in (graph, curve):
        assert set(vars(ax.figure)) <= plain
        assert origin(ax.figure).provenance == provenance(history)
    assert origin(graph).scene.spec.graph.number_of_edges() > 48
    assert origin(curve.figure).spec.curve == "entropy"


def test_nothing_is_known_of_the_figures_of_others():
    assert origin(Figure()) == Origin() == origin("a text")


def test_what_is_known_goes_with_the_figure():
    scene = weakref.ref(origin(plot_fusion_graph(space())).scene)
    gc.collect()
    assert scene() is None
