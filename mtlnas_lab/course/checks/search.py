"""Checks of notebook 06: two halves, the α-update, λ's ramp, forced edges, the balance of two forces."""

from __future__ import annotations

import numpy as np
import torch

from ...core.relaxation import entropy, entropy_gradient
from ...experiments.presets import preset
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
    numbers,
    plain,
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
    target = torch.tensor([1.0, 0.0, 0.2, 0.9])
    rate = 0.1
    weight = 4.0
    w = torch.ones(4, requires_grad=True)

    def task_loss(alpha):
        return ((w * torch.sigmoid(alpha) - target) ** 2).sum()

    alpha = start.clone().requires_grad_()
    (tasks,) = torch.autograd.grad(task_loss(alpha), [alpha])
    push = weight * entropy_gradient(start)
    right = start - rate * (tasks + push)
    returned = answer.once(alpha, task_loss, weight, torch.optim.SGD([alpha], rate))
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
    steps = _wrong_steps(tasks, push, weight)
    near_misses(
        moved,
        right,
        {sentence: start - rate * step for sentence, step in steps.items()},
        f"α moved to another place than by task_loss(alpha) + entropy_weight * entropy(alpha): {said}",
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
    twice = answer.once(again, task_loss, weight, torch.optim.SGD([again], rate))
    if not close(again, right, 1e-6) or not close(twice, found, 1e-6):
        raise Wrong(
            "the same update from the same α went somewhere else the second time: nothing here is left to chance, "
            "and nothing should be remembered from one call to the next"
        )
    return (
        "w was only read. In the released code this update fills the gradients of all 52 million weights and throws "
        "them away."
    )


def _wrong_steps(tasks: torch.Tensor, push: torch.Tensor, weight: float) -> dict[str, torch.Tensor]:
    """Sentence → the gradient by which α moves under this mistake; right is tasks + push."""
    edges = len(tasks)
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


@exercise("06.ramp")
def ramp(answer, ax):
    """λ over the run."""
    schedule = preset("tiny").search.entropy_weight
    steps = 200
    right = np.array([schedule(step, steps) for step in range(steps)])
    yours = numbers(answer, [(step, steps) for step in range(steps)], "the weight λ")
    ax.plot(right, color=RIGHT, lw=4, alpha=0.5, label="λ in the lab")
    ax.plot(yours, color=YOURS, label="yours")
    ax.set(xlabel="search step", ylabel="λ")
    ax.legend(loc="best", frameon=False)

    share = np.arange(steps) / steps
    negative_first = 10 * (share - 0.3) / 0.7
    undivided = 10 * np.maximum(0, share - 0.3)
    jump_at_start = 10.0 * (share > 0.3)
    mistakes = {
        "before its start your λ is negative, which rewards undecided gates; keep it at 0: max(0, …)": negative_first,
        "it ends at 1: multiply by 10": right / 10,
        "at the middle of the run λ is too small, for it only reaches 7: divide by the length of the ramp, 0.7": (
            undivided
        ),
        "this is 10 from the ramp's start on; a ramp grows evenly from 0 to 10": jump_at_start,
        "it falls where it should grow: 0 first, 10 at the end": right[::-1],
    }
    near_misses(yours, right, mistakes, atol=1e-6)
    # none of the known ones: say where it first goes wrong, at its start, in a jump, or later
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


@exercise("06.tip")
def tip(answer, ax):
    """The λ that just holds an edge."""
    alpha = torch.linspace(0.3, 4, 30)
    pull = 0.004
    edges = 48
    # by autograd, one α beside 47 undecided ones, so that the check does not trust its own formula
    pushes = []
    for value in alpha:
        all_alpha = torch.cat((value[None], torch.zeros(edges - 1)))
        pushes.append(entropy_gradient(all_alpha)[0])
    right = pull / -torch.stack(pushes)
    yours = numbers(answer, [(value, pull, edges) for value in alpha.tolist()], "λ")
    ax.plot(alpha, right, color=RIGHT, lw=4, alpha=0.5, label="λ that balances a pull of 0.004")
    ax.plot(alpha, yours, color=YOURS, label="yours")
    ax.set(xlabel="α", ylabel="λ")
    ax.legend(loc="best", frameon=False)

    balance = "at balance the two gradients cancel: pull = λ · α p (1 − p) / E with p = σ(α)"
    places = [f"for α = {value:.3g}" for value in alpha.tolist()]
    said = differ(right, yours, places, 0, 1e-3, worst=True)
    mistakes = _wrong_balances(right, alpha, pull, edges, balance)
    # relative: λ runs over two orders of size
    near_misses(yours, right, mistakes, f"{balance}; {said}", atol=0, rtol=1e-3)

    p = 0.8175745  # σ(1.5)
    expected = 0.02 * 12 / (1.5 * p * (1 - p))
    if not close(number(answer(1.5, 0.02, 12), "λ"), expected, 0, 1e-3):
        raise Wrong(
            "right for a pull of 0.004 and 48 edges, but not for other values: use the arguments"
        )
    strongest = torch.tensor([1.5])
    return (
        f"Lowest near α = 1.5, where the gate is {strongest.sigmoid().item():.2f} and H = "
        f"{float(entropy(strongest)):.2f} nats: there entropy is strongest. Beyond it, the push dies away, but so "
        "does the tasks' pull."
    )


def _wrong_balances(
    right: torch.Tensor, alpha: torch.Tensor, pull: float, edges: int, balance: str
) -> dict[str, torch.Tensor]:
    """Sentence → the λ of this mistake, by the factor that it loses or brings in."""
    p = torch.sigmoid(alpha)
    edge_too_few = right / edges
    edge_too_many = right * edges
    in_bits = right * np.log(2)
    without_alpha = right * alpha
    without_slope = right * p * (1 - p)
    without_closed = right * (1 - p)
    upside_down = 1 / right
    without_pull = right / pull
    return {
        "the entropy is a mean over the edges: each edge feels an E-th of it, so λ must be E times larger": edge_too_few,
        "one factor E too many: the entropy is a mean over the edges, so E comes in once": edge_too_many,
        "this is for entropy in bits; here it is in nats": in_bits,
        "the sign: the tasks' gradient is positive (it closes the edge), the entropy's is negative; λ is a positive "
        "number": -right,
        f"α is missing: {balance}": without_alpha,
        f"p (1 − p) is missing: {balance}": without_slope,
        f"1 − p is missing: {balance}": without_closed,
        f"this is 1/λ, upside down: {balance}": upside_down,
        f"the pull is missing: {balance}": without_pull,
    }
