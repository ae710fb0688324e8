# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bug hunt: six searches that are not well
#
# *About 2 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** A search with a fault in it does not crash. It runs to its end, draws a decided graph and prints a score. All
# six faults below are of kinds that real code has had. You get no source, only what six panels show: name the
# fault, then see the line.
#
# You need notebooks 05 and 06: gates, entropy, λ, one step of the search; and of 07 the part about batch norm.

# %%
# %matplotlib inline
import torch

from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.course.bug_hunt import SUSPECTS, buggy, examine, healthy, run
from mtlnas_lab.core.search import Search

# %% [markdown] tags=["teacher"]
# **40 minutes in class.** Five minutes a patient in pairs, diagnosis on paper first. Patients 1 and 4 are the pair to
# compare, 5 and 6 the hard ones. The fault stands in `mtlnas_lab/course/bug_hunt.py`: ask people not to open it.

# %% [markdown]
# ## The healthy one
#
# Sixty hurried steps on the rooms: four images a batch, α five times as fast as it should be, λ from 0 to 10 over the
# last 70 %. Every patient below is this search with *one* thing wrong, under the same seed.

# %%
well = run(healthy())
examine(well, well, "The healthy search")

# %% [markdown]
# *Reading aid*, row by row.
#
# * **Entropy and λ**: λ grows after 30 % of the run, and the entropy falls with it.
# * **Gates**: a cloud around ½ at first, then each one goes to 0 or to 1.
# * **The tasks' pull on five edges**: ∂ losses / ∂α. It jumps, for each batch says something else; late it dies, for
#   closed gates feel nothing.
# * **Loss: segmentation** and **Loss: normals** of the batches that teach w, mean over 5 steps; noisy, for the batches
#   are small.
# * **Score: normals**: mean angle on 40 validation images, less is better: under hard gates as the network is, and after
#   its batch-norm statistics were averaged anew (*recalibrated*). Early the two differ, for the fusions' statistics begin
#   at 0 and 1.
#
# In JupyterLab the studio replays a patient step by step, the healthy search drawn behind:
# `from mtlnas_lab.widgets import SearchStudio`, then `SearchStudio(patient_1, compare=well)` in a cell of your own; and
# `SearchStudio(lambda: buggy(1))` is the patient alive, with knobs that it may or may not obey. Diagnose by the six
# panels: the studio has no pull and no score.
#
# ## Handshake
#
# Is the healthy one our search? Three steps of both.

# %%
patient, library = healthy(), healthy()
for _ in range(3):
    patient.step(), Search.step(library)
    assert torch.allclose(patient.lab.alphas.alpha, library.lab.alphas.alpha, atol=1e-6)
print("the same α after three steps")

# %% [markdown]
# ## The suspects
#
# Eight faults, in the order of the alphabet. Six are at work below, two are innocent. Your diagnosis is a name from
# this list, as text.

# %%
for name, (what, _) in SUSPECTS.items():
    print(f"{name:18}{what}")

# %%
predict("bug.leak", "Test images slipped into the training images. Which panel would show it?",
        ["Loss: normals", "Score: normals", "Gates", "none of them"])

# %% [markdown]
# ## Patient 1
#
# The search ends with a cloud of maybes.

# %%
patient_1 = run(buggy(1))
examine(patient_1, well, "Patient 1")

# %% tags=["exercise"]
# your turn: about 1 line
diagnosis_1 = "ramp"
# end

# %%
check("bug.1", diagnosis_1)

# %% [markdown] tags=["hint"]
# Two panels differ from the healthy search. Start with the one that is a setting and no result.

# %% [markdown] tags=["hint"]
# Look at the dotted line: which value does λ have at the end?

# %% [markdown]
# <details><summary>After your diagnosis: the line, its repair, and where it happened</summary>
#
# ```python
# value = self.config.entropy_weight(self.step_number, 20_001)     # the length of another run
# ```
#
# Repaired:
#
# ```python
# value = self.config.entropy_weight(self.step_number, self.config.steps)
# ```
#
# A ramp that is counted in the steps (or epochs) of another run never comes to its value in this one. The released
# MTL-NAS code can ramp λ over any part of a run; its configurations leave the ramp out, and λ is 10 from the first step
# on. Whoever shortens a run for a trial should look whether the schedules were shortened too.
#
# </details>

