# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The landscape: what is there to find?
#
# *About 3 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** A search gives one graph. Is it good? Beside which others, and by more than chance? In large networks nobody
# can say, for nobody can train all graphs. So here is a space that is small enough: two networks of three stages, 8
# candidate **edges**, 2⁸ = 256 graphs. Each of them was trained from the start, under several seeds, and written down in
# a **table of the truth**. Now every question about any search can be answered in milliseconds: its **rank**, its
# **regret**, what it missed. You will make a few of these records yourself, measure how far chance blurs them, walk
# through all 256 graphs, and enter a search of your own into a race.

# %%
# %matplotlib inline
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mtlnas_lab import Schedule, Search, presets
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.bench.training import losses, one_thread, train
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.data.loader import whole
from mtlnas_lab.explore.study import Findings
from mtlnas_lab.viz import plot_effects, plot_front, plot_fusion_graph, plot_ranks, plot_regret, plot_seeds
from mtlnas_lab.widgets import LandscapeExplorer

# %%
table = FusionTable.open("segmentation-normals")
condition, space = table.condition, table.space
total = table.values("total")                                 # (256,) on test images, mean over the seeds
print(table)

# %% [markdown] tags=["teacher"]
# **Teacher: 40 minutes with exercises.** By hand (8), noise (8), the front (7), the explorer (7), the race (10). The
# training cells take half a minute: start them, then talk about what a record holds. The one sentence to take home:
# before you ask whether a search is good, ask what there is to find and what your seeds can tell.

# %% [markdown]
# A graph is a number from 0 to 255: bit i says whether edge i is open. So 0 is **none** (two networks alone) and 255 is
# **all**. The *total* is what training minimises: the loss of segmentation plus 20 times that of normals.

# %%
plot_fusion_graph(space, style="web-light").figure

# %%
for i, edge in enumerate(space.edges):
    print(i, edge)

# %% [markdown]
# ## Guess first

# %%
predict("11.edges", "How many of the 8 edges has the best graph (by total loss)?", between=(0, 8))

# %%
predict("11.luck", "Two graphs are drawn by chance. How often can the table's seeds tell which is better?",
        ["hardly ever", "in about a quarter of the cases", "in about half", "in about three quarters", "nearly always"])

# %%
predict("11.planted", "Where segmentation's network is blindfolded: how many of ten MTL-NAS searches find a graph that is better "
        "for segmentation than the mean of all graphs with as many edges?", ["none", "a quarter", "half", "three quarters", "all"])

# %% [markdown]
# ## Three records by hand
#
# Before you believe a table, make some of it. The library's `train` takes a condition, a graph and a seed: the same start,
# the same batches for every graph; two graphs differ in their edges and in nothing else.

# %%
draw = np.random.default_rng(11)
ours = draw.choice(256, size=presets.quick(3, 1), replace=False).tolist()
records = {graph: train(condition, graph, seed=0) for graph in ours}
for graph, record in records.items():
    known = table.query(graph, seed=0, split="test").mean
    made = {task: record[f"test/trained/{task}/loss"] for task in table.tasks}
    print(f"graph {graph:3}:", ", ".join(f"{task} {loss:.5f} (table: {known[task]['loss']:.5f})" for task, loss in made.items()))

# %% [markdown]
# And without the library: a loop of ten lines. Draw the networks, take batches, move the weights; the learning rate falls
# as (1 − t/T)^0.9.

# %%
def by_hand(graph, seed):
    lab, config = condition.lab(seed), condition.config(seed)
    gates = [bool(graph >> i & 1) for i in range(len(space))]
    batches = whole(lab.data["train"], lab.targets, config.batch_size, seed, augment=False)
    adam = torch.optim.Adam(lab.supernet.parameters(), config.weight_lr, fused=True)
    lab.supernet.train()
    for step, (image, targets) in zip(range(config.steps), batches):
        adam.param_groups[0]["lr"] = config.weight_lr * (1 - step / config.steps) ** config.lr_power
        adam.zero_grad()
        found = lab.loss(lab.supernet(image, gates), targets)
        sum(lab.tasks[task].weight * loss for task, loss in found.items()).backward()
        adam.step()
    return losses(lab, gates, "test")


