// A trained supernet by hand: the graph with its edges open or shut, what the network then says, and what it scores.
import {make} from "../studio/dom.js";
import {short} from "../studio/plan.js";
import {explorer, graph, picker} from "./page.js";

export default explorer("Edge toggler", ["gates", "rows", "pictures", "told", "note", "busy", "seconds"], P => {
  const stage = P.get("stage"), n = stage.edges.length, bar = P.row(), svg = P.svg(), line = P.note();
  const below = P.row("mtl-pictures"), under = P.note();
  const all = to => P.set({gates: Array(n).fill(to)});
  P.button(bar, "All open", () => all(true));
  P.button(bar, "All shut", () => all(false));
  P.button(bar, "As at first", () => P.set({gates: P.get("start")}));
  const state = make("span", "mtl-where", bar);
  let at = () => -1;
  const flip = e => P.set({gates: P.get("gates").map((gate, i) => i === e ? !gate : gate)});
  const lit = picker(P, svg, () => n, (x, y) => at(x, y), flip);
  line.setAttribute("aria-live", "polite");
  return width => {
    const gates = P.get("gates"), open = gates.filter(Boolean).length, e = lit.e, busy = P.get("busy");
    const height = 132 + 74 * (stage.plans.length - 1);
    svg.begin(width, height, `${open} of ${n} edges open. Arrow keys go through the edges, Enter opens or shuts one.`);
    at = graph(P, svg, stage, {x: 2, y: 10, w: width - 6, h: height - 34}, i => +gates[i], {lit: e, hard: true,
      title: `${open} of ${n} edges open`, right: "solid: open; dashed: shut; colour: where it comes from"});
    state.textContent = busy ? "looking…" : `a look takes ${short(P.get("seconds"))} s`;
    const told = P.get("told"), hint = told ? `Since the state before: ${told.replaceAll("->", "→")}` : "Click an edge to open or shut it.";
    line.textContent = e < 0 ? hint : `${stage.names[e].replace("->", "→")} is ${gates[e] ? "open; a click shuts it" : "shut; a click opens it"}`;
    below.classList.toggle("mtl-busy", busy);
    below.replaceChildren();
    for (const [name, address] of P.get("pictures")) {
      const figure = make("figure", "", below), image = make("img", "", figure);
      image.src = address;
      image.alt = `${name}: what the network says under these gates`;
      make("figcaption", "", figure, name);
    }
    const table = make("table", "", below), head = make("tr", "", table);
    table.setAttribute("aria-live", "polite");
    for (const text of ["task", "score", "now", "change"]) make("th", "", head, text).scope = "col";
    for (const [task, metric, value, change, verdict] of P.get("rows")) {
      const row = make("tr", "", table);
      make("td", "", row, task);
      make("td", "", row, metric);
      make("td", "number", row, short(value));
      const told = `${{better: "▲ ", worse: "▼ "}[verdict] || ""}${change > 0 ? "+" : ""}${short(change)} ${verdict}`;
      make("td", `mtl-change mtl-${verdict}`, row, verdict === "same" ? "the same" : told);
    }
    under.textContent = P.get("note");
  };
});
