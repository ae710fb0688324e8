"""Each patient shows its symptom, by numbers and with margins; the healthy one is the library's search; diagnoses."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from helpers import Stream, small_lab

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.core.search import Search
from mtlnas_lab.course import bug_hunt as bugs
from mtlnas_lab.course import check
from mtlnas_lab.data.open import samples
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.runs.run import Run

SOURCE = Path(__file__).parents[2] / "notebooks" / "src" / "bug_hunt.py"
CONFIG = SearchConfig(
    steps=30, alpha_lr=0.1, entropy_weight=Schedule(10.0, period=(0.3, 1.0)), evaluate_every=0
)


def small(kind, **settings):
    lab = small_lab()
    lab.alphas.alpha.data.zero_()
    return kind(
        lab, SearchConfig(**{**CONFIG.to_json(), **settings}), Stream(lab), Stream(lab, first=1)
    )


def test_the_healthy_one_is_the_search_of_the_library():
    mine, library = small(bugs.Healthy), small(Search)
    for _ in range(3):
        one, other = mine.step(), library.step()
        assert one.alpha == pytest.approx(other.alpha, abs=1e-6) and one.loss == pytest.approx(
            other.loss, rel=1e-5
        )
        assert one.alpha_grad == pytest.approx(other.alpha_grad, abs=1e-7)


@pytest.mark.parametrize("number", bugs.PATIENTS)
def test_a_patient_differs_by_one_piece_of_few_lines(number):
    kind = bugs.PATIENTS[number]
    pieces = [value for value in vars(kind).values() if inspect.isfunction(value)]
    assert len(pieces) == 1 and len(inspect.getsource(kind).splitlines()) <= 12
    assert isinstance(bugs.buggy(number, steps=2), kind)


def test_there_are_six():
    for number in (0, 7, "1"):
        with pytest.raises(ConfigError, match="patient"):
            bugs.buggy(number)
    assert set(bugs.GUILTY) == set(bugs.PATIENTS) and set(bugs.GUILTY.values()) < set(bugs.SUSPECTS)
    assert list(bugs.SUSPECTS) == sorted(bugs.SUSPECTS), "their order must not tell"
    assert len({bugs.expected(name) for name in bugs.SUSPECTS}) == len(bugs.SUSPECTS), (
        "two look alike"
    )
    assert not any(f"bug.{n}" in inspect.getsource(bugs) for n in bugs.PATIENTS)


# --- quick looks at the mechanism -------------------------------------------------------------------------------------
def test_patient_1_never_has_a_lambda_and_obeys_the_slider():
    weights = {}
    for kind in (bugs.Patient1, bugs.Healthy):
        search = small(kind)
        for search.step_number in range(CONFIG.steps):
            weights.setdefault(kind, []).append(search.current("entropy_weight"))
    assert not any(weights[bugs.Patient1]) and weights[bugs.Healthy][-1] > 9
    search = small(bugs.Patient1)
    search.turn(entropy_weight=5.0)
    assert next(event for event in search if isinstance(event, Step)).entropy_weight == 5.0


def test_patient_2_draws_one_batch_for_ever():
    search = small(bugs.Patient2)
    first, _ = search.alpha_batch()
    assert all(torch.equal(search.alpha_batch()[0], first) for _ in range(3))
    healthy = small(bugs.Healthy)
    assert not torch.equal(healthy.alpha_batch()[0], healthy.alpha_batch()[0])


def test_patient_3_moves_alpha_at_the_rate_of_w():
    search = small(bugs.Patient3)
    search.step()
    assert search.alpha_optimizer.param_groups[0]["lr"] == CONFIG.weight_lr
    assert search.weight_optimizer.param_groups[0]["lr"] == CONFIG.alpha_lr


def test_patient_4_has_a_penalty_without_gradient():
    for kind, learns in ((bugs.Patient4, False), (bugs.Healthy, True)):
        search = small(kind, entropy_weight=10.0)
        penalty = search.penalty(search.lab.alphas.alpha)
        assert penalty > 5 and penalty.requires_grad == learns


def test_patient_5_keeps_its_statistics_as_they_were():
    for kind, moves in ((bugs.Patient5, False), (bugs.Healthy, True)):
        search = small(kind)
        norms = [m for m in search.lab.supernet.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        before = [norm.running_var.clone() for norm in norms]
        search.step()
        assert (
            any(not torch.equal(norm.running_var, old) for norm, old in zip(norms, before)) == moves
        )


def test_patient_6_soon_feels_nothing():
    for kind, feels in ((bugs.Patient6, False), (bugs.Healthy, True)):
        search = small(kind, entropy_weight=0.0)
        search.step_number = 20
        assert any(abs(pull) > 1e-7 for pull in search.step().alpha_grad) == feels


# --- the notebook's own runs ------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_every_symptom_shows_in_the_notebooks_runs(monkeypatch):
    monkeypatch.delenv("MTLNAS_LAB_FAST", raising=False)  # the symptoms of full runs
    well = bugs.run(bugs.healthy())
    right = bugs.measure(well)
    assert bugs.symptoms(well, well) == bugs.expected("leak"), (
        "the healthy one shows what a leak shows: nothing"
    )
    logs = {number: bugs.run(bugs.buggy(number)) for number in bugs.PATIENTS}
    for number, log in logs.items():
        assert bugs.symptoms(log, well) == bugs.expected(bugs.GUILTY[number]), number
    m = {number: bugs.measure(log) for number, log in logs.items()}
    assert (
        right["entropy"] < 0.15
        and right["λ"] > 9
        and abs(right["cosine of successive pulls"]) < 0.2
    )
    assert m[1]["λ"] == 0 and m[1]["entropy"] > 0.7
    assert m[2]["cosine of successive pulls"] > 0.8
    assert (
        m[3]["entropy"] > 0.99
        and m[3]["loss of segmentation"] > 1.6 * right["loss of segmentation"]
    )
    assert m[4]["λ"] > 9 and m[4]["entropy"] > 0.7
    assert m[5]["degrees by recalibrating"] > 3.5 and right["degrees by recalibrating"] < 1
    for task, loss in logs[5].loss.items():
        assert loss == pytest.approx(well.loss[task], rel=1e-3), "no loss can show it"
    assert m[6]["silent pulls"] > 0.99 and right["silent pulls"] < 0.3


@pytest.fixture(scope="module")
def short():
    """Two logs that are at hand: the recorded searches."""
    return tuple(Run.open(samples() / "runs" / name).log for name in ("entropy", "no_entropy"))


def test_the_picture_has_six_panels_with_labels_and_a_legend(short):
    well, ill = short
    figure = bugs.examine(ill, well, "Patient 3")
    assert len(figure.axes) == 6 and all(
        ax.get_xlabel() and ax.get_ylabel() and ax.lines for ax in figure.axes
    )
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == ["Patient 3", "the healthy search"]
    assert "the healthy search" not in [
        t.get_text() for t in bugs.examine(well, well, "H").legends[0].get_texts()
    ]


def test_the_notebook_names_the_panels_as_they_are_called():
    source = (Path(__file__).parents[2] / "notebooks" / "src" / "bug_hunt.py").read_text(
        encoding="utf-8"
    )
    aid = source[source.index("*Reading aid*") : source.index("## Handshake")]
    named = re.findall(r"\*\*(.+?)\*\*", aid)
    assert named == list(bugs.PANELS)
    choices = re.search(r'"bug.leak".*?\[(.*?)\]', source, re.S)[1]
    assert set(re.findall(r'"(.+?)"', choices)) - {"none of them"} < set(bugs.PANELS)


# --- diagnoses --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", bugs.GUILTY)
def test_diagnoses(number):
    name, guilty = f"bug.{number}", bugs.GUILTY[number]
    right = check(name, f" {guilty.upper()} ")
    assert right.solved and right.picture
    for other in bugs.SUSPECTS:
        if other != guilty:
            wrong = check(name, other)
            assert (
                wrong.solved is False
                and other in wrong.message
                and "In this patient: " in wrong.message
            )
    for nonsense in ("the learning rate", 3, len):
        assert "name one of the suspects" in check(name, nonsense).message
    assert check(name, ...).solved is None


def test_almost_right_names_the_panel_that_decides():
    grows = check("bug.1", "dead penalty").message
    assert "λ grows? In a search with “dead penalty”" in grows
    assert grows.endswith(": yes. In this patient: no")
    assert check("bug.4", "ramp").message.endswith(": no. In this patient: yes")


def test_the_notebook_shows_the_faulty_pieces():
    text = SOURCE.read_text(encoding="utf-8")
    for piece in ("(self.step_number, 20_001)", "entropy(alpha.detach())", "module.momentum = 0.0"):
        assert piece in text and piece in inspect.getsource(bugs)
