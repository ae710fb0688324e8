# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own: task, network, data, machine
#
# *About 2 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** Nobody needs another search on these little rooms; you have a task of your own. The search space knows
# nothing about tasks but their names, which is what *task-agnostic* means, so your task costs you 20 lines: a loss, a
# metric, a picture. Your network costs a plan of its stages, your data an array for each label, and another machine a
# folder that you copy. In this notebook you do all four, and run one short search with a task that the lab has never
# heard of.

# %%
# %matplotlib inline
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from torch import nn

from mtlnas_lab import Run, Search, SearchConfig, SearchSpace, presets
from mtlnas_lab.tasks import colormap as colours
from mtlnas_lab.data.augment import augment
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.tasks.task import KINDS, Depth, Task

# %% [markdown]
# ## A task of your own
#
# A robot wants to know **how much of what it sees is free floor**: one number between 0 and 1 for each image. No
# such task is in the lab. A task answers four questions:
#
# | you write | it says |
# |---|---|
# | `loss(output, target)` | how wrong a batch of answers is, a number that can be differentiated |
# | `meter()` | what people judge it by: takes in batches, then says {metric: value} |
# | `constant(targets)` | the best *output* without looking at the image: what every network must beat |
# | `picture(x)` | one target, or one output, as pixels |
#
# The head puts out one number, of any size. The **logistic function** σ(x) = 1 / (1 + e⁻ˣ) brings it between 0 and 1;
# its inverse, ln(p / (1 − p)), is called **logit**. The metric first:

# %%
class Errors:
    """Mean absolute error over all images, however they came in batches."""

    def __init__(self):
        self.total, self.count = 0.0, 0

    def update(self, output, target):
        self.total += float((output.sigmoid()[:, 0] - target).abs().sum())
        self.count += len(target)

    def compute(self):
        return {"absolute": self.total / self.count}


# %%
@dataclass(frozen=True)
class FreeFloor(Task):
    """The share of the image that is floor. Outputs (B, 1) are logits, targets (B,) are shares."""

    name: str = "floor"
    weight: float = 10.0                         # its share in the sum of losses
    channels: ClassVar[int] = 1                  # what the head puts out
    dense: ClassVar[bool] = False                # one answer for an image, not one for each pixel

    def loss(self, output, target):
        return (output.sigmoid()[:, 0] - target).abs().mean()

    def meter(self):
        return Errors()

    def constant(self, targets):
        return targets.median().logit().view(1, 1)

    def picture(self, x):                        # a target is a share, an output (1,) a logit
        return colours.bars(np.array([float(x.sigmoid() if x.ndim else x)]), width=24)


# %% [markdown]
# Why a weight of 10? Losses of very different size pull with very different force. An error of 0.05 here stands
# beside a cross-entropy of about 1 for segmentation (for the same reason the lab gives normals a weight of 20).
#
# The labels are already in the pack: count floor pixels. `KINDS` is the lab's table of tasks, where a name leads to
# its class; one line makes ours known.

# %%
def with_floor(pack):
    """The pack with one more label: the share of each image that is floor."""
    number = 1 + pack.labels["segmentation"].index("floor")              # on disk classes count from 1; 0 is unlabelled
    share = (pack.targets["segmentation"] == number).float().mean((1, 2))
    return replace(pack, targets={**pack.targets, "floor": share})

KINDS["floor"] = FreeFloor
packs = {split: with_floor(pack) for split, pack in presets.open_data("rooms").items()}
tasks = packs["train"].make_tasks(["segmentation", "floor"])
tasks["floor"]

# %%
image, targets = packs["test"].batch(torch.tensor([3, 8, 14, 20]), tasks)
figure, axes = plt.subplots(1, 4, figsize=(8, 2.3), layout="constrained")
for ax, one, share in zip(axes, image, targets["floor"]):
    ax.imshow(np.concatenate([picture(one), np.full((64, 3, 3), 255, np.uint8),
                              np.kron(tasks["floor"].picture(share), np.ones((2, 1, 1), np.uint8))[:, :10]], 1))
    ax.set(title=f"{100 * share:.0f} % floor", xticks=[], yticks=[])

