// The search of core/search.py on numbers of this page: first order, α on one half of the images, then w on the other.
import {concrete, sigma} from "../explorers/sums.js";
import {entropyOf, pull} from "../studio/plan.js";
import {arraysOf, makeNetwork} from "./network.js";

// --- losses, as in tasks/task.py ---------------------------------------------------------------------------------------
// Each gives the loss, and writes its gradient by the outputs into g. Maps have a border; a target has none.
function perPixel(side, images, act) {
  const W = side + 2;
  for (let n = 0; n < images; n++) for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    act(n, (y + 1) * W + x + 1, (n * side + y) * side + x);
  }
}

export const LOSSES = {
  // Mean cross-entropy over pixels of K classes.
  segmentation(out, target, g, images, side, K) {
    const area = (side + 2) ** 2, count = images * side * side, at = (n, k, p) => (n * K + k) * area + p;
    let loss = 0;
    perPixel(side, images, (n, p, pixel) => {
      let most = -Infinity, sum = 0;
      for (let k = 0; k < K; k++) most = Math.max(most, out[at(n, k, p)]);
      for (let k = 0; k < K; k++) sum += Math.exp(out[at(n, k, p)] - most);
      loss += (Math.log(sum) + most - out[at(n, target[pixel], p)]) / count;
      for (let k = 0; k < K; k++) g[at(n, k, p)] = (Math.exp(out[at(n, k, p)] - most) / sum - (k === target[pixel])) / count;
    });
    return loss;
  },
  // Mean |answer − distance| in metres.
  depth(out, target, g, images, side) {
    const area = (side + 2) ** 2, count = images * side * side;
    let loss = 0;
    perPixel(side, images, (n, p, pixel) => {
      const off = out[n * area + p] - target[pixel];
      loss += Math.abs(off) / count;
      g[n * area + p] = Math.sign(off) / count;
    });
    return loss;
  }};

// What the answers are worth, as the tasks' first metric.
export const SCORES = {
  segmentation(out, target, images, side, K) {
    const area = (side + 2) ** 2, both = new Float64Array(K), either = new Float64Array(K);
    perPixel(side, images, (n, p, pixel) => {
      let answer = 0;
      for (let k = 1; k < K; k++) if (out[(n * K + k) * area + p] > out[(n * K + answer) * area + p]) answer = k;
      either[answer]++;
      either[target[pixel]] += answer !== target[pixel];
      both[answer] += answer === target[pixel];
    });
    const shares = [...both.keys()].filter(k => either[k]).map(k => both[k] / either[k]);
    return {miou: shares.reduce((a, b) => a + b, 0) / shares.length};
  },
  depth(out, target, images, side) {
    const area = (side + 2) ** 2;
    let sum = 0;
    perPixel(side, images, (n, p, pixel) => { sum += Math.abs(out[n * area + p] - target[pixel]); });
    return {absolute: sum / (images * side * side)};
  }};

// --- gates, as in core/relaxation.py: from α, τ and a uniform number to a gate and its slope by α --------------------------
const soft = (alpha, tau, u) => { const z = concrete(u, alpha, tau); return [z, z * (1 - z) / Math.max(tau, 0.05)]; };
export const RELAXED = {
  deterministic: alpha => { const p = sigma(alpha); return [p, p * (1 - p)]; },
  stochastic: soft,
  straight_through: (alpha, tau, u) => { const [z, slope] = soft(alpha, tau, u); return [+(z > 0.5), slope]; },
  bernoulli: (alpha, tau, u) => [+(alpha + Math.log(u) - Math.log1p(-u) > 0), 0],
  discretize: alpha => [+(alpha > 0), 0],
  all_open: () => [1, 0]};
const DRAWN = ["stochastic", "straight_through", "bernoulli"];

export function gatesOf(name, alpha, tau, forced, draw) {
  const u = DRAWN.includes(name) ? draw(alpha.length) : alpha, both = Array.from(alpha, (a, e) => RELAXED[name](a, tau, u[e]));
  for (const [e, to] of Object.entries(forced)) both[e] = [+to, 0];
  return {gates: both.map(([gate]) => gate), slopes: both.map(([, slope]) => slope)};
}

// --- schedules, as in core/schedule.py ------------------------------------------------------------------------------------
export function scheduled({start, end, period: [begin, close], power}, step, steps) {
  const share = step / steps;
  if (share <= begin) return start;
  return share >= close ? end : end - (end - start) * (1 - (share - begin) / (close - begin)) ** power;
}

