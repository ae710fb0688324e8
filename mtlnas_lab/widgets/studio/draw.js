// The panels on the canvas. Each has a `back`, which is painted anew only where words, scales or colours change, and a
// `front`, painted with every frame over a copy of the backs. Both take the context, the state S and a box. Names are text only.
import {axes, beside, brief, legend, line, measured, say, scales, swatch, title, trace, values} from "./pen.js";
import {LN2, METER, cost, entropyOf, gaps, histogram, isDark, opens, pull, ramp, same, short, smooth} from "./plan.js";

function cursor(g, S, box, X) {
  if (S.at >= 0) line(g, [[X(S.frame.step[S.row]), box.y], [X(S.frame.step[S.row]), box.y + box.h]], S.ink, 1);
}

// A curve of the whole history.
const trail = (g, f, X, y, ...pen) => trace(g, 0, f.N - 1, i => X(f.step[i]), y, ...pen);

const ENTROPY = [0, 0.75];
const entropy = {
  back(g, S, box) {
    const {Y} = axes(g, S, box, ...ENTROPY);
    line(g, [[box.x, Y(LN2)], [box.x + box.w, Y(LN2)]], S.soft, 1, {dash: [4, 3]});
    legend(g, S, box, "nats an edge: mean, middle 80 % shaded, ┄ ln 2. λ (red), τ (dots): scales of their own." +
      (S.marks.branched >= 0 ? " Red dashes: branched off the grey run." : S.other ? " Grey: the other run." : " Dotted upright: a knob turned."));
    title(g, S, box, "Entropy");
  },
  front(g, S, box) {
    const f = S.frame, {X, Y} = scales(S, box, ...ENTROPY), i = S.row;
    g.fillStyle = ramp(0.5, S.dark);
    g.globalAlpha = 0.2;
    g.beginPath();
    for (let i = 0; i < f.N; i++) g.lineTo(X(f.step[i]), Y(S.band[i][0]));
    for (let i = f.N - 1; i >= 0; i--) g.lineTo(X(f.step[i]), Y(S.band[i][1]));
    g.fill();
    g.globalAlpha = 1;
    const most = Math.max(...f.lambda, ...(S.other ? S.other.lambda : []), (S.status.knobs?.most || 20) / 2), hot = Math.max(...f.tau, 1e-9);
    const own = share => box.y + box.h * (1 - 0.92 * share);
    trail(g, f, X, i => own(f.tau[i] / hot), S.soft, 1, {dash: [1, 2]});
    trail(g, f, X, i => own(f.lambda[i] / most), S.warn, 1.2);
    if (S.other) trail(g, S.other, X, i => Y(S.other.entropy[i]), S.soft, 1.6, {dash: [5, 3]});
    trail(g, f, X, i => Y(f.entropy[i]), ramp(0.62, S.dark), 2.2);
    if (S.lit >= 0) trail(g, f, X, i => Y(entropyOf(f.p(i, S.lit))), S.ink, 1.6);
    cursor(g, S, box, X);
    values(g, S, box, "Entropy", [[`${short(f.entropy[i])} nats`, S.soft], [`λ ${short(f.lambda[i])}`, S.warn],
      [`┄ τ ${short(f.tau[i])}`, S.soft]]);
    const last = (S.marks.turned || []).at(-1);
    if (last) beside(g, S, box, X(last[0]), last[1].split(", ")[0]);
  }};