# %% [markdown]
# *Reading aid: the bar beside each room is the task's own picture of its label.*
#
# **Handshake.** Distances in metres and shares of floor are both judged by their mean absolute error, so the
# library's depth task must agree with ours when it is fed the same numbers. And no constant may beat `constant`:

# %%
generator = torch.Generator().manual_seed(0)
output, target = torch.randn(30, 1, generator=generator), torch.rand(30, generator=generator)
as_depth = output.sigmoid()[..., None, None], target[:, None, None, None]
assert torch.allclose(FreeFloor().loss(output, target), Depth().loss(*as_depth))

meters = FreeFloor().meter(), Depth().meter()
for part in (slice(0, 20), slice(20, 30)):                                # two batches of unlike size
    meters[0].update(output[part], target[part])
    meters[1].update(*(x[part] for x in as_depth))
assert np.isclose(meters[0].compute()["absolute"], meters[1].compute()["absolute"])

shares = packs["train"].targets["floor"]
best = FreeFloor().loss(FreeFloor().constant(shares).expand(len(shares), 1), shares)
assert all(best <= (shares - p).abs().mean() + 1e-6 for p in torch.linspace(0, 1, 101))
print(f"always answering the median, {shares.median():.2f}, is wrong by {best:.3f} on average")

# %% [markdown]
# ### Your turn: another loss, another constant
#
# A colleague finds large errors worse and takes the *squared* difference for a loss. What is the best constant now?
# Mind that `constant` gives an **output**: what the head would have to put out, before σ.

# %% tags=["exercise"]
def constant(targets):
    """targets: (N,) shares; the output, shape (1, 1), whose squared error is smallest."""
    # your turn: about 1 line
    return targets.mean().logit().view(1, 1)
    # end


# %%
check("09.constant", constant)

# %% [markdown] tags=["hint"]
# For absolute errors it is the median. Set the derivative of the sum of (t − c)² to zero to find which c is best for
# squares.

# %% [markdown] tags=["hint"]
# The mean, as a share. `.logit()` makes an output of it, `.view(1, 1)` gives it the shape.

# %% [markdown]
# ### Your turn: a metric that cannot be averaged
#
# The *median* error is kinder to a few bad images. Give it over all batches together.

# %% tags=["exercise"]
def median_error(batches):
    """batches: a list of (output (B, 1) logits, target (B,) shares); one number."""
    # your turn: about 2 lines
    errors = [(output.sigmoid()[:, 0] - target).abs() for output, target in batches]
    return torch.cat(errors).median().item()
    # end


# %%
check("09.median", median_error)

# %% [markdown] tags=["hint"]
# Collect the errors of every batch; only then is there a median. A median of medians is another number.

# %% [markdown] tags=["hint"]
# `torch.cat` of a list of (B,) tensors is one (N,) tensor, and that has `.median()`.

# %% [markdown]
# ### Your turn: a task without a new class
#
# Often an existing kind of task will do. "How many *kinds* of furniture are in sight?" is a classification, and only
# its labels have to be made: of the class numbers in `furniture`, how many have 20 pixels or more in an image?

# %% tags=["exercise"]
def count_kinds(seg, furniture):
    """seg: (N, H, W) class numbers, furniture: a list of class numbers; (N,) counts."""
    # your turn: about 1 line
    return sum((seg == number).sum((1, 2)) >= 20 for number in furniture)
    # end


# %%
check("09.kinds", count_kinds)

# %% [markdown] tags=["hint"]
# For one class, `(seg == number).sum((1, 2))` is its number of pixels in each image.

# %% [markdown] tags=["hint"]
# Compare that with 20 to have True or False for each image; Python's `sum` over the classes adds them up as 1 and
# 0.

# %% [markdown]
# With such labels, `KINDS["kinds"] = Classification` and `replace(pack, targets={**pack.targets, "kinds": counts},
# labels={**pack.labels, "kinds": ("none", "one", …)})` are all there is to do.

