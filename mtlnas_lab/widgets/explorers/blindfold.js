// The eyes of one network, covered by a slider: what it sees, and the maps at one of its nodes.
import {make} from "../studio/dom.js";
import {explorer} from "./page.js";

export default explorer("Blindfold", ["visibility", "task", "pictures", "note"], P => {
  const bar = P.row("mtl-knobs");
  P.slider(bar, "visibility", `what ${P.get("task")} sees`, "1: the image; 0: noise alone", {min: 0, max: 1, step: 0.05});
  const line = P.note(), below = P.row("mtl-pictures"), under = P.note();
  line.setAttribute("aria-live", "polite");
  return () => {
    const left = P.get("visibility"), task = P.get("task");
    const what = left === 1 ? "the image" : left === 0 ? "noise" : `${+left.toFixed(2)} of the image, the rest noise`;
    line.textContent = `${task} sees ${what}.`;
    below.replaceChildren();
    for (const [title, address, text] of P.get("pictures")) {
      const figure = make("figure", "", below), image = make("img", "", figure);
      image.src = address;
      image.alt = text ? `${title}: ${text}` : title;
      const caption = make("figcaption", "", figure, title.replace("->", "→"));
      if (text) make("small", "", caption, text);
    }
    under.textContent = P.get("note");
  };
});
