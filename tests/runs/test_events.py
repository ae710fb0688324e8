"""Events, their lines, the log and whoever follows it: exact, tolerant, incremental."""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlnas_lab.core.events import (
    Checkpoint,
    Evaluated,
    Failed,
    Finished,
    Recovered,
    Resumed,
    Started,
    Step,
    Turned,
)
from mtlnas_lab.errors import RunError
from mtlnas_lab.runs.event_file import KINDS, Tail, decode, encode, read_events, read_lines
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.storage.jsonl import DEPTH, LINE, Reader

SPACE = {
    "plans": {"a": {"channels": [4, 4], "groups": [2]}, "b": {"channels": [4, 4], "groups": [2]}},
    "edges": ["b:0 -> a:0", "a:0 -> b:0"],
}
STARTED = Started({"steps": 9, "rate": 1e-3, "name": "NaN"}, SPACE, {"torch": "2"}, "cpu", 2)


def step(number, edges=2, **other):
    values = {
        "step": number,
        "alpha": tuple(0.1 * number + e for e in range(edges)),
        "alpha_grad": tuple(-0.3 * e for e in range(edges)),
        "loss": {"a": 1 / number, "b": 2.0},
        "entropy": 0.5,
        "entropy_fraction": 0.7,
        "entropy_weight": 10.0,
        "l1_weight": 0.0,
        "temperature": 1.0,
        "alpha_lr": 0.02,
        "seconds": 0.01,
    }
    return Step(**{**values, **other})


EVERY = [
    STARTED,
    step(1),
    step(2, alpha=(math.nan, math.inf), loss={"a": -math.inf}),
    step(3, 0),
    Evaluated(3, {"hard": {"a": {"miou": math.nan}}}),
    Turned(4, {"temperature": math.inf, "force": {"x": None}}),
    Checkpoint(4, "x.safetensors", "0" * 64),
    Resumed(4, 6),
    Recovered(17),
    Failed(5, "a", "no\nnumber", None),
    Failed(5, None, "ünïcödé 🙂", "x.safetensors"),
    Finished(9, 1.5),
]


def lines(events, first=1):
    return b"".join(encode(event, seq) for seq, event in enumerate(events, first))


def sealed(text):
    """A line whose crc is right, whatever it says."""
    body = text.encode() if isinstance(text, str) else text
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


# --- lines ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_as_it_was(event):
    line = encode(event, 7)
    seq, back = decode(line)
    assert seq == 7 and repr(back) == repr(event)
    assert encode(back, 7) == line


def test_all_kinds_are_tried():
    assert {type(event) for event in EVERY} == set(KINDS.values())
    assert all(name == kind.__name__.lower() for name, kind in KINDS.items())


def test_a_line_is_standard_json_with_seq_first_and_crc_last():
    line = encode(EVERY[2], 3)
    record = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(record)[:2] == ["seq", "kind"] and list(record)[-1] == "crc"
    assert record["alpha"] == ["NaN", "Infinity"] and record["loss"] == {"a": "-Infinity"}
    without = line[: line.rindex(b',"crc"')] + b"}"
    assert record["crc"] == f"{zlib.crc32(without):08x}"
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and line.isascii()


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(numbers, numbers), max_size=4),
    st.dictionaries(st.text(max_size=9), numbers, max_size=3),
    numbers,
    st.integers(0, 2**53 - 1),
)
def test_replay_is_exact(pairs, loss, number, count):
    alpha, grad = zip(*pairs) if pairs else ((), ())
    event = step(1, alpha=alpha, alpha_grad=grad, loss=loss, entropy=number)
    event = Step(**{**vars(event), "step": count})
    try:
        line = encode(event, 1)
    except RunError:
        assert any("\ud800" <= mark <= "\udfff" for task in loss for mark in task)
        return
    assert repr(decode(line)[1]) == repr(event)


