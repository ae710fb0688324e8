"""The answer book itself: names, stubs, messages, what is kept."""

from pathlib import Path

import pytest

from mtlnas_lab.course import Verdict, Wrong, check, checks, predict, progress, reveal
from mtlnas_lab.course import checking as book


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_PROGRESS", str(tmp_path / "deep" / "progress.json"))
    return tmp_path / "deep" / "progress.json"


@pytest.fixture
def doubled(monkeypatch):
    """An exercise of our own: a function that doubles."""
    monkeypatch.setattr(book, "EXERCISES", dict(book.load()))

    @book.exercise("99.double")
    def double(answer, ax):
        """Twice the number."""
        ax.plot([0, 1], [0, answer(1)])
        if answer(2) != 4:
            raise Wrong("2 should give 4")
        return "Twice."


def test_right_wrong_and_not_filled_in(doubled):
    right = check("99.double", lambda x: 2 * x)
    assert (right.solved, right.message) == (True, "Twice.") and right.picture.startswith(
        b"\x89PNG"
    )
    assert list(progress.read()["solved"]) == ["99.double"]
    wrong = check("99.double", lambda x: x)
    assert (wrong.solved, wrong.message) == (False, "2 should give 4")

    def unfilled(x):
        return ...

    def raises(x):
        raise NotImplementedError

    for stub in (unfilled, raises, ..., None, lambda x: None, lambda x: ... + 1):
        assert check("99.double", stub).solved is None, stub


@pytest.mark.parametrize(
    "answer",
    [
        3,
        "text",
        [1, 2],
        lambda: 1,
        lambda x: "a",
        lambda x: [1] * x,
        lambda x: 1 / 0,
        object(),
        int,
    ],
)
def test_a_check_never_raises(doubled, answer):
    verdict = check("99.double", answer)
    assert verdict.solved is False and verdict.message


@pytest.mark.parametrize("name", sorted(book.load()))
@pytest.mark.parametrize(
    "answer",
    [3, "text", [1, 2], {}, lambda *_: 1, lambda *_: "a", lambda: 1, object()],
    ids=["number", "text", "list", "dict", "one", "letter", "no arguments", "object"],
)
def test_no_check_of_the_course_raises_on_nonsense(name, answer):
    assert check(name, answer).solved in (False, True)
    assert check(name, ...).solved is None


def test_the_line_that_stopped_is_named(doubled):
    def mine(x):
        return x.size()

    assert "AttributeError" in check("99.double", mine).message


def test_an_unknown_name_is_answered_with_a_close_one():
    name = next(iter(book.load()))
    assert name in check(name[:-1]).message and check("nonsense").solved is False


def test_text_is_escaped(doubled):
    shown = Verdict("a", False, "<script>alert(1)</script>")._repr_mimebundle_()["text/html"]
    assert "<script>" not in shown


def test_progress_survives_a_broken_file_and_a_place_that_cannot_be_written(
    own_progress, monkeypatch, doubled
):
    own_progress.parent.mkdir()
    own_progress.write_text("{ broken")
    assert progress.read() == {"solved": {}, "guesses": {}}
    progress.mark("99.double")
    assert "99.double" in progress.read()["solved"] and "✓ 99.double" in progress.summary(
        book.load()
    )
    progress.reset()
    assert progress.read()["solved"] == {}
    blocked = own_progress.parent / "file"
    blocked.write_text("")
    monkeypatch.setenv("MTLNAS_LAB_PROGRESS", str(blocked / "progress.json"))
    assert check("99.double", lambda x: 2 * x).solved


def test_a_guess_is_kept_until_it_is_revealed():
    question = predict("99.first", "Which <b>?", ["this", "that"])
    assert "no guess" in str(reveal("99.first", "that"))
    widget = question.widget()
    choice, (button, said) = widget.children[1], widget.children[2].children
    button.click()
    assert said.value == "Choose one first."
    choice.value = "this"
    button.click()
    assert (
        repr(reveal("99.first", "that", "because.")) == "You guessed: this. It is: that. because."
    )
    assert question.widget().children[1].value == "this"
    assert (
        reveal("99.many", 28)._repr_html_().startswith("<details")
    )  # nobody reads it before he guesses
    number = predict("99.many", "How many?", between=(0, 48)).widget()
    assert number.children[1].value == 0, "a slider that starts in the middle gives answers away"
    number.children[1].value = 12
    number.children[2].children[0].click()
    shown = reveal("99.many", 28)._repr_html_()
    assert "12" in shown and "28" in shown and "details" not in shown
    with pytest.raises(ValueError, match="choices or between"):
        predict("99.none", "?")


def test_every_file_of_checks_is_found():
    files = {path.stem for path in Path(checks.__path__[0]).glob("*.py")} - {"__init__", "common"}
    registered = {one.check.__module__.split(".")[-1] for one in book.load().values()}
    assert registered == files
