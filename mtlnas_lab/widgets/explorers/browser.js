// One image at a time: what is true, what was predicted, what was wrong; arrow keys go on and back.
import {make} from "../studio/dom.js";
import {explorer} from "./page.js";

export default explorer("Prediction browser", ["at", "count", "item"], P => {
  const bar = P.row(), go = by => P.set({at: Math.max(0, Math.min(P.get("count") - 1, P.get("at") + by))});
  const back = P.button(bar, "◀ Previous", () => go(-1)), on = P.button(bar, "Next ▶", () => go(1));
  const where = make("span", "mtl-where", bar), title = make("span", "mtl-title", bar), grid = make("div", "mtl-grid", P.root);
  where.setAttribute("aria-live", "polite");
  P.root.tabIndex = 0;
  P.root.addEventListener("keydown", event => {
    const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (by) { go(by); event.preventDefault(); }
  });
  const cell = (name, address, text, says) => {
    const figure = make("figure", "", grid);
    if (address) Object.assign(make("img", "", figure), {src: address, alt: says});
    const caption = make("figcaption", "", figure, name);
    if (text) make("small", "", caption, text);
    return figure;
  };
  return () => {
    const item = P.get("item"), at = P.get("at"), tasks = item.tasks || [], columns = 1 + Math.max(1, ...tasks.map(([, row]) => row.length));
    where.textContent = `${at + 1} of ${P.get("count")}`;
    title.textContent = item.title || "";
    back.disabled = at <= 0;
    on.disabled = at >= P.get("count") - 1;
    grid.replaceChildren();
    grid.style.gridTemplateColumns = `repeat(${columns}, minmax(60px, 170px))`;
    cell("image", item.image, "", `${item.title}`).style.gridRow = `1 / span ${Math.max(tasks.length, 1)}`;
    tasks.forEach(([task, row], i) => row.forEach(([column, address, text], k) => {
      Object.assign(cell(`${task}: ${column}`, address, text, `${task}, ${column}${text ? `, ${text}` : ""}`).style, {gridRow: i + 1, gridColumn: k + 2});
    }));
  };
});
