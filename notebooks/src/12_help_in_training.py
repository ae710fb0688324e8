# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Help in training, free at inference
#
# *About 3 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** A fusion graph makes networks better by letting them read from each other, and so you pay for all of them
# whenever you use one. Often only one task is wanted: the **primary** task. Can the other networks help while it is
# trained, and be gone when it is used? That is **Aux-NAS** (Gao et al., ICLR 2024), by the first author of MTL-NAS: same
# space, same search, but the two directions of edges get two different forces. Here you see both directions of α part
# while a search runs, cut the auxiliary network away, and read what a study with five seeds says about the gain.

# %%
# %matplotlib inline
from dataclasses import replace

import pandas as pd
import torch
from IPython.display import display

from mtlnas_lab import presets, prune
from mtlnas_lab.analysis.statistics import half_interval
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.relaxation import entropy
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.data.loader import sequential
from mtlnas_lab.explore.aux_nas import Setting, aux_search, difference, edges_into, price, set_starts, star
from mtlnas_lab.explore.study import Findings
from mtlnas_lab.viz import plot_fusion_graph
from mtlnas_lab.viz.roles import plot_roles, plot_shutting
from mtlnas_lab.viz.study_plots import plot_quantity

# %%
primary, setting = "segmentation", Setting(few=32)             # 32 of 480 images have a label for segmentation
lab = set_starts(star(setting.lab(seed=0), primary), primary)
space = lab.space
into = torch.tensor(edges_into(space, primary))

# %% [markdown] tags=["teacher"]
# **Teacher: 30 minutes with exercises.** The two forces (7), the search (6), the cut (7), knobs (5), the study (5). Start
# the search before you explain the forces. The sentence to take home: "free at inference" is a fact that can be checked,
# "helps" is a claim that needs a control, and the control is Aux-G.

# %% [markdown]
# The **primary** network learns segmentation from 32 labelled images; the **auxiliary task** is normals, with a label on
# all 480. Both are networks of three stages; edges run both ways.
#
# * **primary → auxiliary**: normals' network reads segmentation's features. Then the loss of normals sends its *gradient*
#   into segmentation's network. When segmentation is used alone, nothing of that is needed.
# * **auxiliary → primary**: segmentation's network reads normals' features. That helps it directly, but ties it to them.

# %%
plot_fusion_graph(space, style="web-light").figure

# %% [markdown]
# ## Guess first

# %%
predict("12.price", "Training with every edge costs how many times the multiply-adds of using segmentation alone?", between=(1.0, 5.0))

# %%
predict("12.control", "Aux-G shuts auxiliary → primary from the start. With 32 labels, over five seeds, Aux-NAS against Aux-G:",
        ["Aux-NAS is clearly better", "Aux-G is clearly better", "the seeds cannot tell"])

# %% [markdown]
# ## Two forces
#
# In a MTL-NAS search entropy pushes every gate to 0 or 1. In Aux-NAS entropy acts on primary → auxiliary alone. On
# auxiliary → primary acts **L1**, the mean of p = σ(α): nothing for the first half of the search, then a ramp, so strong at
# the end that these gates shut whatever the tasks say.
#
# ### Your turn: the two forces
#
# What is added to the tasks' losses in the α-update? `alpha` (E,), and `into` (E,) says which edges lead into the primary
# network. Each force is a mean over the edges of its own direction.

# %% tags=["exercise"]
def forces(alpha, into, entropy_weight, l1_weight):
    # your turn: about 3 lines
    p = torch.sigmoid(alpha)
    undecided = -p * p.log() - (1 - p) * (1 - p).log()
    return entropy_weight * undecided[~into].mean() + l1_weight * p[into].mean()
    # end


# %%
check("12.forces", forces)

# %% [markdown] tags=["hint"]
# H(p) = −p ln p − (1 − p) ln(1 − p); `x[into]` are the entries for edges into the primary network, `x[~into]` the others.