def test_scalars_of_arrays_become_numbers():
    loss = {"a": torch.tensor(2.0), "b": np.int64(3)}
    event = step(1, alpha=torch.tensor([0.1, 0.2]), entropy=np.float32(0.1), loss=loss)
    back = decode(encode(event, 1))[1]
    assert back.alpha == (float(np.float32(0.1)), float(np.float32(0.2))) and back.entropy == float(
        np.float32(0.1)
    )
    assert back.loss == {"a": 2.0, "b": 3.0}


@pytest.mark.parametrize(
    "event, word",
    [
        (step(1, entropy=None), "entropy"),
        (step(1, alpha=(1.0, "x")), "alpha"),
        (step(1, loss=[1]), "loss"),
        (step(1, seconds="1"), "seconds"),
        (Turned(-1, {}), "step"),
        (Turned(1.5, {}), "step"),
        (Turned(2**60, {}), "step"),
        (Failed(1, 3, "x", None), "task"),
        (Checkpoint(1, b"x", "y"), "file"),
        (Turned(1, {"x": object()}), "knobs"),
        (Turned(1, {"x": torch.zeros(2)}), "knobs"),
        (Finished(1, 10**400), "seconds"),
    ],
)
def test_values_of_another_kind_are_refused(event, word):
    with pytest.raises(RunError, match=word) as caught:
        encode(event, 1)
    assert "\n" not in str(caught.value)


def test_what_could_not_be_read_is_not_written():
    deep = {}
    for _ in range(DEPTH):
        deep = {"x": deep}
    for event in (Turned(1, deep), Turned(1, {"x": "y" * LINE}), Failed(1, "a", "\ud800", None)):
        with pytest.raises(RunError):
            encode(event, 1)
    for seq in (0, -1, 5_000_001):
        with pytest.raises(RunError):
            encode(Recovered(1), seq)


DEEP = '{"seq":1,"kind":"turned","step":1,"knobs":' + '{"x":' * 100_000 + "1" + "}" * 100_000 + "}"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"x" * (LINE + 1),
        sealed("[]"),
        sealed("{}"),
        sealed('"x"'),
        sealed('{"seq":1}'),
        sealed(DEEP),
        sealed('{"seq":1,"kind":"step"}'),
        sealed('{"seq":true,"kind":"recovered","bytes":1}'),
        sealed('{"seq":0,"kind":"recovered","bytes":1}'),
        sealed('{"seq":1,"kind":"recovered","bytes":"1"}'),
        sealed('{"seq":1,"kind":"recovered","bytes":NaN}'),
        sealed('{"seq":1,"kind":"finished","step":1,"seconds":NaN}'),
        sealed('{"seq":1,"kind":"recovered","bytes":' + "9" * 5_000 + "}"),
        sealed('{"seq":1,"kind":["recovered"],"bytes":1}'),
        sealed(
            '{"seq":1,"kind":"failed","step":1,"task":"\\ud800","message":"","checkpoint":null}'
        ),
        sealed('{"seq":1,"kind":"turned","step":1,"knobs":[]}'),
        sealed(b'{"seq":1,"kind":"recovered","bytes":1,"x":"\xff"}'),
        sealed(b'\xef\xbb\xbf{"seq":1,"kind":"recovered","bytes":1}'),
        b'{"seq":1,"kind":"recovered","bytes":1}\n',
        encode(Recovered(1), 1).replace(b'"bytes":1', b'"bytes":2'),
        encode(Recovered(1), 1)[:-3],
        encode(Recovered(12345), 1).upper(),
    ],
    ids=lambda line: repr(bytes(line[:40])),
)
def test_bad_lines_are_refused_in_one_line_and_passed_over(line):
    begin = time.perf_counter()
    with pytest.raises(RunError) as caught:
        decode(line)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    around = encode(Recovered(1), 1), encode(Recovered(3), 3)
    events, problems = read_lines(around[0] + line.removesuffix(b"\n") + b"\n" + around[1])
    assert [event.bytes for _, event in events] == [1, 3]
    assert problems[0].startswith("line 2: ")
    assert time.perf_counter() - begin < 2