// The lines of the edges from one row of the history to another.
function gateLines(g, S, {inner, X, Y}, first, last) {
  const f = S.frame, strong = f.E > 150 ? 0.3 : 0.55;
  for (let e = 0; e < f.E; e++) {
    trace(g, first, last, i => X(f.step[i]), i => Y(f.p(i, e)), S.colours[S.stage.edges[e][0]], 1,
      {opacity: S.lit < 0 || S.lit === e ? strong : 0.12});
  }
}
function gatesAt(S, box) {
  const side = Math.min(46, box.w * 0.2), inner = {...box, w: box.w - side - 6};
  return {inner, side, ...scales(S, inner, 0, 1)};
}
const gates = {
  back(g, S, box) {
    axes(g, S, gatesAt(S, box).inner, 0, 1, {count: 2});
    legend(g, S, box, "A line for each edge, in the colour of its source task. Bars: how many edges are there now. Above ½ is open.");
    title(g, S, box, "Gates σ(α)");
    S.drawn = null;
  },
  // What is settled of the history is added to the back: only its last row still moves.
  more(g, S, box) {
    const from = S.drawn ? S.drawn.N - 2 : 0;
    if (S.drawn !== S.frame) gateLines(g, S, gatesAt(S, box), Math.max(from, 0), S.frame.N - 2);
    S.drawn = S.frame;
  },
  front(g, S, box) {
    const f = S.frame, at = S.gatesAt = gatesAt(S, box), {inner, side, X, Y} = at;
    gateLines(g, S, at, Math.max(f.N - 2, 0), f.N - 1);
    if (S.lit >= 0) trail(g, f, X, i => Y(f.p(i, S.lit)), S.ink, 2.2);
    cursor(g, S, inner, X);
    const now = Array.from({length: f.E}, (_, e) => f.p(S.row, e)), bins = 16, counts = histogram(now, bins);
    const most = Math.max(...counts, 1), x = inner.x + inner.w + 7;
    counts.forEach((count, k) => {
      g.fillStyle = ramp(0.2 + 0.6 * k / bins, S.dark);
      g.fillRect(x, Y((k + 1) / bins) + 0.5, Math.max((side - 2) * count / most, count ? 1.5 : 0), box.h / bins - 1);
    });
    values(g, S, box, "Gates σ(α)", `${opens(used(S))} of ${f.E} open`);
  }};

const losses = {
  back(g, S, box) {
    axes(g, S, box, 0, S.frame ? S.top : 1);
    legend(g, S, box, "In the w-update, for each task. Thin: means of the steps shown; wide: smoothed." + (S.other ? " Dashes: the other run." : ""));
    title(g, S, box, "Losses");
  },
  front(g, S, box) {
    const f = S.frame, {X, Y} = scales(S, box, 0, S.top);
    g.save();
    g.beginPath();
    g.rect(box.x, box.y - 2, box.w, box.h + 4);
    g.clip();
    if (S.other) S.other.losses.forEach((loss, t) => (
      trail(g, S.other, X, i => Y(loss[i]), S.lossColour(t), 1.3, {dash: [5, 3], opacity: 0.7})));
    f.losses.forEach((loss, t) => trail(g, f, X, i => Y(loss[i]), S.lossColour(t), 1, {opacity: 0.3}));
    f.losses.forEach((loss, t) => { const mean = smooth(loss, f.N >> 5); trail(g, f, X, i => Y(mean[i]), S.lossColour(t), 2); });
    g.restore();
    cursor(g, S, box, X);
    f.losses.forEach((loss, t) => {
      const name = (S.marks.losses || [])[t] || "";
      const right = box.x + box.w - 4, y = box.y + 9 + 13 * t;
      const wide = say(g, S, `\u2068${name}\u2069  ${short(loss[S.row])}`, right, y, {align: "right", size: 10, room: box.w * 0.75, halo: true});
      swatch(g, right - wide - 15, y - 3, S.lossColour(t));
    });
  }};

