"""Right answers to every exercise that asks for a function, each written in two ways or more: loops, numpy, torch, lists."""

import math

import networkx as nx
import numpy as np
import torch
from course_helpers import backbone, counted, packed
from torch.nn import functional as F

from mtlnas_lab.core.relaxation import entropy
from mtlnas_lab.core.space import Edge, Node, plan

SIZE = (64, 32, 16, 8, 8)
OTHER = {"segmentation": "normals", "normals": "segmentation"}


def product(edges):
    made = 1
    for _ in range(edges):
        made *= 2
    return made


# --- 01 -----------------------------------------------------------------------------------------------------------------
def depth_loop(output, target):
    total, count = 0.0, 0
    for guess, truth in zip(output.flatten().tolist(), target.flatten().tolist()):
        if truth > 0:
            total, count = total + abs(guess - truth), count + 1
    return total / count if count else 0


def quarter_turn(image, normals):
    image, normals = image.rot90(1, (-2, -1)), normals.rot90(1, (2, 3))
    return image, torch.stack([normals[:, 1], -normals[:, 0], normals[:, 2]], 1)


def quarter_turn_numpy(image, normals):
    image = np.rot90(image.numpy(), axes=(2, 3)).copy()
    normals = np.rot90(normals.numpy(), axes=(2, 3))[:, [1, 0, 2]].copy()
    normals[:, 1] *= -1
    return image, normals


def quarter_turn_by_flips(image, normals):
    turn = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    normals = torch.einsum("ij,bjhw->bihw", turn, normals)
    return [x.transpose(2, 3).flip(2) for x in (image, normals)]


def angle_loop(output, target):
    found = []
    for one, other in zip(
        output.permute(0, 2, 3, 1).reshape(-1, 3), target.permute(0, 2, 3, 1).reshape(-1, 3)
    ):
        if other.any():
            cosine = float(one @ other / one.norm())
            found.append(math.degrees(math.acos(max(-1, min(1, cosine)))))
    return np.mean(found)


def miou_loop(table):
    found = []
    for c in range(len(table)):
        union = int(table[c].sum() + table[:, c].sum() - table[c, c])
        if union > 0:
            found.append(int(table[c, c]) / union)
    return sum(found) / len(found)


# --- 02 -----------------------------------------------------------------------------------------------------------------
def until_loop(network, image, stage):
    number = 0
    while number <= stage:
        image = network.stages[number](image)
        number += 1
    return image


def plan_loop(channels, groups):
    rows, done = [], 0
    for group, size in enumerate(groups):
        for index in range(size):
            rows.append([channels[done], group, index, size])
            done += 1
    return rows


def fields_loop(stages):
    size, jump, sizes = 1, 1, []
    for layers in stages:
        for kernel, stride, dilation in layers:
            size, jump = size + (kernel - 1) * dilation * jump, jump * stride
        sizes.append(size)
    return sizes


def shared_loop(stages, heads, image):
    for stage in stages:
        image = stage(image)
    outputs = {}
    for task in heads:
        outputs[task] = heads[task](image)
    return outputs


# --- 03 -----------------------------------------------------------------------------------------------------------------
def one_size(source, target, plans):
    return (
        SIZE[plans[source.task][source.stage].group] == SIZE[plans[target.task][target.stage].group]
    )


def count_loop(groups, tasks, limit):
    edges = 0
    for reader in range(tasks):
        for read in range(tasks):
            for size in groups if reader != read else []:
                edges += sum(min(index + 1, limit) for index in range(size))
    return edges


def partner(edge):
    source, target = edge.source, edge.target
    return Edge(Node(OTHER[source.task], source.stage), Node(OTHER[target.task], target.stage))


# --- 04 -----------------------------------------------------------------------------------------------------------------
def start_loop(channels, sources, own, others):
    made = np.zeros((channels, channels + sum(sources)))
    for i in range(channels):
        made[i, i] = own
        begin = channels
        for width in sources:
            if i < width:
                made[i, begin + i] = others / len(sources)
            begin += width
    return made


def fold_loop(weight, gates, channels):
    weight, begin = weight.clone(), channels[0]
    for gate, width in zip(gates, channels[1:]):
        weight[:, begin : begin + width] *= gate
        begin += width
    return weight


