"""Checks of notebook 06: two halves, the α-update, λ's ramp, forced edges, the balance of two forces."""

from __future__ import annotations

import numpy as np
import torch

from ..presets import preset
from ..relaxation import entropy, entropy_gradient
from .book import Wrong, exercise

BLUE, ORANGE = "#4575b4", "#b35806"


@exercise("06.halves")
def halves(answer, ax):
    """Two halves of the data."""
    made = [answer(21, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in made):
        raise Wrong("return two lists of indices: (for w, for α)")
    (w, a), again, other = [[[int(i) for i in half] for half in pair] for pair in made]
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
    if again != [w, a]:
        raise Wrong(
            "the same generator gave another split; draw with torch.randperm(count, generator=generator)"
        )
    if w == sorted(w) or other == [w, a]:
        raise Wrong(
            "the halves are not drawn: neighbours in a data set are often alike (one video, one house), so "
            "shuffle first"
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
    right = start - rate * (tasks + weight * entropy_gradient(start))
    answer(alpha, task_loss, weight, torch.optim.SGD([alpha], rate))
    x = np.arange(4)
    ax.bar(x - 0.2, (right - start).numpy(), 0.4, color=BLUE, alpha=0.6, label="right")
    ax.bar(x + 0.2, (alpha.detach() - start).numpy(), 0.4, color=ORANGE, label="yours")
    ax.set(xlabel="edge", ylabel="step of α", xticks=x)
    ax.legend(frameon=False)
    if torch.equal(alpha.detach(), start):
        raise Wrong("α has not moved: set alpha.grad, then call optimizer.step()")
    if w.grad is not None:
        raise Wrong(
            "α moved, but w has got a gradient too: .backward() fills it for everything. w is only read here, "
            "so ask for α "
            "alone with torch.autograd.grad(loss, [alpha])"
        )
    for wrong, why in (
        (tasks, "the entropy term is missing"),
        (
            tasks - weight * entropy_gradient(start),
            "the entropy term has the wrong sign: entropy is "
            "added to the loss, "
            "so that it gets small",
        ),
        (
            tasks + 4 * weight * entropy_gradient(start),
            "take the entropy's mean over the edges, not the sum",
        ),
    ):
        if torch.allclose(alpha.detach(), start - rate * wrong, atol=1e-6):
            raise Wrong(why)
    if not torch.allclose(alpha.detach(), right, atol=1e-6):
        raise Wrong(
            "α moved to another place than by task_loss(alpha) + entropy_weight * entropy(alpha)"
        )
    return (
        "w was only read. In the released code this update fills the gradients of all 52 million weights and "
        "throws them away."
    )


@exercise("06.ramp")
def ramp(answer, ax):
    """λ over the run."""
    schedule, steps = preset("tiny").search.entropy_weight, 200
    right, yours = ([float(f(step, steps)) for step in range(steps)] for f in (schedule, answer))
    ax.plot(right, color=BLUE, lw=4, alpha=0.5, label="λ in the lab")
    ax.plot(yours, color=ORANGE, label="yours")
    ax.set(xlabel="search step", ylabel="λ")
    ax.legend(frameon=False)
    if not np.allclose(yours[:61], 0, atol=1e-6):
        raise Wrong(
            f"up to 30 % of the run λ is 0, so that the tasks are heard first; yours is {max(yours[:61]):.2f} "
            f"there"
        )
    if abs(max(np.diff(yours))) > 1:
        raise Wrong(
            f"your λ jumps by {max(np.diff(yours)):.1f} in one step; the ramp begins at 0 where it starts, at "
            f"30 %: subtract that"
        )
    if not np.allclose(yours, right, atol=1e-6):
        raise Wrong(
            f"at the middle of the run λ should be {right[100]:.2f}, yours is {yours[100]:.2f}; at the end "
            f"10, yours {yours[-1]:.2f}"
        )
    longer = [float(answer(step, 1000)) for step in (299, 650, 999)]
    if not np.allclose(longer, [schedule(step, 1000) for step in (299, 650, 999)], atol=1e-6):
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
        raise Wrong(f"return {len(gates)} gates, as many as came in")
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
    if not torch.equal(gates.detach(), before):
        raise Wrong(
            "the gates that were given have changed; work on a copy (clone), for somebody else may need them"
        )
    if not torch.equal(made.detach()[[1, 3]], torch.tensor([1.0, 0.0])):
        raise Wrong(
            f"edge 1 should be 1 and edge 3 should be 0; yours are {made[1]:.2f} and {made[3]:.2f}"
        )
    if not torch.equal(made.detach()[[0, 2]], before[[0, 2]]):
        raise Wrong("the free edges 0 and 2 should keep their gates")
    if not made.requires_grad:
        raise Wrong(
            "the numbers are right, but the gradient is gone: the free edges could not learn any more. Do not "
            "detach them"
        )
    (grad,) = torch.autograd.grad(made.sum(), [alpha])
    if not (grad[[0, 2]] > 0).all() or grad[[1, 3]].any():
        raise Wrong("the gradient should reach the free edges, and none of the forced ones")
    return "A forced gate is a constant: its α gets no pull of the tasks, but the entropy term still pushes it."


@exercise("06.tip")
def tip(answer, ax):
    """The λ that just holds an edge."""
    alpha, pull, edges = torch.linspace(0.3, 4, 30), 0.004, 48
    push = -torch.stack(
        [entropy_gradient(torch.cat((a[None], torch.zeros(edges - 1))))[0] for a in alpha]
    )
    right, yours = (
        pull / push,
        torch.stack([torch.as_tensor(answer(float(a), pull, edges)).float() for a in alpha]),
    )
    ax.plot(alpha, right, color=BLUE, lw=4, alpha=0.5, label="λ that balances a pull of 0.004")
    ax.plot(alpha, yours, color=ORANGE, label="yours")
    ax.set(xlabel="α", ylabel="λ")
    ax.legend(frameon=False)
    for wrong, why in (
        (
            edges,
            "the entropy is a mean over the edges: each edge feels an E-th of it, so λ must be E "
            "times larger",
        ),
        (edges**2, "one factor E too many"),
        (1 / np.log(2), "this is for entropy in bits; here it is in nats"),
    ):
        if torch.allclose(yours * wrong, right, rtol=1e-3):
            raise Wrong(why)
    if torch.allclose(yours, -right, rtol=1e-3):
        raise Wrong(
            "the sign: the tasks' gradient is positive (it closes the edge), the entropy's is negative; λ is "
            "a positive number"
        )
    if not torch.allclose(yours, right, rtol=1e-3):
        raise Wrong("at balance the two gradients cancel: pull = λ · α p (1 − p) / E with p = σ(α)")
    drawn = float(entropy(torch.tensor([1.5])))
    return (
        f"Lowest near α = 1.5, where the gate is {torch.sigmoid(torch.tensor(1.5)):.2f} and H = {drawn:.2f} nats: "
        f"there entropy is strongest. "
        "Beyond it, the push dies away, but so does the tasks' pull."
    )
