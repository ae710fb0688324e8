# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Learning to adapt: weights for many pairs, graphs that evolve
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** So far every pair of tasks had its own training and its own search. With many pairs to come and a few images of
# each, one could do better: learn *weights that are easily adapted* from other pairs, and *graphs* that go well with them.
# **AT-NAS** (Rong et al., arXiv 2110.05842) meta-learns the weights of a supernet over tasks and lets an evolutionary algorithm
# adapt the graphs. What follows is *inspired by* it: its search space and settings are in no public code. You will build
# the two mechanisms, watch a population, and read whether the two need each other.

# %%
# %matplotlib inline
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from mtlnas_lab import presets
from mtlnas_lab.analysis.statistics import half_interval
from mtlnas_lab.bench.condition import rooms
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.explore import at_nas
from mtlnas_lab.explore.study import Findings
from mtlnas_lab.viz import plot_adaptation, plot_population
from mtlnas_lab.viz.study_plots import plot_quantity

# %% [markdown] tags=["teacher"]
# **Teacher: 30 minutes with exercises.** Pairs (5), Reptile (8), evolution (9), the study (8). Start the training cell before
# the second exercise. The sentence to take home: a method of two parts needs four arms, and the claim that the parts belong
# together is their *interaction*, which takes more seeds than either part.

# %% [markdown]
# ## Guess first
#
# Two ways to learn weights from many pairs of tasks: **jointly trained** ones are to do well on all of them at once;
# **meta-learnt** ones are to do well after five steps on a pair.

# %%
predict("19.lead", "After five steps on a new pair: the loss from meta-learnt weights, beside that from jointly trained ones "
        "(100 %)?", between=(0, 150))

# %%
predict("19.graphs", "From meta-learnt weights, over the seeds: evolved graphs against graphs that chance draws, as many tried?",
        ["clearly better", "clearly worse", "the seeds cannot tell"])

# %% [markdown]
# ## Many pairs of tasks
#
# Take the classes of segmentation and merge them into four groups: that is a task. Merge them in another way: that is
# another one. Two dials make a **distribution of pairs**. *Relatedness* is how often the second task of a pair merges a class
# as the first does; *variety* is how unlike the pairs are. What group 2 means changes from pair to pair, so that no fixed
# head can be right for all of them.

# %%
def draw(relatedness, number, variety=0.5):
    return at_nas.draw_pair(torch.Generator().manual_seed(number), relatedness, variety)


image, classes = rooms()["test"].batch(torch.tensor([3]), ("segmentation",))
tasks = at_nas.new_lab(0).tasks
figure = Figure(figsize=(8.2, 4.4), layout="constrained")
axes = figure.subplots(2, 4, squeeze=False)
for column, relatedness in enumerate((0.0, 0.5, 1.0)):
    targets = draw(relatedness, 5).targets(classes["segmentation"])
    for ax, task in zip(axes[:, column], at_nas.TASKS):
        ax.imshow(tasks[task].picture(targets[task][0]))
        ax.set_title(f"{task}, relatedness {relatedness:g}", fontsize=9)
axes[0, 3].imshow(picture(image[0]))
axes[0, 3].set_title("the room", fontsize=9)
for ax in axes.flat:
    ax.set_axis_off()
figure

# %% [markdown]
# *Reading aid: a colour is one of four groups. With relatedness 1 both tasks of a pair are the same one; with 0 they agree
# only where chance has it so.*
#
# ## Part one: weights that learn to be adapted
#
# **Reptile** (Nichol et al., 2018). Draw a pair, copy the weights w, and train the copy for K = 5 plain steps on a few
# images. Then move w itself a little towards where the copies went, and draw the next pair:
#
# $$w \leftarrow w + \varepsilon \cdot \Big(\frac{1}{N}\sum_{n} w_n - w\Big)$$
#
# `weights` (W,) are w, `adapted` (N, W) what the N copies became, `rate` is ε (notebook 17 does the same to α). By hand, and by
# the library:

