# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Backbones: networks cut in stages
#
# *About 2 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** Most multi-task networks are *designed*: one trunk, several heads, and a guess at where they should part.
# MTL-NAS keeps complete single-task networks, its *backbones*, and asks where to join them. So a backbone must be
# something that you can stop in the middle: look at what it has, add something from outside, go on. The piece between
# two stops is a *stage*. In this notebook you run a network stage by stage, see what its stages see, teach one, and
# compare two separate networks with one shared trunk.

# %%
# %matplotlib inline
import copy
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from torch.nn import functional as F

from mtlnas_lab import Search, SearchConfig, presets
from mtlnas_lab.models.baselines import baseline, without_candidates
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.data.loader import sequential, whole
from mtlnas_lab.core.evaluate import evaluate, trivial
from mtlnas_lab.core.events import Step
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.core.space import plan

# %% [markdown] tags=["teacher"]
# **Teacher: stages, 10 minutes.** Draw 13 boxes in a row on the board and write the sizes under them while the cells
# run. Usual misunderstanding: "the backbone is frozen". Only its topology is fixed; its weights keep training in the
# search.

# %% [markdown]
# ## Thirteen stages and a head
#
# The lab's backbone is VGG-16: 13 convolutions, and here each is one stage (convolution, batch norm, ReLU). Stages
# come in *groups*: a group behind the first begins with a pooling, which in most groups halves the map, and inside a
# group all maps have one size. Behind the last stage comes the *head*, which turns features into an output. The preset `tiny` has an eighth of VGG-16's channels;
# everything else is the same. Stages count from 0.

# %%
lab = presets.tiny()                                              # trained backbones for two tasks, and the rooms
image, target = lab.data["test"].batch(torch.arange(120), lab.tasks)
networks = {task: network.eval() for task, network in lab.supernet.backbones.items()}
network = networks["normals"]
print("one stage:", network.stages[2])
predict("02.size", "The image has 64 × 64 pixels. How large is the map behind the last stage?",
        ["32 × 32", "16 × 16", "8 × 8", "4 × 4"])

# %% [markdown]
# **By hand.** Running it is a loop:

# %%
with torch.no_grad():
    x, features = image, []
    for stage in network.stages:
        x = stage(x)                                              # (B, C, H, W): images, channels, height, width
        features.append(x)
    output = network.head(x)

for number, (stage, x) in enumerate(zip(network.plan, features)):
    print(f"stage {number:2}   group {stage.group}   {x.shape[1]:3} channels of {x.shape[2]:2} × {x.shape[3]:2}")
print("output    ", tuple(output.shape))

# %% [markdown]
# **Handshake.** It is what `Backbone.forward` does:

# %%
with torch.no_grad():
    assert torch.equal(output, network(image))
reveal("02.size", "8 × 8", "Groups 1, 2 and 3 begin with a pooling that halves. Group 4 begins with one that does not: "
       "it spreads its kernels (dilation 2) instead, so that the map stays fine enough for an answer at every pixel.")

# %% [markdown]
# ### Your turn: stop behind a stage

# %% tags=["exercise"]
def until(backbone, image, stage):
    """The features behind stage number `stage` (from 0) of a backbone."""
    # your turn: about 3 lines
    for part in backbone.stages[:stage + 1]:
        image = part(image)
    return image
    # end


# %%
check("02.until", until)

# %% [markdown] tags=["hint"]
# Take the loop above and leave it earlier. The head is not needed.

# %% [markdown] tags=["hint"]
# `backbone.stages[:stage + 1]` are the stages up to and including number `stage`.

# %% [markdown]
# ### Your turn: the plan
#
# A search space will not see networks, only their *plans*: for each stage its channels, its group, its index inside
# the group, and how many stages the group has. Groups and indices count from 0. Groups of sizes [2, 3] have the
# stages (group 0, index 0), (0, 1), (1, 0), (1, 1), (1, 2).

# %% tags=["exercise"]
def plan_of(channels, groups):
    """channels of each stage, sizes of the groups; a list with (channels, group, index, size) for each stage."""
    # your turn: about 2 lines
    places = [(group, index, size) for group, size in enumerate(groups) for index in range(size)]
    return [(width, *place) for width, place in zip(channels, places)]
    # end


