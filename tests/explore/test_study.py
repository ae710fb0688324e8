"""A study of an exploration: arms, claims and what becomes of them, going on, what cannot be, the report."""

import math
import sys

import pytest
import yaml

from mtlnas_lab.cli.main import main
from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.explore import study as studies
from mtlnas_lab.explore.claim import Claim
from mtlnas_lab.explore.report import sentences, write
from mtlnas_lab.explore.study import Exploration, Findings, explores

CALLS = []


def steady(seed, size=1.0, **_):
    """Grows with the seed, and with its setting by a little noise."""
    CALLS.append((seed, size))
    return {
        "score": seed + size * (1 + seed / 100) + 0.01 * (seed % 2),
        "loss": -size,
        "bound": size / 10,
    }


def doubled(seed, size=1.0):
    return steady(seed, 2 * size)


def broken(seed):
    raise ConfigError("it cannot be")


ARMS = {"steady": steady, "broken": broken, "doubled": doubled}

CLAIMS = (
    Claim("large is ahead", "score", "large", against="steady"),
    Claim("large is behind", "score", "large", "less", against="steady"),
    Claim("large is ahead of chance", "score", "large", against=0),
    Claim("a twin is the same", "score", "twin", "same", against="steady", least=0.1, control=True),
    Claim("large is the same", "score", "large", "same", against="steady", least=0.1),
    Claim("a twin is ahead", "score", "twin", against="steady", least=0.1),
    Claim("the bound is kept", "bound", "large", "less", limit=1),
    Claim("the bound is small", "bound", "large", "less", limit=0.1),
)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """`explore: fake` is this file."""
    found = studies._module
    fake = sys.modules[__name__]
    monkeypatch.setattr(studies, "_module", lambda name: fake if name == "fake" else found(name))
    CALLS.clear()


CLAIM = {"says": "x", "quantity": "score", "arm": "steady"}  # as a file has it


def study(**changes):
    arms = {"steady": {}, "large": {"arm": "steady", "size": 3.0}, "twin": {"arm": "steady"}}
    parts = {"arms": arms, "claims": CLAIMS, "seeds": (0, 1, 2, 3)} | changes
    return Exploration("fake", "fake", "Does it <grow>?", **parts)


def test_every_arm_runs_under_every_seed_and_a_second_call_runs_nothing(tmp_path):
    rows = list(study().run(tmp_path, backend="sequential"))
    assert [(row["arm"], row["seed"]) for row in rows[:4]] == [
        ("steady", 0),
        ("large", 0),
        ("twin", 0),
        ("steady", 1),
    ]
    assert len(CALLS) == 12 and rows[1]["quantities"]["score"] == 3
    again = list(study().run(tmp_path, backend="sequential"))
    assert len(CALLS) == 12 and {(row["arm"], row["seed"]) for row in again} == {
        (row["arm"], row["seed"]) for row in rows
    }
    more = study(seeds=(0, 1, 2, 3, 4))
    assert len(list(more.run(tmp_path, backend="sequential"))) == 15 and len(CALLS) == 15


def test_what_becomes_of_claims(tmp_path):
    list(study().run(tmp_path, backend="sequential"))
    found = {
        verdict.claim.says: verdict for verdict in Findings.from_folder(study(), tmp_path).verdicts
    }
    outcomes = {says: verdict.outcome for says, verdict in found.items()}
    assert outcomes == {
        "large is ahead": "held",
        "large is behind": "did not hold",
        "large is ahead of chance": "held",
        "a twin is the same": "held",
        "large is the same": "did not hold",
        "a twin is ahead": "did not hold",
        "the bound is kept": "held",
        "the bound is small": "did not hold",
    }
    ahead = found["large is ahead"]
    assert ahead.mean == pytest.approx(2.03) and ahead.values == pytest.approx(
        (2, 2.02, 2.04, 2.06)
    )
    behind = found["large is behind"]
    assert behind.mean == pytest.approx(2.03), "it is said of the quantity itself, not of its sign"
    assert math.isnan(found["the bound is kept"].corrected)
    assert "large is behind: did not hold (score of large minus steady: +2.03" in behind.sentence
    assert "(control): held" in found["a twin is the same"].sentence
    first, below = ahead.in_short.splitlines()
    assert first == "HELD           large is ahead" and below.startswith(
        " " * 15 + "score +2.03 (95 % interval +1.99 to"
    )
    assert f"corrected p = {ahead.corrected:.2g}" in below, "an interval never stands without it"
    assert "alike is an interval within ±" in found["a twin is the same"].in_short
    limit = found["the bound is kept"].in_short
    assert "by seed" in limit and "asked to be" in limit and "corrected p" not in limit


