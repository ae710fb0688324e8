# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Relaxation and entropy: from one edge to 48
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** An architecture is 48 times yes or no. Gradient descent cannot say yes or no; it can only move a number a
# little. So each edge gets a number that may move, and a rule that makes a *gate* of it. Then a second question comes
# up: who tells all these numbers to make up their minds? In MTL-NAS the *entropy* does. We look at one edge under the
# microscope until we understand every force on it, and then at 48 at once.

# %% [markdown] tags=["teacher"]
# **Teacher, 60 minutes with exercises.** Sections: gates (15), entropy and its force (15), one edge (15), 48 edges
# (15). If time is short, skip the temperature. The one sentence to take home: entropy enlarges what is there, so
# *when* it speaks matters.

# %%
# %matplotlib inline
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch

from mtlnas_lab import Run, Search, presets
from mtlnas_lab.core import relaxation
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.core.lab import pick_device
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.viz import plot_collapse, plot_gates
from mtlnas_lab.widgets.explorers import EdgeMicroscope, RelaxationExplorer, descend

sns.set_theme(context="notebook", style="ticks", palette="colorblind", font_scale=0.8)

# %% [markdown]
# ## From a number to a gate
#
# Each edge has one number **α** (a *logit*), which may be any real number and starts at 0. From it comes a
# probability, **p = σ(α)** = 1 / (1 + e^−α): how sure we are that the edge is open. A **gate z** is the number from 0
# to 1 that multiplies what the edge brings. There are three ways from α to z.
#
# The simplest is to take p itself, the *deterministic relaxation*. And when the search is over, z is cut to 0 or 1:
# *discretize*.

# %%
alpha = torch.tensor([-4.0, -0.1, 0.0, 0.1, 4.0])
by_hand = 1 / (1 + torch.exp(-alpha))
assert torch.allclose(by_hand, relaxation.deterministic(alpha))
assert torch.equal((alpha > 0).float(), relaxation.discretize(alpha))
for a, soft, hard in zip(alpha.tolist(), by_hand.tolist(), relaxation.discretize(alpha).tolist()):
    print(f"α = {a:5.1f}   deterministic z = {soft:.3f}   discretized z = {hard:.0f}   moved by {abs(hard - soft):.3f}")

# %% [markdown]
# The last column is the trouble. An edge with α = 4 hardly notices the cut. One with α = 0.1 was half open while the
# networks were trained, and is suddenly open altogether. One at exactly 0 is closed: "no evidence" means "no edge".
#
# ## A gate that is drawn
#
# The third way keeps chance in play. Draw u evenly between 0 and 1, and let
#
# $$z = \sigma\left(\frac{\alpha + \ln u - \ln(1-u)}{\tau}\right)$$
#
# The added term is *logistic noise*: 0 at u = ½, large at the ends. The *temperature* **τ** > 0 says how sharp the
# gate is: a small τ pushes z to 0 or 1. This *stochastic relaxation* (a binary concrete variable) is nearly a
# yes-or-no decision that still has a gradient by α.
#
# ### Your turn

# %% tags=["exercise"]
def concrete(alpha, temperature, u):
    """alpha, u: tensors of one shape; temperature: a number -> gates of that shape."""
    # your turn: about 2 lines
    noise = torch.log(u) - torch.log(1 - u)
    return torch.sigmoid((alpha + noise) / temperature)
    # end


# %%
check("05.concrete", concrete)

# %% [markdown] tags=["hint"]
# From inside out: noise, sum, divide, σ. `torch.sigmoid` is σ.

# %% [markdown] tags=["hint"]
# τ divides the whole sum, α too. And `torch.log` is the natural logarithm.

# %% [markdown]
# **Handshake.** The library's `stochastic` draws u itself, from a generator that we give it. The same draw through
# the formula:

