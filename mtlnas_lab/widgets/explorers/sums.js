// What the explorers compute, the same numbers as in sums.py: pure functions, tested by node.
import {entropyOf, pull, short} from "../studio/plan.js";

export const sigma = x => 1 / (1 + Math.exp(-x));

// One α: g = ∂L/∂z of the task losses (taken as constant), λ of the mean entropy over E edges.
export function phase(alpha, g, lambda, E = 1) {
  const p = sigma(alpha), tasks = g * p * (1 - p), entropy_gradient = pull(lambda, alpha, E);
  return {p, entropy: entropyOf(p), tasks, entropy_gradient, speed: -(tasks + entropy_gradient)};
}

export const tipping = (g, lambda, E = 1) => lambda > 0 ? g * E / lambda : null;

export function descend(alpha, g, lambda, rate, steps, E = 1) {
  const path = [alpha];
  for (let k = 0; k < steps; k++) path.push(alpha += rate * phase(alpha, g, lambda, E).speed);
  return path;
}

// What becomes of an edge at α, in words.
export function verdict(alpha, g, lambda, E = 1) {
  const tip = tipping(g, lambda, E);
  if (tip === null) return g ? `No entropy term: the tasks alone ${g < 0 ? "open" : "shut"} it, ever more slowly.` : "Nothing moves it.";
  const at = `Tips at α = g·E/λ = ${short(tip)}`;
  if (Math.abs(alpha - tip) < 1e-9) return `${at}: it stands exactly there, and any breath decides.`;
  return alpha > tip ? `${at}: it starts above and goes to 1.` : `${at}: it starts below and goes to 0.`;
}

// `count` numbers in (0, 1): a counter through the mixer of MurmurHash3.
export function uniform(seed, count) {
  return Array.from({length: count}, (_, i) => {
    let x = (Math.imul(i + 1, 0x9E3779B9) + Math.imul(seed, 0x85EBCA6B)) >>> 0;
    for (const [shift, factor] of [[16, 0x85EBCA6B], [13, 0xC2B2AE35], [16, 1]]) x = Math.imul(x ^ x >>> shift, factor) >>> 0;
    return (x + 0.5) / 2 ** 32;
  });
}

export const FLOOR = 0.05;
export const concrete = (u, alpha, tau) => sigma((alpha + Math.log(u) - Math.log1p(-u)) / Math.max(tau, FLOOR));

// The density of the stochastic gate at z: that of the logistic noise, carried over.
export function density(z, alpha, tau) {
  const t = Math.max(tau, FLOOR), s = sigma(t * Math.log(z / (1 - z)) - alpha);
  return s * (1 - s) * t / (z * (1 - z));
}
