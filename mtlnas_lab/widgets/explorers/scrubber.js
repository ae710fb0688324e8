// The recorded graph and one slider over the steps.
import {make} from "../studio/dom.js";
import {decode, opens, rowOf, short} from "../studio/plan.js";
import {explorer, graph, picker} from "./page.js";

export default explorer("Replay", ["frame", "stage", "at", "speed"], P => {
  const svg = P.svg(), bar = P.row("mtl-time"), play = P.button(bar, "Play", () => toggle()), scrub = make("input", "mtl-scrub", bar);
  const step = make("output", "", bar), speed = make("select", "", bar);
  const frame = decode(P.get("frame"));
  let row = 0, timer = 0, at = () => -1;
  Object.assign(scrub, {type: "range", min: 0, max: frame.N - 1});
  scrub.setAttribute("aria-label", "Step that is shown");
  for (const text of ["½ ×", "1 ×", "2 ×", "4 ×"]) make("option", "", speed, text);
  speed.setAttribute("aria-label", "Speed");
  speed.onchange = () => P.set({speed: speed.selectedIndex});
  const look = i => P.set({at: i >= frame.N - 1 ? -1 : frame.step[i]});
  scrub.oninput = () => look(+scrub.value);
  const stop = P.end = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  function toggle() {
    if (timer) return stop();
    let due = row >= frame.N - 1 ? 0 : row;
    play.textContent = "Pause";
    timer = setInterval(() => {
      due += 0.5 * 2 ** P.get("speed") * frame.N / 240;
      if (due >= frame.N - 1 || !P.root.isConnected) { look(frame.N - 1); stop(); }
      else if (Math.floor(due) !== row) look(Math.floor(due));
    }, 50);
  }
  const lit = picker(P, svg, () => frame.E, (x, y) => at(x, y));
  return width => {
    const stage = P.get("stage"), gate = e => frame.p(row, e), e = lit.e;
    row = rowOf(frame, P.get("at"));
    const open = opens(Array.from({length: frame.E}, (_, i) => gate(i)));
    const height = 132 + 74 * (stage.plans.length - 1);
    const text = e < 0 ? `${open} of ${frame.E} edges open; width: gate σ(α)` : `${stage.names[e].replace("->", "→")}: σ(α) = ${short(gate(e))}`;
    svg.begin(width, height, `${stage.title || "Fusion graph"} after step ${frame.step[row]}: ${text}`);
    at = graph(P, svg, stage, {x: 2, y: 10, w: width - 6, h: height - 34}, gate, {lit: e, title: stage.title || undefined, right: text});
    scrub.value = row;
    speed.selectedIndex = P.get("speed");
    step.textContent = `step ${frame.step[row]}`;
    scrub.setAttribute("aria-valuetext", step.textContent);
  };
});
