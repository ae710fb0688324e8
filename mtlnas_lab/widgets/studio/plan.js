// What is where, how much and in which colour: pure functions, tested by node without a page.

export const TASKS = ["#2262ad", "#f0a236", "#30a683", "#571b52", "#9fcdee", "#c9452f", "#8d6afa", "#101418"];
const RAMPS = {false: ["#c8bfbd", "#d39a9f", "#c05a80", "#6f2a72", "#240b36"],
  true: ["#464049", "#754680", "#b84f86", "#f0918a", "#fdebc8"]};
const COLUMNS = ["step", "entropy", "lambda", "tau", "l1", "rate"];
const LOGGED = ["step", "entropy", "fraction", "lambda", "l1", "tau", "rate", "seconds"];     // EventLog.SCALARS
export const LN2 = Math.log(2);

// --- the frame: bytes from encoding.py ----------------------------------------------------------------------------------
export function decode(view) {
  if (!view || view.byteLength < 32) return null;
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);      // aligned
  const [version, N, E, T, C, largest, steps, every] = new Float32Array(bytes, 0, 8);
  if (version !== 1 || C !== COLUMNS.length) return null;
  if (bytes.byteLength < 32 + 4 * ((C + T) * N + 2 * E) + 3 * N * E) return null;
  let at = 32;
  const floats = count => { const part = new Float32Array(bytes, at, count); at += 4 * count; return part; };
  const frame = {N, E, T, steps, every: Math.max(every, 1)};
  for (const name of COLUMNS) frame[name] = floats(N);
  frame.losses = Array.from({length: T}, () => floats(N));
  frame.alphaNow = floats(E);
  frame.gradNow = floats(E);
  const p = new Uint16Array(bytes, at, N * E), g = new Int8Array(bytes, at + 2 * N * E, N * E);
  frame.p = (i, e) => p[i * E + e] / 65535;
  frame.alpha = (i, e) => i === N - 1 ? frame.alphaNow[e] : logit(frame.p(i, e));
  frame.grad = (i, e) => i === N - 1 ? frame.gradNow[e] : largest * Math.sign(g[i * E + e]) * (g[i * E + e] / 127) ** 2;
  return frame;
}

// σ(α) as a frame holds it (encoding.py's codes): above the half exactly where α > 0, which is what open means.
const HALF = 32767;
export const code = alpha => {
  const near = Math.round(65535 / (1 + Math.exp(-alpha)));
  return alpha > 0 ? Math.max(near, HALF + 1) : Math.min(near || 0, HALF);
};
export const opens = ps => ps.filter(p => p > 0.5).length;

// The steps that came behind a frame (encoding.py's tail), each a row: LOGGED, the losses, α and its gradient.
const wide = ({E, T}) => LOGGED.length + T + 2 * E;
function behind({N, E, T, step}, view) {
  const width = wide({E, T}), all = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const rows = Array.from({length: Math.floor(all.length / width)}, (_, k) => all.subarray(k * width, (k + 1) * width));
  return rows.filter(row => row[0] > step[N - 1]);
}

// A tail as it grows by the steps that it has beyond its first `known` bytes: in `most` parts, or by one step each; the last is all of it.
export function growing(frame, view, known, most) {
  const came = frame && view?.byteLength > known ? Math.floor((view.byteLength - known) / 4 / wide(frame)) : 0, parts = Math.min(came, most);
  const upTo = k => new DataView(view.buffer, view.byteOffset, known + 4 * wide(frame) * Math.ceil(came * k / parts));
  return [...Array.from({length: Math.max(parts - 1, 0)}, (_, k) => upTo(k + 1)), view];
}

// Means of what is a number among `values`, from one of `ends` to the next; the first one also over `more`.
function means(values, ends, more) {
  return ends.map((end, i) => {
    const fine = [...values.slice(i ? ends[i - 1] + 1 : 0, end + 1), ...(i ? [] : more)].filter(Number.isFinite);
    return fine.reduce((a, b) => a + b, 0) / fine.length;
  });
}