# %% [markdown] tags=["teacher"]
# **Teacher: a task, 20 minutes.** Let each group invent a task that can be computed from the shipped labels (height
# of the ceiling, nearest thing, is a door in sight) and write its `constant` first: it forces them to say what an
# output is. Usual misunderstanding: the constant is given as an answer (a share) where an output (a logit) is asked
# for.

# %% [markdown]
# ## What augmentation does to your label
#
# While training, the lab shows each image otherwise each time: mirrored or not, zoomed into a box, brighter or
# darker. Labels at pixels go along. A number for the whole image stays as it is.

# %%
predict("09.augment", "Which of these makes the label 'share of floor' wrong?",
        ["the mirror", "the zoom", "brightness and contrast", "none"])

# %%
image, targets = packs["train"].batch(torch.arange(120), tasks)
number = packs["train"].labels["segmentation"].index("floor")
figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharex=True, sharey=True, layout="constrained")
for ax, zoom, title in zip(axes, (1.0, 0.7), ("mirror and brightness", "with the zoom")):
    seen = []
    for i in range(120):                                                  # each image has a zoom of its own
        one = augment(image[i:i + 1], {"segmentation": targets["segmentation"][i:i + 1]},
                      torch.Generator().manual_seed(i), zoom=zoom)
        seen.append((one[1]["segmentation"] == number).float().mean().item())
    ax.plot([0, 0.6], [0, 0.6], color="0.6", lw=1, label="as labelled")
    sns.scatterplot(x=targets["floor"], y=seen, ax=ax, color="#2262ad", s=18, label="an image")
    ax.set(xlabel="label: share of floor", ylabel="share in what the network sees", title=title)
    ax.legend(loc="best", frameon=False)
reveal("09.augment", "the zoom",
       "A box cut out of the room has another share of floor than the room; so we switch augmentation off.")

# %% [markdown]
# *Reading aid: a dot on the grey line has a true label. Left all are on it, right most are not.* The lab does not
# know what your number means, so nothing warned you. Brightness would do the same to "how light is it here". (A task
# of yours that answers at every pixel, dense = True, is mirrored and zoomed along, by the nearest pixel; a label that
# is a direction must be turned by yourself.)
#
# ## The search with it
#
# `make_lab` draws one network of 13 stages for each task. The segmentation network is the shipped one. For floor
# nobody trained one, so it borrows the stages of the depth network (a floor is flat, which depth knows) and gets a
# head of its own. Both are then taught alone for a moment, *without* any edge: the paper starts from trained
# single-task networks, and so do we. `pick_device` takes a GPU where there is one; networks, α and data go there
# together.

# %%
from mtlnas_lab.models.baselines import without_candidates
from mtlnas_lab.core.lab import pick_device

lab = presets.make_lab("tiny", packs, ["segmentation", "floor"]).to(pick_device("auto"))
shipped = presets.tiny(tasks=["segmentation", "depth"]).supernet.backbones
own = lab.supernet.backbones
own["segmentation"].load_state_dict(shipped["segmentation"].state_dict())
own["floor"].stages.load_state_dict(shipped["depth"].stages.state_dict())

alone = without_candidates(lab)
for _ in Search(alone, SearchConfig(steps=presets.quick(60, 2), augment=False)):
    pass
own.load_state_dict(alone.supernet.backbones.state_dict())
print(lab.space)

# %% [markdown]
# Now the search, hurried again (60 steps, α five times as fast as it should move). It writes a **run folder** as it
# goes: settings, every step, checkpoints, and at the end architecture, weights and scores. `final_scores` are on the
# test images.

# %%
from mtlnas_lab.experiments.scores import final_scores
from mtlnas_lab.runs.recorder import run_recorded
from mtlnas_lab.runs.run_writer import RunWriter

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name) / "floor-seed-0"
config = presets.with_budget(presets.preset("tiny").search, steps=presets.quick(60, 4), alpha_lr=0.1, augment=False)
with RunWriter.create(folder, {"task": "floor", "seed": 0, "search": config.to_json()}, lab.space) as run:
    run_recorded(Search(lab, config), run, checkpoint_every=60)
    scores = final_scores(lab, lab.derive())
    run.write_json("architecture.json", lab.derive().to_json())
    run.write_json("scores.json", scores)
    run.save_weights(lab.supernet.state_dict())