# %%
check("02.plan", plan_of)

# %% [markdown] tags=["hint"]
# `enumerate(groups)` gives the number of each group and its size; inside, `range(size)` gives the indices.

# %% [markdown] tags=["hint"]
# Make a list of (group, index, size) for all stages, then `zip` it with the channels.

# %% [markdown]
# **Handshake**, with the plan of the real thing:

# %%
widths, groups = [stage.channels for stage in network.plan], [2, 2, 3, 3, 3]
by_hand = [(w, *place) for w, place in zip(widths, [(g, i, n) for g, n in enumerate(groups) for i in range(n)])]
assert by_hand == [(s.channels, s.group, s.index, s.size) for s in plan(widths, groups)]
assert plan(widths, groups) == network.plan
network.plan[4]

# %% [markdown]
# ## What the stages see
#
# Below, behind some stages, the channel that differs most within the image, for the network of each task.

# %%
shown, one = (0, 3, 6, 9, 12), 8
figure, axes = plt.subplots(2, 6, figsize=(11, 4.2), layout="constrained")
for row, (task, other) in zip(axes, networks.items()):
    row[0].imshow(picture(image[one]))
    row[0].set_title(f"image → {task}", fontsize=9)
    x, behind = image[one:one + 1], []
    with torch.no_grad():
        for stage in other.stages:
            behind.append(x := stage(x))
    for ax, number in zip(row[1:], shown):
        channels = behind[number][0]
        ax.imshow(channels[channels.flatten(1).var(1).argmax()], cmap="cividis")
        ax.set_title(f"stage {number}, {channels.shape[-1]} × {channels.shape[-1]}", fontsize=9)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()

# %% [markdown]
# *Reading aid: bright is a strong answer of that channel. Shallow stages draw the image again, edge by edge; deep
# ones hold a few large blocks, and the two tasks part: what matters for "bed or wall?" is not what matters for "which
# way does it face?".*
#
# ### How much one feature sees
#
# A *field* (receptive field) is the square of pixels that can change one feature. Every layer has a kernel, a stride
# and a dilation, and two numbers are enough to follow it:
#
# * **size**, how many pixels one feature sees: at first 1,
# * **jump**, how many pixels lie between two neighbouring features: at first 1.
#
# A layer adds (kernel − 1) · dilation · jump to the size, and then multiplies the jump by its stride.

# %%
first = lambda value: value[0] if isinstance(value, tuple) else value  # noqa: E731

layers = [[(first(layer.kernel_size), first(layer.stride), first(layer.dilation))
           for layer in stage if hasattr(layer, "kernel_size")] for stage in network.stages]
for number in (0, 2, 10):
    print(f"stage {number:2}: (kernel, stride, dilation) of its layers: {layers[number]}")
predict("02.field", "Behind which stage could one feature see the whole image of 64 pixels for the first time?",
        between=(0, 12))

# %% [markdown]
# ### Your turn: the field of every stage

# %% tags=["exercise"]
def fields(stages):
    """stages: a list of layers (kernel, stride, dilation) for each; the field behind each stage, in pixels."""
    size, jump, sizes = 1, 1, []
    # your turn: about 6 lines
    for layers in stages:
        for kernel, stride, dilation in layers:
            size += (kernel - 1) * dilation * jump
            jump *= stride
        sizes.append(size)
    return sizes
    # end


# %%
check("02.field", fields)

# %% [markdown] tags=["hint"]
# Two nested loops: over the stages, and over the layers of a stage. `sizes` gets one number behind each stage.

# %% [markdown] tags=["hint"]
# `size += (kernel - 1) * dilation * jump`, and only then `jump *= stride`.

# %% [markdown]
# What a feature *could* see is not what it looks at. The gradient of the feature in the middle by the pixels tells
# what really moves it:

