# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Everything on one page, and your own search beside it
#
# *About 1 minute on two CPU cores, no GPU and no network needed.*
#
# **Why.** You have met many ways to find a fusion graph. Which one should you take? A paper shows its own method against a few
# others, on its own data, at its own cost. Here all of them stand on one page: **the same graphs, the same tables of the truth, the same
# purse**. And the page has an empty line: yours.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd

from mtlnas_lab.analysis.statistics import half_interval
from mtlnas_lab.analysis.statistics import holm as library_holm
from mtlnas_lab.bench.searchers import SEARCHERS, search
from mtlnas_lab.bench.table import FusionTable
from mtlnas_lab.course import check, predict, reveal
from mtlnas_lab.explore import everything
from mtlnas_lab.explore.study import Findings

study = Findings.shipped("everything")
frame = everything.frame_of(study)
tables = frame["where"].unique().tolist()
most = frame["budget"].max()

# %% [markdown] tags=["teacher"]
# **Teacher: 25 minutes with exercises.** The purse (4), the page (6), the answer by val (5), the own search (6), the correction
# (4). The one sentence to take home: a ranking of methods is a statement about a table, a cost and a judge; change one of them and it
# is another ranking.

# %% [markdown]
# ## Guess first

# %%
predict("20.methods", "Of all methods on the page, how many lose less than all edges open in at least one table?", between=(0, frame["method"].nunique()))

# %%
predict("20.held", "Of the claims “this method loses less than random search at equal cost”, on a table on which no setting was chosen, this share holds (%):",
        between=(0, 100))

# %% [markdown]
# ## One purse
#
# Cost is counted in **plain training steps**: forward pass, backward pass and update of one batch. A search that trains a graph
# pays 300 of them and 3 more for the look at the *validation* images, whose loss it hears. A search with a supernet pays 1 for a step of the weights and 2 for
# a step of weights and α; looking at a graph costs the forward passes. All have the same purse:

# %%
budgets = sorted(frame["budget"].unique())
for budget in budgets:
    graphs = int(budget / 303.4)
    print(f"{budget:5,} training steps: {graphs} {'graph' if graphs == 1 else 'graphs'} trained from the start and looked at")
spent = frame[frame["budget"] == most].groupby("method")["spent"].mean()
print("Spent of the larger one: " + ", ".join(f"{name} {value:,.0f}" for name, value in spent.round().items()))

# %% [markdown]
# ## One judge
#
# A search chooses by *validation* images; the table judges its answer by *test* images: total loss, mean over the table's seeds.
# **Regret** is how much more that is than the best graph's.
#
# ### Your turn: choose by one, be judged by the other

# %% tags=["exercise"]
def answers(seen, true):
    """seen, true: (n,), losses on val and on test of n graphs in the order of looking. Returns (n,): after each look, the answer's loss on test."""
    # your turn: about 2 lines
    best = [seen[: look + 1].argmin() for look in range(len(seen))]
    return true[best]
    # end


# %%
check("20.answers", answers)

# %% [markdown] tags=["hint"]
# After look k the answer is the graph with the least loss on val among the first k.

# %% [markdown] tags=["hint"]
# `seen[:k].argmin()` is its place (the first one, of equals); `true[place]` is what it loses.

# %% [markdown]
# **Handshake.** The library's random search, judged by its table, is your function on the same graphs:

# %%
table = FusionTable.open(tables[0])
seed = 3
order = np.random.default_rng(seed).permutation(len(table.graphs))[:9]
seen = table.values("total", split="val", seed=table.seeds[seed % len(table.seeds)])[order]
true = table.values("total")[order]
mine = answers(seen, true)
*_, (_, graph) = search(SEARCHERS["random"], table, budget=9 * 304, seed=seed)
assert mine is ... or np.isclose(mine[-1], table.values("total")[graph])                      # yours, once it is written
print(f"Nine graphs: the answer has regret {table.regret(graph):.3f}.")

# %% [markdown]
# ## The page
#
# *guess* is one graph by chance, *random* the best of as many as the purse can train; *local search* flips one edge at a time, *evolution* mutates the
# better of two. *mtlnas* is the search as released (λ = 10 from the first step), then with the *ramp* of λ, with a *warm-up* of w before α moves,
# and with *L1*. *One shot* trains all graphs at once under random gates, and scores each; *perturbation* takes away, one after the
# other, the edge that the supernet misses least. OFA² is in notebook 13, EAS in 14, warm start in 17, Arch-Graph in 18.

# %%
everything.page(frame)