# %%
weights, adapted, rate = torch.randn(6), torch.randn(3, 6), 0.3
mine = weights + rate * (adapted.mean(0) - weights)
library = at_nas.reptile({"w": weights}, [{"w": one} for one in adapted], rate)["w"]
assert torch.allclose(mine, library, atol=1e-6)
print("after the outer step:", library.numpy().round(3))

# %% [markdown]
# With K = 1 this *is* joint training: the mean of single steps is a step along the mean gradient. Only with more steps does
# it matter where a copy can get to. So the rival is **joint training**: as many steps, another pair in each.
#
# ## Part two: graphs that evolve
#
# A graph of the 8 candidate edges is a word of 8 bits. Its **fitness** is the loss of its adapted copies on other images of
# the pair. Parents win a tournament of three (**tournament selection**); **uniform crossover** takes each bit from one of the two by a
# coin; each bit **flips** with probability 1/8; and the **oldest die**, however good they were: their score was that of weights
# that have moved on, and perhaps it was luck.
#
# ### Your turn: a child
#
# `mother`, `father`, `from_mother` and `flips` are (E,) bool. Where `from_mother` is True the bit is the mother's; then the
# bits flip where `flips` is True.

# %% tags=["exercise"]
def child(mother, father, from_mother, flips):
    # your turn: about 2 lines
    crossed = torch.where(from_mother, mother, father)
    return crossed ^ flips
    # end


# %%
check("19.child", child)

# %% [markdown] tags=["hint"]
# `torch.where(condition, one, other)` takes each entry from one of two.

# %% [markdown] tags=["hint"]
# A bit that flips is `bit ^ True`, one that does not is `bit ^ False`.

# %% [markdown]
# **Tweak.** Without any training: let graphs evolve on the *table of the truth* (notebook 11), where fitness is a look-up. Change
# the size of the population, how many are born, how many generations there are. What does a small population lose?

# %%
table = FusionTable.open("segmentation-normals")
losses = table.values(split="val")


def number(graph):
    return sum(1 << edge for edge, bit in enumerate(graph) if bit)


def evolved(size=12, children=4, generations=15, seed=0):
    population = at_nas.Population.drawn(size, len(table.space), seed)
    lived = [list(population.graphs)]
    for _ in range(generations):
        population.evolve([losses[number(graph)] for graph in population.graphs], children)
        lived.append(list(population.graphs))
    return lived


# %%
def bitmap(lived, edges):
    rows = [[generation, *map(int, graph)] for generation, graphs in enumerate(lived, 1) for graph in graphs]
    return pd.DataFrame(rows, columns=["generation", *map(str, edges)])


lived = evolved()
plot_population(bitmap(lived, table.space.edges), style="web-light").figure

# %% [markdown]
# *Reading aid: every column is a graph, the oldest of a generation on its left; the purple fields are its open edges. A row that
# turns purple from left to right is an edge that wins.*

# %%
regret = {}
for size in (3, 6, 12, 24):
    last = [evolved(size, children=2, generations=20, seed=seed)[-1] for seed in range(10)]
    means = [np.mean([losses[number(graph)] for graph in graphs]) - losses.min() for graphs in last]
    regret[size] = {"mean of the last generation": np.mean(means), "unlike graphs in it": np.mean([len(set(graphs)) for graphs in last])}
print(f"a random graph: {losses.mean() - losses.min():.3f} above the best")
pd.DataFrame(regret).T.rename_axis("population").round(3)

# %% [markdown]
# *Reading aid: each population has 40 births, 10 seeds. “Mean of the last generation” is its loss on val above the best
# graph's; “unlike graphs in it” says how many different graphs it still has, at most as many as its size.*
#
# ## Both at once
#
# A short training: the graphs of the population share the weights, every copy that was adapted moves them, and what the copy
# scores is the fitness of its graph.