def test_many_brackets_inside_a_text_are_no_depth():
    event = Turned(1, {"x": "[" * 1000 + '\\"{' * 50, "y": [[]] * 100})
    assert decode(encode(event, 1))[1] == event


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(noise):
    good = encode(Recovered(5), 1)
    events, problems = read_lines(noise + b"\n" + good)
    assert events == [(1, Recovered(5))] and problems
    with contextlib.suppress(RunError):
        decode(noise)


def test_fields_and_kinds_of_newer_versions_are_passed_over():
    newer = (
        sealed('{"seq":1,"kind":"finished","step":1,"seconds":2.0,"joules":3}')
        + sealed('{"seq":2,"kind":"dreamt","of":"sheep"}')
        + encode(Finished(3, 4.0), 3)
    )
    events, problems = read_lines(newer)
    assert events == [(1, Finished(1, 2.0)), (3, Finished(3, 4.0))]
    assert len(problems) == 1 and "line 2" in problems[0] and "dreamt" in problems[0]


def test_windows_line_ends_do_no_harm():
    data = lines(EVERY)
    events, problems = read_lines(data.replace(b"\n", b"\r\n"))
    assert lines([event for _, event in events]) == data and not problems


def test_a_torn_line_costs_itself_alone():
    data = (
        lines([step(1), step(2)])
        + encode(step(3), 3)[:50]
        + b"\n"
        + lines([Recovered(50), step(3)], 3)
    )
    events, problems = read_lines(data)
    assert [seq for seq, _ in events] == [1, 2, 3, 4]
    assert problems == ["line 3: no crc in 50 bytes: cut short or damaged"]


def test_holes_and_repetitions_are_told():
    data = lines([Recovered(1), Recovered(2)]) + lines([Recovered(5)], 5) + lines([Recovered(2)], 2)
    events, problems = read_lines(data)
    assert [seq for seq, _ in events] == [1, 2, 5]
    assert (
        "records 3 to 4 are missing" in problems[0]
        and "record 2 comes after record 5" in problems[1]
    )


def test_an_unfinished_last_line_is_told_and_a_finished_one_without_newline_counts():
    data = lines([Recovered(1), Recovered(2)])
    assert read_lines(data[:-1]) == read_lines(data) and not read_lines(b"")[1]
    events, problems = read_lines(data[:-2])
    assert len(events) == 1 and problems[0].startswith("line 2:")


def test_the_list_of_problems_is_bounded():
    assert len(read_lines(b"x\n" * 5_000)[1]) == 1_000


# --- the log ----------------------------------------------------------------------------------------------------------
def test_columns_of_a_log():
    log = EventLog(
        [
            STARTED,
            step(1),
            Evaluated(1, {"hard": {}}),
            Turned(1, {"temperature": 2.0}),
            step(2, loss={"b": 7.0}),
            Finished(2, 0.5),
        ]
    )
    assert log.started == STARTED and log.finished == Finished(2, 0.5) and log.failed is None
    assert [s.step for s in log.steps] == [1, 2] and len(log.evaluated) == len(log.turned) == 1
    assert (
        np.array_equal(log.alpha, [step(1).alpha, step(2).alpha]) and log.alpha.dtype == np.float64
    )
    assert np.array_equal(log.alpha_grad, [step(1).alpha_grad, step(2).alpha_grad])
    assert np.array_equal(log.column("step"), [1, 2]) and np.array_equal(
        log.column("alpha_lr"), [0.02, 0.02]
    )
    assert np.array_equal(log.loss["a"], [1, math.nan], equal_nan=True) and np.array_equal(
        log.loss["b"], [2, 7]
    )
    assert len(log.space) == 2 and [str(edge) for edge in log.space.edges] == SPACE["edges"]
    assert log.of(Step) == [step(1), step(2, loss={"b": 7.0})] and log.of(Failed) == []
    with pytest.raises(RunError, match="no column 'alpha'; they have step, entropy"):
        log.column("alpha")


