# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fusion: what happens where an edge ends
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** In the pictures of the fusion graph an edge is an arrow. Somewhere it has to become arithmetic: features of
# the normals network arrive at the segmentation network, and are mixed with what is there. How they are mixed decides
# what a search can find. If mixing disturbs a trained network, every edge looks harmful; if it does nothing at all,
# no edge gets a gradient. In this notebook we build the mixing by hand, look at its weight as a picture, and run the
# whole supernet in ten lines.

# %% [markdown] tags=["teacher"]
# **Teacher, 40 minutes with exercises.** Sections: one node (10), start (10), gates and cross-stitch (10), forward
# (10). Put the sentence "a 1×1 convolution is a matrix at every pixel" on the board before anything else; half of the
# questions of this hour are answered by it.

# %%
# %matplotlib inline
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from torch.nn.functional import conv2d, relu

from mtlnas_lab import Search, presets
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.core.fusion import NDDR, CrossStitch, ResidualFusion
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.core.space import Node, SearchSpace, plan

sns.set_theme(context="notebook", style="ticks", palette="colorblind", font_scale=0.8)

# %% [markdown]
# ## One node
#
# The lab's two networks have 13 *stages* each. Behind stage 3 of the segmentation network is the *node*
# `segmentation:3` (stages count from 0). Which candidate edges end there?

# %%
packs = presets.open_data("rooms")
lab = presets.tiny(seed=0)
net, space = lab.supernet.eval(), lab.space
image, targets = packs["test"].batch(torch.arange(8), lab.tasks)
node = Node("segmentation", 3)
[str(space.edges[i]) for i in space.into(node)]

# %% [markdown]
# Two of them. So three *feature maps* meet at this node: its own, F, and those of the two sources, F₁ and F₂. A
# feature map has the shape (B, C, H, W): B images, C channels, H × W pixels.

# %%
def features_alone(backbone, stage):
    """What `stage` of a single-task network puts out."""
    features = image
    with torch.no_grad():
        for number in range(stage + 1):
            features = backbone.stages[number](features)
    return features


own = features_alone(net.backbones["segmentation"], 3)
sources = [features_alone(net.backbones["normals"], stage) for stage in (2, 3)]
own.shape, [source.shape for source in sources]

# %% [markdown]
# ### Build it by hand
#
# MTL-NAS fuses them as NDDR-CNN does (*neural discriminative dimensionality reduction*): put the channels one after the
# other (*concatenate*), mix them down to C channels again with a *1×1 convolution*, then batch-norm and ReLU. Each source k comes with its *gate* z_k, a number
# between 0 (closed) and 1 (open):
#
# $$O = \mathrm{ReLU}(\mathrm{BN}(W * [F,\; z_1 F_1,\; \dots,\; z_k F_k]))$$
#
# W has C rows, one for each channel that comes out, and a column for each channel that goes in. The node's own
# features have no gate.

# %%
def nddr(own, sources, gates, weight, norm):
    """own and sources: maps (B, C, H, W); gates: one for each source; weight (C, ΣC, 1, 1) -> (B, C, H, W)."""
    maps = torch.cat([own, *(z * source for z, source in zip(gates, sources))], 1)
    return relu(norm(conv2d(maps, weight)))


# %% [markdown]
# ### Handshake
#
# Is that what the library does at this node? Ours against theirs, under gates of 0.3 and 0.8:

# %%
fusion, gates = net.fusion[str(node)], torch.tensor([0.3, 0.8])
with torch.no_grad():
    by_hand = nddr(own, sources, gates, fusion.conv.weight, fusion.norm)
    assert torch.allclose(by_hand, fusion(own, sources, gates), atol=1e-6)
type(fusion).__name__, tuple(fusion.conv.weight.shape)

# %% [markdown]
# From here on we use the library's `NDDR`.
#
# ## The weight is a picture
#
# A 1×1 convolution is a matrix, the same one at every pixel: here 16 rows and 48 columns. A matrix can be looked at.

