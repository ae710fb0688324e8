"""Where the open edges of a search lead when a network's eyes are covered: shares, claims, the part of a report."""

import math
from dataclasses import replace

import pandas
import pytest

from mtlnas_lab.analysis import directions, report
from mtlnas_lab.analysis.results import SCORES, StudyResults
from mtlnas_lab.analysis.study import FOLDER, Study
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.space import SearchSpace, plan
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.runs.run_writer import RunWriter

ROWS = {
    "single": {"method": "single_task"},
    "see": {},
    "dim": {"visibility": {"seg": 0.5}},
    "blind": {"visibility": {"seg": 0}},
    "early": {"visibility": {"seg": 0}, "entropy_weight": 10, "against": "blind"},
    "random": {
        "visibility": {"seg": 0},
        "method": "random_graph",
        "edges_of": "blind",
        "against": "blind",
    },
    "anew": {"visibility": {"seg": 0}, "graph_of": "blind", "against": "random"},
    "none": {"visibility": {"seg": 0}, "method": "single_task", "against": "blind"},
}
SPACE = SearchSpace.build(dict.fromkeys(["seg", "normals"], plan([8] * 4, [4])))
INTO = [edge.target.task == "seg" for edge in SPACE.edges]


def graph(into: int, out: int) -> str:
    """So many of the edges into seg open, and out of it."""
    left = {True: into, False: out}
    digits = []
    for leads_into in INTO:
        digits.append(str(int(left[leads_into] > 0)))
        left[leads_into] -= 1
    return "".join(digits)


@pytest.fixture
def found():
    """Results of a study with four seeds: blind opens what leads into it, dim does so hardly more than see."""
    n = sum(INTO)
    half = n // 2
    opened = {
        "see": [(half, half), (half + 1, half), (half, half + 1), (half, half)],
        "dim": [(half, half), (half + 2, half), (half, half + 2), (half + 1, half)],
        "blind": [(n, 0), (n, 1), (n - 1, 0), (n, 0)],
        "early": [(half, 1), (half, 0), (half, 1), (half + 1, 1)],
    }
    runs = []
    scores = []
    for row in ROWS:
        for seed in range(4):
            kept = graph(*opened[row][seed]) if row in opened else ""
            run = {"row": row, "seed": seed, "draw": 0, "kept": kept, "edges": kept.count("1")}
            runs.append({**run, "candidates": len(SPACE), "settled": None})
            miou = {"see": 0.2, "single": 0.2, "none": 0.1}.get(row, 0.17)
            miou += {"blind": 0.01, "anew": 0.012}.get(row, 0) + 0.001 * (seed * len(row) % 3)
            for task, metric, value in (("seg", "miou", miou), ("normals", "mean_angle", 20.0)):
                scores.append([row, seed, 0, None, "test", "hard", task, metric, value])
    study = Study("blind", "Which way?", ROWS, (0, 1, 2, 3), "see")
    table = pandas.DataFrame(scores, columns=SCORES).astype({"step": "Int64"})
    spaces = dict.fromkeys(ROWS, SPACE)
    return StudyResults(study, table, pandas.DataFrame(runs), pandas.DataFrame(), spaces)


def test_shares_by_hand():
    n = sum(INTO)
    way = directions.way(graph(n, 1), SPACE, "seg")
    assert way == {"into": 1, "out": 1 / n, "precision": n / (n + 1), "chance": 0.5}
    assert directions.way(graph(n, 1), SPACE, "normals")["into"] == 1 / n
    empty = directions.way("0" * len(SPACE), SPACE, "seg")
    assert empty["into"] == 0 and math.isnan(empty["precision"])


def test_of_three_tasks_the_edges_between_the_others_are_neither_into_nor_out():
    three = SearchSpace.build(dict.fromkeys("abc", plan([8] * 2, [2])))
    between = "".join(str(int("a" not in (e.source.task, e.target.task))) for e in three.edges)
    way = directions.way(between, three, "a")
    assert way == {"into": 0, "out": 0, "precision": 0, "chance": 1 / 3}


def test_dials_hold_rows_that_differ_in_visibility_alone(found):
    main, early = directions.dials(found.study)
    assert main == directions.Dial("seg", {1.0: "see", 0.5: "dim", 0.0: "blind"})
    assert (main.seeing, main.name, early.seeing, early.name) == ("see", "blind", None, "early")
    both = {"see": {}, "two": {"visibility": {"a": 0, "b": 0}}, "all": {"visibility": {"a": 1}}}
    assert directions.dials(Study("a", "?", both, reference="see")) == []
    with pytest.raises(ConfigError, match="visibility"):
        directions.covered({"visibility": 0})


