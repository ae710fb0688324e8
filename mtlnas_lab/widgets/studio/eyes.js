// The eyes: how much each task's network sees, as a slider, and beside it what that network sees of one image now. Like the
// knobs they follow the search until a person moves them; where another step is looked at, they show what was seen then.
import {make, put} from "./dom.js";
import {telling} from "./knobs.js";
import {noise, seen, seenAt} from "./plan.js";

const OVER = {recorded: "a recording: they stay as they were", finished: "the search is over", failed: "the search has failed",
  reading: "the run is being read"};
const own = (of, name) => Object.hasOwn(of, name) ? of[name] : undefined;      // a task may be called constructor

export function eyesOf(bar, send, S, look) {
  const said = make("div", "mtl-eyes-said", bar), lanes = make("div", "mtl-lanes", bar), why = (make("b", "", said, "Eyes"), make("span", "", said));
  let eyes = [], pictures = {}, made = "";

  // A slider for each task. Those that are there stay: one of them may be in a person's hand.
  const one = (task, lane) => {
    const box = make("label", "mtl-knob mtl-eye", lanes), name = make("span", "", box), out = make("output", "", box);
    const slider = make("input", "", box), eye = {task, box, out, slider, picture: null, touched: 0};
    const tell = telling(v => send({do: "turn", knobs: {visibility: {[task]: v}}}));
    name.append(make("i", ""), `${task} sees`);
    Object.assign(slider, {type: "range", min: 0, max: 1, step: 0.05});
    slider.setAttribute("aria-label", `how much ${task}'s network sees`);
    slider.oninput = () => {
      [eye.touched, eye.status] = [Date.now(), S.status];
      if (S.at >= 0) look(-1);                       // what is turned now counts from now on
      put(eye, "v", +slider.value);
      open(eye, lane);
      tell(eye.v);
    };
    return eye;
  };

  // What there is of the image, and as much noise as it leaves.
  const open = (eye, lane) => {
    const percent = `${Math.round(100 * eye.v)} %`;
    put(eye.out, "textContent", percent);
    put(eye.slider, "ariaValueText", percent);
    const rgb = pictures.rgb?.[lane];
    if (!rgb || eye.drawn === `${eye.v} ${made}`) return;
    eye.drawn = `${eye.v} ${made}`;
    const [w, h] = pictures.size;
    eye.picture.getContext("2d").putImageData(new ImageData(seen(rgb, pictures.noise[lane], eye.v, pictures), w, h), 0, 0);
  };

  const decode = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return {
    // tasks: of the space. given: pictures of an image, as eyes.py makes them.
    make(tasks, given) {
      if (made === JSON.stringify([tasks, given])) return;
      made = JSON.stringify([tasks, given]);
      if (eyes.map(eye => eye.task).join("\n") !== tasks.join("\n")) {
        eyes.forEach(eye => eye.box.remove());
        eyes = tasks.map(one);
      }
      const rgb = (given.rgb || []).map(decode), of = tasks.map(task => own(given.of || {}, task)), [w, h] = given.size || [0, 0];
      pictures = {...given, rgb: of.map(k => rgb[k]), noise: of.map((_, lane) => noise(3 * w * h, lane + 1))};
      eyes.forEach((eye, lane) => {
        const view = own(given.views || {}, eye.task) || "image", there = Boolean(pictures.rgb[lane]);
        eye.picture?.remove();
        if (there) {
          eye.picture = Object.assign(make("canvas"), {width: w, height: h, ariaHidden: "true"});
          eye.box.prepend(eye.picture);
        }
        eye.box.title = `v: how much of the ${view} ${eye.task}'s network sees, the rest is noise` +
          (there ? `; here of an image of the ${given.split} set` : "") + "; a change counts from the next step on";
        if (eye.v !== undefined) open(eye, lane);
      });
    },
    // now: {task: v} in the next step. marks.visibility: what it was before.
    show(now, marks, step, can, mode) {
      const of = marks.visibility || {};
      bar.hidden = eyes.length < 2 || (mode === "recorded" && !pictures.rgb?.some(Boolean) && !Object.keys(of).length);
      const reason = can.has("turn") ? "" : OVER[mode] || "this search has no knobs";
      put(why, "textContent", reason || "v · image + (1 − v) · noise");
      eyes.forEach((eye, lane) => {
        put(eye.slider, "disabled", Boolean(reason));
        put(eye.slider, "ariaDescription", reason);
        if (eye.status === S.status || Date.now() - eye.touched < 800) return;
        const v = step < 0 ? own(now, eye.task) ?? 1 : seenAt(own(of, eye.task), step);
        if (eye.v !== v) eye.slider.value = eye.v = v;
        open(eye, lane);
      });
    },
    colour(colours) { eyes.forEach((eye, lane) => { eye.box.querySelector("i").style.background = colours[lane]; }); },
  };
}