# %%
alpha = torch.linspace(-3, 3, 1000)
theirs = relaxation.stochastic(alpha, 0.5, torch.Generator().manual_seed(0))
u = torch.rand(1000, generator=torch.Generator().manual_seed(0))
assert torch.allclose(theirs, torch.sigmoid((alpha + u.log() - (1 - u).log()) / 0.5), atol=1e-5)

# %%
predict("05.share", "α = 1, so p = 0.73. We cool τ from 1 to 0.1. The share of drawn gates above ½ …",
        ["grows", "stays", "falls"])

# %%
draw = torch.Generator().manual_seed(1)
temperatures = (2.0, 1.0, 0.5, 0.25, 0.1)
drawn = {tau: relaxation.stochastic(torch.ones(4000), tau, draw).numpy() for tau in temperatures}
figure, axes = plt.subplots(1, len(drawn), figsize=(8.5, 2.1), sharey=True, layout="constrained")
for ax, (tau, z) in zip(axes, drawn.items()):
    sns.histplot(x=z, bins=25, binrange=(0, 1), stat="probability", ax=ax, label="drawn gates")
    ax.axvline(0.73, color="C1", ls="--", label="p = σ(1) = 0.73")
    ax.set(title=f"τ = {tau:g}: {(z > 0.5).mean():.0%} above ½", xlabel="gate z", ylabel="share of 4,000 draws")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
sns.despine()

# %% [markdown]
# *Reading aid: from left to right the same coin, thrown ever more decidedly. The dashed line is the deterministic
# gate.*

# %%
reveal("05.share", "it stays, at about 73 %",
       "z > ½ exactly where α + noise > 0, and τ does not enter that. τ only says how far from ½ the gates lie.")

# %% [markdown]
# Move α and τ yourself, and see how a single u becomes a gate:

# %%
RelaxationExplorer(alpha=1.0, temperature=0.25)

# %% [markdown]
# *Reading aid: left, u becomes z along the curve; right, how many draws end up at which gate. Dashed: the deterministic gate σ(α),
# which does not ask u; dotted: the cut at ½.*
#
# A search trains two things in turn (notebook 06): α, and the networks' weights. MTL-NAS by default uses both kinds of gates:
# **α is moved under deterministic gates, the weights are trained under stochastic ones**. So the networks get used to gates
# that are nearly 0 or 1, and α gets a gradient without noise from the draw.

# %% [markdown] tags=["teacher"]
# **15 minutes.** "Hard" in the released flags means "stochastic", and a stochastic gate is still soft: say it once.
# Usual misunderstanding: that τ changes how often an edge is open. And nothing is normalised over edges: each edge is
# a coin of its own, unlike the softmax over operations in DARTS.

# %% [markdown]
# ### A trap: the temperature must not reach 0
#
# In the code that the authors of MTL-NAS released, τ falls while the search runs: at step t of T it is (1 − t/T)², so that it
# is exactly 0 at the end. The gradient of a gate is ∂z/∂α = z(1 − z)/τ, by the chain rule, for σ' = σ(1 − σ). With a small τ
# two things happen to it: it is divided by a small number, and z lies near 0 or 1, where z(1 − z) is small. Which wins?

# %%
rows = []
for tau in (1.0, 0.25, 0.05, 0.01, 0.001):
    u = torch.rand(20000, generator=torch.Generator().manual_seed(2)).clamp(1e-6, 1 - 1e-6).double()
    z = torch.sigmoid((u.log() - (1 - u).log()) / tau)          # α = 0, the most undecided edge
    gradient = z * (1 - z) / tau
    rows.append((tau, (gradient < 1e-6).double().mean().item(), gradient.max().item()))
_, ax = plt.subplots(figsize=(6, 2.4))
taus, dead, largest = zip(*rows)
ax.plot(taus, dead, "o-", label="share of draws without a gradient (below 10⁻⁶)")
ax.axvline(relaxation.TEMPERATURE_FLOOR, color="#777777", ls=":", label="the library's floor")
for tau, share, top in rows:
    ax.annotate(f"largest: {top:.3g}", (tau, share), xytext=(3, 5), textcoords="offset points", fontsize=8)
