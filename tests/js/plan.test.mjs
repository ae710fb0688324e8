// The pure functions of the studio's page: node --test tests/js/ (frame.bin is written by tests/widgets/test_encoding.py)
import assert from "node:assert/strict";
import {existsSync, readFileSync} from "node:fs";
import test from "node:test";
import * as plan from "../../mtlnas_lab/widgets/studio/plan.js";

const stages = [64, 64, 128, 128].map((channels, i) => [channels, i >> 1, i % 2, 2]);
const stage = {tasks: ["a", "b"], plans: [stages, stages], edges: [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 1], [1, 2, 0, 3]],
  names: ["a:0 -> b:0", "b:0 -> a:0", "a:0 -> b:1", "b:2 -> a:3"]};
const box = {x: 0, y: 0, w: 600, h: 220};

// N = 2 rows, E = 1 edge, T = 1 task
function small(offset = 0) {
  const bytes = new ArrayBuffer(32 + 4 * (7 * 2 + 2) + 6 + offset), view = new DataView(bytes, offset);
  [1, 2, 1, 1, 6, 0.5, 0, 0, 10, 20, 0.6, 0.3, 1, 2, 1, 1, 0, 0, 0.1, 0.1, 3, 2, -2, 0.25].forEach((v, i) => view.setFloat32(4 * i, v, true));
  view.setUint16(96, 32768, true);
  view.setUint16(98, 65535, true);
  view.setInt8(100, -127);
  return view;
}

test("a frame is read, wherever its bytes begin", () => {
  for (const offset of [0, 1, 3]) {
    const f = plan.decode(small(offset));
    assert.deepEqual([...f.step], [10, 20]);
    assert.deepEqual([...f.losses[0]], [3, 2]);
    assert.ok(Math.abs(f.p(0, 0) - 0.5) < 1e-4 && f.p(1, 0) === 1);
    assert.equal(f.grad(0, 0), -0.5);
    assert.equal(f.grad(1, 0), 0.25);
    assert.equal(f.alpha(1, 0), -2);
  }
});

test("a frame of python's is read", {skip: !existsSync(new URL("frame.bin", import.meta.url))}, () => {
  const file = readFileSync(new URL("frame.bin", import.meta.url));
  const f = plan.decode(new DataView(file.buffer, file.byteOffset, file.byteLength));
  assert.equal(f.E, 48);
  assert.equal(f.step[f.N - 1], 400);
  const mean = Array.from({length: f.E}, (_, e) => plan.entropyOf(f.p(f.N - 1, e))).reduce((a, b) => a + b) / f.E;
  assert.ok(Math.abs(mean - f.entropy[f.N - 1]) < 1e-3);
});

const bytes = text => { const all = Buffer.from(text, "base64"); return new DataView(all.buffer, all.byteOffset, all.byteLength); };
const file = new URL("parted.json", import.meta.url);

test("a frame and the steps behind it are the frame of all", {skip: !existsSync(file)}, () => {
  for (const [head, tail, whole] of JSON.parse(readFileSync(file)).map(parts => parts.map(bytes))) {
    const joined = plan.join(plan.decode(head), tail), all = plan.decode(whole);
    assert.equal(joined.N, all.N);
    for (const name of ["step", "entropy", "lambda", "tau", "l1", "rate"]) assert.deepEqual(joined[name], all[name]);
    all.losses.forEach((loss, t) => loss.forEach((value, i) => assert.ok(Math.abs(value - joined.losses[t][i]) < 1e-6 || Number.isNaN(value + joined.losses[t][i]))));
    for (let i = 0; i < all.N; i++) for (let e = 0; e < all.E; e++) {
      assert.ok(Math.abs(joined.p(i, e) - all.p(i, e)) < 2e-5);
      assert.ok(Math.abs(joined.grad(i, e) - all.grad(i, e)) < 5e-5);
      assert.ok(Math.abs(joined.alpha(i, e) - all.alpha(i, e)) < 0.01 * (1 + Math.abs(all.alpha(i, e))));
    }
    if (tail.byteLength) assert.equal(plan.same(joined, all), all.N - 1);        // nothing settled is painted again
  }
});

const signs = new URL("signs.json", import.meta.url);

