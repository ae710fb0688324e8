# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Warm start: begin with a neighbour's α
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** Each search so far began at α = 0: nothing is known, every gate is at ½. But you may have searched before, on other
# tasks. Inspired by **warm-starting DARTS with meta-learning** (Grobelnik & Vanschoren, arXiv 2205.06355, whose abstract is all
# that was at hand) we keep a **store** of searched α, look for the most similar task pair by the task distance of notebook 15,
# and begin the new search there (a **warm start**). Two questions: is the search shorter? And is it the *similarity* that makes it so?

# %%
# %matplotlib inline
from dataclasses import replace

import pandas as pd
import torch

from mtlnas_lab import Search, presets
from mtlnas_lab.analysis.statistics import half_interval
from mtlnas_lab.bench.condition import condition
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.core.architecture import warm_start
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.explore import task_distance as td
from mtlnas_lab.explore import warm_start as ws
from mtlnas_lab.explore.study import Findings
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz import plot_distances, plot_gates, plot_regret, small_multiples, style
from mtlnas_lab.viz.graph.shapes import draw
from mtlnas_lab.viz.study_plots import plot_quantity

# %% [markdown] tags=["teacher"]
# **Teacher: 35 minutes with exercises.** The store and its order (8), from α to a start (8), Reptile (7), searches from their
# starts (5), the controls (7). Start the training cell before the first exercise. The one sentence to take home: a start that
# helps is no proof that *similarity* helps; the farthest neighbour, and a start that has seen nothing, have to lose first.

# %% [markdown]
# ## Guess first

# %%
predict("17.steps", "A cold search ends with some loss on val. From the nearest pair's α it is reached after … % of the steps that the cold "
        "search took to it", between=(0, 150))

# %%
predict("17.far", "Take the farthest pair instead of the nearest one. Then it is reached …", ["sooner", "later", "the seeds cannot tell"])

# %% [markdown]
# ## The store
#
# The new pair is *segmentation + normals*. Four dense tasks of the rooms make five other pairs; each is searched once, cold, and
# its α is kept. And each task has a small network by itself, whose **Fisher information** says what its loss leans on.

# %%
target, seed, steps = ("segmentation", "normals"), 0, presets.quick(50, 2)
store = ws.store_for(target, seed, steps)
for entry in store:
    roles = ", ".join(f"{there} as {here}" for there, here in entry.tasks.items())
    print(f"distance {entry.distance:.3f}: {roles}; {len(entry.found)} of {len(entry.found.space)} edges open")

# %%
titles = {f"{' + '.join(entry.found.space.tasks)}, distance {entry.distance:.2f}": entry.found for entry in store}
draw(small_multiples(titles, columns=2, style="web-light").scene()).figure

# %% [markdown]
# *Reading aid: a picture for each entry, the nearest first. A thick solid edge ended open, a thin dashed one shut. Each has two
# ways round (which task takes whose place); the store takes the nearer one.*

# %%
found = td.distances(seed, ws.TASKS, steps)
matrix = pd.DataFrame(found.matrix, index=ws.TASKS, columns=ws.TASKS)
plot_distances(matrix, style="web-light").figure

# %% [markdown]
# *Reading aid: row: whose network; column: whose loss is measured in it. A pair's distance is the mean of two fields, one in the
# column of segmentation and one in that of normals. A frame is a task with itself: not 0, for the images came in another order.*
#
# ## From α to a start
#
# The source's α may stand at 2 or at 6: there the edge was decided, and its gate has hardly a gradient left. A start must not be
# final. So each α is first **clipped** to −1 … 1, then multiplied by **κ** (kappa):
#
# $$\alpha_{\text{start}} = \kappa \cdot \mathrm{clip}(\alpha_{\text{source}}, -1, 1)$$
#
# ### Your turn: the start

# %% tags=["exercise"]
def start(alpha, kappa):
    """alpha: (E,), of the source. Returns (E,)."""
    # your turn: about 1 line
    return kappa * alpha.clamp(-1, 1)
    # end


# %%
check("17.start", start)

# %% [markdown] tags=["hint"]
# First clip, then multiply: κ is to be the largest |α| of the start.

# %% [markdown] tags=["hint"]
# `alpha.clamp(-1, 1)` clips a tensor on both sides.

# %% [markdown]
# **Handshake.** The library does the same, and finds each edge by its name: with tasks in other roles, edges stand elsewhere.

# %%
space, nearest = condition("segmentation-normals").space, store[0]
library = warm_start(nearest.found, space, kappa=0.5, tasks=nearest.tasks)
mine = start(torch.tensor(nearest.found.alpha), 0.5)
assert mine is ... or sorted(torch.as_tensor(mine).tolist()) == sorted(library)              # yours, once it is written
print("\n".join(f"{str(edge):34} begins at {value:+.2f}" for edge, value in zip(space.edges, library)))

# %% [markdown]
# **Tweak.** How far may a start be from ½? At κ = 0 it is cold. The larger κ, the harder it is for a gate to turn; κ → ∞ is a
# **frozen copy**, of which only w is still learnt.