// A frame with those steps as further rows, one for every so many, as a frame of all of them has them.
export function join(frame, view) {
  const came = frame && view?.byteLength ? behind(frame, view) : [];
  if (!came.length) return frame;
  const {N, E, T, steps, every} = frame, open = steps % every, kept = open ? N - 1 : N;    // the last row was of `open` steps
  const ends = [...came.keys()].filter(k => (steps + k + 1) % every === 0 || k === came.length - 1), rows = ends.map(k => came[k]);
  const longer = (old, more) => { const all = new Float32Array(kept + rows.length); all.set(old.subarray(0, kept)); all.set(more, kept); return all; };
  const joined = {...frame, N: kept + rows.length, latest: came.slice(-20).map(row => Object.fromEntries(LOGGED.map((name, c) => [name, row[c]])))};
  for (const name of COLUMNS) joined[name] = longer(frame[name], rows.map(row => row[LOGGED.indexOf(name)]));
  joined.losses = frame.losses.map((old, t) => longer(old, means(came.map(row => row[LOGGED.length + t]), ends, new Array(open).fill(old[N - 1]))));
  const alpha = LOGGED.length + T, grad = alpha + E, gates = rows.map(row => row.subarray(alpha, grad).map(code));
  joined.p = (i, e) => i < kept ? frame.p(i, e) : gates[i - kept][e] / 65535;
  joined.alpha = (i, e) => i < kept ? logit(frame.p(i, e)) : rows[i - kept][alpha + e];
  joined.grad = (i, e) => i < kept ? frame.grad(i, e) : rows[i - kept][grad + e];
  return joined;
}

// A status as it is after the steps that came behind the frame.
export function since(status, frame) {
  const latest = frame?.latest;
  if (!latest) return status;
  const fine = value => Number.isFinite(value) ? value : null, last = latest.at(-1), seconds = latest.map(one => one.seconds).filter(s => s > 0 && s < 1e6);
  const pace = (seconds.reduce((a, b) => a + b, 0) + (20 - seconds.length) * (status.pace || seconds[0])) / 20;
  return {...status, step: last.step, pace: fine(pace) || 0, knobs: {...status.knobs, entropy_weight: fine(last.lambda), temperature: fine(last.tau),
    l1_weight: fine(last.l1), alpha_lr: fine(last.rate)}};
}

// The row of a frame that shows step `at` (the last one not after it); at < 0: the latest.
export function rowOf(frame, at) {
  if (at < 0) return frame.N - 1;
  let low = 0, high = frame.N - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (frame.step[middle] <= at) low = middle; else high = middle - 1;
  }
  return low;
}

// How many first rows of two frames are the same history; the last row of a frame is left out, for it moves.
export function same(before, now) {
  const most = Math.min(before.N, now.N) - 1, last = most - 1;
  if (before === now || most < 1) return Math.max(most, 0);
  const alike = before.E === now.E && before.step[0] === now.step[0] && before.step[last] === now.step[last];
  for (let e = 0; e < now.E; e++) if (!alike || before.p(last, e) !== now.p(last, e)) return 0;
  return most;
}

// A round number that is not below: axes stand still while values move.
export function roundUp(value) {
  if (!(value > 0 && value < 1e300)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find(f => f * power >= value * (1 - 1e-12)) * power;
}

// --- numbers ---------------------------------------------------------------------------------------------------------
export const logit = p => { const q = Math.min(Math.max(p, 1e-5), 1 - 1e-5); return Math.log(q / (1 - q)); };
export const entropyOf = p => p <= 0 || p >= 1 ? 0 : -p * Math.log(p) - (1 - p) * Math.log(1 - p);
// What λ·(mean entropy) adds to the gradient of one α out of E; a step moves α against the gradient.
export const pull = (lambda, alpha, E) => {
  const p = 1 / (1 + Math.exp(-alpha));
  return -lambda * alpha * p * (1 - p) / Math.max(E, 1);
};

export function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

// Mean over the `half` values before and after each, without those that are no numbers.
export function smooth(values, half) {
  return Array.from(values, (_, i) => {
    let sum = 0, count = 0;
    for (let k = Math.max(0, i - half); k <= Math.min(values.length - 1, i + half); k++) {
      if (Number.isFinite(values[k])) { sum += values[k]; count++; }
    }
    return count ? sum / count : NaN;
  });
}

export function ticks(low, high, count = 4) {
  const span = high - low;
  if (!(span > 0 && span < 1e300)) return [low];
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => span / s <= count + 0.5) || 10 * power;
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++) found.push(+(k * step).toPrecision(10));
  return found;
}

// The end of the step axis: it doubles when the search gets there, so that curves stand still in between.
export function endOfAxis(last, planned) {
  if (!(planned > 0 && planned < 1e12)) return 2 ** Math.ceil(Math.log2(Math.max(last, 20)));
  let end = planned;
  while (end / 2 >= Math.max(last, 20)) end /= 2;
  return Math.max(end, last);
}

export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1).replaceAll("-", "−");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(digits).replace("-", "−");
}