test("open is what has α > 0, in a frame of python's, in the steps behind it and in words", {skip: !existsSync(signs)}, () => {
  for (const {alpha, kept, head, tail} of JSON.parse(readFileSync(signs))) {
    const frame = plan.decode(bytes(head)), joined = plan.join(frame, bytes(tail));
    assert.equal(joined.N, 2);
    for (const [f, row] of [[frame, 0], [joined, 0], [joined, 1]]) {
      assert.deepEqual(kept.map((_, e) => f.p(row, e) > 0.5), kept, `row ${row}`);
      assert.equal(plan.opens(kept.map((_, e) => f.p(row, e))), kept.filter(Boolean).length);
      alpha.forEach((a, e) => assert.ok(Math.abs(f.p(row, e) - 1 / (1 + Math.exp(-a))) < 2e-5));
    }
    const told = plan.describe({tasks: ["a"], edges: kept, names: []}, joined, 1, "running");
    assert.match(told, new RegExp(`, ${kept.filter(Boolean).length} of ${kept.length} edges open`));
    const forced = Object.fromEntries(kept.map((_, e) => [e, false]));
    assert.match(plan.describe({tasks: ["a"], edges: kept, names: []}, joined, 1, "running", {}, forced), /, 0 of \d+ edges open/);
  }
});

test("a status is of the last step that came", () => {
  const at = (step, seconds) => ({step, lambda: 2, tau: NaN, l1: 0, rate: 0.1, seconds});
  const status = {step: 4, pace: 0.1, knobs: {entropy_weight: 1, force: {}}};
  assert.equal(plan.since(status, {}), status);
  const now = plan.since(status, {latest: [at(5, 0.1), at(6, 0.3)]});
  assert.equal(now.step, 6);
  assert.deepEqual(now.knobs, {entropy_weight: 2, temperature: null, l1_weight: 0, alpha_lr: 0.1, force: {}});
  assert.ok(Math.abs(now.pace - (18 * 0.1 + 0.4) / 20) < 1e-9);
});

test("a tail that is behind, torn or of nothing changes nothing", () => {
  const f = plan.decode(small()), of = (...rows) => new DataView(new Float32Array(rows.flat()).buffer);
  const row = step => [step, ...new Array(10).fill(0.5)];
  for (const tail of [undefined, of(), of([1, 2]), of(row(20)), of(row(12), row(20))]) assert.equal(plan.join(f, tail), f);
  const joined = plan.join(f, of(row(20), row(21), [22]));
  assert.deepEqual([...joined.step], [10, 20, 21]);
});

test("the steps that a message brings come bit by bit", () => {
  const f = plan.decode(small()), row = 4 * 11, of = (rows, more = 0) => new DataView(new ArrayBuffer(row * rows + more));
  const grown = (view, known = 0) => plan.growing(f, view, known * row, 4).map(part => part.byteLength / row);
  assert.deepEqual([0, 1, 2, 4, 7, 8].map(rows => grown(of(rows))), [[0], [1], [1, 2], [1, 2, 3, 4], [2, 4, 6, 7], [2, 4, 6, 8]]);
  assert.deepEqual([[4, 3], [5, 3], [3, 3], [2, 3]].map(([rows, known]) => grown(of(rows), known)), [[4], [4, 5], [3], [2]]);
  assert.deepEqual(grown(of(3, 8)).slice(0, 2), [1, 2]);                         // torn
  assert.deepEqual(plan.growing(null, undefined, 0, 4), [undefined]);
});

test("what is no frame is none", () => {
  for (const bad of [null, new DataView(new ArrayBuffer(0)), new DataView(new ArrayBuffer(64))]) assert.equal(plan.decode(bad), null);
  const cut = small();
  assert.equal(plan.decode(new DataView(cut.buffer, 0, 90)), null);
});

test("the row of a step", () => {
  const f = {N: 3, step: [4, 8, 11]};
  assert.deepEqual([-1, 0, 4, 7, 8, 10, 11, 99].map(at => plan.rowOf(f, at)), [2, 0, 0, 0, 1, 1, 2, 2]);
});

