// The studio's page: one canvas, drawn anew when its state changes, and plain controls around it. Names are text only.
import {LN2, cellAt, cost, decode, describe, endOfAxis, entropyOf, gaps, graphPlan, heatPlan, histogram, isDark} from "./plan.js";
import {nearest, panels, pull, quantile, ramp, rowOf, short, smooth, taskColour, ticks} from "./plan.js";

const GATES = ["deterministic", "stochastic", "straight_through", "bernoulli", "discretize", "all_open"];
const plain = name => name.replace("->", "→");

function make(kind, name, parent, text) {
  const one = document.createElement(kind);
  if (name) one.className = name;
  if (text !== undefined) one.textContent = text;
  parent?.append(one);
  return one;
}

function fit(g, text, room) {
  if (g.measureText(text).width <= room) return text;
  for (let keep = text.length - 1; keep > 0; keep--) {
    const cut = text.slice(0, (keep + 1) >> 1).trimEnd() + "…" + text.slice(text.length - (keep >> 1)).trimStart();
    if (g.measureText(cut).width <= room) return cut;
  }
  return "…";
}

// --- drawing: every function takes the context and the state S -----------------------------------------------------------
function say(g, S, text, x, y, {align = "left", bold = false, size = 11, colour = S.soft, room = 1e4, turn = 0, halo = false} = {}) {
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
  if (marked) for (const [step] of S.marks.turned || []) {
    line(g, [[X(step), box.y], [X(step), box.y + box.h]], S.soft, 1, {dash: [1.5, 2.5], opacity: 0.9});
  }
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
  if (!f) return head(g, S, box, "Entropy");
  g.save();
  g.fillStyle = ramp(0.5, S.dark);
  g.globalAlpha = 0.2;
  g.beginPath();
  S.band.forEach(([low], i) => g.lineTo(X(f.step[i]), Y(low)));
  for (let i = f.N - 1; i >= 0; i--) g.lineTo(X(f.step[i]), Y(S.band[i][1]));
  g.fill();
  g.restore();
  const most = Math.max(...f.lambda, ...(S.other ? S.other.lambda : []), 1e-9), hot = Math.max(...f.tau, 1e-9);
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
  if (last) say(g, S, last[1], Math.min(X(last[0]) + 4, box.x + box.w * 0.55), box.y + box.h - 5, {size: 10, room: box.w * 0.45, halo: true});
}

function drawGates(g, S, box) {
  const side = Math.min(46, box.w * 0.2), inner = {...box, w: box.w - side - 6};
  const f = S.frame, {X, Y} = axes(g, S, inner, 0, 1, {count: 2});
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
    say(g, S, `${name}  ${short(loss[S.row])}`, box.x + box.w - 4, box.y + 9 + 13 * t,
      {align: "right", size: 10, colour: S.lossColour(t), room: box.w * 0.75, halo: true});
  });
}