// --- colours ---------------------------------------------------------------------------------------------------------
const channels = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
const text = rgb => `rgb(${rgb.map(Math.round).join(",")})`;
export const mix = (a, b, share) => channels(a).map((x, i) => x + (channels(b)[i] - x) * share);
const light = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b) / 255;

const RAMP = {};
export function ramp(p, dark) {
  const table = RAMP[dark] ||= Array.from({length: 256}, (_, i) => {
    const x = i / 255 * 4, k = Math.min(Math.floor(x), 3);
    return text(mix(RAMPS[dark][k], RAMPS[dark][k + 1], x - k));
  });
  return table[Math.max(0, Math.min(255, Math.round(p * 255)))];
}

// A task's colour, a little off where it would drown in the background.
export function taskColour(task, dark) {
  const colour = TASKS[task % TASKS.length], there = light(channels(colour));
  if (dark && there < 0.42) return text(mix(colour, "#ffffff", 0.62 * (1 - there / 0.6)));
  if (!dark && there > 0.72) return text(mix(colour, "#5c6370", 0.42));
  return text(channels(colour));
}

export function isDark(css) {
  const numbers = (css.match(/[\d.]+/g) || []).map(Number);
  return css.startsWith("rgb") && numbers.length >= 3 && numbers[3] !== 0 && light(numbers) < 0.5;
}

// --- places ----------------------------------------------------------------------------------------------------------
// Panels in a canvas `width` pixels wide: {name: {x, y, w, h}} and the height of it all. Titles stand above the boxes, what
// colours and widths mean stands `legend` pixels below them. The gap's box also holds one row for each task.
export const METER = 26;
export const EVERY = ["graph", "heat", "entropy", "gates", "losses", "gap"];
export function panels(width, tasks, shown = EVERY) {
  const gap = 34, left = 34, right = 14, top = 26, axis = 26, legend = {graph: 30, heat: 30, gap: 14}, place = {};
  const lanes = Math.max(tasks, 2), low = 100 + METER * lanes, curves = EVERY.slice(2).filter(name => shown.includes(name));
  const row = (names, y, w) => names.forEach((name, i) => {
    place[name] = {x: left + i * (w + gap + 8), y, w, h: low + (name === "gap" ? axis : 0), legend: legend[name] || axis + 14};
  });
  if (width < 860) {                                 // four side by side would have no room for their words
    const w = width - left - right;
    let y = top;
    place.graph = {x: 6, y, w: width - 12, h: 110 + 62 * lanes, legend: legend.graph};
    y += place.graph.h + 56 + top;
    if (shown.includes("heat")) {
      place.heat = {x: left, y, w, h: tasks > 2 ? Math.min(w, 420) : Math.min(w * 0.5, 250), legend: legend.heat};
      y += place.heat.h + 56 + top;
    }
    for (let i = 0; i < curves.length; i += 2) {
      row(curves.slice(i, i + 2), y, (w - gap - 10) / 2);
      y += low + axis + 60 + top;
    }
    return {place, height: y - top + 6};
  }
  const h = Math.max(200, 66 + 82 * (lanes - 1) + 46);
  if (!shown.includes("heat")) {                     // a plain panel: the curves stand beside the graph
    place.graph = {x: 4, y: top, w: Math.round(width * 0.5), h: Math.max(h, low + axis - legend.graph), legend: legend.graph};
    const from = place.graph.w + 10, w = (width - from - left - right - (curves.length - 1) * (gap + 8)) / curves.length;
    row(curves, top, w);
    for (const name of curves) Object.assign(place[name], {x: place[name].x + from, h: place.graph.h - axis + legend.graph - 14});
    return {place, height: top + place.graph.h + 80};
  }
  const graph = Math.round(width * (tasks > 3 ? 0.56 : 0.615));
  place.graph = {x: 4, y: top, w: graph - 10, h, legend: legend.graph};
  place.heat = {x: graph + left, y: top, w: width - graph - left - right, h, legend: legend.heat};
  const y = top + h + 56 + top;
  row(curves, y, (width - left - right - 3 * (gap + 8)) / 4);
  return {place, height: y + low + axis + 60};
}

// `text` in lines that are at most `room` wide by `measure`; words stay whole.
export function wrap(text, room, measure) {
  return text.split(" ").reduce((lines, word) => {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && measure(longer) > room) lines.push(word); else lines[lines.length - 1] = longer;
    return lines;
  }, [""]);
}