# %% [markdown]
# ## Patient 2
#
# The gates know early what they want. Is that good news?

# %%
patient_2 = run(buggy(2))
examine(patient_2, well, "Patient 2")

# %% tags=["exercise"]
# your turn: about 1 line
diagnosis_2 = "same batch"
# end

# %%
check("bug.2", diagnosis_2)

# %% [markdown] tags=["hint"]
# The losses and the scores are fine, λ works. What is odd happens before λ begins.

# %% [markdown] tags=["hint"]
# In the panel of the tasks' pull: how often does a line change sides? What would make every batch say the same?

# %% [markdown]
# <details><summary>After your diagnosis: the line, its repair, and where it happened</summary>
#
# ```python
# image, targets = next(iter(loader))          # a new iterator at every step: its first batch, for ever
# ```
#
# Repaired:
#
# ```python
# image, targets = next(batches)               # one iterator, made once and gone on with
# ```
#
# Fixed in a published DARTS-style search: [tinyml-tensorlab, pull request
# 15](https://github.com/TexasInstruments/tinyml-tensorlab/pull/15). It is a fault only where the loader does not
# shuffle: with a shuffling one the same line draws another batch each time, though an epoch then does not go through
# all images. [darts, issue 8](https://github.com/quark0/darts/issues/8) has that discussion.
#
# </details>

# %% [markdown]
# ## Patient 3
#
# Hardly anything is as it should be.

# %%
patient_3 = run(buggy(3))
examine(patient_3, well, "Patient 3")

# %% tags=["exercise"]
# your turn: about 1 line
diagnosis_3 = "learning rates"
# end

# %%
check("bug.3", diagnosis_3)

# %% [markdown] tags=["hint"]
# The gates stand still though the tasks pull, and harder than usual. The losses jump at the very start. One cause is
# enough.

# %% [markdown] tags=["hint"]
# Who moves too little, who moves too much? Which two numbers would do both if they changed places?

# %% [markdown]
# <details><summary>After your diagnosis: the line, its repair, and where it happened</summary>
#
# ```python
# group["lr"] = weight_lr      # in α's optimiser; and alpha_lr in the optimiser of w
# ```
#
# Repaired:
#
# ```python
# for group in self.alpha_optimizer.param_groups:
#     group["lr"] = alpha_lr
# ```
#
# A near relative is in the released MTL-NAS code: with the schedule `Step` the scheduler that is made for α wraps the
# optimiser of *w*, whose learning rate then falls twice, while that of α never does (with the shipped setting no
# scheduler touches α at all). Two optimisers in one loop: print both learning rates.
#
# </details>

# %% [markdown]
# ## Patient 4
#
# Again a cloud of maybes. Lay the picture beside that of patient 1.

# %%
patient_4 = run(buggy(4))
examine(patient_4, well, "Patient 4")

# %% tags=["exercise"]
# your turn: about 1 line
diagnosis_4 = "dead penalty"
# end

# %%
check("bug.4", diagnosis_4)

# %% [markdown] tags=["hint"]
# λ does what it should. Does anybody listen?

# %% [markdown] tags=["hint"]
# The gates are those of patient 1, to the last digit: to α it is as if λ were 0. The term is in the loss; what is not
# in it?

# %% [markdown]
# <details><summary>After your diagnosis: the line, its repair, and where it happened</summary>
#
# ```python
# penalty = weight * entropy(alpha.detach())     # or .item(), or .data, or numbers from NumPy
# ```
#
# Repaired:
#
# ```python
# penalty = weight * entropy(alpha)
# ```
#
# A resource penalty without gradient is another of the six faults fixed in [tinyml-tensorlab, pull request
# 15](https://github.com/TexasInstruments/tinyml-tensorlab/pull/15). A one-line test finds it: ask for the gradient of
# the penalty alone.
#
# </details>

# %% [markdown]
# ## Patient 5
#
# The entropy falls, the gates decide, the losses are those of the healthy search to the last digit. And yet.

# %%
patient_5 = run(buggy(5))
examine(patient_5, well, "Patient 5")

# %% tags=["exercise"]
# your turn: about 1 line
diagnosis_5 = "stale statistics"
# end

# %%
check("bug.5", diagnosis_5)

# %% [markdown] tags=["hint"]
# Only the scores are bad, and one of the two curves is not. What does recalibrating repair?

