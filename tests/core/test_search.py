import json
import math
import random
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import Stream, batch, small_lab

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Evaluated, Failed, Finished, Started, Step, Turned
from mtlnas_lab.core.relaxation import deterministic, entropy
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import ConfigError, RunError, SpaceError
from mtlnas_lab.randomness import may_draw

CONFIG = SearchConfig(steps=4, alpha_lr=0.05)


def search_of(lab=None, config=CONFIG, **options):
    lab = lab or small_lab()
    return Search(lab, config, Stream(lab, 0), Stream(lab, 100), **options)


@cache
def untouched_search(optimizer="adam"):
    """One search for all tests of what is refused, for that changes nothing; none of them steps it."""
    return search_of(config=replace(CONFIG, optimizer=optimizer))


@cache
def state_after_a_step(optimizer="adam"):
    search = search_of(config=replace(CONFIG, optimizer=optimizer))
    search.step()
    return search.state()


def without_time(events):
    return [replace(e, seconds=0.0) if hasattr(e, "seconds") else e for e in events]


def test_events_in_order():
    events = list(
        search_of(
            evaluate=lambda s: {"at": s.step_number}, config=replace(CONFIG, evaluate_every=2)
        )
    )
    assert [type(e) for e in events] == [
        Started,
        Step,
        Step,
        Evaluated,
        Step,
        Step,
        Evaluated,
        Finished,
    ]
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2, 3, 4]
    assert events[3].scores == {"at": 2}
    assert (
        set(events[1].loss) == {"segmentation", "normals"}
        and len(events[1].alpha) == len(events[1].alpha_grad) == 48
    )


def test_alpha_step_reads_w_and_weight_step_reads_alpha():
    """The α-update moves α alone, the w-update w alone ("fixed" backbones train all the same)."""
    lab = small_lab()
    search = search_of(lab, replace(CONFIG, weight_lr=0.0))
    w = {name: p.clone() for name, p in lab.supernet.named_parameters()}
    before = lab.alphas.alpha.clone()
    search.step()
    assert all(torch.equal(w[name], p) for name, p in lab.supernet.named_parameters())
    assert not torch.equal(before, lab.alphas.alpha)

    lab = small_lab()
    search = search_of(lab, replace(CONFIG, alpha_lr=0.0))
    before = lab.alphas.alpha.clone()
    search.step()
    assert torch.equal(before, lab.alphas.alpha)
    assert all(
        not torch.equal(w[name], p)
        for name, p in lab.supernet.named_parameters()
        if "stages" in name and p.ndim == 4
    )


def test_alpha_grad_is_that_of_the_task_losses_alone():
    lab = small_lab(dtype=torch.float64)
    other = lab.copy()
    search = Search(
        lab,
        replace(CONFIG, entropy_weight=7.0, l1_weight=3.0, l1_by_cost=True),
        Stream(lab, 0, dtype=torch.float64),
        Stream(lab, 100, dtype=torch.float64),
    )
    event = search.step()
    image, targets = batch(100, dtype=torch.float64)
    other.supernet.train()
    losses = other.loss(other.supernet(image, deterministic(other.alphas.alpha)), targets)
    (gradient,) = torch.autograd.grad(
        losses["segmentation"] + 2 * losses["normals"], other.alphas.alpha
    )
    assert torch.allclose(torch.tensor(event.alpha_grad, dtype=torch.float64), gradient, atol=1e-12)
    assert (
        event.entropy == pytest.approx(entropy(lab.alphas.alpha).item())
        and event.entropy_weight == 7.0
    )


def test_entropy_collapses_with_lambda_and_not_without():
    def left(weight):
        search = search_of(config=replace(CONFIG, steps=20, alpha_lr=0.4, entropy_weight=weight))
        return [e for e in search if isinstance(e, Step)][-1].entropy_fraction

    assert left(1000.0) < 0.1 < 0.3 < left(0.0)


