// The page: the studio, and behind it a search of this page in place of a kernel; below it what the networks answer.
import {uniform} from "../explorers/sums.js";
import {make, put} from "../studio/dom.js";
import {modelOf} from "../studio/model.js";
import {isDark, noise, ramp, short, taskColour} from "../studio/plan.js";
import {render} from "../studio/studio.js";
import {firstWeights} from "./network.js";
import {encode} from "./record.js";
import {makeSearch} from "./search.js";
import {CLASSES, FAR, LOOK, batchOf, bytesOf, scene, scenes} from "./toy.js";

const {stage, shape, settings} = JSON.parse(document.getElementById("data").textContent);
const {side} = shape, SHOWN = 3, TASK = [0, 1];
const REST = ["alpha_gates", "weight_gates"], TURNED = ["entropy_weight", "temperature", "l1_weight", "alpha_lr"];
const SHORT = {entropy_weight: "λ", temperature: "τ", l1_weight: "L1", alpha_lr: "α rate", alpha_gates: "α gates", weight_gates: "w gates"};

let lab;                                             // the search with its images and its history; another one after a reset
let seed = 0, mode = "ready", next = 0, loop = 0, pushed = 0, times = [];

function begin() {
  let drawn = seed * 1_000_003;
  const train = scenes(3 * seed + 1, settings.images, side), test = scenes(3 * seed + 2, settings.images / 4, side), half = train.length / 2;
  const draw = count => uniform(++drawn, count), normal = count => Float64Array.from(noise(count, ++drawn)), visibility = [...settings.visibility];
  const batch = from => () => batchOf(draw(settings.batch_size).map(u => train[from + Math.floor(half * u)]), side, visibility, ++drawn);
  const search = makeSearch({shape, weights: firstWeights(shape, normal), alpha: new Float64Array(shape.edges.length), knobs: {...settings.knobs},
    steps: settings.steps, batches: {alpha: batch(0), weights: batch(half)}, draw});
  const marks = {turned: [], evaluated: [], forced: [], visibility: {}, losses: stage.tasks, checkpoints: []};
  TASK.forEach(t => { if (visibility[t] < 1) marks.visibility[stage.tasks[t]] = [[1, visibility[t]]]; });
  lab = {search, history: [], marks, visibility, test};
}

// --- what the studio is told -------------------------------------------------------------------------------------------
const CAN = {ready: ["run", "step", "turn", "reset"], running: ["pause", "turn", "reset", "score"], paused: ["run", "step", "turn", "reset", "score"],
  finished: ["reset", "score"]};
function status() {
  const {search, visibility} = lab, knobs = {steps: settings.steps, most: settings.most, force: {}, visibility: {}};
  for (const name of TURNED) knobs[name] = search.now(name);
  for (const name of REST) knobs[name] = search.knobs[name];
  for (const [e, to] of Object.entries(search.forced)) knobs.force[stage.names[e]] = to;
  TASK.forEach(t => { knobs.visibility[stage.tasks[t]] = visibility[t]; });
  return {mode, step: search.step, knobs, message: "", can: CAN[mode], pace: mode === "running" && times.length > 1 ? (times.at(-1) - times[0]) / 1000 / (times.length - 1) : 0};
}
function push() {
  pushed = performance.now();
  model.set("marks", {...lab.marks});
  model.set("frame", encode(lab.history));
  model.set("status", status());
  answers();
}

// --- what the studio asks ----------------------------------------------------------------------------------------------
function turn(knobs) {
  const {search, marks, visibility} = lab, step = search.step + 1;
  for (const [name, to] of Object.entries(knobs)) {
    if (name === "force") {
      for (const [edge, open] of Object.entries(to)) {
        if (open === null) delete search.forced[stage.names.indexOf(edge)];
        else search.forced[stage.names.indexOf(edge)] = open;
      }
      marks.forced = [...marks.forced, [step, to]];
      mark(step, Object.entries(to).map(([edge, open]) => `${edge} ${open === null ? "free" : open ? "open" : "shut"}`).join(", "));
    } else if (name === "visibility") {
      for (const [task, v] of Object.entries(to)) {
        visibility[stage.tasks.indexOf(task)] = v;
        marks.visibility[task] = [...(marks.visibility[task] || [[1, 1]]).filter(([from]) => from < step), [step, v]];
        mark(step, `${task} sees ${Math.round(100 * v)} %`);
      }
    } else if (SHORT[name]) {
      search.knobs[name] = to;
      mark(step, `${SHORT[name]} = ${typeof to === "number" ? short(to) : to.replace("_", " ")}`);
    }
  }
}
// One mark a step for one knob: a slider that is dragged turns often.
function mark(step, text) {
  const turned = lab.marks.turned, name = text.split(/ = | sees /)[0], last = turned.at(-1);
  lab.marks.turned = [...(last && last[0] >= step - 30 && last[1].startsWith(name) ? turned.slice(0, -1) : turned), [step, text]];
}
function score() {
  const {search, marks, test, visibility} = lab;
  marks.evaluated = [...marks.evaluated.filter(([step]) => step !== search.step), [search.step, search.scores(batchOf(test, side, visibility, 1))]];
}
function run() {
  mode = "running";
  times = [];
  next = performance.now();
  cancelAnimationFrame(loop);
  loop = requestAnimationFrame(tick);
}
function update() {
  lab.history.push(lab.search.update());
  times = [...times.slice(-59), performance.now()];
  if (lab.search.step % settings.evaluate_every === 0) score();
  if (lab.search.step >= settings.steps) mode = "finished";
}
// As many updates as are due, and no more than the frame has time for: a slow machine searches more slowly.
function tick() {
  if (mode !== "running") return;
  const began = performance.now(), apart = 1000 / settings.pace;
  next = Math.max(next, began - 4 * apart);
  while (mode === "running" && next <= began && performance.now() - began < 3 * apart) {
    update();
    next += apart;
  }
  if (mode !== "running" || performance.now() - pushed > 90) push();
  loop = requestAnimationFrame(tick);
}
function act({do: what, knobs}) {
  if (what === "start" && mode !== "finished") run();
  else if (what === "pause") mode = "paused";
  else if (what === "step" && mode !== "finished") { mode = "paused"; update(); }
  else if (what === "score") score();
  else if (what === "turn") turn(knobs);
  else if (what === "reset") {
    seed++;
    mode = "ready";
    begin();
  }
  push();
}

