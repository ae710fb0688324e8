# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When is there something to find? The dial
#
# *About 4 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** On the rooms of this course, searched graphs are not ahead of random ones (notebook 07). Then what is a
# search for? Perhaps there was nothing to find: both networks see the same image, so an edge brings nothing that
# the network could not compute by itself. Here we turn a dial. At one end both networks see everything; at the other
# one of them is **blind**, and what it needs can come only from its neighbour. If the search is worth its name, it must
# notice. And at the first end no direction may stand out.
#
# What a network gets to see is its **view**: the image, or a stored map such as depth. Here it is the image for both.
# The **visibility** v says how much of its view is left: v · image + (1 − v) · noise. With v = 1 the network sees the
# image, with v = 0 noise alone. That is the **blindfold**.

# %%
# %matplotlib inline
from dataclasses import replace
from functools import partial
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from mtlnas_lab import NDDR, ImageDataset, Lab, Schedule, Search, SearchConfig, SearchSpace, SearchStudio, SuperNet
from mtlnas_lab import presets
from mtlnas_lab.analysis.directions import way
from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.space import plan
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.data.rooms import render
from mtlnas_lab.data.views import blindfolded
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.viz import plot_fusion_graph

# %% [markdown] tags=["teacher"]
# **Teacher: 40 minutes with exercises.** The blindfold (8), the micro space (7), the dial (10), controls (10), the
# studio (5). Start the dial's cell while you talk about the micro space. The one sentence to take home: an experiment
# that cannot fail shows nothing, so look at visibility 1 first.

# %% [markdown]
# ## The blindfold
#
# Small rooms, drawn now: 32 × 32 pixels. Each row is one room, from seen to blind.

# %%
train = ImageDataset.from_arrays(render(320, size=32, seed=0))
test = ImageDataset.from_arrays(render(40, size=32, seed=1))
tasks = train.make_tasks(["segmentation", "normals"])
packs = {"train": train, "test": test}
DIAL = (1.0, 0.75, 0.5, 0.25, 0.1, 0.0)

image, _ = train.batch(torch.tensor([0, 1]), tasks)
generator = torch.Generator().manual_seed(0)
figure, axes = plt.subplots(2, 6, figsize=(8.5, 3.1), layout="constrained")
for column, visibility in zip(axes.T, DIAL):
    for ax, picture in zip(column, blindfolded(image, visibility, generator)):
        ax.imshow((picture.permute(1, 2, 0) / 5 + 0.5).clamp(0, 1), interpolation="nearest")
        ax.axis("off")
    column[0].set_title(f"v = {visibility:g}")

# %% [markdown]
# *Reading aid: brightness is shifted so that noise can be shown.* At v = ½ you
# still see the room, for noise is another at every pixel and your eye takes means. So do networks.
#
# ### Your turn: build it
#
# `image` is a batch, mean 0 and deviation 1 over many images; noise is **unit Gaussian**, a number of its own for each
# of the image's numbers, and comes out of `generator`.

# %% tags=["exercise"]
def blindfold(image, visibility, generator):
    # your turn: about 2 lines
    noise = torch.randn(image.shape, generator=generator)
    return visibility * image + (1 - visibility) * noise
    # end


# %%
check("10.blindfold", blindfold)

# %% [markdown] tags=["hint"]
# `torch.randn(image.shape, generator=generator)` draws the noise.

# %% [markdown] tags=["hint"]
# Two shares that add up to 1: v of the image, 1 − v of the noise.

# %% [markdown]
# **Handshake.** The library's `blindfolded` draws from a generator too. The same seed, the same image; and a lab
# does this for each network whose visibility it knows.

# %%
v, noise = 0.3, torch.randn(image.shape, generator=torch.Generator().manual_seed(7))
by_hand = v * image + (1 - v) * noise
assert torch.allclose(by_hand, blindfolded(image, v, torch.Generator().manual_seed(7)))
assert blindfolded(image, 1.0, generator) is image

# %% [markdown]
# ## A micro space
#
# Searches that take seconds: two networks of three **stages** each, built here and now. Two stages make the first
# group, one the second; so there are 8 candidate **edges**, 4 into either network.

