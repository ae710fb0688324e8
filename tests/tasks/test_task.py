"""Losses, metrics, trivial baselines and pictures of each kind of task."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import Stream, batch, small_lab

from mtlnas_lab.core.events import Started, Step
from mtlnas_lab.core.search import Search, SearchConfig
from mtlnas_lab.errors import RunError, TaskError
from mtlnas_lab.runs.event_file import encode, read_lines
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.tasks.colormap import palette
from mtlnas_lab.tasks.task import (
    HIGHER_IS_BETTER,
    IGNORE,
    KINDS,
    Classification,
    Depth,
    Edges,
    Normals,
    Segmentation,
    make_task,
)
from mtlnas_lab.viz.curves import plot_losses

GOLDEN = Path(__file__).parents[1] / "golden" / "mtlnas_vgg16_narrow.npz"


@pytest.fixture
def random():
    return torch.Generator().manual_seed(1)


def outputs_and_target(task, random, count=3, size=(9, 11), small=(4, 5)):
    """A random output and a partly unlabelled target of this task."""
    holes = torch.rand(count, *size, generator=random) < 0.3
    output = torch.randn(count, task.channels, *(small if task.dense else ()), generator=random)
    if isinstance(task, Segmentation):
        target = torch.randint(task.channels, (count, *size), generator=random).masked_fill(
            holes, IGNORE
        )
    elif isinstance(task, Normals):
        target = (
            F.normalize(torch.randn(count, 3, *size, generator=random), dim=1) * ~holes[:, None]
        )
    elif isinstance(task, Depth):
        target = (1 + 5 * torch.rand(count, 1, *size, generator=random)) * ~holes[:, None]
    elif isinstance(task, Edges):
        target = (
            (torch.rand(count, 1, *size, generator=random) < 0.2)
            .byte()
            .masked_fill(holes[:, None], IGNORE)
        )
    else:
        target = torch.randint(-1, task.channels, (count,), generator=random)
    return output, target


def unlabelled(task, target):
    return torch.full_like(
        target, {Segmentation: IGNORE, Edges: IGNORE, Classification: -1}.get(type(task), 0)
    )


ALL = [Segmentation("seg13", 13), Normals(), Depth(), Edges(), Classification("scene", 10)]
each_task = pytest.mark.parametrize("task", ALL, ids=lambda task: task.name)


def scores(task, *batches):
    meter = task.meter()
    for output, target in batches:
        meter.update(output, target)
    return meter.compute()


# --- losses -----------------------------------------------------------------------------------------------------------
def test_losses_are_the_released_ones():
    golden = np.load(GOLDEN)
    seg = torch.from_numpy(golden["seg"])[:, 0].long()
    normal = torch.from_numpy(golden["normal"]).double()
    normal = torch.where((normal == 255).all(1, keepdim=True), 0, normal)
    loss1 = Segmentation("segmentation", 13).loss(torch.from_numpy(golden["train/out1"]), seg)
    loss2 = Normals().loss(torch.from_numpy(golden["train/out2"]), normal)
    assert loss1.dtype == loss2.dtype == torch.float64
    assert (
        abs(loss1.item() - golden["train/loss1"]) < 1e-12
        and abs(loss2.item() - golden["train/loss2"]) < 1e-12
    )


@each_task
def test_loss_is_a_finite_scalar_of_the_labelled_part(task, random):
    output, target = outputs_and_target(task, random)
    loss = task.loss(output.requires_grad_(), target)
    assert loss.shape == () and loss.item() > 0
    loss.backward()
    assert output.grad.isfinite().all() and output.grad.abs().sum() > 0


@each_task
def test_a_batch_without_labels_costs_nothing_and_pulls_nowhere(task, random):
    output, target = outputs_and_target(task, random)
    loss = task.loss(output.requires_grad_(), unlabelled(task, target))
    loss.backward()
    assert loss.item() == 0 and output.grad.abs().max() == 0


@each_task
def test_what_is_unlabelled_does_not_count(task, random):
    output, target = outputs_and_target(task, random, small=(9, 11))
    target[1:] = unlabelled(task, target)[1:]
    if not task.dense:
        target[0] = 1
    assert torch.allclose(task.loss(output, target), task.loss(output[:1], target[:1]))
    assert scores(task, (output, target)) == pytest.approx(
        scores(task, (output[:1], target[:1])), nan_ok=True
    )


@each_task
def test_precision_follows_the_output(task, random):
    output, target = outputs_and_target(task, random)
    exact = task.loss(output.double(), target.double() if target.is_floating_point() else target)
    assert exact.dtype == torch.float64 and task.loss(output, target).dtype == torch.float32
    assert task.loss(output.bfloat16(), target).dtype == torch.float32
    assert torch.allclose(task.loss(output, target).double(), exact, atol=1e-5)


def test_segmentation_loss_is_cross_entropy_after_aligned_upsampling(random):
    output, target = outputs_and_target(ALL[0], random)
    large = F.interpolate(output, target.shape[1:], mode="bilinear", align_corners=True)
    assert torch.allclose(
        ALL[0].loss(output, target), F.cross_entropy(large, target, ignore_index=IGNORE)
    )


def test_normals_loss_is_one_minus_cosine_and_survives_a_zero_output():
    target = torch.zeros(1, 3, 1, 3)
    target[0, 2] = torch.tensor([-1.0, -1.0, 0.0])  # two labelled pixels
    output = torch.zeros(1, 3, 1, 3, requires_grad=True)
    with torch.no_grad():
        output[0, :, 0, 0] = torch.tensor(
            [0.0, 3.0, -3.0]
        )  # 45 degrees off; the other two stay zero
    loss = Normals().loss(output, target)
    loss.backward()
    assert loss.item() == pytest.approx(1 - math.sqrt(0.5) / 2)
    assert output.grad.isfinite().all()


def test_edges_are_balanced_or_weighted_as_asked():
    target = torch.zeros(1, 1, 1, 5, dtype=torch.uint8)
    target[..., 0], target[..., 4] = 1, IGNORE
    output = torch.tensor([1.0, -1, 0, 2, 9]).view(1, 1, 1, 5)
    on, off = F.softplus(torch.tensor(-1.0)), F.softplus(torch.tensor([-1.0, 0, 2]))
    assert Edges().loss(output, target).item() == pytest.approx(((on + off.mean()) / 2).item())
    assert Edges(positive_weight=1.0).loss(output, target).item() == pytest.approx(
        ((on + off.sum()) / 4).item()
    )
    assert Edges(positive_weight=7.0).loss(0 * output, target).item() == pytest.approx(math.log(2))


def test_soft_labels_cost_squared_distance():
    task = Classification("room", 3, soft=True)
    output, target = (
        torch.zeros(2, 3),
        torch.tensor([[1.0, 0, 0], [0, 0, 0]]),
    )  # the second is unknown
    assert task.loss(output, target).item() == pytest.approx((4 / 9 + 1 / 9 + 1 / 9) / 3)
    assert scores(task, (torch.eye(3)[:2], target)) == {"top1": 1.0, "top5": 1.0}


# --- metrics ----------------------------------------------------------------------------------------------------------
def test_segmentation_metrics_are_pooled_over_images(random):
    skip, zero = Segmentation("seg13", 5), Segmentation("seg13", 5, absent="zero")
    batches = [
        (torch.randn(n, 5, 6, 7, generator=random), torch.randint(4, (n, 6, 7), generator=random))
        for n in (1, 4)
    ]
    for output, target in batches:
        output[:, 4] = -99  # nobody sees or says class 4
        target[0, 0] = IGNORE
    truth = torch.cat([t.flatten() for _, t in batches]).numpy()
    said = torch.cat([o.argmax(1).flatten() for o, _ in batches]).numpy()[truth != IGNORE]
    truth = truth[truth != IGNORE]
    iou = [(truth[said == c] == c).sum() / ((truth == c) | (said == c)).sum() for c in range(4)]
    assert scores(skip, *batches) == pytest.approx(
        {"miou": np.mean(iou), "pixel_accuracy": (truth == said).mean()}
    )
    assert scores(zero, *batches)["miou"] == pytest.approx(np.sum(iou) / 5)


@pytest.mark.parametrize("count", [4, 5])
def test_angles_are_true_angles_with_a_true_median(count):
    degrees = torch.tensor([0.0, 11.0, 22.6, 44.0, 91.0])[:count].double()
    target = torch.tensor([0.0, 0, -1]).double().view(1, 3, 1, 1).repeat(1, 1, 1, count + 1)
    target[..., -1] = 0  # no label there
    output = torch.zeros(1, 3, 1, count + 1).double()
    output[0, 0, 0, :count], output[0, 2, 0, :count] = (
        7 * degrees.deg2rad().sin(),
        -7 * degrees.deg2rad().cos(),
    )
    found = scores(Normals(thresholds=(11.25, 22.5, 30, 45)), (output, target))
    a = degrees.numpy()
    assert found == pytest.approx(
        {
            "mean_angle": a.mean(),
            "median_angle": np.median(a),
            "rmse_angle": math.sqrt((a**2).mean()),
            "within_11": 2 / count,
            "within_22": 2 / count,
            "within_30": 3 / count,
            "within_45": 4 / count,
        },
        abs=1e-5,
    )


def test_a_network_that_answers_nan_is_not_mistaken_for_unlabelled(random):
    output, target = outputs_and_target(Normals(), random)
    output[0] = math.nan
    assert math.isnan(scores(Normals(), (output, target))["mean_angle"])


def test_depth_metrics():
    target = torch.tensor([2.0, 4.0, 1.0, 0.0, 1.0]).view(1, 1, 1, 5)
    output = torch.tensor([2.4, 3.0, -3.0, 50.0, 1.0]).view(1, 1, 1, 5)
    assert scores(Depth(), (output, target), (output[..., :1], target[..., :1])) == pytest.approx(
        {
            "absolute": (0.4 + 1 + 4 + 0 + 0.4) / 5,
            "relative": (0.2 + 0.25 + 4 + 0 + 0.2) / 5,
            "delta1": 3 / 5,
        }
    )


def test_edge_metrics():
    target = torch.tensor([1, 1, 0, 0, IGNORE], dtype=torch.uint8).view(1, 1, 1, 5)
    output = torch.tensor([3.0, -2.0, 1.0, -3.0, 9.0]).view(1, 1, 1, 5)
    found = scores(Edges(), (output, target))  # order: edge, none, edge, none
    assert found == pytest.approx({"f1": 0.5, "ap": 0.5 * 1 + 0.5 * 2 / 3})


def test_classification_metrics_ignore_the_unknown():
    output = torch.eye(7)[[0, 1, 2, 3]] - torch.arange(7) / 100  # order of the rest: 0, 1, 2, ...
    target = torch.tensor([0, 3, 6, -1])
    assert scores(Classification("scene", 7), (output, target)) == pytest.approx(
        {"top1": 1 / 3, "top5": 2 / 3}
    )
    assert scores(Classification("usage", 2), (torch.eye(2), torch.tensor([1, 1]))) == {
        "top1": 0.5,
        "top5": 1.0,
    }


@each_task
def test_no_label_gives_no_number(task, random):
    output, target = outputs_and_target(task, random)
    for batches in ((), ((output, unlabelled(task, target)),)):
        found = scores(task, *batches)
        assert found.keys() <= HIGHER_IS_BETTER.keys() and all(
            math.isnan(value) for value in found.values()
        )


@each_task
def test_an_output_of_the_wrong_width_is_refused(task, random):
    output, target = outputs_and_target(task, random)
    for bad in (
        torch.cat([output, output], 1),
        output.repeat(2, *[1] * (output.ndim - 1)),
        output.flatten(),
    ):
        with pytest.raises(TaskError, match="channels"):
            task.loss(bad, target)


# --- trivial baselines ------------------------------------------------------------------------------------------------
@each_task
def test_the_constant_is_an_output_for_any_batch(task, random):
    _, target = outputs_and_target(task, random, count=20)
    constant = task.constant(target)
    assert (
        constant.shape == (1, task.channels, *((9, 11) if task.dense else ()))
        and constant.isfinite().all()
    )
    found = scores(task, (constant, target[:7]), (constant, target[7:]))
    assert all(math.isfinite(value) for value in found.values())


def test_constants_are_the_best_that_ignores_the_image():
    seg = torch.tensor([[0, 1, IGNORE], [0, 2, IGNORE], [1, 2, IGNORE]])[
        :, None
    ]  # (3 images, 1, 3)
    assert Segmentation("seg13", 3).constant(seg).argmax(1).tolist() == [[[0, 2, 0]]]
    depth = torch.tensor([[1.0, 0, 3], [5, 0, 0], [2, 0, 4]]).view(3, 1, 1, 3)
    assert Depth().constant(depth).tolist() == [[[[2.0, 3.0, 3.5]]]]
    normal = torch.tensor([[0.0, 0, -1], [0, -1, 0], [0, 0, 0]]).view(3, 3, 1, 1)
    assert torch.allclose(
        Normals().constant(normal).flatten(), torch.tensor([0, -1, -1]) / math.sqrt(2)
    )
    room = torch.tensor([2, -1, 1, -1, 2, -1])
    assert Classification("room", 3).constant(room).argsort(descending=True).tolist() == [[2, 1, 0]]
    edge = torch.tensor([[1, 0, 0], [1, 0, 1], [1, 0, IGNORE]], dtype=torch.uint8).view(3, 1, 1, 3)
    odds = Edges(positive_weight=1.0).constant(edge).exp().flatten()
    assert torch.allclose(odds, torch.tensor([4 / 1, 1 / 4, 2 / 2]))


def test_the_edge_constant_minimises_its_own_loss(random):
    target = (torch.rand(400, 1, 1, 1, generator=random) < 0.2).byte()
    constant, losses = Edges().constant(target), {}
    for step in (-0.3, 0.0, 0.3):
        losses[step] = Edges().loss((constant + step).expand(400, 1, 1, 1), target).item()
    assert min(losses, key=losses.get) == 0.0


# --- pictures ---------------------------------------------------------------------------------------------------------
@each_task
def test_pictures_of_targets_and_outputs(task, random):
    output, target = outputs_and_target(task, random)
    if not task.dense:
        target[0] = 3
    for x in (target[0], output[0], output[0].bfloat16().requires_grad_()):
        picture = task.picture(x)
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[-1] == 3
        if task.dense:
            assert picture.shape[:2] == x.shape[-2:]
        assert picture.std() > 0
    if task.dense:
        assert (
            task.picture(unlabelled(task, target)[0]) == (128 if isinstance(task, Edges) else 0)
        ).all()


def test_pictures_say_where_things_face_and_how_far_they_are():
    def facing(*vector):
        return Normals().picture(torch.tensor(vector).view(3, 1, 1)).flatten().tolist()

    assert (
        facing(1.0, 0.0, 0.0)[0] == 255
        and facing(0.0, -1.0, 0.0)[1] == 255
        and facing(0.0, 0.0, -1.0)[2] == 255
    )
    near, far = (Depth().picture(torch.full((1, 1, 1), z)).astype(int).sum() for z in (1.0, 9.0))
    assert far > near > 0


def test_the_palette_is_told_apart_by_colour_blind_eyes():
    assert len({tuple(colour) for colour in palette(40)}) == 40
    linear = (palette(8) / 255.0) ** 2.2
    lms = np.array([[0.314, 0.640, 0.046], [0.155, 0.757, 0.087], [0.018, 0.109, 0.873]])
    for blind in (
        [[1, 0, 0], [0.953, 0, 0.047], [0, 0, 1]],
        [[0, 1.05, -0.05], [0, 1, 0], [0, 0, 1]],
    ):  # green, red
        seen = (linear @ lms.T @ np.array(blind).T @ np.linalg.inv(lms).T).clip(0, 1) ** (1 / 2.2)
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.15


# --- making tasks -----------------------------------------------------------------------------------------------------
def test_known_tasks_have_their_kind_and_weight():
    for name, kind in KINDS.items():
        task = make_task(name, ("a", "b", "c"))
        assert (
            type(task) is kind
            and task.name == name
            and task.weight == (20 if name == "normals" else 1)
        )
        assert task.channels == (3 if kind in (Segmentation, Normals, Classification) else 1)
    assert make_task("seg40", 40).labels == () and make_task("room", ["a", "b"]).labels == (
        "a",
        "b",
    )
    assert make_task("seg13", ["a", "b"]) == make_task("seg13", ("a", "b"))
    assert hash(make_task("seg13", ["a", "b"])) == hash(make_task("seg13", ("a", "b")))


@pytest.mark.parametrize(
    "wrong, hint",
    [
        (lambda: make_task("normal"), "did you mean 'normals'"),
        (lambda: make_task("xyz"), "known: segmentation"),
        (lambda: make_task("seg13"), "needs its classes"),
        (lambda: make_task("seg13", 1), "two classes"),
        (lambda: Depth("depth", weight=-1), "weight"),
        (lambda: Depth("depth", weight=math.nan), "weight"),
        (lambda: Depth("a b"), "letters"),
        (lambda: Segmentation("seg13", 3, absent="no"), "skip"),
    ],
)
def test_a_wrong_task_is_refused_in_one_line(wrong, hint):
    with pytest.raises(TaskError, match=hint) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_tasks_cannot_be_changed():
    with pytest.raises(AttributeError):
        Depth().weight = 2


# --- what has no label ------------------------------------------------------------------------------------------------
NOTHING = [
    (Segmentation("segmentation", 5), torch.full((2, 4, 4), 255), 3),
    (Normals(), torch.zeros(2, 3, 4, 4), 0.5),
    (Depth(), torch.zeros(2, 1, 4, 4), 2.0),
    (Edges(), torch.full((2, 1, 4, 4), 255, dtype=torch.uint8), 0),
    (Classification("room", 3), torch.full((2,), -1), 2),
    (Classification("room", 3, soft=True), torch.zeros(2, 3), 0.2),
]


@pytest.mark.parametrize("task, nothing, value", NOTHING)
def test_a_task_knows_whether_anything_is_labelled(task, nothing, value):
    assert not task.labelled(nothing)
    one = nothing.clone()
    one.view(-1)[-1] = value
    assert task.labelled(one)


def partial_search(steps=6, silent=(0, 2), dtype=torch.float32):
    """A search of two tasks whose batches of these numbers have no label for the second."""
    lab = small_lab(2)
    image, targets = batch(0)

    class Partial(Stream):
        def __next__(self):
            image, targets = super().__next__()
            if (self.position - 1) in silent:
                targets["normals"] = torch.zeros_like(targets["normals"])
            return image, targets

    config = SearchConfig(steps=steps, batch_size=2, evaluate_every=0)
    return Search(lab, config, weight_batches=Partial(lab), alpha_batches=Stream(lab, first=3))


def test_a_batch_without_a_label_leaves_a_gap_in_the_curve():
    events = list(partial_search())
    said = [tuple(event.loss) for event in events if isinstance(event, Step)]
    both = ("segmentation", "normals")
    assert said == [("segmentation",), both, ("segmentation",), both, both, both]
    log = EventLog(events)
    assert np.isnan(log.loss["normals"]).tolist() == [True, False, True, False, False, False]
    assert [tuple(step.loss) for step in log.steps] == said and list(log.steps) == [
        event for event in events if isinstance(event, Step)
    ]
    data = b"".join(encode(event, seq) for seq, event in enumerate(events, 1))
    found, problems = read_lines(data)
    assert [event for _, event in found][1:] == events[1:] and not problems
    assert EventLog([event for _, event in found]).loss["normals"][1] == log.loss["normals"][1]
    ax = plot_losses(log, window=1)
    drawn = [line.get_ydata() for line in ax.get_lines() if line.get_label() == "normals"][0]
    assert np.isnan(drawn).tolist() == [True, False, True, False, False, False]


def test_a_log_still_refuses_tasks_that_are_not_of_the_run():
    events = [event for event in partial_search() if isinstance(event, Step | Started)]
    log = EventLog(events[:2])
    assert [*log.loss] == ["segmentation"]
    with pytest.raises(RunError, match="depth"):
        log.append(replace(events[2], loss={"depth": 1.0}))
    before = log.table
    log.append(events[2])
    assert [*log.loss] == ["segmentation", "normals"] and before.shape[1] < log.table.shape[1]
    with pytest.raises(RunError, match="normals"):
        EventLog(events[1:3])  # without its first record a log knows only what it has seen


def test_classes_are_a_number_or_names_and_fit_at_a_pixel():
    assert Segmentation("seg40", np.int64(40)) == Segmentation("seg40", 40)
    assert Segmentation("segmentation", 255).channels == 255
    assert Classification("object", 1000).channels == 1000
    for wrong, message in (
        (256, "at most 255 classes"),
        ([str(n) for n in range(894)], "at most 255 classes"),
        ("abc", "a number or a list|their number or a list"),
        (2.0, "their number or a list"),
        (True, "at least two"),
    ):
        with pytest.raises(TaskError, match=message):
            Segmentation("segmentation", wrong)


@pytest.mark.parametrize("count", [254, 255])
def test_many_classes_are_scored_right(count):
    task = Segmentation("segmentation", count)
    target = torch.arange(16 * 17).view(1, 16, 17) % count
    target[0, 0, 0] = IGNORE
    output = F.one_hot(target.clamp(max=count - 1), count).movedim(-1, 1).float() * 9
    meter = task.meter()
    meter.update(output, target)
    assert meter.compute() == {"miou": 1.0, "pixel_accuracy": 1.0}
    assert (task.constant(target).argmax(1) == target)[target != IGNORE].all()
