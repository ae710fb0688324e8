"""What every exercise must do with every kind of answer: right in several ways, and wrong in each way a function can be."""

import copy
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from right_answers import ALL

from mtlnas_lab.course import calling, check, checks
from mtlnas_lab.course import checking as book
from mtlnas_lab.course.checks.common import apart, differ

VALUES = {name for name, one in book.load().items() if not one.function}
ONLY_NUMBERS = {  # nothing that is handed over could be written into
    "00.count", "03.entering", "03.renamed", "03.split", "05.temperature", "05.tipping", "05.ramp",
    "07.gap", "08.bend", "08.overlap", "06.update", "06.halves",
    "10.coin", "11.climb",
}  # fmt: skip
WAYS = [(name, answer) for name, answers in ALL.items() for answer in answers]


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(
        book, "_png", lambda figure: b"drawn"
    )  # pictures are the other tests' affair


def test_every_exercise_has_right_answers_in_two_ways():
    assert set(ALL) | VALUES == set(book.load()) and len(book.load()) == 78
    assert all(len(answers) >= 2 for answers in ALL.values())
    assert {"08.column", *(f"bug.{n}" for n in range(1, 7))} == VALUES


@pytest.mark.parametrize(
    "name, answer", WAYS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(WAYS)]
)
def test_right_however_it_is_written(name, answer):
    verdict = check(name, answer)
    assert verdict.solved and verdict.picture and len(verdict.message) > 20, verdict


# --- what a function can do wrong, whatever the exercise ----------------------------------------------------------------
def raises(right):
    def mine(*given):
        right(*given)
        return [][3]

    return mine


def prints(right):
    def mine(*given):
        print(right(*given))

    return mine


def forgets(right):
    def mine(*given):
        value = right(*given)  # noqa: F841

    return mine


def promises(right):
    def mine(*given):
        yield right(*given)

    return mine


def no_brackets(right):
    def mine(*given):
        return right

    return mine


def too_few(right):
    def mine(one=0, /, *, three):
        return right(one, three)

    return mine


FAULTS = {
    raises: "your function stopped in line",
    prints: "prints its answer",
    forgets: "returns nothing",
    promises: "promises values",
    no_brackets: "a pair of brackets",
    too_few: "leave the line that begins with `def`",
}


@pytest.mark.parametrize("name", ALL)
def test_what_a_function_can_do_wrong_has_its_own_sentence(name, capsys):
    right = ALL[name][0]
    for fault, said in FAULTS.items():
        verdict = check(name, fault(right))
        assert verdict.solved is False and said in verdict.message, (fault.__name__, verdict)
    assert "IndexError" in check(name, raises(right)).message
    assert "the function itself" in check(name, 3).message

    def nothing(*given):
        """Says nothing yet."""

    for stub in (..., None, nothing, lambda *_: ..., lambda *_: None, lambda *_: (1, ...)):
        assert check(name, stub).solved is None, stub


@pytest.mark.parametrize("name", sorted(set(ALL) - ONLY_NUMBERS))
def test_an_answer_that_writes_into_what_it_is_given_is_told_so(name):
    right = ALL[name][0]

    def mine(*given):
        value = copy.deepcopy(right(*given)) if name != "06.force" else right(*given).clone()
        _spoil(given)
        return value

    verdict = check(name, mine)
    assert verdict.solved is False and "have changed" in verdict.message, verdict


