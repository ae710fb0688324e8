# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The fusion graph for your paper
#
# *About 2 minutes on two CPU cores, no GPU and no network needed.*
#
# **Why.** A search ends in 48 numbers. What people remember is the picture: which network listens to which, and
# where. A good picture can be read without its author, survives a grey printer, says how sure the search was, and can
# be made again in a year. And before one graph is shown, somebody will ask: *would another seed have found the same?*
# This notebook draws the graph by hand, then properly, writes it as PDF and TikZ, and asks that question.
#
# The words, once more: a **node** `normals:3` is the place behind stage 3 of the normals network, an **edge** brings
# features of one network to a node of the other, its **gate** σ(α) between 0 and 1 says how much, and an edge is
# **kept** when α > 0, that is σ(α) > ½.

# %%
# %matplotlib inline
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import seaborn as sns
from IPython.display import SVG, Markdown

from mtlnas_lab import Architecture, Run, Search, presets
from mtlnas_lab.core.architecture import agreement
from mtlnas_lab.models.baselines import random_graph
from mtlnas_lab.analysis.edge_importance import ablate
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.core.lab import pick_device

# %% [markdown]
# Two searches were recorded on the shipped rooms, with the same seed and the same settings but for λ, the weight of
# the entropy term: it grows to 10 in one and stays 0 in the other.

# %%
run, free = (Run.open(presets.samples() / "runs" / name) for name in ("entropy", "no_entropy"))
found, found_free = (Architecture.from_json(one.architecture()) for one in (run, free))
space = found.space
print(f"λ = 10: {found}\nλ = 0:  {found_free}")
print("the first three edges of the first:", *found.edges[:3], sep="\n  ")

# %% [markdown] tags=["teacher"]
# **Teacher: by hand, 10 minutes.** Ask the class to draw the three edges above on paper first; most draw arrows
# between *stages of one network*, too. Usual misunderstanding: an edge is not a new layer, it feeds a 1×1 fusion that is
# there anyway.

# %% [markdown]
# ## Build it by hand
#
# A graph is nodes and pairs of nodes; networkx needs nothing else. Two chains for the backbones, and the kept edges.

# %%
graph = nx.DiGraph()
for task, stages in space.plans.items():
    nx.add_path(graph, [f"{task}:{stage}" for stage in range(len(stages))], kind="backbone")
graph.add_edges_from([(str(edge.source), str(edge.target)) for edge in found.edges], kind="fusion")

place = {str(node): (node.stage, -space.tasks.index(node.task)) for node in space.nodes}
print(graph, "· two nodes:", *list(place.items())[:2])

# %%
figure, ax = plt.subplots(figsize=(9, 2.4), layout="constrained")
for kind, colour, width in (("backbone", "0.6", 1), ("fusion", "#6f2a72", 1.6)):
    chosen = [(a, b) for a, b, data in graph.edges(data=True) if data["kind"] == kind]
    nx.draw_networkx_edges(graph, place, chosen, edge_color=colour, width=width, ax=ax)
    ax.plot([], [], color=colour, lw=width, label=kind)
for task, colour in zip(space.tasks, ("#9cc0e8", "#f0b45f")):
    nodes = [str(node) for node in space.nodes if node.task == task]
    nx.draw_networkx_nodes(graph, place, nodes, node_color=colour, node_size=260, label=task, ax=ax)
nx.draw_networkx_labels(graph, place, {node: node.split(":")[1] for node in graph}, font_size=8, ax=ax)
ax.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.02))
ax.set_axis_off()

# %% [markdown]
# *Reading aid: each lane is one network, the image enters at the left; a purple arrow brings features across.*
#
# **Handshake.** The library builds the same graph:

# %%
from mtlnas_lab.viz import fusion_graph, plot_fusion_graph

theirs = fusion_graph(run, dropped=False)
assert set(graph) == set(theirs) and set(graph.edges) == set(theirs.edges)
assert all(graph.edges[edge]["kind"] == theirs.edges[edge]["kind"] for edge in graph.edges)
print("the same", len(graph), "nodes and the same", graph.number_of_edges(), "edges")

# %% [markdown]
# It can be read, and yet no reviewer should get it. Where two tasks read *each other* at one stage, the second arrow
# covers the first. All edges look equally sure. And nobody sees that the 13 stages come in 5 **groups**, in each of
# which all maps have one size: edges never leave a group, which explains most of the picture. You mend two of these.
#
# ### Your turn: where the nodes stand
#
# x counts stages, plus 0.55 for each group that came before; y is 0 for the first task and goes down by 1 for each
# further one. `space.nodes` lists the nodes, `space.stage(node).group` counts groups from 0.

