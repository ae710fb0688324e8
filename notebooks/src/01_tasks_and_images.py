# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tasks and images: what a network is asked
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** Before two networks can help each other, we must know exactly what each is asked. Here a *task* is four
# things:
#
# * a **target** at every pixel, with a mark for "nobody knows",
# * a **loss**, from which the network learns,
# * **metrics**, by which people judge it,
# * a **picture**, by which you look at it.
#
# Small slips in any of them (a zero that means "no label", a mirrored arrow, a mean over the wrong thing) spoil
# everything built on top, silently. In this notebook you build each piece by hand, break it on purpose, and see what
# breaks.

# %%
# %matplotlib inline
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch

from mtlnas_lab import presets
from mtlnas_lab.tasks.colormap import normals as normal_colours
from mtlnas_lab.tasks.colormap import palette
from mtlnas_lab.data.augment import augment
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.data.loader import sequential, split
from mtlnas_lab.core.evaluate import trivial
from mtlnas_lab.course import check, predict, reveal

# %% [markdown] tags=["teacher"]
# **Teacher: first section, 8 minutes.** Let the class say what each picture shows before the legend comes. Usual
# misunderstanding: the normals' picture is "just colours"; hold a book in front of the class, turn it, and ask which
# colour it gets. Depth is distance along the optical axis, not along the ray.

# %% [markdown]
# ## One room, four answers
#
# The rooms are drawn by a program, so every label is exact. All 120 test images fit in one batch: `image` has the
# shape (120, 3, 64, 64), and `target` has one entry for each task. (The task called `edges` asks for outlines in the
# image; it has nothing to do with the candidate edges between networks of notebook 00.)

# %%
packs = presets.open_data("rooms")
tasks = packs["test"].make_tasks(["segmentation", "normals", "depth", "edges"])
tasks["depth"] = replace(tasks["depth"], far=5.0)                 # where its colours end (m): the rooms are small
image, target = packs["test"].batch(torch.arange(120), tasks)
for name, values in target.items():
    print(f"{name:13} {tuple(values.shape)!s:18} {values.dtype!s:14} from {values.min():.2f} to {values.max():.2f}")


# %%
def show(rows, titles):
    """A grid of pictures, each (H, W, 3) or (H, W)."""
    figure, axes = plt.subplots(len(rows), len(titles), figsize=(1.9 * len(titles), 2 * len(rows)), squeeze=False,
                                layout="constrained")
    for line, row in zip(axes, rows):
        for ax, pixels in zip(line, row):
            ax.imshow(pixels, cmap="gray", vmin=0, vmax=1 if pixels.ndim == 2 else None,
                      interpolation="nearest")
            ax.set_axis_off()
    for ax, title in zip(axes[0], titles):
        ax.set_title(title, fontsize=10)

show([[picture(image[i])] + [tasks[name].picture(target[name][i]) for name in tasks] for i in (3, 8, 14)],
     ["image", *tasks])