def test_an_empty_log_has_empty_columns():
    log = EventLog()
    assert log.alpha.shape == log.alpha_grad.shape == (0, 0) and log.column("entropy").shape == (0,)
    assert log.loss == {} and log.steps == [] and log.started is None
    with pytest.raises(RunError, match="started"):
        _ = log.space


def test_a_pretraining_has_no_edges():
    log = EventLog([step(1, 0), step(2, 0)])
    assert log.alpha.shape == (2, 0) and len(log.column("entropy")) == 2


@pytest.mark.parametrize(
    "wrong", [step(2, 3), step(2, alpha_grad=(1.0,)), step(2, loss={"c": 1.0})]
)
def test_steps_of_another_search_are_refused(wrong):
    log = EventLog([step(1)])
    with pytest.raises(RunError, match="step 2"):
        log.append(wrong)
    assert log.events == log.steps == [step(1)]


def test_resumption_supersedes_what_came_after_the_checkpoint():
    """Records 5 and 6 are left behind; those that say how the run went on stay."""
    log = EventLog()
    first = [
        STARTED,
        step(1),
        step(2),
        Checkpoint(2, "f", "h"),
        step(3),
        Turned(4, {}),
        Recovered(3),
    ]
    for event in first:
        log.append(event)
    before = log.alpha
    log.append(Resumed(2, 4))
    assert log.events == [*first[:4], Recovered(3), Resumed(2, 4)] and log.seqs == [
        1,
        2,
        3,
        4,
        7,
        8,
    ]
    again = step(3, entropy=9.0)
    log.append(again)
    assert log.steps == [step(1), step(2), again] and log.turned == []
    assert np.array_equal(log.column("entropy"), [0.5, 0.5, 9.0])
    assert np.array_equal(before, [step(n).alpha for n in (1, 2, 3)])
    log.append(Resumed(0, 0))
    assert (
        log.steps == []
        and log.started is None
        and [type(e) for e in log.events] == [Recovered, Resumed, Resumed]
    )


def test_three_kills_in_a_chain_leave_the_steps_of_an_unbroken_run():
    log = EventLog(
        [
            STARTED,
            step(1),
            step(2),
            Checkpoint(2, "f", "h"),
            step(3),
            step(4),
            Resumed(2, 4),
            step(3),
            step(4),
            Checkpoint(4, "f", "h"),
            step(5),
            Resumed(4, 10),
            step(5),
            Failed(6, "a", "x", None),
            Resumed(4, 10),
            step(5),
            step(6),
            Finished(6, 1.0),
        ]
    )
    assert log.steps == [step(n) for n in range(1, 7)] and log.failed is None and log.finished


def test_the_last_record_of_a_step_counts():
    log = EventLog([step(1), step(2), step(4, entropy=4.25, alpha=(123.0, 1.0))])
    log.append(step(2, entropy=8.0))
    log.append(step(3, entropy=9.0))
    assert [s.step for s in log.steps] == [1, 2, 3, 4]
    assert np.array_equal(log.column("entropy"), [0.5, 8, 9, 4.25])
    assert np.array_equal(log.alpha, [s.alpha for s in log.steps])


def test_arrays_that_were_handed_out_never_change():
    log, seen = EventLog(), []
    for number in range(1, 60):
        log.append(step(number))
        seen.append((log.alpha, log.column("step")))
    log.append(Resumed(3, 3))
    log.append(step(4, entropy=77.0, alpha=(5.0, 5.0)))
    for count, (alpha, steps) in enumerate(seen, 1):
        assert np.array_equal(steps, range(1, count + 1)) and alpha[-1, 0] == 0.1 * count
        assert not alpha.flags.writeable and not steps.flags.writeable