# %% [markdown]
# **Handshake.** The same graph, the same seed: the loop and the library agree.

# %%
first = ours[0]
with one_thread():                                            # more threads add up in another order
    mine = by_hand(first, seed=0)
for task, scores in mine.items():
    theirs = records[first][f"test/trained/{task}/loss"]
    print(f"{task}: by hand {scores['loss']:.5f}, library {theirs:.5f}")
    assert abs(scores["loss"] - theirs) < 1e-3 * theirs

# %%
off = [abs(record[f"test/trained/{task}/loss"] / table.query(graph, seed=0, split="test").mean[task]["loss"] - 1)
       for graph, record in records.items() for task in table.tasks]
print(f"Our {len(records)} records and the table's differ by {max(off):.1e} of a loss at most.")

# %% [markdown]
# *Reading aid: on the kind of machine that made the table the records are equal to float32's last digits; another
# machine adds up in another order, and 300 steps make a little more of that.*
#
# ## How far does chance blur it?
#
# The same graphs under other seeds: another start, other batches. A seed's own effect (a lucky start) is the same for all
# graphs, so it says nothing about which is better. What blurs the ranking is the rest.
#
# ### Your turn: what chance leaves
#
# `values[g, s]` is the loss of graph g under seed s. Take off each graph's mean and each seed's mean (and add the mean of
# everything, which was taken off twice). Give the deviation of what is left; of G · S numbers (G − 1) · (S − 1) are free.

# %% tags=["exercise"]
def noise(values):
    # your turn: about 3 lines
    rest = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    graphs, seeds = values.shape
    return ((rest**2).sum() / ((graphs - 1) * (seeds - 1))) ** 0.5
    # end


# %%
check("11.noise", noise)

# %% [markdown] tags=["hint"]
# `values.mean(1, keepdims=True)` is a column of the graphs' means, `values.mean(0, keepdims=True)` a row of the seeds'.

# %% [markdown] tags=["hint"]
# The root of (sum of squares of the rest) / ((graphs − 1) · (seeds − 1)).

# %% [markdown]
# **Handshake.** `table.noise_floor()` does that, and says what follows: the smallest difference of two means that so many
# seeds can show (column `smallest`). That is the **noise floor**. The other columns: `between_graphs` is how much the graphs
# themselves differ (a standard deviation), `residual` is what you computed, `reliability` is the share of what differs between
# the graphs' means that is not noise.

# %%
floor = table.noise_floor("total")
wide = table.by_seed("total")                                 # (256, seeds)
rest = wide - wide.mean(1, keepdims=True) - wide.mean(0) + wide.mean()
assert np.isclose(floor.residual, ((rest**2).sum() / (255 * (len(table.seeds) - 1))) ** 0.5)
names = ("total", *(f"{task}/loss" for task in table.tasks))
pd.DataFrame({name: vars(table.noise_floor(name)) for name in names}).loc[
    ["between_graphs", "residual", "reliability", "smallest"]].T.round(4)

# %%
frame = pd.DataFrame(wide, columns=list(table.seeds))
plot_seeds(frame, score="total loss", floor=floor.smallest, style="web-light").figure

# %% [markdown]
# *Reading aid: a place on the axis is a graph, its dots are its seeds. Two graphs whose means differ by less than the bar
# cannot be told apart; the order inside such a stretch is chance. Reliability 1: no noise, 0: noise alone.*

# %%
apart = np.abs(total[:, None] - total)[np.triu_indices(256, 1)] > floor.smallest
share = apart.mean()
nearest = min((0.05, "hardly ever"), (0.25, "in about a quarter of the cases"), (0.5, "in about half"),
              (0.75, "in about three quarters"), (0.95, "nearly always"), key=lambda one: abs(one[0] - share))
reveal("11.luck", nearest[1], f"{share:.0%} of all pairs differ by more than {floor.smallest:.3f}, which is what "
       f"{len(table.seeds)} seeds can tell.")

# %% [markdown]
# ## Best, worst, and the front
#
# ### Your turn: how many does it beat?
#
# `losses[g]` is the loss of graph g. What share of the *other* graphs does `graph` beat? Equals count half.