# %%
def matrix(weight, ax, title, size=0.3, widths=(16, 16, 16), names=("own F", "F₁", "F₂")):
    """A fusion weight as a heat map; lines separate the columns of the own features and of the sources."""
    sns.heatmap(weight.detach().cpu().flatten(1), ax=ax, cmap="PuOr", vmin=-size, vmax=size, xticklabels=8, yticklabels=8,
                cbar_kws={"label": "weight", "extend": "both"})
    edges = torch.tensor([0, *widths]).cumsum(0).tolist()
    for left, right, name in zip(edges, edges[1:], names):
        ax.axvline(right, color="#777777", lw=1)
        ax.text((left + right) / 2, -0.5, name, ha="center", va="bottom")
    ax.set_title(title, pad=20)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="channel that goes in", ylabel="channel that comes out")


_, ax = plt.subplots(figsize=(9, 3))
matrix(fusion.conv.weight, ax, "Before the search: segmentation:3")

# %% [markdown]
# *Reading aid: a column is an input channel. The strong diagonal passes each of the node's own channels on to itself
# (0.9, beyond the end of the colour scale); the two faint ones bring in a little of each source (0.05).*
#
# ### Your turn
#
# Do the 1×1 convolution without a convolution: a matrix times the vector of channels, at every pixel.

# %% tags=["exercise"]
def pixelwise(maps, weight):
    """maps (B, C, H, W), weight (O, C): a matrix -> (B, O, H, W)."""
    # your turn: about 1 line
    return torch.einsum("oc,bchw->bohw", weight, maps)
    # end


# %%
check("04.pixelwise", pixelwise)

# %% [markdown] tags=["hint"]
# At one pixel: `weight @ vector`, where the vector has C entries. You need this for all b, h and w at once.

# %% [markdown] tags=["hint"]
# `torch.einsum("…,…->bohw", weight, maps)`: name the axes of both, and leave out of the result the one that is summed
# over.

# %% [markdown] tags=["teacher"]
# **10 minutes.** Usual misunderstanding: "convolution, so it blurs". A 1×1 kernel has no neighbours. Ask what a
# permutation matrix in the own block would do (rename channels), and why nobody can know which channel of network A
# "is" which channel of network B: two trainings number their channels as they like. The faint diagonals are
# arbitrary, but small.

# %% [markdown]
# ## Why it starts near the identity
#
# Both networks are trained. If the fusion began with random weights, each of 13 nodes would scramble what the stages
# behind it have learnt to read. So W starts as w·I for the own features, and the sources share w_o: w_o / k each,
# with w + w_o = 1. We write this start as (w, w_o). The released code uses (1, 0) for MTL-NAS and (0.9, 0.1) for its
# baselines.
#
# ### Your turn
#
# Build the matrix. A source may have fewer or more channels than the node: `torch.eye(rows, columns)` need not be
# square.

# %% tags=["exercise"]
def start(channels, source_channels, own, others):
    """(C, C + ΣC_k): [own·I, others/k·I, others/k·I, …], k = how many sources."""
    # your turn: about 3 lines
    share = others / len(source_channels)
    blocks = [own * torch.eye(channels), *(share * torch.eye(channels, c) for c in source_channels)]
    return torch.cat(blocks, 1)
    # end


# %%
check("04.start", start)

# %% [markdown] tags=["hint"]
# A list with one block for the own features and one for each source, then `torch.cat(blocks, 1)`: side by side.

# %% [markdown] tags=["hint"]
# The block of a source with c channels is `others / len(source_channels) * torch.eye(channels, c)`.

# %% [markdown]
# ### How near is near?
#
# Close all 48 gates and use the start (0.9, 0.1). Every node then does ReLU(BN(0.9·F)): the two networks run side by
# side and share nothing. The lab's networks have never been trained with fusion. By how much will their outputs
# differ from those of the single-task networks?