@pytest.mark.parametrize("gates", ["deterministic", "stochastic", "straight_through"])
def test_same_seed_same_events_whatever_else_runs(gates):
    def events(noise):
        found = []
        for event in search_of(
            small_lab(dropout=0.5), replace(CONFIG, alpha_gates=gates, weight_gates=gates)
        ):
            torch.rand(noise)
            found.append(event)
        return without_time(found)

    assert events(0) == events(7)


def test_resumed_equals_never_stopped_in_a_chain():
    config = replace(CONFIG, steps=6, weight_gates="stochastic", evaluate_every=2)

    def make():
        return search_of(small_lab(dropout=0.5), config, evaluate=lambda s: {"n": s.step_number})

    whole = make()
    whole.turn(entropy_weight=2.0, force={"normals:0 -> segmentation:0": True})
    expected = without_time(e for e in whole if not isinstance(e, Started))

    first = make()
    first.turn(entropy_weight=2.0, force={"normals:0 -> segmentation:0": True})
    found, state = [], None
    for stop in (2, 3, 5, 6):
        search = first if state is None else make()
        if state is not None:
            search.load_state({name: tensor.clone() for name, tensor in state[0].items()}, state[1])
        for event in search:
            if not isinstance(event, Started):
                found.append(event)
            if search.step_number == stop and not (
                isinstance(event, Step) and search.evaluates_now()
            ):
                state = (
                    {name: tensor.clone() for name, tensor in search.state()[0].items()},
                    search.state()[1],
                )
                if stop < 6:
                    break
    assert without_time(found) == expected


def test_a_state_of_another_network_is_refused_and_changes_nothing():
    search, other = search_of(), search_of(small_lab(widths=(4, 4, 4, 4, 4)))
    before = search.lab.alphas.alpha.clone()
    with pytest.raises(RunError, match="another network"):
        search.load_state(*other.state())
    assert torch.equal(before, search.lab.alphas.alpha)


def test_turn_takes_effect_at_the_next_step_and_is_told():
    search = search_of()
    seen = []
    for event in search:
        seen.append(event)
        if isinstance(event, Step) and event.step == 2:
            search.turn(
                entropy_weight=5, temperature=0.5, alpha_lr=0.1, weight_gates="deterministic"
            )
    assert [type(e).__name__ for e in seen[1:5]] == ["Step", "Step", "Turned", "Step"]
    assert (
        seen[3].step == 3
        and seen[4].entropy_weight == 5
        and seen[4].temperature == 0.5
        and seen[4].alpha_lr == 0.1
    )


def test_forced_edges_are_open_or_shut_until_they_are_freed():
    search = search_of()
    i, j = 3, 10
    a, b = str(search.lab.space.edges[i]), str(search.lab.space.edges[j])
    search.turn(force={a: True, b: False})
    iterator = iter(search)
    next(iterator), next(iterator)
    gates = search._gates("alpha_gates")
    assert gates[i] == 1 and gates[j] == 0 and 0 < gates[0] < 1
    event = next(iterator)
    assert event.alpha_grad[i] == pytest.approx(0, abs=1e-7)
    assert search.architecture().kept[i] and not search.architecture().kept[j]
    search.turn(force={a: None})
    next(iterator)
    assert search.forced == {j: False}


def test_warming_up_w_learns_with_every_edge_open_and_alpha_waits():
    lab, fixed = small_lab(), small_lab()
    before = lab.alphas.alpha.clone()
    search = search_of(lab, replace(CONFIG, warm_up=2, entropy_weight=5.0))
    other = Search(fixed, CONFIG, Stream(fixed, 0), gates=(True,) * 48)
    for _ in range(2):
        event, twin = search.step(), other.step()
        assert event.loss == twin.loss and set(event.alpha_grad) == {0.0}
    assert torch.equal(before, lab.alphas.alpha) and search.architecture().alpha is not None
    assert set(search.step().alpha_grad) != {0.0} and not torch.equal(before, lab.alphas.alpha)
    shut = search_of(small_lab(), replace(CONFIG, warm_up=2))
    shut.turn(force={str(shut.lab.space.edges[3]): False})
    shut.controls.apply_turned(shut.communicator)
    assert shut._weight_gates() == tuple(i != 3 for i in range(48))