# %% tags=["exercise"]
def percentile(losses, graph):
    # your turn: about 3 lines
    losses = np.asarray(losses)
    others = np.delete(losses, graph)
    return (others > losses[graph]).mean() + (others == losses[graph]).mean() / 2
    # end


# %%
check("11.percentile", percentile)

# %% [markdown] tags=["hint"]
# `np.delete(losses, graph)` are the others; less loss is better.

# %% [markdown] tags=["hint"]
# The mean of truth values is a share: `(others > losses[graph]).mean()`.

# %%
best, worst = int(total.argmin()), int(total.argmax())
for name, graph in {"best": best, "worst": worst, "none": 0, "all": 255}.items():
    print(f"{name:5} graph {graph:3} ({table.edges(graph)} edges): total {total[graph]:.3f}, rank {table.rank(graph)}, "
          f"beats {table.percentile(graph):.0%} of all, regret {table.regret(graph):.3f}")
reveal("11.edges", table.edges(best), f"But {(total - total[best] < floor.smallest).sum() - 1} more graphs are too close to "
       "it to be told from the best.")

# %% [markdown]
# The **regret** of a graph is how much worse it is than the best. But what is best? There are two tasks. A graph is
# *beaten* by another one that is at least as good in both losses and better in one. Those that none beats are the
# **Pareto front**.
#
# ### Your turn: the front

# %% tags=["exercise"]
def front(first, second):
    """first, second: two losses of each graph. A list of the numbers of the graphs that no other beats."""
    # your turn: about 6 lines
    found = []
    for graph in range(len(first)):
        no_worse = (first <= first[graph]) & (second <= second[graph])
        better = (first < first[graph]) | (second < second[graph])
        if not (no_worse & better).any():
            found.append(graph)
    return found
    # end


# %%
check("11.front", front)

# %% [markdown] tags=["hint"]
# For each graph two arrays of truth values over all graphs: which are no worse in both, which are better in one?

# %% [markdown] tags=["hint"]
# A graph stays if `(no_worse & better).any()` is false.

# %%
pair = [f"{task}/loss" for task in table.tasks]
points = pd.DataFrame({name: table.values(name) for name in pair})
points["edges"] = [table.edges(graph) for graph in table.graphs]
smallest = {name: table.noise_floor(name).smallest for name in pair}
marked = {"none": 0, "all": 255, "best total": best}
plot_front(points, floor=smallest, marked=marked, style="web-light").figure

# %% [markdown]
# *Reading aid: a dot is a graph; down and left is better. Steps: the front. The cross is as wide and as high as the
# smallest differences that the seeds show: neighbours on the front that are closer than that may change places.*

# %%
correlation = points[pair].corr().iloc[0, 1]
kept = np.array([table.architecture(graph).kept for graph in table.graphs])          # (256, 8)
into = {task: np.array([edge.target.task == task for edge in space.edges]) for task in table.tasks}
print(f"{len(table.pareto())} graphs on the front; over all graphs the two losses correlate with {correlation:+.2f}.")
for task, own in into.items():
    for name in pair:
        print(f"edges into {task:12} and {name:17}: r = {np.corrcoef(kept[:, own].sum(1), points[name])[0, 1]:+.2f}")

# %% [markdown]
# ## Which edges?
#
# How many edges, and which way? Below, each field holds the graphs of one count; then what each edge does by itself, mean
# over all graphs of the other seven.

# %%
ranks = pd.DataFrame({f"edges into {task}": kept[:, own].sum(1) for task, own in into.items()})
ranks["rank"] = [table.rank(graph) for graph in table.graphs]
plot_ranks(ranks, style="web-light").figure

# %% [markdown]
# *Reading aid: a small square is a graph, its shade its rank (the scale is on the right). A field has all graphs with so many edges into segmentation (to
# the right) and into normals (upwards), and below them their mean rank; 1 is the best.*

# %%
effect = np.array([wide[kept[:, e]].mean(0) - wide[~kept[:, e]].mean(0) for e in range(8)])     # (edges, seeds)
effects = pd.DataFrame(effect, index=map(str, space.edges), columns=list(table.seeds))
groups = [f"into {edge.target.task}" for edge in space.edges]
plot_effects(effects, score="total loss", groups=groups, style="web-light").figure