# %%
def looks_at(network, picture, stage):
    """(64, 64): how strongly each pixel moves the features in the middle behind a stage; 1 at the strongest."""
    pixels = picture[None].clone().requires_grad_()
    x = pixels
    for part in network.stages[:stage + 1]:
        x = part(x)
    middle = x[0, :, x.shape[2] // 2 - 1, x.shape[3] // 2 - 1]                  # it stands above pixel (31, 31)
    pull = torch.autograd.grad(middle.square().sum(), pixels)[0].abs().sum((0, 1))
    return pull / pull.max().clamp(min=1e-12)


size, jump, could_see = 1, 1, []
for stage in layers:
    for kernel, stride, dilation in stage:
        size, jump = size + (kernel - 1) * dilation * jump, jump * stride
    could_see.append(size)
print(could_see)

# %%
figure, axes = plt.subplots(1, 6, figsize=(11, 2.4), layout="constrained")
axes[0].imshow(picture(image[one]))
axes[0].set_title("image", fontsize=9)
for ax, number in zip(axes[1:], (1, 3, 5, 7, 12)):
    drawn = ax.imshow(looks_at(network, image[one], number).sqrt(), cmap="cividis", vmin=0, vmax=1)
    side = min(could_see[number], 62)
    ax.add_patch(plt.Rectangle((31 - side / 2, 31 - side / 2), side, side, fill=False, color="#f4a582", lw=1.5))
    ax.set_title(f"stage {number}: {could_see[number]} pixels", fontsize=9)
for ax in axes:
    ax.set_axis_off()
axes[1].plot([], [], color="#f4a582", label="could see (at most the image)")
figure.legend(loc="outside lower center", frameon=False, fontsize=9)
figure.colorbar(drawn, ax=axes[-1], label="√ of the pull (0–1)")
reveal("02.field", next(i for i, s in enumerate(could_see) if s >= 64), "A pooling doubles how fast the field grows.")

# %% [markdown]
# *Reading aid: the frame is what could matter, the bright spot what does. Shallow features know exactly where but
# only a corner's worth of what; deep ones the other way round.*

# %% [markdown] tags=["teacher"]
# **Teacher: fields, 10 minutes.** Have the class do three layers on paper. Usual misunderstandings: the stride acts
# before the kernel; dilation makes a map smaller. The bright spot inside the frame is what people call the effective
# field.

# %% [markdown]
# ## Are the two networks alike?
#
# They were trained apart, on the same images, for different tasks. *Linear CKA* compares two sets of features,
# however many channels they have: 1 if one is the other turned and scaled, near 0 if they have nothing linear in
# common. For centred features A and B (positions × channels) it is ‖AᵀB‖² / (‖AᵀA‖ · ‖BᵀB‖).

# %%
def features_of(network):
    """For each stage: (7680, C), the features at 8 × 8 positions of 120 images, centred."""
    x, found = image, []
    with torch.no_grad():
        for stage in network.stages:
            x = stage(x)
            at = F.adaptive_avg_pool2d(x, 8).permute(0, 2, 3, 1).flatten(0, 2)
            found.append(at - at.mean(0))
    return found

a, b = (features_of(networks[task]) for task in ("segmentation", "normals"))
alike = torch.tensor([[(x.T @ y).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()) for y in b] for x in a])

# %%
figure, ax = plt.subplots(figsize=(5.6, 4.6), layout="constrained")
drawn = ax.imshow(alike, cmap="cividis", vmin=0, vmax=1)
for border in (1.5, 3.5, 6.5, 9.5):
    ax.axhline(border, color="white", lw=0.8)
    ax.axvline(border, color="white", lw=0.8)
ax.plot([], [], color="#bbbbbb", lw=0.8, label="borders of groups")
ax.set(xlabel="stage of the normals network", ylabel="stage of the segmentation network", xticks=range(13),
       yticks=range(13))
ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
figure.colorbar(drawn, label="linear CKA (0–1)")
plt.show()

# %% [markdown]
# *Reading aid: a bright band along the diagonal. Stages of nearby depth resemble each other across tasks; far-apart
# stages do not.* Keep this picture in mind for the next notebook, whose search space joins stages of the same group
# only. It does not prove that such edges help: what is alike may just as well be superfluous.

# %% [markdown] tags=["teacher"]
# **Teacher: likeness, 5 minutes.** Ask whether you would rather borrow features that resemble yours or features that
# do not. There is no right answer; it is what the search is for. CKA is one measure of several, and blind to what is
# not linear.