# %% [markdown] tags=["hint"]
# `entropy_weight * H[~into].mean() + l1_weight * p[into].mean()`

# %% [markdown]
# **Handshake.** The search takes a factor for each edge and a mean over all of them, which is the same: half of the edges
# with a factor of 2. The weights 10 of entropy and 1000 of L1 are those that this search ends with.

# %%
config = replace(setting.config(seed=0), steps=presets.quick(300, 8))
search = aux_search(lab, primary, config)
alpha = torch.randn(len(space), generator=torch.Generator().manual_seed(1))
theirs = 10 * entropy(alpha, search.entropy_factors) + 1000 * (alpha.sigmoid() * search.costs).mean()
mine = forces(alpha, into, 10.0, 1000.0)
if mine is not ...:
    assert torch.isclose(mine, theirs, rtol=1e-4)
    print(f"yours {mine:.4f}, the search's {theirs:.4f}")

# %% [markdown]
# ## See: two directions part
#
# The picture is drawn anew every 30 steps while the search runs. Left both tables of σ(α); right what the networks cost,
# and above it what would happen **if you cut the auxiliary network away at this moment**: the largest change of a logit.

# %%
prices, gates, changes = price(lab, primary), [], []
every = max(config.steps // 10, 1)
screen = display(plot_roles(space, lab.alphas.alpha.tolist(), primary, prices, difference(lab, primary), 0), display_id=True)
for event in search:
    if not isinstance(event, Step):
        continue
    p = torch.tensor(event.alpha).sigmoid().tolist()
    gates += [(event.step, str(e), e.target.task == primary, one) for e, one in zip(space.edges, p)]
    if event.step % every == 0:
        changes.append((event.step, difference(lab, primary)))
        screen.update(plot_roles(space, event.alpha, primary, prices, changes[-1][1], event.step))

# %% [markdown]
# *Reading aid: a cell is an edge, its shade how far it is open (the scale is beside it), a dot marks what would be kept. Left block: into
# segmentation. The bars never change: training always computes everything, and use never does.*

# %%
reveal("12.price", prices["training"] / prices["use"], "Two networks and the edges between them, against one network.")

# %%
plot_shutting(pd.DataFrame(gates, columns=["step", "edge", "into", "p"]), pd.DataFrame(changes, columns=["step", "difference"]))

# %%
frame = pd.DataFrame(gates, columns=["step", "edge", "into", "p"])
inward = frame[frame["into"]].groupby("step").p.mean()
print(f"Edges into {primary}, mean p: {inward.iloc[0]:.3f} at the start, {inward.max():.2f} at most (step {inward.idxmax()}), "
      f"{inward.iloc[-1]:.1e} at the end.")
print(f"Were the auxiliary network cut away, a logit would change by up to {max(one for _, one in changes):.2g} at the worst moment, "
      f"and by up to {changes[-1][1]:.1e} at the end.")

# %% [markdown]
# *Reading aid: above, thin lines are the gates of single edges, bold ones the mean of a direction; dashed is into the primary
# network, solid out of it. Below: how much a logit would change if the auxiliary network were cut away at that step, on a
# logarithmic axis; below the dotted line it counts as the same.* Edges into the primary network begin nearly shut, at
# p = 0.001, so that only those open for which the tasks pull. They may do so as long as nothing pushes against it; in the
# second half L1 does, and shuts them.
#
# ### Your turn: what is taken away?
#
# The **residual fusion** of Aux-NAS is O = F + W·[z₁F₁, z₂F₂]. Without the auxiliary network O = F. At seven pixels the
# sources have one channel each: `sources` (2, 7), `gates` (2,), `weight` (3, 2) for three channels of O. What is the
# **largest change** of any value of O?

# %% tags=["exercise"]
def change(weight, gates, sources):
    # your turn: about 2 lines
    added = weight @ (gates[:, None] * sources)
    return added.abs().max()
    # end


# %%
check("12.change", change)

# %% [markdown] tags=["hint"]
# `gates[:, None] * sources` gates each source; `weight @ …` is W times that, (3, 7).

# %% [markdown] tags=["hint"]
# A change may be negative: `.abs().max()`.

# %% [markdown]
# ## Cut it loose
#
# `derive(primary=…)` gives the graph of the primary network alone: one backbone, no edge. It refuses while an edge into the
# primary network is open. `prune` makes a network of it, which is what you would ship (`to_onnx(network, "net.onnx")`).

# %%
network = prune(lab.supernet, lab.derive(primary=primary))
((image, _),) = sequential(lab.data["test"], (primary,), 320)
with torch.no_grad():
    soft = lab.supernet.eval()(image, lab.alphas.alpha.sigmoid())[primary]
    alone = network(image)[primary]
print(f"outputs: {list(network(image[:1]))}; parameters {sum(p.numel() for p in network.parameters()):,} "
      f"of {sum(p.numel() for p in lab.supernet.parameters()):,}")
print(f"largest difference over {soft.numel():,} logits: {(soft - alone).abs().max():.1e}")

# %% [markdown]
# ## Tweak: the ramp, and how many helpers
#
# Two knobs: the end of L1's ramp, and p at which edges into the primary network begin. Then the price with more auxiliary
# networks: they are joined to the primary one only, not to each other.

# %%
def after(l1, begin):
    own = replace(setting, l1=l1, into=begin)
    other = set_starts(star(own.lab(seed=0), primary), primary, into=begin)
    for _ in aux_search(other, primary, replace(own.config(seed=0), steps=presets.quick(300, 4))):
        pass
    return {"L1": l1, "p at the start": begin, "largest p in": other.alphas.alpha.sigmoid()[into].max().item(),
            "change of an output": difference(other, primary)}


pd.DataFrame([after(0.0, 0.001), after(1.0, 0.001), after(1000.0, 0.5)]).set_index("L1").map("{:.2g}".format)

# %% [markdown]
# *Reading aid: a row is a search; the last two columns say how far open its widest edge into the primary network is at the
# end, and how much a logit changes when the auxiliary network is cut away. Only below 0.001 may it be.*

# %%
helpers = ["normals", "depth", "edges"]
counted = [price(star(Setting(auxiliaries=helpers[:n]).lab(0), primary), primary) for n in (1, 2, 3)]
table = pd.DataFrame(counted, index=pd.Index([1, 2, 3], name="auxiliary networks")) / 1e6
table["one more"] = table["training"].diff()
table.round(3)

# %% [markdown]
# *Reading aid: millions of multiply-adds of one image. Each auxiliary network adds its own work and that of its edges, so
# the price of training grows on a line, and that of use stays.*
#
# ## Prove: does it help?
#
# The study `aux-nas`: every arm trains for 300 steps from the same start. **Aux-G** shuts edges into the primary network
# from the start: the control that was named before the run, for it asks whether these edges are needed at all. **MTL-NAS**
# uses both networks at more than twice the price. In the rows called “depth” the helper *sees the depth map*, which the primary network never
# will. `labelled_only` is single-task, too, but draws its batches from the 32 labelled images alone (the other rows draw from all
# 480, and an image without a label teaches segmentation nothing); `shared_trunk` is one network with two heads; “without L1” and
# “nddr” (NDDR in place of the residual fusion) change one part of Aux-NAS. The score is the mIoU of segmentation on 320 test images.

# %%
found = Findings.shipped("aux-nas")
scores = 100 * found.values("primary_score")
half = {arm: half_interval(row.dropna()) for arm, row in scores.iterrows()}


def short(arm):
    return arm.replace(" labels", "").replace(", helper sees depth", ", depth")


plot_quantity(scores.rename(index=short), {short(arm): one for arm, one in half.items()}, "mIoU of segmentation (%), more is better")

# %% [markdown]
# *Reading aid: compare rows of the same setting. A dot is a seed, and the same mark is the same seed: the same start, the
# same images. The bar is the 95 % interval of the mean. "32": so many labels; "depth": the helper sees the depth map.*

# %%
means = scores.mean(axis=1)
millions = {name: found.values(name).mean(axis=1) / 1e6 for name in ("operations", "training_operations")}
pd.DataFrame({"mIoU (%)": means.round(2), "use": millions["operations"], "training": millions["training_operations"]}).round(3)

# %%
for verdict in found.verdicts:
    print(verdict.in_short)

# %% [markdown]
# *Reading aid: below each claim stand the difference, its 95 % interval and a p. The interval is of this comparison alone; the p is
# corrected for the number of claims (Holm: notebook 07, by hand in 20). “Held” asks for a corrected p of 0.05 at most; “did not hold” is an
# interval that leaves no room for the claim; all else is “could not tell”, which is not “the same”. A claim with a bound holds where
# every seed keeps it.*

# %%
about, = [v for v in found.verdicts if v.claim.arm == "aux_nas, 32 labels" and v.claim.against == "aux_g, 32 labels"]
answer = "the seeds cannot tell"
if about.corrected <= 0.05:
    answer = "Aux-NAS is clearly better" if about.mean > 0 else "Aux-G is clearly better"
reveal("12.control", answer, f"Aux-NAS minus Aux-G, mIoU from 0 to 1: {about.measured}.")

# %% [markdown]
# ## What we know now

# %%
free = [v for v in found.verdicts if v.claim.quantity in ("max_difference", "operations") and not v.claim.control]
gains = [v for v in found.verdicts if v.claim.quantity == "primary_score" and v.claim.arm.startswith("aux_nas")]
count = {outcome: sum(v.outcome == outcome for v in gains) for outcome in ("held", "did not hold", "could not tell")}
print(f"Free at inference: {sum(v.outcome == 'held' for v in free)} of {len(free)} claims held.")
print("Help in training: of", len(gains), "claims that Aux-NAS is better than something,", ", ".join(f"{n} {outcome}" for outcome, n in count.items()) + ".")
for labels in ("", ", 32 labels"):
    ahead = scores.loc["mtl_nas" + labels] - scores.loc["single_task" + labels]
    print(f"MTL-NAS, both networks in use, over single-task with {'32' if labels else 'all'} labels: {ahead.mean():+.1f} points of mIoU "
          f"(95 % interval {ahead.mean() - half_interval(ahead):+.1f} to {ahead.mean() + half_interval(ahead):+.1f}, this one alone).")
print(f"Single-task whose batches hold labelled images alone: {means['labelled_only, 32 labels'] - means['aux_nas, 32 labels']:+.1f} points "
      "over Aux-NAS with 32 labels, and it needs no second network.")
print(f"Beside MTL-NAS with 32 labels it has {means['labelled_only, 32 labels']:.1f} % mIoU against {means['mtl_nas, 32 labels']:.1f} % "
      "(no claim was made about these two).")

# %% [markdown]
# * Which force an edge gets decides what it is for: entropy chooses, L1 takes away.
# * That the output stays the same is checked in one line. That it became *better* needs seeds and a control. The control
#   that draws its batches from the labelled images alone costs one line, too: look at it before you search.
# * Help that is there while both networks run may be gone with the network that gave it: compare MTL-NAS and Aux-NAS.
# * A gate shuts no faster than its optimiser lets it. While it shuts, its gradient fades with p(1 − p). Adam divides each step by
#   the size of the gradients that it remembers, and these were larger; so its steps become small. With the usual memory
#   (β₂ = 0.999, some thousand steps) 300 steps would not do; these searches take β₂ = 0.5, a memory of a few steps.
#
# What this small data can *not* show: whether large, pretrained networks gain (ours start untrained, and see 32 × 32 pixels
# for 300 steps); whether a hundred epochs, as published, change the order of the arms; and what a related task brings that
# is harder to label. On your own data, begin with Aux-G: it is the simplest of these.