function drawGap(g, S, box) {
  const found = gaps(S.marks.evaluated || [], S.stage.tasks || []);
  if (!found.length) {
    head(g, S, box, "Gap soft − hard");
    g.fillStyle = S.shade;
    g.fillRect(box.x, box.y, box.w, box.h);
    return say(g, S, "no evaluation yet", box.x + box.w / 2, box.y + box.h / 2 + 4, {align: "center"});
  }
  const rows = found.length, plot = {...box, h: Math.max(box.h - 26 * Math.min(rows, 3) - 14, 40)};
  const costs = found.flatMap(one => one.steps.flatMap((_, i) => ["hard", "hard_recalibrated"].map(gate => cost(one, gate, i))));
  const fine = costs.filter(Number.isFinite), top = Math.max(1, ...fine) * 1.15, low = Math.min(-0.15 * top, ...fine.map(c => c * 1.15));
  const {X, Y} = axes(g, S, plot, low, top, {format: v => `${brief(v)} %`});
  line(g, [[plot.x, Y(0)], [plot.x + plot.w, Y(0)]], S.soft, 1);
  for (const one of found) {
    const points = gate => one.steps.map((step, i) => [X(step), Y(cost(one, gate, i))]);
    line(g, points("hard_recalibrated"), S.colours[one.lane], 1.2, {dash: [2, 2.5]});
    line(g, points("hard"), S.colours[one.lane], 1.8);
    g.fillStyle = S.colours[one.lane];
    for (const [x, y] of points("hard")) if (Number.isFinite(y)) { g.beginPath(); g.arc(x, y, 2.2, 0, 7); g.fill(); }
  }
  if (S.frame) cursor(g, S, plot, X);
  head(g, S, box, "Gap soft − hard", "┄ recalibrated");
  const step = S.at < 0 || !S.frame ? Infinity : S.frame.step[S.row];
  found.slice(0, 3).forEach((one, k) => {                     // the meter: the three scores on one little scale
    const i = Math.max(one.steps.findLastIndex(s => s <= step), 0), y = plot.y + plot.h + 34 + 26 * k;
    const values = [one.soft, one.hard, one.hard_recalibrated].flat().filter(Number.isFinite);
    const least = Math.min(...values), span = Math.max(...values) - least || 1;
    const x = value => box.x + 6 + (box.w - 12) * (one.better > 0 ? value - least : least + span - value) / span;
    const used = say(g, S, `○ ${short(one.soft[i])}  ● ${short(one.hard[i])}`, box.x + box.w, y - 8, {align: "right", size: 10});
    say(g, S, one.name, box.x, y - 8, {size: 10, colour: S.colours[one.lane], room: box.w - used - 8});
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
  const crowd = Math.min(1, Math.max(0.35, plan.unit / 26));
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
  head(g, S, box, "Fusion graph", S.frame ? `${open} edges open after step ${S.frame.step[S.row]}` : `${order.length} candidate edges`, box.x + 12);
}

function edge(g, S, e, p, crowd, share) {
  const c = S.graph.edges[e], lit = e === S.lit, forced = S.forced[e];
  const colour = lit ? S.ink : S.colours[S.stage.edges[e][0]], width = (0.7 + 2.5 * p) * crowd + (lit ? 0.8 : 0);
  g.save();
  g.globalAlpha = lit ? 1 : (0.07 + 0.88 * p ** 1.45) * share;
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
        {align: "center", size: 10, room: block.w + 8});
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
  head(g, S, box, "Gates: source ↓ target →");
  const w = 74, x = box.x + box.w - w - 14, y = box.y - 17;
  for (let k = 0; k < w; k++) { g.fillStyle = ramp(k / w, S.dark); g.fillRect(x + k, y, 1.5, 7); }
  say(g, S, "0", x - 4, y + 7, {align: "right", size: 10});
  say(g, S, "1", x + w + 5, y + 7, {size: 10});
}

const PANELS = {graph: drawGraph, heat: drawHeat, entropy: drawEntropy, gates: drawGates, losses: drawLosses, gap: drawGap};

// --- the widget --------------------------------------------------------------------------------------------------------
function render({model, el}) {
  const root = make("div", "mtl-studio", el), S = {hover: -1, forced: {}, colours: [], marks: {}, stage: {}, status: {}};
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Search studio");
  const send = message => { if (S.status.can?.length) model.send(message); };
  const top = make("div", "mtl-row", root), title = make("span", "mtl-title", top), mode = make("span", "mtl-mode", top);
  const where = make("span", "mtl-where", top);
  make("span", "mtl-space", top);
  const button = (parent, text, act, name = "") => {
    const one = make("button", name, parent, text);
    one.type = "button";
    one.onclick = act;
    return one;
  };
  const main = button(top, "Start", () => send({do: main.textContent === "Pause" ? "pause" : "start"}), "main");
  const buttons = {step: button(top, "Step", () => send({do: "step"})), score: button(top, "Discretise now", () => send({do: "score"})),
    stop: button(top, "Stop and keep", () => send({do: "stop"})), reset: button(top, "Reset", () => send({do: "reset"}))};
  const bar = make("div", "mtl-row mtl-knobs", root), knobs = knobsOf(bar, send, S);
  const canvas = make("canvas", "mtl-canvas", root), g = canvas.getContext("2d");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  const info = make("div", "mtl-row mtl-edge", root), told = make("span", "", info), pulls = make("span", "", info);
  told.setAttribute("aria-live", "polite");
  make("span", "mtl-space", info);
  const hands = make("span", "mtl-hands", info);
  const force = to => send({do: "turn", knobs: {force: {[S.stage.names[S.lit]]: to}}});
  const forces = [["Open", true], ["Shut", false], ["Free", null]].map(([text, to]) => button(hands, text, () => force(to)));
  forces.forEach((one, i) => one.setAttribute("aria-label", ["Open by force", "Shut by force", "Free again"][i]));
  const time = make("div", "mtl-row mtl-time", root), play = button(time, "Replay", () => toggle());
  const scrub = make("input", "mtl-scrub", time), stepText = make("output", "", time), speed = make("select", "", time);
  scrub.type = "range";
  scrub.min = 0;
  scrub.setAttribute("aria-label", "Step that is looked at");
  for (const s of ["½ ×", "1 ×", "2 ×", "4 ×"]) make("option", "", speed, s);
  speed.selectedIndex = 1;
  speed.setAttribute("aria-label", "Speed of the replay");
  const latest = button(time, "Latest", () => look(-1)), branch = button(time, "Branch here", () => send({do: "branch", step: branchStep()}));
  const message = make("div", "mtl-message", root);
  message.setAttribute("role", "status");

  // state → S
  const theme = () => {
    const css = getComputedStyle(root), value = name => css.getPropertyValue(name).trim();
    S.font = css.fontFamily;
    S.dark = isDark(css.backgroundColor);
    root.toggleAttribute("data-dark", S.dark);
    [S.ink, S.soft, S.paper] = [css.color, value("--soft"), css.backgroundColor];
    S.shade = S.dark ? "#8fa0b81f" : "#5c70901a";
    S.rule = S.dark ? "#ffffff3a" : "#1b1f2733";
    S.warn = S.dark ? "#ef8c6b" : "#c9452f";
    S.colours = (S.stage.tasks || []).map((_, lane) => taskColour(lane, S.dark));
    S.lossColour = t => S.colours[(S.stage.tasks || []).indexOf((S.marks.losses || [])[t])] || S.soft;
  };
  const place = () => {
    const width = Math.max(320, Math.round(canvas.clientWidth || 960)), all = panels(width, S.stage.tasks?.length || 2);
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = all.height * scale;
    canvas.style.height = `${all.height}px`;
    S.place = all.place;
    S.size = [width, all.height, scale];
    if (S.stage.tasks) {
      S.graph = graphPlan(S.stage, S.place.graph);
      S.heat = heatPlan(S.stage, S.place.heat);
      S.heatRows = S.stage.plans.reduce((sum, plan) => sum + plan.length + 1.2, -1.2);
    }
  };
  const read = () => {
    S.frame = decode(model.get("frame"));
    S.other = decode(model.get("other"));
    if (S.frame && S.frame.E !== (S.stage.edges || []).length) S.frame = null;
    if (!S.frame) return;
    S.band = Array.from({length: S.frame.N}, (_, i) => {
      const h = Array.from({length: S.frame.E}, (_, e) => entropyOf(S.frame.p(i, e))).sort((a, b) => a - b);
      return [quantile(h, 0.1), quantile(h, 0.9)];
    });
  };
  const settle = () => {
    S.at = S.frame ? model.get("at") : -1;
    S.row = S.frame ? rowOf(S.frame, S.at) : 0;
    const known = S.stage.edges?.length || 0, pinned = model.get("pinned");
    S.pinned = pinned < known ? pinned : -1;
    S.lit = S.hover >= 0 && S.hover < known ? S.hover : S.pinned;
    S.forced = {};
    for (const [name, to] of Object.entries(S.status.knobs?.force || {})) S.forced[(S.stage.names || []).indexOf(name)] = to;
    const last = S.frame ? S.frame.step[S.frame.N - 1] : 0, behind = S.other ? S.other.step[S.other.N - 1] : 0;
    S.end = endOfAxis(Math.max(last, behind), S.status.knobs?.steps || 0);
  };

  // S → page
  function draw() {
    S.waiting = false;
    if (!root.isConnected) return;
    settle();
    const [width, height, scale] = S.size;
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, width, height);
    if (S.stage.tasks) for (const [name, paint] of Object.entries(PANELS)) paint(g, S, S.place[name]);
    else say(g, S, S.status.message || "Press Start: the search begins with its first step.", width / 2, height / 2, {align: "center", size: 13});
    words();
  }
  function words() {
    const {status, frame: f} = S, can = new Set(status.can || []), steps = status.knobs?.steps;
    title.textContent = S.stage.title || "Search studio";
    mode.textContent = status.mode || "";
    mode.dataset.mode = status.mode || "";
    where.textContent = `step ${status.step || 0}${steps ? ` of ${steps}` : ""}` +
      (status.pace && status.mode === "running" ? ` · ${short(1 / status.pace)} steps/s` : "");
    const steered = can.has("run") || can.has("pause");
    main.hidden = !steered;
    main.textContent = can.has("pause") ? "Pause" : status.step || status.mode === "paused" ? "Go on" : "Start";
    for (const [name, one] of Object.entries(buttons)) {
      one.hidden = name === "score" || name === "reset" ? !can.has(name) : !steered;
      one.disabled = !can.has(name);
    }
    bar.hidden = !status.mode || status.mode === "recorded";
    knobs.show(status.knobs || {}, f);
    message.textContent = S.stage.tasks ? status.message || "" : "";
    message.hidden = !message.textContent;
    time.hidden = !f;
    if (f) {
      scrub.max = f.N - 1;
      scrub.value = S.row;
      stepText.textContent = `step ${f.step[S.row]}`;
      scrub.setAttribute("aria-valuetext", stepText.textContent);
      latest.disabled = S.at < 0;
      branch.hidden = !can.has("branch") || branchStep() === undefined;
      branch.textContent = `Branch from ${branchStep()}`;
    }
    const label = describe(S.stage, f, S.row, status.mode || "");
    if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
    for (const one of forces) one.hidden = !can.has("turn") || S.lit < 0 || S.lit !== S.pinned;
    tell();
  }
  function tell() {
    const {frame: f, lit: e, row: i} = S;
    pulls.replaceChildren();
    if (e < 0 || !S.stage.names) {
      told.textContent = S.stage.tasks ? "Point at an edge to follow it everywhere; click to keep it." : "";
      return;
    }
    const forced = S.forced[e] === undefined ? "" : S.forced[e] ? " · forced open" : " · forced shut";
    told.replaceChildren();
    make("b", "", told, plain(S.stage.names[e]));
    if (!f) return;
    const p = f.p(i, e), ask = -f.grad(i, e), press = -pull(f.lambda[i], f.alpha(i, e), f.E);
    told.append(`   p ${short(p)} · H ${short(entropyOf(p))} nats${forced}`);
    const most = Math.max(Math.abs(ask), Math.abs(press), 1e-12);
    for (const [text, value, colour] of [["tasks", ask, S.colours[S.stage.edges[e][2]]], ["λH", press, S.warn]]) {
      const one = make("span", "", pulls, `${text} ${short(value)} `), bars = make("span", "mtl-pulls", one);
      const [left, , right] = [make("i", "", bars), make("u", "", bars), make("i", "", bars)];
      const side = value < 0 ? left : right;
      side.style.background = colour;
      side.style.width = `${Math.max(2, 33 * Math.abs(value) / most)}px`;
      left.style.justifySelf = "end";
      one.title = `gradient pulls: ${text === "tasks" ? "the task losses" : "the entropy term"} pull${text === "tasks" ? "" : "s"} this ` +
        `gate ${value > 0 ? "open" : "shut"} (−∂/∂α)`;
      pulls.append("  ");
    }
  }
  const later = () => { if (!S.waiting) { S.waiting = true; requestAnimationFrame(draw); } };
  const branchStep = () => (S.marks.checkpoints || []).findLast(step => S.at < 0 || step <= S.frame.step[S.row]);

  // a person
  const look = at => { model.set("at", at); model.save_changes(); later(); };
  const pin = e => { model.set("pinned", e); model.save_changes(); later(); };
  scrub.oninput = () => look(+scrub.value >= S.frame.N - 1 ? -1 : S.frame.step[+scrub.value]);
  let timer = 0;
  function toggle() {
    const playing = Boolean(timer);
    clearInterval(timer);
    timer = 0;
    play.textContent = playing ? "Replay" : "Halt";
    if (playing || !S.frame) return;
    let at = S.at < 0 || S.row >= S.frame.N - 1 ? 0 : S.row, due = at;
    timer = setInterval(() => {
      due += 0.5 * 2 ** speed.selectedIndex * S.frame.N / 240;
      if (due >= S.frame.N - 1 || !root.isConnected) { look(-1); return toggle(); }
      if (Math.floor(due) !== at) look(S.frame.step[at = Math.floor(due)]);
    }, 50);
  }
  function under(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const inside = r => x >= r.x - 4 && x <= r.x + r.w + 4 && y >= r.y - 6 && y <= r.y + r.h + 6;
    if (!S.stage.tasks) return -1;
    if (inside(S.place.heat)) return cellAt(S.heat, x, y);
    if (inside(S.place.graph)) return nearest(S.graph.edges, x, y, 7, e => S.frame ? S.frame.p(S.row, e) : 0.5);
    if (S.frame && S.gatesAt && inside(S.gatesAt.inner)) {
      const {inner, Y} = S.gatesAt, i = rowOf(S.frame, Math.max(0, (x - inner.x) / inner.w * S.end));
      let best = -1, least = 7;
      for (let e = 0; e < S.frame.E; e++) {
        const far = Math.abs(Y(S.frame.p(i, e)) - y);
        if (far < least) [best, least] = [e, far];
      }
      return best;
    }
    return -1;
  }
  const hover = e => { if (e !== S.hover) { S.hover = e; canvas.style.cursor = e < 0 ? "default" : "pointer"; later(); } };
  canvas.onpointermove = event => hover(under(event));
  canvas.onpointerleave = () => hover(-1);
  canvas.onclick = event => { const e = under(event); pin(e === S.pinned ? -1 : e); };
  canvas.onkeydown = event => {
    const n = S.stage.edges?.length || 0, turn = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const pinned = model.get("pinned");              // S is brought up to date with the next frame, keys come sooner
    if (turn && n) pin(pinned < 0 || pinned >= n ? (turn > 0 ? 0 : n - 1) : (pinned + turn + n) % n);
    else if (event.key === "Escape") pin(-1);
    else if (event.key === " ") main.hidden || main.click();
    else return;
    event.preventDefault();
    event.stopPropagation();                       // JupyterLab's own shortcuts
  };
  root.addEventListener("keydown", event => event.stopPropagation());

  // changes
  const listeners = {frame: read, other: read, at: null, pinned: null, marks: () => { S.marks = model.get("marks") || {}; },
    status: () => { S.status = model.get("status") || {}; },
    stage: () => { S.stage = model.get("stage") || {}; place(); theme(); read(); }};
  const off = Object.entries(listeners).map(([name, act]) => {
    const on = () => { act?.(); later(); };
    model.on(`change:${name}`, on);
    return () => model.off(`change:${name}`, on);
  });
  const again = () => { theme(); later(); };
  const themes = new MutationObserver(() => setTimeout(again, 60));
  for (const one of [document.documentElement, document.body]) {
    themes.observe(one, {attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"]});
  }
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", again);
  const sizes = new ResizeObserver(() => { if (Math.round(canvas.clientWidth) !== S.size?.[0]) { place(); draw(); } });
  sizes.observe(root);
  listeners.status();
  listeners.marks();
  listeners.stage();
  setTimeout(again, 0);
  later();
  return () => {
    off.forEach(one => one());
    themes.disconnect();
    sizes.disconnect();
    media.removeEventListener("change", again);
    clearInterval(timer);
  };
}

// Sliders and choices. They follow the search until a person moves them; then the search follows.
function knobsOf(bar, send, S) {
  const log = {to: v => 10 ** v, from: v => Math.log10(Math.max(v, 1e-4))}, same = {to: v => v, from: v => v};
  const sliders = [["entropy_weight", "weight λ", "entropy weight", 0, 20, 0.5, same], ["temperature", "temp. τ", "temperature of stochastic gates", 0, 2, 0.02, same],
    ["alpha_lr", "α rate", "learning rate of α", -4, 0, 0.05, log], ["l1_weight", "L1", "weight of the mean gate", 0, 10, 0.1, same]].map(([knob, text, long, min, max, step, scale]) => {
    const box = make("label", `mtl-knob mtl-${knob}`, bar, ""), name = make("span", "", box, text), out = make("output", "", box);
    const slider = make("input", "", box), one = {knob, box, out, slider, scale, touched: 0, timer: 0};
    Object.assign(slider, {type: "range", min, max, step});
    slider.oninput = () => {
      one.touched = Date.now();
      const value = +scale.to(+slider.value).toPrecision(3);
      out.textContent = short(value);
      clearTimeout(one.timer);
      one.timer = setTimeout(() => send({do: "turn", knobs: {[knob]: value}}), 25);
    };
    box.title = `${long}; a change counts from the next step on`;
    return one;
  });
  const choices = [["alpha_gates", "α gates", "gates in the α-update"], ["weight_gates", "w gates", "gates in the w-update"]].map(([knob, text, long]) => {
    const box = make("label", `mtl-knob mtl-${knob}`, bar, ""), select = (make("span", "", box, text), make("select", "", box));
    box.title = `${long}; a change counts from the next step on`;
    for (const gate of GATES) make("option", "", select, gate.replace("_", " ")).value = gate;
    select.onchange = () => send({do: "turn", knobs: {[knob]: select.value}});
    return {knob, select};
  });
  return {show(values, frame) {
    for (const {knob, slider, out, scale, touched} of sliders) {
      if (knob === "entropy_weight" && values.most && +slider.max !== values.most) slider.max = values.most;
      slider.disabled = !(S.status.can || []).includes("turn");
      if (values[knob] === undefined || Date.now() - touched < 800) continue;
      slider.value = scale.from(values[knob]);
      out.textContent = short(values[knob]);
    }
    for (const {knob, select} of choices) {
      select.disabled = !(S.status.can || []).includes("turn");
      if (values[knob] && document.activeElement !== select) select.value = values[knob];
    }
  }};
}

export default {render};