# %% [markdown]
# ## Teach one
#
# Nothing about single-task training is special: a batch, a loss, a step of Adam (gradient descent that adapts its
# step size for each weight). By hand, on a network with fresh random weights:

# %%
def train(network, task, batches, steps, lr=2e-3):
    """Losses, one a step."""
    optimizer, losses = torch.optim.Adam(network.parameters(), lr), []
    network.train()
    for _ in range(steps):
        image, target = next(batches)
        loss = task.loss(network(image), target[task.name])
        optimizer.zero_grad()
        (task.weight * loss).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses

steps = presets.quick(60, 6)
alone = without_candidates(presets.make_lab("tiny", lab.data, seed=0))     # fresh networks, no edges between them
mine = copy.deepcopy(alone.supernet.backbones["normals"])
losses = train(mine, lab.tasks["normals"], whole(lab.data["train"], ["normals"], batch_size=8, seed=0), steps)

# %% [markdown]
# **Handshake.** The library's `Search` trains both networks side by side. Without edges they do not feel each other,
# so the normals' losses are those of your loop:

# %%
config = SearchConfig(steps=5, weight_lr=2e-3)
theirs = [event.loss["normals"] for event in Search(alone, config) if isinstance(event, Step)]
for step, (by_hand, library) in enumerate(zip(losses, theirs), 1):
    print(f"step {step}: by hand {by_hand:.5f}, library {library:.5f}")
    assert abs(by_hand - library) < 0.005