ax.set(xscale="log", xlabel="temperature τ (logarithmic)", ylabel="share of draws", ylim=(-0.05, 1.15), xlim=(6e-4, 8))
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0))
sns.despine()

# %% [markdown]
# *Reading aid: towards the left nearly every draw has no gradient at all, and the few that have one have a huge one.*
# The library never goes below τ = 0.05.
#
# ### Your turn

# %% tags=["exercise"]
def temperature(step, steps):
    """τ at `step` of `steps`: from 1 down along (1 − step/steps)², but never below 0.05."""
    # your turn: about 1 line
    return max((1 - step / steps) ** 2, 0.05)
    # end


# %%
check("05.temperature", temperature)

# %% [markdown] tags=["hint"]
# The curve first, then the larger one of two numbers.

# %% [markdown] tags=["hint"]
# `max(…, 0.05)` is a floor, `min` would be a ceiling.

# %% [markdown]
# ## Entropy: how undecided is a gate?
#
# The **entropy** of a coin that shows "open" with probability p is
#
# $$H(p) = -p \ln p - (1-p)\ln(1-p)$$
#
# It is 0 for p = 0 and p = 1, and at most ln 2 ≈ 0.693, at p = ½. With the natural logarithm its unit is the *nat*.
# Divided by ln 2 it is a *fraction*: 1 is completely undecided, 0 is decided. For a whole search we take the mean
# over the edges. Added to the loss with a weight λ, it is the entropy term, also called *minimum-entropy term*.
#
# ### Your turn
#
# The entropy of each gate, from α. Mind the ends: a gate at α = 200 has decided, and 0·ln 0 is not a number to a
# computer.

# %% tags=["exercise"]
def entropy(alpha):
    """alpha (E,) -> the entropy of each gate in nats, (E,)."""
    # your turn: about 2 lines
    p, log_p, log_rest = torch.sigmoid(alpha), torch.nn.functional.logsigmoid(alpha), torch.nn.functional.logsigmoid(-alpha)
    return -p * log_p - (1 - p) * log_rest
    # end


# %%
check("05.entropy", entropy)

# %% [markdown] tags=["hint"]
# Write it with `torch.log` first and look at the picture. 1 − σ(α) = σ(−α).

# %% [markdown] tags=["hint"]
# `torch.nn.functional.logsigmoid(alpha)` is ln σ(α), and never minus infinity.

# %% [markdown]
# **Handshake.** Four gates by hand, with a pocket calculator's formula, and the library:

# %%
alpha = torch.tensor([0.0, 1.0, -1.0, 4.0])
p = torch.sigmoid(alpha)
by_hand = -p * p.log() - (1 - p) * (1 - p).log()
assert torch.allclose(by_hand, relaxation.edge_entropy(alpha), atol=1e-6)
assert torch.allclose(by_hand.mean(), relaxation.entropy(alpha), atol=1e-6)
print("of each gate, in nats:", [f"{h:.3f}" for h in by_hand.tolist()])
print(f"mean {relaxation.entropy(alpha):.3f} nats, {relaxation.entropy_fraction(alpha):.3f} of ln 2")

# %% [markdown]
# ## Entropy as a force
#
# MTL-NAS adds λ·(mean entropy) to the loss that moves α. What does gradient descent do with it? Two short derivatives
# and the chain rule:
#
# $$\frac{\partial H}{\partial p} = \ln\frac{1-p}{p} = -\alpha, \qquad \frac{\partial p}{\partial \alpha} = p(1-p),
# \qquad \frac{\partial H}{\partial \alpha} = -\alpha\, p(1-p)$$
#
# ### Your turn

