# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How far is one task from another, layer by layer?
#
# *About 3 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** Before any edge is searched: which networks might have something to say to each other? Inspired by the **Fréchet
# task distance** (Le et al., arXiv 2103.12827) we look at the weights that a task's loss leans on, in its own network and
# in another task's. Two networks that lean on the same weights should be close. That is a number for each ordered pair of
# tasks, and for each stage. The **table of the truth** (notebook 11) can then say whether it is of use: do edges between
# close tasks help, and may a space be cut to them?

# %%
# %matplotlib inline
import pandas as pd
import torch
from torch.func import functional_call, grad, vmap

from mtlnas_lab import presets
from mtlnas_lab.analysis.statistics import half_interval
from mtlnas_lab.bench.condition import rooms
from mtlnas_lab.bench.landscape import main_effect
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.explore import task_distance as td
from mtlnas_lab.explore.study import Findings
from mtlnas_lab.viz import plot_distances, plot_effects, plot_profile
from mtlnas_lab.viz.study_plots import plot_quantity

# %% [markdown] tags=["teacher"]
# **Teacher: 35 minutes with exercises.** The gradient of one image (8), the distance (7), the matrix (8), edges and the cut
# (12). Start the training cell before the first exercise. The one sentence to take home: a distance can be consistent and
# still useless for the choice that you want to make with it; only a control tells.

# %% [markdown]
# ## Guess first

# %%
predict("15.same", "A network of a task against another one of the same task that saw the images in another order: how far apart, "
        "beside networks of two tasks (100 %)?", between=(0, 150))

# %%
predict("15.cut", "Keep the half of the 8 edges that connect the closest stages. Against a random half, the best graph that is left is …",
        ["better", "worse", "the study cannot tell"])

# %% [markdown]
# ## Networks of one start
#
# Five tasks of the rooms, a small network each: three stages and a head. (The fifth, *room*, names the kind of room that an image
# shows, such as a kitchen: one answer for the whole image.) All of them begin with **the same stages**, or else
# weight 17 of one would have nothing to do with weight 17 of the other. Each is trained by itself.

# %%
steps = presets.quick(td.STEPS, 2)
own = {task: td.train_alone(task, start=0, order=0, steps=steps) for task in td.TASKS}
print({task: sum(weight.numel() for weight in network.stages.parameters()) for task, network in own.items()})

# %% [markdown]
# ## What a loss leans on: the Fisher information
#
# For each weight: how strongly does the loss of **one image** pull at it? Square that, and take the mean over the images.
# This is the diagonal of the (empirical) **Fisher information**. Weights with 0 may be changed freely.
#
# ### Your turn: from gradients to the Fisher information

# %% tags=["exercise"]
def fisher(gradients):
    """gradients: (N, W), the gradient of each of N images by W weights. Returns (W,)."""
    # your turn: about 1 line
    return (gradients**2).mean(0)
    # end


# %%
check("15.fisher", fisher)

# %% [markdown] tags=["hint"]
# Square first, then the mean over the images, which is the first axis.

# %% [markdown] tags=["hint"]
# `gradients**2` has the shape (N, W); `.mean(0)` leaves (W,).

# %% [markdown]
# **Handshake.** torch gives the gradient of each image at once: `grad` makes a function of one image's loss that returns its
# gradient, `vmap` runs it for all images. Your function and the library agree.

# %%
task, count = "depth", presets.quick(80, 4)
depth, network = td.tasks()[task], own[task].eval()
images, targets = rooms()["val"].batch(torch.arange(count), (task,))
stages = {name: weight.detach() for name, weight in network.named_parameters() if name.startswith("stages")}


def loss(stages, image, target):
    return depth.loss(functional_call(network, stages, (image[None],)), target[None])


gradients = vmap(grad(loss), in_dims=(None, 0, 0))(stages, images, targets[task])
flat = torch.cat([one.flatten(1) for one in gradients.values()], 1)               # (N, W)
library = torch.cat(td.fisher(network, depth, images, targets[task]))
mine = fisher(flat)
assert torch.allclose((flat**2).mean(0), library, rtol=1e-3, atol=1e-9)
assert mine is ... or torch.allclose(torch.as_tensor(mine), library, rtol=1e-3, atol=1e-9)    # yours, once it is written
print(f"{tuple(flat.shape)} gradients; the Fisher information of {len(library)} weights, equal to the library's.")

