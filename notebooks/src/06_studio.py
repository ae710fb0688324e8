# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · The search, live: two optimisers, two halves of the data
#
# *About 2 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** A search is a loop of two small updates. α says *which* edges; one optimiser moves it. w, all the weights of
# both networks, says *how* to use them; another optimiser moves those. Whoever has written this loop once, and watched
# it, can tell a search that decides something from one that only looks busy.
#
# Words: the **gate** of an edge is σ(α), between 0 (closed) and 1 (open). **λ** is the weight of the entropy term,
# which pushes gates away from ½. A **step** is one update of α and one of w. Two variables, each with a loss of its own in
# which the other one stands: that is called **bilevel** optimisation. Exactly, w would be trained to its end for every
# α; here, as in MTL-NAS, the two take turns, a step each.

# %%
# %matplotlib inline
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from mtlnas_lab import Search, presets
from mtlnas_lab.core.architecture import agreement, derive
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.experiments.scores import scores_now
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.runs.recorder import Recorded
from mtlnas_lab.core.relaxation import entropy, entropy_gradient, stochastic
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.widgets import SearchStudio

# %% [markdown] tags=["teacher"]
# **25 minutes in class.** Two halves (5) · the step by hand (8) · the studio (7) · branches (5). Run the studio's cell
# on the projector first and let it work while you explain the toy problem.

# %% [markdown]
# ## Two halves of the data: why not one?
#
# A toy problem of our own. The target is the sum of 4 useful inputs; 36 more inputs are noise. Each input has a gate
# σ(α) and a weight w. There are 40 examples, as few as that on purpose. Once α learns from the same 40 examples as w,
# once w learns from 20 of them and α from the other 20.

