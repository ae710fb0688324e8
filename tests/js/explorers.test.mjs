// What the explorers compute: node --test tests/js/ (tests/test_widgets_explorers.py compares with numpy)
import assert from "node:assert/strict";
import test from "node:test";
import {concrete, density, descend, phase, sigma, tipping, uniform, verdict} from "../../mtlnas_lab/widgets/explorers/sums.js";

test("above the tipping point a gate opens, below it shuts", () => {
  for (const [g, lambda, E] of [[0.1, 10, 48], [-0.3, 4, 2], [0, 1, 1]]) {
    const tip = tipping(g, lambda, E);
    assert.ok(Math.abs(phase(tip, g, lambda, E).speed) < 1e-12);
    assert.ok(sigma(descend(tip + 0.05, g, lambda, 20, 3000, E).at(-1)) > 0.9);
    assert.ok(sigma(descend(tip - 0.05, g, lambda, 20, 3000, E).at(-1)) < 0.1);
  }
});

test("without entropy there is no tipping point, and the tasks alone decide", () => {
  assert.equal(tipping(0.1, 0, 48), null);
  assert.match(verdict(0.8, 0.1, 0), /tasks alone shut it/);
  assert.match(verdict(0.8, -0.1, 0), /tasks alone open it/);
  assert.match(verdict(0.8, 0, 0), /Nothing/);
  assert.equal(descend(0.8, 0, 0, 1, 5).at(-1), 0.8);
});

test("the verdict says where it goes", () => {
  assert.match(verdict(0.8, 0.1, 10, 48), /0\.480.*goes to 1/);
  assert.match(verdict(0.3, 0.1, 10, 48), /0\.480.*goes to 0/);
  assert.match(verdict(0.48, 0.1, 10, 48), /exactly there/);
  assert.match(verdict(0, -0.1, 10, 48), /−0\.480/);
});

test("a descent over a huge rate stays finite", () => {
  assert.ok(descend(0.5, -3, 20, 100, 500).every(Number.isFinite));
});

test("uniform numbers lie inside (0, 1), evenly, and follow their seed", () => {
  const u = uniform(7, 4000);
  assert.ok(u.every(v => v > 0 && v < 1));
  assert.ok(Math.abs(u.reduce((a, b) => a + b) / 4000 - 0.5) < 0.02);
  assert.deepEqual(u, uniform(7, 4000));
  assert.notDeepEqual(u.slice(0, 5), uniform(8, 5));
});

test("whatever the temperature, σ(α) of the gates lie above one half", () => {
  for (const tau of [0, 0.05, 0.7, 3]) {
    const above = uniform(1, 8000).filter(u => concrete(u, 0.7, tau) > 0.5).length / 8000;
    assert.ok(Math.abs(above - sigma(0.7)) < 0.02, `τ = ${tau}: ${above}`);
  }
});

test("the density is that of the samples", () => {
  const z = uniform(2, 40000).map(u => concrete(u, -0.4, 0.8));
  for (const [low, high] of [[0.1, 0.2], [0.45, 0.55], [0.8, 0.9]]) {
    let sum = 0;
    for (let k = 0; k < 100; k++) sum += density(low + (high - low) * (k + 0.5) / 100, -0.4, 0.8) / 100;
    const share = z.filter(v => v > low && v < high).length / 40000;
    assert.ok(Math.abs(share - sum * (high - low)) < 0.01);
  }
});
