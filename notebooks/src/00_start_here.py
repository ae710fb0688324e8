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
# *About 3 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** You have two trained networks that look at the same image: one names what every pixel shows, the other
# says which way every surface faces. Surely each knows something that would help the other. But *where* should they
# be joined? MTL-NAS (Gao et al., CVPR 2020, [arXiv 2003.14058](https://arxiv.org/abs/2003.14058)) lets gradient
# descent decide. This notebook tells the whole story once: you start a search and **cover one network's eyes** while
# it runs; then you look closer at one that was recorded. Everything in it can be changed.
#
# Run the cells one by one with Shift + Enter. Where a cell asks you to **predict**, commit to a guess before you go
# on: it is kept, and the next cells tell what really happens.

# %%
# %matplotlib inline
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from IPython.display import display
from torch.nn.functional import interpolate

from mtlnas_lab import EventLog, Run, Schedule, Search, SearchStudio, presets
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.experiments.scores import scores_now
from mtlnas_lab.viz import plot_fusion_graph, plot_gates, plot_predictions

# %% [markdown]
# ## The images
#
# Little rooms, drawn by a program, so that every label is exact. They are shipped: nothing is downloaded. A **task**
# is something to learn from an image; here *segmentation* (what is this pixel?) and *normals* (which way does this
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
# *Reading aid: one room a row; beside it, for each task, the truth and what a network that sees the image **alone**
# makes of it.* They were trained for a few minutes on 2,400 other rooms: far from perfect, and good enough to ask our
# question.

# %% [markdown] tags=["teacher"]
# **Teacher: 20 minutes for all of it.** Do not explain anything yet: show, let them guess, show. Pictures 3, space 4,
# Start and the eyes 8, replay 5. Usual misunderstanding from the first picture: that there is one network with two heads. There
# are two whole networks.

# %% [markdown]
# ## The space
#
# Both networks have 13 **stages**. Behind every stage there is a place, a **node**, where features of the *other*
# network may be mixed in. Every arrow below is a candidate **edge**. An **architecture** says of each edge whether it
# is there.

# %%
print(len(lab.space), "candidate edges")
plot_fusion_graph(lab.space, style="paper-double").figure

# %% [markdown]
# *Reading aid: the upper lane is one network, the lower one the other; the image enters at the left. Edges stay
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
# ## Press Start, and cover its eyes
#
# Each edge has one number, **α**. Its **gate** σ(α) = 1 / (1 + e⁻ᵅ) says how much the edge brings: ½ is *undecided*,
# 1 is *open*, 0 is *closed*. A step of the search moves all α by gradient descent on one half of the images, and
# the networks' own weights **w** on the other half. A third force, the **entropy** term with its weight **λ**
# (lambda), grows slowly and pushes every gate away from ½. In the end, edges with α > 0 are kept.
#
# Now imagine that segmentation goes **blind**: its network gets noise instead of the image, while normals still sees.
# What it needs is there, in the other network. Half of the 48 arrows lead *into* segmentation, half *out of* it.

# %%
predict("00.arrows", "Segmentation's eyes are covered while the search runs. Which arrows will be kept?",
        ["more of those into segmentation", "more of those out of segmentation", "as many of either"])

# %% [markdown]
# Press **Start**. Then cover segmentation's eyes: drag its **eye** down to 0, or run
# `studio.turn(visibility={"segmentation": 0})` in a cell of your own. If you only watch, that happens by itself after a
# quarter of the steps.

# %%
STEPS = presets.quick(60, 4)
COVERED = Schedule(0.0, start=1.0, period=(0.25, 0.25))   # after a quarter of the steps


def fresh(segmentation=COVERED):
    config = replace(presets.preset("tiny").search, steps=STEPS, alpha_lr=0.1,
                     entropy_weight=Schedule(10.0, 0.0, (0.5, 1.0)),
                     visibility={"segmentation": segmentation})
    return Search(presets.tiny(seed=0).to(pick_device("auto")), config, evaluate=scores_now)


studio = SearchStudio(fresh, title="Rooms: segmentation + normals", plain=True)
studio