def _spoil(value):
    """Changes the first thing in it that can be changed; whether there was one."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
        value.logical_not_()
    elif isinstance(value, torch.Tensor):
        value.data += 1
    elif isinstance(value, np.ndarray):
        value[...] = value == value.flat[0]
    elif isinstance(value, torch.nn.Module):
        next(value.parameters()).data += 1
    elif isinstance(value, list):
        value.append(value[-1])
    elif isinstance(value, dict):
        value.clear()
    elif hasattr(value, "plans"):
        value.plans.clear()
    else:
        return isinstance(value, tuple) and any(_spoil(part) for part in value)
    return True


def unlike(value):
    """A value of the same kind that says something else."""
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, float, np.number)):
        return value + 1
    if isinstance(value, (torch.Tensor, np.ndarray)):
        flat = value.flatten() if isinstance(value, np.ndarray) else value.detach().flatten()
        return ~value if flat.dtype in (torch.bool, np.bool_) else value + 1
    if isinstance(value, (list, tuple)):
        return type(value)(unlike(part) for part in value)
    if isinstance(value, dict):
        return {key: unlike(part) for key, part in value.items()}
    if isinstance(value, str):
        return value + "?"
    return value


@pytest.mark.parametrize("name", sorted(set(ALL) - {"09.cut", "03.renamed"}))
def test_an_answer_that_changes_its_mind_is_told_so(name):
    right, calls = ALL[name][0], []

    def mine(*given):
        calls.append(1)
        value = right(*given)
        return value if len(calls) % 2 else unlike(value)

    said = "two answers|the same generator|the second time"
    verdict = check(name, mine)
    assert verdict.solved is False and re.search(said, verdict.message), verdict


@pytest.mark.parametrize("name", ["06.halves", "07.random"])
def test_chance_from_elsewhere_than_the_generator_is_told(name):
    other = ALL[name][0]
    assert "same generator" in check(name, lambda first, _: other(first, None)).message


def test_what_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr(calling, "LIMIT", 0.3)

    def mine(edges):
        while True:
            pass

    assert "does not come to an end" in check("00.count", mine).message
    assert check("00.count", lambda edges: 2**edges).solved, "nothing of it is left"


def test_calls_itself_or_exits():
    def again(edges):
        return again(edges)

    def leaves(edges):
        raise SystemExit

    assert "without end" in check("00.count", again).message
    assert "instead of exit" in check("00.count", leaves).message


# --- no message says a number equal to the one that it calls wrong ------------------------------------------------------
NUMBER = r"\(?-?[\d,]*\.?\d+(?:e[+-]?\d+)?(?:, -?[\d.]+\))?"
TOLD = re.compile(rf"({NUMBER})[^0-9(]{{0,40}}?yours(?: is| are| says| to)? ({NUMBER})")


def nearly(size, at):
    """The right answer, off by a little in its call number `at` of each two (0: every call)."""

    def off(value):
        if isinstance(value, (bool, np.bool_, str)) or value is None:
            return value
        if isinstance(value, (float, np.floating)):
            return value * (1 + size) + size
        if isinstance(value, int):
            return value + 1
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value * (1 + size) + size
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value * (1 + size) + size
        if isinstance(value, (list, tuple)):
            return type(value)(off(part) for part in value)
        if isinstance(value, dict):
            return {key: off(part) for key, part in value.items()}
        return value

    def spoil(right):
        calls = []

        def mine(*given):
            calls.append(1)
            pair = (len(calls) + 1) // 2
            return off(right(*given)) if at in (0, pair) else right(*given)

        return mine

    return spoil


@pytest.mark.parametrize("name", ALL)
def test_no_message_says_a_number_equal_to_the_one_it_calls_wrong(name):
    for right in ALL[name][:2]:
        for spoil in (nearly(1e-3, 0), nearly(3e-5, 0), nearly(2e-3, 2), nearly(0.3, 1)):
            message = check(name, spoil(right)).message
            for correct, mine in TOLD.findall(message):
                assert correct.strip("()") != mine.strip("()"), message


def test_the_pattern_finds_what_it_forbids():
    assert TOLD.findall("at α = 1 it should be -0.197, yours is -0.197") == [("-0.197", "-0.197")]


def test_numbers_are_told_with_the_digits_that_tell_them_apart():
    draw = random.Random(0)
    for _ in range(2000):
        right = draw.choice([draw.uniform(-5, 5), draw.uniform(0, 1e-6), draw.uniform(0, 1e9), 0.0])
        yours = right + draw.choice([1, -1]) * 10 ** draw.uniform(-9, 2)
        here, there = apart(right, yours)
        assert right == yours or here != there
    assert apart(6.0, 6.2) == ("6.000", "6.200") and apart(6, 7) == ("6", "7")
    assert apart(1.0, float("nan")) == ("1", "NaN")
    assert differ([1.0, 2.0], [1.0, 2.0001], ["here", "there"], 1e-5).startswith(
        "there it should be 2.0000"
    )


def test_checks_leave_the_telling_of_numbers_to_one_place():
    """No sentence of a check formats a number of the reader's by itself beside `yours`."""
    files = list(Path(checks.__path__[0]).glob("*.py"))
    assert len(files) > 10
    for file in files:
        source = file.read_text(encoding="utf-8")
        assert not re.search(r"yours[^\n{\"]*\{[^}\n]*:,?\.\d[fg]\}", source), file.name


