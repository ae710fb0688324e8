// The knobs of a search. They follow the search until a person moves them; then the search follows, and they stay as they
// were put until a status has answered.
import {make, put} from "./dom.js";
import {short} from "./plan.js";

const GATES = ["deterministic", "stochastic", "straight_through", "bernoulli", "discretize", "all_open"];

// Sends a value at once, and while it is dragged ten times a second.
export function telling(send) {
  let timer = 0, value;
  const tell = () => {
    const told = value;
    send(told);
    timer = setTimeout(() => { timer = 0; if (value !== told) tell(); }, 100);
  };
  return to => { value = to; if (!timer) tell(); };
}

export function knobsOf(bar, send, S, shown) {
  const log = {to: v => 10 ** v, from: v => Math.log10(Math.max(v, 1e-4))}, same = {to: v => v, from: v => v};
  const asked = ([knob]) => !shown || shown.includes(knob);
  const sliders = [["entropy_weight", "weight λ", "entropy weight", 0, 20, 0.5, same], ["temperature", "temp. τ", "temperature of stochastic gates", 0, 2, 0.02, same],
    ["alpha_lr", "α rate", "learning rate of α", -4, 0, 0.05, log], ["l1_weight", "L1", "weight of the mean gate", 0, 10, 0.1, same]].filter(asked).map(([knob, text, long, min, max, step, scale]) => {
    const box = make("label", `mtl-knob mtl-${knob}`, bar, ""), name = make("span", "", box, text), out = make("output", "", box);
    const slider = make("input", "", box), one = {knob, box, out, slider, scale, touched: 0};
    const tell = telling(value => send({do: "turn", knobs: {[knob]: value}}));
    Object.assign(slider, {type: "range", min, max, step, ariaLabel: text, ariaDescription: long});       // the label is that of the output
    slider.oninput = () => {
      [one.touched, one.seen] = [Date.now(), S.status];
      const value = +scale.to(+slider.value).toPrecision(3);
      out.textContent = slider.ariaValueText = short(value);
      slider.valued = undefined;
      tell(value);
    };
    box.title = `${long}; a change counts from the next step on`;
    return one;
  });
  const choices = [["alpha_gates", "α gates", "gates in the α-update"], ["weight_gates", "w gates", "gates in the w-update"]].filter(asked).map(([knob, text, long]) => {
    const box = make("label", `mtl-knob mtl-${knob}`, bar, ""), select = (make("span", "", box, text), make("select", "", box));
    box.title = `${long}; a change counts from the next step on`;
    for (const gate of GATES) make("option", "", select, gate.replace("_", " ")).value = gate;
    const one = {knob, select};
    select.onchange = () => {
      one.seen = S.status;
      send({do: "turn", knobs: {[knob]: select.value}});
    };
    return one;
  });
  return {show(values) {
    for (const {knob, slider, out, scale, touched, seen} of sliders) {
      if (knob === "entropy_weight" && values.most && +slider.max !== values.most) slider.max = values.most;
      slider.disabled = !(S.status.can || []).includes("turn");
      if (values[knob] == null || seen === S.status || Date.now() - touched < 800) continue;
      if (slider.valued !== values[knob]) slider.value = scale.from(slider.valued = values[knob]);
      put(out, "textContent", short(values[knob]));
      put(slider, "ariaValueText", out.textContent);
    }
    for (const {knob, select, seen} of choices) {
      select.disabled = !(S.status.can || []).includes("turn");
      if (values[knob] && seen !== S.status && document.activeElement !== select) put(select, "value", values[knob]);
    }
  }};
}
