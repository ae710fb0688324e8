// All graphs of a table as a hypercube: flip an edge and stand at a neighbour. Graph g has edge i where bit i of g is set.
import {make} from "../studio/dom.js";
import {ramp, short} from "../studio/plan.js";
import {axes, explorer, graph, picker, shape, words} from "./page.js";

const SAME = 1e-12, bits = g => { let count = 0; for (; g; g &= g - 1) count++; return count; };
const signed = value => `${value > 0 ? "+" : ""}${short(value)}`, exact = value => String(+value.toPrecision(4));

// Ranks, percentiles and flips of one loss: means[g], floor (null: not known).
export function facts(means, g, edges, floor) {
  const own = means[g], alike = means.map((_, other) => other).filter(other => other !== g && bits(other) === bits(g));
  const beaten = among => {
    if (!among.length) return 0.5;
    const equal = among.filter(other => Math.abs(means[other] - own) <= SAME).length;
    return (among.filter(other => means[other] > own + SAME).length + equal / 2) / among.length;
  };
  const flips = Array.from({length: edges}, (_, e) => {
    const to = g ^ (1 << e), change = means[to] - own, sure = floor !== null && Math.abs(change) > floor;
    const verdict = Math.abs(change) <= SAME ? "same" : change < 0 ? "better" : "worse";
    return {e, to, change, sure, verdict};
  });
  const best = flips.reduce((a, b) => b.change < a.change ? b : a);
  return {rank: 1 + means.filter(other => other < own - SAME).length, flips, best: best.change < -SAME ? best : null,
    percentile: beaten(means.map((_, other) => other).filter(other => other !== g)), alike: beaten(alike), likes: alike.length};
}

