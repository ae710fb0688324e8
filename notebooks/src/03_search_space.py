# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The search space: everything that lies between
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** Sharing nothing and sharing everything are two designs. What lies between are the ways to let features
# cross from one network to the other, here or there, from this depth to that. A *search space* is a list of
# everything that is allowed; a search can find nothing else. Whoever writes the list has decided a good part of the
# result, so it should be short, plain, and know nothing about the tasks. In this notebook you write it yourself in
# four little rules, count it, and find out what each rule does, what "task-agnostic" means exactly, and in which
# order it all can be computed.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from networkx.algorithms.isomorphism import DiGraphMatcher, categorical_edge_match, categorical_node_match

from mtlnas_lab import Run, presets
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.core.space import Edge, Node, SearchSpace, not_deeper, other_task, paper_rules, plan, same_group, within
from mtlnas_lab.viz import fusion_graph, plot_fusion_graph, plot_heatmap
from mtlnas_lab.widgets.explorers import SpaceExplorer

# %% [markdown] tags=["teacher"]
# **Teacher: nodes, edges, rules, 12 minutes.** Draw two rows of 13 dots; let the class draw arrows that make no sense
# (back in time, into themselves) and say which rule forbids them. Usual misunderstanding: an edge replaces the
# network's own way. It does not; every stage still reads the stage before it.

# %% [markdown]
# ## Nodes and edges
#
# Two backbones of 13 stages, in groups of 2, 2, 3, 3, 3 (`02_backbones`). A **node** is the place behind one stage of
# one network; we write `normals:3`. A **candidate edge** (or *fusion edge*) brings the features of its *source* node to its *target*
# node, where they are mixed into what is there. How many could there be? By hand, with plain tuples:

# %%
groups, tasks = [2, 2, 3, 3, 3], ["segmentation", "normals"]
group_of = [number for number, size in enumerate(groups) for _ in range(size)]    # of each stage: 0 0 1 1 2 2 2 …
nodes = [(task, stage) for task in tasks for stage in range(13)]
pairs = [(source, target) for target in nodes for source in nodes]
print(len(nodes), "nodes,", len(pairs), "pairs of a source and a target")


# %% [markdown]
# Most of them make no sense. A **rule** looks at a source and a target and says whether an edge may be:
#
# * `other`: edges run between networks; inside one, features flow anyway.
# * `not_back`: the source is not deeper than the target, so that one pass computes everything.
# * `group`: both stages are in groups of the same number, where features are alike and maps have one size.
# * `near`: the target is less than three stages deeper, which keeps the list short.

# %%
def other(source, target):
    return source[0] != target[0]


def not_back(source, target):
    return source[1] <= target[1]


def group(source, target):
    return group_of[source[1]] == group_of[target[1]]


def near(source, target):
    return target[1] - source[1] < 3


predict("03.alone", "Take each rule by itself. Which of the four lets the fewest of the 676 pairs pass?",
        ["other", "not_back", "group", "near"])

# %%
by_itself = {rule.__name__: sum(rule(*pair) for pair in pairs) for rule in (other, not_back, group, near)}
edges = [(source, target) for source, target in pairs
         if all(rule(source, target) for rule in (other, not_back, group, near))]
into = {task: sum(target[0] == task for _, target in edges) for task in tasks}
print(f"All four rules together allow {len(edges)} pairs: {into['segmentation']} enter segmentation, {into['normals']} enter normals.")
reveal("03.alone", min(by_itself, key=by_itself.get),
       "By itself each lets so many pass: " + ", ".join(f"{name} {count}" for name, count in by_itself.items()) + ".")

# %% [markdown]
# **Handshake.** The library's space needs nothing of the networks but their plans. Its rules have the same form, with
# the plans as a third argument, and come together in `paper_rules()`:

# %%
vgg16 = plan([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6, groups)
plans = {task: vgg16 for task in tasks}
space = SearchSpace.build(plans, rules=(other_task, not_deeper, same_group, within(3)))

by_hand = {Edge(Node(*source), Node(*target)) for source, target in edges}
assert by_hand == set(space.edges) == set(SearchSpace.build(plans, paper_rules()).edges)
print(space)
print(*space.edges[:4], "…", sep="\n")

# %%
plot_fusion_graph(space, style="web-light", title="48 candidate edges").figure

# %% [markdown]
# *Reading aid: a row is a network, read from left to right; shaded boxes are groups. Every arrow is one candidate.
# The order of `space.edges` (by target, then by source) is the order of every vector in this lab: entry 7 of α is
# edge 7.*
#
# ### Your turn: how many enter?
#
# How many edges enter a stage that is number `index` (from 0) of its group, from one other network?

# %% tags=["exercise"]
def entering(index, limit):
    """index of the target inside its group, from 0; at most the last `limit` stages may be read; a number."""
    # your turn: about 1 line
    return min(index + 1, limit)
    # end


# %%
check("03.entering", entering)

# %% [markdown] tags=["hint"]
# Write down the possible sources of indices 0, 1, 2, 3 in a long group. A stage may read its twin, the stage of its
# own number.

# %% [markdown] tags=["hint"]
# The sources are index, index − 1, …, down to 0, but at most `limit` of them.

# %% [markdown]
# ## What each rule removes

# %%
rules = {"other task": other_task, "not deeper": not_deeper, "same group": same_group, "within 3": within(3)}

def allowed(plans, rules):
    """(N, N) of True and False: may node i (row) be read by node j (column)? Nodes task by task."""
    nodes = [Node(task, stage) for task, stages in plans.items() for stage in range(len(stages))]
    return np.array([[all(rule(a, b, plans) for rule in rules) for b in nodes] for a in nodes])

# %%
figure, axes = plt.subplots(1, 5, figsize=(12, 3), layout="constrained")
for ax, count, name in zip(axes, range(5), ("all pairs", *rules)):
    table = allowed(plans, list(rules.values())[:count])
    ax.imshow(np.where(table[..., None], (69, 117, 180), (238, 238, 240)))
    ax.axhline(12.5, color="white", lw=1)
    ax.axvline(12.5, color="white", lw=1)
    ax.set_title(("and " if count > 1 else "") + f"{name}: {table.sum()}", fontsize=10)
    ax.set(xticks=(6, 19), xticklabels=tasks, yticks=(6, 19), yticklabels=[])
axes[0].set_yticks((6, 19), tasks, rotation=90, va="center")
axes[0].set(xlabel="target", ylabel="source")
axes[0].scatter([], [], marker="s", color="#4575b4", label="allowed pair (each square is a task's 13 stages)")
figure.legend(loc="outside lower center", frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: from left to right one more rule. The first clears two squares, the second cuts along the diagonal,
# the third leaves small triangles, one for each group.* The last step changes nothing, but the order is ours. Ask the other
# way round:

# %%
predict("03.left_out", "Leave out one rule and keep the other three. Without which one does the space of VGG-16 grow most?",
        list(rules))

# %%
resnet50 = dict.fromkeys(tasks, plan([256] * 3 + [512] * 4 + [1024] * 6 + [2048] * 3, [3, 4, 6, 3]))
left_out = {}
for name in ("none", *rules):
    kept = [rule for each, rule in rules.items() if each != name]
    left_out[name] = [int(allowed(p, kept).sum()) for p in (plans, resnet50)]
    print(f"without {name:12} VGG-16 {left_out[name][0]:4}    ResNet-50 {left_out[name][1]:4}")
most = max(rules, key=lambda name: left_out[name][0])
reveal("03.left_out", most, "How much a rule keeps out depends on the others. `within 3` keeps out nothing here: VGG-16's groups have at "
       "most three stages, so nothing in them is further apart. In ResNet-50, with groups of 3, 4, 6 and 3, it does.")

# %%
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
for offset, which, colour, label in ((-0.2, 0, "#4575b4", "VGG-16"), (0.2, 1, "#b35806", "ResNet-50")):
    values = [left_out[name][which] for name in left_out]
    bars = ax.bar([i + offset for i in range(5)], values, 0.38, color=colour, label=label)
    ax.bar_label(bars, fontsize=8)
ax.set_xticks(range(5), left_out)
ax.set(xlabel="rule left out", ylabel="pairs allowed", ylim=(0, 185))
ax.legend(loc="best", frameon=False)
plt.show()

# %% [markdown]
# *Reading aid: a bar above those of "none" is what the rule keeps out.* For ResNet-50's plan all four rules leave 72
# edges, 36 a direction. (This is the rule applied to the plan; the code that was released with the paper has VGG-16
# only.)

# %%
plot_heatmap(SearchSpace.build(resnet50), style="paper-double", colorbar=False, title="ResNet-50's plan: 72").figure

# %% [markdown]
# *Reading aid: one block for each direction, rows are sources, columns targets. Columns are never higher than three:
# a stage reads at most three of the other network.*
#
# ### By group, not by resolution
#
# Groups 3 and 4 of VGG-16 both have maps of 8 × 8 (for images of 64 × 64; one eighth of each side in general). So
# "same group" and "same size" are different rules.
#
# **Your turn:** write the second one. The five groups have maps of 64, 32, 16, 8 and 8 pixels.

# %% tags=["exercise"]
def same_size(source, target, plans):
    """source, target: nodes with .task and .stage; plans[task][stage].group is the number of a group; True or False."""
    # your turn: about 2 lines
    size = (64, 32, 16, 8, 8)
    return size[plans[source.task][source.stage].group] == size[plans[target.task][target.stage].group]
    # end


# %%
check("03.resolution", same_size)

# %% [markdown] tags=["hint"]
# Look up both groups first, as in `plans[source.task][source.stage].group`, then the size of their maps.

# %% [markdown] tags=["hint"]
# A tuple `(64, 32, 16, 8, 8)`, indexed by the group, twice, compared by `==`. Nothing about depth or tasks.

# %%
def by_resolution(source, target, plans):
    """The same with the library's pieces: groups 3 and 4 count as one."""
    return min(plans[source.task][source.stage].group, 3) == min(plans[target.task][target.stage].group, 3)


wider = SearchSpace.build(plans, (other_task, not_deeper, by_resolution, within(3)))
print(len(wider), "edges by resolution; more than by group:")
print(*(edge for edge in wider.edges if edge not in space.edges), sep="\n")

# %% [markdown]
# The paper's 48 are by group. Neither is wrong; but whoever compares two spaces must know which one is meant.

# %% [markdown] tags=["teacher"]
# **Teacher: rules, 12 minutes.** Let the class invent a fifth rule and predict its count before they run it. Usual
# misunderstanding: a smaller space is a worse one. It is a stronger assumption, which may be right. Edges between
# maps of different size would need a resize; the lab does that, the released code never has to.

# %% [markdown]
# ## What "task-agnostic" means
#
# Give the tasks other names: nothing happens, the graphs are the same up to labels (*isomorphic*).

# %%
alike = {"node_match": categorical_node_match(["group", "index", "channels"], [None] * 3),
         "edge_match": categorical_edge_match("kind", None)}      # a network's own way, or a candidate edge
cats = space.rename({"segmentation": "cats", "normals": "dogs"})
print(cats.edges[0], "… isomorphic:", nx.is_isomorphic(fusion_graph(space), fusion_graph(cats), **alike))

# %% [markdown]
# That is true of any graph. What is special here: *exchange* the two names, and the list of edges is the same as
# before.

# %%
exchanged = {"segmentation": "normals", "normals": "segmentation"}
print("the paper's space:", set(space.rename(exchanged).edges) == set(space.edges))

into_normals = SearchSpace.build(plans, (*paper_rules(), lambda source, target, plans: target.task == "normals"))
print("edges into normals only:", set(into_normals.rename(exchanged).edges) == set(into_normals.edges))

for name, one in (("the paper's space", space), ("edges into normals only", into_normals)):
    graph = fusion_graph(one)
    ways = list(DiGraphMatcher(graph, graph, **alike).isomorphisms_iter())
    print(f"{name}: {len(ways)} way(s) to lay the graph on itself")

# %% [markdown]
# Two ways to lay it on itself: leave it, or turn it over. So nothing in the space knows which network does what. The
# second space does: somebody has decided beforehand that normals need help and segmentation does not.
#
# ### Your turn: an edge's partner

# %% tags=["exercise"]
def partner(edge):
    """The edge that `edge` becomes when the tasks segmentation and normals exchange their names."""
    exchanged = {"segmentation": "normals", "normals": "segmentation"}
    # your turn: about 3 lines
    source = Node(exchanged[edge.source.task], edge.source.stage)
    target = Node(exchanged[edge.target.task], edge.target.stage)
    return Edge(source, target)
    # end


# %%
check("03.renamed", partner)

# %% [markdown] tags=["hint"]
# An `Edge` has a `source` and a `target`; each is a `Node(task, stage)`. Stages stay as they are.

# %% [markdown] tags=["hint"]
# Make `Node(exchanged[edge.source.task], edge.source.stage)`, the same for the target, and an `Edge` of both.

# %% [markdown]
# The *space* treats both tasks alike. What a search finds in it need not. Here is one that was recorded:

# %%
run = Run.open(presets.samples() / "runs" / "entropy")
found = dict(zip((str(edge) for edge in run.space.edges), run.log.alpha[-1] > 0))
fates = [(open_, found[str(edge)]) for edge, open_ in zip(run.space.rename(exchanged).edges, found.values())]
where = {(a, b): sum(fate == (a, b) for fate in fates) for a in (True, False) for b in (True, False)}
print(f"{sum(found.values())} edges open; of 24 pairs of partners {where[True, True] // 2} are both open, "
      f"{where[False, False] // 2} both closed, {where[True, False]} differ")

# %% [markdown] tags=["teacher"]
# **Teacher: names, 10 minutes.** The trap of this section: *any* graph is isomorphic to itself under new names. Ask
# what the claim "task-agnostic" adds (the exchange is an automorphism). One run does not tell whether a difference
# between partners is a finding or chance.

# %% [markdown]
# ## In which order?
#
# `segmentation:3` may read `normals:3`, and `normals:3` may read `segmentation:3`. Who goes first?

# %%
graph = fusion_graph(space)
circles = list(nx.simple_cycles(graph, length_bound=2))
print("a graph without cycles:", nx.is_directed_acyclic_graph(graph), "·", len(circles), "pairs that read each other")
predict("03.order", "How can a network with such pairs be computed at all?",
        ["it cannot: one of the two directions must be dropped", "by going round until nothing changes",
         "there is no cycle: an edge reads features from before the mixing"])

# %% [markdown]
# The drawing hides something. A node is *two* things: the **features** that its stage puts out, and the **fused**
# features after the edges' contents were mixed in, which the next stage gets. Edges read the former and write the
# latter:

# %%
split = fusion_graph(space, split=True)
assert nx.is_directed_acyclic_graph(split)
steps = list(nx.topological_generations(split))                   # what can be computed at the same time
for number, step in enumerate(steps[:4]):
    print(f"{number}: {', '.join(sorted(step))}")
print("…", len(steps), "rounds in all")
reveal("03.order", "there is no cycle", "In each round all nodes are ready at once: features, fused, features, fused …")

# %%
small = SearchSpace.build({task: plan([8, 8], [2]) for task in tasks})
plot_fusion_graph(small, split=True, style="web-light", title="Two stages, split: features and fused").figure

# %% [markdown]
# *Reading aid: each stage stands twice, first its features (open circle), then fused (filled). All arrows go from
# left to right, so nothing waits for something that waits for it.*
#
# ### Your turn: split an edge

# %% tags=["exercise"]
def ends(edge):
    """The two nodes of the split graph that an edge joins, called as in 'normals:3/features', 'normals:3/fused'."""
    # your turn: about 1 line
    return f"{edge.source}/features", f"{edge.target}/fused"
    # end


# %%
check("03.split", ends)

# %% [markdown] tags=["hint"]
# `f"{edge.source}"` is the source's name, as in `normals:3`. What does an edge read, and where does it write?

# %% [markdown] tags=["hint"]
# It reads features and writes into the fused ones. Try the other ways, too: the check shows who then waits for whom.

# %% [markdown] tags=["teacher"]
# **Teacher: order, 10 minutes.** The subtle point of the space, and a good examination question: "draw the split
# graph of one stage". If edges read fused features instead, the twins of a stage would wait for each other for ever.

# %% [markdown]
# ## More tasks, other backbones
#
# Nothing above said "two". With three tasks every network may read two others. Play: choose a backbone, tasks and a
# limit, drop the group rule, take single edges out by a click. Which change makes the largest space?

# %%
explorer = SpaceExplorer(tasks=3)
explorer

# %% [markdown]
# *Reading aid: blocks are pairs of networks. **Fusion weights** are the numbers with which nodes mix what their edges
# bring (notebook 04). `explorer.space` is the space that you see, for later cells.*
#
# ### Your turn: count without listing

# %% tags=["exercise"]
def count(groups, tasks, limit):
    """groups: sizes, as in [2, 2, 3, 3, 3]; tasks: how many, with like backbones; the number of candidate edges."""
    # your turn: about 2 lines
    one_way = sum(min(index + 1, limit) for size in groups for index in range(size))
    return tasks * (tasks - 1) * one_way
    # end


# %%
check("03.count", count)

# %% [markdown] tags=["hint"]
# First one direction: add up over all stages what you found under "how many enter?".

# %% [markdown] tags=["hint"]
# Each of the tasks reads each of the others: that makes `tasks * (tasks - 1)` directions.

# %% [markdown]
# **Handshake**, by listing:

# %%
for number in (2, 3, 4, 5):
    listed = SearchSpace.build(dict.fromkeys("abcde"[:number], vgg16))
    assert len(listed) == number * (number - 1) * 24
    print(f"{number} tasks: {len(listed)} edges, 2^{len(listed)} = {2 ** len(listed):.1e} architectures")

# %% [markdown]
# Every set of open edges is an **architecture**. With 48 edges there are 2⁴⁸.

# %%
predict("03.years", "If you could train and judge one architecture every second, how long would all 2⁴⁸ take?",
        ["a month", "a century", "nine million years"])

# %%
reveal("03.years", "nine million years", f"2⁴⁸ is {2 ** 48:,} seconds, {2 ** 48 / (365.25 * 24 * 3600):,.0f} years. "
       "And no architecture is trained in a second.")

# %% [markdown]
# Trying is out of the question. But 2⁴⁸ architectures are described by only 48 numbers; if each number may lie
# *between* closed and open, gradient descent can move all of them at once. That is what the next notebooks are about.

# %% [markdown] tags=["teacher"]
# **Teacher: sizes, 6 minutes.** Ask whether a search that looks at 500 steps "has seen" the space. It has moved 48
# numbers 500 times; that it finds something good is a claim to be tested against random graphs (notebook 07).

# %% [markdown]
# ## What we know now
#
# * A search space is a list of candidate edges; four rules make the paper's 24 + 24 = 48 for VGG-16, and 72 for
#   ResNet-50's plan.
# * In VGG-16 `within(3)` removes nothing; "same group" (48) is not "same resolution" (54).
# * Task-agnostic means: exchange the tasks' names, and the space is the same. What is found in it need not be.
# * Twins read each other, and yet all is computed in one pass, because edges read features before fusion.
# * 2⁴⁸ architectures, 48 numbers.
#
# **What counting does not show**: whether the good architectures are among them. A rule that is wrong for your tasks
# removes them silently, and no search will tell you.
#
# Words are in the [glossary](../docs/glossary.md). Next: [04](04_fusion.ipynb), what happens at a node where an edge arrives.