for kind, values in scores.items():
    print(f"{kind:18} floor: wrong by {values['floor']['absolute']:.3f}   "
          f"segmentation: {values['segmentation']['miou']:.3f} mIoU")

# %% [markdown]
# `soft` is the network as it was searched, `hard` the one with its gates cut to 0 and 1, `hard_recalibrated` the same
# with its batch-norm averages taken anew over training images. After so few steps these averages lag behind the
# weights, so the last is the fair one here. `trivial` is our `constant`, judged on test images (above: on those it came from).

# %%
from mtlnas_lab.core.evaluate import recalibrated

kept, test, train = lab.derive().kept, lab.data["test"], lab.data["train"]
with recalibrated(lab.supernet, kept, sequential(train, lab.tasks)) as network, torch.no_grad():
    said = torch.cat([network.eval()(x, kept)["floor"].sigmoid()[:, 0] for x, _ in sequential(test, lab.tasks)]).cpu()
figure, ax = plt.subplots(figsize=(3.8, 3.4), layout="constrained")
ax.plot([0, 0.55], [0, 0.55], color="0.6", lw=1, label="right")
sns.scatterplot(x=test.targets["floor"].cpu(), y=said, ax=ax, s=20, color="#2262ad", label="a test image")
ax.axhline(float(shares.median()), color="#c9452f", ls="--", lw=1, label="trivial answer")
ax.set(xlabel="true share of floor", ylabel="what the network says")
ax.legend(loc="best", frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: on the grey line the network is right; the red line would be the answer of somebody with closed eyes.*

# %%
from mtlnas_lab.viz import plot_fusion_graph

plot_fusion_graph(run, style="web-light", title="A fusion graph with a task of ours (a hurried search)").figure

# %% [markdown]
# *Reading aid: the lower lane is our task; arrows that lead down bring it features of the segmentation network, which has learnt
# to tell floor from wall.* Whether an edge *helps* takes longer searches, seeds and a control, as in notebooks 07 and 08.
#
# ## A network of your own
#
# Any network will do that can be cut in **stages**: modules in a row, each from a map (B, C, H, W) to a map. A
# **plan** says of each stage how many channels it puts out and which **group** it belongs to. Candidate edges stay
# inside groups of the same number, so that is what you decide: which of your stages are *about as deep* as which of
# the other network. A small residual network by hand:

# %%
class Block(nn.Module):
    """Two convolutions and a shortcut; with stride 2 the map is halved."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


# %%
from mtlnas_lab.core.backbone import Backbone
from mtlnas_lab.core.space import plan

widths, strides, groups = (12, 24, 48, 48, 64, 64, 64), (1, 2, 2, 1, 2, 1, 1), (1, 1, 2, 2, 1)
torch.manual_seed(0)
blocks = [Block(*shape) for shape in zip((3, *widths), widths, strides)]
head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))
mine = Backbone(blocks, plan(widths, groups), head)
print(mine(image[:2]).shape, *mine.plan[:4], sep="\n")

# %% [markdown]
# **Handshake.** `traced.staged` cuts any network that torch can trace, by the names of its parts, and measures the
# channels itself. Our blocks in an ordinary network, cut by name, are the same stages:

# %%
from mtlnas_lab.models import traced

cut = traced.staged(nn.Sequential(*blocks, head), cuts=[str(i) for i in range(7)], outputs=1, dense=False, groups=groups)
assert cut.plan == mine.plan
x = y = image[:2]
mine.eval(), cut.eval()
for ours, theirs in zip(mine.stages, cut.stages):
    x, y = ours(x), theirs(y)
    assert torch.allclose(x, y)
print("the same plan and the same maps; the lab also has", ", ".join(presets.preset("tiny").backbones))

# %% [markdown]
# Put it beside the 13-stage network. An edge may come from stages of the same group that are not deeper than its
# target, and only from the last three of those. How deep a stage is in its group says the share of the group that is done
# behind it: in a group of three stages ⅓, ⅔ and 1, in a group of two ½ and 1, and a stage that is alone in its group
# has 1.

# %%
predict("09.edges", "Stages in groups of 2, 2, 3, 3, 3 beside stages in groups of 1, 1, 2, 2, 1: how many "
        "candidate edges, both ways?", between=(0, 48))

# %%
from mtlnas_lab import Lab, SuperNet
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.relaxation import ArchitectureWeights

mixed = SearchSpace.build({"segmentation": own["segmentation"].plan, "floor": mine.plan})
supernet = SuperNet({"segmentation": shipped["segmentation"], "floor": mine}, mixed)
unlike = Lab(tasks, supernet, ArchitectureWeights(len(mixed)), packs)
steps = [event for event in Search(unlike, SearchConfig(steps=2, augment=False)) if isinstance(event, Step)]
losses = {task: round(loss, 3) for task, loss in steps[-1].loss.items()}
print(f"{len(mixed)} edges; a search takes a step in it, and the second one's losses are {losses}")
reveal("09.edges", len(mixed), "Groups pair up; a group's only stage reads the last three of the other network's, and "
       "is read by their last alone.")

# %%
plot_fusion_graph(mixed, style="web-light", title="Unlike networks in one space").figure

# %% [markdown]
# *Reading aid: stages stand by how deep they are in their group. Between unlike stages the 1×1 fusion matches the
# channels, and maps of another size are resized.* Four lines, Backbone → SearchSpace → SuperNet → Lab, are all that
# `make_lab` does, too.
#
# ### Your turn: cut this one
#
# `net` is an `nn.Sequential` of nine parts: convolutions to 8 and 8 channels, a pooling, to 16 and 16, a pooling, to
# 32, an average over the map, a linear layer (index 0 to 8). Cut it in **five** stages, groups of 2, 2 and 1. All
# maps of a group must have one size: where does a pooling belong? (Slices of a Sequential, `net[2:4]`, are modules.)

# %% tags=["exercise"]
def cut_by_hand(net):
    """A Backbone of five stages and a head that computes what net computes."""
    # your turn: about 2 lines
    stages = [net[0], net[1], net[2:4], net[4], net[5:7]]
    return Backbone(stages, plan([8, 8, 16, 16, 32], [2, 2, 1]), net[7:])
    # end


# %%
check("09.cut", cut_by_hand)

# %% [markdown] tags=["hint"]
# There is one stage for each of the five convolutions. A pooling goes with the convolution behind it, so that the
# *first* stage of a group changes the size.

# %% [markdown] tags=["hint"]
# `net[0], net[1], net[2:4], net[4], net[5:7]`, the head is `net[7:]`, and the channels are those of the convolutions.

# %% [markdown] tags=["teacher"]
# **Teacher: a network, 10 minutes.** Draw VGG and a residual network side by side and let the class pair up groups.
# Usual misunderstanding: group = resolution. It is a number you give; maps of another size are resized. Also: "fixed
# backbone" does not mean frozen weights, they train on.

# %% [markdown]
# ## Data of your own
#
# A **pack** is one `.npz` file of plain arrays, never of Python objects. Below: the array's name in the file, its type, its
# shape (N images of H × W pixels), and what its numbers mean. `scene10` is one class for the whole image, in any whole
# numbers with a sign. To the name of an array with classes belongs another one with `_names` behind it, such as `seg_names`,
# which may list them:

# %%
from mtlnas_lab.data.npz import KEYS, LAYOUT, VALID

print("image            uint8            (N, H, W, 3)     0..255, RGB")
for task in ("segmentation", "normals", "depth", "edges", "scene"):
    kind, axes, meaning = LAYOUT[KINDS[task]]
    print(f"{KEYS[task]:16} {kind.__name__:16} ({axes + ')':15} {meaning}")
name, kind, axes, meaning = VALID
print(f"{name:16} {kind.__name__:16} ({axes + ')':15} {meaning}: goes with normal")

# %% [markdown]
# Everything is looked at before anything is learnt. Here are five broken packs, made out of a good one: floats for an
# image, a class too many, metres for millimetres, normals without the mask of where they are known, and blue for red.

# %%
predict("09.broken", "Four of them are refused. Which one is not?",
        ["floats for an image", "a class too many", "metres for millimetres", "normals without a mask", "blue for red"])

# %%
from mtlnas_lab import MTLNASError, ImageDataset

raw = np.load(presets.samples() / "rooms.npz")
good = {key.removeprefix("test/"): raw[key][:24] for key in raw.files if key.startswith("test/")}
good["seg_names"] = raw["seg_names"]
broken = {"floats for an image": {**good, "image": good["image"] / 255},
          "a class too many": {**good, "seg": np.where(good["seg"] == 13, 14, good["seg"])},
          "metres for millimetres": {**good, "depth_mm": good["depth_mm"] / 1000},
          "normals without a mask": {key: array for key, array in good.items() if key != "normal_valid"},
          "blue for red": {**good, "image": good["image"][..., ::-1]}}
for name, arrays in broken.items():
    try:
        print(f"✓ {name}: {len(ImageDataset.from_arrays(arrays))} images, nothing found")
    except MTLNASError as error:
        print(f"✗ {name}\n    {error}")

# %%
swapped = ImageDataset.from_arrays(broken["blue for red"])
figure, axes = plt.subplots(1, 4, figsize=(7, 1.9), layout="constrained")
for ax, pack, i in zip(axes, (packs["test"], swapped) * 2, (3, 3, 8, 8)):
    ax.imshow(picture(pack.batch(torch.tensor([i]))[0][0]))
    ax.set(xticks=[], yticks=[], title="blue for red" if pack is swapped else "RGB")
reveal("09.broken", "blue for red", "Colours in another order are colours, too: no check can know. Look at your data.")

# %% [markdown]
# *Reading aid: each pair is one room; would you have noticed, with only the second at hand?* Neither can a check know
# that y points up in your normals where the lab wants it down, or that your classes are in another order.
# `plot_predictions` with `targets` shows what the lab understood.
#
# ### Your turn: from torch arrays to a pack
#
# Many data sets come as: `photos` (N, 3, H, W), float 0 to 1; `classes` (N, H, W), integers 0 … C − 1 with −1 for "no
# label"; `metres` (N, H, W), float, with NaN where no depth is known. Give the three arrays of a pack (the table
# above says how).

# %% tags=["exercise"]
def to_pack(photos, classes, metres):
    """Three numpy arrays; {"image": …, "seg": …, "depth_mm": …}."""
    # your turn: about 3 lines
    image = (255 * photos).round().astype(np.uint8).transpose(0, 2, 3, 1)
    depth = np.nan_to_num(1000 * metres).round().astype(np.uint16)
    return {"image": image, "seg": (classes + 1).astype(np.uint8), "depth_mm": depth}
    # end


# %%
check("09.pack", to_pack)

# %% [markdown] tags=["hint"]
# Three habits to change: channels last and 0 … 255; classes from 1, so that −1 becomes 0; whole millimetres, where 0
# stands for "unknown".

# %% [markdown] tags=["hint"]
# `.transpose(0, 2, 3, 1)` moves the channels, `classes + 1` shifts the classes, `np.nan_to_num` makes 0 of NaN; round
# before `astype`, which cuts off.

# %% [markdown]
# Written with `numpy.savez_compressed`, the file has splits if its keys say so (`train/image`, `test/image`, …);
# otherwise the lab holds out a tenth for validation and a tenth for the test, at random. If your images are frames
# of a video, cut by video yourself: neighbouring frames in training and test are the same image twice. (The file below
# also has `room`, a label of the whole image: what kind of room it is.)

# %%
path = Path(temporary.name) / "mine.npz"
np.savez_compressed(path, **good)
for split, pack in presets.open_data(path).items():
    print(f"{split:6} {len(pack):3} images, tasks: {', '.join(pack.tasks)}")

# %% [markdown]
# From here on `mtlnas-lab data show mine.npz` describes it, and `mtlnas-lab search --data mine.npz --tasks
# segmentation,depth` searches on it.
#
# ## Another machine, and back
#
# A big search runs where a GPU is, and you look at it here. Nothing is passed but the **run folder**. There, in a
# terminal:
#
# ```bash
# mtlnas-lab doctor                                  # what is here: device, versions, and what to do
# mtlnas-lab search --preset vgg16 --data mine.npz --tasks segmentation,depth --seed 1 --out runs/seed-1
# ```
#
# `--device auto`, the default, takes CUDA where there is one. Ctrl-C stops after the step under way, and a job that
# the queue killed goes on with `mtlnas-lab search --resume --out runs/seed-1`, to the very events it would have had
# on that machine. Several machines: give each a seed and a folder of its own (`--seed 2 --out runs/seed-2`); they
# need not know of each other. For whole grids there is `mtlnas-lab study`. Then fetch what they left:
#
# ```bash
# rsync -a there:lab/runs/ runs/
# ```
#
# A task of your own is a class of yours, which the command cannot know: put the cells above into a script and run
# that. It writes the same folder. Ours plays the part of one that was copied here:

# %%
here = Path(shutil.copytree(folder, Path(temporary.name) / "copied-here"))
for file in sorted(here.rglob("*")):
    if file.is_file() and file.name != "lock":
        print(f"{file.relative_to(here).as_posix()[:52]:54} {file.stat().st_size / 1000:8.1f} kB")

# %%
from mtlnas_lab import Architecture

copied = Run.open(here)
began = copied.log.started
print(f"searched on {began.device} with torch {began.versions['torch']}, {len(copied.log.steps)} steps")
found = Architecture.from_json(copied.architecture())
assert found == lab.derive() and copied.scores() == scores
print(f"{found}; hard_recalibrated: wrong by {copied.scores()['hard_recalibrated']['floor']['absolute']:.3f}")

# %% [markdown]
# Nothing in the folder can execute code, so you may open those of strangers. It replays without the networks, the
# data or a GPU:

# %%
from mtlnas_lab.widgets import SearchStudio

SearchStudio(here, title="A search that ran elsewhere")

# %% [markdown]
# *Reading aid: entropy and gates above, losses and the gates' distribution below them, then graph and table. In
# JupyterLab this is the studio, with a slider that goes back in time; on a page without a kernel you see this
# picture.*
#
# The studio *follows* a folder that is still being written: on a shared disk, where its sliders reach the search
# through that folder, or in a copy that `rsync` renews. The weights come along, too: load them where the networks are,
# and go on using them.

# %%
lab.supernet.load_state_dict(copied.load_weights())
print("loaded", sum(p.numel() for p in lab.supernet.parameters()), "weights; figures:", end=" ")
from mtlnas_lab.viz import save_fusion_graph

print(*[file.name for file in save_fusion_graph(copied, here, formats=("pdf", "tikz"))])

# %% [markdown] tags=["teacher"]
# **Teacher: machines, 10 minutes.** If there is one GPU machine for the class, start `mtlnas-lab search` there before
# the lesson and let everybody open the shared folder in a studio; then move λ, from one laptop. Usual worry: "is it
# the same result on a GPU?" Same method and seed, other rounding: α may drift apart in time.

# %% [markdown]
# ## What we know now
#
# * A task is a loss, a metric, a constant and a picture: 20 lines, and the space does not notice.
# * `constant` and `trivial` keep you honest before anything is trained.
# * A network joins with a plan; groups say what lies side by side.
# * Checks find what is wrong in type, shape and range; what is wrong in meaning only eyes find.
# * A run folder is all that passes between machines.
#
# What this does *not* show: that floor and segmentation should be joined as drawn above. That search was hurried, on
# 480 rooms, with one seed. Your own task deserves the long one.
#
# Words are in the [glossary](../docs/glossary.md). Next: the [bug hunt](bug_hunt.ipynb), or [10](10_when_is_there_something_to_find.ipynb), when there is
# something to find.