# %%
def stage(inputs, outputs, stride=1):
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def network(task):
    stages = [stage(3, 8, stride=2), stage(8, 8), stage(8, 16, stride=2)]
    return Backbone(stages, plan((8, 8, 16), (2, 1)), nn.Conv2d(16, task.channels, 1))


def micro(seed):
    torch.manual_seed(seed)
    networks = {name: network(task) for name, task in tasks.items()}
    space = SearchSpace.build({name: one.plan for name, one in networks.items()})
    supernet = SuperNet(networks, space, partial(NDDR, start=(0.9, 0.1)))
    return Lab(tasks, supernet, ArchitectureWeights(len(space)), packs)


# %% [markdown]
# As in the course's larger lab, both networks are first trained alone: a search without any open edge. Both *see*
# then. Every search below starts from a copy of one of these labs.

# %%
SEEDS = range(presets.quick(3, 2))
ALONE = SearchConfig(steps=presets.quick(150, 3), batch_size=16, weight_lr=1e-2, augment=False)
labs = []
for seed in SEEDS:
    lab = micro(seed)
    list(Search(lab, replace(ALONE, seed=seed), gates=[False] * len(lab.space)))
    labs.append(lab)
space = labs[0].space
plot_fusion_graph(space, style="web-light").figure

# %% [markdown]
# *Reading aid: three stages a lane; arrows down lead from segmentation to normals, arrows up the other way.*
#
# ## Which way will the arrows turn?
#
# We cover **segmentation's** eyes. Normals sees the room.

# %%
predict("10.out", "Segmentation is blind (v = 0). Three searches decide about 4 edges *out of* it each, 12 in all. In notebook 00 "
        "hardly any of 24 such edges were kept. How many of the 12 will be kept here?", between=(0, 12))

# %%
predict("10.begins", "And if it sees a little? Say that arrows turn where more of them lead in under every seed than under any seed at "
        "v = 1. Between seeing and blind, this begins at v =",
        ["0.75", "0.5", "0.25", "0.1", "0", "they do not turn"])

# %% [markdown]
# One search: λ, the weight of the entropy term, is 0 for the first half, so that the tasks are heard; then it grows to
# 10 and makes each gate decide. Below, one for each visibility and seed.
# That cell is the longest one of this notebook: about half a minute on a quiet machine, two on a busy one.

# %%
INTO, OUT = "#b35806", "#2262ad"                              # into the blind network, out of it
CONFIG = SearchConfig(steps=presets.quick(120, 4), batch_size=8, weight_lr=1e-3, alpha_lr=0.03,
                      augment=False, entropy_weight=Schedule(10.0, 0.0, (0.5, 1.0)))


def search(visibility, seed, **changes):
    config = replace(CONFIG, seed=seed, visibility={"segmentation": visibility}, **changes)
    return Search(labs[seed].copy(), config)


runs = {}
for visibility in DIAL:
    runs[visibility] = [EventLog(search(visibility, seed)) for seed in SEEDS]
print(sum(map(len, runs.values())), "searches")

# %%
into_blind = np.array([edge.target.task == "segmentation" for edge in space.edges])


def kept(log):
    return np.array(log.steps[-1].alpha) > 0                  # the edges that this search keeps


def shares(log):
    found = way("".join("1" if one else "0" for one in kept(log)), space, "segmentation")
    return found["into"], found["out"]                        # of the edges into it, and of those out of it


figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), sharey=True, layout="constrained")
for ax, visibility in zip(axes, (1.0, 0.0)):
    for alpha, into in zip(runs[visibility][0].alpha.T, into_blind):
        color, dash, name = (INTO, "-", "into segmentation") if into else (OUT, "--", "out of segmentation")
        ax.plot(1 / (1 + np.exp(-alpha)), dash, color=color, label=name)
    ax.set(title=f"visibility {visibility:g}, seed 0", xlabel="step", ylabel="gate σ(α)", ylim=(0, 1))
handles = {line.get_label(): line for line in axes[0].lines}
legend = figure.legend(handles=handles.values(), loc="outside lower center", ncols=2, frameon=False)