# %% tags=["exercise"]
def place_by_hand(space):
    """{"segmentation:0": (x, y), …} for every node of a space."""
    # your turn: about 2 lines
    return {str(node): (node.stage + 0.55 * space.stage(node).group, -space.tasks.index(node.task))
            for node in space.nodes}
    # end


# %%
check("08.place", place_by_hand)

# %% [markdown] tags=["hint"]
# A dictionary comprehension over `space.nodes`; the key is `str(node)`, the stage is `node.stage`.

# %% [markdown] tags=["hint"]
# `space.tasks.index(node.task)` numbers the lanes; y is minus that, for y grows upwards.

# %% [markdown]
# ### Your turn: arrows both ways
#
# An arrow from (x₀, y₀) to (x₁, y₁) becomes a curve that is pulled towards one **control point**: the middle of both
# ends, moved to the *left* of the arrow's direction (dx, dy) = (x₁ − x₀, y₁ − y₀). Left of (dx, dy) is (−dy, dx);
# move by `by` times that. The arrow back has its own left, and there lies the trick.

# %% tags=["exercise"]
def bend(start, end, by):
    """The control point (x, y) of the curve from start (x, y) to end (x, y)."""
    (x0, y0), (x1, y1) = start, end
    # your turn: about 1 line
    return (x0 + x1) / 2 - by * (y1 - y0), (y0 + y1) / 2 + by * (x1 - x0)
    # end


# %%
check("08.bend", bend)

# %% [markdown] tags=["hint"]
# The middle is ((x₀ + x₁) / 2, (y₀ + y₁) / 2). What do you add to its x, what to its y?

# %% [markdown] tags=["hint"]
# With dx = x₁ − x₀ and dy = y₁ − y₀, x gets −by · dy and y gets +by · dx.

# %% [markdown]
# ## Play: read one
#
# The library does both, and makes the sure edges wide and strong. This is the λ = 10 search with all its candidates:

# %%
plot_fusion_graph(run, style="web-light").figure

# %% [markdown]
# *Reading aid. **Lanes** are networks, shaded blocks are groups of stages. **Width and strength** grow with σ(α).
# **Solid** edges are kept, faint dashed ones were candidates and are closed: what was not chosen is part of the
# result. Two arrows between the same two stages, bent apart, are two networks that read each other.*

# %%
predict("08.circles", "A cycle is a way along arrows (a network's own ones, too) that comes back to where it began. Of the 26 nodes in "
        "this drawing, how many lie on a cycle of kept edges?", between=(0, 26))

# %% [markdown]
# An edge reads the features of its source **before** fusion there, and what it brings is mixed into its target's features
# **before** the target's next stage reads them (notebooks 03 and 04). Does a cycle matter, then?
# Split each node in these two, *features* and *fused*, and look whether the graph has cycles:

# %%
whole, halves = fusion_graph(run, dropped=False), fusion_graph(run, dropped=False, split=True)
for name, one in (("nodes as drawn above", whole), ("each node split in two", halves)):
    print(f"{name}: {len(one)} nodes, without cycles: {nx.is_directed_acyclic_graph(one)}")
on_cycles = {node for cycle in nx.simple_cycles(whole) for node in cycle}
reveal("08.circles", len(on_cycles), "No edge leads to a shallower stage, so a cycle can only join two stages of one depth that read each "
       "other. The drawing has such cycles, the computation has none: both read before either is changed.")

# %%
plot_fusion_graph(run, split=True, dropped="hide", style="paper-double").figure

# %% [markdown]
# *Reading aid: edges leave from the open circles (features, what a stage puts out) and end in the filled ones (fused
# features, what goes on): nothing runs to the left.*

# %% [markdown] tags=["teacher"]
# **Teacher: reading, 10 minutes.** Cover the legend, let pairs explain one edge to each other in a full sentence.
# Usual misunderstandings: "wide means many channels" (no, σ(α)); "solid and faint means weak" (faint dashed is
# closed: exactly 0 in the network that is used); "the network is recurrent" (see the split).

# %% [markdown]
# ## Look: one graph, several pages
#
# A style is a page: its width in mm and its text in points. Give the width your figure has on the page; a figure that
# is scaled afterwards has scaled text.

