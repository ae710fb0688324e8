# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here: which features should two networks share?
#
# *About 2 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** You have two trained networks that look at the same picture: one names what every pixel shows, the other
# says which way every surface faces. Surely each knows something that would help the other. But *where* should they
# be joined? MTL-NAS (Gao et al., CVPR 2020, [arXiv 2003.14058](https://arxiv.org/abs/2003.14058)) lets gradient
# descent decide. This notebook tells the whole story once: you replay a search that was recorded, then you start one.
# Everything in it can be changed.
#
# Run the cells one by one with Shift + Enter. Where a cell asks you to **predict**, commit to a guess before you go
# on: it is kept, and the next cells tell what really happens.

# %%
# %matplotlib inline
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from torch.nn.functional import interpolate

from mtlnas_lab import Run, Search, presets
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.viz import plot_fusion_graph, plot_gates, plot_predictions

# %% [markdown]
# ## The pictures
#
# Little rooms, drawn by a program, so that every label is exact. They are shipped: nothing is downloaded. A **task**
# is something to learn from a picture; here *segmentation* (what is this pixel?) and *normals* (which way does this
# surface face?).

# %%
packs = presets.open_data("rooms")
lab = presets.tiny(seed=0)
image, targets = packs["test"].batch(torch.tensor([3, 8, 14]), lab.tasks)
with torch.no_grad():
    alone = {task: interpolate(net.eval()(image), image.shape[-2:], mode="bilinear", align_corners=True)
             for task, net in lab.supernet.backbones.items()}
plot_predictions(packs["test"].images[[3, 8, 14]] / 255, targets, alone, lab.tasks)

# %% [markdown]
# *Reading aid: one room a row; beside it, for each task, the truth and what a network that sees the picture **alone**
# makes of it.* They were trained for a few minutes on 2,400 other rooms: far from perfect, and good enough to ask our
# question.

# %% [markdown] tags=["teacher"]
# **Teacher: 15 minutes for all of it.** Do not explain anything yet: show, let them guess, show. Pictures 3, space 4,
# replay 4, Start 4. Usual misunderstanding from the first picture: that there is one network with two heads. There
# are two whole networks.

# %% [markdown]
# ## The space
#
# Both networks have 13 **stages**. Behind every stage there is a place, a **node**, where features of the *other*
# network may be mixed in. Every arrow below is a candidate **edge**. An **architecture** says of each edge whether it
# is there.

# %%
print(len(lab.space), "candidate edges")
plot_fusion_graph(lab.space, style="web-light").figure

# %% [markdown]
# *Reading aid: the upper lane is one network, the lower one the other; the picture enters at the left. Edges stay
# inside the shaded groups, where all maps have one size.*
#
# ### Your turn: how many architectures?
#
# Each of the E candidate edges is there, or is not. The cell after yours looks at your answer at once; before you
# fill it in, run it to see what it says. Two hints and the solution are folded below.

# %% tags=["exercise"]
def architectures(edges):
    """How many architectures a space of so many candidate edges has."""
    # your turn: about 1 line
    return 2 ** edges
    # end


# %%
check("00.count", architectures)

# %% [markdown] tags=["hint"]
# With one edge there are 2, with two edges 4. Write down those of three edges.

# %% [markdown] tags=["hint"]
# Each further edge doubles the number; Python writes powers as `2 ** 3`.

# %% [markdown]
# ## Replay: a whole search, recorded
#
# Each edge has one number, **α**. Its **gate** σ(α) = 1 / (1 + e⁻ᵅ) says how much the edge brings: ½ is *undecided*,
# 1 is *open*, 0 is *closed*. A step of the search moves all α by gradient descent on one half of the pictures, and
# the networks' own weights **w** on the other half. A third force, the **entropy** term with its weight **λ**
# (lambda), grows slowly and pushes every gate away from ½. In the end, edges with α > 0 are kept.

# %%
predict("00.kept", "All 48 edges begin at ½. How many of them will be kept?", between=(0, 48))

# %%
from mtlnas_lab.widgets import ReplayScrubber

run = Run.open(presets.samples() / "runs" / "entropy")
ReplayScrubber(run, title="500 steps on the rooms, recorded")

# %% [markdown]
# *Reading aid: dark and wide is open, faint and dashed is closed. In JupyterLab, drag the slider back to step 1 and
# press play: the cloud of maybes collapses into one graph. Where you see a still picture instead, or "model not found"
# after the page was reloaded: run the cell (again).*

# %%
reveal("00.kept", sum(alpha > 0 for alpha in run.log.steps[-1].alpha),
       "About half. Nothing asks for few edges; what is asked for is that each decides.")

# %% [markdown]
# ## With the entropy term, and without
#
# The same search was recorded once more with λ = 0. Each line below is the gate of one edge.