def test_fixed_gates_train_w_alone():
    lab = small_lab()
    before = lab.alphas.alpha.clone()
    kept = tuple(i % 2 == 0 for i in range(48))
    search = Search(lab, CONFIG, Stream(lab), gates=kept)
    events = [e for e in search if isinstance(e, Step)]
    assert (
        len(events) == 4
        and torch.equal(before, lab.alphas.alpha)
        and search.architecture().kept == kept
    )
    assert set(events[0].alpha_grad) == {0.0}


@pytest.mark.parametrize(
    "of_alpha, of_w", [("deterministic", "bernoulli"), ("bernoulli", "deterministic")]
)
def test_each_update_has_gates_of_its_own_kind(of_alpha, of_w):
    """The step of α comes first; drawn gates are 0 and 1, the others are σ(α)."""
    search = search_of(config=replace(CONFIG, alpha_gates=of_alpha, weight_gates=of_w))
    given, forward = [], search.forward
    search.forward = lambda seen, gates, **known: (
        given.append(gates.detach()),
        forward(seen, gates, **known),
    )[1]
    search.step()
    kinds = {True: "bernoulli", False: "deterministic"}
    assert [kinds[bool(((g == 0) | (g == 1)).all())] for g in given] == [of_alpha, of_w]


def test_drawn_gates_train_w_alone():
    """Gates that are drawn alike at each step are fixed gates; others come from the search's own generator."""
    kept = tuple(i % 2 == 0 for i in range(48))
    fixed, drawn = (small_lab() for _ in range(2))
    before = drawn.alphas.alpha.clone()
    first = Search(fixed, CONFIG, Stream(fixed), gates=kept)
    second = Search(drawn, CONFIG, Stream(drawn), draw_gates=lambda generator: kept)
    for event, twin in zip(first, second, strict=True):
        if isinstance(event, Step):
            assert event.loss == twin.loss and set(twin.alpha_grad) == {0.0}
    assert not second.alpha_moves and torch.equal(before, drawn.alphas.alpha)

    seen = []

    def coins(generator):
        seen.append(tuple((torch.rand(48, generator=generator) < 0.5).tolist()))
        return seen[-1]

    for _ in range(2):
        lab = small_lab()
        for _ in Search(lab, CONFIG, Stream(lab), draw_gates=coins):
            pass
    assert len(set(seen)) == 4 and seen[:4] == seen[4:]


def test_a_loss_that_is_no_number_stops_the_search():
    lab = small_lab()
    stream = Stream(lab)

    def spoilt():
        for number, (image, targets) in enumerate(stream):
            yield (image * math.nan if number == 2 else image), targets

    *_, last = Search(lab, CONFIG, spoilt(), Stream(lab, 100))
    assert isinstance(last, Failed) and last.step == 3 and "weight_lr = " in last.message


@pytest.mark.parametrize(
    "turn, words",
    [
        ({"lambda": 3}, "no knob 'lambda'"),
        ({"entropy_weight": math.nan}, "finite number"),
        ({"alpha_lr": -1}, "from 0 up"),
        ({"weight_gates": "softmax"}, "no relaxation"),
        ({"force": {"normals:0 -> segmentation:9": True}}, "no candidate"),
        ({"entropy_weight": True}, "finite number"),
    ],
)
def test_a_wrong_turn_changes_nothing(turn, words):
    search = search_of(config=replace(CONFIG, steps=1))
    with pytest.raises((ConfigError, SpaceError), match=words):
        search.turn(entropy_weight=99.0, **turn) if "entropy_weight" not in turn else search.turn(
            **turn
        )
    assert not any(isinstance(e, Turned) for e in search)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"steps": -1}, "steps = -1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"optimizer": "lion"}, "adam, sgd"),
        ({"alpha_gates": "x"}, "no relaxation"),
        ({"weight_share": 1.0}, "between 0 and 1"),
        ({"alpha_lr": math.nan}, "too small"),
    ],
)
def test_wrong_settings(settings, words):
    with pytest.raises(ConfigError, match=words):
        replace(CONFIG, **settings)