// The fusion graph in a box: nodes [task][stage] {x, y}, groups of stages, and one Bézier curve (8 numbers) for each edge.
export function graphPlan(stage, box) {
  const groups = [], names = 106, pad = {top: 34, bottom: 22};
  stage.plans.forEach(plan => plan.forEach(([channels, group, , size]) => {
    const g = groups[group] ||= {size: 0, channels: new Set()};
    g.size = Math.max(g.size, size);
    g.channels.add(channels);
  }));
  const there = groups.filter(Boolean), slots = there.reduce((sum, g) => sum + g.size, 0), between = 0.45;
  const unit = (box.w - names - 14) / (slots + between * (there.length - 1));
  let x = box.x + names;
  for (const g of there) {
    g.x = x;
    g.w = g.size * unit;
    x += g.w + between * unit;
  }
  const lanes = stage.plans.length, high = box.h - pad.top - pad.bottom;
  const yOf = lane => box.y + pad.top + (lanes < 2 ? high / 2 : high * lane / (lanes - 1));
  const r = Math.max(2.5, Math.min(0.26 * unit, 8.5, high / lanes / 4));
  const nodes = stage.plans.map((plan, lane) => plan.map(([channels, group, index, size]) => (
    {x: groups[group].x + (index + 0.5) * groups[group].w / size, y: yOf(lane), channels})));
  const edges = stage.edges.map(([a, i, b, j]) => curve(nodes[a][i], nodes[b][j], r, Math.abs(a - b)));
  return {nodes, edges, r, unit, groups: there.map(g => ({...g, channels: [...g.channels]})),
    top: box.y + pad.top - r - 12, bottom: box.y + box.h - pad.bottom + r + 10};
}

// Each edge bows to its own right, so that the two edges between one pair of nodes stand apart.
export function curve(from, to, r, lanes = 1) {
  const dx = to.x - from.x, dy = to.y - from.y, far = Math.hypot(dx, dy) || 1;
  const nx = -dy / far, ny = dx / far, bow = Math.min(0.1 * far, 16) + 3.5 + 7 * (lanes - 1);
  const c1 = [from.x + 0.3 * dx + nx * bow, from.y + 0.3 * dy + ny * bow];
  const c2 = [from.x + 0.7 * dx + nx * bow, from.y + 0.7 * dy + ny * bow];
  const rim = (node, [cx, cy], more) => {
    const d = Math.hypot(cx - node.x, cy - node.y) || 1, k = (r + more) / d;
    return [node.x + (cx - node.x) * k, node.y + (cy - node.y) * k];
  };
  return [...rim(from, c1, 1.5), ...c1, ...c2, ...rim(to, c2, 2.5)];
}

export function pointOn(c, t) {
  const s = 1 - t, weights = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
  return [0, 1].map(k => weights.reduce((sum, w, i) => sum + w * c[2 * i + k], 0));
}

// The edge whose curve passes nearest to (x, y), at most `reach` pixels away; `weight` prefers strong edges; −1: none.
export function nearest(curves, x, y, reach, weight = () => 0) {
  let best = -1, least = reach;
  curves.forEach((c, e) => {
    for (let k = 1; k < 24; k++) {
      const [px, py] = pointOn(c, k / 24), far = Math.hypot(px - x, py - y) - 2 * weight(e);
      if (far < least) [best, least] = [e, far];
    }
  });
  return best;
}

// Source × target: one block for each ordered pair of tasks (two tasks: side by side), one cell for each edge.
export function heatPlan(stage, box) {
  const depth = stage.plans.map(plan => plan.length), two = depth.length === 2, gap = 1.2;
  const left = [], sum = depth.reduce((total, d) => (left.push(total), total + d + gap), 0) - gap;
  const rows = two ? Math.max(...depth) : sum;
  const cell = Math.min(box.w / sum, (box.h - (two ? 0 : 4)) / rows);
  const x0 = box.x + (box.w - cell * sum) / 2, y0 = two ? box.y + Math.max(0, (box.h - cell * rows) / 2 - 6) : box.y;
  const blocks = [];
  depth.forEach((rowsOf, a) => depth.forEach((columnsOf, b) => {
    if (a !== b) blocks.push({source: a, target: b, x: x0 + left[b] * cell, y: y0 + (two ? 0 : left[a] * cell),
      w: columnsOf * cell, h: rowsOf * cell});
  }));
  const cells = stage.edges.map(([a, i, b, j]) => (
    {x: x0 + (left[b] + j) * cell, y: y0 + ((two ? 0 : left[a]) + i) * cell}));
  return {cells, blocks, cell, two};
}

export function cellAt(heat, x, y) {
  return heat.cells.findIndex(c => x >= c.x && x < c.x + heat.cell && y >= c.y && y < c.y + heat.cell);
}