# %% tags=["exercise"]
def force(alpha):
    """∂H/∂α of each gate, (E,) -> (E,)."""
    # your turn: about 2 lines
    p = torch.sigmoid(alpha)
    return -alpha * p * (1 - p)
    # end


# %%
check("05.force", force)

# %% [markdown] tags=["hint"]
# The formula stands above; p is σ(α).

# %% [markdown] tags=["hint"]
# If the picture is upside down, the minus is missing: descent goes *against* the gradient, but here the gradient is
# asked for.

# %% [markdown]
# **Handshake, three ways**: by hand, by autograd, and by the library (which gives the gradient of the mean, so 1/E of
# it).

# %%
alpha = torch.linspace(-6, 6, 121, requires_grad=True)
by_autograd, = torch.autograd.grad(relaxation.edge_entropy(alpha).sum(), alpha)
alpha = alpha.detach()
p = torch.sigmoid(alpha)
by_hand = -alpha * p * (1 - p)
assert torch.allclose(by_hand, by_autograd, atol=1e-6)
assert torch.allclose(by_hand, len(alpha) * relaxation.entropy_gradient(alpha), atol=1e-6)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.6), layout="constrained")
axes[0].plot(alpha, relaxation.edge_entropy(alpha), label="H(σ(α))")
axes[0].axhline(np.log(2), color="#777777", ls=":", label="ln 2: undecided")
axes[0].set(xlabel="α", ylabel="entropy (nats)", ylim=(0, None))
axes[1].plot(alpha, -by_hand, color="C1", label="−∂H/∂α, the push of entropy")
strongest = alpha[(-by_hand).argmax()].item()
for a in (-strongest, strongest):
    axes[1].axvline(a, color="#777777", ls=":", label=f"strongest at |α| = {strongest:.1f}" if a > 0 else None)
axes[1].axhline(0, color="black", lw=0.7)
axes[1].set(xlabel="α", ylabel="push on α (nats)")
for ax in axes:
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
sns.despine()

# %% [markdown]
# *Reading aid: right, above the zero line α is pushed up, below it down: always away from 0. At α = 0 the push is
# exactly 0.*
#
# So entropy has no opinion of its own. It takes the side on which a gate already stands, and pushes harder the
# further the gate has come, up to |α| ≈ 1.5. A gate of exactly ½ could stay there for ever, like a pencil on its tip.

# %% [markdown] tags=["teacher"]
# **15 minutes.** Let the class say before the picture where the push is zero. Most say "at the ends"; few say "in the
# middle". Then: what would an L1 term on p do instead? (Push every gate down, also the open ones.)

# %% [markdown]
# ## One edge: two forces
#
# The tasks push, too. Let **g** = ∂L/∂z say how the loss L of the tasks changes when this gate opens: g > 0 means
# "closed would be better". By the chain rule the tasks' gradient by α is g·p(1 − p). With E edges each one feels 1/E
# of the mean entropy. Descent goes against both:
#
# $$\frac{d\alpha}{dt} = p(1-p)\left(\frac{\lambda}{E}\,\alpha - g\right)$$
#
# Above some α the bracket is positive, and the gate opens whatever the tasks say. Below it, it closes. That point is
# the **tipping point** α*.
#
# ### Your turn

# %% tags=["exercise"]
def tipping(g, weight, edges):
    """The α at which both forces cancel; weight is λ > 0, edges is E."""
    # your turn: about 1 line
    return g * edges / weight
    # end


# %%
check("05.tipping", tipping)

# %% [markdown] tags=["hint"]
# p(1 − p) is never 0. So the bracket must be.

# %% [markdown] tags=["hint"]
# λ/E·α = g; solve for α.