def test_config_round_trip_and_unknown_settings():
    config = replace(CONFIG, entropy_weight=Schedule(3.0, period=(0.1, 0.9)), optimizer="sgd")
    assert SearchConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="no setting lambda"):
        SearchConfig.from_json({"lambda": 1})
    with pytest.raises(ConfigError, match="3 gates for 48"):
        search_of(gates=(True,) * 3)
    with pytest.raises(ConfigError, match="no training data"):
        Search(small_lab(), CONFIG)


class Eights:
    """Batches of eight images."""

    def __init__(self, lab):
        self.lab = lab

    def __iter__(self):
        return self

    def __next__(self):
        image, targets = batch(0, count=8)
        return image, {task: targets[task] for task in self.lab.tasks}


def room_for(images, lab):
    """The lab, as on a device that has memory for so many images at a time."""

    def before(module, given):
        if len(given[0]) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    lab.supernet.register_forward_pre_hook(before)
    return lab


@pytest.mark.parametrize("gates", [None, (True,) * 48], ids=["search", "pretraining and baselines"])
@pytest.mark.parametrize(
    "room, words",
    [
        (5, "batches of 8 images; 4 would fit: batch_size = 4 .*resume"),
        (3, "batch_size = 2 "),
        (0, "1 is too much, too: .*the device cpu"),
    ],
)
def test_a_device_that_is_too_small_says_what_would_fit(room, words, gates):
    lab = room_for(room, small_lab())
    search = Search(lab, replace(CONFIG, batch_size=8), Eights(lab), Eights(lab), gates=gates)
    with pytest.raises(ConfigError, match=f"^cpu has too little memory .*{words}") as caught:
        list(search)
    assert "\n" not in str(caught.value) and search.step_number == 0


def test_several_processes_do_not_try_what_only_all_could():
    lab = room_for(0, small_lab())
    search = Search(lab, replace(CONFIG, batch_size=8), Eights(lab), Eights(lab))
    search.communicator = SimpleNamespace(
        world_size=2,
        all_reduce_mean=lambda tensors: None,
        broadcast=lambda value: value,
        shard=lambda batches: batches,
    )
    with pytest.raises(ConfigError, match="batch_size = 4 "):
        search.attempt()


# --- what comes from outside ------------------------------------------------------------------------------------------
HUGE = 10**400
WRONG_KNOBS = [
    {"entropy_weight": {"x": 1}},
    {"entropy_weight": {"end": -1}},
    {"entropy_weight": {"end": 1, "period": 5}},
    {"entropy_weight": {"end": 1, "self": 1}},
    {"entropy_weight": [1]},
    {"entropy_weight": "3"},
    {"l1_weight": -math.inf},
    {"temperature": math.nan},
    {"temperature": {}},
    {"weight_lr": HUGE},
    {"weight_lr": None},
    {"alpha_lr": {"end": 1}},
    {"alpha_lr": "1"},
    {"alpha_gates": ["a"]},
    {"alpha_gates": {}},
    {"weight_gates": None},
    {"force": 5},
    {"force": None},
    {"force": ["normals:0 -> segmentation:0"]},
    {"force": {"": True}},
    {"force": {5: True}},
    {"force": {"normals:" + "9" * 5_000 + " -> segmentation:0": True}},
    {"force": {"normals:0 -> segmentation:0": "yes"}},
    {"force": {"normals:0 -> segmentation:0": 2}},
    {"force": {"normals:0 -> segmentation:0": []}},
    {"self": 1},
    {"knobs": {}},
    {"": 1},
    {"\x1b[31m\n": 1},
]