# %%
for kappa in (0.0, 0.3, 1.0, 3.0, 6.0):
    p = torch.sigmoid(torch.tensor(kappa))
    print(f"κ = {kappa}: gates from {1 - p:.3f} to {p:.3f}; a gate at the end has {float(4 * p * (1 - p)):.0%} of the slope that it has at ½")

# %% [markdown]
# ## A start from all of them: Reptile on α
#
# Instead of one neighbour, learn a start over all pairs. **Reptile**: from one common α each pair's search goes a few steps (each
# with networks of its own); then the common α moves towards where they went, and so on:
#
# $$\alpha \leftarrow \alpha + \varepsilon \cdot \frac{1}{T}\sum_t (\alpha_t - \alpha)$$
#
# ### Your turn: one round

# %% tags=["exercise"]
def reptile(alpha, after, epsilon):
    """alpha: (E,), the common start of this round. after: (T, E), where each of T tasks went from there. Returns (E,)."""
    # your turn: about 1 line
    return alpha + epsilon * (after - alpha).mean(0)
    # end


# %%
check("17.reptile", reptile)

# %% [markdown] tags=["hint"]
# `after - alpha` has the shape (T, E): how far each task went. The mean over the tasks is over the first axis.

# %% [markdown] tags=["hint"]
# ε is the share of the way: 0 stays, 1 goes to the mean of where they are.

# %% [markdown]
# **Handshake.** One round of two real pairs, by your function and by the library, from the same networks and batches.

# %%
config = replace(ws.SETTINGS, steps=presets.quick(6, 2), seed=seed)
pairs = [("segmentation", "depth"), ("edges", "normals")]
searches = [Search(ws.lab_of(pair, seed), config) for pair in pairs]
begun, ended = ws.reptile(searches, rounds=1, epsilon=0.5)
after = torch.stack([search.lab.alphas.alpha.detach() for search in searches])
assert torch.allclose(ended, begun + 0.5 * (after - begun).mean(0))
mine = reptile(begun, after, 0.5)
assert mine is ... or torch.allclose(torch.as_tensor(mine), ended)                           # yours, once it is written
print("After one round:", [round(value, 3) for value in ended.tolist()])

# %% [markdown]
# ## Cold and warm, side by side
#
# The same networks, the same batches; only α begins elsewhere. That is one argument:

# %%
def searched(begin):
    lab = condition("segmentation-normals").lab(seed)
    lab = replace(lab, alphas=ArchitectureWeights(len(lab.space), begin))
    return EventLog(Search(lab, replace(ws.SETTINGS, steps=steps, seed=seed)))


figure = style("web-light").figure(height=80, layout="constrained")
axes = figure.subplots(1, 2, sharey=True)
plot_gates(searched(0.0), ax=axes[0], style="web-light", title="cold")
plot_gates(searched(nearest.start(space)), ax=axes[1], style="web-light", title="from the nearest entry")
figure

# %% [markdown]
# *Reading aid: a line is a gate p = σ(α); above ½ the edge is open if the search stops there. Look at when the cold lines part, and
# whether a warm one ever crosses ½.*
#
# What are those graphs worth? The **table of the truth** (notebook 11) has every graph's loss on test images, trained by itself.
# *Open* is a control: every edge begins open at σ(κ), and no other task was ever looked at.

# %%
table, rows = FusionTable.open("segmentation-normals"), []
for kind in ("cold", "nearest", "farthest", "open"):
    begin = ws.start_of(kind, target, seed, kappa=1.0, steps=steps)
    descent = ws.descend("segmentation-normals", seed, begin, False, steps)
    for step, graph in zip(descent.steps, descent.graphs):
        rows.append({"searcher": kind, "seed": seed, "spent": 2 * step, "regret": table.regret(graph)})
curves = pd.DataFrame(rows)
plot_regret(curves, score="total loss", floor=table.noise_floor("total").smallest, style="web-light").figure

# %% [markdown]
# *Reading aid: how much worse than the best of 256 graphs the graph is that α stands for at that moment. A step of the search costs
# two plain training steps. One seed: an example, not a proof. In the band nothing can be told apart.*
#
# **Tweak.** Change `kappa=1.0` to 0.3 or 3, or add `"random"` to the list. (`"meta"`, the start that Reptile learns over all pairs of
# the store, takes half a minute more.)
#
# ## Proof
#
# The shipped study: five seeds, each with a store of its own. Arms, claims and controls were written down before the first row was
# made. *Steps* counts until the loss on val is as low as the cold search's at its end; all of them, where it never is.

# %%
study = Findings.shipped("warm-start")


def shown(quantity, label):
    values = study.values(quantity)
    half = {name: half_interval(row.dropna().tolist()) for name, row in values.iterrows()}
    return plot_quantity(values, half, label)


shown("steps", "steps until val is as good as the cold search at its end, less is better")