function gapAt(S, box) {
  const found = gaps(S.marks.evaluated || [], S.stage.tasks || []), plot = {...box, h: Math.max(box.h - METER * found.length - 32, 40)};
  const costs = found.flatMap(one => one.steps.flatMap((_, i) => ["hard", "hard_recalibrated"].map(gate => cost(one, gate, i))));
  const fine = costs.filter(Number.isFinite), top = Math.max(1, ...fine) * 1.15, low = Math.min(-0.15 * top, ...fine.map(c => c * 1.15));
  return {found, plot, low, top};
}
const gap = {
  back(g, S, box) {
    const {found, plot, low, top} = S.gapAt = gapAt(S, box);
    legend(g, S, box, "What cutting the gates costs, in % of the soft score (above 0: hard is worse). ○ soft ● hard, small: recalibrated; right is better.");
    title(g, S, box, "Gap (+: hard is worse)");
    if (!found.length) {
      g.fillStyle = S.shade;
      g.fillRect(box.x, box.y, box.w, box.h);
      return say(g, S, "no evaluation yet", box.x + box.w / 2, box.y + box.h / 2 + 4, {align: "center"});
    }
    const {X, Y} = axes(g, S, plot, low, top, {format: v => `${brief(v)} %`});
    line(g, [[plot.x, Y(0)], [plot.x + plot.w, Y(0)]], S.soft, 1);
    for (const one of found) {
      const along = (gate, width, dash) => trace(g, 0, one.steps.length - 1, i => X(one.steps[i]), i => Y(cost(one, gate, i)), S.colours[one.lane], width, {dash});
      along("hard_recalibrated", 1.2, [2, 2.5]);
      along("hard", 1.8);
      g.fillStyle = S.colours[one.lane];
      for (const [gate, r] of [["hard", 2.2], ["hard_recalibrated", 1.2]]) one.steps.forEach((step, i) => {
        const y = Y(cost(one, gate, i));
        if (Number.isFinite(y)) { g.beginPath(); g.arc(X(step), y, r, 0, 7); g.fill(); }
      });
    }
    values(g, S, box, "Gap (+: hard is worse)", "● hard ┄ recalibrated");
  },
  front(g, S, box) {
    const {found, plot, low, top} = S.gapAt, step = S.at < 0 ? Infinity : S.frame.step[S.row];
    if (found.length) cursor(g, S, plot, scales(S, plot, low, top).X);
    found.forEach((one, k) => {                               // the meter: the three scores on one little scale
      const i = one.steps.findLastIndex(s => s <= step), y = plot.y + plot.h + 51 + METER * k;
      if (i < 0) return;                                      // not evaluated yet at the step that is looked at
      const all = [one.soft, one.hard, one.hard_recalibrated].flat().filter(Number.isFinite);
      const least = Math.min(...all), span = Math.max(...all) - least || 1;
      const x = value => box.x + 6 + (box.w - 12) * (one.better > 0 ? value - least : least + span - value) / span;
      const used = say(g, S, `○ ${short(one.soft[i])}  ● ${short(one.hard[i])}`, box.x + box.w, y - 8, {align: "right", size: 10});
      const room = box.w - used - 21, whole = `\u2068${one.task}\u2069 ${one.name}`;
      say(g, S, measured(g, whole) > room ? one.task : whole, box.x + 15, y - 8, {size: 10, room});
      swatch(g, box.x, y - 11, S.colours[one.lane]);
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
  }};

// The gates as they are used: of forced edges as they are forced.
const used = S => S.stage.edges.map((_, e) => S.forced[e] !== undefined ? +S.forced[e] : S.frame ? S.frame.p(S.row, e) : 0.5);

const graph = {
  back(g, S, box) {
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
    legend(g, S, box, "Stages from the image (left) to the head, ch: channels. An edge has the colour of its source task; the wider and " +
      "darker, the nearer its gate σ(α) is to 1. Dashes: forced.");
    title(g, S, box, "Fusion graph", box.x + 12);
  },
  front(g, S, box) {
    const plan = S.graph, ps = used(S);
    const order = ps.map((_, e) => e).sort((a, b) => ps[a] - ps[b]);
    const crowd = Math.min(1, Math.max(0.35, plan.unit / 26), (200 / order.length) ** 0.6);
    for (const e of order) if (e !== S.lit) edge(g, S, e, ps[e], crowd, S.lit < 0 ? 1 : 0.25);
    if (S.lit >= 0) edge(g, S, S.lit, ps[S.lit], crowd, 1);
    plan.nodes.forEach((nodes, lane) => {
      const ink = isDark(S.colours[lane]) ? "#fff" : "#1b1f27";
      g.fillStyle = S.colours[lane];
      g.lineWidth = 1.5;
      g.strokeStyle = S.paper;
      for (const node of nodes) { g.beginPath(); g.arc(node.x, node.y, plan.r, 0, 7); g.fill(); g.stroke(); }
      if (plan.r >= (nodes.length > 10 ? 7 : 6)) nodes.forEach((node, k) => say(g, S, String(k), node.x, node.y + 3, {align: "center", size: 8.5, colour: ink}));
    });
  },
  // The title's number, painted with every frame.
  count(g, S, box) {
    const all = S.stage.edges.length;
    values(g, S, box, "Fusion graph", S.frame ? `${opens(used(S))} of ${all} edges open` : `${all} candidate edges`, box.x + 12);
  }};

function edge(g, S, e, p, crowd, share) {
  const c = S.graph.edges[e], lit = e === S.lit, forced = S.forced[e];
  const colour = lit ? S.ink : S.colours[S.stage.edges[e][0]], width = (0.7 + 2.5 * p) * crowd + (lit ? 0.8 : 0);
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
  if (forced !== undefined) g.setLineDash([]);
  g.beginPath();
  g.moveTo(c[6], c[7]);
  for (const turn of [-0.42, 0.42]) g.lineTo(c[6] - size * Math.cos(a + turn), c[7] - size * Math.sin(a + turn));
  g.fill();
  g.globalAlpha = 1;
}

const heat = {
  back(g, S, box) {
    const {blocks, cell, two} = S.heat, names = S.stage.tasks;
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
    legend(g, S, two ? box : {...box, h: cell * S.heatRows}, `Row: source stage, column: target stage, from 0. ${S.dark ? "Light" : "Dark"}: open. Grey: no candidate.` +
      (Object.keys(S.forced).length ? " Dot: forced." : ""));
    title(g, S, box, "Gates: source ↓ target →");
    const w = 74, x = box.x + box.w - w - 14, y = box.y - 17;
    for (let k = 0; k < w; k++) { g.fillStyle = ramp(k / w, S.dark); g.fillRect(x + k, y, 1.5, 7); }
    say(g, S, "0", x - 4, y + 7, {align: "right", size: 10});
    say(g, S, "1", x + w + 5, y + 7, {size: 10});
  },
  front(g, S) {
    const {cells, cell} = S.heat, inset = cell > 6 ? 0.6 : 0.2, side = cell - 2 * inset;
    cells.forEach((c, e) => {
      g.globalAlpha = S.lit < 0 || S.lit === e ? 1 : 0.55;
      g.fillStyle = ramp(S.frame ? S.frame.p(S.row, e) : 0.5, S.dark);
      g.fillRect(c.x + inset, c.y + inset, side, side);
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
  }};

const PANELS = {graph, heat, entropy, gates, losses, gap}, ALWAYS = {graph, heat};

// Whether the gates have moved by as much as an eye can see since graph and heat map were painted, which takes longest; what
// stands still is painted as it is.
function moved(S) {
  const ps = used(S), before = S.shown, least = S.status.mode === "running" ? 1 / 64 : 1e-9;
  if (before && ps.every((p, e) => Math.abs(p - before[e]) < least)) return false;
  S.shown = ps;
  return true;
}

// All of it: `g` of the canvas on the page, `b` of one that is as large and keeps the backs.
export function paint(g, b, S, fresh) {
  const [width, height, scale] = S.size, there = panels => Object.entries(panels).filter(([name]) => S.place[name]);
  if (fresh || S.drawn && (!S.frame || same(S.drawn, S.frame) < S.drawn.N - 1)) {
    b.fillStyle = S.paper;
    b.fillRect(0, 0, width, height);
    for (const [name, panel] of there(PANELS)) panel.back(b, S, S.place[name]);
    S.shown = null;
  }
  if (S.frame && S.place.gates) gates.more(b, S, S.place.gates);
  const all = moved(S) || !S.frame, snap = y => Math.round(y * scale) / scale;
  const clear = (x, y, w, h) => g.drawImage(b.canvas, x * scale, y * scale, w * scale, h * scale, x, y, w, h);
  const box = S.place.graph, curves = S.place.entropy, right = curves.x > box.x + box.w;
  const x = all || !right ? 0 : snap(box.x + box.w), y = all || right ? 0 : snap(curves.y - 22);  // graph and heat map are above, or left
  clear(x, y, width - x, height - y);
  if (!all) clear(0, 0, snap(box.x + box.w), snap(box.y - 4));
  for (const [name, panel] of there(S.frame ? PANELS : ALWAYS)) if (all || !ALWAYS[name]) panel.front(g, S, S.place[name]);
  graph.count(g, S, box);
}

// The history of the two pulls on an edge, open above the middle and shut below.
export function sparkle(spark, S, e) {
  const f = S.frame, w = 96, h = 24, scale = window.devicePixelRatio || 1, s = spark.getContext("2d");
  [spark.width, spark.height] = [w * scale, h * scale];
  s.scale(scale, scale);
  const lines = [Array.from({length: f.N}, (_, i) => -pull(f.lambda[i], f.alpha(i, e), f.E)),
    smooth(Array.from({length: f.N}, (_, i) => -f.grad(i, e)), f.N >> 5)];
  const most = Math.max(1e-12, ...lines.flat().map(Math.abs).filter(Number.isFinite)), last = f.step[f.N - 1] || 1;
  const draw = (points, ...pen) => line(s, points.map(([x, y]) => [w * x / last, h / 2 * (1 - 0.92 * y / most)]), ...pen);
  draw([[0, 0], [last, 0]], S.rule, 1);
  lines.forEach((values, k) => draw(values.map((v, i) => [f.step[i], v]), k ? S.colours[S.stage.edges[e][2]] : S.warn, 1.4));
  if (S.at >= 0) draw([[f.step[S.row], -most], [f.step[S.row], most]], S.ink, 1);
  spark.title = "history of the two pulls on this edge: the task losses (colour of the target task) and λH (red); up means open";
}
