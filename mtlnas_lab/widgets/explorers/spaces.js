// Rules, and the candidate edges that they leave: graph and matrix, an edge is taken out by a click.
import {cellAt} from "../studio/plan.js";
import {explorer, graph, matrix, picker} from "./page.js";

const number = value => value.toLocaleString("en"), TRAITS = ["backbone", "stages", "tasks", "limit", "same_group", "removed"];

export default explorer("Search space explorer", [...TRAITS, "stage", "facts"], P => {
  const bar = P.row("mtl-knobs"), svg = P.svg(), facts = P.row("mtl-facts"), note = P.note();
  P.choice(bar, "backbone", "backbone", "stages of every task", P.get("choices").map(name => [name, name]));
  P.field(bar, "stages", "stages: channels, groups between bars", "as in 64 64 | 128 128", "text", " mtl-wide");
  P.choice(bar, "tasks", "tasks", "how many", [2, 3, 4, 5].map(n => [n, `${n} tasks`]));
  P.choice(bar, "limit", "rule: within", "the source is among the last so many stages that are not deeper than the target",
    [[0, "no limit"], ...[1, 2, 3, 4, 5].map(n => [n, n === 1 ? "the last stage" : `the last ${n} stages`])]);
  P.field(bar, "same_group", "rule: same group", "both stages belong to groups of the same number", "checkbox");
  const back = P.button(bar, "Put all back", () => P.set({removed: []}));
  const [typed, tasks] = ["stages", "tasks"].map(name => bar.querySelector(`.mtl-of-${name}`));
  let at = () => -1;
  const name = e => P.get("stage").names[e], lit = picker(P, svg, () => P.get("stage").edges?.length || 0, (x, y) => at(x, y), e => {
    const others = P.get("removed").filter(one => one !== name(e));
    P.set({removed: others.length < P.get("removed").length ? others : [...others, name(e)]});
  });
  note.setAttribute("aria-live", "polite");
  return width => {
    const stage = P.get("stage"), found = P.get("facts"), removed = new Set(P.get("removed")), all = number(found.candidates);
    typed.hidden = P.get("backbone") !== "stages below";
    tasks.hidden = P.get("backbone") === "as given";
    back.hidden = !removed.size;
    P.facts(facts, [["candidate edges", found.edges < found.candidates ? `${number(found.edges)} of ${all}` : all],
      ["architectures", `2^${found.edges}`], ["weights of the fusion", number(found.weights)],
      ...(found.pairs.length <= 6 ? found.pairs : []).map(([a, b, n]) => [`${a} → ${b}`, String(n)])]);
    if (!stage.edges?.length) {
      svg.begin(width, 1, "No edges to draw");
      at = () => -1;
      note.textContent = "";
      return;
    }
    const lanes = stage.plans.length, gone = stage.names.map(one => removed.has(one)), gate = e => +!gone[e];
    const e = lit.e < stage.edges.length ? lit.e : -1, side = Math.min(width * 0.36, 380), far = width - side - 14;
    const height = Math.max(236, 110 + 82 * (lanes - 1), lanes > 2 ? side + 20 : 0);
    svg.begin(width, height + 16, `${found.edges} of ${all} candidate edges between ${stage.tasks.join(", ")}. ` +
      "Arrow keys go through them, Enter takes one out or puts it back.");
    const near = graph(P, svg, stage, {x: 2, y: 12, w: far - 12, h: height - 14}, gate, {lit: e, hard: true,
      title: "Candidate edges", right: "colour: from; dashed: taken out"});
    const plan = matrix(P, svg, stage, {x: far + 14, y: 32, w: side - 8, h: height - 40}, gate, e);
    at = (x, y) => x < far ? near(x, y) : cellAt(plan, x, y);
    note.textContent = e < 0 ? "Click an edge or its cell to take it out; a click puts it back." :
      `${name(e).replace("->", "→")}${gone[e] ? " is taken out" : ""}: ${number(found.costs[e])} weights in the 1×1 convolution of its target`;
  };
});