# %%
setting = at_nas.Setting(outer=presets.quick(15, 2), new_pairs=2)
if presets.quick(1, 0) == 0:
    setting = replace(setting, population=3, every=1, steps=1)
training = at_nas.Training(setting, seed=0)
steps = list(training)
generations = [one.graphs for one in steps[:: setting.every]]
plot_population(bitmap(generations, training.lab.space.edges), style="web-light").figure

# %% [markdown]
# *Reading aid: as above, on little training and few looks: with so much chance in a fitness, do not expect rows to turn purple.*
#
# And a **new pair**, 16 images of it: the loss on test images over the steps, from the weights just trained and from freshly
# drawn ones, with all edges.

# %%
everything = at_nas.all_edges(training.lab)
starts = {"meta-learnt": training.lab, "freshly drawn": at_nas.new_lab(0)}
curves = {}
for name, lab in starts.items():
    found = [at_nas.curve(lab, setting, *at_nas.new_pair(setting, 0, place), everything) for place in range(setting.new_pairs)]
    curves[name] = pd.DataFrame(found).mean()
plot_adaptation(pd.DataFrame(curves), style="web-light").figure

# %% [markdown]
# *Reading aid: 1 is the best answer that knows how frequent the groups are, and does not look at the image. Before the first
# step the weights know nothing of the new pair: meta-learnt ones expect the groups of other pairs, so they may well be the worse
# ones there. What they were learnt for is where a few steps lead. Means of two new pairs: a demonstration, not a proof.*
#
# **Tweak.** `replace(setting, lr=0.2)` adapts more carefully, `shots=48` gives more images, `relatedness=1.0` makes both tasks
# of a pair the same. Which of them moves the curves most?
#
# ## Prove: do the two need each other?
#
# The shipped study has **four arms**, {meta, joint} × {evolved, all edges}, and rivals that could embarrass them: graphs that
# chance draws, and all edges that are trained on for as many steps as the choice of a graph takes. How is a graph chosen for a new
# pair? Each graph of the last population is adapted on the first half of the pair's images; that with the least loss on the second
# half is adapted anew on all of them. The claims were named before the run.

# %%
study = Findings.shipped("at-nas")
FOUR = ["meta, evolved", "meta, all edges", "joint, evolved", "joint, all edges"]
after = {moment: study.values(f"after {moment}") for moment in at_nas.MOMENTS}
means = pd.DataFrame({moment: values.mean(axis=1) for moment, values in after.items()}).T
half = {arm: [half_interval(after[m].loc[arm].dropna().tolist()) for m in after] for arm in FOUR}
plot_adaptation(means[[*FOUR, "fresh, all edges"]], half=half, style="web-light").figure

# %% [markdown]
# *Reading aid: means over the seeds, each of which is a distribution of its own with six new pairs; bars are 95 % intervals.
# They hold what seeds differ by. The claims below compare within a seed.*

# %%
def shown(quantity, label):
    values = study.values(quantity).dropna(how="all")
    return plot_quantity(values, {arm: half_interval(row.dropna().tolist()) for arm, row in values.iterrows()}, label)


shown("loss", "loss on new pairs as a share of chance, less is better")

# %% [markdown]
# ### Your turn: the interaction
#
# What do evolved graphs bring to meta-learnt weights, beyond what they bring to joint ones? Each argument is (n,), the loss of
# an arm under n seeds.

# %% tags=["exercise"]
def interaction(meta_evolved, meta_all, joint_evolved, joint_all):
    # your turn: about 1 line
    return (meta_evolved - meta_all) - (joint_evolved - joint_all)
    # end


# %%
check("19.interaction", interaction)

# %% [markdown] tags=["hint"]
# What evolving brings is the loss with evolved graphs minus that with all edges: once for each kind of weights.

# %% [markdown] tags=["hint"]
# `(meta_evolved - meta_all)` is the first of the two; take the other one off.

