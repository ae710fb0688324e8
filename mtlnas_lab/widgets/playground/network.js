// Two small networks side by side, with candidate edges between them: forward and backward, in float64. The same function as
// core/supernet.py with stages of a 3×3 convolution and a ReLU, CrossStitch fusion, and a 1×1 convolution as head.
//
// A map is a Float64Array (N, C, S + 2, S + 2) with a border of zeros, so that a convolution never asks where it stands.

// shape: {tasks, outputs: [of each task], channels, stages, side, edges: [[source task, its stage, target task, its stage]]}
export function makeNetwork(shape, weights) {
  const {channels: C, stages, side, edges} = shape, W = side + 2, area = W * W, tasks = shape.outputs.length;
  const into = (t, s) => edges.flatMap(([, , b, j], e) => b === t && j === s ? [e] : []);
  const from = (t, s) => edges.flatMap(([a, i], e) => a === t && i === s ? [e] : []);
  const lanes = [...Array(tasks).keys()], depth = [...Array(stages).keys()];
  const entering = lanes.map(t => depth.map(s => into(t, s))), leaving = lanes.map(t => depth.map(s => from(t, s)));
  const column = edges.map(([, , b, j], e) => entering[b][j].indexOf(e) + 1);        // of the edge, in its target's mix
  const pool = new Map();                            // arrays that are filled anew with each pass
  const map = (name, images, maps) => {
    const size = images * maps * area;
    if (pool.get(name)?.length !== size) pool.set(name, new Float64Array(size));
    return pool.get(name);
  };

  // seen: what each network sees, maps of 3 channels. gates: one for each edge. Gives the outputs, and keeps what `backward` needs.
  function forward(seen, gates, images) {
    const kept = {seen, gates, images, plain: lanes.map(() => []), fused: lanes.map(() => []), outputs: []};
    for (const s of depth) {
      for (const t of lanes) {
        const x = s ? kept.fused[t][s - 1] : seen[t], out = map(`plain ${t} ${s}`, images, C), {w, b} = weights.stages[t][s];
        convolve(x, w, b, out, images, s ? C : 3, C, W);
        for (let k = 0; k < out.length; k++) if (out[k] < 0) out[k] = 0;
        kept.plain[t][s] = out;
      }
      for (const t of lanes) kept.fused[t][s] = fuse(kept, t, s);
    }
    for (const t of lanes) kept.outputs[t] = head(kept, t);
    return kept;
  }

  function fuse({plain, gates, images}, t, s) {
    const own = plain[t][s];
    if (!entering[t][s].length) return own;
    const out = map(`fused ${t} ${s}`, images, C), mix = weights.mix[t][s];
    for (let k = 0; k < out.length; k++) out[k] = mix[0] * own[k];
    for (const e of entering[t][s]) addTo(out, mix[column[e]] * gates[e], plain[edges[e][0]][edges[e][1]]);
    return out;
  }

  function head({fused, images}, t) {
    const K = shape.outputs[t], x = fused[t][stages - 1], out = map(`output ${t}`, images, K).fill(0), {w, b} = weights.heads[t];
    for (let n = 0; n < images; n++) for (let o = 0; o < K; o++) {
      const to = (n * K + o) * area;
      inside(W, p => {
        let sum = b[o];
        for (let c = 0; c < C; c++) sum += w[o * C + c] * x[(n * C + c) * area + p];
        out[to + p] = sum;
      });
    }
    return out;
  }

  // The gradients of a loss, given those of the outputs: {gates} alone, or with `all` also of every weight.
  function backward(kept, ofOutputs, all) {
    const {images, gates, plain, fused, seen} = kept, found = {gates: new Float64Array(edges.length)};
    if (all) Object.assign(found, zerosLike(weights));
    const ofFused = lanes.map(() => []);
    for (const t of lanes) ofFused[t][stages - 1] = behindHead(kept, t, ofOutputs[t], all && found.heads[t]);
    for (const s of [...depth].reverse()) {
      for (const t of lanes) for (const e of entering[t][s]) {
        const [a, i] = edges[e], along = dot(ofFused[t][s], plain[a][i]);
        found.gates[e] = weights.mix[t][s][column[e]] * along;
        if (all) found.mix[t][s][column[e]] = gates[e] * along;
      }
      for (const t of lanes) {
        const own = plain[t][s], mix = entering[t][s].length ? weights.mix[t][s][0] : 1, g = map(`of plain ${t} ${s}`, images, C);
        if (all && entering[t][s].length) found.mix[t][s][0] = dot(ofFused[t][s], own);
        for (let k = 0; k < g.length; k++) g[k] = mix * ofFused[t][s][k];
        for (const e of leaving[t][s]) {
          const [, , b, j] = edges[e];
          addTo(g, weights.mix[b][j][column[e]] * gates[e], ofFused[b][j]);
        }
        for (let k = 0; k < g.length; k++) if (own[k] <= 0) g[k] = 0;                // behind the ReLU
        const x = s ? fused[t][s - 1] : seen[t], {w} = weights.stages[t][s];
        if (all) ofConvolution(x, g, found.stages[t][s], images, s ? C : 3, C, W);
        if (s) ofFused[t][s - 1] = back(g, w, map(`of fused ${t} ${s - 1}`, images, C), images, C, C, W);
      }
    }
    return found;
  }

  function behindHead({fused, images}, t, g, found) {
    const K = shape.outputs[t], x = fused[t][stages - 1], of = map(`of fused ${t} ${stages - 1}`, images, C).fill(0), {w} = weights.heads[t];
    for (let n = 0; n < images; n++) for (let o = 0; o < K; o++) for (let c = 0; c < C; c++) {
      const at = (n * K + o) * area, to = (n * C + c) * area;
      let sum = 0;
      for (let p = 0; p < area; p++) {
        of[to + p] += w[o * C + c] * g[at + p];
        sum += g[at + p] * x[to + p];
      }
      if (found) found.w[o * C + c] += sum;
    }
    if (found) sumMaps(g, found.b, images, K, area);
    return of;
  }

  return {shape, weights, forward, backward};
}