@pytest.mark.parametrize("knobs", WRONG_KNOBS, ids=lambda knobs: repr(knobs)[:40])
def test_what_cannot_be_turned_is_a_config_error_of_one_line(knobs):
    search = untouched_search()
    with pytest.raises(ConfigError) as caught:
        search.turn(**knobs)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500 and not search.controls.waiting


def test_what_was_turned_is_kept_as_it_was_then():
    search = search_of()
    force = {str(search.lab.space.edges[3]): True}
    search.turn(force=force)
    force["nonsense"] = object()
    assert [event.knobs for event in search if isinstance(event, Turned)] == [
        {"force": {str(search.lab.space.edges[3]): True}}
    ]


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


def first(state, start):
    return next(name for name in state if name.startswith(start) and state[name].ndim)


def narrow(tensors, start):
    """The state with one value instead of the tensor whose name begins so."""
    name = first(tensors, start)
    return {**tensors, name: tensors[name].reshape(-1)[:1].clone()}


def outside(tensors):
    """A generator that torch takes, though its next number lies behind those that it has."""
    state = tensors["generator"].clone()
    state[8:24] = torch.frombuffer(
        bytearray(
            (600).to_bytes(4, "little") + (1).to_bytes(4, "little") + (600).to_bytes(8, "little")
        ),
        dtype=torch.uint8,
    )
    return {**tensors, "generator": state}


WRONG_STATES = {
    "moments of another shape": lambda t: narrow(t, "weight_optimizer"),
    "moments of alpha": lambda t: narrow(t, "alpha_optimizer"),
    "moments of another type": lambda t: {
        **t,
        "alpha_optimizer.0.exp_avg": t["alpha_optimizer.0.exp_avg"].long(),
    },
    "half of the moments": lambda t: without(t, "weight_optimizer.0.exp_avg_sq"),
    "count that is no number": lambda t: {
        **t,
        "weight_optimizer.0.step": torch.tensor(math.nan),
    },
    "count below 0": lambda t: {**t, "weight_optimizer.0.step": torch.tensor(-1.0)},
    "count of parts": lambda t: {**t, "weight_optimizer.0.step": torch.tensor(1.5)},
    "two counts": lambda t: {**t, "weight_optimizer.0.step": torch.ones(2)},
    "parameter that is not there": lambda t: {**t, "weight_optimizer.9999.step": torch.tensor(1.0)},
    "number that is none": lambda t: {**t, "weight_optimizer.x.step": torch.tensor(1.0)},
    "unknown entry": lambda t: {**t, "weight_optimizer.0.more": torch.ones(1)},
    "unknown tensor": lambda t: {**t, "more": torch.ones(1)},
    "alpha of another shape": lambda t: {**t, "alpha": t["alpha"][:3]},
    "alpha of another type": lambda t: {**t, "alpha": t["alpha"].double()},
    "weights of another shape": lambda t: narrow(t, "supernet."),
    "weights that are missing": lambda t: without(t, first(t, "supernet.")),
    "generator cut short": lambda t: {**t, "generator": t["generator"][:100]},
    "generator that is none": lambda t: {**t, "generator": torch.full_like(t["generator"], 255)},
    "generator that reads outside": outside,
    "no generator": lambda t: without(t, "generator"),
    "noise that is none": lambda t: {**t, "noise": torch.full_like(t["noise"], 255)},
    "noise of another type": lambda t: {**t, "noise": t["noise"].float()},
}


OF_ADAM = [wrong for wrong in WRONG_STATES if "count" in wrong or "half" in wrong]