export default explorer("Landscape explorer", ["graph", "by", "scores", "front"], P => {
  const stage = P.get("stage"), n = stage.edges.length, count = 2 ** n, names = stage.names.map(name => name.replace("->", "→"));
  const mean = row => row.reduce((a, b) => a + b, 0) / row.length;
  const scores = P.get("scores").map(([name, rows, floor]) => ({name, rows, floor, means: rows.map(mean)}));
  const chosen = () => scores.find(one => one.name === P.get("by")) || scores[0], go = to => P.set({graph: to});
  const look = () => facts(chosen().means, P.get("graph"), n, chosen().floor);
  const bar = P.row(), told = P.row("mtl-facts"), svg = P.svg(), line = P.note();
  P.choice(bar, "by", "Rank by", "Which loss the ranks and changes are of", scores.map(({name}) => [name, name]));
  const up = P.button(bar, "Best neighbour", () => { const to = look().best; if (to) go(to.to); });
  P.button(bar, "No edge", () => go(0));
  P.button(bar, "All edges", () => go(count - 1));
  P.button(bar, "Best of all", () => { const {means} = chosen(); go(means.indexOf(Math.min(...means))); });
  P.button(bar, "Any graph", () => go(Math.floor(Math.random() * count)));
  line.setAttribute("aria-live", "polite");
  let edgeAt = () => -1, pointAt = () => -1;
  const lit = picker(P, svg, () => n, (x, y) => { const e = edgeAt(x, y); return e >= 0 ? e : pointAt(x, y); },
    e => go(e < n ? P.get("graph") ^ (1 << e) : e - n));

  // The rows stand still, so that the keyboard does not lose its place.
  const table = make("table", "", P.root), head = make("tr", "", table);
  make("caption", "mtl-unseen", table, "What flipping each edge would change");
  for (const text of ["edge", "now", "flipped", "change", "verdict"]) make("th", "", head, text).scope = "col";
  const last = make("th", "", head);
  last.scope = "col";
  make("span", "mtl-unseen", last, "flip it");
  const rows = names.map((name, e) => {
    const row = make("tr", "", table), cells = ["", "", "number", "number", "mtl-change"].map(kind => make("td", kind, row));
    const button = P.button(make("td", "", row), "Flip", () => go(P.get("graph") ^ (1 << e)));
    button.onfocus = button.onpointerenter = () => { lit.e = e; P.later(); };
    cells[0].textContent = name;
    return {row, cells, button};
  });
  P.note().textContent = "A flip is told from chance where it changes the loss by more than the smallest difference that the seeds show.";

  return width => {
    const g = P.get("graph"), one = chosen(), {rank, percentile, alike, likes, flips, best} = look(), open = bits(g);
    const text = Array.from({length: n}, (_, e) => g >> e & 1).join("");
    const facing = [["graph", text], ["edges", `${open} of ${n}`], ["rank", `${rank} of ${count}`],
      ["beats", `${short(100 * percentile)} % of all`]];
    if (likes) facing.push(["and", `${short(100 * alike)} % of those with as many edges`]);
    for (const {name, means} of scores) facing.push([name, exact(means[g])]);
    P.facts(told, facing);
    up.disabled = !best;
    const side = width > 760, left = side ? Math.round(width * 0.46) : width, high = 156 + 74 * (stage.plans.length - 2);
    const strips = high + 34 + 46 * scores.length, plot = 300;
    svg.begin(width, side ? Math.max(strips, plot) + 8 : strips + plot + 10,
      `Graph ${text}: ${open} of ${n} edges, rank ${rank} of ${count} by ${one.name}. Arrow keys go through the edges, Enter flips one.`);
    edgeAt = graph(P, svg, stage, {x: 2, y: 10, w: left - 12, h: high - 34}, e => g >> e & 1, {lit: lit.e < n ? lit.e : -1, hard: true,
      title: "You are here", right: "solid: open; dashed: shut"});
    scores.forEach((score, k) => strip(P, svg, score, g, {x: 16, y: high + 22 + 46 * k, w: left - 44}, P.get("seeds")));
    const box = side ? {x: left + 56, y: 44, w: width - left - 74, h: Math.max(strips, plot) - 92}
      : {x: 62, y: strips + 40, w: width - 80, h: plot - 88};
    pointAt = cloud(P, svg, scores, g, n, box, P.get("front"), lit.e);
    flips.forEach(({e, to, change, sure, verdict}) => {
      const {row, cells, button} = rows[e], mark = {better: "▲ ", worse: "▼ ", same: ""}[verdict];
      cells[1].textContent = g >> e & 1 ? "open" : "shut";
      cells[2].textContent = exact(one.means[to]);
      cells[3].textContent = signed(change);
      cells[4].textContent = verdict === "same" ? "the same" : mark + verdict + (one.floor === null ? "" : sure ? "" : ", within the noise");
      cells[4].className = `mtl-change mtl-${sure || one.floor === null ? verdict : "same"}`;
      row.classList.toggle("mtl-lit", e === lit.e);
      button.setAttribute("aria-label", `Flip: ${g >> e & 1 ? "shut" : "open"} ${names[e]}`);
    });
    const e = lit.e, near = flips[e];
    if (near) line.textContent = `${names[e]} is ${g >> e & 1 ? "open" : "shut"}; flipped, ${one.name} changes by ${signed(near.change)} (${rows[e].cells[4].textContent.replace(/^[▲▼] /, "")}).`;
    else if (e >= n) line.textContent = `A click goes to graph ${e - n} with ${bits(e - n)} edges, ${one.name} ${exact(one.means[e - n])}.`;
    else line.textContent = best ? `The best neighbour: ${names[best.e]}, ${signed(best.change)}. Click an edge to flip it, or a point to go there.`
      : `No neighbour is better by ${one.name}: a search that flips one edge at a time ends here.`;
  };
});

