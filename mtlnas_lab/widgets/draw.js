// The panels on the canvas: every function takes the context and the state S. Names are text only.
import {LN2, METER, cost, entropyOf, gaps, histogram, isDark, quantile, ramp, short, smooth, ticks, wrap} from "./plan.js";

function fit(g, text, room) {
  if (g.measureText(text).width <= room) return text;
  for (let keep = text.length - 1; keep > 0; keep--) {
    const cut = text.slice(0, (keep + 1) >> 1).trimEnd() + "…" + text.slice(text.length - (keep >> 1)).trimStart();
    if (g.measureText(cut).width <= room) return cut;
  }
  return "…";
}

export function say(g, S, text, x, y, {align = "left", bold = false, size = 11, colour = S.soft, room = 1e4, turn = 0, halo = false} = {}) {
  g.save();
  g.font = `${bold ? "600 " : ""}${size}px ${S.font}`;
  g.fillStyle = colour;
  g.textAlign = align;
  g.translate(x, y);
  g.rotate(turn);
  const shown = fit(g, text, room);
  if (halo) {
    g.lineWidth = 3;
    g.lineJoin = "round";
    g.strokeStyle = S.paper;
    g.strokeText(shown, 0, 0);
  }
  g.fillText(shown, 0, 0);
  const width = g.measureText(shown).width;
  g.restore();
  return width;
}

// Title on the left, values (text or [text, colour]) on the right as far as there is room.
function head(g, S, box, title, values = [], left = box.x) {
  const from = left + 8 + say(g, S, title, left, box.y - 9, {bold: true, size: 12, colour: S.ink, room: box.w});
  let right = box.x + box.w;
  g.font = `10.5px ${S.font}`;
  const fitting = [values].flat().length && Array.isArray(values[0]) ? values : values.length ? [[values, S.soft]] : [];
  const widths = fitting.map(([text]) => g.measureText(text).width + 9);
  while (fitting.length && widths.reduce((a, b) => a + b, -9) > right - from) { fitting.pop(); widths.pop(); }
  for (const [text, colour] of fitting.reverse()) {
    right -= 9 + say(g, S, text, right, box.y - 9, {align: "right", size: 10.5, colour});
  }
}

// What the panel's colours, widths and dashes mean.
function legend(g, S, box, text) {
  g.font = `10px ${S.font}`;
  const left = box.x < 10 ? box.x + 12 : box.x, room = box.w - (left - box.x);
  wrap(text, room, part => g.measureText(part).width).slice(0, 4).forEach((part, i) => (
    say(g, S, part, left, box.y + box.h + box.legend + 12 * i, {size: 10, room})));
}

function line(g, points, colour, width, {dash = [], opacity = 1} = {}) {
  g.save();
  g.globalAlpha = opacity;
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.lineJoin = "round";
  g.setLineDash(dash);
  g.beginPath();
  let pen = false;
  for (const [x, y] of points) {
    if (Number.isFinite(y)) pen ? g.lineTo(x, y) : g.moveTo(x, y);
    pen = Number.isFinite(y);
  }
  g.stroke();
  g.restore();
}

// A panel over search steps: grid, ticks, turned knobs, the step that is looked at. Returns the two scales.
const brief = value => String(+value.toPrecision(6)).replace("-", "−");

function axes(g, S, box, low, high, {marked = true, format = brief, count = 3} = {}) {
  const X = step => box.x + box.w * step / S.end, Y = value => box.y + box.h * (1 - (value - low) / (high - low || 1));
  for (const tick of ticks(low, high, count)) {
    line(g, [[box.x, Y(tick)], [box.x + box.w, Y(tick)]], S.shade, 1);
    say(g, S, format(tick), box.x - 5, Y(tick) + 3.5, {align: "right", size: 10});
  }
  for (const tick of ticks(0, S.end, box.w < 180 ? 2 : 4)) {
    say(g, S, String(tick), X(tick), box.y + box.h + 13, {align: tick > 0.95 * S.end ? "right" : tick ? "center" : "left", size: 10});
  }
  say(g, S, "search step", box.x + box.w / 2, box.y + box.h + 25, {align: "center", size: 10});
  if (marked) for (const [step] of S.marks.turned || []) {
    line(g, [[X(step), box.y], [X(step), box.y + box.h]], S.soft, 1, {dash: [1.5, 2.5], opacity: 0.9});
  }
  const split = S.marks.branched;
  if (split >= 0) line(g, [[X(split), box.y], [X(split), box.y + box.h]], S.warn, 1.2, {dash: [6, 3]});
  return {X, Y};
}