# %% [markdown]
# *Reading aid: one room a row. The same wall is one colour under `segmentation`, another under `normals`, and grows
# lighter with distance under `depth`; `edges` are where one thing ends and another begins.* The colours, decoded:

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 2.5), layout="constrained", width_ratios=(2.1, 1, 1.4))
names, colours = tasks["segmentation"].labels, palette(13) / 255
for i, name in enumerate(names):
    left.scatter(i // 5, -(i % 5), s=140, color=colours[i], marker="s")
    left.text(i // 5 + 0.15, -(i % 5), name, va="center")
left.set(xlim=(-0.2, 2.8), ylim=(-4.6, 0.6), title="segmentation: 13 classes")
y, x = np.mgrid[-1:1:101j, -1:1:101j]                             # a ball, seen from the front
ball = np.stack([x, y, -np.sqrt((1 - x**2 - y**2).clip(0))]) * (x**2 + y**2 < 1)
middle.imshow(np.where((ball == 0).all(0)[..., None], 255, normal_colours(ball)))
middle.set_title("normals, on a ball")
left.axis("off"), middle.axis("off")
right.imshow(tasks["depth"].picture(torch.linspace(0.01, 5, 200).expand(1, 24, -1)), extent=(0, 5, 0, 0.75))
right.set(xlabel="depth (m)", yticks=[], title="depth")
plt.show()

# %% [markdown]
# *Reading aid: the ball shows every direction that a surface can face and still be seen. What faces right is reddish,
# what faces up greenish, what faces us blue.*
#
# ## The loss, and what nobody labelled
#
# A network's **output** for segmentation has 13 numbers a pixel, one for each class; the softmax makes probabilities
# of them. Cross-entropy is the mean of −ln(probability given to the true class). Pixels marked 255 have no true
# class: they must not count. By hand:

# %%
def cross_entropy(output, target):
    """output (B, 13, H, W), target (B, H, W) in 0…12 or 255 for "no label"; a number."""
    labelled = target != 255
    some_class = target.where(labelled, 0)                        # any class will do where there is none
    log_p = output.log_softmax(1).gather(1, some_class[:, None])[:, 0]
    return -(log_p * labelled).sum() / labelled.sum().clamp(min=1)


# %% [markdown]
# **Handshake.** Every pixel of the rooms is labelled, so we cut a hole, as every real data set has. Yours and the
# library's agree, and what is said inside the hole does not matter:

# %%
holed = target["segmentation"].clone()
holed[:, 20:44, 12:52] = 255
output = torch.randn(120, 13, 64, 64, generator=torch.Generator().manual_seed(0))
nonsense = output.clone()
nonsense[:, :, 20:44, 12:52] = 1000 * torch.randn(120, 13, 24, 40, generator=torch.Generator().manual_seed(1))

loss = tasks["segmentation"].loss
assert torch.allclose(cross_entropy(output, holed), loss(output, holed))
assert torch.allclose(loss(nonsense, holed), loss(output, holed))
print(f"with the hole {loss(output, holed):.4f}, nonsense in the hole {loss(nonsense, holed):.4f}, "
      f"nonsense that counts {loss(nonsense, target['segmentation']):.0f}")

# %% [markdown]
# Each task marks "no label" in its own way: 255 for classes and edges, the zero vector for normals (no direction),
# and 0 m for depth. Forget one, and the network learns that every dark corner of a real depth camera is a wall at 0
# m.
#
# ### Your turn: the loss of depth
#
# The mean of |output − target| in metres over the labelled pixels. Mind the image in which nothing is labelled.

# %% tags=["exercise"]
def depth_loss(output, target):
    """output, target (B, 1, H, W) in metres, target 0 = no label; a number, 0 where nothing is labelled."""
    # your turn: about 2 lines
    labelled = target > 0
    return ((output - target).abs() * labelled).sum() / labelled.sum().clamp(min=1)
    # end


# %%
check("01.depth_loss", depth_loss)

# %% [markdown] tags=["hint"]
# `labelled = target > 0` is a map of True and False; multiplied, it is a map of ones and zeros.

# %% [markdown] tags=["hint"]
# Divide by the number of labelled pixels, `labelled.sum()`, not by the number of all. `.clamp(min=1)` keeps 0 / 0
# away.

# %% [markdown] tags=["teacher"]
# **Teacher: losses, 10 minutes.** Ask what `mean()` over a masked map divides by. The NaN case is worth a minute: one
# crop without any label, and after the next step every weight is NaN. Usual misunderstanding: "255 is just a 14th
# class".

# %% [markdown]
# ## Normals: an arrow at every pixel
#
# A *normal* n = (n_x, n_y, n_z) is an arrow of length 1 that stands on a surface: x to the right, y down, z away from
# us. Where does such a label come from? From depth: a pixel at (column, row) with depth z lies at the point ((column
# − c_x)·z/f, (row − c_y)·z/f, z), where f is the focal length in pixels and (c_x, c_y) the middle of the image. Two
# steps along the surface span it, and their cross product stands on it. By hand:

# %%
stored = np.load(presets.samples() / "rooms.npz")
f, _, c_x, c_y = torch.from_numpy(stored["test/intrinsics"]).T[:, :, None, None]     # (120, 1, 1) each
row, column = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
z = target["depth"][:, 0]
point = torch.stack([(column - c_x) * z / f, (row - c_y) * z / f, z], 1)             # (120, 3, 64, 64)
along = point[:, :, 1:-1, 2:] - point[:, :, 1:-1, :-2]                               # two columns further
down = point[:, :, 2:, 1:-1] - point[:, :, :-2, 1:-1]                                # two rows further
from_depth = torch.nn.functional.normalize(torch.cross(down, along, dim=1), dim=1)


def off_by(output, label):
    """How far two maps of normals are apart, as the library measures it; you will write that yourself below."""
    meter = tasks["normals"].meter()
    meter.update(output, label)
    return meter.compute()


off = off_by(from_depth, target["normals"][:, :, 1:-1, 1:-1])
print(f"half are within {off['median_angle']:.1f}° of the label, {off['within_11']:.0%} within 11.25°")

# %%
show([[picture(image[i]), normal_colours(target["normals"][i].numpy()), normal_colours(from_depth[i].numpy())]
      for i in (3, 8)], ["image", "the label", "from depth, by hand"])

# %% [markdown]
# *Reading aid: inside a surface both agree. At its border the two steps land on different things, and the arrow
# between them stands on neither.* So normals and depth know of each other; remember that when we ask which networks
# should talk.
#
# ### In the mirror
#
# Mirroring images doubles the data for free. An image is mirrored by `flip(-1)`. Is a map of normals?

# %%
predict("01.mirror", "A wall on the left faces right: n = (1, 0, 0). In the mirrored image it stands on the right. "
        "What is its normal there?", ["(1, 0, 0)", "(−1, 0, 0)", "(0, 0, −1)"])


# %% [markdown]
# To see whether arrows are right, let light fall on them: a matte surface is as bright as the cosine between its
# normal and the direction to the lamp.

# %%
def shade(normals, lamp):
    """Brightness (B, H, W) of matte surfaces under one lamp; lamp: the direction in which it is seen."""
    lamp = torch.nn.functional.normalize(torch.tensor(lamp), dim=0)
    return torch.einsum("bchw,c->bhw", normals, lamp).clamp(min=0)

left_lamp, right_lamp = (-1.0, -0.4, -0.6), (1.0, -0.4, -0.6)
normals = target["normals"]
lit = shade(normals, left_lamp)
moved = normals.flip(-1)                                          # the pixels moved, the arrows in them did not
turned = moved * torch.tensor([-1.0, 1, 1]).view(3, 1, 1)         # and n_x changed its sign

# %%
show([[picture(image[i]), lit[i], lit[i].flip(-1), shade(moved, right_lamp)[i], shade(turned, right_lamp)[i]]
      for i in (3, 8, 14)],
     ["image", "lamp on the left", "seen in a mirror", "pixels moved", "and n_x negated"])

# %% [markdown]
# *Reading aid: in a mirror the lamp is on the right, and the third column is what must be seen. With pixels moved
# alone (fourth), walls that face the lamp are dark and walls that turn away are bright; with n_x negated (fifth) all
# is well.*

# %%
assert torch.allclose(shade(turned, right_lamp), lit.flip(-1), atol=1e-6)
wrong = off_by(moved, turned)["mean_angle"]
reveal("01.mirror", "(−1, 0, 0)", "An arrow to the right points to the left in a mirror. A label that keeps its sign "
       f"is wrong by {wrong:.0f}° on average here, and a training that mirrors half of its images in this way teaches opposite things.")

# %% [markdown]
# **Handshake.** The library's `augment` mirrors each image or not, by chance (and zooms, and changes the light; both
# are switched off here). Wherever it did, its normals are ours:

# %%
seen, changed = augment(image, {"normals": normals}, torch.Generator().manual_seed(0), zoom=1.0, jitter=0.0)
mirrored = [not torch.equal(a, b) for a, b in zip(seen, image)]
for i, flipped in enumerate(mirrored):
    assert torch.equal(changed["normals"][i], turned[i] if flipped else normals[i])
print(f"{sum(mirrored)} of {len(mirrored)} were mirrored, with n_x negated in each")

# %% [markdown]
# ### Your turn: a quarter turn
#
# A camera was mounted sideways. To set its images upright they are turned by 90° against the clock, with `rot90`: what
# was at the right is then at the top. What becomes of the normals, whose y points *down*?

# %% tags=["exercise"]
def quarter_turn(image, normals):
    """image, normals (B, 3, H, W); both turned by 90° against the clock, (B, 3, W, H)."""
    # your turn: about 3 lines
    image, moved = image.rot90(1, (-2, -1)), normals.rot90(1, (-2, -1))
    x, y, z = moved.unbind(1)
    return image, torch.stack([y, -x, z], 1)
    # end


# %%
check("01.quarter_turn", quarter_turn)

# %% [markdown] tags=["hint"]
# `rot90(1, (-2, -1))` turns rows and columns against the clock. Both maps are turned so; then the arrows in the map of
# normals have to be turned, too.

# %% [markdown] tags=["hint"]
# An arrow to the right, (1, 0, 0), points up afterwards: (0, −1, 0). One that points down, (0, 1, 0), points to the
# right afterwards. n_z stays.

# %% [markdown] tags=["teacher"]
# **Teacher: normals, 15 minutes.** The released code of this family keeps normals as 0…255 images and mirrors them
# without negating; its angles are therefore measured between shifted vectors and are not comparable with ours. Usual
# misunderstandings: "negate everything" (ask which way up points in a mirror), and a quarter turn the wrong way round,
# because y points down.

# %% [markdown]
# ## Metrics: how people judge
#
# Two shipped networks, each trained on its own task, look at the test images. Their outputs are smaller than the
# image and are brought to its size bilinearly.

# %%
lab = presets.tiny()
with torch.no_grad():
    outputs = {name: torch.nn.functional.interpolate(net.eval()(image), (64, 64), mode="bilinear", align_corners=True)
               for name, net in lab.supernet.backbones.items()}
show([[picture(image[i])] + [tasks[n].picture(x[i]) for n in outputs for x in (target[n], outputs[n])] for i in (3, 8)],
     ["image", "classes: truth", "answer", "normals: truth", "answer"])

# %% [markdown]
# ### Your turn: the mean angle
#
# The angle between two unit vectors a and b is arccos(a·b). Outputs have any length, targets have length 1 or are the
# zero vector. The metric is the mean over labelled pixels, in degrees.

# %% tags=["exercise"]
def mean_angle(output, target):
    """output, target (B, 3, H, W), target 0 = no label; degrees."""
    # your turn: about 4 lines
    unit = torch.nn.functional.normalize(output, dim=1)
    cosine = (unit * target).sum(1).clamp(-1, 1)
    labelled = (target != 0).any(1)
    return cosine[labelled].acos().rad2deg().mean()
    # end


# %%
check("01.mean_angle", mean_angle)

# %% [markdown] tags=["hint"]
# `torch.nn.functional.normalize(output, dim=1)` has length 1 everywhere. The product a·b is a sum over channels, axis
# 1.

# %% [markdown] tags=["hint"]
# `.clamp(-1, 1)` before `.acos()`, `.rad2deg()` behind it. `cosine[labelled]` keeps the labelled pixels; then the
# mean.

# %% [markdown]
# **Handshake.** A *meter* adds up what a metric needs, batch by batch:

# %%
meter = tasks["normals"].meter()
for part in torch.arange(120).split(50):
    meter.update(outputs["normals"][part], normals[part])
scores = meter.compute()

unit = torch.nn.functional.normalize(outputs["normals"], dim=1)
angles = (unit * normals).sum(1).clamp(-1, 1).acos().rad2deg()[(normals != 0).any(1)]
assert abs(angles.mean().item() - scores["mean_angle"]) < 1e-3
scores

# %%
figure, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
sns.histplot(angles.numpy(), bins=90, binrange=(0, 180), stat="percent", color="#9bb8d3", edgecolor="none", ax=ax,
             label="pixels")
for name, colour, style in (("mean_angle", "#b35806", "-"), ("median_angle", "#333333", "--")):
    ax.axvline(scores[name], color=colour, ls=style, label=f"{name}: {scores[name]:.1f}°")
ax.set(xlabel="angle between answer and truth (degrees)", ylabel="% of pixels", xlim=(0, 180))
ax.legend(loc="best", frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: most pixels are nearly right and a few are off by a right angle (the wrong wall of a corner). The mean
# feels those, the median does not: read both.*
#
# ### The table of confusions
#
# For classes everything is counted in one table: its row says what a pixel is, its column what the network said.

# %%
said = outputs["segmentation"].argmax(1)
truth = target["segmentation"]
labelled = truth != 255
confusion = torch.bincount(truth[labelled] * 13 + said[labelled], minlength=13 * 13).view(13, 13)

figure, ax = plt.subplots(figsize=(6.2, 4.6), layout="constrained")
sns.heatmap(confusion / confusion.sum(1, keepdim=True), xticklabels=names, yticklabels=names, cmap="cividis", ax=ax,
            vmin=0, vmax=1, cbar_kws={"label": "share of the row"})
ax.set(xlabel="what the network said", ylabel="what it is")
ax.set_xticklabels(names, rotation=45, ha="right")
plt.show()

# %% [markdown]
# *Reading aid: bright on the diagonal is right. A dark diagonal with a bright first column: the network says "wall"
# when in doubt, and doors, windows and pictures hang on walls.*

# %%
accuracy = confusion.diagonal().sum() / confusion.sum()
hits, there_is = confusion[0, 0], confusion[0].sum()
print(f"{accuracy:.0%} of all pixels are named rightly; of the wall's pixels it is {hits / there_is:.0%}")
predict("01.wall", "The IoU of a class is its hits over all pixels that are of the class or were said to be. "
        "What is the IoU of the wall, in percent?", between=(0, 100))

# %% [markdown]
# ### Your turn: the mean IoU
#
# For a class: the *intersection* are the pixels that are of the class and were said to be (the diagonal); the *union*
# those of the class, or said to be, or both. A class with an empty union has no IoU and is left out.

# %% tags=["exercise"]
def miou(confusion):
    """confusion (C, C), rows truth, columns answers; the mean IoU, 0…1."""
    # your turn: about 3 lines
    hits = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hits
    return (hits[union > 0] / union[union > 0]).mean()
    # end


# %%
check("01.miou", miou)

# %% [markdown] tags=["hint"]
# Row sums are what there is of each class, column sums what was said. Their sum counts the hits twice.

# %% [markdown] tags=["hint"]
# `hits = confusion.diagonal()`, `union = confusion.sum(0) + confusion.sum(1) - hits`; then the mean of `hits / union`
# where `union > 0`.

# %% [markdown]
# **Handshake.** The library's metric comes from torchmetrics:

# %%
meter = tasks["segmentation"].meter()
meter.update(outputs["segmentation"], truth)
hits = confusion.diagonal()
iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
assert abs(iou.nanmean().item() - meter.compute()["miou"]) < 1e-6
amiss = 1 - hits[0] / confusion[:, 0].sum()
reveal("01.wall", f"{100 * iou[0]:.0f} %", f"{amiss:.0%} of what it calls wall is something else, and the union counts that. The mean "
       f"over all classes is {100 * iou.nanmean():.0f} %: in it a lamp counts as much as all walls together.")

# %%
order = iou.argsort(descending=True)
share = confusion.sum(1)[order] / confusion.sum()
figure, ax = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
ax.bar(range(13), iou[order].tolist(), color="#4575b4", label="IoU")
ax.plot(range(13), share.tolist(), "o", color="#b35806", label="share of all pixels")
ax.axhline(iou.nanmean(), color="#333333", ls="--", label="mean IoU")
ax.set_xticks(range(13), [names[i] for i in order], rotation=30, ha="right")
ax.set(ylabel="0–1", ylim=(0, 1))
ax.legend(loc="best", frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: bars near 0 are classes that the network hardly ever finds. Rare classes are among them; how large and how plain a thing is counts, too.*

# %% [markdown] tags=["teacher"]
# **Teacher: metrics, 12 minutes.** Have the class compute one IoU from a 2 × 2 table on the board. Ask what a network
# must do to raise accuracy and lower the mean IoU at once (stop guessing rare classes). Mention that the released
# code divides by all 40 classes, also absent ones: `Segmentation(absent="zero")` does the same here.

# %% [markdown]
# ## The floor: the best answer with closed eyes
#
# A score means nothing alone. The *trivial* answer never looks at the image: at each pixel it says what the
# training targets make best there on average. Every task has one, `task.constant`:

# %%
train_image, train_target = packs["train"].batch(torch.arange(480), tasks)
constants = {name: task.constant(train_target[name]) for name, task in tasks.items()}
show([[picture(train_image.mean(0))] + [tasks[n].picture(constants[n][0]) for n in tasks]],
     ["the mean image", *(f"{n}: trivial" for n in tasks)])

# %% [markdown]
# *Reading aid: the average room. Wall above, floor below; left walls face right, right walls face left. What a
# network is worth begins above this.*

# %%
floor = trivial({n: tasks[n] for n in outputs}, sequential(packs["train"], outputs), sequential(packs["test"], outputs))
for task, metric in (("segmentation", "miou"), ("segmentation", "pixel_accuracy"), ("normals", "mean_angle")):
    meter = tasks[task].meter()
    meter.update(outputs[task], target[task])
    print(f"{task:13} {metric:15} eyes closed {floor[task][metric]:7.3f}    network {meter.compute()[metric]:7.3f}")
print(f"\nand a mirrored label with the wrong sign is off by {wrong:.1f}° on average: worse than closed eyes")

# %% [markdown]
# ### Your turn: the trivial depth
#
# If you may say only one depth for all pixels of all rooms, which one makes the mean of |depth − guess| smallest?

# %% tags=["exercise"]
def one_depth(depths):
    """depths (B, 1, H, W) in metres, 0 = no label; the best single guess in metres."""
    # your turn: about 1 line
    return depths[depths > 0].median()
    # end


# %%
check("01.trivial", one_depth)

# %% [markdown] tags=["hint"]
# If you move the guess up a little, it gets farther from all depths below and nearer to all above. When do these
# balance?

# %% [markdown] tags=["hint"]
# When as many lie below as above. `depths[depths > 0]` are the labelled ones.

# %% [markdown]
# ## Two halves
#
# A search (notebook 00) learns two things: the networks' weights *w*, and for each candidate edge between them one number
# *α*, which says whether the edge is kept. Suppose both were learnt from the same images. The weights come to know these
# images by heart, and an edge that helps them to do so would lower the loss that α looks at, though it helps on no other
# image. So the training images are dealt into two halves: w learns from one, α from the other. By default they are dealt
# anew in every *epoch* (one pass through w's half), as in the code that the authors of MTL-NAS released.

# %%
predict("01.halves", "The 480 images are dealt anew in each epoch, half to w and half to α. After five epochs, how "
        "many percent of them have been in w's half at least once, and in α's at least once?", between=(0, 100))


# %%
def dealt(redraw, epochs=12):
    """(epochs, 480): True where an image teaches w in that epoch, by the library's own lists."""
    weights, alpha = split(packs["train"], ["normals"], batch_size=8, seed=0, redraw=redraw)
    table = torch.zeros(epochs, 480, dtype=torch.bool)
    for epoch in range(epochs):
        table[epoch, weights.indices(epoch)] = True
        assert not table[epoch, alpha.indices(epoch)].any()       # within an epoch nobody teaches both
    return table

anew, once = dealt(True), dealt(False)
mixed = [100 * (anew[:n].any(0) & ~anew[:n].all(0)).float().mean().item() for n in range(1, 13)]
reveal("01.halves", f"{mixed[4]:.0f} %", "An image is in w's half five times running with probability (½)⁵, or in α's: together 6 %. "
       "All others have been in both.")

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained", width_ratios=(1, 1, 1.1))
for ax, table, title in zip(axes, (anew, once), ("dealt anew (default)", "dealt once (redraw=False)")):
    ax.imshow(np.where(table[:, :60, None], (69, 117, 180), (244, 165, 130)), aspect="auto", interpolation="nearest")
    ax.set(xlabel="image (the first 60)", ylabel="epoch", title=title)
for colour, label in (("#4575b4", "teaches w"), ("#f4a582", "teaches α")):
    axes[0].scatter([], [], marker="s", color=colour, label=label)
axes[2].plot(range(1, 13), mixed, "o-", color="#333333", label="dealt anew")
axes[2].plot(range(1, 13), [0] * 12, "--", color="#b35806", label="dealt once")
axes[2].set(xlabel="epochs", ylabel="% that taught both", ylim=(-4, 104), xticks=range(0, 13, 3))
figure.legend(loc="outside upper right", ncols=4, frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: a row is an epoch. Left: each column changes its colour all the time; in the middle: never. Dealt anew, the
# halves are clean within an epoch and quickly mixed over many: closer to learning both from everything. Dealt once, α
# sees images that w never saw, but each gets only 240.* Which is better is a question for an experiment, not for
# taste; both are one setting, `SearchConfig(redraw=…)`.

# %% [markdown] tags=["teacher"]
# **Teacher: floor and halves, 10 minutes.** Ask for the trivial answer of every metric the class has ever reported.
# On the halves: the usual misunderstanding is that α's half is a validation set that w has never seen; after five
# epochs more than nine in ten have taught w. Validation and test images are never touched by either.

# %% [markdown]
# ## What we know now
#
# * A task is a target, a loss, metrics and a picture; "no label" is 255, the zero vector or 0, and never counts.
# * Normals are unit vectors: mirroring negates n_x, a quarter turn exchanges n_x and n_y and negates one of them, and
#   angles need length 1.
# * Mean IoU gives each class one vote, accuracy gives each pixel one.
# * Any score stands beside the trivial one.
# * w and α are taught by two halves of the training images.
#
# **What these little rooms do not show.** Their labels are exact and complete; real ones are noisy and full of holes.
# And a network that is well above the floor here says nothing about photographs.
#
# Words are in the [glossary](../docs/glossary.md). Next: [02](02_backbones.ipynb), the networks themselves, cut in stages.
