import pytest
import torch
from helpers import Stream, batch, small_lab

from mtlnas_lab.analysis.edge_importance import (
    TOGETHER,
    _flipped_losses,
    ablate,
    edge_costs,
    mean_loss,
)
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.evaluate import discretization_gap, evaluate, recalibrated, trivial
from mtlnas_lab.core.search import Search, SearchConfig
from mtlnas_lab.data.views import View
from mtlnas_lab.models.pruned import operations


def batches(lab, numbers=(0, 1)):
    return [
        (image, {task: targets[task] for task in lab.tasks})
        for image, targets in map(batch, numbers)
    ]


def test_scores_are_pooled_over_images_not_averaged_over_batches():
    lab = small_lab()
    image, targets = batches(lab, [0])[0]
    parts = [
        (image[:1], {k: v[:1] for k, v in targets.items()}),
        (image[1:], {k: v[1:] for k, v in targets.items()}),
    ]
    kept = lab.derive().kept
    together, apart = (
        evaluate(lab.supernet, kept, lab.tasks, b) for b in ([(image, targets)], parts)
    )
    for task, metrics in together.items():
        assert apart[task] == pytest.approx(metrics, rel=1e-5)
    assert set(together["segmentation"]) == {"miou", "pixel_accuracy"}
    assert set(together["normals"]) >= {
        "mean_angle",
        "median_angle",
        "rmse_angle",
        "within_11",
        "within_22",
        "within_30",
    }


def test_evaluation_changes_nothing():
    lab = small_lab(dropout=0.5)
    lab.supernet.train()
    before = {name: value.clone() for name, value in lab.supernet.state_dict().items()}
    gaps = discretization_gap(lab, lambda: batches(lab), lambda: batches(lab, (2, 3)))
    assert set(gaps) == {"soft", "hard", "hard_recalibrated"} and lab.supernet.training
    assert all(
        torch.equal(before[name], value) for name, value in lab.supernet.state_dict().items()
    )
    assert gaps["hard"] != gaps["hard_recalibrated"]


def test_recalibrated_statistics_are_plain_averages_under_the_gates():
    """Of two batches, counted equally, at the first node (whose inputs no other batch norm has touched in between)."""
    lab = small_lab(dtype=torch.float64)
    kept, images = lab.derive().kept, [batch(number, dtype=torch.float64)[0] for number in (0, 1)]
    first = lab.supernet.backbones["normals"].stages[0]
    maps = [first[0](image) for image in images]
    with recalibrated(lab.supernet, kept, [(image, {}) for image in images]) as network:
        assert torch.allclose(first[1].running_mean, sum(m.mean((0, 2, 3)) for m in maps) / 2)
        assert torch.allclose(first[1].running_var, sum(m.var((0, 2, 3)) for m in maps) / 2)
        assert all(
            int(m.num_batches_tracked) == 2
            for m in network.modules()
            if hasattr(m, "num_batches_tracked")
        )
    assert (
        torch.equal(first[1].running_mean, torch.zeros(4, dtype=torch.float64))
        and first[1].momentum == 0.05
    )


def test_no_gap_where_gates_are_already_hard():
    lab = small_lab()
    lab.alphas.alpha.data = lab.alphas.alpha.data.sign() * 40
    gaps = discretization_gap(lab, lambda: batches(lab), lambda: batches(lab))
    for task, metrics in gaps["soft"].items():
        assert gaps["hard"][task] == pytest.approx(metrics, rel=1e-4)


def test_trained_beats_trivial_on_what_it_was_trained_on():
    lab = small_lab(widths=(8,) * 5)
    list(Search(lab, SearchConfig(steps=60, weight_lr=5e-3), Stream(lab), gates=lab.derive().kept))
    scores = evaluate(lab.supernet, lab.derive().kept, lab.tasks, batches(lab))
    lazy = trivial(lab.tasks, batches(lab, range(4)), batches(lab, [17, 18]))
    assert set(lazy) == set(lab.tasks) and 0.1 < lazy["segmentation"]["pixel_accuracy"] < 0.35
    assert scores["normals"]["mean_angle"] < 90


def changes_one_by_one(lab, architecture, batches):
    """What `ablate` gives, by a whole evaluation for each edge."""
    whole = evaluate(lab.supernet, architecture.kept, lab.tasks, batches())
    changes = {}
    for i, edge in enumerate(lab.space.edges):
        if architecture.kept[i]:
            scores = evaluate(lab.supernet, architecture.flipped(i), lab.tasks, batches())
            changes[str(edge)] = {
                task: {name: value - whole[task][name] for name, value in metrics.items()}
                for task, metrics in scores.items()
            }
    return changes


def test_an_ablation_takes_one_edge_away_at_a_time():
    lab, asked, passes = small_lab(dropout=0.5), [], []
    lab.supernet.train()
    few = Architecture(lab.space, [i in (3, 20, 40) for i in range(48)])

    def through(each):
        for number in each:
            passes.append(number)
            yield number

    changes = ablate(lab, few, lambda: asked.append(1) or batches(lab), through)
    assert list(changes) == [str(edge) for edge in few.edges] and lab.supernet.training
    assert len(asked) == 2  # with all edges, and once for the three
    assert sorted(passes) == [3, 3, 20, 20, 40, 40]
    assert changes == changes_one_by_one(lab, few, lambda: batches(lab))
    assert any(
        change for metrics in changes.values() for of in metrics.values() for change in of.values()
    )
    assert ablate(lab, Architecture(lab.space, (False,) * 48), lambda: batches(lab)) == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tasks", [2, 3])
def test_an_ablation_of_many_edges_is_to_the_bit_what_whole_evaluations_say(tasks, dtype):
    lab = small_lab(tasks, dtype=dtype)
    lab.views = {"segmentation": View("noisy", 0.5)}
    lab.visibility = {"normals": 0.25}
    made = [batch(number, count=1, dtype=dtype) for number in (0, 1)]
    found = lab.derive(budget=TOGETHER + 3)  # not all in one go

    def seen():
        return lab.seen(made)  # noise is drawn anew, the same

    assert ablate(lab, found, seen) == changes_one_by_one(lab, found, seen)
    losses = _flipped_losses(lab, found, seen())
    for i in range(0, len(lab.space), 5):
        assert losses[i] == mean_loss(lab, found.flipped(i), seen())


def test_edge_costs_are_the_operations_that_go_with_an_edge():
    lab, pixels, (image, _) = small_lab(), {}, batch(0)
    few = Architecture(lab.space, [i in (3, 20, 40) for i in range(48)])
    lab.supernet.eval()
    lab.supernet(image[:1], few.kept, lambda node, maps: pixels.update({node: maps[0, 0].numel()}))
    total = operations(lab.supernet, image[:1], few.kept)
    for edge, (name, cost) in zip(few.edges, edge_costs(lab, few, image[:1]).items()):
        columns = lab.space.stage(edge.source).channels * lab.space.stage(edge.target).channels
        assert name == str(edge) and cost * total == pytest.approx(
            columns * pixels[edge.target]
        )  # of its 1×1 weights