def cost_loop(height, width, channels, sources, opened):
    inputs = channels
    for size, is_open in zip(sources, opened):
        if is_open:
            inputs += size
    return float(height * width * channels * inputs)


# --- 05 -----------------------------------------------------------------------------------------------------------------
def entropy_loop(alpha):
    found = []
    for a in alpha.tolist():
        p = 1 / (1 + math.exp(-a))
        found.append(-sum(q * math.log(q) for q in (p, 1 - p) if q > 0))
    return found


def entropy_torch(alpha):
    p = torch.sigmoid(alpha)
    return -p * F.logsigmoid(alpha) - (1 - p) * F.logsigmoid(-alpha)


# --- 06 and 07 ----------------------------------------------------------------------------------------------------------
def sorted_halves(count, generator):
    order = torch.randperm(count, generator=generator).tolist()
    return sorted(order[: count // 2]), sorted(order[count // 2 :])


def derived(alpha, budget):
    best = alpha.argsort(descending=True, stable=True)[:budget]
    return [i in best for i in range(len(alpha))]


def derived_sorted(alpha, budget):
    kept = torch.zeros(len(alpha), dtype=torch.bool)
    kept[sorted(range(len(alpha)), key=lambda i: -alpha[i])[:budget]] = True
    return kept


def update(alpha, task_losses, weight, optimizer):
    tasks = sum(loss(alpha) for loss in task_losses) / len(task_losses)
    (alpha.grad,) = torch.autograd.grad(tasks + weight * entropy(alpha), [alpha])
    optimizer.step()
    return alpha.grad


def update_backward(alpha, task_losses, weight, optimizer):
    optimizer.zero_grad()
    for loss in task_losses:
        (loss(alpha) / len(task_losses)).backward(inputs=[alpha])
    (weight * entropy(alpha)).backward(inputs=[alpha])
    optimizer.step()
    return alpha.grad


def forced_clone(gates, forced):
    gates = gates.clone()
    for index, is_open in forced.items():
        gates[index] = float(is_open)
    return gates


def forced_stack(gates, forced):
    kept = [torch.tensor(float(forced[i])) if i in forced else gate for i, gate in enumerate(gates)]
    return torch.stack(kept)


def statistics_numpy(batches):
    means = [x.numpy().mean(0) for x in batches]
    variances = [x.numpy().var(0, ddof=1) for x in batches]
    return [np.mean(means, 0), np.mean(variances, 0)]


def control(kept, generator):
    chosen = set(torch.randperm(len(kept), generator=generator)[: sum(kept)].tolist())
    return [i in chosen for i in range(len(kept))]


def settled(alpha):
    found = []
    for edge in alpha.T:
        other = np.flatnonzero((edge > 0) != (edge[-1] > 0))
        found.append(other[-1] + 2 if len(other) else 1)
    return found


def settled_backward(alpha):
    apart = (alpha > 0) != (alpha[-1] > 0)
    steps = np.arange(1, len(alpha) + 1)[:, None]
    return (apart * steps).max(0) + 1


def part(one, other):
    differs = ((one > 0) != (other > 0)).any(1)
    return int(differs.argmax()) + 1 if differs.any() else 0


def part_by_rows(one, other):
    for step, (a, b) in enumerate(zip(one.tolist(), other.tolist()), 1):
        if [x > 0 for x in a] != [x > 0 for x in b]:
            return step
    return 0


def edge_cost(space, kept):
    total = 0
    for edge, keep in zip(space.edges, kept):
        if keep:
            total += space.stage(edge.source).channels * space.stage(edge.target).channels
    return total


# --- 08 and 09 ----------------------------------------------------------------------------------------------------------
def place_loop(space):
    places = {}
    for lane, task in enumerate(space.tasks):
        for node in space.nodes:
            if node.task == task:
                places[str(node)] = [node.stage + 0.55 * space.stage(node).group, -lane]
    return places


def bend(a, b, by):
    (x0, y0), (x1, y1) = a, b
    return (x0 + x1) / 2 - by * (y1 - y0), (y0 + y1) / 2 + by * (x1 - x0)


def bend_numpy(a, b, by):
    a, b = np.array(a), np.array(b)
    return (a + b) / 2 + by * np.array([[0, -1], [1, 0]]) @ (b - a)


def stability(kept):
    q = kept.mean()
    return 1 - kept.var(0, ddof=1).mean() / (q * (1 - q))


def stability_loop(kept):
    rows = kept.astype(float).tolist()
    runs, q = len(rows), sum(map(sum, rows)) / sum(map(len, rows))
    spread = []
    for column in zip(*rows):
        middle = sum(column) / runs
        spread.append(sum((value - middle) ** 2 for value in column) / (runs - 1))
    return 1 - sum(spread) / len(spread) / (q * (1 - q))


def median_sorted(batches):
    errors = []
    for output, target in batches:
        errors += [
            abs(1 / (1 + math.exp(-o)) - t) for o, t in zip(output[:, 0].tolist(), target.tolist())
        ]
    return sorted(errors)[(len(errors) - 1) // 2]


def kinds_loop(seg, furniture):
    return [sum(int((picture == n).sum()) >= 20 for n in furniture) for picture in seg]


# --- 10 -----------------------------------------------------------------------------------------------------------------
def coin_drawn(edges, least):
    """By adding one edge after the other to the distribution of how many are open."""
    chances = np.ones(1)
    for _ in range(edges):
        chances = np.convolve(chances, [0.5, 0.5])
    return chances[least:].sum()


def turned(kept, targets, blind):
    into = [keep for keep, target in zip(kept, targets) if target == blind]
    out = [keep for keep, target in zip(kept, targets) if target != blind]
    return sum(into) / len(into) - sum(out) / len(out)


def turned_numpy(kept, targets, blind):
    kept, into = np.array(kept, float), np.array(targets) == blind
    return kept[into].mean() - kept[~into].mean()


def begins(turns):
    return [v for v, row in turns.items() if min(row) > max(turns[1.0])]


def begins_numpy(turns):
    control = np.array(turns[1.0])[:, None]
    return {v for v, row in turns.items() if (np.array(row) > control).all()}


def rest(values):
    off = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    graphs, seeds = values.shape
    return np.sqrt((off**2).sum() / ((graphs - 1) * (seeds - 1)))


def rest_loop(values):
    graphs, seeds = len(values), len(values[0])
    mean = sum(map(sum, values)) / graphs / seeds
    of_seed = [sum(row[s] for row in values) / graphs for s in range(seeds)]
    total = 0.0
    for row in values:
        for value, own in zip(row, of_seed):
            total += (value - sum(row) / seeds - own + mean) ** 2
    return math.sqrt(total / (graphs - 1) / (seeds - 1))


def beaten(losses, graph):
    others = np.delete(losses, graph)
    return (others > losses[graph]).mean() + (others == losses[graph]).mean() / 2


def beaten_loop(losses, graph):
    own = losses[graph]
    points = [(one > own) + 0.5 * (one == own) for g, one in enumerate(losses) if g != graph]
    return sum(points) / len(points)


def front(first, second):
    pairs = list(zip(first, second))
    return [
        g
        for g, (a, b) in enumerate(pairs)
        if not any(c <= a and d <= b and (c, d) != (a, b) for c, d in pairs)
    ]


def front_sorted(first, second):
    found, least = set(), math.inf
    for g in np.lexsort((second, first)):
        if second[g] < least:
            found.add(g)
            least = second[g]
    return found


def climb(ask, start, edges):
    while True:
        best = min((start ^ (1 << e) for e in range(edges)), key=ask)
        if ask(best) >= ask(start):
            return start
        start = best


def climb_tensors(ask, start, edges):
    here, loss = start, ask(start)
    moved = True
    while moved:
        near = [here ^ 2**e for e in range(edges)]
        losses = torch.tensor([ask(g) for g in near], dtype=torch.float64)
        moved = bool(losses.min() < loss)
        if moved:
            here, loss = near[int(losses.argmin())], losses.min().item()
    return torch.tensor(here)


# --- 12 -----------------------------------------------------------------------------------------------------------------
def forces(alpha, into, entropy_weight, l1_weight):
    p = torch.sigmoid(alpha)
    nats = -p * p.log() - (1 - p) * (1 - p).log()
    return entropy_weight * nats[~into].mean() + l1_weight * p[into].mean()


def forces_loop(alpha, into, entropy_weight, l1_weight):
    out, inward = [], []
    for a, leads_in in zip(alpha.tolist(), into.tolist()):
        p = 1 / (1 + math.exp(-a))
        if leads_in:
            inward.append(p)
        else:
            out.append(-p * math.log(p) - (1 - p) * math.log(1 - p))
    return entropy_weight * np.mean(out) + l1_weight * np.mean(inward)


def change(weight, gates, sources):
    return (weight @ (gates[:, None] * sources)).abs().max()


def change_columns(weight, gates, sources):
    return np.abs((weight * gates).numpy() @ sources.numpy()).max()


# --- 14 -----------------------------------------------------------------------------------------------------------------
def available(edges, wanted):
    return [wanted[source] and wanted[target] for source, target in edges]


def available_numpy(edges, wanted):
    return np.array(
        [{source, target} <= {t for t in wanted if wanted[t]} for source, target in edges]
    )


def penalty(gates, prices, fits, budget, mu):
    cost = (gates * prices * fits).sum() / (prices * fits).sum()
    return mu * (cost - budget) ** 2


def penalty_loop(gates, prices, fits, budget, mu):
    spent, possible = 0.0, 0.0
    for gate, price, fit in zip(gates.tolist(), prices.tolist(), fits.tolist()):
        spent += gate * price * fit
        possible += price * fit
    return mu * (spent / possible - budget) ** 2


# --- 13 -----------------------------------------------------------------------------------------------------------------
def area(points, reference):
    total, height = 0.0, reference[1]
    for x, y in sorted(map(tuple, points)):
        if x < reference[0] and y < height:
            total += (reference[0] - x) * (height - y)
            height = y
    return total


def area_strips(points, reference):
    """Between neighbouring first losses, the height is that of the lowest point so far."""
    points = points[(points < reference).all(1)]
    cuts = np.append(np.sort(points[:, 0]), reference[0])
    widths = np.diff(cuts)
    lowest = [points[points[:, 0] <= x, 1].min() for x in cuts[:-1]]
    return float((widths * (reference[1] - np.array(lowest))).sum())


def best_sums(points, weights):
    return sorted(set((points @ weights.T).argmin(0).tolist()))


def best_sums_loop(points, weights):
    found = set()
    for prices in weights:
        found.add(min(range(len(points)), key=lambda row: float(points[row] @ prices)))
    return found


# --- 18 -----------------------------------------------------------------------------------------------------------------
def greedy_sets(edges):
    below = {graph: {graph} for edge in edges for graph in edge[:2]}  # what it leads to
    kept = []
    for better, worse, _ in sorted(edges, key=lambda edge: -edge[2]):
        if better not in below[worse]:
            kept.append((better, worse))
            for reached in below.values():
                if better in reached:
                    reached |= below[worse]
    return kept


def greedy_paths(edges):
    kept = nx.DiGraph()
    kept.add_nodes_from(graph for edge in edges for graph in edge[:2])
    for better, worse, _ in sorted(edges, key=lambda edge: edge[2], reverse=True):
        if not nx.has_path(kept, worse, better):
            kept.add_edge(better, worse)
    return [list(edge) for edge in kept.edges]


def agrees_matrix(order, edges):
    weights = np.zeros((10, 10))
    for better, worse, weight in edges:
        weights[better, worse] = weight
    return float(np.triu(weights[np.ix_(order, order)]).sum())


# --- 15 -----------------------------------------------------------------------------------------------------------------
def squares_loop(gradients):
    count, weights = gradients.shape
    return [sum(float(gradients[n, w]) ** 2 for n in range(count)) / count for w in range(weights)]


def hellinger(f, g):
    return (((f / f.sum()).sqrt() - (g / g.sum()).sqrt()) ** 2).sum().div(2).sqrt()


def answers_loop(seen, true):
    answers = []
    best = 0
    for look in range(len(seen)):
        if seen[look] < seen[best]:
            best = look
        answers.append(true[best])
    return answers


def corrected(p):
    order = np.argsort(p)
    scaled = np.minimum((len(p) - np.arange(len(p))) * p[order], 1)
    found = np.empty(len(p))
    found[order] = np.maximum.accumulate(scaled)
    return found


def corrected_loop(p):
    found = [0.0] * len(p)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        least = max(least, min(1.0, (len(p) - rank) * float(p[place])))
        found[place] = least
    return found


# --- 16 -----------------------------------------------------------------------------------------------------------------
def undecided_loop(alpha):
    found = []
    for logits in alpha.tolist():
        whole = sum(math.exp(x) for x in logits)
        shares = [math.exp(x) / whole for x in logits]
        found.append(-sum(p * math.log(p) for p in shares) / math.log(len(shares)))
    return found


def moved(centroid, feature, momentum):
    mixed = momentum * centroid + (1 - momentum) * feature / feature.norm()
    return mixed / mixed.norm()


# --- 17 -----------------------------------------------------------------------------------------------------------------
def warm_loop(alpha, kappa):
    return [kappa * min(1.0, max(-1.0, float(value))) for value in alpha]


def reptile_loop(alpha, after, epsilon):
    found = []
    for edge in range(len(alpha)):
        moved = [float(task[edge] - alpha[edge]) for task in after]
        found.append(float(alpha[edge]) + epsilon * sum(moved) / len(moved))
    return found


# --- 19 -----------------------------------------------------------------------------------------------------------------
def child_loop(mother, father, from_mother, flips):
    bits = []
    for place, coin in enumerate(from_mother.tolist()):
        parent = mother if coin else father
        bits.append(bool(parent[place]) ^ bool(flips[place]))
    return bits


def interaction_loop(both, one, other, neither):
    found = []
    for seed in range(len(both)):
        found.append(float(both[seed] - one[seed]) - float(other[seed] - neither[seed]))
    return found


ALL = {
    "00.count": [lambda e: 2**e, lambda e: 2.0**e, product],
    "01.depth_loss": [
        lambda o, t: ((o - t).abs() * (t > 0)).sum() / (t > 0).sum().clamp(min=1),
        lambda o, t: F.l1_loss(o[t > 0], t[t > 0]) if (t > 0).any() else (o * 0).sum(),
        depth_loop,
    ],
    "01.quarter_turn": [quarter_turn, quarter_turn_numpy, quarter_turn_by_flips],
    "01.mean_angle": [
        lambda o, t: (
            (F.normalize(o, dim=1) * t).sum(1).clamp(-1, 1)[(t != 0).any(1)].acos().rad2deg().mean()
        ),
        angle_loop,
    ],
    "01.miou": [
        lambda t: (t.diagonal() / (t.sum(0) + t.sum(1) - t.diagonal())).nanmean(),
        miou_loop,
    ],
    "01.trivial": [
        lambda d: d[d > 0].median(),
        lambda d: np.median(d.numpy()[d.numpy() > 0]),
        lambda d: sorted(x for x in d.flatten().tolist() if x)[5],
    ],
    "02.until": [until_loop, lambda n, x, s: torch.nn.Sequential(*n.stages[: s + 1])(x)],
    "02.plan": [
        plan_loop,
        lambda c, g: np.array(plan_loop(c, g)),
        lambda c, g: [(s.channels, s.group, s.index, s.size) for s in plan(c, g)],
    ],
    "02.field": [fields_loop, lambda s: np.array(fields_loop(s)), lambda s: tuple(fields_loop(s))],
    "02.shared": [
        shared_loop,
        lambda s, h, x: (
            (lambda y: {t: f(y) for t, f in h.items()})(torch.nn.Sequential(*s)(x))
            if isinstance(s[0], torch.nn.Module)
            else shared_loop(s, h, x)
        ),
    ],
    "03.entering": [
        lambda i, n: min(i + 1, n),
        lambda i, n: len(range(max(0, i - n + 1), i + 1)),
        lambda i, n: float(np.minimum(i + 1, n)),
    ],
    "03.resolution": [
        one_size,
        lambda s, t, p: min(p[s.task][s.stage].group, 3) == min(p[t.task][t.stage].group, 3),
        lambda s, t, p: np.bool_(one_size(s, t, p)),
    ],
    "03.count": [
        count_loop,
        lambda g, t, n: t * (t - 1) * sum(np.minimum(np.arange(s) + 1, n).sum() for s in g),
    ],
    "03.renamed": [partner, lambda e: str(partner(e))],
    "03.split": [
        lambda e: (f"{e.source}/features", f"{e.target}/fused"),
        lambda e: [str(e.source) + "/features", str(e.target) + "/fused"],
    ],
    "04.pixelwise": [
        lambda m, w: torch.einsum("oc,bchw->bohw", w, m),
        lambda m, w: F.conv2d(m, w[:, :, None, None]),
        lambda m, w: np.einsum("oc,bchw->bohw", w.numpy(), m.numpy()),
    ],
    "04.start": [
        start_loop,
        lambda c, s, own, others: torch.cat(
            [own * torch.eye(c), *(others / len(s) * torch.eye(c, k) for k in s)], 1
        ),
    ],
    "04.fold": [
        fold_loop,
        lambda w, g, c: w * torch.tensor(np.repeat([1.0, *g.tolist()], c)),
    ],
    "04.cross_stitch": [
        lambda m, a: torch.einsum("ts,s...->t...", a, m),
        lambda m, a: [sum(a[t, s] * m[s] for s in range(3)) for t in range(3)],
        lambda m, a: np.tensordot(a.numpy(), m.numpy(), 1),
    ],
    "04.cost": [
        cost_loop,
        lambda h, w, c, s, o: h * w * c * (c + sum(np.array(s)[np.array(o)])),
    ],
    "05.concrete": [
        lambda a, t, u: torch.sigmoid((a + u.log() - (1 - u).log()) / t),
        lambda a, t, u: 1 / (1 + torch.exp(-(a + torch.logit(u)) / t)),
    ],
    "05.temperature": [
        lambda s, n: max((1 - s / n) ** 2, 0.05),
        lambda s, n: np.clip((1 - s / n) ** 2, 0.05, None),
        lambda s, n: torch.tensor([(1 - s / n) ** 2]).clamp(min=0.05),
    ],
    "05.entropy": [
        entropy_torch,
        entropy_loop,
        lambda a: torch.special.entr(torch.stack([torch.sigmoid(a), torch.sigmoid(-a)])).sum(0),
    ],
    "05.force": [
        lambda a: -a * torch.sigmoid(a) * torch.sigmoid(-a),
        lambda a: [-x / (2 + math.exp(x) + math.exp(-x)) for x in a.tolist()],
        lambda a: torch.autograd.grad(entropy_torch(b := a.requires_grad_()).sum(), b)[0],
    ],
    "05.tipping": [lambda g, w, e: g * e / w, lambda g, w, e: np.float64(g) / (w / e)],
    "05.ramp": [
        lambda s, n: 10 * max(0.0, (s / n - 0.3) / 0.7),
        lambda s, n: np.interp(s / n, [0.3, 1], [0, 10]),
        lambda s, n: 0 if 10 * s < 3 * n else (10 * s / n - 3) / 0.7,
    ],
    "06.halves": [
        lambda n, g: torch.randperm(n, generator=g).chunk(2),
        sorted_halves,
        lambda n, g: [half.numpy() for half in torch.randperm(n, generator=g).split((n + 1) // 2)],
    ],
    "06.update": [update, update_backward],
    "06.settled": [settled, settled_backward],
    "06.force": [forced_clone, forced_stack],
    "06.part": [part, part_by_rows],
    "07.derive": [
        derived,
        derived_sorted,
        lambda a, budget: tuple(derived(a, budget)),
        lambda a, budget: np.array(derived(a, budget)),
    ],
    "07.gap": [
        lambda s, h, more: 100 * (s - h if more else h - s) / s,
        lambda s, h, more: (1 if more else -1) * 100 * (1 - h / s),
    ],
    "07.statistics": [
        lambda b: (
            torch.stack([x.mean(0) for x in b]).mean(0),
            torch.stack([x.var(0) for x in b]).mean(0),
        ),
        statistics_numpy,
    ],
    "07.random": [
        control,
        lambda kept, g: torch.tensor(kept)[torch.randperm(len(kept), generator=g)],
        lambda kept, g: torch.rand(len(kept), generator=g).argsort().argsort().numpy() < sum(kept),
    ],
    "07.cost": [
        edge_cost,
        lambda s, kept: np.sum(
            [
                s.stage(e.source).channels * s.stage(e.target).channels * k
                for e, k in zip(s.edges, kept)
            ]
        ),
    ],
    "08.place": [
        place_loop,
        lambda s: {
            str(n): np.array([n.stage + 0.55 * s.stage(n).group, -s.tasks.index(n.task)])
            for n in s.nodes
        },
    ],
    "08.bend": [bend, bend_numpy, lambda *given: list(bend(*given))],
    "08.stability": [stability, stability_loop],
    "08.overlap": [lambda a, b, c: a * b / c, lambda a, b, c: np.float64(b) / c * a],
    "09.constant": [
        lambda t: t.mean().logit().view(1, 1),
        lambda t: (t.mean() / (1 - t.mean())).log()[None, None],
    ],
    "09.median": [
        lambda b: torch.cat([(o.sigmoid()[:, 0] - t).abs() for o, t in b]).median(),
        median_sorted,
    ],
    "09.kinds": [counted, kinds_loop, lambda s, f: counted(s, f).numpy()],
    "09.cut": [backbone, lambda n: backbone(n, lambda n: [*n[:2], n[2:4], n[4], n[5:7]])],
    "09.pack": [
        packed,
        lambda p, c, m: {**packed(p, c, m), "seg": np.maximum(c + 1, 0).astype("u1")},
    ],
    "10.blindfold": [
        lambda i, v, g: v * i + (1 - v) * torch.randn(i.shape, generator=g),
        lambda i, v, g: torch.lerp(torch.empty_like(i).normal_(generator=g), i, v),
        lambda i, v, g: (v * i + torch.normal(0.0, 1.0 - v, i.shape, generator=g)).numpy(),
    ],
    "10.coin": [
        lambda n, k: sum(math.comb(n, open) for open in range(k, n + 1)) / 2**n,
        coin_drawn,
    ],
    "10.turn": [turned, turned_numpy],
    "10.begins": [begins, begins_numpy],
    "11.noise": [rest, rest_loop],
    "11.percentile": [beaten, beaten_loop],
    "11.front": [front, front_sorted],
    "11.climb": [climb, climb_tensors],
    "12.forces": [forces, forces_loop],
    "12.change": [change, change_columns],
    "14.available": [available, available_numpy],
    "14.penalty": [penalty, penalty_loop],
    "13.hypervolume": [area, area_strips],
    "13.answers": [best_sums, best_sums_loop],
    "18.keep": [greedy_sets, greedy_paths],
    "18.agrees": [
        lambda order, edges: sum(w for i, j, w in edges if order.index(i) < order.index(j)),
        agrees_matrix,
    ],
    "15.fisher": [
        lambda g: (g**2).mean(0),
        squares_loop,
        lambda g: g.numpy().var(0) + g.numpy().mean(0) ** 2,
    ],
    "15.distance": [
        hellinger,
        lambda f, g: ((f / f.sum()).sqrt() - (g / g.sum()).sqrt()).norm() / 2**0.5,
    ],
    "16.undecided": [
        lambda a: -(a.softmax(1) * a.log_softmax(1)).sum(1) / math.log(a.shape[1]),
        undecided_loop,
        lambda a: torch.distributions.Categorical(logits=a).entropy() / math.log(a.shape[1]),
    ],
    "16.centroid": [
        moved,
        lambda c, f, m: F.normalize(m * c + (1 - m) * F.normalize(f, dim=0), dim=0),
    ],
    "20.answers": [
        answers_loop,
        lambda seen, true: true[[seen[: look + 1].argmin() for look in range(len(seen))]],
    ],
    "20.holm": [corrected, corrected_loop],
    "17.start": [
        lambda a, k: k * a.clamp(-1, 1),
        lambda a, k: k * np.clip(a.numpy(), -1, 1),
        warm_loop,
    ],
    "17.reptile": [
        lambda a, t, e: a + e * (t - a).mean(0),
        lambda a, t, e: a.lerp(t.mean(0), e),
        reptile_loop,
    ],
    "19.interaction": [
        lambda both, one, other, neither: both - one - other + neither,
        interaction_loop,
    ],
    "19.child": [
        lambda m, f, c, x: torch.where(c, m, f) ^ x,
        lambda m, f, c, x: np.where(c.numpy(), m.numpy(), f.numpy()) != x.numpy(),
        child_loop,
    ],
}