# %% [markdown]
# *Reading aid: in the graph, strong and wide arrows are open, faint and dashed ones closed; the eye of each lane says how
# much its network sees. **Entropy** is the indecision of the gates, 0.69 is complete; it falls when λ, the thin line, has
# grown. Below it the **losses**: how wrong each network is on the last batch of images. Without a kernel the graph stands
# beside a table of it, with sources as rows and targets as columns.*
#
# This is the **plain studio**: graph, entropy, losses, λ and the eyes. The full one, with all controls, comes in
# notebook 06. What you can do here:
#
# * **Start**, **Pause**, **Step** (one step), **Stop and keep** (end it here), **Reset** (a new search from the start);
#   **Discretize now** asks what both networks are worth with every gate set to 0 or 1.
# * **weight λ**: move it, and the search follows you from the next step on. An **eye** says how much of its image a
#   network sees, from 1 (all) to 0 (noise).
# * Point at an arrow, and read below the graph what the tasks and the entropy term want of it. **Open** and **Shut** force
#   an arrow, **Free** lets it go.
# * **Replay** and the slider below go back in time; they change nothing. **Latest** comes back.
#
# It is a hurried search: 60 steps, and α moves five times as fast as it should. Where nobody can press a button, it runs by
# itself and leaves a picture. After a reload of the page the search goes on, but the cell shows its old picture:
# `studio.show()` in a new cell brings the panel back; to run the cell again begins a new search.
#
# Did the arrows turn? Here is the mean gate of either direction. And for comparison the same search, the same seed,
# with nobody's eyes covered.

# %%
into = torch.tensor([edge.target.task == "segmentation" for edge in lab.space.edges])
logs = {"something missing": studio.log, "nothing missing": EventLog(fresh(segmentation=1.0))}
logs = {title: log for title, log in logs.items() if log.steps}     # nobody pressed Start?
figure, axes = plt.subplots(1, len(logs), figsize=(8.5, 2.8), squeeze=False, layout="constrained")
for ax, (title, log) in zip(axes[0], logs.items()):
    gates = torch.sigmoid(torch.tensor(log.alpha))
    ax.plot(gates[:, into].mean(1), color="#b35806", lw=2, label="into segmentation")
    ax.plot(gates[:, ~into].mean(1), "--", color="#2262ad", lw=2, label="out of segmentation")
    ax.axhline(0.5, color="#777777", ls=":", label="undecided")
    ax.set(title=title, xlabel="step", ylabel="mean gate", ylim=(0, 1))
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: left segmentation's eyes are covered (after a quarter of the steps, if you only watched), right nobody's. A line is
# the mean gate of the 24 edges of one direction. On the right, too, the two lines part a little: one search under one seed does
# that by chance. So do not ask whether they part on the left, but whether they part by much more than on the right.* In numbers,
# the edges that are kept at the end:

# %%
counts = {}
for title, log in logs.items():
    kept = torch.tensor(log.steps[-1].alpha) > 0
    counts[title] = (int(kept[into].sum()), int(kept[~into].sum()))
    print(f"{title}: {counts[title][0]} of 24 edges into segmentation, {counts[title][1]} of 24 out of it")

# %%
arrived, left = counts.get("something missing", (0, 0))
said = "more of those into segmentation" if arrived > left else "more of those out of segmentation"
if arrived == left:
    said = "as many of either" if studio.log.steps else "press Start above, then run the last cells again"
control = " against ".join(map(str, counts["nothing missing"]))
reveal("00.arrows", said, f"{arrived} against {left}; with nothing missing {control}.")

# %% [markdown]
# The two graphs that were found:

# %%
for title, log in logs.items():
    graph = plot_fusion_graph(log, style="paper-double", dropped="hide", colorbar=False, title=title)
    display(graph.figure)

# %% [markdown]
# *Reading aid: first something missing, then nothing missing; only the edges that were kept, at the size of a page's
# width.* What is left of a search is such a picture, which you can put into a paper: `mtlnas-lab figure
# data_samples/runs/entropy --format pdf,tikz --out figures` writes that of a recorded run as PDF and TikZ.
#
# This is what a search is for: **where information is missing, it looks for the way that information must take.** Where
# nothing is missing, this lab's searches have not been ahead of random graphs, however fine their pictures look: the
# lab shows that, too (notebook 07). In between lies a dial, and [notebook
# 10](10_when_is_there_something_to_find.ipynb) turns it.
#
# Behind the panel there is nothing but a loop. A search is something you can loop over; it tells what happens:
#
# ```python
# for event in fresh():
#     if isinstance(event, Step):                     # from mtlnas_lab.core.events import Step
#         print(event.step, event.entropy_fraction, event.loss)
# ```

# %% [markdown] tags=["teacher"]
# **8 minutes.** Let them vote by hand before Start. Cover the eyes early once, and once when λ has grown: the gates are
# locked then. **Ask:** why are some arrows out of segmentation kept? (Let them guess; notebook 10 tests one such story.)
# And: is the second picture a result? (It is the control.)

# %% [markdown]
# ## Replay: a longer search, recorded
#
# 500 steps, both networks see, and α moves at its proper pace. It was recorded under seed 0, which was settled before it ran;
# below come four other seeds.

# %%
predict("00.kept", "All 48 edges begin at ½. How many of them will be kept?", between=(0, 48))

# %%
from mtlnas_lab.widgets import ReplayScrubber