# %% [markdown]
# *Reading aid: a line is an edge; left both networks see, right segmentation is blind. Until the middle the tasks alone
# pull, then λ decides.*

# %% [markdown]
# ## The dial
#
# All searches: how many of the 4 edges *into* segmentation were kept, how many of the 4 *out of* it. Small marks are
# searches, large ones their mean. A coin would keep half of either.

# %%
def plot_shares(rows, xlabel, joined=" "):
    """rows: {label: logs}. Every seed is a small mark, their mean a large one."""
    figure, ax = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    ways = ((INTO, "o", "into segmentation"), (OUT, "s", "out of segmentation"))
    for side, (color, mark, name) in enumerate(ways):
        points = np.array([[shares(log)[side] for log in logs] for logs in rows.values()])
        beside = 0.12 * (2 * side - 1) + 0.05 * (np.arange(points.shape[1]) - 1)
        for place, row in enumerate(points):
            ax.plot(place + beside, row, mark, color=color, ms=5, alpha=0.6)
        middle = np.arange(len(points)) + 0.12 * (2 * side - 1)
        ax.plot(middle, points.mean(1), mark, ls=joined, color=color, mfc="none", ms=13, label=name)
    ax.axhline(0.5, color="#777777", ls=":", label="a coin")
    ax.set(xlabel=xlabel, ylabel="share of edges kept", ylim=(-0.1, 1.1))
    ax.set(xticks=range(len(rows)), xticklabels=list(rows))
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)


by_name = {f"{visibility:g}": logs for visibility, logs in runs.items()}
plot_shares(by_name, "visibility of segmentation", "-")

# %%
for visibility, logs in runs.items():
    into, out = np.sum([shares(log) for log in logs], axis=0) * 4
    count = 4 * len(logs)
    print(f"visibility {visibility:<5g} kept into segmentation: {into:.0f} of {count}   out of it: {out:.0f}")

# %%
into, out = np.sum([shares(log) for log in runs[0.0]], axis=0) * 4
reveal("10.out", f"{out:.0f}", f"And {into:.0f} of the {4 * len(SEEDS)} edges into segmentation.")

# %% [markdown]
# ## The control that could embarrass us
#
# "So many of the 12 edges into segmentation were kept (4 edges in each of 3 searches): that cannot be chance." Let chance
# be a coin for each edge, heads is open. How probable is it that such coins open 10 or more of 12?
#
# ### Your turn: a coin's luck

# %% tags=["exercise"]
def coin(edges, least):
    """The probability that coins, one for each edge, open `least` or more of `edges` edges."""
    # your turn: about 2 lines
    from math import comb
    return sum(comb(edges, count) for count in range(least, edges + 1)) / 2**edges
    # end


# %%
check("10.coin", coin)

# %% [markdown] tags=["hint"]
# There are 2 ** edges ways in which the coins can fall, and `math.comb(edges, k)` of them open exactly k.

# %% [markdown] tags=["hint"]
# Add up `comb(edges, k)` for k from `least` to `edges`, and divide by 2 ** edges.

# %% [markdown]
# In 79 of 4,096 cases, 2 %: the blind searches are no coins. But that is little to know. Where both networks see, edges may
# help *everybody*, and then many are kept in both directions; that would look splendid beside a coin, and would have
# nothing to do with the blindfold. So the yardstick is the search itself at **visibility 1**, and what counts is how much
# *more* leads in than out.
#
# ### Your turn: how far have the arrows turned?

# %% tags=["exercise"]
def turn(kept, targets, blind):
    """Share of edges kept into `blind` − share kept out of it.

    kept: a truth value for each edge; targets: the network that each leads to.
    """
    # your turn: about 3 lines
    into = [keep for keep, target in zip(kept, targets) if target == blind]
    out = [keep for keep, target in zip(kept, targets) if target != blind]
    return sum(into) / len(into) - sum(out) / len(out)
    # end


# %%
check("10.turn", turn)

# %% [markdown] tags=["hint"]
# Two lists: the truth values of the edges whose target is `blind`, and those of the others.

