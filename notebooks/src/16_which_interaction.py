# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which interaction, and learnt on whom?
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** An edge is open or shut. Two networks could do more with each other than that. After **MSINet** (Gu et al., arXiv
# 2303.07065) there are **five operations** between two maps of equal depth, and a search chooses one behind every stage. Its
# second idea is about data: w and α learn from **different rooms**, so that α prefers what works on rooms that w does not know.
# The paper finds people and vehicles again in other cameras' pictures. Here we find **rooms** again, seen from another place.

# %%
# %matplotlib inline
import math

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from mtlnas_lab import presets
from mtlnas_lab.analysis.statistics import half_interval
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.relaxation import edge_entropy
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.explore import msinet
from mtlnas_lab.explore.study import Findings
from mtlnas_lab.models.interactions import OPERATIONS, Interaction
from mtlnas_lab.viz import plot_choices, plot_decisions
from mtlnas_lab.viz.study_plots import plot_quantity

# %% [markdown] tags=["teacher"]
# **Teacher: 35 minutes with exercises.** Five operations (7), one choice among K (8), twins and memories (10), proof (10). The
# one sentence to take home: a search can be sure of its choice, and the choice can still not matter; only networks that are
# trained anew, on rooms that nobody has seen, tell.

# %% [markdown]
# ## Guess first

# %%
predict("16.rho", "Operations are learnt with α on partly other rooms than w (ρ = 0.4), or on other pictures of the same rooms (ρ = 1). On "
        "rooms that nobody trained on, the first are …", ["better", "worse", "the seeds cannot tell"])

# %%
predict("16.random", "Operations that are drawn at random instead: how well do their networks find unseen rooms, beside the searched ones "
        "(100 %)?", between=(50, 120))

# %% [markdown]
# ## Which room is it?
#
# The generator draws each room once, and takes pictures from twelve places, each with another camera. Rows are rooms.

# %%
packs = msinet.data(seed=0)
rows = []
for room in range(3):
    index = msinet.TRAINING_VIEWS * room + torch.arange(5)
    images, _ = packs["train"].batch(index)
    rows.append(np.hstack([np.pad(picture(image), ((1, 1), (1, 1), (0, 0)), constant_values=255) for image in images]))
page = Figure(figsize=(6, 3.8), layout="constrained")
ax = page.subplots()
ax.imshow(np.vstack(rows))
ax.set_xticks(34 * np.arange(5) + 17, [f"place {place}" for place in range(5)])
ax.set_yticks(34 * np.arange(3) + 17, [f"room {room}" for room in range(3)])
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
page

# %%
print({split: f"{len(pack)} pictures of {len(pack.targets['scene'].unique(dim=0))} rooms" for split, pack in packs.items()})

# %% [markdown]
# *Seen* are other pictures of the training rooms, *unseen* are rooms that nobody trains on. The network of the task **scene** turns a
# picture into 16 features; pictures of one room shall be close. The network of **segmentation** runs beside it. Between them:
#
# | operation | network a goes on with | learns |
# |---|---|---|
# | none | its own map | nothing |
# | exchange | the map of b | nothing |
# | gate | its own map, each channel times a gate computed from its mean; one small network computes them for a and for b | that network |
# | attention | its own map, plus γ times a mixture of its channels, by how *unlike* they are to those of b; γ = 0 at first | γ |
# | nddr | the library's fusion of both maps | 1×1 convolutions |

# %%
a, b = torch.zeros(1, 8, 4, 4), torch.ones(1, 8, 4, 4)
between = Interaction(8, tuple(OPERATIONS)).eval()
for place, name in enumerate(OPERATIONS):
    to_a, to_b = between(a, b, [at == place for at in range(5)])
    print(f"{name:9} a: 0 → {to_a.mean():.2f}     b: 1 → {to_b.mean():.2f}")

# %% [markdown]
# ## One choice among five
#
# An edge has one logit and σ. A choice has five, and **softmax**: their shares sum to 1. All that you know from notebook 05 goes on with
# it: noise makes *Gumbel-softmax* of the binary concrete, the largest logit is the architecture, and entropy says how undecided
# α is. The most that it can be is ln 5.
#
# ### Your turn: how undecided?

# %% tags=["exercise"]
def undecided(alpha):
    """alpha: (D, K), K logits for each of D stages. Returns (D,): the entropy of softmax, over ln K."""
    # your turn: about 2 lines
    p = alpha.softmax(1)
    return -(p * p.log()).sum(1) / math.log(alpha.shape[1])
    # end


# %%
check("16.undecided", undecided)

# %% [markdown] tags=["hint"]
# `alpha.softmax(1)` makes shares p of each row. The entropy is −Σ p ln p over the row.

# %% [markdown] tags=["hint"]
# `alpha.shape[1]` is K, and `math.log` is the natural logarithm.

# %% [markdown]
# **Handshake.** Your function and the library agree. And of two operations it is the entropy of an edge with the logit α₁ − α₀:

# %%
alpha = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
library = msinet.choice_entropy(alpha) / math.log(5)
mine = undecided(alpha)
assert mine is ... or torch.allclose(torch.as_tensor(mine).float(), library, atol=1e-5)          # yours, once it is written
two = alpha[:, :2]
assert torch.allclose(msinet.choice_entropy(two), edge_entropy(two[:, 1] - two[:, 0]), atol=1e-6)
print("five operations:", [round(x, 3) for x in library.tolist()])

# %% [markdown]
# ## A search
#
# One loop searches here as everywhere in this lab: α first, then w; entropy comes in in the second half.

# %%
steps = presets.quick(200, 3)


def look(**settings):
    """A search, and how undecided each stage is at each step."""
    search, left = msinet.searching(0, steps=steps, **settings), []
    for event in search:
        if isinstance(event, Step):
            rows = torch.tensor(event.alpha).view(search.lab.alphas.rows.shape)
            left.append((msinet.choice_entropy(rows) / search.lab.alphas.most).tolist())
    stages = [f"stage {depth}" for depth in range(len(rows))]
    shares = pd.DataFrame(rows.softmax(1).numpy(), index=stages, columns=search.lab.space.operations)
    return search, shares, pd.DataFrame(left, columns=stages, index=range(1, len(left) + 1))


search, shares, left = look(rho=0.4)
plot_decisions(left, style="web-light").figure

# %%
plot_choices(shares, style="web-light").figure

# %% [markdown]
# *Reading aid: above, 1 is undecided among five, 0 is decided. Below, a row is a stage; its numbers sum to 1, and the frame is what is
# built.*
#
# **Tweak.** `look(operations=("none", "nddr"))` is the library's edge, both ways; `entropy=0` leaves the choice open. After the next
# section: `rho=1.0` teaches w and α by the same rooms, `temperature=0.5` makes the memories' contrast soft, `momentum=0.9` their
# centroids slow.
#
# ## Learnt on whom? The twins
#
# w learns to tell *its* rooms apart. Should α be judged on the same ones? Of 60 rooms a share ρ is common to both, by different
# pictures; of the rest a third teaches w, two thirds α. ρ = 0.4 is the paper's, ρ = 1 is what searches do as a rule.

# %%
scenes = packs["train"].targets["scene"][:, 1]
lines = {}
for rho in (0.0, 0.4, 1.0):
    w, alpha = (set(scenes[part].tolist()) for part in msinet.twins(scenes, rho, torch.Generator().manual_seed(0)))
    lines[f"ρ = {rho:g}"] = {"rooms of w alone": len(w - alpha), "of both": len(w & alpha), "of α alone": len(alpha - w)}
pd.DataFrame(lines).T

# %% [markdown]
# A classifier of w's rooms has no output for α's. So each side has a **memory**: one centroid a room, of length 1. The loss asks that a
# picture's features f are closer to their own room's centroid than to the others: cross-entropy of ⟨f, M⟩ / T, with T = 0.05.
# After each picture its centroid moves: it keeps a share (*momentum*, 0.2), takes the rest from f, and is made of length 1 again.
#
# ### Your turn: a centroid moves

# %% tags=["exercise"]
def moved(centroid, feature, momentum):
    """centroid: (F,) of length 1; feature: (F,) of any length. Returns the new centroid (F,)."""
    # your turn: about 2 lines
    mixed = momentum * centroid + (1 - momentum) * feature / feature.norm()
    return mixed / mixed.norm()
    # end


# %%
check("16.centroid", moved)

# %% [markdown] tags=["hint"]
# Make the feature of length 1 first: divide it by `feature.norm()`.

# %% [markdown] tags=["hint"]
# Then mix, and divide the mixture by its own length.

# %%
memory = msinet.Memory(scenes=2, features=3, temperature=0.5)
memory.centroids[1] = torch.tensor([0.6, 0.8, 0.0])
feature = torch.tensor([0.0, 3.0, 4.0])
before = memory.loss(feature[None], torch.tensor([1]))
mine = moved(memory.centroids[1], feature, memory.momentum)
memory.add(feature[None], torch.tensor([1]))
assert mine is ... or torch.allclose(torch.as_tensor(mine), memory.centroids[1], atol=1e-6)      # yours, once it is written
print(f"The same picture again: loss {before:.2f} before, {memory.loss(feature[None], torch.tensor([1])):.2f} after.")

# %% [markdown]
# ## The gap between seen and unseen
#
# What was found is trained **anew**, on all training rooms. Then every picture looks for the three others of its room: the other 239
# are put in order, those with the most alike features first. Are the three at the front? At the place of each of them, take the
# share of right ones among all up to there; the mean of these shares over the three, and then over all pictures, is the **mean
# average precision** (`map`). It is 1 where the three always come first; guessing gives 0.03.

# %%
found = search.lab.space.chosen(search.lab.alphas.alpha)
print("found:", " · ".join(found))
scores = {"found": msinet.train(found, 0, steps), "none": msinet.train(("none",) * 4, 0, steps)}
pd.DataFrame(scores).T.round(3)

# %% [markdown]
# *Reading aid: a row is a choice of operations, stage by stage as printed, or none at all. `map_unseen`: rooms that nobody trained
# on; `map_seen`: new pictures of the training rooms; `gap`: the second minus the first; `rank1_unseen`: in which share of
# cases the very first picture is of the same room; `miou_unseen`: how well segmentation does on the unseen rooms.* One seed, and a
# short training: no proof.
#
# ## Proof
#
# The shipped study: its claims and its controls were named before the run. A seed has rooms, networks and orders of its own.
# *Shuffled scenes* is such a control: its search gets pictures with the room numbers of other pictures. A claim may name the
# **least difference** that matters: one about map or gap did not hold where its interval lies below that, and so leaves no room for it.

# %%
study = Findings.shipped("msinet")


def shown(quantity, label):
    values = study.values(quantity)
    half = {name: half_interval(row.dropna().tolist()) for name, row in values.iterrows()}
    return plot_quantity(values, half, label)


shown("map_unseen", "mean average precision on unseen rooms, more is better")

# %% [markdown]
# *Reading aid: every dot is a seed; one colour and shape is the same seed in every row, with the same rooms.*

# %%
shown("gap", "gap: mean average precision on seen rooms minus that on unseen ones")

# %%
for verdict in study.verdicts:
    print(verdict.in_short)

# %% [markdown]
# *Reading aid: below each claim stand the difference, its 95 % interval and a p. The interval is of this comparison alone; the p is
# corrected for the number of claims (Holm: notebook 07, by hand in 20). “Held” asks for a corrected p of 0.05 at most; “did not hold” is an
# interval that leaves no room for the claim; all else is “could not tell”, which is not “the same”. A claim with a bound holds where
# every seed keeps it. And what could have been told? The **smallest detectable difference** is the true difference that a test at 5 %
# (of one comparison, uncorrected) finds in four of five such studies. Where it is larger than the least difference that matters, “could
# not tell” was to be expected.*

# %%
detectable = [verdict.difference.detectable for verdict in study.verdicts if verdict.claim.quantity == "map_unseen"]
print(f"What could have been detected with so many seeds: differences in map of {min(detectable):.3f} to {max(detectable):.3f}, by the "
      f"comparison. The least difference that matters to these claims is {study.study.claims[0].least:.3f}.")

# %% [markdown]
# And **what** was chosen? The share of seeds whose search with ρ = 0.4 took each operation, behind each stage:

# %%
def chosen(arm):
    places = pd.DataFrame({f"stage {depth}": study.values(f"operation/{depth}").loc[arm] for depth in range(4)})
    return pd.DataFrame({name: (places == number).mean() for number, name in enumerate(OPERATIONS)})


plot_choices(chosen("ρ = 0.4"), share="share of seeds", style="web-light").figure

# %%
agree = {}
for arm in study.values("entropy").index:
    agree[arm] = float(chosen(arm).max(axis=1).mean())
seeds = study.values("entropy").shape[1]
drawn = np.random.default_rng(0).integers(len(OPERATIONS), size=(10_000, seeds))
coins = np.mean([np.bincount(row).max() for row in drawn]) / seeds
print("Share of seeds that took a stage's most frequent operation, mean over the stages:")
print({arm: round(share, 2) for arm, share in agree.items()})
print(f"{seeds} seeds that chose by chance would have {coins:.2f} on average.")

# %%
means = study.values("map_unseen").mean(axis=1)
outcome = {verdict.claim.against: verdict for verdict in study.verdicts if verdict.claim.quantity == "map_unseen"}
lead = outcome["ρ = 1"]
answer = "the seeds cannot tell"
if lead.corrected <= 0.05:
    answer = "better" if lead.mean > 0 else "worse"
reveal("16.rho", answer, f"map {means['ρ = 0.4']:.3f} against {means['ρ = 1']:.3f}: {lead.measured}. A difference of "
       f"{lead.difference.detectable:.2g} could have been detected.")

# %%
reveal("16.random", round(100 * means["random operations"] / means["ρ = 0.4"]), f"{means['random operations']:.3f} against "
       f"{means['ρ = 0.4']:.3f}; two networks side by side have {means['none everywhere']:.3f}. Whether the searched ones are ahead of "
       f"the random ones: {outcome['random operations'].outcome}.")

# %% [markdown]
# ## What we know now

# %%
left = study.values("entropy").mean(axis=1)
print("Finding unseen rooms (map): " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()) + ".")
print("Gap between seen and unseen: " + ", ".join(f"{name} {value:.3f}" for name, value in study.values("gap").mean(axis=1).items()) + ".")
print("Entropy that is left, as a share of ln 5: " + ", ".join(f"{name} {value:.3f}" for name, value in left.items()) + ".")

# %% [markdown]
# * A choice among K operations is an edge with K logits: softmax for σ, Gumbel noise for logistic noise, ln K for ln 2.
# * Being decided is a property of α and of the entropy weight. It does not say that the choice matters.
# * A split by rooms changes *what α is asked*. Whether it changes the answer has to be seen on rooms of neither side.
# * The controls decide: shuffled rooms, random operations, and no operation at all, each trained anew by the same recipe.
#
# What this small data can *not* show: rooms of 32 × 32 pixels may well be told apart by their colours, which a network of four
# narrow stages learns by itself; 60 rooms are few, where the paper has thousands of people; its cells have two depths inside, twelve choices and 350
# epochs. Whether the twins help *there* is not asked here.