# %%
arms = [study.values("loss").loc[arm].to_numpy() for arm in FOUR]
library = study.values("interaction").loc["interaction"].to_numpy()
mine = interaction(*arms)
assert mine is ... or np.allclose(mine, library)                                                # yours, once it is written
print("seed by seed:", library.round(4))

# %%
shown("interaction", "interaction (below 0: the parts help each other)")

# %% [markdown]
# *Reading aid: (meta, evolved − meta, all edges) − (joint, evolved − joint, all edges), a dot for each seed. Below 0 the two
# parts help each other.*

# %%
for verdict in study.verdicts:
    print(verdict.in_short)

# %% [markdown]
# *Reading aid: below each claim stand the difference, its 95 % interval and a p. The interval is of this comparison alone; the p is
# corrected for the number of claims (Holm: notebook 07, by hand in 20). “Held” asks for a corrected p of 0.05 at most; “did not hold” is an
# interval that leaves no room for the claim; all else is “could not tell”, which is not “the same”. The **smallest detectable
# difference**, below “could have been detected”, is the true one that a test at 5 % (of one comparison, uncorrected) finds in four of
# five such studies.*

# %%
loss = study.values("loss").mean(axis=1)
share = 100 * loss["meta, all edges"] / loss["joint, all edges"]
lead, = [v for v in study.verdicts if (v.claim.arm, v.claim.against, v.claim.quantity) == ("meta, all edges", "joint, all edges", "loss")]
reveal("19.lead", round(share), f"{loss['meta, all edges']:.3f} against {loss['joint, all edges']:.3f} with all edges; fresh weights "
       f"{loss['fresh, all edges']:.3f}. Whether the meta-learnt ones lose less: {lead.outcome}, {lead.measured}.")

# %%
about, = [v for v in study.verdicts if v.claim.against == "meta, random graphs"]
answer = "the seeds cannot tell"
if about.corrected <= 0.05:
    answer = "clearly better" if about.mean < 0 else "clearly worse"
reveal("19.graphs", answer, f"Evolved minus random, as a share of chance: {about.measured}.")

# %% [markdown]
# ## What we know now

# %%
four = loss[FOUR]
print(f"The four arms lie within {four.max() - four.min():.3f} of chance of each other; training on other pairs at all brings "
      f"{loss['fresh, all edges'] - four.mean():.3f}.")
claims = {(v.claim.arm, v.claim.against): v for v in study.verdicts}
both = claims["interaction", 0.0]
print(f"The interaction is {both.measured}: {both.outcome}; {both.difference.detectable:.2g} could have been detected.")
longer = claims["meta, evolved", "meta, all edges, longer"]
print(f"Choosing a graph against training on for as many steps: {longer.mean:+.3f} of chance (below 0: choosing is better): {longer.outcome}.")
edges = study.values("edges").mean(axis=1)
print("Edges that are open: " + ", ".join(f"{arm} {edges[arm]:.1f}" for arm in ("meta, evolved", "joint, evolved", "meta, random graphs")) + ".")
outcomes = pd.Series([v.outcome for v in study.verdicts]).value_counts()
print(f"Of {len(study.verdicts)} claims: " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) + ".")

# %% [markdown]
# * Reptile needs no gradient through the adaptation: only where the copies went.
# * A search for a new pair has to pay for its steps. The honest rival spends the same steps on plain training.
# * Two parts, four arms: that each helps alone does not say that they help each other. Ask for the interaction, and expect it to be as noisy
#   as either part or more.
# * Score, crossover and flips are cheap; what costs is that each look at a graph is an adaptation, and a few looks are mostly
#   chance.
#
# What this small data can *not* show: what the paper's 5 days of meta-training do (here it is less than a minute); whether evolution pays
# where a graph decides more than it does in networks of three stages; tasks of different kinds, as all of these are groupings of
# the same classes; and whether the reconstruction is what the authors did.