# %% [markdown]
# *Reading aid: left is better, and the best over all tables is at the top. A large mark is a mean, its line the 95 % interval
# (Student's, which knows no bounds: with few searches it may reach below 0, where no regret can be); small dots are single searches. Two marks in a row are two purses. Evolution begins with five random graphs, and local search with one:
# the smaller purse ends before either has begun, and the larger one before evolution has: there they are random search.*

# %%
wide = frame[frame["budget"] == most].pivot_table(index="method", columns="where", values="regret")
wide = wide[tables].assign(mean=wide.mean(axis=1)).sort_values("mean")
wide.round(3)

# %%
own = wide.drop(index="evolution")                              # at this purse it is random search, see above
ahead = own[tables].lt(own.loc["all_edges", tables]).any(axis=1)
floors = {where: FusionTable.open(where).noise_floor("total").smallest for where in tables}
apart, surely = [], []
for (method, where), part in frame[frame["budget"] == most].groupby(["method", "where"]):
    lead = wide.loc["all_edges", where] - part["regret"]          # all edges is one graph: it has one regret
    if method in own.index[ahead] and lead.mean() > half_interval(lead):
        apart.append(f"{method} on {where}")
        if lead.mean() > floors[where]:
            surely.append(apart[-1])
reveal("20.methods", int(ahead.sum()), f"By the means they are: {', '.join(own.index[ahead]) or 'none'} (evolution is random search at this "
       f"purse, and not counted). Beyond the 95 % interval of their few searches, uncorrected: {', '.join(apart) or 'none'}; beyond the "
       f"noise floor of the table, too: {', '.join(surely) or 'none'}. Opening every edge costs nothing to guess.")

# %% [markdown]
# **Look twice.** Is a method good because it knows *which* edges, or because it opens *as many* as this table likes? Compare
# with graphs of as many edges: *lead* is how much less the answer loses than their mean (0 for none and for all edges).

# %%
dear = frame[frame["budget"] == most]
pd.DataFrame({"edges open": dear.groupby("method")["edges"].mean(), "lead": dear.groupby("method")["lead"].mean()}).loc[wide.index].round(3)

# %% [markdown]
# ## Enter your own
#
# A searcher is a function of a `problem`. It may `problem.train(graph)` as long as its purse lasts, draws from
# `problem.generator`, and yields each graph that it would answer from now on. This one trains the graph without an edge and then
# single edges, and puts together those that were better than none. Its purse ends early: after none, or after three of eight
# edges. Change it.

# %%
def my_search(problem):
    edges = len(problem.space)
    alone = problem.train(0)                                            # no edge open
    yield 0
    together = 0
    for edge in problem.generator.permutation(edges).tolist():
        if problem.train(1 << edge) < alone:
            together |= 1 << edge
            yield together


mine = everything.entered({"mine": my_search}, tables, seeds=frame["seed"].unique(), budgets=budgets)
everything.page(pd.concat([frame, mine]))

# %%
place = pd.concat([dear, mine[mine["budget"] == most]]).groupby("method")["regret"].mean().sort_values()
print(f"“mine” is number {place.index.get_loc('mine') + 1} of {len(place)}: mean regret {place['mine']:.3f}, the best has {place.iloc[0]:.3f}.")

# %% [markdown]
# ## Many methods, many chances
#
# With a dozen comparisons at p ≤ 0.05, one of them may well be luck. **Holm's correction**: the smallest of m p-values is multiplied by m, the
# next by m − 1, and so on; none becomes smaller than one before it, and none larger than 1.
#
# ### Your turn: correct them

# %% tags=["exercise"]
def holm(p):
    """p: (m,). Returns the corrected ones in the same order."""
    # your turn: about 5 lines
    order = p.argsort()
    scaled = np.minimum((len(p) - np.arange(len(p))) * p[order], 1)
    found = np.empty(len(p))
    found[order] = np.maximum.accumulate(scaled)
    return found
    # end


# %%
check("20.holm", holm)

# %% [markdown] tags=["hint"]
# Sort first (`p.argsort()`), multiply, carry the largest so far along (`np.maximum.accumulate`), and put each back in its place.

# %% [markdown] tags=["hint"]
# `found[order] = ...` undoes the sorting.

# %%
verdicts = study.verdicts
p = np.array([verdict.difference.p for verdict in verdicts])
yours = holm(p)
assert yours is ... or np.allclose(yours, library_holm(p.tolist()))                           # yours, once it is written
for verdict in verdicts:
    print(f"{verdict.outcome.upper():14} p {verdict.difference.p:.4f}, corrected {verdict.corrected:.4f}: {verdict.claim.says}")