test("the pull of entropy leads away from one half", () => {
  assert.equal(Math.abs(plan.pull(10, 0, 48)), 0);
  assert.ok(plan.pull(10, 1, 48) < 0 && plan.pull(10, -1, 48) > 0);
  const H = alpha => plan.entropyOf(1 / (1 + Math.exp(-alpha)));
  assert.ok(Math.abs(plan.pull(3, 0.7, 2) - 3 * (H(0.7001) - H(0.6999)) / 0.0002 / 2) < 1e-4);
});

test("ticks are round and inside", () => {
  assert.deepEqual(plan.ticks(0, 1, 2), [0, 0.5, 1]);
  assert.deepEqual(plan.ticks(0, 500, 4), [0, 200, 400]);
  for (const [low, high] of [[0, 0.73], [-3, 17], [0, 20000]]) {
    const found = plan.ticks(low, high, 3);
    assert.ok(found.length >= 2 && found.length <= 5 && found[0] >= low && found.at(-1) <= high);
  }
});

test("the axis of steps grows by doubling", () => {
  assert.equal(plan.endOfAxis(1, 500), 31.25);
  assert.equal(plan.endOfAxis(40, 500), 62.5);
  assert.equal(plan.endOfAxis(500, 500), 500);
  assert.equal(plan.endOfAxis(600, 500), 600);
  assert.equal(plan.endOfAxis(30, 0), 32);
});

test("antiparallel edges stand apart, and end at the rims", () => {
  const {edges, nodes, r} = plan.graphPlan(stage, box), [there, back] = edges;
  const far = Math.hypot(...plan.pointOn(there, 0.5).map((v, i) => v - plan.pointOn(back, 0.5)[i]));
  assert.ok(far > 12);
  for (const [c, from, to] of [[there, nodes[0][0], nodes[1][0]], [back, nodes[1][0], nodes[0][0]]]) {
    assert.ok(Math.abs(Math.hypot(c[0] - from.x, c[1] - from.y) - r - 1.5) < 1e-6);
    assert.ok(Math.abs(Math.hypot(c[6] - to.x, c[7] - to.y) - r - 2.5) < 1e-6);
  }
});

test("the nearest edge is found, and none far away", () => {
  const {edges} = plan.graphPlan(stage, box);
  edges.forEach((c, e) => assert.equal(plan.nearest(edges, ...plan.pointOn(c, 0.5), 7), e));
  assert.equal(plan.nearest(edges, 5, 5, 7), -1);
});

test("cells of the heat map stand for their edges only", () => {
  const heat = plan.heatPlan(stage, {x: 0, y: 0, w: 300, h: 150});
  heat.cells.forEach((c, e) => assert.equal(plan.cellAt(heat, c.x + heat.cell / 2, c.y + heat.cell / 2), e));
  const [first] = heat.blocks;
  assert.equal(plan.cellAt(heat, first.x + first.w - 1, first.y + 1), -1);
});

test("panels fit into every width", () => {
  for (const width of [320, 700, 859, 860, 960, 1290]) for (const tasks of [2, 3, 5, 16]) {
    const {place, height} = plan.panels(width, tasks);
    for (const p of Object.values(place)) assert.ok(p.x >= 0 && p.x + p.w <= width && p.y + p.h + p.legend <= height && p.w > 40);
    assert.ok(place.gap.h - plan.METER * tasks >= 80, "every task has its row below the curves of the gap");
    for (const [a, p] of Object.entries(place)) for (const [b, q] of Object.entries(place)) {
      assert.ok(a === b || p.x + p.w <= q.x || q.x + q.w <= p.x || p.y + p.h < q.y || q.y + q.h < p.y, `${a} over ${b}`);
    }
  }
});

test("a plain panel has the graph and two curves, at every width", () => {
  for (const width of [320, 700, 859, 860, 960, 1290]) for (const tasks of [2, 3, 5]) {
    const {place, height} = plan.panels(width, tasks, ["graph", "entropy", "losses"]), boxes = Object.values(place);
    assert.deepEqual(Object.keys(place), ["graph", "entropy", "losses"]);
    for (const p of boxes) assert.ok(p.x >= 0 && p.x + p.w <= width && p.y + p.h + p.legend <= height && p.w > 40);
    for (const p of boxes) for (const q of boxes) assert.ok(p === q || p.x + p.w <= q.x || q.x + q.w <= p.x || p.y + p.h < q.y || q.y + q.h < p.y);
    assert.ok(height < plan.panels(width, tasks).height * 0.8);
  }
});