# %% [markdown]
# *Reading aid: every dot is a seed; the loss is looked at every 4 steps. “Meta” is the start that Reptile learnt from all entries of the
# store. “Frozen” is κ → ∞: edges stay as they begin. All other starts
# have κ = 1 unless they say so. Of five seeds, three drew the farthest entry as the random one.*

# %%
mean = study.values("steps").mean(axis=1)
reached = study.values("reached").mean(axis=1)
reveal("17.steps", round(100 * mean["nearest"] / mean["cold"]), f"{mean['nearest']:.0f} steps against {mean['cold']:.0f}; in {reached['nearest']:.0%} of "
       "the seeds it is reached at all.")

# %%
about, = [v for v in study.verdicts if v.claim.arm == "nearest" and v.claim.against == "farthest"]
answer = "the seeds cannot tell"
if about.corrected <= 0.05:
    answer = "later" if about.mean < 0 else "sooner"
each = ", ".join(f"{value:+.0f}" for value in about.values)
reveal("17.far", answer, f"from the farthest {mean['farthest']:.0f} steps, from the nearest {mean['nearest']:.0f}. Nearest minus farthest: "
       f"{about.measured}; by seed {each}.")

# %% [markdown]
# And the graphs: after a quarter of the steps, and at the end. Mind the band of the picture above: the table itself cannot tell
# such small regrets apart. (Student's interval knows no bounds: a bar of few seeds may reach below 0, where no regret can be.)

# %%
shown("early_regret", "regret after a quarter of the steps, total loss")

# %%
shown("regret", "regret at the end, total loss")

# %% [markdown]
# Does the distance order the store at all? Each entry's graph can be looked up as it is, without any search:

# %%
copied = study.values("copied_nearest").loc["copies"].mean(), study.values("copied_farthest").loc["copies"].mean()
rho = study.values("spearman").loc["copies"]
print(f"Regret of the nearest entry's graph {copied[0]:.3f}, of the farthest {copied[1]:.3f}, mean of all {study.values('copied_mean').loc['copies'].mean():.3f}.")
print(f"Rank correlation of distance and regret, by seed: {', '.join(f'{value:+.2f}' for value in rho)}.")

# %%
for verdict in study.verdicts:
    print(verdict.in_short)

# %% [markdown]
# *Reading aid: below each claim stand the difference, its 95 % interval and a p. The interval is of this comparison alone; the p is
# corrected for the number of claims (Holm: notebook 07, by hand in 20). “Held” asks for a corrected p of 0.05 at most; “did not hold” is an
# interval that leaves no room for the claim; all else is “could not tell”, which is not “the same”. A claim that two are alike holds where
# the interval lies within the bound that is given.*

# %% [markdown]
# ## What we know now

# %%
early, last = study.values("early_regret").mean(axis=1), study.values("regret").mean(axis=1)
turned = study.values("turned").mean(axis=1)
summary = pd.DataFrame({"steps": mean, "regret after a quarter": early, "regret at the end": last, "edges that turned": turned})
warm = turned.drop(index="cold")
print(f"From a start that had looked at no task (open): {mean['open']:.0f} steps; from the nearest entry: {mean['nearest']:.0f}; cold: {mean['cold']:.0f}.")
quarter, smallest = study.values("early_regret").loc["cold"], table.noise_floor("total").smallest
print(f"After a quarter of the steps a cold search has a graph within the noise floor of the best in {(quarter < smallest).sum()} of "
      f"{len(quarter)} seeds; the largest regret is {quarter.max():.3f}, the floor {smallest:.3f}.")
print(f"Of 8 edges at most {warm.max():.1f} turned on average after any warm start, also at κ = 0.3: {turned['nearest, κ = 0.3']:.1f}.")
summary.round(3)

# %% [markdown]
# * A start that helps is no proof that *similarity* helps. Two controls decide: the farthest entry (**negative transfer**, if it
#   harms), and *open*, a start that has looked at nothing. What they reach too is not the neighbour's merit.
# * The loss that *steps* waits for is brought down by w, too, on the same schedule from every start. Where a cold search has
#   a good graph after a quarter of its steps already (in how many seeds is printed above), a warm one cannot save much. Gates that are hard from the first step
#   (*frozen*) took no more steps on average than any that can move.
# * Adam moves α by some 0.02 a step: from κ = 1 the way to ½ takes 50 of the study's 100 steps, and after 30 of them λ begins to push away from
#   ½. Edges that do not turn make a warm start a **frozen copy**, with its source's mistakes in it. Count them before you speak of
#   adaptation.
#
# What this small data can *not* show: what a neighbour is worth where graphs differ more. In this table hardly a graph is better than
# the one with all edges open, and most entries of the store say nearly that, so that near and far are hardly told apart; in the table segmentation-normals-few edges into
# segmentation harm it, and there this question was not asked.
# Nor what a store of many unlike data sets would hold (all pairs here are of the same rooms), nor large networks, for which even
# a tenth of a search is hours.