@pytest.mark.parametrize(
    "optimizer, wrong",
    [("adam", wrong) for wrong in WRONG_STATES]
    + [("sgd", wrong) for wrong in WRONG_STATES if wrong not in OF_ADAM],
)
def test_a_state_with_a_wrong_tensor_is_refused_and_changes_nothing(optimizer, wrong):
    tensors, meta = state_after_a_step(optimizer)
    search = untouched_search(optimizer)
    before = {name: value.clone() for name, value in search.state()[0].items()}
    with pytest.raises(RunError) as caught:
        search.load_state(WRONG_STATES[wrong](tensors), meta)
    assert "\n" not in str(caught.value) and search.refusal(WRONG_STATES[wrong](tensors), meta)
    after = search.state()[0]
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert search.step_number == 0 and not search.refusal(tensors, meta)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": -1},
        {"step": 1.0},
        {"step": True},
        {"step": "1"},
        {"step": None},
        {"step": 5},
        {"step": HUGE},
        {"knobs": 5},
        {"knobs": None},
        {"knobs": ["alpha_lr"]},
        {"knobs": {"force": 5}},
        {"knobs": {"nonsense": 1}},
        {"knobs": {"entropy_weight": "NaN"}},
        {"positions": 5},
        {"positions": None},
        {"positions": [1]},
        {"positions": ["1", 1]},
        {"positions": [-1, 1]},
        {"positions": [1, 2.5]},
        {"positions": [HUGE, 1]},
        {"positions": {"a": 1, "b": 2}},
    ],
    ids=lambda wrong: repr(wrong)[:40],
)
def test_a_state_with_wrong_notes_is_refused_and_changes_nothing(wrong):
    tensors, meta = state_after_a_step()
    search = untouched_search()
    before = search.lab.alphas.alpha.clone()
    for notes in ({**meta, **wrong}, without(meta, next(iter(wrong)))):
        with pytest.raises(RunError, match="this checkpoint"):
            search.load_state(tensors, notes)
    assert torch.equal(before, search.lab.alphas.alpha) and search.step_number == 0
    assert search.weight_batches.position == search.alpha_batches.position == 0


def test_a_state_from_before_the_first_update_is_whole():
    for optimizer in ("adam", "sgd"):
        config = replace(CONFIG, optimizer=optimizer, warm_up=2)
        for steps in (0, 1):
            other, search = search_of(config=config), search_of(config=config)
            for _ in range(steps):
                other.step()
            assert search.load_state(*other.state()) == [] and search.step_number == steps
            assert search.step().loss == other.step().loss


def test_noise_of_another_device_begins_anew_and_says_so():
    other = search_of(small_lab(dropout=0.5))
    other.step()
    tensors, meta = other.state()
    tensors["noise"] = torch.zeros(16, dtype=torch.uint8)  # as a CUDA generator has it
    searches = [search_of(small_lab(dropout=0.5)) for _ in range(2)]
    for search in searches:
        (notice,) = search.load_state(tensors, meta)
        assert "another kind of device than cpu" in notice
    first_events, second_events = ([search.step() for _ in range(2)] for search in searches)
    assert without_time(first_events) == without_time(second_events)