const MEAN = [0.485, 0.456, 0.406], DEVIATION = [0.229, 0.224, 0.225];

test("what a network sees is v · image + (1 − v) · noise", () => {
  const rgb = Uint8Array.from([200, 100, 0, 10, 20, 30]), drawn = Float32Array.from([1, -1, 0, 0.5, 9, -9]), of = {mean: MEAN, deviation: DEVIATION};
  assert.deepEqual([...plan.seen(rgb, drawn, 1, of)], [200, 100, 0, 255, 10, 20, 30, 255]);
  const half = plan.seen(rgb, drawn, 0.5, of), want = (value, c, n) => 0.5 * value + 0.5 * 255 * (MEAN[c] + DEVIATION[c] * n);
  [[0, 200, 0, 1], [1, 100, 1, -1], [2, 0, 2, 0], [4, 10, 0, 0.5]].forEach(([k, value, c, n]) => assert.ok(Math.abs(half[k] - want(value, c, n)) <= 0.51));
  assert.deepEqual([half[5], half[6]], [255, 0], "what is brighter than white is white");
});

test("the noise is unit Gaussian, and the same each time", () => {
  const some = plan.noise(20000, 3), mean = some.reduce((a, b) => a + b) / some.length, square = some.reduce((a, b) => a + b * b, 0) / some.length;
  assert.ok(Math.abs(mean) < 0.03 && Math.abs(square - 1) < 0.04 && some.every(Number.isFinite));
  assert.ok(Math.abs(some.filter(x => Math.abs(x) < 1).length / some.length - 0.683) < 0.02);
  assert.deepEqual(plan.noise(5, 3), some.slice(0, 5));
  assert.notDeepEqual(plan.noise(5, 4), some.slice(0, 5));
});

test("how much is seen in a step is what was turned last", () => {
  const points = [[1, 1], [10, 0.2], [12, 0]];
  assert.deepEqual([0, 1, 9, 10, 11, 12, 99].map(step => plan.seenAt(points, step)), [1, 1, 1, 0.2, 0.2, 0, 0]);
  assert.equal(plan.seenAt(undefined, 5), 1);
});

test("the gap is what discretising costs, in the direction of each metric", () => {
  const scores = {soft: {a: {miou: 0.2}, b: {mean_angle: 30}}, hard: {a: {miou: 0.1}, b: {mean_angle: 33}}, hard_recalibrated: {}};
  const found = plan.gaps([[10, scores]], ["a", "b"]);
  assert.ok(Math.abs(plan.cost(found[0], "hard", 0) - 50) < 1e-9 && Math.abs(plan.cost(found[1], "hard", 0) - 10) < 1e-9);
  assert.ok(Number.isNaN(plan.cost(found[0], "hard_recalibrated", 0)));
  assert.deepEqual(plan.gaps([], ["a"]), []);
});

test("scores of any names and shapes are borne", () => {
  assert.deepEqual(plan.gaps([[1, {}], [2, {hard: {}, soft: {a: {}}}]], ["a", "constructor", "__proto__"]), []);
  const [one] = plan.gaps([[1, {hard: {constructor: {toString: 1}}, soft: {constructor: {toString: null}}}]], ["constructor"]);
  assert.deepEqual([one.name, one.hard, one.soft], ["toString", [1], [NaN]]);
});

test("axes come to an end, whatever the numbers", () => {
  assert.deepEqual(plan.ticks(0, Infinity), [0]);
  assert.deepEqual(plan.ticks(NaN, 1), [NaN]);
  assert.equal(plan.endOfAxis(40, Infinity), 64);
  assert.equal(plan.endOfAxis(40, 1e300), 64);
});

test("text is wrapped between words", () => {
  const wide = text => text.length;
  assert.deepEqual(plan.wrap("one two three", 7, wide), ["one two", "three"]);
  assert.deepEqual(plan.wrap("incomprehensibility is", 4, wide), ["incomprehensibility", "is"]);
  assert.deepEqual(plan.wrap("", 4, wide), [""]);
});