# %% [markdown]
# **How not to.** A published script squares the gradient of the *mean* loss of a batch. Pulls in opposite directions then cancel
# before they are squared, and what is left depends on the size of the batch:

# %%
for size in (1, 4, count):
    parts = flat[: count // size * size].view(-1, size, flat.shape[1]).mean(1)     # the gradient of each batch's mean loss
    print(f"batches of {size:2}: the squares are {(parts**2).mean() / (flat**2).mean():.0%} of those of single images")

# %% [markdown]
# More of that kind, all of which change the result without a sign: a script that overwrites the target's Fisher matrix with the source's, so
# that every distance is 0; a search that fits its choice between operations on the *test* images; a mean over output channels
# that mixes weights before they are compared; random choices of Python's `random` while only torch is seeded.
#
# ## The distance
#
# The target's loss leans on F in its own network and on G in the source's (with a new head, its stages untouched, on the
# target's images). Each is divided by its sum; then the **Hellinger distance**:
#
# $$d = \frac{1}{\sqrt 2}\sqrt{\sum_i \left(\sqrt{F_i} - \sqrt{G_i}\right)^2}$$
#
# It is 0 where both lean on the same weights in the same proportions, 1 where they share none.
#
# ### Your turn: the distance

# %% tags=["exercise"]
def distance(f, g):
    """f, g: (W,), not negative, not normalised."""
    # your turn: about 2 lines
    f, g = f / f.sum(), g / g.sum()
    return (((f**0.5 - g**0.5) ** 2).sum() / 2) ** 0.5
    # end


# %%
check("15.distance", distance)

# %% [markdown] tags=["hint"]
# Divide each by its sum before you take roots.

# %% [markdown] tags=["hint"]
# `((f.sqrt() - g.sqrt()) ** 2).sum()` is below the root, divided by 2.

# %%
other = td.with_head_for(own["normals"], "depth", order=0, steps=min(steps, td.HEAD_STEPS))
theirs = torch.cat(td.fisher(other, depth, images, targets[task]))
mine = distance(library, theirs)
assert mine is ... or abs(float(mine) - td.distance(library, theirs)) < 1e-5              # yours, once it is written
print(f"depth's loss in the network of normals against its own network: d = {td.distance(library, theirs):.3f}")

# %% [markdown]
# ## All pairs, both orders
#
# On the diagonal stands what a distance has to be compared with: the same task's network, from the same start, that saw the
# images in another order. This trains fifteen small networks and thirty heads.

# %%
found = td.distances(0, steps=steps, images=presets.quick(td.IMAGES, 4))
matrix = pd.DataFrame(found.matrix, index=td.TASKS, columns=td.TASKS)
plot_distances(matrix, style="web-light").figure

# %% [markdown]
# *Reading aid: a row is a network, a column whose loss is measured in it. The two sides of the diagonal are the two orders of
# a pair. A frame is a task with itself.*

# %%
same, unlike, elsewhere = found.same_task.mean(), found.other_task.mean(), found.other_start.mean()
print(f"Same task, other order: {same:.3f}. Another task: {unlike:.3f}. Same task from another start: {elsewhere:.3f}.")
print(f"The two orders of a pair differ by {found.asymmetry:.3f} on average.")

# %% [markdown]
# **Tweak.** `td.distances(0, per_sample=False)` does it the wrong way on the same networks; `images=20` takes fewer images; `td.distances(1)`
# begins from another start. And the profile, stage by stage, each normalised by itself, for the two tasks of the table:

# %%
a, b = td.TASKS.index("segmentation"), td.TASKS.index("normals")
pairs = {"segmentation → normals": (a, b), "normals → segmentation": (b, a), "segmentation, other order": (a, a), "normals, other order": (b, b)}
profiles = pd.DataFrame({name: found.stages[place] for name, place in pairs.items()})
plot_profile(profiles, style="web-light").figure

# %% [markdown]
# *Reading aid: “segmentation → normals” is the loss of normals in the network of segmentation. The lower, the more alike are
# the weights that it leans on in that stage.*
#
# ## Of what use is it?
#
# An edge brings a map of the source's stage to the target. If that stage is close, is the edge good? The table knows what each
# edge does to the loss of the task that it leads into.

# %%
table = FusionTable.open("segmentation-normals")
edges = pd.DataFrame({"distance": td.closeness(table.space, found), "effect": td.effects(table)}, index=map(str, table.space.edges))
edges["target's loss"] = [f"into {edge.target.task}" for edge in table.space.edges]
edges.sort_values("distance").round(4)

# %%
order = edges.sort_values("distance")
wide = {task: table.by_seed(f"{task}/loss") for task in table.tasks}              # (256, seeds) each
by_seed = {str(edge): [main_effect(column, place) for column in wide[edge.target.task].T] for place, edge in enumerate(table.space.edges)}
each = pd.DataFrame(by_seed, index=list(table.seeds)).T.loc[order.index]
plot_effects(each, score="loss of the target", groups=list(order["target's loss"]), style="web-light").figure

# %% [markdown]
# *Reading aid: edges from the closest (top) to the farthest; left of 0 an edge helps the task that it leads into; small dots are
# the table's seeds. If
# closeness were a good guide, the helpful ones would be at the top. The scale of a loss depends on its task: compare
# within a colour.*
#
# ## Proof
#
# The shipped study: five starts, each with all of these networks. Its claims were named before the run; one control, *latest*,
# was added after a first look at start 0.

# %%
study = Findings.shipped("task-distance")


def shown(quantity, label):
    values = study.values(quantity)
    half = {name: half_interval(row.dropna().tolist()) for name, row in values.iterrows()}
    return plot_quantity(values, half, label)


shown("distance", "distance of two networks, mean over pairs")

# %% [markdown]
# *Reading aid: every dot is a start. Student's interval knows no bounds: an interval of few starts may reach where nothing can be, as below a
# regret of 0 or above a correlation of 1. “Batch gradient” is the wrong way from above, on the same networks.*

# %%
means = study.values("distance").mean(axis=1)
reveal("15.same", round(100 * means["same task"] / means["another task"]), f"{means['same task']:.3f} against {means['another task']:.3f} over "
       f"{study.values('distance').shape[1]} starts. From another start it is {means['same task, other start']:.3f}.")

# %% [markdown]
# And the **cut**: of 8 edges 4 are left, which makes 16 graphs of 256. The best of them on validation images is judged on test
# images. *Random cut* is the mean over all 70 cuts; *latest* keeps the edges of the last stages without looking at any task.

# %%
shown("regret", "regret of the best graph that is left, total loss, less is better")

# %%
for verdict in study.verdicts:
    print(verdict.in_short)

# %% [markdown]
# *Reading aid: below each claim stand the difference, its 95 % interval and a p. The interval is of this comparison alone; the p is
# corrected for the number of claims (Holm: notebook 07, by hand in 20). “Held” asks for a corrected p of 0.05 at most; “did not hold” is an
# interval that leaves no room for the claim; all else is “could not tell”, which is not “the same”. The **smallest detectable
# difference**, below “could have been detected”, is the true difference that a test at 5 % (of one comparison, uncorrected) finds in
# four of five such studies.*

# %%
regret = study.values("regret").mean(axis=1)
about, = [v for v in study.verdicts if v.claim.arm == "closest" and v.claim.against == "random cut"]
answer = "the study cannot tell"
if about.corrected <= 0.05:
    answer = "better" if about.mean < 0 else "worse"
reveal("15.cut", answer, f"its regret is {regret['closest']:.3f}, that of a random cut {regret['random cut']:.3f}; the difference is {about.measured}. "
       f"With {len(about.values)} starts one of {about.difference.detectable:.2g} could have been detected.")

# %% [markdown]
# ## What we know now

# %%
rho = study.values("spearman").loc["edges"]
print(f"Networks of one task are {means['same task']:.2f} apart, of two tasks {means['another task']:.2f}, of one task from two starts "
      f"{means['same task, other start']:.2f}.")
print(f"Over the 8 edges, distance and effect on the target's loss have a rank correlation of {rho.min():+.2f} to {rho.max():+.2f}, by "
      "the start; helpful edges between close stages would make it positive.")
print("Regret of the cut: " + ", ".join(f"{name} {value:.3f}" for name, value in regret.items()) + ".")

# %% [markdown]
# * A distance between weights only means something between networks of one start: another start numbers its channels anew.
# * Square each image's gradient, not the batch's.
# * A mean over all pairs can be consistent while the order of eight edges is not: look at every start before you cut.
# * Late edges help most in this table. Hold a clever order against such a plain one (*latest*) before you believe it.
#
# What this small data can *not* show: whether the distance predicts which *pair* of tasks gains from fusion (that takes a
# table for each of many pairs, and two pairs have one); what holds for large pretrained networks, which begin alike and stay closer; and
# what a search in the cut space would save.
