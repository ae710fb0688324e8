"""Checks of notebook 06: two halves, the α-update, λ's ramp, forced edges, the balance of two forces."""

from __future__ import annotations

import numpy as np
import torch

from ...core.relaxation import entropy, entropy_gradient
from ...experiments.presets import preset
from ..checking import Wrong, exercise
from .common import (
    close,
    differ,
    gradient,
    kind,
    near_misses,
    number,
    numbers,
    plain,
    tensor,
    uneven,
)

BLUE, ORANGE = "#4575b4", "#b35806"


def _two_lists(pair: object) -> list[list[int]]:
    """Two lists of whole numbers, whatever they came in."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise Wrong(f"return two lists of indices: (for w, for α); yours is {kind(pair)}")
    lists = []
    for half in pair:
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
    w, a = _two_lists(answer(21, generator))
    for indices, color, name in ((w, BLUE, "teach w"), (a, ORANGE, "teach α")):
        ax.scatter(
            indices, np.zeros(len(indices)) + (name == "teach α"), color=color, label=name, s=22
        )
    ax.set(xlabel="number of the image", ylim=(-0.6, 2.2), yticks=[], xticks=range(0, 21, 5))
    ax.legend(ncols=2, frameon=False, loc="upper left")
    if both := set(w) & set(a):
        raise Wrong(
            f"images {sorted(both)[:5]} are in both halves; then α is judged by images that w has learnt by "
            f"heart"
        )
    if sorted(w + a) != list(range(21)):
        raise Wrong(
            f"of 21 images {len(set(w + a))} are used; every image belongs to one of the halves, also where "
            f"the count is odd"
        )
    if abs(len(w) - len(a)) > 1:
        raise Wrong(
            f"the halves have {len(w)} and {len(a)} images; they should differ by one at most"
        )
    drawn = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(75):
            half = _two_lists(answer(20, generator))[0]
            drawn.append([image in half for image in range(20)])
    if any(sum(half) != 10 for half in drawn):
        raise Wrong("right for 21 images, but of 20 images each half should have 10: use `count`")
    if len({tuple(half) for half in drawn}) <= 4:
        raise Wrong(
            "the halves are not drawn: neighbours in a data set are often alike (one video, one house), so "
            "shuffle first, anew at each call"
        )
    if uneven(drawn, 10):
        raise Wrong(
            "the halves are not drawn evenly: some images, or some pairs of them, come into one half more often than "
            "others (a random cut, or every other image, keeps neighbours together or apart); shuffle all of them"
        )
    return (
        "Disjoint, complete, drawn. The lab draws the halves anew each epoch, as the released code does: then α's "
        "images are "
        "not forever unseen by w, only within the epoch."
    )


@exercise("06.update")
def update(answer, ax):
    """One update of α."""
    start, target = torch.tensor([0.5, -0.3, 2.0, 0.0]), torch.tensor([1.0, 0.0, 0.2, 0.9])
    rate, weight = 0.1, 4.0
    alpha, w = start.clone().requires_grad_(), torch.ones(4, requires_grad=True)

    def task_loss(alpha):
        return ((w * torch.sigmoid(alpha) - target) ** 2).sum()

    (tasks,) = torch.autograd.grad(task_loss(alpha), [alpha])
    push = weight * entropy_gradient(start)
    right = start - rate * (tasks + push)
    returned = answer.once(alpha, task_loss, weight, torch.optim.SGD([alpha], rate))
    moved = alpha.detach()
    x = np.arange(4)
    ax.bar(x - 0.2, (right - start).numpy(), 0.4, color=BLUE, alpha=0.6, label="right")
    ax.bar(x + 0.2, (moved - start).numpy(), 0.4, color=ORANGE, label="yours")
    ax.set(xlabel="edge", ylabel="step of α", xticks=x)
    ax.legend(frameon=False)
    if torch.equal(moved, start):
        raise Wrong("α has not moved: set alpha.grad, then call optimizer.step()")
    if w.grad is not None:
        raise Wrong(
            "α moved, but w has got a gradient too: .backward() fills it for everything. w is only read here, "
            "so ask for α "
            "alone with torch.autograd.grad(loss, [alpha])"
        )
    steps = {
        "the entropy term is missing": tasks,
        "the entropy term has the wrong sign: entropy is added to the loss, so that it gets small": tasks
        - push,
        "take the entropy's mean over the edges, not the sum": tasks + 4 * push,
        "the entropy's weight is missing: entropy_weight * entropy(alpha)": tasks + push / weight,
        "the tasks' loss is missing: only the entropy term moves α": push,
        "the tasks' loss is multiplied by entropy_weight, too; only entropy(alpha) is": weight
        * tasks
        + push,
        "entropy_weight multiplies the tasks' loss instead of the entropy": weight * tasks
        + push / weight,
        "α moved uphill: gradient descent goes against the gradient, as optimizer.step() does": -tasks
        - push,
        "α moved twice as far as it should: one optimizer.step(), with the gradient of one objective": 2
        * (tasks + push),
    }
    places = [f"for edge {edge} (α)" for edge in range(4)]
    said = differ(right, moved, places, 1e-6, digits=4)
    near_misses(
        moved,
        right,
        {sentence: start - rate * step for sentence, step in steps.items()},
        f"α moved to another place than by task_loss(alpha) + entropy_weight * entropy(alpha): {said}",
        atol=1e-6,
    )
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
    again = start.clone().requires_grad_()
    twice = answer.once(again, task_loss, weight, torch.optim.SGD([again], rate))
    if not close(again, right, 1e-6) or not close(twice, found, 1e-6):
        raise Wrong(
            "the same update from the same α went somewhere else the second time: nothing here is left to chance, and "
            "nothing should be remembered from one call to the next"
        )
    return (
        "w was only read. In the released code this update fills the gradients of all 52 million weights and "
        "throws them away."
    )


@exercise("06.ramp")
def ramp(answer, ax):
    """λ over the run."""
    schedule, steps = preset("tiny").search.entropy_weight, 200
    right = [schedule(step, steps) for step in range(steps)]
    yours = numbers(answer, [(step, steps) for step in range(steps)], "the weight λ")
    ax.plot(right, color=BLUE, lw=4, alpha=0.5, label="λ in the lab")
    ax.plot(yours, color=ORANGE, label="yours")
    ax.set(xlabel="search step", ylabel="λ")
    ax.legend(frameon=False)
    share = np.arange(steps) / steps
    almost = {
        "before its start your λ is negative, which rewards undecided gates; keep it at 0: max(0, …)": 10
        * (share - 0.3)
        / 0.7,
        "it ends at 1: multiply by 10": np.array(right) / 10,
        "at the middle of the run λ is too small, for it only reaches 7: divide by the length of the ramp, 0.7": 10
        * np.maximum(0, share - 0.3),
        "this is 10 from the ramp's start on; a ramp grows evenly from 0 to 10": 10.0
        * (share > 0.3),
        "it falls where it should grow: 0 first, 10 at the end": np.array(right)[::-1],
    }
    near_misses(yours, right, almost, atol=1e-6)
    places = [f"at step {step} of {steps}" for step in range(steps)]
    if not close(yours[:61], np.zeros(61), 1e-6):
        raise Wrong(
            "up to 30 % of the run λ is 0, so that the tasks are heard first; "
            + differ(right[:61], yours[:61], places, 1e-6, worst=True)
        )
    jump = np.diff(yours).max()
    if jump > 1:
        raise Wrong(
            f"your λ jumps by {jump:.1f} in one step; the ramp begins at 0 where it starts, at 30 %: subtract that"
        )
    said = differ(right, yours, places, 1e-6, worst=True)
    near_misses(
        yours, right, {}, f"0 for the first 30 % of the run, then along a line to 10; {said}", 1e-6
    )
    at = (299, 650, 999)
    longer = numbers(answer, [(step, 1000) for step in at], "the weight λ")
    if not close(longer, [schedule(step, 1000) for step in at], 1e-6):
        raise Wrong(
            "right for 200 steps, wrong for 1,000: the ramp is a share of the run, so use `steps`"
        )
    return "A share of the run, not a number of steps: so a short trial goes through the same phases as a long search."


@exercise("06.force")
def force(answer, ax):
    """Forced edges."""
    alpha = torch.tensor([0.4, -1.0, 0.0, 2.0], requires_grad=True)
    gates = torch.sigmoid(alpha)
    before, forced = gates.detach().clone(), {1: True, 3: False}
    made = answer(gates, forced)
    if not isinstance(made, torch.Tensor) or made.shape != gates.shape:
        raise Wrong(
            f"return {len(gates)} gates, as many as came in, in a tensor; yours is {kind(made)}"
        )
    now = made.detach().double()
    x = np.arange(4)
    ax.bar(x - 0.2, before.numpy(), 0.4, color=BLUE, alpha=0.6, label="before")
    ax.bar(
        x + 0.2,
        made.detach().numpy(),
        0.4,
        color=ORANGE,
        label="yours: 1 forced open, 3 forced shut",
    )
    ax.set(xlabel="edge", ylabel="gate", xticks=x, ylim=(0, 1.5))
    ax.legend(frameon=False, loc="upper left", ncols=2)
    if close(now[[1, 3]], [0, 1], 1e-6):
        raise Wrong("turned round: True is open, gate 1, and False is shut, gate 0")
    if not close(now[[1, 3]], [1, 0], 1e-6):
        said = differ([1, 0], now[[1, 3]], ["for edge 1", "for edge 3"], 1e-6)
        raise Wrong(f"edge 1 should be 1 and edge 3 should be 0; {said}")
    if not close(now[[0, 2]], before[[0, 2]], 1e-6):
        said = differ(before[[0, 2]], now[[0, 2]], ["for edge 0", "for edge 2"], 1e-6)
        raise Wrong(f"the free edges 0 and 2 should keep their gates; {said}")
    grad = gradient(made, alpha)
    if grad is None or not grad.any():
        raise Wrong(
            "the numbers are right, but the gradient is gone: the free edges could not learn any more. Do not "
            "detach them"
        )
    if grad[[1, 3]].any() or not close(grad[[0, 2]], (before * (1 - before))[[0, 2]], 1e-5):
        raise Wrong(
            "the gradient should reach the free edges, as it is, and none of the forced ones"
        )
    said = "right where edges 1 and 3 are forced, but not where edge 0 is, to be shut"
    other = answer.also(said, gates, {0: False})
    if not close(other, [0.0, *before[1:].tolist()], 1e-6):
        raise Wrong(f"{said}: go through `forced`")
    return "A forced gate is a constant: its α gets no pull of the tasks, but the entropy term still pushes it."


@exercise("06.tip")
def tip(answer, ax):
    """The λ that just holds an edge."""
    alpha, pull, edges = torch.linspace(0.3, 4, 30), 0.004, 48
    push = -torch.stack(
        [entropy_gradient(torch.cat((a[None], torch.zeros(edges - 1))))[0] for a in alpha]
    )
    right = pull / push
    yours = numbers(answer, [(a, pull, edges) for a in alpha.tolist()], "λ")
    ax.plot(alpha, right, color=BLUE, lw=4, alpha=0.5, label="λ that balances a pull of 0.004")
    ax.plot(alpha, yours, color=ORANGE, label="yours")
    ax.set(xlabel="α", ylabel="λ")
    ax.legend(frameon=False)
    p = torch.sigmoid(alpha)
    balance = "at balance the two gradients cancel: pull = λ · α p (1 − p) / E with p = σ(α)"
    almost = {
        "the entropy is a mean over the edges: each edge feels an E-th of it, so λ must be E times larger": right
        / edges,
        "one factor E too many: the entropy is a mean over the edges, so E comes in once": right
        * edges,
        "this is for entropy in bits; here it is in nats": right * np.log(2),
        "the sign: the tasks' gradient is positive (it closes the edge), the entropy's is negative; λ is a positive "
        "number": -right,
        f"α is missing: {balance}": right * alpha,
        f"p (1 − p) is missing: {balance}": right * p * (1 - p),
        f"1 − p is missing: {balance}": right * (1 - p),
        f"this is 1/λ, upside down: {balance}": 1 / right,
        f"the pull is missing: {balance}": right / pull,
    }
    places = [f"for α = {a:.3g}" for a in alpha.tolist()]
    said = differ(right, yours, places, 0, 1e-3, worst=True)
    near_misses(yours, right, almost, f"{balance}; {said}", atol=0, rtol=1e-3)
    other = number(answer(1.5, 0.02, 12), "λ")
    if not close(other, 0.02 * 12 / (1.5 * 0.8175745 * 0.1824255), 0, 1e-3):
        raise Wrong(
            "right for a pull of 0.004 and 48 edges, but not for other values: use the arguments"
        )
    drawn = float(entropy(torch.tensor([1.5])))
    return (
        f"Lowest near α = 1.5, where the gate is {torch.sigmoid(torch.tensor(1.5)):.2f} and H = {drawn:.2f} nats: "
        f"there entropy is strongest. "
        "Beyond it, the push dies away, but so does the tasks' pull."
    )
