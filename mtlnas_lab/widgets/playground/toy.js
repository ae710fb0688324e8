// Toy images: a ball and a box in front of a wall. What is where (segmentation), and how far away (depth, in metres)?
import {uniform} from "../explorers/sums.js";
import {noise, seen} from "../studio/plan.js";

export const CLASSES = ["wall", "ball", "box"], FAR = 4;
export const LOOK = {mean: [0.45, 0.45, 0.45], deviation: [0.25, 0.25, 0.25]};      // of the images' RGB, from 0 to 1

// One scene: rgb (side, side, 3) from 0 to 1, the class and the distance of each pixel. What is nearer is larger and brighter.
export function scene(seed, side) {
  const u = uniform(seed, 40 + 3 * side * side), rgb = new Float64Array(3 * side * side).fill(0), things = [1, 2].map(kind => {
    const [x, y, near, hue] = u.slice(8 * kind, 8 * kind + 4), distance = 1 + 2.2 * near;
    return {kind, distance, x: side * (0.15 + 0.7 * x), y: side * (0.15 + 0.7 * y), r: side * (0.12 + 0.36 / distance), hue};
  }).sort((a, b) => b.distance - a.distance);
  const classes = new Uint8Array(side * side), distances = new Float64Array(side * side).fill(FAR);
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    const p = y * side + x, wall = 0.22 + 0.12 * u[4];
    let colour = [wall, wall, wall * 1.15];
    for (const {kind, distance, x: cx, y: cy, r, hue} of things) {
      const dx = x + 0.5 - cx, dy = y + 0.5 - cy, hit = kind === 1 ? dx * dx + dy * dy < r * r : Math.max(Math.abs(dx), Math.abs(dy)) < 0.85 * r;
      if (!hit) continue;
      const light = (kind === 1 ? 1.05 - 0.35 * (dx + dy) / r : 1) * 1.15 / distance ** 0.6;
      colour = [0.55 + 0.4 * hue, 0.75 - 0.3 * hue, 0.55].map(v => v * light);
      classes[p] = kind;
      distances[p] = distance;
    }
    colour.forEach((v, c) => { rgb[3 * p + c] = Math.max(0, Math.min(1, v + 0.05 * (u[40 + 3 * p + c] - 0.5))); });
  }
  return {rgb, classes, distances};
}

// `count` scenes as numbers that a network takes: normalised, channels first.
export function scenes(seed, count, side) {
  const all = Array.from({length: count}, (_, k) => scene(seed * 1000 + k, side));
  return all.map(one => ({...one, planes: [0, 1, 2].map(c => Float64Array.from({length: side * side},
    (_, p) => (one.rgb[3 * p + c] - LOOK.mean[c]) / LOOK.deviation[c]))}));
}

// Scenes as one batch in which each network sees v · image + (1 − v) · noise; `seed` draws the noise, another for each network.
export function batchOf(chosen, side, visibility, seed) {
  const W = side + 2, area = W * W, images = chosen.length;
  const eyes = visibility.map((v, t) => {
    const maps = new Float64Array(images * 3 * area), over = v < 1 ? noise(images * 3 * side * side, 2 * seed + t + 1) : null;
    let k = 0;
    chosen.forEach(({planes}, n) => planes.forEach((plane, c) => {
      for (let p = 0; p < plane.length; p++) {
        const at = (n * 3 + c) * area + (Math.floor(p / side) + 1) * W + p % side + 1;
        maps[at] = over ? v * plane[p] + (1 - v) * over[k++] : plane[p];
      }
    }));
    return maps;
  });
  const joined = (name, kind) => { const all = new kind(images * side * side); chosen.forEach((one, n) => all.set(one[name], n * side * side)); return all; };
  return {seen: eyes, targets: [joined("classes", Uint8Array), joined("distances", Float64Array)], images};
}

// A scene's image as bytes, and as a picture of what one network sees of it.
export const bytesOf = ({rgb}) => Uint8Array.from(rgb, v => Math.round(255 * v));
export const pictureOf = (bytes, v, seed) => seen(bytes, noise(bytes.length, seed), v, LOOK);