def test_twenty_thousand_steps_of_48_edges_are_no_burden():
    log = EventLog()
    steps = [step(number, 48) for number in range(1, 20_001)]
    begin = time.perf_counter()
    for event in steps:
        log.append(event)
    appended = time.perf_counter() - begin
    begin = time.perf_counter()
    for _ in range(100):
        assert log.alpha.shape == (20_000, 48) and log.column("entropy")[-1] == 0.5
    assert appended < 5 and time.perf_counter() - begin < 0.5


def test_a_task_of_the_run_may_be_told_of_late():
    """Its first batches had no label."""
    log = EventLog([STARTED, step(1, loss={"a": 1.0})])
    before = log.alpha
    log.append(step(2))
    assert log.steps == [step(1, loss={"a": 1.0}), step(2)]
    assert np.isnan(log.loss["b"][0]) and log.loss["b"][1] == 2.0
    assert np.array_equal(before, [step(1).alpha])
    log.append(Resumed(1, 2))
    log.append(step(2, entropy=3.0))
    assert log.steps == [step(1, loss={"a": 1.0}), step(2, entropy=3.0)]


def plainly(records):
    """What a log holds by its definition, without any haste: (events, seqs, {step: its last record})."""
    kept = []
    for seq, event in records:
        if isinstance(event, Resumed):
            kept = [
                (number, earlier)
                for number, earlier in kept
                if number <= event.from_seq or isinstance(earlier, (Resumed, Recovered))
            ]
        kept.append((seq, event))
    last = {event.step: event for _, event in kept if isinstance(event, Step)}
    return [event for _, event in kept], [seq for seq, _ in kept], last


@given(st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_a_log_is_what_its_definition_says(chance):
    """Steps in any order and told twice, resumptions to anywhere, looked at or not in between."""
    log, records, handed = EventLog(), [], []
    for seq in range(1, chance.randrange(2, 60)):
        number = chance.randrange(1, 12)
        event = chance.choice(
            [
                step(number, entropy=float(seq)),
                step(seq, entropy=float(seq)),
                step(seq, entropy=float(seq), loss={"a": 0.5}),
                Turned(number, {"at": seq}),
                Recovered(seq),
                Resumed(number, chance.randrange(0, seq + 1)),
            ]
        )
        if not records and isinstance(event, Step) and len(event.loss) == 1:
            continue  # the first step says which tasks there are
        try:
            log.append(event, seq)
        except RunError:
            continue  # all steps were left behind, and then came one that lacks a task
        records.append((seq, event))
        events, seqs, last = plainly(records)
        if chance.random() < 0.3:
            handed.append((log.alpha, log.alpha.copy()))
            assert log.seqs == seqs and list(log.events) == events
        assert log.resumptions == [(e.from_seq, s) for s, e in records if isinstance(e, Resumed)]
    events, seqs, last = plainly(records)
    ascending = [last[number] for number in sorted(last)]
    assert log.seqs == seqs and list(log.events) == events and list(log.steps) == ascending
    assert np.array_equal(log.column("entropy"), [event.entropy for event in ascending])
    assert list(log.turned) == [event for event in events if isinstance(event, Turned)]
    assert all(np.array_equal(array, kept) for array, kept in handed)


@pytest.mark.parametrize("back", ["to the same checkpoint", "further each time", "steps backwards"])
def test_a_log_of_many_resumptions_is_read_in_one_pass(tmp_path, back):
    """2,000 steps and 4,000 resumptions take seconds; minutes where each resumption goes through the log again."""
    events = [STARTED, *(step(number) for number in range(1, 2_001)), Checkpoint(2_000, "f", "h")]
    count = len(events)
    if back == "to the same checkpoint":
        for _ in range(4_000):
            events += [step(2_001), Resumed(2_000, count)]
    elif back == "further each time":
        events += [Resumed(1, max(2, count - number)) for number in range(4_000)]
    else:
        events += [step(number) for number in range(9_000, 3_000, -1)]
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(events))
    begin = time.perf_counter()
    log = read_events(path)
    assert len(log.steps) == {"t": 2_000, "f": 1, "s": 8_000}[back[0]] and not log.problems
    assert time.perf_counter() - begin < 60  # a guard against hanging