# %% [markdown] tags=["hint"]
# True counts as 1: `sum(into) / len(into)` is a share.

# %%
turns = {}
for visibility, logs in runs.items():
    turns[visibility] = [float(np.subtract(*shares(log))) for log in logs]
control = turns[1.0]
figure, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
for place, row in enumerate(turns.values()):
    ax.plot(place + 0.05 * np.arange(-1, len(row) - 1), row, "o", color="#333333", ms=5)
ax.axhspan(min(control), max(control), color="#9aa2b1", alpha=0.3, label="what seeds do at visibility 1")
ax.axhline(0, color="#777777", ls=":")
ax.set(xlabel="visibility of segmentation", ylabel="share into − share out", ylim=(-1.15, 1.15))
ax.set(xticks=range(len(turns)), xticklabels=[f"{visibility:g}" for visibility in turns])
legend = ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))

# %% [markdown]
# *Reading aid: a dot is a search; the band is where the searches at visibility 1 lie. Above it, the arrows have turned
# because of the blindfold.*
#
# ### Your turn: where does it begin?
#
# Few seeds, so let us be strict: at which visibilities lies *every* seed above *all* seeds of visibility 1?

# %% tags=["exercise"]
def begins(turns):
    """turns: {visibility: [share into − share out, of each seed]}. A list of visibilities."""
    # your turn: about 2 lines
    highest = max(turns[1.0])
    return [visibility for visibility, row in turns.items() if min(row) > highest]
    # end


# %%
check("10.begins", begins)

# %% [markdown] tags=["hint"]
# All above all: the lowest of the one above the highest of the other.

# %% [markdown] tags=["hint"]
# `max(turns[1.0])` once; then go through `turns.items()`.

# %%
clear = [visibility for visibility, row in turns.items() if min(row) > max(control)]
where = ", ".join(f"{visibility:g}" for visibility in clear) or "no visibility"
seeing, blind = (", ".join(f"{one:+.2f}" for one in turns[visibility]) for visibility in (1.0, 0.0))
reveal("10.begins", f"{max(clear):g}" if clear else "they do not turn",
       f"Strictly so at: {where}. The control's turns are {seeing}; blind, they are {blind}.")

# %% [markdown] tags=["teacher"]
# **10 minutes.** Let somebody defend the coin as yardstick, then show visibility 1. **Misunderstanding:** "at v = ½ half
# of the information is gone". Signal to noise is v / (1 − v) at one pixel, and a stage averages over many.
# **Ask:** what would be a control for "λ = 10 makes the direction"? (The same λ at visibility 1.)

# %% [markdown]
# ## Which edges?

# %%
often = np.array([np.mean([kept(log) for log in logs], axis=0) for logs in runs.values()])
figure, ax = plt.subplots(figsize=(8.5, 3.2), layout="constrained")
ax.imshow(often, cmap="Greys", vmin=0, vmax=1.4, aspect="auto")
for (row, column), value in np.ndenumerate(often):
    ink = "white" if value > 0.8 else "black"
    ax.text(column, row, f"{value * len(SEEDS):.0f}", ha="center", va="center", color=ink)
names = [f"{edge.source.stage} → {edge.target.stage}" for edge in space.edges]
ax.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(runs)), ylabel="visibility")
ax.set(yticklabels=[f"{visibility:g}" for visibility in runs], xlabel="stage → stage")
ax.axvline(into_blind.sum() - 0.5, color="white", lw=8)
ax.spines[:].set_visible(False)
for place, color, name in ((0.25, INTO, "into segmentation"), (0.75, OUT, "out of segmentation")):
    ax.text(place, 1.03, name, transform=ax.transAxes, ha="center", color=color)
text = figure.suptitle(f"kept by how many of {len(SEEDS)} searches", fontsize=10)

# %% [markdown]
# *Reading aid: a row is a visibility, a column an edge, named by its source's stage and its target's; the number says how
# many of the searches kept it.* Look at the edges out of segmentation: one is not like the others.