# %% [markdown] tags=["hint"]
# Training normalises each batch by its own mean and variance; evaluation uses something that is kept from step to step.

# %% [markdown]
# <details><summary>After your diagnosis: the line, its repair, and where it happened</summary>
#
# ```python
# module.momentum = 0.0          # running = (1 − 0) · running + 0 · batch: it never moves
# ```
#
# Repaired:
#
# ```python
# module.momentum = 0.05         # as in the released code
# ```
#
# The mild form is in every search of this kind: the statistics are an average over soft gates of two sorts, while
# evaluation uses hard gates. The released MTL-NAS code evaluates without recalibrating; notebook 07 measures what that
# costs. The same symptom comes from training in evaluation mode, and from freezing batch norm by hand.
#
# </details>

# %% [markdown]
# ## Patient 6
#
# A decided graph, a fair score. Who decided? (One thing is otherwise on purpose, and is not the fault: here α, too, is moved under
# *stochastic* gates, as the studio of notebook 06 calls them.)

# %%
patient_6 = run(buggy(6))
examine(patient_6, well, "Patient 6")

# %% tags=["exercise"]
# your turn: about 1 line
diagnosis_6 = "temperature"
# end

# %%
check("bug.6", diagnosis_6)

# %% [markdown] tags=["hint"]
# From some step on the lines of one panel lie on 0, long before the gates have closed.

# %% [markdown] tags=["hint"]
# The tasks' pull is exactly 0, and the gates stand still until λ moves them. Which function of α has gradient 0 nearly
# everywhere?

# %% [markdown]
# <details><summary>After your diagnosis: the line, its repair, and where it happened</summary>
#
# ```python
# gates = sigmoid((alpha + noise) / temperature)     # temperature: 1, ½, ¼, … without an end
# ```
#
# Repaired:
#
# ```python
# gates = sigmoid((alpha + noise) / max(temperature, 0.05))     # a floor
# ```
#
# In the released MTL-NAS code the temperature of the sampled gates falls to exactly 0 at the end of the run; with
# sampled gates in the update of α, 91 % of their gradients are below 10⁻⁶ at step 18,000 of 20,001, and all are 0 from
# about step 19,900 on (measured by running its modules). There it comes late; here it comes early, and what the tasks
# had said in the first ten steps is all that λ amplifies.
#
# </details>

# %% [markdown]
# ## The innocent

# %%
reveal("bug.leak", "none of them", "Losses come from training images and scores from validation images: both are as "
                                   "always. Only the "
       "test score, later, is too good, and a good score alarms nobody.")

# %% [markdown]
# In the released MTL-NAS code the list that is called `val`, and that is looked at every 1,000 steps, is the test list.
# Whatever was tuned on it was tuned on the test images. No panel can say so: only the code that loads the data can.
# This lab keeps three packs apart, and a search sees `train` alone.
#
# The other innocent, *mirror*, is in the released code too: an image is mirrored, its normals are mirrored, but the
# sign of n_x is not. What would you see? (One loss too high, and the other one healthy.)
#
# ## Your turn, without a check: the seventh patient
#
# Break something yourself, in a class of a few lines, and hand it to your neighbour:
#
# ```python
# from mtlnas_lab.course.bug_hunt import Healthy
#
# class Patient7(Healthy):
#     def penalty(self, alpha):
#         return -super().penalty(alpha)
# ```
#
# Ideas: half of α's images are w's · only one task pulls on α · an edge is forced and nobody knows · gates are rounded.
#
# ## What we know now
#
# * A fault in a search shows in *which* numbers are odd together: λ without entropy, gates without pulls, scores
#   without losses.
# * Look at settings as they were *used* (λ, learning rates), at gradients, and at scores in more than one way.
# * Some faults show nowhere. Only care helps against a leak; the control of notebook 07 helps against "it found a graph,
#   so it works".
#
# These symptoms are of one small search under one seed, and far from subtle; in a long run a fault may hide for days.
#
# Words are in the [glossary](../docs/glossary.md). Next: [10](10_when_is_there_something_to_find.ipynb), when there is something to find at all.

# %% [markdown] tags=["teacher"]
# **Closing question:** which of the six would still give a publishable table? (2, 5 recalibrated, 6, and the leak. That
# is the point.)