# %% [markdown]
# *Reading aid: “held” is a corrected p of 0.05 at most; “did not hold” is an interval that leaves no room for a gain; all else is “could not
# tell”. The **smallest detectable difference** (below: “could have been seen”) is the true one that a test at 5 % (of one comparison,
# uncorrected) finds in four of five such studies.*

# %%
held = [verdict for verdict in verdicts if verdict.outcome == "held"]
seen = np.median([verdict.difference.detectable for verdict in verdicts])
seeds = len(verdicts[0].values)
reveal("20.held", round(100 * len(held) / len(verdicts)), f"{len(held)} of {len(verdicts)} claims hold on {verdicts[0].claim.arm.split(', ')[1]}, "
       f"with {seeds} searches each. “Could not tell” is not “equal”: a difference of {seen:.2g} (median) could have been seen.")

# %% [markdown]
# ## Choose on some tables, ask once on another
#
# Whoever takes the best line of a page takes its luck, too. So a rule was written down first: of the searches with a supernet, take the one
# with the least mean regret on the first two tables. It chose one (the first table had two seeds then; by its five, warm start
# would be ahead of it by less than can be told). Then the third table was asked by twenty new searches of that one; the
# five of each method that are on the page above had been seen by then.

# %%
once = Findings.shipped("held-out")
chosen = once.study.settings("chosen")
share = once.values("share").mean(axis=1)
print(f"{chosen['method']} on {chosen['where']}: {share['chosen']:.0%} of the regret of a graph by chance; random search {share['random search']:.0%}, all edges {share['all edges']:.0%}.")
few, many = wide.loc[chosen["method"], chosen["where"]], once.values("regret").mean(axis=1)["chosen"]
print(f"Its regret was {few:.3f} in the five searches of the page, and is {many:.3f} in the twenty new ones.")
for verdict in once.verdicts:
    print(verdict.in_short)

# %% [markdown]
# *Reading aid: the first line counts against ½, the others against 0. A control is part of the claim: a search may beat
# chance by far, and still not the plainest rival.*
#
# ## For a paper
#
# `mtlnas-lab study everything` makes the page again, as PDF, and the table for LaTeX. After ± stands half of the 95 % interval of the
# mean, by Student's t; say so in the caption.

# %%
print(everything.latex(frame[frame["budget"] == most]))

# %% [markdown]
# ## Which method for which question?
#
# | you want … | look at |
# |---|---|
# | one graph, found by gradient descent | MTL-NAS (notebook 06) |
# | the direction in which information is missing | the same search, one network blindfolded (10) |
# | *which* edge, not only whither | MTL-NAS with L1 (data_samples/studies/planted-edges-small/report.md; the force itself: 12) |
# | one task at test time, help in training only | Aux-NAS (12) |
# | all compromises between losses and cost | OFA² (13) |
# | a graph for any tasks and any budget, at once | EAS (14) |
# | a guess before anything is searched | task distance (15) |
# | which *operation*, not only which edge | MSINet (16) |
# | a head start from a search that you have | warm start (17) |
# | a ranking from few trained graphs | Arch-Graph (18) |
# | weights that adapt to new tasks in a few steps | AT-NAS (19) |
#
# ## What we know now

# %%
best = wide.index[0]
print(f"Over {len(tables)} tables {best.replace('_', ' ')} loses least on average ({wide['mean'].iloc[0]:.3f}); a guess loses {wide.loc['guess', 'mean']:.3f}.")
for where in tables:
    first = own.drop(index="all_edges")[where].sort_values()
    line = f"{where}: {first.index[0].replace('_', ' ')} {first.iloc[0]:.3f}, {first.index[1].replace('_', ' ')} {first.iloc[1]:.3f}; all edges {wide.loc['all_edges', where]:.3f}"
    if where == chosen["where"]:
        line += f" (in {once.values('regret').shape[1]} new searches {chosen['method']} has {many:.3f})"
    print(f"{line}.")

# %% [markdown]
# * Cost and judge belong to a ranking. A method that looks at few graphs is not worse than one that was allowed many.
# * The plainest rivals, *all edges* and *random search*, have to be on the page.
# * A method may be made for another question than one graph of least total loss. Then this page is not its page.
#
# What this small data can *not* show: spaces with 48 edges and more, where no table can be made; networks that were trained for long;
# and whether a difference that this page could not tell is there.