def test_too_little_is_called_so(tmp_path):
    """Three seeds that disagree tell nothing."""
    frame = pytest.importorskip("pandas").DataFrame(
        [["a", 0, "x", 1.0], ["a", 1, "x", -1.0], ["a", 2, "x", 0.4]],
        columns=["arm", "seed", "quantity", "value"],
    )
    claims = (
        Claim("a is ahead of chance", "x", "a", against=0, least=0.5),
        Claim("a is at chance", "x", "a", "same", against=0, least=0.5),
    )
    one = Exploration("fake", "fake", "?", {"a": {"arm": "steady"}}, claims, (0, 1, 2))
    assert [verdict.outcome for verdict in Findings(one, frame).verdicts] == ["could not tell"] * 2


def test_an_arm_that_fails_costs_no_other(tmp_path):
    arms = {"broken": {}, "steady": {}}
    half = study(arms=arms, claims=())
    with pytest.raises(RunError, match=r"4 of 8 rows failed.*broken under seed 0: it cannot be"):
        list(half.run(tmp_path, backend="sequential"))
    assert len(Findings.from_folder(half, tmp_path).values("score").columns) == 4


def test_a_folder_of_other_settings_is_refused(tmp_path):
    list(study().run(tmp_path, backend="sequential"))
    other = study(base={"size": 2.0})
    with pytest.raises(RunError, match="other settings"):
        list(other.run(tmp_path, backend="sequential"))
    with pytest.raises(RunError, match="other settings"):
        Findings.from_folder(other, tmp_path)


def test_rows_that_another_function_made_are_refused(tmp_path):
    arms = {"a": {"arm": "steady"}}
    list(study(arms=arms, claims=()).run(tmp_path, backend="sequential"))
    other = study(arms={"a": {"arm": "doubled"}}, claims=())
    with pytest.raises(RunError, match="other settings"):
        Findings.from_folder(other, tmp_path)


def test_a_claim_about_a_quantity_that_no_arm_gives(tmp_path):
    """It is said after the first row, and that row is kept."""
    claim = Claim("it is ahead", "scoer", "steady", against=0)
    arms = {"steady": {}}
    said = "quantity of the claim 'it is ahead' = 'scoer' is none of the choices score, loss"
    with pytest.raises(ConfigError, match=said):
        list(study(arms=arms, claims=(claim,)).run(tmp_path, backend="sequential"))
    assert len(CALLS) == 1
    with pytest.raises(ConfigError, match=said):
        _ = Findings.from_folder(study(arms=arms, claims=(claim,)), tmp_path).verdicts


def test_less_than_what_matters_does_not_hold():
    claim = Claim("b is ahead by what matters", "score", "b", against="a", least=0.5)
    a, b = [0.0, 0.1, 0.2, 0.05], [0.011, 0.109, 0.21, 0.06]
    rows = [
        [arm, seed, "score", value]
        for arm, own in (("a", a), ("b", b))
        for seed, value in enumerate(own)
    ]
    frame = pytest.importorskip("pandas").DataFrame(
        rows, columns=["arm", "seed", "quantity", "value"]
    )
    arms = {"a": {"arm": "steady"}, "b": {"arm": "steady"}}
    (verdict,) = Findings(study(arms=arms, claims=(claim,)), frame).verdicts
    assert verdict.corrected < 0.05 and verdict.outcome == "did not hold"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"explore": "nothing"}, "there is no exploration 'nothing'; choose of"),
        ({"explore": "report"}, "has no ARMS"),
        ({"arms": {"missing": None}}, "has no arm 'missing'; it has steady, broken, doubled"),
        ({"claims": [{"says": "x", "quantity": "y", "arm": "steady"}]}, "has to name what"),
        ({"claims": [{"says": "x", "quantity": "y", "arm": "no", "limit": 1}]}, "which is no arm"),
        (
            {
                "claims": [
                    {"says": "x", "quantity": "y", "arm": "steady", "against": 0, "better": "same"}
                ]
            },
            "needs `against`, and `least`",
        ),
        ({"claims": [{"says": "x"}]}, "it needs name, explore, question"),
        ({"question": None}, "it needs name, explore, question"),
        ({"claim": []}, "has 'claim'; choose of name, explore"),
        ({"notes": "One note."}, "notes of the study .* give a list"),
        ({"arms": {"steady": "large"}}, "the arm 'steady' is 'large'; give"),
        ({"arms": {"broken": {"size": 2.0}}}, "'broken': got an unexpected.*; it takes seed"),
        ({"sizes": ["small"]}, "sizes of the study .* give {name: value}"),
        ({"sizes": {"small": {"seed": [1]}}}, "has 'seed'; choose of seeds, base, arms"),
        ({"sizes": {"small": {"seeds": 5}}}, "seeds of the size 'small' .* is 5; give a list"),
        ({"sizes": {"small": {"arms": ["stedy"]}}}, "an arm of the size = 'stedy' is none of"),
        ({"claims": [{"says": "x", "arm": 600}]}, "it needs name, explore"),
        ({"claims": [CLAIM | {"arm": 600}]}, "arm = 600 of a claim is no text"),
        ({"claims": [CLAIM | {"limit": "0.5"}]}, "limit of the claim 'x' = '0.5' is too small"),
        ({"claims": [CLAIM | {"limits": 1}]}, "a claim of the study .* has 'limits'; choose of"),
        ({"claims": [CLAIM | {"limit": 1}] * 2}, "the claim 'x' stands twice"),
        (
            {"arms": {"3": {"arm": "steady"}}, "claims": [CLAIM | {"arm": "3", "against": 3}]},
            'the number 3, and an arm has that name; .* against: "3"',
        ),
        ({"sizes": {"large": {}}}, "has no size 'small'; it has large"),
        ({"sizes": {"small": {"seeds": [0, 0]}}}, "each once"),
        ({"sizes": {"small": {"seeds": [-1]}}}, "seed = -1"),
    ],
)
def test_what_a_file_cannot_say(changes, words, tmp_path):
    data = {"name": "mine", "explore": "fake", "question": "?", "arms": {"steady": None}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data | changes))
    with pytest.raises(ConfigError, match=words):
        Exploration.load(path)