# %%
from mtlnas_lab.viz import STYLES

for name, look in STYLES.items():
    print(f"{name:13} {look.width:4.0f} mm   text {look.font:g} and {look.small:g} pt   {'dark' if look.dark else ''}")

# %%
plot_fusion_graph(run, style="paper-single", title="One column of a paper").figure

# %% [markdown]
# In JupyterLab the next one is a **figure studio**: choose page and emphasis, drag nodes, take the files. What it
# shows is also a call, which belongs in the script that makes your paper's figures:

# %%
from mtlnas_lab.widgets import FigureStudio

studio = FigureStudio(run, style="paper-double", dropped="hide", color="source", labels="channels",
                      title="Two columns: kept edges alone, coloured by their source")
studio

# %%
print(studio.code)

# %% [markdown]
# *Reading aid: the same edges each time; only page and emphasis change. Colours are told apart by colour-blind eyes
# and by their grey alone. For a talk take `style="slide", threshold=0.5, legend=False`: fewer things, larger ones.*
#
# ## Files
#
# PDF for LaTeX, SVG for an editor, PNG for a chat, TikZ to be typeset with your own fonts, HTML to be pointed at. A
# temporary folder here; `mtlnas-lab figure RUN --format pdf,tikz --style paper-single --out figures` does it from a
# terminal.

# %%
from mtlnas_lab.viz import provenance, refigure, save_figure, save_fusion_graph

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
files = save_fusion_graph(run, folder, formats=("pdf", "svg", "png", "tikz", "html"))
for file in files:
    print(f"{file.name:20} {file.stat().st_size / 1000:6.0f} kB")
print("in LaTeX: \\input{fusion_graph.tikz}, with \\usepackage{tikz}; fusion_graph.tex is a page of its own")

# %%
predict("08.remembers", "A colleague mails you fusion_graph.pdf and nothing else. What can you still get from it?",
        ["only the picture", "the picture and its seed", "seed, settings' hash, versions, and every number drawn"])

# %% [markdown]
# The files carry **provenance** (where they come from) and the figure's numbers. `refigure` reads them back, from any
# of the formats, and you draw it again your way:

# %%
mailed = refigure(folder / "fusion_graph.pdf")
same = fusion_graph(run)
assert dict(mailed.graph.edges) == dict(same.edges)
facts = provenance(run)
print({name: facts[name] for name in ("run", "config", "seed", "step")})
slide = replace(mailed, style="web-dark", dropped="hide", title="Out of a PDF, for a dark page")
print(*[file.name for file in save_figure(slide, folder / "again", ("svg",))])
reveal("08.remembers", "seed, settings' hash, versions, and every number drawn",
       "So do not send figures of secret runs.")

# %%
SVG(folder / "again.svg")

# %% [markdown]
# *Reading aid: this is not a copy of a picture but the SVG file itself: zoom in, point at an edge, select its text.*
#
# A caption can be made of facts, too. What a reader needs to judge the picture:

# %%
last, weight = run.log.steps[-1], run.config["search"]["entropy_weight"]["end"]
print(f"Fusion graph between {' and '.join(space.tasks)} after {last.step} steps (λ grows to {weight:g}, seed "
      f"{facts['seed']}). {len(found)} of {len(space)} candidate edges are kept; mean entropy of the gates "
      f"{last.entropy_fraction:.3f} of ln 2. Width and strength: σ(α). One run; Figure N shows other seeds.")

# %% [markdown] tags=["teacher"]
# **Teacher: files, 8 minutes.** Open the HTML file and the PDF side by side, zoom to 400 %. Ask who could make again
# the figures of their last report. Point out `refigure`: the figure outlives the code that made it.

# %% [markdown]
# ## Would another seed have found the same?
#
# Four short searches from the same trained networks. Only the **seed** differs: which images go to which half, in
# which order, and what noise the gates get. Honestly: 30 steps with a batch of 4, and α moves five times as fast as
# in the recorded search. That is what fits into a minute, and it decides edges hastily.

# %%
predict("08.same", "Of the edges that one seed keeps, how many percent does another seed keep, too?", between=(0, 100))

# %%
trained = presets.tiny().to(pick_device("auto"))