# %%
last = [str(edge) for edge in space.edges].index("segmentation:2 -> normals:2")
counts = often[1:].sum(0) * len(SEEDS)                        # over all visibilities below 1
others = [counts[i] for i in range(len(space)) if not into_blind[i] and i != last]
print(f"Below visibility 1, {space.edges[last]} was kept by {counts[last]:.0f} of {len(often[1:]) * len(SEEDS)} searches,")
print(f"the other three edges out of segmentation by {np.mean(others):.1f} on average.")

# %% [markdown]
# Why should an edge *out of* a network that sees little be kept? A story: at its last stage segmentation is not blind
# any more, for it carries what fusion brought. That sounds right. If it *is* right, the edge must lose its worth where
# nothing comes in, neither through the eyes nor through edges. So we blind segmentation (v = 0), force every edge into it
# shut, and search again.

# %%
def cut_off(seed):
    one = search(0.0, seed)
    one.turn(force={str(edge): False for edge, into in zip(space.edges, into_blind) if into})
    return EventLog(one)


pulls = {}
for name, logs in (("free", runs[0.0]), ("forced shut", [cut_off(seed) for seed in SEEDS])):
    pulls[name] = np.array([log.steps[len(log.steps) // 2 - 1].alpha[last] for log in logs])
    each = ", ".join(f"{one:+.2f}" for one in pulls[name])
    count = sum(kept(log)[last] for log in logs)
    print(f"edges into segmentation {name}: α of {space.edges[last]} before λ speaks:",
          f"{each}; kept by {count} of {len(logs)}")
lost, spread = (pulls["free"] - pulls["forced shut"]).mean(), np.ptp(pulls["free"])
passes = "the explanation passes." if lost > spread else "so this does not show that the explanation is right."
print(f"Cutting it off takes {lost:+.2f} from α on average, while seeds differ by {spread:.2f}:", passes)

# %% [markdown]
# *Reading aid: were the explanation right, α would fall clearly when the edges are forced shut.* A good story about an
# edge is quickly told; a search with one thing changed takes seconds.
#
# ## λ that comes too early, L1 that is too strong
#
# The same blind network, the same data, other forces: λ = 10 from the first step on, before the tasks have said much;
# and an L1 weight of 3, which pushes every gate shut.

# %%
forces = {"λ grows (as above)": runs[0.0]}
for name, changes in (("λ = 10 at once", {"entropy_weight": 10.0}), ("L1 = 3", {"l1_weight": 3.0})):
    forces[name] = [EventLog(search(0.0, seed, **changes)) for seed in SEEDS]
plot_shares(forces, "segmentation is blind, v = 0")

# %%
for name, logs in forces.items():
    into, out = np.sum([shares(log) for log in logs], axis=0) * 4
    on_side = np.mean([(log.alpha[0] > 0) == kept(log) for log in logs])
    turned = (into - out) / (4 * len(logs))
    print(f"{name:20} into {into:2.0f}, out {out:2.0f} of {4 * len(logs)}, turn {turned:+.2f};",
          f"after one step {on_side:.0%} of the edges stood where they ended")

# %% [markdown]
# *Reading aid: entropy enlarges what is there (notebook 05). What is there after one step is one batch's word,
# noise and signal together, and what is there after many is what many batches have said: compare how far the arrows turn
# in the first two lines. L1 asks each edge for a price: too high a price, and a blind network
# does not even buy its eyes back.*
#
# ## Play: cover its eyes yourself
#
# The micro search in the studio, with both networks seeing. Press **Start**, and drag segmentation's **eye** down while
# it runs, or let a cell do it: `studio.turn(visibility={"segmentation": 0})`. Try it early, and try it when λ has grown;
# then let it see again.

# %%
studio = SearchStudio(lambda: search(1.0, 0), title="Micro space: 8 edges")
studio

# %% [markdown]
# Three things to find out:
#
# 1. How late can you cover its eyes so that the arrows still turn?
# 2. Once λ has locked them: does it help to turn λ down to 0?
# 3. Cover *normals* instead. Is it the mirror image?
#
# ## What it is worth, and where it cannot win
#
# Turned arrows are not yet better answers. So each blind network once more: with the searched edges, with a random
# graph of as many, with all and with none, trained alike; and the same where both see. Scores are for segmentation on
# 40 test rooms.

# %%
from mtlnas_lab import evaluate
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.models.baselines import random_graph


def miou(seed, visibility, gates):
    config = replace(CONFIG, seed=seed, visibility={"segmentation": visibility})
    one = Search(labs[seed].copy(), config, gates=gates)
    list(one)
    batches = one.lab.seen(sequential(test, one.lab.targets, 40))
    return evaluate(one.lab.supernet, gates, tasks, batches)["segmentation"]["miou"]


def graphs(seed, log):
    count = int(kept(log).sum())
    drawn = random_graph(space, count, seed).kept
    return {"searched": kept(log).tolist(), "random": drawn, "all": [True] * 8, "none": [False] * 8}


# %%
GRAPHS = ("none", "random", "searched", "all")
worth = {}
for visibility in (0.0, 1.0):
    for seed in SEEDS:
        for name, gates in graphs(seed, runs[visibility][seed]).items():
            worth.setdefault((visibility, name), []).append(miou(seed, visibility, gates))

figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.6), sharey=True, layout="constrained")
for ax, visibility, title in zip(axes, (0.0, 1.0), ("something missing: v = 0", "nothing missing: v = 1")):
    for place, name in enumerate(GRAPHS):
        row = worth[visibility, name]
        ax.plot([place] * len(row), row, "o", color=INTO if name == "searched" else "#666666", label=name)
    ax.set(title=title, xticks=range(4), xticklabels=GRAPHS, xlim=(-0.5, 3.5))
text = axes[0].set_ylabel("mIoU of segmentation")

# %%
for visibility, title in ((0.0, "something missing"), (1.0, "nothing missing")):
    for other in ("none", "random", "all"):
        gain = np.subtract(worth[visibility, "searched"], worth[visibility, other])
        each = ", ".join(f"{one:+.3f}" for one in gain)
        print(f"{title:18} searched − {other:7} {gain.mean():+.3f} on average (by seed: {each})")

# %% [markdown]
# *Reading aid: a dot is a seed. The first row of either block asks whether edges help at all, the second whether it
# matters which, the third whether choosing beats taking all.* A random graph of that many edges has some of the right
# ones already, in so small a space; so the second row is a hard one, in both blocks.
#
# ## What we know now

# %%
lift = {v: np.mean(worth[v, "searched"]) - np.mean(worth[v, "none"]) for v in (0.0, 1.0)}
print(f"Blind, the arrows lead in rather than out: turn {np.mean(turns[0.0]):+.2f} on average,",
      f"with both seeing {np.mean(control):+.2f}.")
early = np.mean([np.subtract(*shares(log)) for log in forces["λ = 10 at once"]])
print(f"Blind, and λ = 10 from the first step on: turn {early:+.2f}.")
print(f"What the searched edges add to segmentation's mIoU: {lift[0.0]:+.3f} where it is blind,",
      f"{lift[1.0]:+.3f} where it sees.")

# %% [markdown]
# * Where information is missing, the search can find the way that it must take. Where nothing is missing there is little to
#   win, whatever the figure of its graph looks like; here it won nothing that three seeds could show.
# * A coin is the wrong yardstick. The same search with nothing missing is the right one.
# * When λ speaks matters: before the tasks were heard, it enlarges what one batch has said, noise and signal; compare the two
#   turns above.
# * So ask of your own tasks first: *what does one network know that the other cannot see?* Another sensor, another
#   crop, labels for few images. Where the answer is "nothing", expect nothing.
#
# What this small data can *not* show: how large the effect is in large networks; that noise stands for a real lack of
# information (and where the arrows begin to turn depends on what the networks know of noise: ours were trained on clear
# images); that searched edges beat random ones elsewhere. Three seeds and 8 edges are a way to see the mechanism, not a
# measurement. The arrows of 48 edges, in the lab that this course uses, are in [notebook 00](00_start_here.ipynb).
# How good a graph is beside *all* others, [notebook 11](11_the_landscape.ipynb) looks up. Words are in the [glossary](../docs/glossary.md).
