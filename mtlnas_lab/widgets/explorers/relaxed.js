// From u to a gate: the curve of the relaxation, and beside it, on the same axis, how often which gate comes.
import {histogram, short} from "../studio/plan.js";
import {axes, explorer, shape, words} from "./page.js";
import {FLOOR, concrete, density, sigma, uniform} from "./sums.js";

const BINS = 40, inside = count => Array.from({length: count - 1}, (_, i) => (i + 1) / count);

export default explorer("Relaxation explorer", ["alpha", "temperature", "seed", "samples"], P => {
  const bar = P.row("mtl-knobs");
  P.slider(bar, "alpha", "logit α", "the architecture weight of one edge", {min: -6, max: 6, step: 0.05});
  P.slider(bar, "temperature", "temperature τ", "of the stochastic relaxation, at least 0.05", {min: FLOOR, max: 3, step: 0.01});
  P.field(bar, "seed", "seed", "the same seed draws the same samples", "number");
  P.button(bar, "Draw again", () => P.set({seed: (P.get("seed") + 1) % 2 ** 31}));
  const svg = P.svg(), facts = P.row("mtl-facts"), note = P.note();
  return width => {
    const [alpha, tau, seed, n] = ["alpha", "temperature", "seed", "samples"].map(P.get), p = sigma(alpha), blue = P.task(0);
    const u = uniform(seed, n), z = u.map(v => concrete(v, alpha, tau)), counts = histogram(z, BINS), high = 1.08 * Math.max(...counts);
    const share = (test, digits) => `${(100 * z.filter(test).length / n).toFixed(digits)} %`;
    const above = share(v => v > 0.5, 1), near = share(v => Math.abs(v - 0.5) > 0.45, 0), mean = z.reduce((a, b) => a + b) / n;
    const left = {x: 46, y: 24, w: width * 0.5 - 60, h: 220}, right = {...left, x: width * 0.5 + 40, w: width * 0.5 - 54};
    svg.begin(width, 278, `Stochastic gates at α ${short(alpha)}, τ ${short(tau)}: ${above} of ${n} samples above one half, ` +
      `${near} within 0.05 of 0 or 1; the deterministic gate is ${short(p)}.`);
    const curve = axes(svg, left, [0, 1], [0, 1], "Gate z = σ((α + ln u − ln(1−u)) / τ)", "u, uniform in 0…1");
    const bars = axes(svg, right, [0, high], [0, 1], "How often which gate", `of ${n} samples`);
    shape("rect", {x: curve.X(1 - p), y: left.y, width: curve.X(1) - curve.X(1 - p), height: left.h, fill: blue, opacity: 0.12}, svg);
    u.slice(0, 300).forEach((v, i) => shape("circle", {cx: curve.X(v), cy: curve.Y(z[i]), r: 2.6, fill: blue, opacity: 0.35}, svg));
    curve.line(inside(400).map(v => [v, concrete(v, alpha, tau)]), blue, 1.6);
    const thick = right.h / BINS - 1;
    counts.forEach((count, k) => shape("rect", {x: right.x, y: bars.Y((k + 1) / BINS) + 0.5, width: bars.X(count) - right.x,
      height: thick, fill: blue, opacity: 0.5}, svg));
    bars.line(inside(200).map(v => [Math.min(density(v, alpha, tau) * n / BINS, high), v]), "var(--ink)", 1.6);
    for (const [plot, end] of [[curve, 1], [bars, high]]) {
      plot.line([[0, 0.5], [end, 0.5]], "var(--soft)", 1.2, "1 3");
      plot.line([[0, p], [end, p]], P.warn, 2, "6 3");
    }
    words(svg, right.x + right.w - 4, bars.Y(p) + (p > 0.85 ? 15 : -6), `σ(α) = ${short(p)}`, {"text-anchor": "end",
      style: `fill:${P.warn};font-weight:600`});
    P.facts(facts, [["deterministic σ(α)", short(p), P.warn, "dashed"], ["stochastic, mean", short(mean), blue], ["expected density", "", "var(--ink)"],
      ["discretize", alpha > 0 ? "1 (α > 0)" : "0 (α ≤ 0)"], ["z > ½", `${above}, expected ${(100 * p).toFixed(1)} %`],
      ["within 0.05 of 0 or 1", near]]);
    note.textContent = "A gate lies above ½ exactly where u > 1 − σ(α) (shaded), whatever τ is: the temperature only says how far " +
      "from ½. Low τ: nearly 0 or 1. High τ: nearly ½.";
  };
});