class Careless(torch.nn.Module):
    """A layer that draws without asking for a generator, as networks from elsewhere do."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        if not self.training:
            return x
        if self.how == "F.dropout":
            return torch.nn.functional.dropout(x, 0.3)
        if self.how == "stochastic depth":
            return x * (torch.rand(len(x), 1, 1, 1) < 0.7)
        draw = random.random() if self.how == "python" else np.random.rand()
        return x * draw


CARELESS = {
    "Dropout2d": lambda: torch.nn.Dropout2d(0.3),
    "Dropout": lambda: torch.nn.Dropout(0.3),
    "RReLU": torch.nn.RReLU,
    **{
        how: lambda how=how: Careless(how)
        for how in ("F.dropout", "stochastic depth", "python", "numpy")
    },
}


@pytest.mark.parametrize("how", CARELESS)
def test_resumed_equals_never_stopped_whatever_a_network_draws_from(how):
    def make():
        lab = small_lab()
        for backbone in lab.supernet.backbones.values():
            backbone.stages[2].append(CARELESS[how]())
        return search_of(lab)

    expected = without_time(make())
    start, found = make(), []
    for event in start:
        found.append(event)
        if start.step_number == 2 and isinstance(event, Step):
            break
    kept = {name: value.clone() for name, value in start.state()[0].items()}, start.state()[1]
    torch.rand(7), random.random(), np.random.rand(3)  # somebody else draws, too
    again = make()
    again.load_state(*kept)
    before = torch.get_rng_state(), random.getstate()
    found += again
    assert without_time(found) == expected
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert len({event.loss["normals"] for event in expected if isinstance(event, Step)}) == 4


def test_the_layers_of_the_lab_draw_from_no_global_generator():
    """So nothing of their searches touches the generators of whoever runs one beside his own work."""
    assert not may_draw(small_lab(dropout=0.5).supernet) and not search_of().passes.draws
    for layer in (torch.nn.Dropout(0.1), torch.nn.RReLU(), Careless("python")):
        assert may_draw(torch.nn.Sequential(torch.nn.ReLU(), layer))


WRONG_SETTINGS = {
    "entropy_weight": [math.nan, math.inf, -1, -50.0, "1", None, [], {}, {"end": math.nan}, HUGE],
    "l1_weight": [math.nan, -0.1, True, {"end": 1, "start": "x"}, {"end": 1, "power": -1}],
    "temperature": [math.inf, -1, {"end": 1, "period": [0.5]}, {"end": 1, "after": "x"}, "x"],
    "steps": [-1, 1.5, math.nan, math.inf, "500", None, True, [], HUGE],
    "batch_size": [0, -1, 2.5, "8", None, math.nan, False],
    "seed": [10**30, -(10**30), 0.5, "0", None, HUGE],
    "warm_up": [-1, 0.5, "x"],
    "evaluate_every": [-1, 0.5, None],
    "edge_budget": [-1, 0.5, None],
    "close_below": [0.5, 1, -0.01, math.nan, "0.01", None],
    "freeze": ["yes", None],
    "visibility": [0.5, {"normals": 1.1}, {"normals": -0.1}, {"normals": "half"}, {3: 0.5}],
    "weight_lr": [math.nan, math.inf, -1e-9, "0.1", None, True, [1], HUGE],
    "alpha_lr": [math.nan, math.inf, -1, "x"],
    "weight_decay": [math.nan, -1, "x"],
    "alpha_weight_decay": [math.inf, -1, None],
    "momentum": [math.nan, 1.5, -0.1, None],
    "lr_power": [math.nan, -1, "x"],
    "fusion_lr_factor": [math.nan, -1],
    "last_weight_lr_factor": [math.inf, []],
    "last_bias_lr_factor": [-math.inf, {}],
    "alpha_betas": [5, "ab", [0.5], [0.5, 1.0], [0.5, math.nan], [-0.1, 0.9], None],
    "alpha_gates": [None, 5, ["a"], {}, "softmax"],
    "weight_gates": [[], ""],
    "optimizer": [None, [], "lion", 5],
    "precision": [None, {}, "fp8"],
    "compile": [None, 5, [], "zz", "inductor\n"],
    "weight_share": [0, 1, math.nan, -1, "x", None, 2],
    "redraw": ["no", None, 2, []],
    "augment": ["yes", None],
    "l1_by_cost": [3, "x"],
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_every_setting_is_checked_where_settings_are_made(name):
    for value in WRONG_SETTINGS[name]:
        for make in (
            lambda value=value: SearchConfig(**{name: value}),
            lambda value=value: replace(CONFIG, **{name: value}),
            lambda value=value: SearchConfig.from_json({**CONFIG.to_json(), name: value}),
        ):
            with pytest.raises(ConfigError) as caught:
                make()
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_there_is_a_wrong_value_for_every_setting():
    assert set(WRONG_SETTINGS) == set(CONFIG.to_json())


@pytest.mark.parametrize("settings", [5, None, "x", [], {5: 1}, {"\x1b[31m": 1}])
def test_what_are_no_settings_are_refused(settings):
    with pytest.raises(ConfigError):
        SearchConfig.from_json(settings if settings != [] else [1])


def test_numbers_of_other_libraries_are_numbers():
    config = SearchConfig(steps=np.int64(3), entropy_weight=np.float32(0.5), weight_lr=1, seed=5.0)
    assert (config.steps, config.seed) == (3, 5) and type(config.steps) is type(config.seed) is int
    assert config.entropy_weight == Schedule(0.5, 0.5) and json.dumps(config.to_json())


def test_batches_that_are_given_later_are_what_the_search_sees():
    search = search_of()
    image, targets = next(search.weight_batches)
    search.weight_batches = iter([(image, targets)])
    search.alpha_batches = iter([(2 * image, targets)])
    seen, _ = next(search.seen_by_weights)
    twice, _ = next(search.seen_by_alpha)
    assert torch.equal(seen, image) and torch.equal(twice, 2 * image)
    with pytest.raises(StopIteration):
        search.step()


def after_a_step(**options):
    """α's gradient as the optimiser sees it, and as the tasks ask for it, at α that are not 0."""
    lab = small_lab()
    config = replace(CONFIG, entropy_weight=2.0, l1_weight=3.0, alpha_gates="deterministic")
    search = search_of(lab, config, **options)
    report = search.step()
    return lab.alphas.alpha.grad.clone(), torch.tensor(report.alpha_grad), search.objective


