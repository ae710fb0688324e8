"""A knob covers one network's eyes: what the search then does, keeps and goes on with."""

from dataclasses import replace

import pytest
import torch

from mtlnas_lab import Schedule, Search, SearchConfig, derive, presets
from mtlnas_lab.core.events import Turned
from mtlnas_lab.errors import ConfigError

CONFIG = SearchConfig(steps=6, batch_size=2, alpha_lr=0.05)


def looked(search, monkeypatch):
    """What the search's network is given from now on."""
    seen = []
    forward = search.forward

    def spy(image, gates):
        seen.append(image)
        return forward(image, gates)

    monkeypatch.setattr(search, "forward", spy)
    return seen


def test_it_is_a_knob_like_any_other(monkeypatch):
    search = Search(presets.tiny(), CONFIG)
    seen = looked(search, monkeypatch)
    steps = iter(search)
    next(steps), next(steps)
    assert all(isinstance(image, torch.Tensor) for image in seen)
    search.turn(visibility={"segmentation": 0.2})
    turned = next(steps)
    assert turned == Turned(step=2, knobs={"visibility": {"segmentation": 0.2}})
    seen.clear()
    next(steps)
    for image in seen:
        assert not torch.equal(image["segmentation"], image["normals"])
    search.turn(visibility={"normals": 0})
    next(steps)
    assert search.current("visibility") == {"segmentation": 0.2, "normals": 0.0}
    search.turn(visibility={"normals": 1, "segmentation": 1})
    next(steps)
    next(steps)  # Turned, and the step before it
    seen.clear()
    next(steps)
    assert all(isinstance(image, torch.Tensor) for image in seen)


def test_a_schedule_covers_slowly():
    ramp = Schedule(0.0, start=1.0, period=(0.0, 1.0))
    search = Search(presets.tiny(), replace(CONFIG, visibility={"normals": ramp}))
    found = []
    for _ in range(3):
        found.append(search.current("visibility")["normals"])
        search.step()
        assert search.lab.visibility == search.current("visibility")
    assert found == pytest.approx([1, 5 / 6, 4 / 6])


@pytest.mark.parametrize("visibility", [{"walls": 0.5}, {"normals": 1.5}, {"normals": None}, 0.5])
def test_what_cannot_be_is_refused_and_changes_nothing(visibility):
    search = Search(presets.tiny(), CONFIG)
    with pytest.raises(ConfigError, match="visibility"):
        search.turn(visibility=visibility)
    assert not search.controls.waiting
    with pytest.raises(ConfigError, match="visibility"):
        Search(presets.tiny(), replace(CONFIG, visibility=visibility))


def test_resumed_equals_never_stopped():
    config = replace(CONFIG, visibility={"segmentation": 0.0})
    whole = Search(presets.tiny(), config)
    expected = list(whole)
    first = Search(presets.tiny(), config)
    events = iter(first)
    for _ in range(4):
        next(events)
    tensors, meta = first.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    second = Search(presets.tiny(), config)
    second.turn(visibility={"normals": 0.3})  # which the state does not know
    second.load_state(tensors, meta)
    assert second.lab.visibility == {"segmentation": 0.0}
    for event, same in zip(second, expected[4:]):
        if hasattr(event, "alpha"):
            assert event.alpha == same.alpha and event.loss == same.loss
    assert torch.equal(second.lab.alphas.alpha, whole.lab.alphas.alpha)


def test_what_is_frozen_stays():
    lab = presets.tiny()
    before = {name: value.clone() for name, value in lab.supernet.state_dict().items()}
    search = Search(lab, replace(CONFIG, freeze=True, steps=2))
    list(search)
    changed = [n for n, v in lab.supernet.state_dict().items() if not torch.equal(v, before[n])]
    assert changed and not [name for name in changed if ".stages." in name], (
        "weights and statistics"
    )
    assert [n for n in changed if n.startswith("fusion")] and [n for n in changed if ".head." in n]
    for name, parameter in lab.supernet.named_parameters():
        assert parameter.requires_grad, f"{name} may learn again in the next search"


def test_a_budget_keeps_the_largest():
    lab = presets.tiny()
    search = Search(lab, replace(CONFIG, edge_budget=4, steps=1))
    search.step()
    alpha = lab.alphas.alpha.detach()
    found = search.architecture()
    assert len(found) == 4
    kept = torch.tensor(found.kept)
    assert alpha[kept].min() >= alpha[~kept].max()
    by_worth = derive(lab.space, alpha, 2, worth=list(range(48)))
    assert [i for i, keep in enumerate(by_worth.kept) if keep] == [46, 47]
    for budget, worth, words in (
        (49, None, "budget = 49"),
        (0, [0.0] * 48, "give budget"),
        (2, [0.0] * 3, "3 values to choose 48"),
    ):
        with pytest.raises(ConfigError, match=words):
            derive(lab.space, alpha, budget, worth)
    with pytest.raises(ConfigError, match="only 48 candidate edges"):
        Search(lab, replace(CONFIG, edge_budget=49))