// --- maps --------------------------------------------------------------------------------------------------------------
function inside(W, act) {
  for (let y = 1; y < W - 1; y++) for (let x = 1; x < W - 1; x++) act(y * W + x);
}
function addTo(out, factor, x) { for (let k = 0; k < out.length; k++) out[k] += factor * x[k]; }
function dot(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}
function sumMaps(g, into, images, maps, area) {
  for (let n = 0; n < images; n++) for (let o = 0; o < maps; o++) {
    for (let p = 0, at = (n * maps + o) * area; p < area; p++) into[o] += g[at + p];
  }
}

// w: (maps out, maps in, 3, 3), b: (maps out)
function convolve(x, w, b, out, images, ins, outs, W) {
  const area = W * W;
  out.fill(0);
  for (let n = 0; n < images; n++) for (let o = 0; o < outs; o++) {
    const to = (n * outs + o) * area;
    for (let y = 1; y < W - 1; y++) out.fill(b[o], to + y * W + 1, to + y * W + W - 1);
    for (let i = 0; i < ins; i++) spread(x, (n * ins + i) * area, w, (o * ins + i) * 9, 1, out, to, W);
  }
}

// out += x through one 3×3 kernel; turn −1: through the kernel turned by half a circle, as gradients go back.
function spread(x, at, w, k, turn, out, to, W) {
  const f = turn < 0 ? k + 8 : k;
  const a = w[f], b = w[f + turn], c = w[f + 2 * turn], d = w[f + 3 * turn], e = w[f + 4 * turn];
  const g = w[f + 5 * turn], h = w[f + 6 * turn], i = w[f + 7 * turn], j = w[f + 8 * turn];
  for (let y = 1; y < W - 1; y++) {
    let q = at + y * W, x0 = x[q - W], x1 = x[q - W + 1], x3 = x[q], x4 = x[q + 1], x6 = x[q + W], x7 = x[q + W + 1];
    for (let p = to + y * W + 1, end = p + W - 2; p < end; p++) {         // the window moves on by one: three numbers are new
      q++;
      const x2 = x[q - W + 1], x5 = x[q + 1], x8 = x[q + W + 1];
      out[p] += a * x0 + b * x1 + c * x2 + d * x3 + e * x4 + g * x5 + h * x6 + i * x7 + j * x8;
      [x0, x1, x3, x4, x6, x7] = [x1, x2, x4, x5, x7, x8];
    }
  }
}