test("groups that no backbone has take no room", () => {
  const there = plan.graphPlan(stage, box), moved = stages.map(([c, g, i, s]) => [c, g + 3, i, s]);
  assert.deepEqual(plan.graphPlan({...stage, plans: [moved, moved]}, box).nodes, there.nodes);
});

test("numbers are short, minus signs are minus signs", () => {
  assert.deepEqual([0, 0.1234, 1.234, 12.34, 123.4, -1.5, NaN, null, 0.00012, 20].map(plan.short),
    ["0.000", "0.123", "1.23", "12.3", "123", "−1.50", "–", "–", "1.2e−4", "20.0"]);
});

test("smoothing passes over what is no number", () => {
  assert.deepEqual(plan.smooth([1, NaN, 3], 1), [1, 2, 3]);
  assert.deepEqual(plan.smooth([2, 4], 0), [2, 4]);
});

test("tasks' colours can be seen on both themes", () => {
  const light = css => { const [r, g, b] = css.match(/\d+/g).map(Number); return (0.299 * r + 0.587 * g + 0.114 * b) / 255; };
  for (let t = 0; t < 8; t++) {
    assert.ok(light(plan.taskColour(t, true)) > 0.35, `task ${t} on dark`);
    assert.ok(light(plan.taskColour(t, false)) < 0.78, `task ${t} on light`);
  }
});

test("a description for those who do not see the canvas", () => {
  assert.match(plan.describe(stage, null, 0, "ready"), /4 candidate edges between a, b/);
  assert.match(plan.describe({...stage, edges: [stage.edges[0]]}, plan.decode(small()), 1, "paused"), /step 20: .*1 of 1 edges open/);
  assert.equal(typeof plan.describe({}, null, 0, ""), "string");
  const marks = {evaluated: [[15, {soft: {a: {miou: 0.2}}, hard: {a: {miou: 0.1}}}], [99, {soft: {a: {miou: 0.9}}}]]};
  assert.match(plan.describe({...stage, edges: [stage.edges[0]]}, plan.decode(small()), 1, "paused", marks), /a IoU 0.200 soft, 0.100 hard/);
});

test("a description says each loss with its own name, in whatever order they come", () => {
  const one = {...stage, edges: [stage.edges[0]]};
  assert.match(plan.describe(one, plan.decode(small()), 1, "paused", {losses: ["b"]}), /losses b 2\.00/);
  assert.match(plan.describe(one, plan.decode(small()), 1, "paused"), /losses a 2\.00/);
});

test("forces are those of the step that is looked at", () => {
  const changes = [[4, {"a:0 -> b:0": true, "b:2 -> a:3": false}], [9, {"a:0 -> b:0": null, "x": true}]];
  assert.deepEqual([3, 4, 8, 9].map(at => plan.forcedAt(changes, stage.names, at)),
    [{}, {0: true, 3: false}, {0: true, 3: false}, {3: false}]);
});

test("what is settled of the history stays as it is drawn", () => {
  const frame = (step, p) => ({N: step.length, E: 2, step, p: (i, e) => p[i] + e / 10}), before = frame([1, 2, 3], [0.5, 0.6, 0.7]);
  assert.equal(plan.same(before, frame([1, 2, 3, 4, 5], [0.5, 0.6, 0.7, 0.8, 0.8])), 2);
  assert.equal(plan.same(before, frame([1, 2, 4], [0.5, 0.6, 0.8])), 2, "only the last row moved");
  assert.equal(plan.same(before, frame([2, 4], [0.6, 0.8])), 0, "every second step from now on");
  assert.equal(plan.same(before, frame([1, 2, 3], [0.5, 0.1, 0.7])), 0, "another search");
  assert.equal(plan.same(before, frame([1], [0.5])), 0, "begun anew");
});

test("axes end at round numbers that are not below", () => {
  assert.deepEqual([0.011, 1, 1.01, 2.6, 7, 99, 100].map(plan.roundUp), [0.0125, 1, 1.25, 3, 8, 100, 100]);
  for (const value of [NaN, Infinity, 0, -1]) assert.equal(plan.roundUp(value), 1);
});