def short_search(seed):
    """(the lab after a hurried search, what it found)."""
    lab = trained.copy()
    config = presets.with_budget(presets.preset("tiny").search, steps=presets.quick(30, 4), alpha_lr=0.1, batch_size=4,
                                 seed=seed)
    for _ in Search(lab, config):
        pass
    return lab, lab.derive()

labs = {seed: short_search(seed) for seed in (1, 2, 3, 4)}
seeds = {f"seed {seed}": architecture for seed, (_, architecture) in labs.items()}
kept = np.array([architecture.kept for architecture in seeds.values()])          # (4 runs, 48 edges)
print(*[f"{name}: {architecture}" for name, architecture in seeds.items()], sep="\n")

# %% [markdown]
# ### Consensus by hand
#
# The share of the runs that keep an edge: one mean over the runs. It becomes the width in the **consensus graph**.

# %%
from mtlnas_lab.viz import consensus_graph, stability

share = kept.mean(0)
consensus = consensus_graph(list(seeds.values()))
assert all(consensus.edges[str(e.source), str(e.target)]["probability"] == p for e, p in zip(space.edges, share))
plot_fusion_graph(consensus, style="paper-double", title="Four hurried searches: how many of them keep an edge").figure

# %% [markdown]
# *Reading aid: here width is not a gate but a frequency: a wide strong edge was kept by all four, a faint dashed one by
# half of them or fewer.*

# %%
pairs = [(a, b) for a in seeds.values() for b in seeds.values() if a is not b]
again = 100 * np.mean([agreement(a, b)["both"] / max(len(a), 1) for a, b in pairs])
reveal("08.same", f"{again:.0f} %", "Before you call that much or little: how many would two random graphs share?")

# %% [markdown]
# ### Your turn: what chance gives
#
# Two random graphs, one with `a` of the E candidate edges, one with `b`. How many edges do both have, on average?

# %% tags=["exercise"]
def overlap(a, b, candidates):
    """The expected number of edges in both."""
    # your turn: about 1 line
    return a * b / candidates
    # end


# %%
check("08.overlap", overlap)

# %% [markdown] tags=["hint"]
# Take one edge of the first graph. With which chance is it one of the `b` edges that the second has, out of all
# candidates?

# %% [markdown] tags=["hint"]
# That chance is b / candidates, for each of the a edges; expected numbers add up.

# %% [markdown]
# ### Your turn: one number for agreement
#
# **Stability** (Nogueira and others, 2018) of N runs compares how much each edge varies over the runs with how much
# it would if only the number of edges were fixed:
#
# $$\text{stability} = 1 - \frac{\text{mean over the edges of } s_e^2}{q\,(1 - q)}$$
#
# where $s_e^2$ is the variance over the N runs of "is edge e kept?" (0 or 1), with N − 1 below the line, and $q$ the
# share of kept edges over all runs and edges. It is 1 when all runs agree, and 0 on average for random graphs.

# %% tags=["exercise"]
def stability_by_hand(kept):
    """kept: (N runs, E edges) of True and False; a number."""
    # your turn: about 2 lines
    q = kept.mean()
    return 1 - kept.var(0, ddof=1).mean() / (q * (1 - q))
    # end


# %%
check("08.stability", stability_by_hand)

# %% [markdown] tags=["hint"]
# `kept.mean()` is q. `kept.var(0)` is the variance of each edge over the runs, with N below the line.

# %% [markdown] tags=["hint"]
# numpy's `var` has `ddof=1` for N − 1. Then the mean over the edges, divided by q (1 − q), and 1 minus all that.

# %% [markdown]
# ### Ours against chance
#
# Draw four random graphs with just as many edges as ours, compute their stability, and do so 300 times:

# %%
sizes = [len(architecture) for architecture in seeds.values()]
ours = stability(list(seeds.values()))["stability"]
chance = [stability([random_graph(space, size, 10 * draw + i) for i, size in enumerate(sizes)])["stability"]
          for draw in range(presets.quick(300, 20))]

figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
sns.histplot(x=chance, ax=ax, color="#9aa2b1", bins=12, label="four random graphs of these sizes")
ax.axvline(ours, color="#c9452f", lw=3, label=f"our four searches: {ours:.2f}")
ax.set(xlabel="stability (1: all agree, 0: chance)", ylabel="number of draws", xlim=(-0.2, 1.02))
legend = ax.legend(frameon=False, loc="upper right")

# %% [markdown]
# *Reading aid: the grey heap is what agreement looks like when nothing was learnt; the line is us.*