# %%
def phase_line(ax, g, weight, edges=48):
    """Forces on one α, and below them where α goes."""
    a = np.linspace(-4, 4, 161)
    slope = relaxation.deterministic(torch.tensor(a)).numpy()
    slope = slope * (1 - slope)
    tasks, push, tip = -g * slope, weight / edges * a * slope, g * edges / weight
    ax.plot(a, tasks, "--", label="tasks, −g·p(1 − p)")
    ax.plot(a, push, ":", lw=2, label="entropy, λ/E·α·p(1 − p)")
    ax.plot(a, tasks + push, color="black", label="together, dα/dt")
    ax.axhline(0, color="#777777", lw=0.7)
    for x in np.arange(-3.75, 4, 0.5):
        way = 0.3 if x > tip else -0.3
        arrow = {"arrowstyle": "->", "color": "C2" if way > 0 else "C3"}
        ax.annotate("", (x + way / 2, -0.105), (x - way / 2, -0.105), arrowprops=arrow)
    if abs(tip) < 4:
        ax.plot(tip, -0.105, "o", mfc="white", mec="black", label="tips here, α*", zorder=5)
    ax.set(xlabel="α", title=f"g = {g:g}, λ = {weight:g}: α* = {tip:.2g}", ylim=(-0.125, 0.1), xlim=(-4, 4))


# %%
figure, axes = plt.subplots(1, 3, figsize=(8.5, 3), sharey=True, layout="constrained")
for ax, (g, weight) in zip(axes, ((0.1, 2.0), (0.1, 10.0), (0.001, 10.0))):
    phase_line(ax, g, weight)
axes[0].set_ylabel("push on α (loss per unit of α)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
sns.despine()

# %% [markdown]
# *Reading aid: the arrows along the bottom are the phase line: where α stands says where it goes. Left of the open
# circle the gate will close, right of it it will open. The tasks want it closed in all three pictures (g > 0).*
#
# With λ = 2 the tasks' word holds unless α is above 2.4. With λ = 10 it holds only up to 0.48. And with g = 0.001,
# which is nearer to what the recorded search below shows, α* = 0.005: then α = +0.02 is enough to open the gate
# against the tasks for good. And that is **one** step: Adam, the optimiser that moves α, makes a first step as long
# as its learning rate, 0.02 here, however small the gradient is.
#
# The microscope shows the same for an edge of the recorded search. Drag λ, g and the start:

# %%
run = Run.open(presets.samples() / "runs" / "entropy")
EdgeMicroscope(run)

# %% [markdown]
# *Reading aid: left, the forces as above; right, where gradient descent takes the gate from its start, which is where the edge
# stood when λ began to grow (step 150), and dashed what the recorded search did (with noise, with Adam, and with a λ that
# grew slowly).*
#
# ### The gate's journey
#
# Follow the arrows in time. Plain gradient descent, a loop of one line; and a handshake with the library's.

# %%
def journey(alpha, g, weight, rate=2.0, steps=300, edges=48):
    """α after 0, 1, … steps under a constant g."""
    path = [alpha]
    for _ in range(steps):
        p = 1 / (1 + np.exp(-path[-1]))
        path.append(path[-1] + rate * p * (1 - p) * (weight / edges * path[-1] - g))
    return np.array(path)


assert np.allclose(journey(0.4, 0.1, 10.0), descend(0.4, 0.1, 10.0, 2.0, 300, 48))

# %%
predict("05.journey", "The tasks want the gate closed (g = 0.1). It starts at α = +0.6, by bad luck. Under λ = 5 it …",
        ["closes", "opens"])

# %%
figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.9), sharey=True, layout="constrained")
starts = (-0.6, 0.0, 0.3, 0.6, 1.0)
for ax, weight in zip(axes, (0.0, 5.0, 10.0)):
    for start, colour in zip(starts, sns.color_palette("viridis", len(starts))):
        ax.plot(1 / (1 + np.exp(-journey(start, 0.1, weight))), color=colour, label=f"from α = {start:g}")
    if weight:
        ax.axhline(1 / (1 + np.exp(-0.1 * 48 / weight)), color="#777777", ls=":", label="tipping point")
    ax.set(title=f"λ = {weight:g}, g = 0.1", xlabel="step", ylim=(0, 1))