# %%
train_target = lab.data["train"].batch(torch.arange(480), ["normals"])[1]["normals"]
closed_eyes = lab.tasks["normals"].loss(lab.tasks["normals"].constant(train_target), train_target).item()
figure, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
ax.plot(range(1, steps + 1), losses, color="#4575b4", alpha=0.45, label="one batch of 8 images")
smooth = [sum(losses[max(0, i - 9):i + 1]) / min(i + 1, 10) for i in range(steps)]
ax.plot(range(1, steps + 1), smooth, color="#4575b4", lw=2, label="mean of the last 10")
ax.axhline(closed_eyes, color="#b35806", ls="--", label="the trivial answer")
ax.set(xlabel="step", ylabel="loss: 1 − mean cosine", ylim=(0, 1.1))
ax.legend(loc="best", frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: the first steps find the average room; that is the dashed line, which needs no network. What comes
# below it is seeing, and takes much longer: the shipped networks had 1,500 steps.*

# %% [markdown]
# ## Two networks, or one trunk?
#
# The oldest multi-task network is a *shared trunk*: one set of stages, one head for each task. It is smaller and
# quicker.
#
# ### Your turn: one trunk, many heads

# %% tags=["exercise"]
def shared(stages, heads, image):
    """stages: a list of functions; heads: {task: function}; {task: output} of one trunk with all heads."""
    # your turn: about 3 lines
    for stage in stages:
        image = stage(image)
    return {task: head(image) for task, head in heads.items()}
    # end


# %%
check("02.shared", shared)

# %% [markdown] tags=["hint"]
# The trunk runs once; only then come the heads.

# %% [markdown] tags=["hint"]
# A loop over stages as before, then `{task: head(image) for task, head in heads.items()}`.

# %% [markdown]
# **Handshake**, with the library's shared trunk, the first task's backbone under all heads:

# %%
made, gates = baseline("shared_trunk", lab, edges=0)
network = made.supernet.eval()
with torch.no_grad():
    x = image[:4]
    for stage in network.stages:
        x = stage(x)
    by_hand = {task: head(x) for task, head in network.heads.items()}
    library = network(image[:4])
assert all(torch.equal(by_hand[task], library[task]) for task in library)

count = lambda module: sum(weights.numel() for weights in module.parameters())  # noqa: E731
trunk, head = count(network.stages), count(network.heads["normals"])
print(f"trunk {trunk:,} weights, a head about {head:,}: one trunk has {count(network):,}, "
      f"two networks have {count(without_candidates(lab).supernet):,}")

# %% [markdown]
# Can one network's trunk carry the other task, too? Three ways to train on, each for the same 80 steps on the same
# images, twice with the images in another order (the *seed*):
#
# * **two networks**, as they are,
# * **one trunk**, the one that was trained for segmentation, with both heads,
# * **one trunk**, the one that was trained for normals, with both heads.
#
# The cell that trains them is the longest one of this notebook: about half a minute on a quiet machine, two on a busy one.

# %%
predict("02.shared", "The network made for normals errs by 22°, closed eyes by 35°. By how many degrees, after 80 "
        "steps, does a normals head err that sits on the trunk made for segmentation?", between=(20, 40))

# %%
settings = replace(presets.preset("tiny").pretrain, steps=presets.quick(80, 2), weight_lr=1e-3, lr_power=0.9)
ways = {"two networks": ("single_task", ["segmentation", "normals"]),
        "trunk of\nsegmentation": ("shared_trunk", ["segmentation", "normals"]),
        "trunk of\nnormals": ("shared_trunk", ["normals", "segmentation"])}        # the first task gives the trunk
scores = {}
for seed in (0, 1):
    for way, (name, tasks) in ways.items():
        start = presets.tiny(tasks=tasks).to(pick_device())
        made, gates = baseline(name, start, edges=0)
        for _ in Search(made, replace(settings, seed=seed), gates=gates.kept):
            pass
        scores[way, seed] = evaluate(made.supernet, gates.kept, made.tasks, sequential(made.data["test"], tasks))
degrees = [scores["trunk of\nsegmentation", seed]["normals"]["mean_angle"] for seed in (0, 1)]
reveal("02.shared", " and ".join(f"{angle:.0f}°" for angle in degrees), "Between closed eyes and a trunk of its own: "
       "features that were made for naming things know something of surfaces.")

# %%
packs = presets.open_data("rooms")
floor = trivial(lab.tasks, sequential(packs["train"], lab.tasks), sequential(packs["test"], lab.tasks))
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for ax, task, metric, label in ((axes[0], "segmentation", "miou", "mean IoU, higher is better"),
                                (axes[1], "normals", "mean_angle", "mean angle (°), lower is better")):
    for seed, colour, marker in ((0, "#4575b4", "o"), (1, "#b35806", "s")):
        ax.plot([scores[way, seed][task][metric] for way in ways], marker, color=colour, label=f"seed {seed}")
    ax.axhline(floor[task][metric], color="#777777", ls="--", label="closed eyes")
    ax.set_xticks(range(3), ways)
    ax.set(ylabel=label, xlim=(-0.4, 2.4), title=task)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: left higher is better, right lower. A trunk serves its own task nearly as well as before, and the
# other task worse, yet far better than closed eyes. The two marks of a column are two runs that differ in the order
# of images alone: believe no difference that is smaller than theirs.*
#
# So each network knows something that the other could use, and with two thirds of the weights one pays a price: the
# wish to have both is the reason for what follows.
#
# **What this does not show.** Which design wins. A trunk that was taught both tasks from the beginning would do
# better than one that had 80 steps to get used to a second head; two seeds are few; and the trunk has fewer weights
# than two networks, so it is not a fair fight at equal size.

# %% [markdown] tags=["teacher"]
# **Teacher: one trunk, 12 minutes.** Take a show of hands before the reveal. Ask what a fair comparison would need:
# the same number of weights or of operations, the same total training, several seeds. Usual misunderstanding: a
# shared trunk is "the baseline" for a search; fair ones, with as many edges, come in notebook 07.

# %% [markdown]
# ## What we know now
#
# * A backbone is a row of stages and a head; running it is a loop, and between two stages there is a place for more.
# * Its plan (channels, groups) is all that a search space will see of it.
# * Deep features see more and know less about where; features of nearby depth are alike even across tasks.
# * Single-task training is a loop of ten lines, and the trivial answer is its first stop.
# * Sharing everything and sharing nothing are the two ends. What lies between is the subject of the next notebook.
#
# **What small data does not show**: which of the two ends is better, and by how much.
#
# Words are in the [glossary](../docs/glossary.md). Next: [03](03_search_space.ipynb), everything that lies between.