// --- what the networks answer: of three test scenes the image, and for each task the truth and the answer now ------------------
const panel = document.getElementById("answers"), pictures = [];
function makePictures() {
  const names = ["image", ...stage.tasks.flatMap(task => [`${task}: truth`, `${task}: answer`])];
  for (const name of names) {
    const column = make("figure", "mtl-answer", panel), row = make("div", "", column), said = make("figcaption", "", column, name);
    const canvases = Array.from({length: SHOWN}, () => Object.assign(make("canvas", "", row), {width: side, height: side, ariaHidden: "true"}));
    pictures.push({name, said, canvases});
  }
}
function fill(canvas, colour) {
  const g = canvas.getContext("2d");
  for (let p = 0; p < side * side; p++) {
    g.fillStyle = colour(p);
    g.fillRect(p % side, Math.floor(p / side), 1, 1);
  }
}
function answers() {
  const {search, test, visibility} = lab, shown = test.slice(0, SHOWN), W = side + 2, area = W * W, dark = isDark(getComputedStyle(document.body).backgroundColor);
  const gates = Array.from(search.alpha, (a, e) => search.forced[e] !== undefined ? +search.forced[e] : 1 / (1 + Math.exp(-a)));
  const {outputs: [classes, distances]} = search.network.forward(batchOf(shown, side, visibility, 1).seen, gates, SHOWN);
  const near = metres => ramp(Math.max(0, Math.min(1, 1.15 - metres / FAR)), dark), thing = k => k ? taskColour(k + 1, dark) : ramp(0, dark);
  const at = p => (Math.floor(p / side) + 1) * W + p % side + 1;
  shown.forEach((one, n) => {
    const best = p => [0, 1, 2].reduce((most, k) => classes[(3 * n + k) * area + at(p)] > classes[(3 * n + most) * area + at(p)] ? k : most, 0);
    const bytes = one.bytes ||= bytesOf(one);
    const painted = [p => `rgb(${bytes.slice(3 * p, 3 * p + 3).join(",")})`, p => thing(one.classes[p]), p => thing(best(p)),
      p => near(one.distances[p]), p => near(distances[n * area + at(p)])];
    painted.forEach((colour, k) => fill(pictures[k].canvases[n], colour));
  });
  if (colours.dataset.dark !== String(dark)) {
    colours.replaceChildren();
    CLASSES.forEach((name, k) => { make("i", "", colours).style.background = thing(k); colours.append(name); });
    colours.append(`. Of the depths, ${dark ? "light" : "dark"} is near.`);
    colours.dataset.dark = dark;
  }
  const latest = lab.marks.evaluated.at(-1);
  if (!latest) return put(scores, "textContent", "");
  const [step, {soft, hard}] = latest, [seg, depth] = stage.tasks;
  put(scores, "textContent", `Step ${step}, ${test.length} test images: ${seg} IoU ${short(soft[seg].miou)} with soft gates, ` +
    `${short(hard[seg].miou)} with hard ones; ${depth} off by ${short(soft[depth].absolute)} m with soft gates, ${short(hard[depth].absolute)} m with hard ones.`);
}

// --- all of it ---------------------------------------------------------------------------------------------------------
const scores = document.getElementById("scores"), colours = document.getElementById("colours");
begin();
const example = scene(2024, side), rgb = String.fromCharCode(...bytesOf(example));
const eyes = {size: [side, side], rgb: [btoa(rgb)], of: Object.fromEntries(stage.tasks.map(task => [task, 0])), views: {}, split: "toy", ...LOOK};
const model = modelOf({stage, eyes, marks: lab.marks, status: status(), frame: encode([]), tail: null, other: null, at: -1, pinned: -1, key: "playground",
  parts: {without: ["stop"]}}, act);
makePictures();
const view = document.getElementById("studio");
render({model, el: view});
push();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(answers, 80));