axes[0].set_ylabel("gate σ(α)")
figure.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
sns.despine()

# %% [markdown]
# *Reading aid: a line is a gate from another start. Without entropy all end as the tasks wish; with λ = 5
# and λ = 10 those that began above the tipping point run the other way, one here and two there.*

# %%
assert journey(0.6, 0.1, 10.0)[-1] > 0 > journey(0.6, 0.1, 5.0)[-1]
reveal("05.journey", "it closes", "0.6 lies below the tipping point 0.1·48/5 = 0.96. Under λ = 10, where that is 0.48, the same "
       "gate opens: a strong entropy term keeps what it finds, right or wrong.")

# %% [markdown] tags=["teacher"]
# **15 minutes.** The phase line is the picture of this hour; draw it by hand first, with an arrow at each α. Good
# question for the class: can a gate ever come to rest between 0 and 1? (Only at the tip, and that is unstable.) What
# makes the journey slow at the ends? (p(1 − p).)

# %% [markdown]
# ## 48 edges and a noisy world
#
# In a search nobody knows g. Each step measures it on a few images, with much noise. Here is a search without
# networks: 48 edges; each has a true wish g of the tasks, and every step adds noise to it. How large? In the recorded
# search, during its first 150 steps (λ is still 0 there):

# %%
log = run.log
p = 1 / (1 + np.exp(-log.alpha[:150]))
measured = log.alpha_grad[:150] / (p * (1 - p))                 # ∂L/∂z of every step and edge
mean, spread = np.abs(measured.mean(0)).mean(), measured.std(0).mean()
print(f"∂L/∂z of an edge: |mean over steps| {mean:.4f}, spread from step to step {spread:.4f}")
print(f"noise alone would leave a |mean| of about {0.8 * spread / 150**0.5:.4f}")

# %% [markdown]
# The spread (a standard deviation) is over ten times as large as the mean, and most of that mean may itself be noise: the mean
# of 150 numbers that are noise alone has a spread of spread/√150, and its size without the sign is 0.8 of that on average.
# For the toy we take a spread of 0.0134 and wishes of about 0.001, which is rather generous.

# %%
def toy_search(weight, wish=0.001, noise=0.0134, repeats=20, edges=48, steps=500):
    """20 searches at once. weight(step, steps) is λ. Returns α (steps, repeats, edges), and where the tasks want it open."""
    draw = torch.Generator().manual_seed(0)
    g = wish * torch.randn(repeats, edges, generator=draw)
    alpha = torch.zeros(repeats, edges, requires_grad=True)
    adam, history = torch.optim.Adam([alpha], lr=0.02, betas=(0.5, 0.999)), []
    for step in range(steps):
        p = torch.sigmoid(alpha.detach())
        seen = g + noise * torch.randn(repeats, edges, generator=draw)
        alpha.grad = p * (1 - p) * (seen - weight(step, steps) / edges * alpha.detach())
        adam.step()
        history.append(alpha.detach().clone())
    return torch.stack(history), g < 0


# %% [markdown]
# Three weights: none, λ = 10 all the time, and a ramp that is 0 for the first 30 % of the steps and then grows evenly
# to 10. A coin would get 24 of the 48 edges as the tasks wish.

# %%
predict("05.early", "λ = 10 from the first step on: how many of the 48 edges end as the tasks wish, on average?",
        between=(0, 48))

# %% [markdown]
# ### Your turn
#
# First write the ramp.

# %% tags=["exercise"]
def ramp(step, steps):
    """λ: 0 until 30 % of the steps, then evenly up to 10 at the end."""
    # your turn: about 2 lines
    share = step / steps
    return 10 * max(0.0, (share - 0.3) / 0.7)
    # end


# %%
check("05.ramp", ramp)