// Which edges are forced in step `at`, and how: {edge: open}. changes: [[from which step on, {name: true, false or null}]].
export function forcedAt(changes, names, at) {
  const now = new Map();
  for (const [step, force] of changes) {
    if (step <= at) for (const [name, to] of Object.entries(force)) now.set(names.indexOf(name), to);
  }
  return Object.fromEntries([...now].filter(([e, to]) => e >= 0 && to !== null));
}

// --- what a network sees ------------------------------------------------------------------------------------------------
// How much it saw in a step. points: [[from which step on, how much]]; without any: all.
export const seenAt = (points = [], step = 0) => (points.findLast(([first]) => first <= step) || points[0] || [1, 1])[1];

// Unit Gaussian noise, the same each time for one seed: from a small generator (mulberry32), by Box and Muller.
export function noise(count, seed) {
  let state = seed;
  const uniform = () => {
    state = state + 0x6D2B79F5 | 0;
    let t = Math.imul(state ^ state >>> 15, 1 | state);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
  const all = new Float32Array(count);
  for (let k = 0; k < count; k++) all[k] = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return all;
}

// v · image + (1 − v) · noise as RGBA, of an image as RGB bytes; the noise is unit after normalisation by mean and deviation.
export function seen(rgb, noise, v, {mean, deviation}) {
  const all = new Uint8ClampedArray(rgb.length / 3 * 4).fill(255);
  rgb.forEach((value, k) => {
    const c = k % 3;
    all[(k - c) / 3 * 4 + c] = v * value + (1 - v) * 255 * (mean[c] + deviation[c] * noise[k]);
  });
  return all;
}

// How many edges have their σ(α) in each of `bins` equal parts of 0…1.
export function histogram(values, bins) {
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor(value * bins))]++;
  return counts;
}

const METRICS = {miou: ["IoU", 1], pixel_accuracy: ["accuracy", 1], mean_angle: ["angle°", -1],
  absolute: ["error m", -1], f1: ["F1", 1], ap: ["precision", 1], top1: ["top 1", 1]};

// For each task its first metric at every evaluation: {task, name, better, steps, soft, hard, hard_recalibrated}.
export function gaps(evaluated, tasks) {
  const found = [];
  tasks.forEach((task, lane) => {
    const of = (scores, gate) => Object.hasOwn(scores[gate] || {}, task) ? scores[gate][task] : null;
    const first = evaluated.map(([, scores]) => of(scores, "hard") || of(scores, "soft")).find(Boolean);
    if (!first || !Object.keys(first).length) return;
    const metric = Object.keys(first)[0], [name, better] = Object.hasOwn(METRICS, metric) ? METRICS[metric] : [metric, 1];
    const line = gate => evaluated.map(([, scores]) => of(scores, gate)?.[metric] ?? NaN);
    found.push({task, lane, name, better, steps: evaluated.map(([step]) => step), soft: line("soft"), hard: line("hard"),
      hard_recalibrated: line("hard_recalibrated")});
  });
  return found;
}

// What discretizing costs, in % of soft: above 0 hard is worse, whichever way the metric counts.
export const cost = (one, gate, i) => 100 * one.better * (one.soft[i] - one[gate][i]) / Math.abs(one.soft[i]);

// One sentence on everything, for those who do not see the canvas.
export function describe(stage, frame, row, mode, marks = {}, forced = {}) {
  if (!stage?.tasks) return "Search studio: nothing to show yet.";
  if (!frame) return `Search studio, ${mode}: ${stage.edges.length} candidate edges between ${stage.tasks.join(", ")}.`;
  const open = opens(Array.from({length: frame.E}, (_, e) => forced[e] === undefined ? frame.p(row, e) : +forced[e]));
  const losses = frame.losses.map((loss, t) => `${(marks.losses || stage.tasks)[t] ?? ""} ${short(loss[row])}`).join(", ");
  const told = gaps((marks.evaluated || []).filter(([step]) => step <= frame.step[row]), stage.tasks).map(one => (
    `${one.task} ${one.name} ${short(one.soft.at(-1))} soft, ${short(one.hard.at(-1))} hard`)).join(", ");
  const seen = Object.entries(marks.visibility || {}).map(([task, points]) => [task, seenAt(points, frame.step[row])]);
  const covered = seen.map(([task, v]) => v < 1 ? `, ${task} sees ${Math.round(100 * v)} %` : "").join("");
  return `Search studio, ${mode}, step ${frame.step[row]}: mean entropy ${short(frame.entropy[row])} nats, ${open} of ` +
    `${frame.E} edges open, entropy weight ${short(frame.lambda[row])}${covered}, losses ${losses}${told ? `; scores ${told}` : ""}. Arrow keys go through the edges.`;
}
