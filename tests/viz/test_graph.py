"""Fusion graphs as networkx graphs: what is in them, who else can read them, where nodes stand."""

import io
import json

import networkx as nx
import numpy as np
import pytest
from viz_fakes import HOSTILE, RESNET, VGG, alphas, log, space

from mtlnas_lab.core.architecture import Architecture, derive
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.errors import MTLNASError, SpaceError
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.viz import fusion_graph, ladder_layout
from mtlnas_lab.viz.graph.build import ends


def fusion_edges(graph):
    return {(a, b): d for a, b, d in graph.edges(data=True) if d["kind"] == "fusion"}


def test_it_has_the_edges_of_the_space_and_the_chains_of_the_backbones():
    two = space()
    architecture = derive(two, alphas(two))
    graph = fusion_graph(architecture)
    assert list(graph) == [str(node) for node in two.nodes]
    assert graph.number_of_edges() == 48 + 2 * 12
    for edge, keep, p in zip(two.edges, architecture.kept, architecture.probability):
        data = graph.edges[ends(edge)]
        assert data["kept"] == keep and data["probability"] == pytest.approx(p)
    assert graph.nodes["normals:12"] == {
        "task": "normals",
        "stage": 12,
        "lane": 1,
        "group": 4,
        "index": 2,
        "size": 3,
        "channels": 512,
        "label": "normals 12",
        "kind": "stage",
    }
    assert len(fusion_edges(fusion_graph(architecture, dropped=False))) == len(architecture)


def test_a_space_alone_has_candidates():
    graph = fusion_graph(space())
    assert graph.graph["weights"] == "none" and all(d["kept"] for d in fusion_edges(graph).values())


def test_split_is_a_dag_and_the_plain_graph_is_not():
    graph, plain = fusion_graph(space(3), split=True), fusion_graph(space(3))
    assert nx.is_directed_acyclic_graph(graph) and not nx.is_directed_acyclic_graph(plain)
    assert len(graph) == 2 * len(plain) and len(fusion_edges(graph)) == len(fusion_edges(plain))
    assert all(a.endswith("/features") and b.endswith("/fused") for a, b in fusion_edges(graph))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("form", ["graphml", "gexf", "json"])
def test_other_tools_read_it_back(form, split):
    two = space(names=HOSTILE)
    graph, stream = fusion_graph(two, alphas(two), split=split), io.BytesIO()
    if form == "json":
        back = nx.node_link_graph(
            json.loads(json.dumps(nx.node_link_data(graph, edges="edges"))), edges="edges"
        )
    else:
        getattr(nx, f"write_{form}")(graph, stream)
        stream.seek(0)
        back = getattr(nx, f"read_{form}")(stream)
    assert list(back) == list(graph) and set(back.edges) == set(graph.edges)
    for node, data in graph.nodes(data=True):
        assert {key: back.nodes[node][key] for key in data} == data
    for *ends_, data in graph.edges(data=True):
        assert {key: back.edges[ends_][key] for key in data} == data


def test_every_kind_of_source_gives_the_same_graph(tmp_path):
    two = space()
    history = log(two)
    with RunWriter.create(tmp_path / "run", {"seed": 3}, two) as run:
        for event in history.events:
            run.append(event)
        sources = (
            history,
            run,
            tmp_path / "run",
            str(tmp_path / "run"),
            derive(two, history.alpha[-1].copy()),
        )
        graphs = [fusion_graph(two, history.alpha[-1]), *map(fusion_graph, sources)]
    for graph in graphs[1:]:
        assert nx.utils.graphs_equal(graph, graphs[0])
    assert fusion_graph(graphs[0]) is graphs[0]


def test_a_step_of_the_search_can_be_looked_at(tmp_path):
    history = log(space())
    graph = fusion_graph(history, step=20)
    assert nx.utils.graphs_equal(graph, fusion_graph(space(), history.alpha[19]))
    with pytest.raises(SpaceError, match="no step 61; there are 1 to 60"):
        fusion_graph(history, step=61)
    with pytest.raises(SpaceError, match="only a log or a run has steps"):
        fusion_graph(space(), step=1)


def test_mistakes_are_named():
    two = space()
    with pytest.raises(SpaceError, match="give two tasks or more"):
        fusion_graph(SearchSpace({"depth": VGG}, ()))
    with pytest.raises(SpaceError, match="edge 7 is NaN"):
        fusion_graph(two, [np.nan if i == 7 else 0.0 for i in range(48)])
    with pytest.raises(SpaceError, match="3 values of α for 48"):
        fusion_graph(two, [0.0] * 3)
    for wrong in (None, 3, {"a": 1}):
        with pytest.raises(MTLNASError, match="has no fusion graph"):
            fusion_graph(wrong)


def test_lanes_are_straight_and_groups_stand_apart():
    at = ladder_layout(fusion_graph(space(3)))
    assert {y for _, y in at.values()} == {0.0, -1.0, -2.0}
    x = [at[f"normals:{stage}"][0] for stage in range(13)]
    assert x == [at[f"depth:{stage}"][0] for stage in range(13)]
    steps = np.diff(x)
    assert np.allclose(steps[[1, 3, 6, 9]], 1.55) and np.allclose(np.delete(steps, [1, 3, 6, 9]), 1)


def test_unlike_backbones_stand_by_position():
    unlike = SearchSpace.build({"a": VGG, "b": RESNET})
    at = ladder_layout(fusion_graph(unlike))
    for a, b in ((1, 2), (3, 6), (6, 12), (9, 15)):  # the ends of the first four groups
        assert at[f"a:{a}"][0] == pytest.approx(at[f"b:{b}"][0])
    for source, target in ((edge.source, edge.target) for edge in unlike.edges):
        assert at[str(source)][0] <= at[str(target)][0] + 1e-9, "edges never run to the left"


def test_an_architecture_without_alpha_has_gates_of_0_and_1():
    two = space()
    graph = fusion_graph(Architecture(two, [i % 3 == 0 for i in range(48)]))
    assert {d["probability"] for d in fusion_edges(graph).values()} == {0.0, 1.0}