function back(g, w, out, images, ins, outs, W) {
  const area = W * W;
  out.fill(0);
  for (let n = 0; n < images; n++) for (let i = 0; i < ins; i++) for (let o = 0; o < outs; o++) {
    spread(g, (n * outs + o) * area, w, (o * ins + i) * 9, -1, out, (n * ins + i) * area, W);
  }
  return out;
}

function ofConvolution(x, g, found, images, ins, outs, W) {
  const area = W * W;
  for (let n = 0; n < images; n++) for (let o = 0; o < outs; o++) for (let i = 0; i < ins; i++) {
    const at = (n * ins + i) * area, of = (n * outs + o) * area, k = (o * ins + i) * 9;
    let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, h = 0, j = 0, l = 0;
    for (let y = 1; y < W - 1; y++) for (let p = y * W + 1, end = p + W - 2; p < end; p++) {
      const q = at + p, v = g[of + p];
      a += v * x[q - W - 1];
      b += v * x[q - W];
      c += v * x[q - W + 1];
      d += v * x[q - 1];
      e += v * x[q];
      f += v * x[q + 1];
      h += v * x[q + W - 1];
      j += v * x[q + W];
      l += v * x[q + W + 1];
    }
    const w = found.w;                                // nine numbers by name: a list of them would be thrown away 500 times a step
    w[k] += a;
    w[k + 1] += b;
    w[k + 2] += c;
    w[k + 3] += d;
    w[k + 4] += e;
    w[k + 5] += f;
    w[k + 6] += h;
    w[k + 7] += j;
    w[k + 8] += l;
  }
  sumMaps(g, found.b, images, outs, area);
}

// --- weights -----------------------------------------------------------------------------------------------------------
// Every array of weights, in one order: of the stages, the fusion (`mix`) and the heads.
export function arraysOf({stages, mix, heads}) {
  const layers = [...stages.flat(), ...heads];
  return [...layers.flatMap(({w, b}) => [w, b]), ...mix.flat().filter(Boolean)];
}

function zerosLike({stages, mix, heads}) {
  const zeros = one => one && new Float64Array(one.length), layer = ({w, b}) => ({w: zeros(w), b: zeros(b)});
  return {stages: stages.map(one => one.map(layer)), mix: mix.map(one => one.map(zeros)), heads: heads.map(layer)};
}

// Weights to begin with: normal(count) gives unit Gaussian numbers. The fusion begins as the library's does.
export function firstWeights({outputs, channels: C, stages, edges}, normal) {
  const layer = (outs, ins, size) => ({w: normal(outs * ins * size).map(v => v * Math.sqrt(2 / (ins * size))), b: new Float64Array(outs)});
  const depth = [...Array(stages).keys()], entering = (t, s) => edges.filter(([, , b, j]) => b === t && j === s).length;
  const mix = k => k ? Float64Array.from({length: k + 1}, (_, i) => i ? 0.1 / k : 0.9) : null;
  return {stages: outputs.map(() => depth.map(s => layer(C, s ? C : 3, 9))), heads: outputs.map(K => layer(K, C, 1)),
    mix: outputs.map((_, t) => depth.map(s => mix(entering(t, s))))};
}