# --- typical wrong answers that were once accepted, or told for a wrong reason ------------------------------------------
def shifted(kept, generator):
    by = int(torch.randint(len(kept), (1,), generator=generator))
    return kept[by:] + kept[:by]


def cut_anywhere(count, generator):
    by = int(torch.randint(count, (1,), generator=generator))
    order = list(range(by, count)) + list(range(by))
    return order[: count // 2][::-1], order[count // 2 :]


def total(cost):
    def mine(space, kept):
        ends = [
            (space.stage(e.source).channels, space.stage(e.target).channels) for e in space.edges
        ]
        return sum(cost(*pair) for pair, keep in zip(ends, kept) if keep)

    return mine


def head_too_early(network, image, stage):
    return network.head(network.stages[0](image))


def trunk_again(stages, heads, image):
    outputs = {}
    for task, head in heads.items():
        for stage in stages:
            image = stage(image)
        outputs[task] = head(image)
    return outputs


def turned_in_place(image, normals):
    normals[:, 0] *= -1
    return image.rot90(1, (-2, -1)), normals[:, [1, 0, 2]].rot90(1, (-2, -1))


TYPICAL = [
    ("00.count", lambda e: 2 ^ e, "does not mean"),
    ("01.depth_loss", lambda o, t: torch.where((t > 0).any(), ((o - t).abs() * (t > 0)).sum() / (t > 0).sum(), o.sum() * 0), "gradient is NaN"),
    ("01.depth_loss", lambda o, t: ((o - t).abs() * (t > 0)).sum((1, 2, 3)).div((t > 0).sum((1, 2, 3)).clamp(min=1)).mean(), "each picture first"),
    ("01.quarter_turn", turned_in_place, "`normals` have changed"),
    ("01.miou", lambda t: (t.diagonal() / (t.sum(0) + t.sum(1) - t.diagonal()))[:3].mean(), "empty class"),
    ("01.trivial", lambda d: 2.25, "use the argument"),
    ("02.until", head_too_early, "the head takes a map of 6 channels"),
    ("02.shared", trunk_again, "stage 0 takes a map of 3 channels"),
    ("03.resolution", lambda s, t, p: s.task != t.task and ALL["03.resolution"][0](s, t, p), "another rule's affair"),
    ("03.resolution", lambda s, t, p: t.stage - s.stage < 3 and ALL["03.resolution"][0](s, t, p), "another rule's affair"),
    ("05.concrete", lambda a, t, u: torch.sigmoid((a.detach() + u.logit()) / t), "no gradient reaches α"),
    ("05.force", lambda a: torch.where(a > 0, ALL["05.force"][0](a), a), "at α = -6"),
    ("06.halves", cut_anywhere, "not drawn evenly"),
    ("06.update", lambda a, f, w, o: ALL["06.update"][0](a, f, w, o) * 2, "return alpha.grad"),
    ("07.random", shifted, "turn the searched graph round"),
    ("07.cost", total(lambda a, b: a + b), "are added"),
    ("07.cost", total(lambda a, b: a * a), "source's twice"),
    ("07.cost", total(lambda a, b: a), "only the channels of the sources"),
    ("07.cost", total(lambda a, b: b), "only the channels of the targets"),
    ("07.cost", total(lambda a, b: a * b + b), "a bias"),
    ("07.cost", total(lambda a, b: 9 * a * b), "3×3"),
    ("08.overlap", lambda a, b, c: a * b / c + 0.2, "share 3.000 on average, yours 3.200"),
    ("08.overlap", lambda a, b, c: a * b, "pairs of edges"),
    ("08.bend", lambda a, b, by: tuple(np.add(a, b) / 2 + by * np.subtract(b, a)), "along the arrow"),
    ("10.coin", lambda n, k: math.comb(n, k) / 2**n, "exactly so many"),
    ("10.turn", lambda kept, targets, blind: sum(kept) / len(kept), "for the graph all"),
    ("09.median", lambda b: torch.cat([(o.sigmoid() - t).abs().flatten() for o, t in b]).median(), "(B, B)"),
]  # fmt: skip


@pytest.mark.parametrize(
    "name, answer, said", TYPICAL, ids=[f"{case[0]}-{case[2]}" for case in TYPICAL]
)
def test_typical_mistakes(name, answer, said):
    verdict = check(name, answer)
    assert verdict.solved is False and said in verdict.message, verdict
