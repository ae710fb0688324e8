// One edge: the forces on its α over α, the phase line beneath, and the path of gradient descent beside.
import {make} from "../studio/dom.js";
import {decode, quantile, short} from "../studio/plan.js";
import {axes, explorer, shape, words} from "./page.js";
import {descend, phase, sigma, tipping, verdict} from "./sums.js";

const log10 = {to: v => 10 ** v, from: v => Math.log10(Math.max(v, 1e-6))};

export default explorer("Edge microscope", ["alpha", "gradient", "weight", "rate", "edge"], P => {
  const names = P.get("stage").names || [], known = P.get("known"), frame = decode(P.get("frame")), E = P.get("edges");
  const most = Math.max(...known.map(([, g]) => Math.abs(g)), known.length ? 1e-6 : 0.1);
  const span = 10 ** Math.ceil(Math.log10(5 * most)), bar = P.row("mtl-knobs");
  if (names.length) {
    const options = names.map((name, e) => [e, name.replace("->", "→")]);
    const pick = P.choice(bar, "edge", "edge of the log", "its recorded journey is drawn behind", options, " mtl-wide");
    pick.onchange = () => {
      const e = pick.selectedIndex, [alpha, gradient] = known[e];
      P.set({edge: e, alpha, gradient});
    };
  }
  P.slider(bar, "alpha", "start α", "the logit at the start", {min: -8, max: 8, step: 0.05});
  P.slider(bar, "gradient", "task grad. g", "∂L/∂z of the task losses by the gate; above 0, opening costs",
    {min: -span, max: span, step: span / 200});
  P.slider(bar, "weight", "weight λ", "λ of the mean entropy", {min: 0, max: Math.max(20, P.get("weight")), step: 0.25});
  P.slider(bar, "rate", "learning rate", "of plain gradient descent on α", {min: -2, max: 2, step: 0.02, ...log10});
  const svg = P.svg(), facts = P.row("mtl-facts"), note = P.note();
  note.setAttribute("aria-live", "polite");
  return width => {
    const [alpha, g, lambda, rate, begin, steps, e] = ["alpha", "gradient", "weight", "rate", "begin", "steps", "edge"].map(P.get);
    const rows = frame && e >= 0 ? Array.from({length: frame.N}, (_, i) => i) : [], now = phase(alpha, g, lambda, E);
    const end = Math.ceil(Math.max(6, Math.abs(alpha), ...rows.map(i => Math.abs(frame.alpha(i, e)))));
    const xs = Array.from({length: 161}, (_, i) => end * (i / 80 - 1)), all = xs.map(x => phase(x, g, lambda, E));
    const dots = rows.map(i => [frame.alpha(i, e), -frame.grad(i, e)]), noise = dots.map(([, y]) => Math.abs(y)).sort((a, b) => a - b);
    const strong = all.flatMap(f => [f.speed, f.tasks, f.entropy_gradient].map(Math.abs));
    const high = 1.15 * Math.max(...strong, noise.length ? quantile(noise, 0.9) : 0, 1e-5);
    const path = descend(alpha, g, lambda, rate, steps - begin, E), last = short(sigma(path.at(-1))), sentence = verdict(alpha, g, lambda, E);
    const left = {x: 52, y: 24, w: width * 0.55 - 58, h: 178}, right = {x: width * 0.55 + 48, y: 24, w: width * 0.45 - 62, h: 222};
    svg.begin(width, 284, `Forces on one α. ${sentence} After ${steps - begin} steps the gate is ${last}.`);

    const {X, Y, line} = axes(svg, left, [-end, end], [-high, high], "Pull on α: above 0 it opens, below 0 it shuts", "", 7);
    line([[-end, 0], [end, 0]], "var(--soft)", 1);
    for (const [x, y] of dots) if (Math.abs(y) <= high) shape("circle", {cx: X(x), cy: Y(y), r: 1.6, fill: P.task(0), opacity: 0.4}, svg);
    line(xs.map((x, i) => [x, -all[i].tasks]), P.task(0), 2, "6 3");
    line(xs.map((x, i) => [x, all[i].speed]), "var(--ink)", 2.4);
    line(xs.map((x, i) => [x, -all[i].entropy_gradient]), P.warn, 2, "2 3");

    // the phase line: where α flows, and its fixed points (filled: it comes to rest; hollow: it tips)
    const y = left.y + left.h + 40, tip = tipping(g, lambda, E), top = Math.max(...all.map(f => Math.abs(f.speed)), 1e-12);
    shape("line", {x1: X(-end), x2: X(end), y1: y, y2: y, stroke: "var(--soft)", "stroke-width": 1.5}, svg);
    for (let k = 1; k < 16; k++) {
      const x = end * (k / 8 - 1), speed = phase(x, g, lambda, E).speed, side = 5.5 * Math.sign(speed);
      const strength = 0.3 + 0.7 * Math.abs(speed) / top;
      if (side) shape("path", {d: `M${X(x) + side} ${y}l${-1.6 * side} -5v10Z`, fill: "var(--ink)", opacity: strength}, svg);
    }
    const fixed = (x, fill) => shape("circle", {cx: X(x), cy: y, r: 5.5, fill, stroke: "var(--ink)", "stroke-width": 2}, svg);
    if (lambda > 0 || g > 0) fixed(-end, "var(--ink)");
    if (lambda > 0 || g < 0) fixed(end, "var(--ink)");
    if (tip !== null && Math.abs(tip) < end) fixed(tip, "var(--paper)");
    shape("path", {d: `M${X(alpha)} ${y - 8}l-5 -9h10Z`, fill: P.task(1), stroke: "var(--ink)"}, svg);
    words(svg, left.x, y + 21, "● shut");
    words(svg, left.x + left.w / 2, y + 21, "phase line:  ▼ start,  ○ tips here", {"text-anchor": "middle", room: left.w - 100});
    words(svg, left.x + left.w, y + 21, "open ●", {"text-anchor": "end"});

    const time = axes(svg, right, [0, steps], [0, 1], "Gate σ(α) under gradient descent", "step");
    time.line([[0, 0.5], [steps, 0.5]], "var(--soft)", 1, "1 3");
    if (rows.length) {
      time.line(rows.map(i => [frame.step[i], frame.p(i, e)]), "var(--soft)", 2, "5 3");
      words(svg, right.x, right.y + right.h + 31, "┄ recorded (Adam, λ as it was then)", {room: right.w - 40});
    }
    time.line(path.map((a, k) => [begin + k, sigma(a)]), "var(--ink)", 2.4);
    shape("circle", {cx: time.X(begin), cy: time.Y(now.p), r: 4, fill: P.task(1), stroke: "var(--ink)"}, svg);

    P.facts(facts, [["start α", short(alpha)], ["σ(α)", short(now.p)], ["H", `${short(now.entropy)} nats`],
      ["tasks −∂L/∂α", short(-now.tasks), P.task(0), "dashed"], ["entropy −∂(λH)/∂α", short(-now.entropy_gradient), P.warn, "dotted"],
      ["sum, dα/dt", short(now.speed), "var(--ink)"]]);
    note.textContent = `${sentence} After ${steps - begin} steps σ(α) = ${last}. `;
    make("code", "", note, "∂H/∂α = −α·σ(α)·(1−σ(α))");
    note.append(`; the tasks pull by g·σ(α)·(1−σ(α)), and λ acts on the mean over E = ${E} edges.`,
      dots.length ? ` Dots: recorded task gradients. The start: where the edge stood at step ${begin}, when λ came on.` : "");
  };
});