function cursor(g, S, box, X) {
  if (S.at >= 0) line(g, [[X(S.frame.step[S.row]), box.y], [X(S.frame.step[S.row]), box.y + box.h]], S.ink, 1);
}

const curveOf = (frame, values, X, Y) => Array.from({length: frame.N}, (_, i) => [X(frame.step[i]), Y(values[i])]);
const historyOf = (frame, e, X, Y, f = p => p) => Array.from({length: frame.N}, (_, i) => [X(frame.step[i]), Y(f(frame.p(i, e)))]);

function drawEntropy(g, S, box) {
  const f = S.frame, {X, Y} = axes(g, S, box, 0, 0.75);
  line(g, [[box.x, Y(LN2)], [box.x + box.w, Y(LN2)]], S.soft, 1, {dash: [4, 3]});
  legend(g, S, box, "nats an edge: mean, middle 80 % shaded, ┄ ln 2. λ (red), τ (dots): scales of their own." +
    (S.marks.branched >= 0 ? " Red dashes: branched off the grey run." : S.other ? " Grey: the other run." : " Dotted upright: a knob turned."));
  if (!f) return head(g, S, box, "Entropy");
  g.save();
  g.fillStyle = ramp(0.5, S.dark);
  g.globalAlpha = 0.2;
  g.beginPath();
  S.band.forEach(([low], i) => g.lineTo(X(f.step[i]), Y(low)));
  for (let i = f.N - 1; i >= 0; i--) g.lineTo(X(f.step[i]), Y(S.band[i][1]));
  g.fill();
  g.restore();
  const most = Math.max(...f.lambda, ...(S.other ? S.other.lambda : []), (S.status.knobs?.most || 20) / 2), hot = Math.max(...f.tau, 1e-9);
  line(g, curveOf(f, f.tau, X, t => box.y + box.h * (1 - 0.92 * t / hot)), S.soft, 1, {dash: [1, 2]});
  line(g, curveOf(f, f.lambda, X, l => box.y + box.h * (1 - 0.92 * l / most)), S.warn, 1.2);
  if (S.other) line(g, curveOf(S.other, S.other.entropy, X, Y), S.soft, 1.6, {dash: [5, 3]});
  line(g, curveOf(f, f.entropy, X, Y), ramp(0.62, S.dark), 2.2);
  if (S.lit >= 0) line(g, historyOf(f, S.lit, X, Y, entropyOf), S.ink, 1.6);
  cursor(g, S, box, X);
  const i = S.row;
  head(g, S, box, "Entropy", [[`${short(f.entropy[i])} nats`, S.soft], [`λ ${short(f.lambda[i])}`, S.warn],
    [`┄ τ ${short(f.tau[i])}`, S.soft]]);
  const last = (S.marks.turned || []).at(-1);
  if (last) say(g, S, last[1].split(", ")[0], Math.min(X(last[0]) + 4, box.x + box.w * 0.55), box.y + box.h - 5, {size: 10, room: box.w * 0.45, halo: true});
}

function drawGates(g, S, box) {
  const side = Math.min(46, box.w * 0.2), inner = {...box, w: box.w - side - 6};
  const f = S.frame, {X, Y} = axes(g, S, inner, 0, 1, {count: 2});
  legend(g, S, box, "A line for each edge, in the colour of its source task. Bars: how many edges are there now. Above ½ is open.");
  if (!f) return head(g, S, box, "Gates σ(α)");
  const strong = f.E > 150 ? 0.3 : 0.55;
  for (let e = 0; e < f.E; e++) {
    line(g, historyOf(f, e, X, Y), S.colours[S.stage.edges[e][0]], 1.1, {opacity: S.lit < 0 || S.lit === e ? strong : 0.12});
  }
  if (S.lit >= 0) line(g, historyOf(f, S.lit, X, Y), S.ink, 2.2);
  cursor(g, S, inner, X);
  const now = Array.from({length: f.E}, (_, e) => f.p(S.row, e)), bins = 16, counts = histogram(now, bins);
  const most = Math.max(...counts, 1), x = inner.x + inner.w + 7;
  counts.forEach((count, k) => {
    g.fillStyle = ramp(0.2 + 0.6 * k / bins, S.dark);
    g.fillRect(x, Y((k + 1) / bins) + 0.5, Math.max((side - 2) * count / most, count ? 1.5 : 0), box.h / bins - 1);
  });
  S.gatesAt = {inner, X, Y};
  head(g, S, box, "Gates σ(α)", `${now.filter(p => p > 0.5).length} of ${f.E} open`);
}