# %% [markdown] tags=["hint"]
# How far along the ramp are we? 0 at share 0.3, 1 at share 1. Divide by the ramp's length.

# %% [markdown] tags=["hint"]
# `(share - 0.3) / 0.7` is negative before the ramp begins; `max(0.0, …)`.

# %%
weights = {"λ = 0": Schedule.constant(0.0), "λ = 10 at once": Schedule.constant(10.0),
           "λ ramp": Schedule(10.0, 0.0, (0.3, 1.0))}
toys = {name: toy_search(weight) for name, weight in weights.items()}
figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.7), sharey=True, layout="constrained")
for ax, (name, (alpha, wanted)) in zip(axes, toys.items()):
    for edge in range(48):                                       # of the first of the 20 searches
        wish, colour = ("open", "C0") if wanted[0, edge] else ("closed", "C1")
        ax.plot(torch.sigmoid(alpha[::5, 0, edge]), color=colour, lw=0.9, label=f"tasks want it {wish}")
    ax.set(title=name, xlabel="step", ylim=(0, 1), xticks=(0, 50, 100), xticklabels=(0, 250, 500))
axes[0].set_ylabel("gate σ(α)")
handles = {line.get_label(): line for line in axes[0].lines}
figure.legend(handles=handles.values(), loc="outside lower center", ncols=2, frameon=False)
sns.despine()

# %% [markdown]
# *Reading aid: a line is an edge, its colour what the tasks truly wish. In the middle picture both colours go both
# ways.*

# %%
right = {name: ((alpha[-1] > 0) == wanted).sum(1).numpy() for name, (alpha, wanted) in toys.items()}
final = {name: ((alpha > 0) == (alpha[-1] > 0)).float().mean((1, 2)) for name, (alpha, _) in toys.items()}
figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.9), layout="constrained")
sns.stripplot(right, ax=axes[0], orient="h", alpha=0.6, size=4)
means = [counts.mean() for counts in right.values()]
axes[0].plot(means, range(3), "k|", ms=18, mew=2, label="mean of 20 searches")
axes[0].axvline(24, color="#777777", ls=":", label="a coin")
axes[0].set(xlabel="edges that end as the tasks wish, of 48", xlim=(15, 48))
for name, share in final.items():
    axes[1].plot(range(1, 501), share, label=name)
axes[1].set(xscale="log", xlabel="step (logarithmic)", ylabel="share of edges already\non their final side", ylim=(0.45, 1.02))
axes[0].legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
axes[1].legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
sns.despine()

# %%
none, at_once, with_ramp = (round(mean) for mean in means)
reveal("05.early", at_once,
       f"After the very first step {final['λ = 10 at once'][0]:.0%} of the edges stand on the side where they will end: the "
       f"noise of one batch has decided. With the ramp {with_ramp} edges end as wished, without entropy {none}.")

# %% [markdown]
# *Reading aid: left, a dot is a search; right, how early the dice have fallen.* Without entropy the tasks are heard
# best, but the gates stay around ½ (above), and the cut to 0 or 1 is still to come. The ramp gives away little and
# ends decided. That is why the lab's preset uses it; the released settings have λ = 10 from step 1 on, in a run of
# 20,000 steps with a learning rate for α that is 20 times smaller.
#
# The toy knows the truth and has wishes that never change. A real search has neither, so these counts are about the
# toy alone.
#
# ## A real search
#
# The same three, on networks and images. λ = 10 at once for 40 steps, now; and two recorded runs of 500 steps.

# %%
config = replace(presets.preset("tiny").search, steps=presets.quick(40, 4), entropy_weight=10.0)
hurried = EventLog(Search(presets.tiny(seed=0).to(pick_device()), config))
free = Run.open(presets.samples() / "runs" / "no_entropy")

# %%
_, ax = plt.subplots(figsize=(7, 2.8))
for name, one in (("λ = 10 at once (just now)", hurried), ("λ ramp (recorded)", log), ("λ = 0 (recorded)", free.log)):
    ax.plot(one.column("step"), one.column("entropy_fraction"), label=name)