# %%
predict("04.near", "All gates 0, start (0.9, 0.1): how far are the outputs from the single-task networks' outputs?",
        ["the same to the last digit", "about 1 %", "about a third"])

# %%
def with_fusion(make):
    """The lab's pretrained networks under another fusion."""
    made = presets.make_lab("tiny", packs, seed=0, fusion=make)
    presets.load_backbones(made)
    made.supernet.eval()
    return made


@torch.no_grad()
def distance(made, gate=0.0):
    """|output − single-task output| / |single-task output|, mean of the two tasks, all gates alike."""
    together = made.supernet(image, torch.full((len(space),), gate))
    alone = {task: backbone(image) for task, backbone in made.supernet.backbones.items()}
    return sum(((together[task] - alone[task]).norm() / alone[task].norm()).item() for task in alone) / len(alone)


# %%
kinds = {"NDDR (1, 0)": partial(NDDR, start=(1.0, 0.0)), "NDDR (0.9, 0.1)": partial(NDDR, start=(0.9, 0.1)),
         "NDDR random": partial(NDDR, start=None), "residual": ResidualFusion}
rows = {"fusion and its start": [], "distance": [], "mode": []}
for name, make in kinds.items():
    made = with_fusion(make)
    for mode in ("in use", "in training"):
        made.supernet.fusion.train(mode == "in training")
        for column, value in zip(rows, (name, distance(made), mode)):
            rows[column].append(value)
_, ax = plt.subplots(figsize=(7, 3))
sns.barplot(rows, x="fusion and its start", y="distance", hue="mode", ax=ax)
for bars in ax.containers:
    ax.bar_label(bars, fmt="{:.1%}", fontsize=8)
ax.set(ylabel="distance from single-task\n(share of the output)", ylim=(0, 1))
ax.legend(title="batch-norm of the fusion", frameon=False, loc="upper left")
sns.despine()

# %% [markdown]
# *Reading aid: a bar is how far the outputs moved only because fusion was put in, with every gate closed.*

# %%
whole, most = rows["distance"][0], rows["distance"][2]           # (1, 0) and (0.9, 0.1), in use
reveal("04.near", f"about a third ({most:.0%})",
       "0.9 looks close to 1, but it comes 13 times in a row, and the batch norms of the stages expect whole maps. "
       f"With (1, 0) a trace of {whole:.1%} is left, by the eps inside the batch norm.")

# %% [markdown]
# Three things to take along:
#
# * NDDR is an identity *in use* only, and only with w = 1. *In training* its batch norm gives every map mean 0 and
#   variance 1, and the ReLU then cuts about half away, whatever w is.
# * The search trains all weights along and can repair this, but it has to.
# * *Residual fusion*, O = F + W·[z₁F₁, …] with W = 0 at the start, has no batch norm and no ReLU and is the identity
#   to the last digit, in training too. We build it below.
#
# ### Then why not always (1, 0)?
#
# Because of the gates. ∂L/∂z says what the loss L gains when a gate z opens a little, and this is all that a search
# has to go by. The gate is multiplied by the source's columns. Where those are 0, so is the gradient, and every edge
# looks alike.

# %%
def pull(made):
    """Mean |∂L/∂z| over the edges at z = ½; L = the sum of the task losses."""
    gates = torch.full((len(space),), 0.5, requires_grad=True)
    losses = made.loss(made.supernet(image, gates), targets)
    return torch.autograd.grad(sum(losses.values()), gates)[0].abs().mean().item()