// One loss: every graph a tick, this one's seeds as rings, their mean as a bar.
function strip(P, svg, {name, rows, means}, g, {x, y, w}, seeds) {
  const all = rows.flat(), low = Math.min(...all), high = Math.max(...all), X = v => x + w * (v - low) / (high - low || 1);
  words(svg, x, y - 2, `${name} ${exact(means[g])}`, {class: "ink", room: w * 0.5});
  words(svg, x + w, y - 2, "line: mean; rings: seeds", {"text-anchor": "end", room: w * 0.48});
  const d = means.map(v => `M${X(v).toFixed(1)} ${y + 6}v12`).join("");
  shape("path", {d, stroke: "var(--soft)", "stroke-width": 1, opacity: means.length > 300 ? 0.12 : 0.3}, svg);
  rows[g].forEach((v, k) => {
    const ring = shape("circle", {cx: X(v), cy: y + 12, r: 4, fill: "none", stroke: P.warn, "stroke-width": 1.6}, svg);
    shape("title", {}, ring, `seed ${seeds[k]}: ${exact(v)}`);
  });
  shape("line", {x1: X(means[g]), x2: X(means[g]), y1: y + 2, y2: y + 22, stroke: "var(--ink)", "stroke-width": 2.5}, svg);
}

// Every graph by its first two losses, the front, and lines to the neighbours. Gives the function (x, y) -> n + graph or −1.
function cloud(P, svg, scores, g, n, box, front, lit) {
  const [, across, along] = scores, xs = across.means, ys = along.means, pad = values => {
    const low = Math.min(...values), high = Math.max(...values), more = 0.05 * (high - low || 1);
    return [low - more, high + more];
  };
  const {X, Y, line} = axes(svg, box, pad(xs), pad(ys), `${along.name} ↑ against ${across.name} →`, `${across.name} (less is better)`);
  words(svg, box.x, box.y - 26, "larger: more edges; steps: the front; cross: the noise", {room: box.w});
  const stairs = front.flatMap((at, k) => k ? [[xs[at], ys[front[k - 1]]], [xs[at], ys[at]]] : [[xs[at], ys[at]]]);
  const far = Math.max(1, n);
  xs.forEach((x, at) => shape("circle", {cx: X(x), cy: Y(ys[at]), r: 1.6 + 2.8 * bits(at) / far, fill: ramp(0.25 + 0.6 * bits(at) / far, P.dark),
    opacity: 0.85}, svg));
  line(stairs, P.warn, 1.6);
  for (let e = 0; e < n; e++) {
    const to = g ^ (1 << e);
    shape("line", {x1: X(xs[g]), y1: Y(ys[g]), x2: X(xs[to]), y2: Y(ys[to]), stroke: "var(--ink)", "stroke-width": e === lit ? 2.4 : 0.8,
      opacity: e === lit ? 1 : 0.55}, svg);
  }
  if (across.floor && along.floor) {
    const [w, h] = [X(across.floor) - X(0), Y(0) - Y(along.floor)], x = box.x + box.w - w / 2 - 8, y = box.y + h / 2 + 8, pen = {stroke: "var(--ink)"};
    const cross = shape("path", {d: `M${x - w / 2} ${y}h${w}M${x} ${y - h / 2}v${h}`, ...pen, "stroke-width": 1.6, fill: "none"}, svg);
    shape("title", {}, cross, "the smallest differences that the seeds show");
  }
  shape("circle", {cx: X(xs[g]), cy: Y(ys[g]), r: 7.5, fill: "none", stroke: "var(--ink)", "stroke-width": 2.4}, svg);
  const right = X(xs[g]) < box.x + box.w * 0.75;
  words(svg, X(xs[g]) + (right ? 11 : -11), Y(ys[g]) - 8, "you are here", {class: "lane", "text-anchor": right ? "start" : "end"});
  return (x, y) => {
    let best = -1, least = 7;
    xs.forEach((one, at) => {
      const away = Math.hypot(X(one) - x, Y(ys[at]) - y);
      if (at !== g && away < least) [best, least] = [n + at, away];
    });
    return best;
  };
}
