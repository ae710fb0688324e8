"""Checks of notebook 06: two halves, the α-update, when edges settle, forced edges, where two runs part."""

from __future__ import annotations

import numpy as np
import torch

from ...core.relaxation import entropy_gradient
from ..checking import Wrong, exercise
from .common import (
    RIGHT,
    YOURS,
    bars,
    close,
    differ,
    gradient,
    kind,
    near_misses,
    number,
    plain,
    row,
    tensor,
    uneven,
)


def _two_lists(pair: object) -> list[list[int]]:
    """Two lists of whole numbers, whatever they came in."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise Wrong(f"return two lists of indices: (for w, for α); yours is {kind(pair)}")
    lists = []
    for half in pair:
        # torch.randperm(…)[:n] is the usual answer, and just as good
        if isinstance(half, (torch.Tensor, np.ndarray)):
            half = half.tolist()
        if not isinstance(half, (list, tuple, set, range)):
            raise Wrong(
                f"return two lists of indices: (for w, for α); one of yours is {kind(half)}"
            )
        lists.append([_index(image) for image in half])
    return lists


def _index(image: object) -> int:
    value = number(image, "the index of an image")
    if not value.is_integer():
        raise Wrong(f"an index is a whole number; yours has {plain(value)}")
    return int(value)


@exercise("06.halves")
def halves(answer, ax):
    """Two halves of the data."""
    generator = torch.Generator().manual_seed(0)
    # an odd count: one image is left over, and easily forgotten
    for_w, for_alpha = _two_lists(answer(21, generator))
    ax.scatter(for_w, np.zeros(len(for_w)), color=RIGHT, label="teach w", s=22)
    ax.scatter(for_alpha, np.ones(len(for_alpha)), color=YOURS, label="teach α", s=22)
    ax.set(xlabel="number of the image", ylim=(-0.6, 2.2), yticks=[], xticks=range(0, 21, 5))
    ax.legend(ncols=2, frameon=False, loc="upper left")
    both = sorted(set(for_w) & set(for_alpha))
    if both:
        raise Wrong(
            f"images {both[:5]} are in both halves; then α is judged by images that w has learnt by heart"
        )
    if sorted(for_w + for_alpha) != list(range(21)):
        raise Wrong(
            f"of 21 images {len(set(for_w + for_alpha))} are used; every image belongs to one of the halves, also "
            "where the count is odd"
        )
    if abs(len(for_w) - len(for_alpha)) > 1:
        raise Wrong(
            f"the halves have {len(for_w)} and {len(for_alpha)} images; they should differ by one at most"
        )
    _judge_chance(answer)
    return (
        "Disjoint, complete, drawn. The lab draws the halves anew each epoch, as the released code does: then α's "
        "images are not forever unseen by w, only within the epoch."
    )


def _judge_chance(answer) -> None:
    """300 draws from four generators: drawn at all, anew at each call, and each half equally likely."""
    drawn = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(75):
            half = _two_lists(answer(20, generator))[0]
            drawn.append([image in half for image in range(20)])
    if any(sum(half) != 10 for half in drawn):
        raise Wrong("right for 21 images, but of 20 images each half should have 10: use `count`")
    # at most one half for each of the four generators: a seed of the answer's own, or no chance at all
    if len({tuple(half) for half in drawn}) <= 4:
        raise Wrong(
            "the halves are not drawn: neighbours in a data set are often alike (one video, one house), so shuffle "
            "first, anew at each call"
        )
    if uneven(drawn, 10):
        raise Wrong(
            "the halves are not drawn evenly: some images, or some pairs of them, come into one half more often than "
            "others (a random cut, or every other image, keeps neighbours together or apart); shuffle all of them"
        )


@exercise("06.update")
def update(answer, ax):
    """One update of α."""
    start = torch.tensor([0.5, -0.3, 2.0, 0.0])
    # three parts of a batch, each of which wants something else of the gates
    targets = torch.tensor([[1.0, 0.0, 0.2, 0.9], [0.5, 0.1, 0.9, 0.0], [0.0, 0.8, 0.4, 0.7]])
    rate = 0.1
    weight = 4.0
    w = torch.ones(4, requires_grad=True)

    def loss_of(target):
        return lambda alpha: ((w * torch.sigmoid(alpha) - target) ** 2).sum()

    task_losses = [loss_of(target) for target in targets]
    alpha = start.clone().requires_grad_()
    parts = torch.stack([torch.autograd.grad(loss(alpha), [alpha])[0] for loss in task_losses])
    tasks = parts.mean(0)
    push = weight * entropy_gradient(start)
    right = start - rate * (tasks + push)
    returned = answer.once(alpha, list(task_losses), weight, torch.optim.SGD([alpha], rate))
    moved = alpha.detach()
    bars(ax, right - start, moved - start, range(4), "step of α")
    ax.set_xlabel("edge")

    if torch.equal(moved, start):
        raise Wrong("α has not moved: set alpha.grad, then call optimizer.step()")
    if w.grad is not None:
        raise Wrong(
            "α moved, but w has got a gradient too: .backward() fills it for everything. w is only read here, so "
            "ask for α alone with torch.autograd.grad(loss, [alpha])"
        )
    places = [f"for edge {edge} (α)" for edge in range(4)]
    said = differ(right, moved, places, 1e-6, digits=4)
    steps = _wrong_steps(parts, push, weight)
    near_misses(
        moved,
        right,
        {sentence: start - rate * step for sentence, step in steps.items()},
        f"α moved to another place than by the parts' mean loss + entropy_weight * entropy(alpha): {said}",
        atol=1e-6,
    )
    # α is at its place; now what the function returns
    if alpha.grad is None:
        raise Wrong(
            "α is at the right place, but alpha.grad is empty: set it, and let optimizer.step() move α"
        )
    found = tensor(returned, (4,), "alpha.grad back (α itself is right)")
    if close(found, right, 1e-6):
        raise Wrong("α is right, but you return α itself; return alpha.grad")
    if not close(found, tasks + push, 1e-6):
        said = differ(tasks + push, found, [f"for edge {edge}" for edge in range(4)], 1e-6)
        raise Wrong(f"α is right, but return alpha.grad: {said}")
    # an `Answer` calls twice to compare; here the call changes its argument, so the check does it
    again = start.clone().requires_grad_()
    twice = answer.once(again, list(task_losses), weight, torch.optim.SGD([again], rate))
    if not close(again, right, 1e-6) or not close(twice, found, 1e-6):
        raise Wrong(
            "the same update from the same α went somewhere else the second time: nothing here is left to chance, "
            "and nothing should be remembered from one call to the next"
        )
    return (
        "w was only read. In the released code this update fills the gradients of all 52 million weights and throws "
        "them away."
    )


def _wrong_steps(parts: torch.Tensor, push: torch.Tensor, weight: float) -> dict[str, torch.Tensor]:
    """Sentence → the gradient by which α moves under this mistake; right is parts.mean(0) + push."""
    tasks = parts.mean(0)
    count, edges = parts.shape
    # the parts: added up, or one of them alone; the entropy once for each
    added_up = count * tasks + push
    all_added_up = count * (tasks + push)
    entropy_again = tasks + count * push
    first_alone = parts[0] + push
    last_alone = parts[-1] + push
    # the entropy term: its sign, its mean, its weight
    entropy_raised = tasks - push
    entropy_summed = tasks + edges * push
    unweighted = tasks + push / weight
    # the weight in the wrong place
    both_weighted = weight * tasks + push
    tasks_weighted = weight * tasks + push / weight
    # `.step()` twice, or a gradient that was added to the old one
    twice = 2 * (tasks + push)
    mistakes = {
        "the losses of the parts are added up; take their mean, as over the whole batch": added_up,
        "everything is added up over the parts, the entropy term too; take the mean of their losses": all_added_up,
        "the entropy term counts once, not once for each part": entropy_again,
        "only the first part moves α; take the mean over all of task_losses": first_alone,
        "only the last part moves α; take the mean over all of task_losses": last_alone,
        "the entropy term is missing": tasks,
        "the entropy term has the wrong sign: entropy is added to the loss, so that it gets small": entropy_raised,
        "take the entropy's mean over the edges, not the sum": entropy_summed,
        "the entropy's weight is missing: entropy_weight * entropy(alpha)": unweighted,
        "the tasks' loss is missing: only the entropy term moves α": push,
        "the tasks' loss is multiplied by entropy_weight, too; only entropy(alpha) is": both_weighted,
        "entropy_weight multiplies the tasks' loss instead of the entropy": tasks_weighted,
        "α moved uphill: gradient descent goes against the gradient, as optimizer.step() does": -tasks
        - push,
        "α moved twice as far as it should: one optimizer.step(), with the gradient of one objective": twice,
    }
    return mistakes


@exercise("06.settled")
def settled(answer, ax):
    """The step from which on each edge stays on its side."""
    # always open; open from step 5; to and fro until step 10; shut, for α = 0 is shut, from the first step on
    alpha = np.full((12, 4), 0.5)
    alpha[:4, 1] = -0.3
    alpha[:, 2] = [0.2, -0.1, 0.3, 0.4, -0.2, 0.1, 0.6, 0.2, 0.1, -0.4, -0.9, -1.5]
    alpha[:, 3] = np.linspace(0, -1, 12)
    right = [1, 5, 10, 1]
    yours = row(answer(alpha.copy()), 4, "the 4 edges").tolist()
    names = ["always\nopen", "opens\nat 5", "to and fro\nuntil 10", "shut"]
    bars(ax, right, yours, names, "step from which on it stays")
    crossed = (alpha > 0) != (alpha > 0)[-1]
    counted = crossed.sum(0) + 1
    first = [1, 5, 2, 1]
    mistakes = {
        "steps count from 1: the first row is α after step 1": np.subtract(right, 1),
        "this is how often an edge was on the other side, not since when it is not any more": counted,
        "this is the first step on the side where it ends; it may leave that side again": first,
        "this is the last step on the other side; it stays from the next one on": np.subtract(
            right, 1
        ).clip(1),
        "count from the beginning of the search, not from its end": 13 - np.array(right),
    }
    otherwise = f"an edge settles behind the last step at which it was on the other side; {differ(right, yours, names)}"
    near_misses(yours, right, mistakes, otherwise)
    other = np.array([[0.1], [-0.1], [0.1]])
    if row(answer(other), 1, "1 edge").tolist() != [3]:
        raise Wrong(
            "right for 12 steps and 4 edges, but not for 3 steps and 1 edge: use the argument"
        )
    return "What settles before λ has grown was settled by the tasks (or by the noise of a batch); the rest by entropy."


@exercise("06.force")
def force(answer, ax):
    """Forced edges."""
    alpha = torch.tensor([0.4, -1.0, 0.0, 2.0], requires_grad=True)
    gates = torch.sigmoid(alpha)
    before = gates.detach().clone()
    made = answer(gates, {1: True, 3: False})
    if not isinstance(made, torch.Tensor) or made.shape != gates.shape:
        raise Wrong(
            f"return {len(gates)} gates, as many as came in, in a tensor; yours is {kind(made)}"
        )
    now = made.detach().double()
    edges = np.arange(4)
    ax.bar(edges - 0.2, before.numpy(), 0.4, color=RIGHT, alpha=0.6, label="before")
    label = "yours: 1 forced open, 3 forced shut"
    ax.bar(edges + 0.2, made.detach().numpy(), 0.4, color=YOURS, label=label)
    ax.set(xlabel="edge", ylabel="gate", xticks=edges, ylim=(0, 1.5))
    ax.legend(frameon=False, loc="upper left", ncols=2)

    forced = [1, 3]
    free = [0, 2]
    if close(now[forced], [0, 1], 1e-6):
        raise Wrong("turned round: True is open, gate 1, and False is shut, gate 0")
    if not close(now[forced], [1, 0], 1e-6):
        said = differ([1, 0], now[forced], ["for edge 1", "for edge 3"], 1e-6)
        raise Wrong(f"edge 1 should be 1 and edge 3 should be 0; {said}")
    if not close(now[free], before[free], 1e-6):
        said = differ(before[free], now[free], ["for edge 0", "for edge 2"], 1e-6)
        raise Wrong(f"the free edges 0 and 2 should keep their gates; {said}")
    # a tensor made anew from the numbers has the right gates, and teaches nothing
    grad = gradient(made, alpha)
    if grad is None or not grad.any():
        raise Wrong(
            "the numbers are right, but the gradient is gone: the free edges could not learn any more. Do not "
            "detach them"
        )
    slope = before * (1 - before)
    if grad[forced].any() or not close(grad[free], slope[free], 1e-5):
        raise Wrong(
            "the gradient should reach the free edges, as it is, and none of the forced ones"
        )
    said = "right where edges 1 and 3 are forced, but not where edge 0 is, to be shut"
    other = answer.also(said, gates, {0: False})
    if not close(other, [0.0, *before[1:].tolist()], 1e-6):
        raise Wrong(f"{said}: go through `forced`")
    return "A forced gate is a constant: its α gets no pull of the tasks, but the entropy term still pushes it."


@exercise("06.part")
def part(answer, ax):
    """The step at which two runs part."""
    # the same up to step 6; then two edges change sides, one in each run, and one of them comes back
    one = np.tile([0.4, -0.2, 0.1], (15, 1))
    other = one.copy()
    other[:, 0] = 0.9  # wider open: other numbers, the same graph
    one[6:, 1] = 0.2
    other[9:, 1] = 0.3
    one[12:, 2] = -0.1
    same = one[:6]
    answers = [answer(one.copy(), other.copy()), answer(same.copy(), same + 0.01)]
    found, never = answers
    for alpha, color, name in ((one, RIGHT, "one run"), (other, YOURS, "the other")):
        gates = 1 / (1 + np.exp(-alpha))
        steps = range(1, len(gates) + 1)
        ax.plot(steps, gates, color=color)
        ax.plot([], [], color=color, label=name)
    ax.axhline(0.5, color="#777777", ls=":")
    ax.set(xlabel="step", ylabel="gate σ(α)", ylim=(0, 1))
    ax.legend(loc="best", frameon=False)
    mistakes = {
        "steps count from 1: the first row is α after step 1": 6.0,
        "other numbers are not yet another graph: compare which α are above 0, not the α": 1.0,
        "these two find different graphs from step 7 on, but yours says that they never do": 0.0,
        "this is the last step at which their graphs differ; asked is the first": 15.0,
    }
    said = f"their graphs differ first at step 7; yours is {plain(number(found, 'a step'))}"
    near_misses(number(found, "a step"), 7.0, mistakes, said)
    if number(never, "a step") != 0:
        raise Wrong(f"two runs that always agree never part: return 0; yours is {never}")
    late = np.array([[0.1, 0.1], [0.1, -0.1]])
    if answer(late, np.abs(late)) != 2:
        raise Wrong("right for 3 edges, but not for 2 steps of 2 edges: use the arguments")
    return "Up to there the two are one search; what comes later is due to the one thing that was changed, and to nothing else."
