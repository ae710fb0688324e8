// The history as the bytes that the studio draws: encoding.py for a search of this page.
import {code} from "../studio/plan.js";

const SETTINGS = ["step", "entropy", "entropy_weight", "temperature", "l1_weight", "alpha_lr"];          // encoding.py's COLUMNS

// Which of so many steps are shown: every 2^k-th and the last, so that they rarely change while steps come.
export function rowsOf(steps, edges, values) {
  const most = Math.min(Math.max(Math.floor(values / Math.max(edges, 1)), 32), 600);
  let stride = 1;
  while (steps > most * stride) stride *= 2;
  const picked = Array.from({length: Math.floor(steps / stride)}, (_, k) => (k + 1) * stride - 1);
  return picked.at(-1) === steps - 1 ? picked : [...picked, steps - 1];
}

// steps: what `update` reported, in order.
export function encode(steps, values = 7000) {
  if (!steps.length) return new DataView(new ArrayBuffer(0));
  const E = steps[0].alpha.length, T = steps[0].losses.length, picked = rowsOf(steps.length, E, values), N = picked.length;
  const bytes = new ArrayBuffer(32 + 4 * ((SETTINGS.length + T) * N + 2 * E) + 3 * N * E), last = steps.at(-1);
  const largest = Math.max(...picked.map(i => Math.max(...steps[i].alpha_grad.map(Math.abs)))) || 1;
  const means = t => picked.map((end, k) => {
    const part = steps.slice(k ? picked[k - 1] + 1 : 0, end + 1);
    return part.reduce((sum, one) => sum + one.losses[t], 0) / part.length;
  });
  const columns = [...SETTINGS.map(name => picked.map(i => steps[i][name])), ...last.losses.map((_, t) => means(t))];
  const head = [1, N, E, T, SETTINGS.length, largest, steps.length, picked[0] + 1];
  const floats = [...head, ...columns.flat(), ...last.alpha, ...last.alpha_grad], at = 4 * floats.length;
  new Float32Array(bytes, 0, floats.length).set(floats);
  const gates = new Uint16Array(bytes, at, N * E), gradients = new Int8Array(bytes, at + 2 * N * E, N * E);
  picked.forEach((i, k) => {
    gates.set(Array.from(steps[i].alpha, code), k * E);
    gradients.set(Array.from(steps[i].alpha_grad, g => Math.round(Math.sign(g) * Math.sqrt(Math.abs(g) / largest) * 127)), k * E);
  });
  return new DataView(bytes);
}