owns = (0.8, 0.85, 0.9, 0.95, 0.99, 1.0)
labs = [with_fusion(partial(NDDR, start=(w, 1 - w))) for w in owns]
_, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
axes[0].plot(owns, [distance(made, 0.5) for made in labs], "o-", label="NDDR, gates at ½")
axes[1].plot(owns, [pull(made) for made in labs], "o-", color="C1", label="NDDR, gates at ½")
axes[0].set(xlabel="own weight w (sources share 1 − w)", ylabel="distance from single-task", ylim=(0, None))
axes[1].set(xlabel="own weight w (sources share 1 − w)", ylabel="mean |∂L/∂z| (loss per gate)", ylim=(0, None))
for ax in axes:
    ax.set_xticks((0.8, 0.9, 1.0))
    ax.axvline(0.9, color="#777777", ls=":", label="(0.9, 0.1)")
    ax.legend(loc="best", frameon=False)
sns.despine()
assert pull(labs[-1]) == 0.0

# %% [markdown]
# *Reading aid: left, what the start destroys; right, what the search can hear. At w = 1 the left curve is lowest, and
# the right one is exactly 0.*
#
# With (1, 0) the first step of a search moves no α at all; only after the weights have made the sources' columns
# different from 0 do edges begin to differ. (0.9, 0.1) pays for hearing the tasks from the first step on. What is
# better in the end is a question for many runs, and this picture does not answer it.

# %% [markdown] tags=["teacher"]
# **10 minutes.** "Identity start" is said in papers with a light heart. Let the class compute 0.9¹³ = 0.25 and then
# ask why outputs do not shrink to a quarter (batch norm: shift and running statistics do not scale along). Residual
# fusion has the same silent first step as (1, 0): W = 0, so ∂L/∂z = 0.

# %% [markdown]
# ## Gates live in the weight
#
# z·F scales a whole map. But the next thing that happens to the map is a multiplication by its columns of W, so we
# may scale the columns instead: W·[F, z₁F₁] = [W₀, z₁W₁]·[F, F₁]. Same function; and instead of a gated copy of every
# source (kept for the backward pass) there is one small gated weight.
#
# ### Your turn
#
# `channels` says how many columns belong to each map, the node's own first.

# %% tags=["exercise"]
def fold(weight, gates, channels):
    """weight (C, ΣC), gates (k,), channels [C, C_1, …, C_k] -> the weight with the sources' columns gated."""
    # your turn: about 2 lines
    each = torch.cat([torch.ones(1), gates])
    return weight * each.repeat_interleave(torch.tensor(channels))
    # end


# %%
check("04.fold", fold)

# %% [markdown] tags=["hint"]
# Make a vector with one number for each column, then multiply: `weight * vector` scales columns.

# %% [markdown] tags=["hint"]
# The own columns get a 1: `torch.cat([torch.ones(1), gates])`. `repeat_interleave` repeats each number as often as
# its map has channels.

# %% [markdown]
# The library does so. At our node, with the gates in the weight and with the gates on the maps:

# %%
per_column = torch.cat([torch.ones(1), gates]).repeat_interleave(16)
gated = fusion.conv.weight * per_column.view(1, -1, 1, 1)
with torch.no_grad():
    in_weight = relu(fusion.norm(conv2d(torch.cat([own, *sources], 1), gated)))
assert torch.allclose(in_weight, by_hand, atol=1e-6)
print("numbers to multiply: weight", fusion.conv.weight[:, 16:].numel(), " maps", sum(s.numel() for s in sources))

# %%
_, ax = plt.subplots(figsize=(9, 3))
matrix(gated, ax, "Under the gates 0.3 and 0.8 (finer colour scale)", size=0.1)

# %% [markdown]
# *Reading aid: the first source's diagonal has faded to 0.3 of what it was (0.015), the second one's to 0.8 (0.04).
# Closing an edge erases its columns.*
#
# ## Cross-stitch: one row, or the whole matrix?
#
# An older fusion, *cross-stitch*, mixes maps with plain numbers: no matrix of channels, no batch norm. It is often
# misread, so look closely. With T tasks there are T maps at a stage, and **each** task gets its own mixture of all of
# them. That makes a T × T matrix a stage, not one row of T numbers that everybody shares.