# --- files ------------------------------------------------------------------------------------------------------------
def test_a_log_is_read_from_its_file(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines([STARTED, step(1)]) + b"noise\n" + lines([step(2)], 3))
    log = read_events(path)
    assert (
        log.steps == [step(1), step(2)]
        and log.seqs == [1, 2, 3]
        and log.problems[0].startswith("line 3:")
    )
    with pytest.raises(RunError, match="there is no log"):
        read_events(tmp_path / "other.jsonl")


def test_a_follower_sees_whole_lines_only_and_in_any_portions(tmp_path):
    path, data = tmp_path / "events.jsonl", lines(EVERY[:2] + EVERY[4:])
    tail, seen = Tail(path), []
    assert tail.poll() == []
    with open(path, "ab", buffering=0) as out:
        for start in range(0, len(data), 37):
            out.write(data[start : start + 37])
            seen += tail.poll()
            assert len(seen) == data.count(b"\n", 0, start + 37)
    assert repr(seen) == repr(EVERY[:2] + EVERY[4:]) and tail.poll() == [] and not tail.log.problems


def test_a_follower_survives_a_recovery(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines([step(1)]) + encode(step(2), 2)[:40])
    tail = Tail(path)
    assert tail.poll() == [step(1)] and tail.reader.pending == 40
    with open(path, "ab") as out:
        out.write(b"\n" + lines([Recovered(40), Resumed(1, 1), step(2)], 2))
    assert tail.poll() == [Recovered(40), Resumed(1, 1), step(2)]
    assert tail.log.steps == [step(1), step(2)] and len(tail.log.problems) == 1


def test_a_shrunken_or_replaced_file_starts_anew(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines([step(1), step(2), step(3)]))
    tail = Tail(path)
    assert len(tail.poll()) == 3
    path.write_bytes(lines([step(7)]))
    assert tail.poll() == [step(7)] == tail.log.steps
    other = tmp_path / "other"
    other.write_bytes(lines([step(8), step(9)]))
    os.replace(other, path)
    assert tail.poll() == [step(8), step(9)] == tail.log.steps
    path.unlink()
    assert tail.poll() == [] and len(tail.log.steps) == 2


def test_a_follower_skips_a_step_that_does_not_fit(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines([step(1), step(2, 5), step(3)]))
    log = read_events(path)
    assert log.steps == [step(1), step(3)] and "line 2: step 2 has 5 edges" in log.problems[0]


def test_a_line_without_end_costs_no_memory(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines([step(1)]) + b"\0" * (3 * LINE) + b"\n" + lines([step(2)], 2))
    tail = Tail(path)
    assert tail.poll() == [step(1), step(2)] and tail.log.problems == [
        f"line 2: longer than {LINE} bytes"
    ]
    reader, before = Reader(), tracemalloc.start() or tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        assert list(reader.feed(bytes(LINE))) == []
    assert tracemalloc.get_traced_memory()[0] - before < 3 * LINE and reader.pending == 20 * LINE
    tracemalloc.stop()
    os.truncate(path, 2**40)
    begin = time.perf_counter()
    with pytest.raises(RunError, match="bytes; a log has at most"):
        tail.poll()
    assert time.perf_counter() - begin < 0.5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_links_and_pipes_are_not_followed(tmp_path):
    path = tmp_path / "events.jsonl"
    (tmp_path / "secret").write_bytes(lines([step(1)]))
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(RunError, match="link"):
        Tail(path).poll()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="not a plain file"):
        read_events(path)


def test_replay_needs_no_torch():
    code = "import sys, mtlnas_lab.core.events, mtlnas_lab.runs.event_log; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"torch", "matplotlib", "safetensors"}.isdisjoint(loaded)