function drawLosses(g, S, box) {
  const f = S.frame;
  legend(g, S, box, "In the w-update, for each task. Thin: means of the steps shown; wide: smoothed." + (S.other ? " Dashes: the other run." : ""));
  if (!f) { axes(g, S, box, 0, 1); return head(g, S, box, "Losses"); }
  const all = [f, S.other].filter(Boolean).flatMap(one => one.losses.flatMap(loss => [...loss])).filter(Number.isFinite);
  const high = quantile(all.sort((a, b) => a - b), 0.99) * 1.08 || 1, {X, Y} = axes(g, S, box, 0, high);
  g.save();
  g.beginPath();
  g.rect(box.x, box.y - 2, box.w, box.h + 4);
  g.clip();
  if (S.other) S.other.losses.forEach((loss, t) => (
    line(g, curveOf(S.other, loss, X, Y), S.lossColour(t), 1.3, {dash: [5, 3], opacity: 0.7})));
  f.losses.forEach((loss, t) => line(g, curveOf(f, loss, X, Y), S.lossColour(t), 1, {opacity: 0.3}));
  f.losses.forEach((loss, t) => line(g, curveOf(f, smooth(loss, f.N >> 5), X, Y), S.lossColour(t), 2));
  g.restore();
  cursor(g, S, box, X);
  head(g, S, box, "Losses");
  f.losses.forEach((loss, t) => {
    const name = (S.marks.losses || [])[t] || "";
    say(g, S, `\u2068${name}\u2069  ${short(loss[S.row])}`, box.x + box.w - 4, box.y + 9 + 13 * t,
      {align: "right", size: 10, colour: S.lossColour(t), room: box.w * 0.75, halo: true});
  });
}

function drawGap(g, S, box) {
  const found = gaps(S.marks.evaluated || [], S.stage.tasks || []);
  legend(g, S, box, "What cutting the gates costs, in % of the soft score (above 0: hard is worse). ○ soft ● hard, small: recalibrated; right is better.");
  if (!found.length) {
    head(g, S, box, "Gap soft − hard");
    g.fillStyle = S.shade;
    g.fillRect(box.x, box.y, box.w, box.h);
    return say(g, S, "no evaluation yet", box.x + box.w / 2, box.y + box.h / 2 + 4, {align: "center"});
  }
  const plot = {...box, h: Math.max(box.h - METER * found.length - 32, 40)};
  const costs = found.flatMap(one => one.steps.flatMap((_, i) => ["hard", "hard_recalibrated"].map(gate => cost(one, gate, i))));
  const fine = costs.filter(Number.isFinite), top = Math.max(1, ...fine) * 1.15, low = Math.min(-0.15 * top, ...fine.map(c => c * 1.15));
  const {X, Y} = axes(g, S, plot, low, top, {format: v => `${brief(v)} %`});
  line(g, [[plot.x, Y(0)], [plot.x + plot.w, Y(0)]], S.soft, 1);
  for (const one of found) {
    const points = gate => one.steps.map((step, i) => [X(step), Y(cost(one, gate, i))]);
    line(g, points("hard_recalibrated"), S.colours[one.lane], 1.2, {dash: [2, 2.5]});
    line(g, points("hard"), S.colours[one.lane], 1.8);
    g.fillStyle = S.colours[one.lane];
    for (const [gate, r] of [["hard", 2.2], ["hard_recalibrated", 1.2]]) {
      for (const [x, y] of points(gate)) if (Number.isFinite(y)) { g.beginPath(); g.arc(x, y, r, 0, 7); g.fill(); }
    }
  }
  if (S.frame) cursor(g, S, plot, X);
  head(g, S, box, "Gap soft − hard", "● hard ┄ recalibrated");
  const step = S.at < 0 || !S.frame ? Infinity : S.frame.step[S.row];
  found.forEach((one, k) => {                                 // the meter: the three scores on one little scale
    const i = Math.max(one.steps.findLastIndex(s => s <= step), 0), y = plot.y + plot.h + 51 + METER * k;
    const values = [one.soft, one.hard, one.hard_recalibrated].flat().filter(Number.isFinite);
    const least = Math.min(...values), span = Math.max(...values) - least || 1;
    const x = value => box.x + 6 + (box.w - 12) * (one.better > 0 ? value - least : least + span - value) / span;
    const used = say(g, S, `○ ${short(one.soft[i])}  ● ${short(one.hard[i])}`, box.x + box.w, y - 8, {align: "right", size: 10});
    say(g, S, `\u2068${one.task}\u2069 ${one.name}`, box.x, y - 8, {size: 10, colour: S.colours[one.lane], room: box.w - used - 6});
    line(g, [[box.x, y], [box.x + box.w, y]], S.rule, 1);
    line(g, [[x(one.soft[i]), y], [x(one.hard[i]), y]], S.colours[one.lane], 3);
    const dot = (value, fill, r) => {
      if (!Number.isFinite(value)) return;
      g.beginPath();
      g.arc(x(value), y, r, 0, 7);
      g.fillStyle = fill;
      g.fill();
      g.strokeStyle = S.colours[one.lane];
      g.lineWidth = 1.5;
      g.stroke();
    };
    dot(one.soft[i], S.paper, 4);
    dot(one.hard_recalibrated[i], ramp(0.5, S.dark), 2.6);
    dot(one.hard[i], S.colours[one.lane], 3.6);
  });
}