def test_penalties_count_edges_by_their_factors():
    """Entropy on some edges and L1 on others: the gradient is what the formulas give by hand, edge by edge."""
    lab = small_lab()
    alpha = lab.alphas.alpha.detach().clone()
    chosen = torch.tensor([edge.target.task == "segmentation" for edge in lab.space.edges])
    ours = {"entropy_factors": (2.0 * ~chosen).tolist(), "l1_factors": (2.0 * chosen).tolist()}
    total, tasks, objective = after_a_step(**ours)
    p = torch.sigmoid(alpha)
    by_hand = torch.where(chosen, 3.0 * p * (1 - p), -2.0 * alpha * p * (1 - p)) / chosen.sum()
    assert torch.allclose(total - tasks, by_hand, atol=1e-6)

    nats = -p * p.log() - (1 - p) * (1 - p).log()
    plain, _, everywhere = after_a_step()
    penalty = 2 * nats[~chosen].mean() + 3 * p[chosen].mean()
    of_all = 2 * nats.mean() + 3 * p.mean()
    assert torch.allclose(objective - penalty, everywhere - of_all, atol=1e-5)


def test_factors_of_one_change_nothing():
    ones = [1.0] * 48
    given = after_a_step(entropy_factors=ones, l1_factors=ones)
    for one, other in zip(given, after_a_step()):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["entropy_factors", "l1_factors"])
def test_factors_that_cannot_be(name):
    with pytest.raises(ConfigError, match=f"{name}: 2 numbers for 48 candidate edges"):
        search_of(**{name: [1.0, 1.0]})
    with pytest.raises(ConfigError, match="too small"):
        search_of(**{name: [-1.0] * 48})


def test_l1_by_cost_and_factors_multiply():
    factors = [0.5] * 48
    search = search_of(config=replace(CONFIG, l1_by_cost=True), l1_factors=factors)
    assert torch.allclose(search.costs, 0.5 * torch.tensor(search.lab.space.costs))


def test_who_steps_on_after_the_end_learns_no_more():
    lab = small_lab()
    search = Search(lab, SearchConfig(steps=1, lr_power=0.9), Stream(lab), Stream(lab, first=10))
    search.step()
    before = [weight.detach().clone() for weight in lab.supernet.parameters()]
    for _ in range(2):
        search.step()
        assert {group["lr"] for group in search.weight_optimizer.param_groups} == {0.0}
    assert all(map(torch.equal, lab.supernet.parameters(), before))