# %%
tasks = lab.space.tasks
mix = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
_, axes = plt.subplots(1, 2, figsize=(7, 2.4), width_ratios=(1, 1), layout="constrained")
for ax, shown, title, rows_ in zip(axes, (mix, mix[:1]), ("T × T: a mixture for each task", "1 × T: one mixture for all"),
                                   (tasks, ["every task"])):
    sns.heatmap(shown, annot=True, ax=ax, cmap="Blues", vmin=0, vmax=1, square=True, xticklabels=tasks, yticklabels=rows_,
                cbar_kws={"label": "share"})
    ax.set(title=title, xlabel="takes from", ylabel="what arrives at")
    ax.tick_params(axis="y", rotation=0)

# %% [markdown]
# *Reading aid: a row is a task that receives, a column one that gives. Under 1 × T both networks go on from one and
# the same map.*
#
# ### Your turn

# %% tags=["exercise"]
def stitch(maps, mix):
    """maps (T, B, C, H, W), one for each task; mix (T, T) -> (T, B, C, H, W): map t is Σ_s mix[t, s]·maps[s]."""
    # your turn: about 1 line
    return torch.einsum("ts,sbchw->tbchw", mix, maps)
    # end


# %%
check("04.cross_stitch", stitch)

# %% [markdown] tags=["hint"]
# It is a matrix product over the first axis; the other axes come along.

# %% [markdown] tags=["hint"]
# With einsum: `"ts,s…->t…"`. Without: a list of sums, `[sum(mix[t, s] * maps[s] for s in …) for t in …]`.

# %% [markdown]
# ### Handshake
#
# In the library a node holds its own *row* of that matrix; the nodes of all tasks at a stage are the T × T. And
# cross-stitch is a special NDDR weight: one whose blocks are numbers times I.

# %%
row = CrossStitch(16, [16])
other = sources[1]
with torch.no_grad():
    both = torch.einsum("ts,sbchw->tbchw", mix, torch.stack([own, other]))
    assert torch.allclose(row(own, [other]), both[0], atol=1e-6)          # segmentation's row
    assert torch.allclose(row(other, [own]), both[1], atol=1e-6)          # normals' row: the same start
    blocks = torch.cat([0.9 * torch.eye(16), 0.1 * torch.eye(16)], 1)[:, :, None, None]
    assert torch.allclose(conv2d(torch.cat([own, other], 1), blocks), both[0], atol=1e-6)

# %% [markdown]
# ### Residual fusion
#
# And the third kind, in one line: leave F alone and add what the edges bring. W = 0 at the start.

# %%
def residual(own, sources, gates, weight):
    """O = F + W·[z_1 F_1, …, z_k F_k]."""
    return own + conv2d(torch.cat([z * source for z, source in zip(gates, sources)], 1), weight)


theirs = ResidualFusion(16, [16, 16])
with torch.no_grad():
    assert torch.equal(theirs(own, sources, gates), own)                  # W = 0: nothing has changed
    theirs.conv.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(residual(own, sources, gates, theirs.conv.weight), theirs(own, sources, gates), atol=1e-5)

# %% [markdown] tags=["teacher"]
# **10 minutes.** Write the three kinds one below the other: cross-stitch (numbers), NDDR (matrix, BN, ReLU), residual
# (F + matrix). The 1×T confusion is common in public code, so let the class say what goes wrong: after the first
# stage all tasks continue from one and the same map.

# %% [markdown]
# ## The supernet's forward in ten lines
#
# Now all nodes at once. A **supernet** is the backbones with a fusion at every node that an edge enters; it runs under
# any vector of gates (this and all other words: [glossary](../docs/glossary.md)). Two dictionaries: `features` are maps *before* fusion, `fused` are maps *after* it. A stage
# reads what was fused behind the stage before; a fusion reads features.