# %%
luck = np.mean(np.array(chance) >= ours)
verdict = "more than" if luck < 0.05 else "no more than"
print(f"Our four searches agree {verdict} random graphs do ({luck:.0%} of the draws reach their stability).")
print(f"A wide strong edge of the consensus graph was kept by all four: {int((share == 1).sum())} of them, where chance "
      f"gives {len(space) * np.prod(np.array(sizes) / len(space)):.1f}.")

# %% [markdown]
# A consensus graph of hurried searches is a picture of haste. Before you print a consensus, run the real search under
# several seeds (`mtlnas-lab search --seed 1 --out runs/seed-1`, and so on), and print this number with it.

# %% [markdown]
# ### And searches that took their time?
#
# The shipped study `main` has five full searches under five seeds, 200 steps each. The same question, the same answer?

# %%
from mtlnas_lab.analysis.results import StudyResults
from mtlnas_lab.analysis.study import Study

main = StudyResults.read(Study.load("main"), presets.samples() / "studies" / "main-small")
patient = [Architecture(space, tuple(c == "1" for c in kept)) for kept in main.runs[main.runs.row == "mtlnas"].kept]
print(f"{len(patient)} searches, stability {stability(patient)['stability']:.2f}")
print(next(line for line in main.sentences if line.startswith("mtlnas: graphs")))
plot_fusion_graph(consensus_graph(patient), style="paper-double", title="Five searches of 200 steps: how many keep an edge").figure

# %% [markdown]
# *Reading aid: as above; **Jaccard** overlap is the edges in both graphs over the edges in either: 1 for equal graphs.* Where
# it is more than chance, the searches have something in common: the tasks, or only the trained networks from which all of
# them began. Whether what they agree on is also *better* is another question, and notebook 07 has the answer of the same study.

# %% [markdown] tags=["teacher"]
# **Teacher: seeds, 15 minutes.** The heart of this notebook. Ask for the guess before, then let the chance level
# spoil the satisfaction: sharing 40 to 50 % of the edges is what two random graphs of half the candidates do. Usual
# misunderstanding: "low stability means the networks are bad"; different graphs can score alike, which a study has to
# measure.

# %% [markdown]
# ## What did λ change? A difference graph
#
# Back to the recorded pair, λ = 10 and λ = 0. A comparison is worth something when only one thing differs. Here λ
# grows from step 150 on, so up to there both searches should be *the same*, number by number:

# %%
apart = np.abs(run.log.alpha - free.log.alpha).max(1)              # (500,) largest difference of any α
first = int(np.flatnonzero(apart)[0]) + 1
print(f"first step at which any α differs: {first}; at the end the largest difference is {apart[-1]:.1f}")
print(f"edges in both: {agreement(found, found_free)['both']}, in one alone: {agreement(found, found_free)['flips']}; "
      f"two random graphs of these sizes would share {len(found) * len(found_free) / len(space):.1f}")

# %%
from mtlnas_lab.viz import difference_graph

difference = difference_graph(run, free, names=("λ = 10", "λ = 0"))
plot_fusion_graph(difference, dropped="hide", style="paper-double",
                  title="What the entropy term changed, everything else equal").figure

# %% [markdown]
# *Reading aid: thin grey edges are in both, wide ones in one alone: the red ones with λ = 10, the others with λ = 0.* The agreement
# is not a proof that these edges are good: the two searches shared their first 150 steps, their images and their
# noise. To compare λ = 10 with λ = 0 in general needs several such pairs.
#
# ### Your turn: this figure for a column of 120 mm
#
# Write the *difference graph* as PDF and TikZ into `folder`, 120 mm wide, without the edges that neither search
# keeps. `save_fusion_graph` takes a graph for a source and the same settings as `plot_fusion_graph`; what it returns
# is the answer.

# %% tags=["exercise"]
# your turn: about 2 lines
column = save_fusion_graph(difference, folder, formats=("pdf", "tikz"), name="difference", width=120, dropped="hide",
                           style="paper-double")
# end

# %%
check("08.column", column)

# %% [markdown] tags=["hint"]
# The formats are `("pdf", "tikz")`, and `dropped="hide"` leaves out what neither keeps. Give it a `name`, or it
# replaces fusion_graph.pdf.

# %% [markdown] tags=["hint"]
# `width=120` is in mm and overrides the style's own; the text keeps the style's size.