// --- Adam, as in torch -------------------------------------------------------------------------------------------------
export function adam(arrays, [b1, b2]) {
  const moments = arrays.map(one => [new Float64Array(one.length), new Float64Array(one.length)]);
  let t = 0;
  return (gradients, rate) => {
    t++;
    const c1 = 1 - b1 ** t, c2 = Math.sqrt(1 - b2 ** t);
    arrays.forEach((x, k) => {
      const [m, v] = moments[k], g = gradients[k];
      for (let i = 0; i < x.length; i++) {
        m[i] += (1 - b1) * (g[i] - m[i]);
        v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
        x[i] -= rate / c1 * m[i] / (Math.sqrt(v[i]) / c2 + 1e-8);
      }
    });
  };
}

// --- the search --------------------------------------------------------------------------------------------------------
// knobs: numbers or schedules, and the names of the two relaxations. batches: {alpha(), weights()}, each {seen, targets, images}.
// draw(count): uniform numbers in (0, 1).
export function makeSearch({shape, weights, alpha, knobs, steps, batches, draw}) {
  const network = makeNetwork(shape, weights), E = alpha.length, {side, outputs, tasks} = shape;
  const moveAlpha = adam([alpha], [0.5, 0.999]), moveWeights = adam(arraysOf(weights), [0.9, 0.999]);
  const search = {step: 0, steps, alpha, knobs, forced: {}, network,
    now: name => typeof knobs[name] === "object" ? scheduled(knobs[name], search.step, steps) : knobs[name]};
  const pool = new Map();
  const gradient = (t, length) => {
    if (pool.get(t)?.length !== length) pool.set(t, new Float64Array(length));
    return pool.get(t);
  };

  function losses({seen, targets, images}, gates) {
    const kept = network.forward(seen, gates, images);
    const of = outputs.map((K, t) => {
      const g = gradient(t, kept.outputs[t].length), loss = LOSSES[tasks[t]](kept.outputs[t], targets[t], g, images, side, K);
      return {g, loss};
    });
    return {kept, losses: of.map(one => one.loss), gradients: of.map(one => one.g)};
  }

  // Moves α down the losses and the two penalties; gives what the tasks alone ask for.
  function updateAlpha() {
    const lambda = search.now("entropy_weight"), l1 = search.now("l1_weight");
    const {gates, slopes} = gatesOf(knobs.alpha_gates, alpha, search.now("temperature"), search.forced, draw);
    const {kept, gradients} = losses(batches.alpha(), gates), ofGates = network.backward(kept, gradients, false).gates;
    const ofTasks = Float64Array.from(alpha, (_, e) => ofGates[e] * slopes[e]);
    const whole = Float64Array.from(alpha, (a, e) => { const p = sigma(a); return ofTasks[e] + pull(lambda, a, E) + l1 * p * (1 - p) / E; });
    moveAlpha([whole], search.now("alpha_lr"));
    return ofTasks;
  }

  function updateWeights() {
    const {gates} = gatesOf(knobs.weight_gates, alpha, search.now("temperature"), search.forced, draw);
    const {kept, losses: found, gradients} = losses(batches.weights(), gates);
    moveWeights(arraysOf(network.backward(kept, gradients, true)), search.now("weight_lr"));
    return found;
  }

  // One α-update, then one w-update: what core/search.py reports of it.
  search.update = () => {
    const alpha_grad = updateAlpha(), found = updateWeights();
    const entropy = alpha.reduce((sum, a) => sum + entropyOf(sigma(a)), 0) / E, knobs = {};
    for (const name of ["entropy_weight", "temperature", "l1_weight", "alpha_lr"]) knobs[name] = search.now(name);
    return {step: ++search.step, alpha: Float64Array.from(alpha), alpha_grad, losses: found, entropy, ...knobs};
  };

  // {gates: {task: {metric: value}}} of a batch; a network without batch norm has nothing to recalibrate.
  search.scores = ({seen, targets, images}) => {
    const of = gates => {
      const {outputs: found} = network.forward(seen, gates, images);
      return Object.fromEntries(tasks.map((task, t) => [task, SCORES[task](found[t], targets[t], images, side, outputs[t])]));
    };
    const hard = of(gatesOf("discretize", alpha, 1, search.forced).gates);
    return {soft: of(gatesOf("deterministic", alpha, 1, search.forced).gates), hard, hard_recalibrated: hard};
  };
  return search;
}