def test_a_grid_is_an_arm_for_every_combination(tmp_path):
    path = tmp_path / "grid.yaml"
    grid = {"size": [1.0, 2.0], "shape": ["round", "flat"]}
    base = {"arm": "steady"}
    told = {"name": "g", "explore": "fake", "question": "?", "base": base, "grid": grid}
    path.write_text(yaml.safe_dump(told, sort_keys=False))
    made = Exploration.load(path)
    assert list(made.arms) == ["1.0, round", "1.0, flat", "2.0, round", "2.0, flat"]
    assert made.arms["2.0, round"] == {"size": 2.0, "shape": "round"}


def test_a_size_may_leave_arms_out_and_what_is_claimed_of_them(tmp_path):
    claims = [{"says": "x", "quantity": "score", "arm": arm, "against": 0} for arm in "ab"]
    arms = {"a": {"arm": "steady"}, "b": {"arm": "steady"}}
    sizes = {"small": {"arms": ["b"]}}
    path = tmp_path / "mine.yaml"
    data = {"name": "mine", "explore": "fake", "question": "?", "arms": arms}
    path.write_text(yaml.safe_dump(data | {"claims": claims, "sizes": sizes}))
    made = Exploration.load(path)
    assert list(made.arms) == ["b"] and [claim.arm for claim in made.claims] == ["b"]


def test_the_report_has_every_seed_and_is_read_again(tmp_path):
    list(study().run(tmp_path, backend="sequential"))
    findings = Findings.from_folder(study(), tmp_path)
    page, text, _ = write(findings, tmp_path / "report")
    shown = page.read_text(encoding="utf-8")
    assert "Does it &lt;grow&gt;?" in shown and shown.count("<svg") == 2 and "<script" not in shown
    said = text.read_text(encoding="utf-8")
    assert all(f"- {line}\n" in said for line in sentences(findings))
    again = Findings.read(study(), tmp_path / "report")
    assert again.sentences == findings.sentences
    with pytest.raises(RunError, match="no report"):
        Findings.read(study(), tmp_path)
    with pytest.raises(ConfigError, match="quantity"):
        findings.values("nothing")


def test_the_command_runs_it_and_writes_its_report(tmp_path, capsys, monkeypatch):
    data = {
        "name": "mine",
        "explore": "planted_edges",
        "question": "Which?",
        "arms": {"all": {"arm": "searched", "searcher": "all_edges", "where": "bit", "budget": 1}},
        "claims": [
            {"says": "all opens it", "quantity": "recall", "arm": "all", "limit": 0.5},
            {"says": "chance", "quantity": "lead", "arm": "all", "against": 0},
        ],
        "sizes": {"small": {"seeds": [0, 1]}},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    assert explores(path) and not explores("main") and not explores("nowhere.yaml")
    monkeypatch.chdir(tmp_path)
    main(["study", "mine.yaml", "--jobs", "1", "--backend", "sequential"])
    said = capsys.readouterr().out
    assert "all opens it: held" in said and "chance: did not hold" in said
    main(["report", "mine.yaml", "--to", "elsewhere"])
    assert (tmp_path / "elsewhere" / "report.md").is_file()