# %% [markdown]
# ## The search as a strip of film
#
# One layout for all moments, so that the eye sees only what changes. (`mtlnas_lab.viz.animate` makes a GIF of it.)

# %%
from mtlnas_lab.viz import filmstrip
from mtlnas_lab.viz.graph.shapes import draw

draw(filmstrip(run, pictures=4, columns=2).scene()).figure

# %% [markdown]
# *Reading aid: first everything is half open. λ grows from step 150 on, so the second picture shows what the tasks alone have
# done: a few edges have grown stronger or weaker. In the third the entropy term has decided nearly all, in the last the rest.*
#
# ## In words, and what an edge is worth
#
# For the appendix: a row for each kept edge; p is its σ(α). `ablate` turns one kept edge off at a time, with the weights as they
# are, and says what the scores lose; it needs weights, which recorded runs do not ship, so this is the hurried search
# with seed 1, on 40 validation images. Here are the first four rows; `to_latex(rows)` of the same module writes all for LaTeX.

# %%
import torch

from mtlnas_lab.data.loader import sequential
from mtlnas_lab.analysis.edge_table import explain, to_markdown

lab, architecture = labs[1]
few = lab.data["val"].subset(torch.arange(presets.quick(40, 8)))
changes = ablate(lab, architecture, lambda: sequential(few, lab.tasks, 40))
short = {edge: {task: {name: values[name] for name in ("miou", "mean_angle") if name in values}
                for task, values in of.items()} for edge, of in changes.items()}
rows = explain(architecture, ablations=short)
Markdown(to_markdown(rows[:4]))

# %%
angle = np.array([row.changes["normals"]["mean_angle"] for row in rows])
miou = 100 * np.array([row.changes["segmentation"]["miou"] for row in rows])
into = np.array([row.edge.target.task for row in rows])
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
sns.scatterplot(x=angle, y=miou, hue=into, style=into, palette=["#2262ad", "#f0a236"], hue_order=space.tasks,
                style_order=space.tasks, s=60, ax=ax)
ax.axhline(0, color="0.6", lw=1)
ax.axvline(0, color="0.6", lw=1)
ax.set(xlabel="mean angle without the edge − with it (degrees)", ylabel="mIoU without − with\n(points)")
ax.legend(loc="best", title="edge into", frameon=False)

# %% [markdown]
# *Reading aid: a dot is an edge. To the right, normals got worse without it; below 0, segmentation got worse without
# it. Upper left: the network would do better without.*

# %%
own = {task: np.abs((angle if task == "normals" else miou)[into == task]).mean() for task in space.tasks}
across = {task: np.abs((angle if task == "normals" else miou)[into != task]).mean() for task in space.tasks}
print(f"An edge into segmentation moves its mIoU by {own['segmentation']:.2f} points on average, one into normals by {across['segmentation']:.2f}.")
print(f"An edge into normals moves their mean angle by {own['normals']:.2f}°, one into segmentation by {across['normals']:.2f}°.")
print(f"The largest changes of all: {np.abs(miou).max():.2f} points, {np.abs(angle).max():.2f}°.")
seeds = main.final[(main.final.row == "mtlnas") & (main.final.kind == main.study.kind)]
spread = seeds.groupby("metric").value.std()
print(f"Five seeds of the study's searches: standard deviation {100 * spread['miou']:.2f} points and {spread['mean_angle']:.2f}°.")

# %% [markdown]
# Are these large? The last line says how much seeds of one method differ by themselves. And what a network *leans on* today is not what it could learn to do without.
#
# ## What we know now
#
# * A fusion graph is two chains and some arrows; a figure adds places, widths, and what was not chosen.
# * Reading before fusion is why the drawing may have cycles and the computation has none.
# * A figure has a size from the start, and carries its seed, settings and numbers.
# * "Two seeds share so many edges" says nothing before chance is subtracted; stability does that.
# * Compare with one thing changed; the difference graph shows what it changed, for that pair.
#
# What this does *not* show: that a kept edge is a good edge, or how well searches agree that are longer than the study's
# 200 steps. Four hurried runs on small rooms are a way to learn the tools, not a result.
#
# Both networks see the same image here, so perhaps there was little to find. [Notebook
# 10](10_when_is_there_something_to_find.ipynb) covers one network's eyes, and asks from where on the graph says something.
# Words are in the [glossary](../docs/glossary.md). Next: [09](09_your_own.ipynb), the same with a task, a network and data of your own.
