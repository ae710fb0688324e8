// The panels, painted on a context that only writes down the words: node --test tests/js/
import assert from "node:assert/strict";
import test from "node:test";
import {paint} from "../../mtlnas_lab/widgets/studio/draw.js";
import * as plan from "../../mtlnas_lab/widgets/studio/plan.js";

const stages = [[64, 0, 0, 1]], stage = {tasks: ["a", "b"], plans: [stages, stages], edges: [[0, 0, 1, 0]], names: ["a:0 -> b:0"]};
const column = [0.5, 0.5], frame = {N: 2, E: 1, T: 0, step: [10, 20], entropy: column, lambda: column, tau: column, l1: column, rate: column,
  losses: [], p: () => 0.5, alpha: () => 0, grad: () => 0};

function pen() {
  const said = [], rest = {measureText: text => ({width: 6 * text.length}), fillText: text => said.push(text)};
  return [new Proxy(rest, {get: (target, name) => target[name] ?? (() => {}), set: () => true}), said];
}

function state(at, marks, forced = {}) {
  const {place, height} = plan.panels(960, 2);
  return {at, row: plan.rowOf(frame, at), frame, other: null, stage, marks, status: {}, place, size: [960, height, 1], forced, lit: -1,
    graph: plan.graphPlan(stage, place.graph), heat: plan.heatPlan(stage, place.heat), heatRows: 1, top: 1, end: 20, dark: false,
    band: [[0.5, 0.5], [0.5, 0.5]], colours: ["#2262ad", "#f0a236"], lossColour: () => "#000", font: "sans-serif"};
}

// All words on the canvas when one looks at step `at`.
function words(at, marks, forced) {
  const [g, said] = pen(), [b] = pen();
  paint(g, b, state(at, marks, forced), true);
  return said.join(" | ");
}

test("the meter of the gap shows no evaluation of a later step", () => {
  const marks = {evaluated: [[15, {soft: {a: {miou: 0.2}}, hard: {a: {miou: 0.1}}}]]};
  assert.match(words(-1, marks), /○ 0\.200 {2}● 0\.100/);
  assert.match(words(20, marks), /○ 0\.200 {2}● 0\.100/);
  assert.doesNotMatch(words(10, marks), /○ 0\.200/);
});

test("graph and heat map are painted anew when a gate has moved visibly, the curves every time", () => {
  const S = {...state(-1, {}), status: {mode: "running"}}, painted = (p, fresh = false) => {
    const [g, said] = pen(), [b] = pen();
    S.frame = {...frame, p: i => i ? p : 0.5};            // the last row moves
    paint(g, b, S, fresh);
    assert.ok(said.includes(`${+(p > 0.5)} of 1 edges open`) || S.forced[0] === false);
    return [said.includes("0"), said.some(text => text.endsWith("nats"))];        // a node's number, the entropy's
  };
  assert.deepEqual(painted(0.4, true), [true, true]);
  assert.deepEqual(painted(0.404), [false, true]);
  assert.deepEqual(painted(0.415), [false, true]);           // 1/64 is what counts, from what was painted
  assert.deepEqual(painted(0.416), [true, true]);
  assert.deepEqual(painted(0.499), [true, true]);
  assert.deepEqual(painted(0.501), [false, true]);           // now it is open
  S.forced = {0: false};
  assert.deepEqual(painted(0.501), [true, true]);
  assert.deepEqual(painted(0.501, true), [true, true]);
  S.forced = {};
  S.status = {mode: "paused"};
  assert.deepEqual(painted(0.504), [true, true]);
  assert.deepEqual(painted(0.505), [true, true]);            // what stands still is as it is
  assert.deepEqual(painted(0.505), [false, true]);
});
