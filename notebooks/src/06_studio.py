# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The studio: watch the architecture collapse, and steer it
#
# *As long as you like; a whole search takes a few minutes on two CPU cores.*
#
# A search is something you can loop over. The studio loops for you, in a thread of its own, so that this notebook stays
# yours: run other cells while it works. What you see is the real search on real weights, redrawn ten times a second.

# %%
import os
from dataclasses import replace

import torch

from mtlnas_lab import Search, presets
from mtlnas_lab.experiment import scores_now
from mtlnas_lab.widgets import SearchStudio

torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))        # one core is for the browser


def fresh():
    config = replace(presets.preset("tiny").search, steps=presets.quick(200, 4), alpha_lr=0.05, evaluate_every=50)
    return Search(presets.tiny(seed=0), config, evaluate=scores_now)


# %% [markdown]
# ## Before you press Start
#
# Write down your guess: will the gates leave ½ by themselves, before the weight λ begins to grow (at 30 % of the steps)?
# And when λ grows, which edges go first: those that the tasks pull hard, or those that nobody asks for?
#
# * **Start**, **Pause**, **Step** and **Stop and keep** are buttons; space does the first two when the picture has the focus.
# * Point at an edge, in the graph, the tables or among the gates' lines: it lights up everywhere. A click keeps it, arrow keys
#   go through all of them. *tasks* is the pull of the task losses on its gate, *λH* that of the entropy term; to the right
#   means open, to the left shut.
# * The sliders follow the schedules until you move one; from the next step on the search follows you. A dotted line marks it.
# * The slider below the picture goes back in time. It changes nothing.

# %%
studio = SearchStudio(fresh, title="Rooms: segmentation + normals")
studio

# %% [markdown]
# This cell runs while the search does:

# %%
studio.log.steps[-1].entropy_fraction if studio.log.steps else "press Start"

# %% [markdown]
# Everything on the panel is also a line of Python: `studio.start()`, `studio.pause()`, `studio.turn(entropy_weight=20)`,
# `studio.turn(force={"segmentation:3 -> normals:3": True})`, `studio.architecture`. After the page was reloaded,
# `studio.show()` brings the panel back.
#
# ## Try it
#
# 1. Pull λ to its right end at the very beginning. How many steps until nothing moves any more? Which edges are open, and did
#    the tasks have a say?
# 2. *Reset*, set λ to 0 and let it run. Does the distribution beside the gates ever leave the middle?
# 3. Force one edge open that the search had shut. Which of its neighbours change their mind?
#
# ## Somebody else's search
#
# `SearchStudio("runs/demo")` follows a run folder while `make demo` writes it in a terminal, or a cluster node does; the sliders
# reach that search through the folder. `mtlnas_lab.widgets.replay_html("runs/demo")` gives the same panel as one HTML file that
# needs no kernel.