# %% [markdown]
# *Reading aid: a row is an edge: the mean loss of the 128 graphs that have it minus that of the 128 that do not. Left of 0 it
# helps; small dots are seeds, and where they lie on both sides of 0 nothing can be told. (The total counts the loss of normals 20 times.)*

# %%
agreed = np.abs(np.sign(effect).sum(1)) == len(table.seeds)      # all seeds have one sign
helps, harms = (agreed & (effect.mean(1) < 0)), (agreed & (effect.mean(1) > 0))
additive = total.mean() + (kept - 0.5) @ effect.mean(1)
explained = 1 - ((total - additive) ** 2).sum() / ((total - total.mean()) ** 2).sum()
print(f"By themselves, under each of the {len(table.seeds)} seeds, {helps.sum()} of 8 edges help the total and {harms.sum()} "
      f"{'harms' if harms.sum() == 1 else 'harm'} it; of {(~agreed).sum()} the seeds disagree, so that they cannot be told.")
print(f"Edges one by one explain {explained:.0%} of what differs between graphs; the rest is how they work together, and noise.")

# %% [markdown]
# ## Play: walk through all of it
#
# A graph has eight **neighbours**, one for each edge that is flipped: the graphs are the corners of a cube in eight
# dimensions. Click an edge (or: Tab into the picture, arrow keys, Enter).
#
# 1. Start at *No edge* and press *Best neighbour* until it is grey. Where are you? Is it the best graph?
# 2. Rank by one task's loss instead. Does the walk end elsewhere? Watch the point that is called "here" ("you are here" in a running notebook) slide along the front.
# 3. How many of the eight flips around the best graph are beyond the noise?

# %%
LandscapeExplorer(table)

# %%
def neighbours_that_help(graph):
    return [other for other in table.neighbours(graph) if total[other] < total[graph]]


optima = [graph for graph in table.graphs if not neighbours_that_help(graph)]
told = sum(total[other] - total[best] > floor.smallest for other in table.neighbours(best))
print(f"{len(optima)} graphs have no better neighbour: ranks {', '.join(str(table.rank(graph)) for graph in optima)}.")
print(f"Around the best graph {told} of 8 flips are worse by more than the noise floor.")

# %% [markdown]
# ## Where does a MTL-NAS search land?
#
# One search in the same condition: α and w together, λ growing from 0 to 10. Then we look its graph up. A fair yardstick
# is not the average graph, but the graphs with **as many edges**.

# %%
config = replace(condition.config(0), steps=presets.quick(200, 5), alpha_lr=0.03, entropy_weight=Schedule(10.0, 0.0, (0.3, 1.0)))
lab = condition.lab(0)
log = list(Search(lab, config))
found = lab.derive()
plot_fusion_graph(found, style="web-light").figure

# %%
like = [graph for graph in table.graphs if table.edges(graph) == len(found)]
print(f"It keeps {len(found)} of 8 edges: rank {table.rank(found)} of 256, beats {table.percentile(found):.0%} of all graphs.")
if len(like) > 1:
    print(f"Of the {len(like)} graphs with as many edges it beats {table.percentile(found, same_edges=True):.0%}; ½ is chance.")
else:
    print("No other graph has as many edges: to keep this number of edges was its whole choice.")
agree = (np.array(found.kept) == helps)[agreed].sum()
print(f"Regret {table.regret(found):.3f}, noise floor {floor.smallest:.3f}.")
print(f"{agree} of {agreed.sum()} gates whose edges' own effects can be told are as these ask (open where opening helps); a coin gets "
      f"{agreed.sum() / 2:g}.")
place = "It cannot be told from the best graph" if table.regret(found) < floor.smallest else "It misses the best graph by more than the noise"
print(f"{place}.")

# %% [markdown]
# *Why may a search miss?* A gate's gradient asks: does opening this edge a little help the weights **as they are now**? In a
# shared network that is being trained, with all gates half open, that need not be what the edge is worth to a network which is
# trained with it from the start. The last line above says whether it mattered here. One search is one search: twenty of each kind
# are what a race needs.
#
# ## Where the truth is planted
#
# In another table, *blind*, segmentation's network sees noise instead of the image (notebook 10). By construction all that
# it knows of the image comes through edges into it. What is there to find now: for that task, and for the sum of both?