function drawGraph(g, S, box) {
  const plan = S.graph;
  for (const group of plan.groups) {
    g.fillStyle = S.shade;
    g.beginPath();
    g.roundRect(group.x - 2, plan.top, group.w + 4, plan.bottom - plan.top, 6);
    g.fill();
    if (group.channels.length === 1) say(g, S, group.w > 44 ? `${group.channels[0]} ch` : `${group.channels[0]}`,
      group.x + group.w / 2, plan.bottom + 14, {align: "center", size: 10, room: group.w + 6});
  }
  plan.nodes.forEach((nodes, lane) => {
    const first = nodes[0], last = nodes.at(-1);
    line(g, [[first.x - plan.r - 8, first.y], [last.x + plan.r + 9, last.y]], S.colours[lane], 2, {opacity: 0.85});
    say(g, S, S.stage.tasks[lane], first.x - plan.r - 14, first.y + 4, {align: "right", bold: true, size: 11.5, colour: S.ink, room: 92});
  });
  const gate = e => S.frame ? S.frame.p(S.row, e) : 0.5, p = e => S.forced[e] === undefined ? gate(e) : +S.forced[e], order = S.stage.edges.map((_, e) => e).sort((a, b) => p(a) - p(b));
  const crowd = Math.min(1, Math.max(0.35, plan.unit / 26), (200 / order.length) ** 0.6);
  for (const e of order) if (e !== S.lit) edge(g, S, e, p(e), crowd, S.lit < 0 ? 1 : 0.25);
  if (S.lit >= 0) edge(g, S, S.lit, p(S.lit), crowd, 1);
  plan.nodes.forEach((nodes, lane) => nodes.forEach((node, k) => {
    g.beginPath();
    g.arc(node.x, node.y, plan.r, 0, 7);
    g.fillStyle = S.colours[lane];
    g.fill();
    g.lineWidth = 1.5;
    g.strokeStyle = S.paper;
    g.stroke();
    if (plan.r >= 6) say(g, S, String(k), node.x, node.y + 3, {align: "center", size: 8.5, colour: isDark(S.colours[lane]) ? "#fff" : "#1b1f27"});
  }));
  const open = S.frame ? order.filter(e => p(e) > 0.5).length : 0;
  legend(g, S, box, "Stages from the image (left) to the head, ch: channels. An edge has the colour of its source task; the wider and " +
    "darker, the nearer its gate σ(α) is to 1. Dashes: forced.");
  head(g, S, box, "Fusion graph", S.frame ? `${open} edges open after step ${S.frame.step[S.row]}` : `${order.length} candidate edges`, box.x + 12);
}