# %%
def forward(net, image, gates):
    """All backbones side by side. gates (E,): one for each candidate edge."""
    features, fused = {}, dict.fromkeys(net.space.tasks, image)
    for stage in range(13):
        for task in net.space.tasks:
            features[Node(task, stage)] = net.backbones[task].stages[stage](fused[task])
        for task in net.space.tasks:
            into = list(net.space.into(Node(task, stage)))
            sources = [features[net.space.edges[i].source] for i in into]
            fused[task] = net.fusion[f"{task}:{stage}"](features[Node(task, stage)], sources, gates[into])
    return {task: net.backbones[task].head(fused[task]) for task in net.space.tasks}


# %%
some_gates = torch.rand(len(space), generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    ours, theirs = forward(net, image, some_gates), net(image, some_gates)
for task in tasks:
    assert torch.allclose(ours[task], theirs[task], atol=1e-5)
{task: tuple(output.shape) for task, output in ours.items()}

# %% [markdown]
# That is all that a supernet is. The library's `SuperNet.forward` does the same for any number of tasks and for
# backbones of unlike depth.
#
# ### Features before fusion are read
#
# `segmentation:3` reads `normals:3`, and `normals:3` reads `segmentation:3`, at the same stage. Who goes first?
# Nobody has to, since both read what was there before either was fused. Suppose somebody saves a dictionary and lets
# the fusion overwrite its own input:

# %%
def careless(net, image, gates, order):
    """As above, but what was fused is read by whoever comes later."""
    maps = dict.fromkeys(order, image)
    for stage in range(13):
        maps |= {Node(task, stage): net.backbones[task].stages[stage](maps[task]) for task in order}
        for task in order:
            into = list(net.space.into(Node(task, stage)))
            sources = [maps[net.space.edges[i].source] for i in into]
            here = Node(task, stage)
            maps[task] = maps[here] = net.fusion[str(here)](maps[here], sources, gates[into])
    return {task: net.backbones[task].head(maps[task]) for task in order}


# %%
predict("04.order", "Run `careless` once with segmentation first and once with normals first. The outputs are …",
        ["the same", "different"])

# %%
with torch.no_grad():
    first, second = (careless(net, image, some_gates, order) for order in (tasks, tasks[::-1]))
apart = {task: ((first[task] - second[task]).norm() / first[task].norm()).item() for task in tasks}
assert min(apart.values()) > 1e-4
reveal("04.order", "different, by " + ", ".join(f"{share:.1%} ({task})" for task, share in apart.items()),
       "Whoever comes second reads a map that has already been fused, so the order of a dictionary changes the function.")

# %% [markdown]
# In the search space nothing says which task is "first": it is *task-agnostic*. Reading features before fusion keeps
# it so. To draw it honestly, split every node in two, features and fused. Two stages of two tasks A and B:

# %%
from mtlnas_lab.viz import plot_fusion_graph

small = SearchSpace.build({"A": plan([8, 8], [2]), "B": plan([8, 8], [2])})
plot_fusion_graph(small, split=True, style="web-light").figure

# %% [markdown]
# *Reading aid: open circles are features, filled ones fused maps. Edges leave from features and end in fused maps,
# so the picture has no cycle although A and B read each other.*

# %% [markdown] tags=["teacher"]
# **10 minutes.** The subtle point of the space. Usual question: "then a deeper fusion never sees fused features of
# the other task?" It does, one stage later: fused maps feed the next stage, whose features are read. Let somebody
# trace it in the picture.

# %% [markdown]
# ## Closed edges cost nothing
#
# While the search goes on, gates are between 0 and 1 and everything has to be computed. An *architecture* is made of
# yes and no. The supernet takes both: a tensor of gates, or a list of E booleans, and then it leaves closed edges out
# of the concatenation and their columns out of W. Same result; how many multiplications?

# %%
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(run):
    """Millions, for one image."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2 / len(image) / 1e6


closed = [False] * len(space)
with torch.no_grad():
    multiplied, skipped = net(image, torch.zeros(len(space))), net(image, closed)
    assert all(torch.allclose(multiplied[task], skipped[task], atol=1e-5) for task in tasks)
cost_of = {"all 48 edges open": multiply_adds(lambda: net(image, [True] * len(space))),
           "all closed, gates 0.0": multiply_adds(lambda: net(image, torch.zeros(len(space)))),
           "all closed, gates False": multiply_adds(lambda: net(image, closed)),
           "single-task networks": multiply_adds(lambda: [backbone(image) for backbone in net.backbones.values()])}

# %%
_, ax = plt.subplots(figsize=(7, 2.2))
ax.barh(list(cost_of), list(cost_of.values()), label="both networks, one image")
ax.bar_label(ax.containers[0], fmt="{:.1f}", padding=3)
ax.set(xlabel="million multiply-adds", xlim=(0, 1.25 * max(cost_of.values())))
ax.invert_yaxis()
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.97))
sns.despine()

# %% [markdown]
# *Reading aid: gates of 0.0 multiply by zero and save nothing; gates known as False are not computed. What remains
# above the single-task networks is the own block of 26 fusions.*
#
# ### Your turn
#
# Count it: the multiply-adds of one NDDR's 1×1 convolution, for one image.

# %% tags=["exercise"]
def cost(height, width, channels, source_channels, opened):
    """opened: a boolean for each source -> how many multiply-adds."""
    # your turn: about 2 lines
    inputs = channels + sum(c for c, is_open in zip(source_channels, opened) if is_open)
    return height * width * channels * inputs
    # end


# %%
check("04.cost", cost)

# %% [markdown] tags=["hint"]
# At one pixel a matrix with C rows meets a vector: how many entries has the matrix, if only open sources count?

# %% [markdown] tags=["hint"]
# C·(C + Σ C_k over open k), and that at each of H·W pixels.

# %% [markdown]
# ## Look: what a search makes of the matrix
#
# 40 steps of a real search (with an entropy term, about which the next notebook speaks). Then the same node again.

# %%
searched = lab.copy().to(pick_device())
for _ in Search(searched, replace(presets.preset("tiny").search, steps=presets.quick(40, 3))):
    pass
after = searched.supernet.fusion[str(node)].conv.weight.cpu()
_, axes = plt.subplots(2, 1, figsize=(9, 6), layout="constrained")
matrix(after, axes[0], "After the search's first steps: segmentation:3")
change = after - fusion.conv.weight
matrix(change, axes[1], "What has changed (a finer colour scale)", size=change.abs().max().item())

# %% [markdown]
# *Reading aid: above, the identity still rules. Below, the change keeps to no diagonal: any channel may be matched
# with any channel of the other network, which cross-stitch cannot do. After so few steps much of it is still noise.*
#
# ## Play
#
# * Draw another node. `"normals:12"` has 64 rows and 256 columns: `weight = net.fusion["normals:12"].conv.weight`, then
#   `_, ax = plt.subplots(figsize=(9, 3))` and `matrix(weight, ax, "normals:12", widths=[64] * 4, names=["F", "F₁", "F₂", "F₃"])`.
# * In `forward`, let a fusion read `fused[source.task]` of the stage before. What breaks when sources have another
#   number of channels?
#
# ## What we know now
#
# * NDDR: concatenate, 1×1 convolution, batch-norm, ReLU. Its weight is a matrix with a block of columns for each map
#   that comes in.
# * A start near the identity protects trained networks; columns that are exactly 0 make a gate deaf. (0.9, 0.1) is a
#   compromise and not as near to the identity as it sounds.
# * Gates scale columns. Cross-stitch is T × T numbers a stage; residual fusion adds, and starts as an exact identity.
# * The supernet is ten lines. Fusions read features before fusion, and closed edges can be left out.
#
# What this does *not* show: which fusion gives better networks. All numbers here are of freshly built networks and 8
# images; they say how the parts work and nothing about results after training.
#
# Next: [05](05_relaxation_and_entropy.ipynb), how gates are moved and made to decide.