# %%
planted = FusionTable.open("blind")
own_loss = "segmentation/loss"
there = ranks.assign(rank=[planted.rank(graph, own_loss) for graph in planted.graphs])
plot_ranks(there, style="web-light").figure

# %% [markdown]
# *Reading aid: as above, but ranked by the blindfolded task's own loss: to the right more edges lead into its network,
# upwards more lead out of it.*

# %%
means = {}
for task, edges in into.items():
    for name in (own_loss, "total"):
        values, counts = planted.values(name), kept[:, edges].sum(1)
        means[f"{name}, by edges into {task}"] = [values[counts == many].mean() for many in range(5)]
pd.DataFrame(means).rename_axis("edges").round(3).T

# %%
way_in = into["segmentation"]                                 # all edges into the blindfolded network, and none out of it
for name in (own_loss, "total"):
    print(f"{name}: that graph is number {planted.rank(way_in, name)} of 256, and beats "
          f"{planted.percentile(way_in, name, same_edges=True):.0%} of the graphs with as many edges.")

# %% [markdown]
# *Why may the sum want edges out of a network that sees nothing?* What its stages get through an edge they compute on, and
# hand it back: they are more layers for normals, whose loss counts 20 times. (One explanation; the table does not prove it.)
# "The right way" is a matter of whom you ask: mind which loss a search is judged by.
#
# Ten searches of each kind were run in this condition, and ten more in *bit*, where a single one of the eight edges brings a
# bit that its target cannot see ([study race-planted](../data_samples/studies/race-planted-small/report.md)). A claim *held* where its
# corrected p is 0.05 at most, and *did not hold* where its own interval leaves no room for it; else the seeds *could not tell*.

# %%
raced = Findings.shipped("race-planted")
for verdict in raced.verdicts:
    print(verdict.in_short)
print(f"(These intervals are over searches only: the trainings of blind tell no difference below {planted.noise_floor().smallest:.3f}.)")

# %%
ramp = "mtlnas_ramp, blind, 1500"
ahead, edges = raced.values("segmentation_lead").loc[ramp], raced.values("edges").loc[ramp].mean()
answers = {"none": 0, "a quarter": 0.25, "half": 0.5, "three quarters": 0.75, "all": 1}
share = (ahead > 0).mean()
reveal("11.planted", min(answers, key=lambda one: abs(answers[one] - share)), f"Under the preset's ramp they keep {edges:.1f} edges on "
       f"average; in the sum of both losses {(raced.values('lead').loc[ramp] > 0).mean():.0%} of their graphs are ahead.")

# %% [markdown]
# ## The race: your own search
#
# A searcher may *ask* for a graph: it costs a plain training (300 steps), and it hears the loss on **validation** images
# under one seed. It is judged by the regret on test images. Because the answers are looked up, twenty searches take
# milliseconds.
#
# ### Your turn: one flip at a time
#
# From `start`, look at all `edges` neighbours and go to the best, as long as it is better than where you are. Return the
# graph at which that ends.

# %% tags=["exercise"]
def climb(ask, start, edges):
    """ask(graph) -> loss; start: a graph's number; graph ^ (1 << e) is the graph with edge e flipped."""
    # your turn: about 5 lines
    best = min((start ^ (1 << e) for e in range(edges)), key=ask)
    while ask(best) < ask(start):
        start = best
        best = min((start ^ (1 << e) for e in range(edges)), key=ask)
    return start
    # end


# %%
check("11.climb", climb)

# %% [markdown] tags=["hint"]
# `min(neighbours, key=ask)` is the best neighbour.

# %% [markdown] tags=["hint"]
# `while ask(best) < ask(start)`: go there, and look for the best neighbour anew.

# %%
LOOKS, COST, val = 40, condition.config(0).steps, table.by_seed("total", "val")


class Spent(Exception):
    """The purse is empty."""


