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
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# You have two trained networks that look at the same picture: one names what every pixel shows, the other says which way
# every surface faces. Surely each knows something that would help the other. But *where* should they be joined?
# MTL-NAS (Gao et al., CVPR 2020, [arXiv 2003.14058](https://arxiv.org/abs/2003.14058)) lets gradient descent decide. This
# notebook tells the whole story once, in pictures; everything in it can be changed.

# %%
# %matplotlib inline
from dataclasses import replace

import torch
from torch.nn.functional import interpolate

from mtlnas_lab import Run, Search, presets
from mtlnas_lab.viz import overview, plot_fusion_graph, plot_gates, plot_predictions

# %% [markdown]
# ## The pictures
#
# Little rooms, drawn by a program, so that every label is exact. They are shipped: nothing is downloaded.

# %%
packs = presets.load_data("rooms")
lab = presets.tiny(seed=0)
lab.tasks

# %%
image, targets = packs["test"].batch(torch.tensor([3, 8, 14]), lab.tasks)
with torch.no_grad():
    alone = {task: interpolate(net.eval()(image), image.shape[-2:], mode="bilinear", align_corners=True)
             for task, net in lab.supernet.backbones.items()}
plot_predictions(packs["test"].images[[3, 8, 14]] / 255, targets, alone, lab.tasks)

# %% [markdown]
# Each network sees the picture alone. They were trained for a few minutes on 2,400 other rooms: far from perfect, and good
# enough to ask our question.
#
# ## The space
#
# Both networks have 13 *stages*. Behind every stage there is a place, a *node*, where features of the *other* network may
# be mixed in. Every arrow below is a candidate *edge*. How many are there, and how many ways to choose among them?

# %%
print(len(lab.space), "candidate edges,", f"2^{len(lab.space)} = {2 ** len(lab.space):,} architectures")
plot_fusion_graph(lab.space, style="web-light").figure

# %% [markdown]
# ## The search
#
# Each edge has one number, α. Its gate σ(α) says how much the edge brings: ½ is *undecided*, 1 is *open*, 0 is *closed*.
# A step of the search moves all α by gradient descent on one half of the pictures, and the networks' weights on the other
# half. A third force, the *entropy* term, grows slowly and pushes every gate away from ½, towards 0 or 1.
#
# Here are 40 steps of it. A search is something you can loop over: it tells what happens.

# %%
from mtlnas_lab.events import EventLog, Step

config = replace(presets.preset("tiny").search, steps=presets.quick(40, 4), alpha_lr=0.1)
log = EventLog()
for event in Search(lab, config):
    log.append(event)
    if isinstance(event, Step) and event.step % 10 == 0:
        print(f"step {event.step}: entropy {event.entropy_fraction:.2f} of ln 2, {sum(a > 0 for a in event.alpha)} edges above ½")

# %%
overview(log)

# %% [markdown]
# ## A whole search, recorded
#
# Those 40 steps were hurried: α moved five times as fast as it should. This search was run before, with the command `mtlnas-lab search`, and recorded. Watch the cloud of maybes
# collapse into one graph.

# %%
run = Run.open(presets.samples() / "runs" / "entropy")
overview(run)

# %% [markdown]
# And this is the same search without the entropy term (λ = 0): the gates never decide. Cutting it into a network
# afterwards means to change gates that the weights have grown used to.

# %%
free = Run.open(presets.samples() / "runs" / "no_entropy")
plot_gates(free, style="web-light").figure

# %% [markdown]
# ## What it is worth
#
# `soft` is the network as it was searched, `hard` the same weights with every gate set to 0 or 1, with no training in
# between. With the entropy term the two should be alike. `trivial` is the best answer without looking at the picture.

# %%
def line(scores):
    seg, normals = scores["segmentation"], scores["normals"]
    return f"{seg['miou']:.3f} mIoU   {seg['pixel_accuracy']:.3f} accuracy   {normals['mean_angle']:.1f}° mean angle"

for name, recorded in (("with entropy", run), ("without", free)):
    for kind, scores in recorded.scores().items():
        print(f"{name:14}{kind:20}{line(scores)}")

# %% [markdown]
# ## The graph
#
# This is what the search was for: a picture you can put into a paper.
# `mtlnas-lab figure data_samples/runs/entropy --format pdf,tikz --out figures` writes it as PDF and TikZ.

# %%
plot_fusion_graph(run, style="web-light").figure

# %% [markdown]
# ## What we know now
#
# * A search space between backbones is a set of candidate edges; here 48.
# * α is learnt by gradient descent; the entropy term makes the gates decide.
# * The searched network is used as it is.
#
# What one run on little rooms does *not* show: that these edges are better than others. For that you need several seeds
# and a control, a random graph with as many edges.