# %%
free = Run.open(presets.samples() / "runs" / "no_entropy")
figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
plot_gates(run, ax=axes[0], style="web-light", title="λ grows to 10")
plot_gates(free, ax=axes[1], style="web-light", title="λ = 0")
plt.show()

# %% [markdown]
# *Reading aid: left, every gate goes to 0 or 1 once λ has grown (from step 150 on). Right they never decide.* Cutting
# the right network in two, at ½, means changing gates that its weights have grown used to.
#
# ## What it is worth
#
# `soft` is the network as it was searched, `hard` the same weights with every gate set to 0 or 1, with no training in
# between. With the entropy term the two should be alike. `hard_recalibrated`: after the cut, batch norm's averages
# are taken anew. `trivial` is the best answer without looking at the picture; `single_task` are networks trained as
# long without any edge. **mIoU** (mean intersection over union) and accuracy are for segmentation, more is better;
# the angle is for normals, less is better.

# %%
def line(scores):
    seg, normals = scores["segmentation"], scores["normals"]
    return f"{seg['miou']:.3f} mIoU   {seg['pixel_accuracy']:.3f} accuracy   {normals['mean_angle']:.1f}° mean angle"

for name, recorded in (("with entropy", run), ("without", free)):
    for kind, scores in recorded.scores().items():
        print(f"{name:14}{kind:20}{line(scores)}")

# %% [markdown] tags=["teacher"]
# **Teacher: the table.** Compare `soft` and `hard` in both blocks first; that is what this data can show. Somebody
# will compare `hard` with `single_task` and cheer or mourn: it is one run with one seed, and notebooks 07 and 08 say
# what would be needed.

# %% [markdown]
# ## Press Start
#
# Now one of your own, with real networks, in this notebook. Press **Start**; **Pause** and **Step** work while it
# runs. Move λ, and the search follows you from the next step on. The slider below the picture goes back in time and
# changes nothing. (It is a hurried search: 40 steps, and α moves five times as fast as it should. Where nobody can
# press a button, it runs by itself and leaves a picture.) After a reload of the page the search goes on, but the cell
# shows its old picture: `studio.show()` in a new cell brings the panel back; to run the cell again begins a new search.

# %%
from mtlnas_lab.experiments.scores import scores_now
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.widgets import SearchStudio


def fresh():
    config = replace(presets.preset("tiny").search, steps=presets.quick(40, 4), alpha_lr=0.1)
    return Search(presets.tiny(seed=0).to(pick_device("auto")), config, evaluate=scores_now)


studio = SearchStudio(fresh, title="Rooms: segmentation + normals")
studio

# %% [markdown]
# *Reading aid: **entropy** is the indecision of the gates, 0.69 is complete; it falls when λ, the thin line, has grown.
# Below right, the gates' distribution: one hill in the middle splits in two. At the bottom the graph, and beside it the
# same as a table, rows are sources and columns targets.*
#
# Behind the panel there is nothing but a loop. A search is something you can loop over; it tells what happens:
#
# ```python
# for event in fresh():
#     if isinstance(event, Step):                     # from mtlnas_lab.core.events import Step
#         print(event.step, event.entropy_fraction, event.loss)
# ```
#
# ## The graph
#
# This is what the search is for: a picture you can put into a paper. `mtlnas-lab figure data_samples/runs/entropy
# --format pdf,tikz --out figures` writes the recorded one as PDF and TikZ.

# %%
plot_fusion_graph(run, style="paper-double", dropped="hide").figure

# %% [markdown]
# *Reading aid: the edges that were kept, at the size of a page's width.*
#
# ## What we know now
#
# * A search space between networks is a set of candidate edges; here 48.
# * α is learnt by gradient descent; the entropy term makes the gates decide.
# * The searched network is used as it is.
#
# What one run on little rooms does *not* show: that these edges are better than others. For that you need several
# seeds and a control, a random graph with as many edges.
#
# ## Where to go
#
# In order, or where your question is. Every term is in the [glossary](../docs/glossary.md).
#
# | | |
# |---|---|
# | [01](01_tasks_and_images.ipynb) | what exactly are the networks asked? |
# | [02](02_backbones.ipynb) | single-task networks, cut in stages |
# | [03](03_search_space.ipynb) | where do the 48 edges come from? |
# | [04](04_fusion.ipynb) | what happens where an edge ends? |
# | [05](05_relaxation_and_entropy.ipynb) | why does entropy make gates decide? |
# | [06](06_studio.ipynb) | the search by hand, and live |
# | [07](07_derive_and_gap.ipynb) | from gates to a network: what is lost, and what to compare with |
# | [08](08_fusion_graph.ipynb) | the figure for your paper; would another seed agree? |
# | [09](09_your_own.ipynb) | your own task, network, data and machine |
