// Tasks wanted and a budget: the graph that a generator has for them, and what it is worth. All answers are in the page.
import {axes, explorer, graph, shape, words} from "./page.js";

const percent = share => `${Math.round(100 * share)} %`;

export default explorer("Deployment explorer", ["wanted", "budget"], P => {
  const stage = P.get("stage"), answers = P.get("answers"), budgets = P.get("budgets"), bar = P.row("mtl-knobs");
  const toggles = stage.tasks.map((task, t) => P.button(bar, task, () => {
    const wanted = P.get("wanted").map((one, other) => t === other ? !one : one);
    if (wanted.some(one => one)) P.set({wanted});
  }));
  P.slider(bar, "budget", "budget", "share of the multiply-adds of all edges between tasks that are wanted", {min: 0, max: 1, step: 0.01});
  const told = P.row("mtl-facts"), svg = P.svg(), line = P.note();
  line.setAttribute("aria-live", "polite");

  return width => {
    const wanted = P.get("wanted"), rows = answers[wanted.map(Number).join("")], budget = P.get("budget");
    const near = budgets.reduce((best, one, k) => Math.abs(one - budget) < Math.abs(budgets[best] - budget) ? k : best, 0);
    const {kept, cost, loss} = rows[near], open = [...kept].filter(bit => bit === "1").length;
    toggles.forEach((one, t) => one.setAttribute("aria-pressed", wanted[t]));
    P.facts(told, [["budget", percent(budget)], ["the graph costs", percent(cost)], ["edges", `${open} of ${kept.length}`],
      ...stage.tasks.flatMap((task, t) => wanted[t] ? [[`${task} loss`, String(+loss[t].toPrecision(4)), P.task(t)]] : [])]);
    const side = width > 700, left = side ? Math.round(width * 0.55) : width, high = 90 + 74 * stage.plans.length;
    const plot = {x: (side ? left + 62 : 48), y: 40 + (side ? 0 : high), w: side ? width - left - 76 : width - 62, h: high - 96};
    svg.begin(width, side ? high : 2 * high, `${open} of ${kept.length} edges open for ${stage.tasks.filter((_, t) => wanted[t]).join(", ")}.`);
    graph(P, svg, stage, {x: 2, y: 10, w: left - 12, h: high - 34}, e => +(kept[e] === "1"), {hard: true,
      title: "Graph of this deployment", right: "dashed: shut"});
    const asked = wanted.flatMap((one, t) => one ? [t] : []), empty = rows[0].alone;
    const worth = rows.map(row => asked.reduce((sum, t) => sum + row.loss[t] / empty[t], 0) / asked.length);
    const all = Object.values(answers).flat(), lows = [...worth, 1], pad = 0.15 * (Math.max(...lows) - Math.min(...lows) || 0.02);
    const {X, Y, line: draw} = axes(svg, plot, [0, 1], [Math.min(...lows) - pad, Math.max(...lows) + pad],
      "loss, as a share of that without edges", "budget", 4);
    draw([[0, 1], [1, 1]], "var(--soft)", 1.2, "4 3");
    draw(budgets.map((one, k) => [one, worth[k]]), P.task(0), 2);
    shape("circle", {cx: X(budgets[near]), cy: Y(worth[near]), r: 6.5, fill: "none", stroke: "var(--ink)", "stroke-width": 2.2}, svg);
    words(svg, plot.x + 4, Y(1) - 5, "no edge", {room: plot.w});
    line.textContent = asked.length < 2 ? "One task alone has nothing to read from: its network runs by itself." :
      `${asked.map(t => stage.tasks[t]).join(" and ")}: loss ${worth[near].toFixed(3)} of that without edges, one of ${all.length} stored answers.`;
  };
});
