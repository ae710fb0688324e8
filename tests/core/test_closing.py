"""Edges whose gates stay low are shut for good: counted, not computed, told, kept in a checkpoint, and free to be opened again."""

from dataclasses import replace

import pytest
import torch
from helpers import Stream, batch, small_lab

from mtlnas_lab.core.closing import PATIENCE, Closing
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Step, Turned
from mtlnas_lab.core.fusion import NDDR, ResidualFusion
from mtlnas_lab.core.search import Search
from mtlnas_lab.errors import RunError

LOW = (3, 10)  # edges whose gates stay below 0.01
CONFIG = SearchConfig(steps=PATIENCE + 4, alpha_lr=0.0, close_below=0.01)


def search_with_low_edges(**settings):
    """α stands still: a search of 24 steps in which two gates are low."""
    lab = small_lab()
    with torch.no_grad():
        lab.alphas.alpha.clamp_(-1, 1)
        lab.alphas.alpha[list(LOW)] = -6.0
    return Search(lab, replace(CONFIG, **settings), Stream(lab, 0), Stream(lab, 100))


def test_steps_count_without_a_break():
    closing = Closing(0.25, 3)
    for _ in range(PATIENCE - 1):
        closing.see([-2.0, -1.0, -2.0], {2: True})
    assert closing.due == [] and closing.low_for == [PATIENCE - 1, 0, 0]
    closing.see([-2.0, -2.0, -2.0], {})
    assert closing.due == [0] and closing.low_for == [PATIENCE, 1, 1]
    closing.see([0.0, -2.0, -2.0], {})
    assert closing.due == [] and closing.low_for == [0, 2, 2]


def test_0_closes_nothing():
    assert [e for e in search_with_low_edges(close_below=0.0) if isinstance(e, Turned)] == []


def test_an_edge_that_stays_low_is_shut_and_told():
    search = search_with_low_edges()
    (told,) = [event for event in search if isinstance(event, Turned)]
    names = [str(search.lab.space.edges[i]) for i in LOW]
    assert told.step == PATIENCE + 1 and told.knobs == {"force": dict.fromkeys(names, False)}
    assert search.forced == dict.fromkeys(LOW, False)


def test_who_sets_it_free_has_it_for_another_while():
    search = search_with_low_edges()
    free = {search.lab.space.edges[LOW[0]]: None}
    for event in search:
        if isinstance(event, Step) and event.step == PATIENCE + 2:
            search.turn(force=free)
    assert search.forced == {LOW[1]: False}
    assert search.closing.low_for[LOW[0]] == 2


@pytest.mark.parametrize("fusion", [NDDR, ResidualFusion])
def test_what_is_known_to_be_closed_is_not_computed_and_changes_nothing(fusion):
    lab = small_lab(fusion=fusion, dtype=torch.float64)
    with torch.no_grad():
        for parameter in lab.supernet.fusion.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    closed = [i for i in range(len(lab.space)) if i % 3]
    image, _ = batch(0, dtype=torch.float64)
    found = []
    for known in ((), closed):
        gates = torch.sigmoid(lab.alphas.alpha)
        gates = gates.index_copy(0, torch.tensor(closed), gates.new_zeros(len(closed)))
        outputs = lab.supernet(image, gates, closed=known)
        loss = sum(output.square().mean() for output in outputs.values())
        weights = [lab.alphas.alpha, *lab.supernet.parameters()]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        found.append([loss, *gradients])
    for plain, spared in zip(*found):
        assert torch.allclose(plain, spared, rtol=1e-10, atol=1e-10)


def test_a_shut_edge_reaches_no_fusion():
    search = search_with_low_edges()
    absent = []
    edge = search.lab.space.edges[LOW[0]]
    fuse = search.lab.supernet.fusion[str(edge.target)]
    place = search.lab.space.into(edge.target).index(LOW[0])
    fuse.register_forward_pre_hook(lambda module, given: absent.append(given[1][place] is None))
    for event in search:
        if isinstance(event, Step) and event.step == PATIENCE:
            assert absent and not any(absent)
            absent.clear()
    assert absent and all(absent)


@pytest.mark.parametrize("stop", [PATIENCE - 1, PATIENCE, PATIENCE + 1])
def test_resumed_equals_never_stopped(stop):
    whole = search_with_low_edges()
    expected = [event for event in whole if isinstance(event, Step | Turned)]
    first = search_with_low_edges()
    found = []
    for event in first:
        if isinstance(event, Step | Turned):
            found.append(event)
        if isinstance(event, Step) and event.step == stop:
            break
    tensors, meta = first.state()
    second = search_with_low_edges()
    second.load_state({name: tensor.clone() for name, tensor in tensors.items()}, meta)
    found += [event for event in second if isinstance(event, Step | Turned)]
    plain = [replace(event, seconds=0.0) if isinstance(event, Step) else event for event in found]
    wanted = [
        replace(event, seconds=0.0) if isinstance(event, Step) else event for event in expected
    ]
    assert plain == wanted


def test_a_state_from_before_there_were_counts_begins_at_0_and_a_damaged_one_is_refused():
    search = search_with_low_edges()
    search.step()
    tensors, meta = search.state()
    older = {name: value for name, value in meta.items() if name != "low_for"}
    search.load_state(tensors, older)
    assert set(search.closing.low_for) == {0}
    for damaged in ([1], "many", [-1] * 48, [0.5] * 48):
        with pytest.raises(RunError, match="low_for"):
            search.load_state(tensors, meta | {"low_for": damaged})
        assert "low_for" in search.refusal(tensors, meta | {"low_for": damaged})