# %%
def race(searcher, seed):                                     # [(spent, regret)]: after each look, the best on val so far
    losses, asked = val[:, seed % val.shape[1]], []

    def ask(graph):
        if graph not in asked:
            if len(asked) == LOOKS:
                raise Spent
            asked.append(int(graph))
        return losses[graph]

    with suppress(Spent):
        searcher(ask, np.random.default_rng(seed))
    chosen = [min(asked[:n], key=lambda graph: losses[graph]) for n in range(1, len(asked) + 1)]
    return [(COST * n, total[graph] - total.min()) for n, graph in enumerate(chosen, 1)]


# %%
def random_graphs(ask, rng):
    for graph in rng.permutation(256):
        ask(int(graph))


def one_flip(ask, rng):                                       # again from elsewhere, until the purse is empty
    while True:
        here, before = int(rng.integers(256)), None
        while here != before:
            here, before = min((here, *(here ^ (1 << e) for e in range(8))), key=ask), here


def yours(ask, rng):                                          # change this one as you like, and run the cells again
    start = int(rng.integers(256))
    for edge in rng.permutation(8):                           # each edge once: keep the flip if it helps
        start = min(start, start ^ (1 << int(edge)), key=ask)


# %%
searchers = {"random graphs": random_graphs, "one flip, best neighbour": one_flip, "yours": yours}
rows = [(name, seed, *point) for name, one in searchers.items() for seed in range(20) for point in race(one, seed)]
curves = pd.DataFrame(rows, columns=["searcher", "seed", "spent", "regret"])

# %%
plot_regret(curves, score="total loss", floor=floor.smallest, style="web-light").figure

# %% [markdown]
# *Reading aid: thin lines are searches, bold ones their mean. In the band a graph cannot be told from the best. A
# searcher that stops early keeps its answer.*

# %%
ends = curves.sort_values("spent").groupby(["searcher", "seed"]).last().unstack(0)
for name in searchers:
    regret, spent = ends["regret"][name], ends["spent"][name]
    lead = ends["regret"]["random graphs"] - regret
    print(f"{name:25} spent {spent.mean():6.0f} steps, regret {regret.mean():.3f} on average (sd {regret.std():.3f}); ahead of "
          f"random graphs by {lead.mean():+.3f}, in {(lead > 0).sum()} of {len(lead)} seeds (equal in {(lead == 0).sum()})")

# %% [markdown]
# ## What we know now

# %%
print(f"There is {'something' if floor.reliability > 0.8 else 'little that can be measured'} to find: graphs differ by "
      f"{floor.between_graphs:.3f} (sd, without what is noise), the best is {total.mean() - total[best]:.3f} ahead of the mean, and {len(table.seeds)} seeds tell {floor.smallest:.3f}.")
print(f"All edges beat {table.percentile(255):.0%} of the graphs, none {table.percentile(0):.0%}; the best has {table.edges(best)}.")
print(f"The two losses {'pull apart' if correlation < -0.1 else 'go together' if correlation > 0.1 else 'hardly know each other'} "
      f"(r = {correlation:+.2f}); {len(table.pareto())} graphs are on the front.")
print(f"One MTL-NAS search: regret {table.regret(found):.3f}, beats {table.percentile(found):.0%} of all graphs.")
lead = raced.values("lead").loc[ramp]
print(f"Where one network is blindfolded, {(lead > 0).sum()} of {len(lead)} searches under the ramp are ahead of random graphs with as many edges, "
      f"by {lead.mean():.3f} on average.")

# %% [markdown]
# * Ask first what there is to find, and what your seeds can tell; only then whether a search found it.
# * Where a network lacks what another one has, a search under the ramp is ahead of random graphs with as many edges. That it is ahead of
#   random *search*, too, the seeds could not tell.
# * "Better than the average graph" may only mean "has more edges". Compare with graphs of as many edges.
# * With two tasks the best graph depends on how you weigh them. To read off the front nobody has to (though each graph of
#   this table was trained for 1 · segmentation + 20 · normals).
# * A search that is judged by lookups can be judged twenty times (by as many trainings of a graph as the table has seeds); one that is
#   trained once is an anecdote.
#
# What this small data can *not* show: whether large networks have such a landscape (ours are tiny, see 32 × 32 pixels and
# train for 300 steps); whether many pairs of tasks have; and which searcher is best in general. More tables are here, each another landscape:
# other tasks, fewer labels, and truths that were planted. `mtlnas-lab bench show` lists them and says what there is to find in each.