# %%
def toy(two_halves, seed, steps=300):
    draw = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(40, 40, generator=draw), torch.randn(40, generator=draw)
    y = x[:, :4].sum(1) + 0.5 * noise                           # inputs 0…3 are useful, 4…39 are not
    mine, yours = ((x[:20], y[:20]), (x[20:], y[20:])) if two_halves else ((x, y), (x, y))
    alpha, w = torch.zeros(40, requires_grad=True), torch.full((40,), 0.1, requires_grad=True)
    of_alpha, of_w = torch.optim.Adam([alpha], 0.05), torch.optim.Adam([w], 0.05)
    path = []
    for _ in range(steps):
        for part, parameter, optimizer in ((yours, alpha, of_alpha), (mine, w, of_w)):
            loss = ((part[0] * torch.sigmoid(alpha)) @ w - part[1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        path.append(torch.sigmoid(alpha.detach())[4:].mean().item())
    return path                                                 # mean gate of the useless inputs


predict("06.halves", "α learns from the very examples that teach w. The gates of the 36 useless inputs begin at 0.5. Where is their "
        "mean after 300 steps?", between=(0.0, 1.0))

# %%
figure, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
means = {}
for two_halves, color, name in ((False, "#b35806", "the same 40 examples"), (True, "#4575b4", "two halves of 20")):
    paths = np.array([toy(two_halves, seed, presets.quick(300, 20)) for seed in range(5)])
    ax.plot(paths.T, color=color, lw=0.8, alpha=0.4)
    ax.plot(paths.mean(0), color=color, lw=2.5, label=name)
    means[name] = paths.mean(0)[-1]
ax.set(xlabel="step", ylabel="mean gate of useless inputs", ylim=(0, 0.6))
legend = ax.legend(loc="best", frameon=False)

# %% [markdown]
# *Reading aid:* thin lines are five draws of the data, strong ones their mean. Low is right: these inputs are noise.

# %%
same, apart = means["the same 40 examples"], means["two halves of 20"]
because = "On other examples than w's, noise does harm, and the gate shuts."
if same > apart:
    because = "w learns noise by heart, and on the examples it knows by heart, noise looks useful. " + because
reveal("06.halves", f"{same:.2f}; with two halves {apart:.2f}", because)

# %% [markdown]
# So α asks its question on images that w has not just been taught. The paper's released code, and this lab, draw the
# halves anew each epoch; a search on little data can then still overfit α, only more slowly.
#
# What this toy does not show: how large the effect is in a real search, where w has seen all images in earlier epochs.

# %% [markdown] tags=["teacher"]
# **Misunderstanding:** "α's half is a validation set." It teaches α, so its loss is not an estimate of anything. Scores
# come from images that neither half contains. **Ask:** what would happen with 4,000 examples? (Almost no difference.)

# %% [markdown]
# ### Your turn: draw the halves
#
# `count` images, numbered from 0. Return two tensors of indices, for w and for α: each image in one of them, drawn by
# `generator`.

# %% tags=["exercise"]
def two_halves(count, generator):
    # your turn: about 2 lines
    order = torch.randperm(count, generator=generator)
    return order[:count // 2], order[count // 2:]
    # end

# %%
check("06.halves", two_halves)

# %% [markdown] tags=["hint"]
# `torch.randperm(count, generator=generator)` is a shuffled list of all numbers below `count`.

# %% [markdown] tags=["hint"]
# Cut that list in the middle: `order[:count // 2]` and the rest.

# %% [markdown]
# ## One step by hand
#
# The lab `tiny`: two pretrained networks (segmentation, normals), 48 candidate edges, α = 0. `search` holds two streams
# of batches, two optimisers, and `search.current(name)`: the value of a schedule (λ, the temperature τ) at this step.
# We write what it does with them: each update reads the other's variable and does not move it. In part 2 α is detached, so
# no gradient reaches it. In part 1 `backward()` fills the gradients of all weights, too; nobody uses them, and part 2
# throws them away with `zero_grad()`.

# %%
def step_by_hand(search):
    lab, alpha = search.lab, search.lab.alphas.alpha
    lab.supernet.train()

    image, targets = next(search.alpha_batches)                           # 1. which edges?
    losses = lab.loss(lab.supernet(image, torch.sigmoid(alpha)), targets)
    total = sum(lab.tasks[task].weight * loss for task, loss in losses.items())
    objective = total + search.current("entropy_weight") * entropy(alpha)
    search.alpha_optimizer.zero_grad()
    objective.backward()
    search.alpha_optimizer.step()

    image, targets = next(search.weight_batches)                          # 2. how to use them?
    gates = stochastic(alpha.detach(), search.current("temperature"), search.generator)
    losses = lab.loss(lab.supernet(image, gates), targets)
    search.weight_optimizer.zero_grad()
    sum(lab.tasks[task].weight * loss for task, loss in losses.items()).backward()
    search.weight_optimizer.step()
    search.step_number += 1
    return losses

# %% [markdown]
# ## Handshake
#
# The same lab twice, the same seeds; ours beside the library's `Search.step`. λ is 5 from the start here, so that every
# term counts, and w's learning rate stays as it is (`lr_power=0`), where the preset lets it fall.

# %%
lab = presets.tiny(seed=0).to(pick_device())
config = replace(presets.preset("tiny").search, steps=presets.quick(80, 6), batch_size=4, alpha_lr=0.1)
ours, library = (Search(one, replace(config, entropy_weight=5.0, lr_power=0.0)) for one in (lab.copy(), lab.copy()))
for _ in range(3):
    losses, event = step_by_hand(ours), library.step()
    assert torch.allclose(ours.lab.alphas.alpha, library.lab.alphas.alpha, atol=1e-6)
    assert all(abs(losses[task].item() - event.loss[task]) < 1e-4 for task in losses)
print("α and losses agree:", {task: round(value, 4) for task, value in event.loss.items()})

# %% [markdown]
# From here on we use the library's step. It adds knobs that turn, forced edges, and a report of what happened: an
# **event**.
#
# ### Your turn: the update of α alone
#
# Part 1 does more than it has to: of the gradients that `backward()` computes only α's is used. Write it so that w gets
# none. And let the batch be one that comes in equal parts, as where it is too large for the memory: `task_losses` is a
# list of functions, one for each part; each says the tasks' loss for an α, and somewhere inside uses w. Move α by one step
# of `optimizer` down what the whole batch would say, tasks and entropy term, without leaving a gradient anywhere else.
# Return `alpha.grad`.

# %% tags=["exercise"]
def update_alpha(alpha, task_losses, entropy_weight, optimizer):
    # your turn: about 4 lines
    tasks = sum(loss(alpha) for loss in task_losses) / len(task_losses)
    alpha.grad, = torch.autograd.grad(tasks + entropy_weight * entropy(alpha), [alpha])
    optimizer.step()
    return alpha.grad
    # end

# %%
check("06.update", update_alpha)

# %% [markdown] tags=["hint"]
# The parts are equal, so the batch's loss is the mean of theirs. `objective.backward()` would fill the gradients of w too;
# `torch.autograd.grad(objective, [alpha])` gives a tuple of one.

# %% [markdown] tags=["hint"]
# `alpha.grad, = torch.autograd.grad(…)`, with the comma; then `optimizer.step()`.

# %% [markdown]
# ## Play: the studio
#
# A search is something you can loop over. The studio loops for you, in a thread of its own, so that this notebook stays
# yours: run other cells while it works. What you see is the real search on real weights.
#
# * **Start**, **Pause**, **Step**, **Stop and keep** are buttons. The sliders follow the schedules until you move one;
#   from the next step on the search follows *you*, and a dotted line marks it.
# * The sliders: **weight λ** is that of the entropy term. **temp. τ** is the temperature of stochastic gates: the lower, the
#   nearer they are drawn to 0 or 1. **α rate** is the learning rate of α. **L1** weighs the mean gate, a force that shuts
#   all gates alike. The **eye** of a network says how much of its image it sees.
# * **α gates** and **w gates** say which gates each update trains under: *deterministic* is σ(α) itself; *stochastic* is
#   drawn near 0 or 1; *straight through* is 0 or 1 going forward and soft going back; *bernoulli* is a coin that shows 1
#   with probability σ(α) and has no gradient; *discretize* is the cut at ½; *all open* is 1 for every edge. Notebook 05
#   builds the first two.
# * Point at an edge anywhere: it lights up everywhere; **Open**, **Shut** and **Free** force it or let it go. *tasks* is the pull of the task losses on its gate, *λH* that of
#   the entropy term; to the right means open, to the left shut.
# * **Discretize now** says what both networks would be worth with every gate cut to 0 or 1. The search asks this itself
#   every 40 steps.
# * The slider below the picture goes back in time; it changes nothing. But this search is kept in a folder, with a
#   checkpoint (all that a search needs to go on from there) every 20 steps: go back, and **Branch from …** opens a second search that goes on from there beside it.
#
# λ is 0 for the first 30 % of the steps, then grows to 10.

# %%
predict("06.sides", "After its first step every gate is a little to one side of ½. By the time λ begins to grow, how many of "
        "the 48 will have changed to the other side?", between=(0, 48))

# %%
runs = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)            # it goes when the kernel goes
live = replace(config, steps=presets.quick(120, 6), alpha_lr=0.05, evaluate_every=presets.quick(40, 6))


def fresh():
    run = RunWriter.create(Path(tempfile.mkdtemp(dir=runs.name)) / "run", live.to_json(), lab.space)
    search = Search(lab.copy(), live, evaluate=scores_now)
    return Recorded(search, run, checkpoint_every=presets.quick(20, 3), keyframes=6)


studio = SearchStudio(fresh, title="Rooms: segmentation + normals")
studio

# %% [markdown]
# *Reading aid:* entropy (top left) stays near ln 2 while nothing is decided; λ is the thin line in it. Each line of
# the gates is one edge. The losses move little: both networks were trained before. The gap is what cutting the gates
# costs each task, in % of its score; above 0 the network that is used is worse. Without a kernel you see a still picture.

# %%
log = studio.log
before = [step for step in log.steps if step.entropy_weight == 0]
said, because = "press Start above, then run this cell again", ""
if before:
    first, last = np.array(before[0].alpha), np.array(before[-1].alpha)
    away = np.abs(1 / (1 + np.exp(-last)) - 0.5).mean()
    said = str(((first > 0) != (last > 0)).sum())
    because = f"If the first batch of four had said nothing, 24 would be expected. The gates are {away:.2f} away from ½ then, on average."
reveal("06.sides", said, because)

# %% [markdown]
# Everything on the panel is also a line of Python: `studio.start()`, `studio.pause()`,
# `studio.turn(entropy_weight=20)`, `studio.turn(force={"segmentation:3 -> normals:3": True})`, `studio.architecture`.
# After a reload of the page the cell shows an old picture, or "model not found": `studio.show()` in a new cell brings
# the panel back. Four things to try there:
#
# 1. Pull λ to its right end at the very beginning. How many steps until nothing moves any more? Did the tasks have a
#    say?
# 2. *Reset*, set λ to 0 and let it run. Do the gates ever leave the middle?
# 3. Force one edge open that the search had shut. Who changes their mind?
# 4. Cover one network's eyes, `studio.turn(visibility={"segmentation": 0})`, before λ has grown, and after. Which way do
#    the arrows turn, and when not any more? [Notebook 10](10_when_is_there_something_to_find.ipynb) asks that properly.
#
# ### Your turn: when does an edge settle?
#
# `alpha` is an array (S, E): α of E edges after each of S steps. From which step on did each edge stay on the side where it
# ended (α > 0, or not)? Steps count from 1, as rows do in the log: row 0 is α after step 1.

# %% tags=["exercise"]
def settled(alpha):
    # your turn: about 3 lines
    apart = (alpha > 0) != (alpha[-1] > 0)
    steps = np.arange(1, len(alpha) + 1)[:, None]
    return (apart * steps).max(0) + 1
    # end

# %%
check("06.settled", settled)

# %% [markdown] tags=["hint"]
# `(alpha > 0) != (alpha[-1] > 0)` says of each step and edge whether it was on the other side than at the end.

# %% [markdown] tags=["hint"]
# The last step at which that is true, plus 1; where it is never true, 1. `(apart * steps).max(0)` is 0 there.

# %% [markdown] tags=["teacher"]
# **7 minutes.** Let the class call out what to do with λ, then do it. **Misunderstanding:** "the entropy term chooses
# the edges." It is symmetric: it only amplifies the side on which an edge already is. Before its time, that side is
# noise.

# %% [markdown]
# ## Look: what if? Branches from a checkpoint
#
# A search that is recorded in a folder leaves checkpoints: weights, α, both optimisers, all random generators. From one
# of them another search can go on under other knobs, with everything else the same. First the run itself, with a
# checkpoint now and then. After your guess comes the cell with the branches, which is
# the longest one of this notebook: about half a minute on a quiet machine, two on a busy one.

# %%
folder = tempfile.TemporaryDirectory()
keep, at = presets.quick(10, 2), presets.quick(30, 4)
recorded = Recorded(Search(lab.copy(), config), RunWriter.create(Path(folder.name) / "run", config.to_json(), lab.space),
                    checkpoint_every=keep, keyframes=8)
first = EventLog(recorded)
print("checkpoints at", [event.step for event in first.events if type(event).__name__ == "Checkpoint"])

# %%
predict("06.branch", f"The same search, but from step {at} on λ is 0. At the end its entropy, in % of ln 2, is",
        between=(0, 100))

# %%
strong = first.alpha[-1].argmax()                             # the edge that this search opened widest
edge = lab.space.edges[strong]
branches = {"as it was": first,
            f"λ = 0 from step {at}": EventLog(recorded.branch(at, entropy_weight=0.0)),
            f"λ = 20 from step {keep}": EventLog(recorded.branch(keep, entropy_weight=20.0)),
            f"{edge} shut from step {keep}": EventLog(recorded.branch(keep, force={edge: False}))}

figure, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
for (name, one), look in zip(branches.items(), ("#333333", "#b35806", "#4575b4", "#1b7837")):
    line = ":" if "shut" in name else "-"
    ax.plot(one.column("step"), one.column("entropy_fraction"), line, color=look, lw=2.2, label=name)
ax.set(xlabel="search step", ylabel="entropy, share of ln 2", ylim=(0, 1.05))
legend = figure.legend(frameon=False, loc="outside upper left", ncols=2)

# %% [markdown]
# *Reading aid:* the lines are one search until they part; what happens after is due to the knob and to nothing else.

# %%
zero = branches[f"λ = 0 from step {at}"].column("entropy_fraction")
reveal("06.branch", f"{100 * zero[-1]:.0f} %", f"It was {100 * first.column('entropy_fraction')[at - 1]:.0f} % at "
                                               f"step {at}: without the "
       "entropy term the gates drift, but nothing makes them decide.")

# %% [markdown]
# Did the three branches find other graphs? `agreement` counts edges on which two architectures differ (flips); an edge
# that is forced counts here by its α too.

# %%
found = {name: derive(lab.space, one.alpha[-1]) for name, one in branches.items()}
for name, one in found.items():
    print(f"{name:44}{sum(one.kept):3} edges open,{agreement(found['as it was'], one)['flips']:3} flips")

# %% [markdown]
# λ = 20 right away decides early, by what the first few batches happened to say. Whether such a graph is worse, two
# runs cannot tell; that it listened to fewer images, the picture shows. And is a force on one edge felt by others? It
# could be, for all edges share the networks' weights.

# %%
was, now = (1 / (1 + np.exp(-one.alpha[-1])) for one in (first, branches[f"{edge} shut from step {keep}"]))
others = np.arange(len(was)) != strong
moved = np.abs(now - was)[others]
over = ((was > 0.5) != (now > 0.5))[others].sum()
print(f"{edge} was shut. Of the other {len(moved)} edges {over} ended on the other side;",
      f"the largest change of a gate is {moved.max():.2f}, the median {np.median(moved):.3f}:")
for i in np.argsort(-np.abs(now - was) * others)[:4]:
    print(f"{str(lab.space.edges[i]):34} gate {was[i]:.2f} -> {now[i]:.2f}")
print("Here the force is felt elsewhere." if over else "Here the force changes no other edge of the graph.")

# %% [markdown]
# ## Look: two forces on one edge
#
# What moves α? Two gradients: of the tasks (in the log as `alpha_grad`) and of λ·H, which we can compute from α. Below
# for the edge that was opened widest; a negative gradient opens.

# %%
figure, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
steps, alpha = first.column("step"), torch.tensor(first.alpha)
pushes = torch.stack([weight * entropy_gradient(a) for weight, a in zip(first.column("entropy_weight"), alpha)])
ax.bar(steps, first.alpha_grad[:, strong], color="#b35806", width=1, label="tasks")
ax.plot(steps, pushes[:, strong], color="#4575b4", lw=2.2, label="λ · entropy")
ax.axhline(0, color="#777777", lw=0.8)
ax.set(xlabel="search step", ylabel="gradient on α", title=f"{edge}", xlim=(0, len(steps) + 1))
legend = ax.legend(loc="best", frameon=False)

# %% [markdown]
# *Reading aid:* bars below 0 open the gate, bars above shut it. Bars jump from batch to batch and change sides; the
# line does neither, and soon it is the stronger one.
#
# ### Your turn: where do two runs part?
#
# `one` and `other` are arrays (S, E): α of two runs after each of S steps. At which step (from 1) do they find different
# graphs for the first time? 0, if they never do.

# %% tags=["exercise"]
def part(one, other):
    # your turn: about 2 lines
    differs = ((one > 0) != (other > 0)).any(1)
    return int(differs.argmax()) + 1 if differs.any() else 0
    # end

# %%
check("06.part", part)

# %% [markdown] tags=["hint"]
# Other numbers are not yet another graph. Which edges are kept in each run: `one > 0`, `other > 0`.

# %% [markdown] tags=["hint"]
# `.any(1)` says of each step whether any edge differs; `argmax` of truth values is the first True, and 0 if there is none.

# %% [markdown]
# ### Your turn: force edges
#
# In the studio you may force an edge. In code: `gates` is a tensor (E,) that carries gradients; `forced` is {index:
# True or False}. Return gates in which the forced ones are 1 or 0, and the others still learn. Do not change `gates`
# itself.

# %% tags=["exercise"]
def with_forced(gates, forced):
    # your turn: about 4 lines
    gates = gates.clone()
    for index, is_open in forced.items():
        gates[index] = float(is_open)
    return gates
    # end

# %%
check("06.force", with_forced)

# %% [markdown] tags=["hint"]
# `gates.clone()` is a copy through which gradients still flow; `detach()` would cut them off.

# %% [markdown] tags=["hint"]
# Writing a plain number into one place of the copy makes that place a constant.

# %% [markdown]
# ## What we know now
#
# * A step is an update of α on one half of the images and one of w on the other; each reads the other's variable only.
# * Before λ grows, the gates move a little; then the entropy term amplifies the side on which each edge is.
# * A branch from a checkpoint answers "what if", because everything else stays the same.
# * To search until an effect shows, leave the loop: `for event in fresh():`, and in it
#   `if isinstance(event, Step) and event.entropy_fraction < 0.5: break` (`Step` is in `mtlnas_lab.core.events`).
# * Two runs of your own side by side are two studios: `SearchStudio(run_1).beside(SearchStudio(run_2))`, which stay at the
#   same step.
#
# What these short runs do *not* show: that the edges found are good ones. They were hurried (α moved 2.5 to five times as fast
# as it should, four images a batch). Whether a search beats a random graph is the question of notebook 07; when there is
# anything to find, that of [notebook 10](10_when_is_there_something_to_find.ipynb).
#
# `SearchStudio("runs/demo")` follows a run folder while `make demo` writes it in a terminal, or a cluster node does;
# the sliders reach that search through the folder. `mtlnas_lab.widgets.replay_html("runs/demo")` makes one HTML page of
# it that needs no kernel.
#
# Words are in the [glossary](../docs/glossary.md). Next: [07](07_derive_and_gap.ipynb), what is lost when the gates are cut.

# %%
recorded.folder.close()
folder.cleanup()

# %% [markdown] tags=["teacher"]
# **Closing question:** the branch with one edge shut changed other edges. Is α_ij then "the worth of edge ij"? (No: its
# worth given all the others, at this moment of the training.)