function edge(g, S, e, p, crowd, share) {
  const c = S.graph.edges[e], lit = e === S.lit, forced = S.forced[e];
  const colour = lit ? S.ink : S.colours[S.stage.edges[e][0]], width = (0.7 + 2.5 * p) * crowd + (lit ? 0.8 : 0);
  g.save();
  const many = S.stage.edges.length > 150;           // then the undecided ones step back
  g.globalAlpha = lit ? 1 : (many ? 0.03 + 0.72 * p ** 2.8 : 0.07 + 0.88 * p ** 1.45) * share;
  g.strokeStyle = g.fillStyle = colour;
  g.lineWidth = width;
  if (forced !== undefined) g.setLineDash([6, 2]);
  const a = Math.atan2(c[7] - c[5], c[6] - c[4]), size = 2.6 * crowd + 1.5 * width;
  g.beginPath();
  g.moveTo(c[0], c[1]);
  g.bezierCurveTo(c[2], c[3], c[4], c[5], c[6] - 0.7 * size * Math.cos(a), c[7] - 0.7 * size * Math.sin(a));
  g.stroke();
  g.setLineDash([]);
  g.beginPath();
  g.moveTo(c[6], c[7]);
  for (const turn of [-0.42, 0.42]) g.lineTo(c[6] - size * Math.cos(a + turn), c[7] - size * Math.sin(a + turn));
  g.fill();
  g.restore();
}

function drawHeat(g, S, box) {
  const {cells, blocks, cell, two} = S.heat, names = S.stage.tasks;
  for (const block of blocks) {
    g.fillStyle = S.shade;
    g.fillRect(block.x, block.y, block.w, block.h);
    const name = two ? `${names[block.source]} → ${names[block.target]}` : names[block.target];
    if (two || block.source === (block.target ? 0 : 1)) {
      say(g, S, name, block.x + block.w / 2, (two ? block.y + block.h : box.y + cell * S.heatRows) + 13,
        {align: "center", size: 10, room: two ? block.w + 8 : block.w});
    }
    if (!two && block.target === (block.source ? 0 : 1)) say(g, S, names[block.source], Math.min(...blocks.map(b => b.x)) - 6,
      block.y + block.h / 2, {align: "center", size: 10, room: block.h, turn: -Math.PI / 2});
  }
  const inset = cell > 6 ? 0.6 : 0.2;
  cells.forEach((c, e) => {
    const p = S.frame ? S.frame.p(S.row, e) : 0.5;
    g.globalAlpha = S.lit < 0 || S.lit === e ? 1 : 0.55;
    g.fillStyle = ramp(p, S.dark);
    g.fillRect(c.x + inset, c.y + inset, cell - 2 * inset, cell - 2 * inset);
    if (S.forced[e] !== undefined) {
      g.fillStyle = S.paper;
      g.fillRect(c.x + cell / 2 - 1.5, c.y + cell / 2 - 1.5, 3, 3);
    }
  });
  g.globalAlpha = 1;
  if (S.lit >= 0) {
    g.strokeStyle = S.ink;
    g.lineWidth = 2;
    g.strokeRect(cells[S.lit].x, cells[S.lit].y, cell, cell);
  }
  legend(g, S, two ? box : {...box, h: cell * S.heatRows}, `Row: source stage, column: target stage, from 0. ${S.dark ? "Light" : "Dark"}: open. Grey: no candidate.` +
    (Object.keys(S.forced).length ? " Dot: forced." : ""));
  head(g, S, box, "Gates: source ↓ target →");
  const w = 74, x = box.x + box.w - w - 14, y = box.y - 17;
  for (let k = 0; k < w; k++) { g.fillStyle = ramp(k / w, S.dark); g.fillRect(x + k, y, 1.5, 7); }
  say(g, S, "0", x - 4, y + 7, {align: "right", size: 10});
  say(g, S, "1", x + w + 5, y + 7, {size: 10});
}

export const PANELS = {graph: drawGraph, heat: drawHeat, entropy: drawEntropy, gates: drawGates, losses: drawLosses, gap: drawGap};