ax.axvline(150, color="#777777", ls=":", label="the ramp begins")
ax.set(xlabel="search step", ylabel="mean entropy, share of ln 2", ylim=(0, 1.05))
ax.legend(loc="best", frameon=False)
sns.despine()

# %% [markdown]
# *Reading aid: 1 is all undecided, 0 all decided. Without the ramp the gates are on their way before the tasks have
# seen many images.*
#
# ### The gates of both recorded runs

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8), sharey=True, layout="constrained")
for ax, recorded, title in zip(axes, (run, free), ("with entropy (ramp to λ = 10)", "without (λ = 0)")):
    plot_gates(recorded, ax=ax, style="web-light", title=title)
sns.despine()

# %% [markdown]
# *Reading aid: strong lines are edges that are kept by the cut at ½. Left the cut moves no gate by more than 0.005;
# right it moves every gate by 0.2 to 0.5.* Compare with λ = 0 and the ramp in the toy.
#
# ### The collapse
#
# The same as a mountain range: each ridge is the distribution of all 48 gates at one step, the latest in front.

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.5, 4), layout="constrained")
for ax, recorded, title in zip(axes, (run, free), ("with entropy", "without")):
    plot_collapse(recorded, ax=ax, style="web-light", title=title)
sns.despine(left=True)

# %% [markdown]
# *Reading aid: one hill in the middle is indecision, two peaks at the ends are an architecture. Left the hill splits
# as λ grows; right it only becomes broader.*

# %%
alpha = log.alpha
same = ((alpha[149] > 0) == (alpha[-1] > 0)).sum()
with_entropy, without = (one.column("entropy_fraction") for one in (log, free.log))
print(f"When the ramp began (step 150), {same} of 48 edges stood on the side where they ended.")
print(f"Entropy, share of ln 2: {with_entropy[149]:.2f} then, {with_entropy[-1]:.3f} at the end; {without[-1]:.3f} without λ.")

# %% [markdown] tags=["teacher"]
# **15 minutes.** Ask for the largest difference between toy and search (wishes change as the weights learn; edges
# influence each other). Then let pairs change `wish` and `noise` in the toy: when does λ = 10 at once do no harm?
# (When the wish is as large as the noise.)

# %% [markdown]
# ## Play
#
# * Stronger wishes: `alpha, wanted = toy_search(weights["λ ramp"], wish=0.02)`, and how many end as wished is
#   `((alpha[-1] > 0) == wanted).sum(1).float().mean()`. Does the order of the three weights change? And with λ = 2 at once,
#   `Schedule.constant(2.0)`?
# * In `toy_search`, start α at 0.01 instead of 0 (`torch.full((repeats, edges), 0.01, requires_grad=True)`). What happens to
#   edges that nobody asks for?
# * `EdgeMicroscope(run, "normals:2 -> segmentation:3")` is another edge; `run.space.edges` lists them all.
#
# ## What we know now
#
# * α becomes a gate in three ways: σ(α), a draw at temperature τ, a cut at 0. τ changes how sharp gates are, not how
#   often they open; it needs a floor.
# * Entropy measures indecision, in nats or over ln 2. Its gradient −α·p(1 − p) is 0 at α = 0: it enlarges what is
#   there.
# * One edge has a tipping point, α* = g·E/λ. A large λ lets noise decide; a ramp lets the tasks speak first.
# * With the entropy term the recorded search ends decided; without it, it does not.
#
# What this does *not* show: that the edges found under a ramp make better networks than those found under a constant
# λ, or than any other edges. A toy and two recorded runs on little rooms cannot say that. What cutting undecided
# gates costs is the subject of notebook 07.
#
# Words are in the [glossary](../docs/glossary.md). Next: [06](06_studio.ipynb), one step of the search, and the search live.