run = Run.open(presets.samples() / "runs" / "entropy")
ReplayScrubber(run, title="500 steps on the rooms, recorded", at=0)

# %%
begun, first = run.log.started.alpha, run.log.steps[0].alpha
print(f"step 0: {sum(a == 0 for a in begun)} of {len(begun)} gates are ½, so no edge is kept yet (α > 0 for {sum(a > 0 for a in begun)});")
print(f"after step 1 α > 0 for {sum(a > 0 for a in first)}: one batch of images has moved every gate a little, to one side or the other.")

# %% [markdown]
# *Reading aid: strong and wide is open, faint and dashed is closed or, at step 0, undecided. In JupyterLab, press Play: from step 0 on the cloud of
# maybes collapses into one graph. Where you see a still picture instead (that of step 0), or "model not found" after the page
# was reloaded: run the cell (again).*

# %%
reveal("00.kept", sum(alpha > 0 for alpha in run.log.steps[-1].alpha),
       "Nothing asks for few edges; what is asked for is that each decides.")

# %% [markdown]
# ## With the entropy term, and without
#
# The same search was recorded once more with λ = 0. Each line below is the gate of one edge.

# %%
free = Run.open(presets.samples() / "runs" / "no_entropy")
figure, axes = plt.subplots(1, 2, figsize=(8, 2.4), layout="constrained")
plot_gates(run, ax=axes[0], style="web-light", title="λ grows to 10")
plot_gates(free, ax=axes[1], style="web-light", title="λ = 0")
plt.show()

# %% [markdown]
# *Reading aid: λ grows from step 150 on, on the left only. How far do the lines of either side end from ½?* Cutting a
# network at ½ means changing gates that its weights have grown used to.
#
# ## What it is worth
#
# `soft` is the network as it was searched, `hard` the same weights with every gate set to 0 or 1, with no training in
# between. What that costs is the **discretization gap**: does the entropy term make it smaller?
# `hard_recalibrated`: after the cut, batch norm's averages are taken anew. `trivial` is
# the best answer without looking at the image; `single_task` are networks trained as
# long without any edge. **mIoU** (mean intersection over union) and accuracy are for segmentation, more is better;
# the angle is for normals, less is better.

# %%
def line(scores):
    seg, normals = scores["segmentation"], scores["normals"]
    said = f"{seg['miou']:.3f} mIoU   {seg['pixel_accuracy']:.3f} accuracy"
    return f"{said}   {normals['mean_angle']:.1f}° mean angle"

for name, recorded in (("with entropy", run), ("without", free)):
    for kind, scores in recorded.scores().items():
        print(f"{name:14}{kind:20}{line(scores)}")

# %% [markdown]
# Subtract `hard` from `soft` in both blocks. In one run of each the difference may well be too small to see. So here is the
# same pair once more, in short (150 steps), under five seeds:

# %%
from mtlnas_lab.analysis.results import StudyResults
from mtlnas_lab.analysis.study import Study
from mtlnas_lab.viz.study_plots import plot_cut

gap = StudyResults.read(Study.load("gap"), presets.samples() / "studies" / "gap-small").gap
pair = gap[gap.row.isin(["λ 0", "λ 10 ramp"])]
plot_cut(pair)

# %%
for name, part in pair.groupby("row", observed=True):
    each = ", ".join(f"{value:.1f}" for value in part.hard)
    print(f"{name}: cutting the gates costs {part.hard.mean():.1f} % of the score on average (each seed: {each})")

# %% [markdown]
# *Reading aid: a mark is a search, the line their mean; circles are cut, squares are cut and have their batch norm averaged anew
# (notebook 07). What is lost is in % of the soft network's score, mean over both tasks and their metrics. 0: the network that is
# used is as good as the one that was searched; right of 0 it is worse.*

# %% [markdown] tags=["teacher"]
# **Teacher: the table.** Compare `soft` and `hard` in both blocks first, then let the five seeds answer. Somebody
# will compare `hard` with `single_task` and cheer or mourn: it is one run with one seed, and notebooks 07 and 08 say
# what would be needed.

# %% [markdown]
# ## What we know now
#
# * A search space between networks is a set of candidate edges; here 48.
# * α is learnt by gradient descent; the entropy term makes the gates decide.
# * The searched network is used as it is, with its gates cut to 0 or 1.
# * Cover one network's eyes, and the search looks for the way information must take. With nothing missing, its
#   graphs were not ahead of random ones.
#
# What one run on little rooms does *not* show: that these edges are better than others. For that you need several
# seeds and a control, a random graph with as many edges; for the arrows, the search with nothing missing.
#
# ## Where to go
#
# In order, or where your question is: the [map](README.md) says which notebook answers which question, and every term is in
# the [glossary](../docs/glossary.md). Next: [01](01_tasks_and_images.ipynb), what exactly the networks are asked.