def test_claims_are_held_or_not(found):
    held = {claim.text: claim.verdict for claim in found.claims}
    more = "more of the edges into seg are open than of those out of it"
    assert held[f"see: {more}"] == held[f"dim: {more}"] == "not held"
    assert held[f"blind: {more}"] == "held"
    assert held["blind: edges lean more into seg than under see"] == "held"
    assert held["dim: edges lean more into seg than under see"] == "not held"
    assert held["early: edges lean more into seg than under blind"] == (
        "not held, the reverse was found"
    )
    ahead = {text for text, verdict in held.items() if "ahead" in text and verdict == "held"}
    # blind leads early by the same in each seed, of which there are too few for that to mean much
    assert ahead == {
        "blind is ahead of random in seg miou",
        "anew is ahead of random in seg miou",
        "blind is ahead of none in seg miou",
    }
    said = "\n".join(found.sentences)
    assert "blind: of the visibilities 0.5, 0, going down, 0 is the first at which edges" in said
    assert "Of 7 claims about where edges lead and 4 about scores of the covered task" in said


def test_an_angle_is_better_where_it_is_less(found):
    rows = {
        row: settings | {"visibility": {"normals": 0}}
        for row, settings in ROWS.items()
        if row in ("blind", "random")
    }
    study = replace(found.study, rows={**rows, "see": {}}, reference="see")
    scores = found.scores.copy()
    angle = scores.metric == "mean_angle"
    scores.loc[angle & (scores.row == "random"), "value"] += 2.0 + 0.1 * scores.seed
    (claim,) = [
        claim for claim in replace(found, study=study, scores=scores).claims if not claim.dial
    ]
    assert claim.text == "blind is ahead of random in normals mean_angle"
    assert claim.held and claim.difference.values == pytest.approx((2.0, 2.1, 2.2, 2.3))


def test_the_report_has_the_shares_with_every_seed_and_the_figure(found, tmp_path):
    table = report.tables(found)[0]
    assert table.title.startswith("Where the open edges lead") and len(table.lines) == 4
    assert all(len(line) == len(table.head) for line in table.lines)
    blind = next(line for line in table.lines if line[0] == "blind")
    assert blind[1:3] == ["seg", "0"] and blind[3].count(" 1.00") == 3
    caption, figure = report.pictures(found)[0]
    assert "eyes are covered" in caption
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert "chance" in labels and any("into" in label for label in labels)
    dots = figure.axes[0].collections[0].get_offsets()
    assert len(dots) == 12 and len({tuple(dot) for dot in dots}) == 12  # no seed hides another


def test_one_seed_is_shown_and_claims_nothing(found):
    one = replace(
        found, runs=found.runs[found.runs.seed == 0], scores=found.scores.query("seed == 0")
    )
    assert [claim.text for claim in one.claims] == []
    assert len(report.tables(one)[0].lines) == 4 and report.pictures(one)


def test_a_graph_within_a_budget_keeps_the_edges_with_the_largest_alpha(tmp_path):
    rows = {
        "blind": {"visibility": {"segmentation": 0}},
        "best": {"graph_of": "blind", "edge_budget": 2},
        "best of none": {"graph_of": "best", "edge_budget": 2},
    }
    study = Study("a", "?", rows, (0,), "blind")
    cells = {cell.row: cell for cell in study.cells()}
    alpha = tuple(float(i % 7) - 3 for i in range(len(SPACE)))
    found = Architecture(SPACE, tuple(a > 0 for a in alpha), alpha)
    given = Architecture(SPACE, found.kept)
    for row, graph in (("blind", found), ("best", given)):
        with RunWriter.create(tmp_path / cells[row].folder, {}, SPACE) as run:
            run.write_json("architecture.json", graph.to_json())
    kept = study.experiment(cells["best"], tmp_path).graph["kept"]
    assert kept == [str(SPACE.edges[6]), str(SPACE.edges[13])]  # α = 3
    with pytest.raises(ConfigError, match="a graph that was not searched has none"):
        study.experiment(cells["best of none"], tmp_path)


def test_a_size_may_draw_fewer_random_graphs():
    draws = {size: Study.load("blind_nyu", size).cells() for size in ("small", "full")}
    full = [cell.draw for cell in draws["full"] if cell.draw]
    assert max(full) == 8 and not [cell for cell in draws["small"] if cell.draw > 2]
    assert {cell.draw for cell in draws["full"] if cell.row == "both see"} == {0}


@pytest.mark.parametrize("size", ["small", "full"])
def test_the_shipped_study_asks_in_both_directions(size):
    asked = {dial.task: dial for dial in directions.dials(Study.load("blind_nyu", size))}
    assert set(asked) == {"seg13", "normals"} and all(dial.seeing for dial in asked.values())


def test_other_studies_say_nothing_of_it():
    other = StudyResults.read(Study.load("main"), FOLDER / "main-small")
    assert other.claims == [] and not len(other.ways)
    assert not any("lead" in table.title for table in report.tables(other))
