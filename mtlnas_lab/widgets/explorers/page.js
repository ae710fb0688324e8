// The explorers' page: plain controls, and SVG that is drawn anew when state, width or theme change. Names are text only.
import {make} from "../studio/dom.js";
import {graphPlan, heatPlan, isDark, nearest, ramp, short, taskColour, ticks} from "../studio/plan.js";

export function shape(kind, attributes, parent, text) {
  const one = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  if (text !== undefined) one.textContent = text;
  parent?.append(one);
  return one;
}

// Text at (x, y), cut where it has no room.
export function words(svg, x, y, text, {room = 1e4, ...attributes} = {}) {
  const one = shape("text", {x, y, ...attributes}, svg, text), letters = Array.from(text);
  for (let keep = letters.length - 1; keep > 0 && one.getComputedTextLength() > room; keep--) {
    one.textContent = letters.slice(0, keep).join("") + "…";
  }
  return one;
}

// explorer(label, traits, build): build(P) makes the controls and returns draw(width), called when a trait has changed.
export const explorer = (label, traits, build) => ({render({model, el}) {
  const root = make("div", "mtl-studio mtl-explorer", el), shows = [], get = name => model.get(name);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", label);
  root.addEventListener("keydown", event => event.stopPropagation());      // JupyterLab's own shortcuts
  const set = values => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
    later();
  };
  const knob = (parent, name, text, title, kind = "input", wide = "") => {
    const box = make("label", `mtl-knob mtl-of-${name}${wide}`, parent), word = make("span", "", box, text);
    box.title = title;
    const out = make("output", "", box), input = make(kind, "", box);
    input.setAttribute("aria-label", text);          // the label is that of the output, which comes first
    return {box, word, out, input};
  };
  const P = {root, get, set, row: (name = "") => make("div", `mtl-row ${name}`, root),
    note: () => make("div", "mtl-note", root), later: () => later(),
    button(parent, text, act) {
      const one = make("button", "", parent, text);
      one.type = "button";
      one.onclick = act;
      return one;
    },
    // to, from: between the slider's own scale and the value
    slider(parent, name, text, title, {min, max, step, to = v => v, from = v => v}) {
      const {out, input} = knob(parent, name, text, title);
      Object.assign(input, {type: "range", min, max, step});
      input.oninput = () => set({[name]: +to(+input.value).toPrecision(4)});
      shows.push(() => {
        if (+to(+input.value).toPrecision(4) !== get(name)) input.value = from(get(name));
        input.setAttribute("aria-valuetext", out.textContent = short(get(name)));
      });
    },
    choice(parent, name, text, title, options, wide) {                    // options: [[value, text], …]
      const {input} = knob(parent, name, text, title, "select", wide);
      options.forEach(([, text]) => make("option", "", input, text));
      input.onchange = () => set({[name]: options[input.selectedIndex][0]});
      shows.push(() => { input.selectedIndex = options.findIndex(([value]) => value === get(name)); });
      return input;
    },
    field(parent, name, text, title, kind, wide) {                         // kind: text, number, checkbox
      const {box, input} = knob(parent, name, text, title, "input", wide), flag = kind === "checkbox";
      input.type = kind;
      input.spellcheck = false;
      const whole = text => Math.max(0, Math.min(2 ** 31 - 1, Math.floor(+text) || 0));
      let typing = false;                                                  // a frame that comes now leaves the words alone
      input.oninput = () => { typing = true; };
      input.onblur = () => { typing = false; };
      input.onchange = () => {
        typing = false;
        set({[name]: flag ? input.checked : kind === "number" ? whole(input.value) : input.value});
      };
      shows.push(() => { if (!typing) input[flag ? "checked" : "value"] = get(name); });
      return box;
    },
    svg() {
      const one = shape("svg", {role: "img"}, root);
      one.begin = (width, height, label) => {
        one.replaceChildren();
        one.setAttribute("viewBox", `0 0 ${width} ${height}`);
        one.style.height = `${height}px`;
        one.setAttribute("aria-label", label);
      };
      return one;
    },
    facts(box, found) {                                                    // found: [[text, value, colour, dash], …]
      box.replaceChildren();
      for (const [text, value, colour, dash = "solid"] of found) {
        const one = make("span", "", box);
        if (colour) make("i", "", one).style.borderTop = `2.5px ${dash} ${colour}`;
        one.append(`${text} `);
        make("b", "", one, value);
      }
    }};
  const draw = build(P), message = make("div", "mtl-message", root);
  message.setAttribute("role", "status");
  let waiting = false, seen = 0;
  const paint = () => {
    waiting = false;
    if (!root.isConnected || !root.clientWidth) return;
    P.dark = isDark(getComputedStyle(root).backgroundColor);
    root.toggleAttribute("data-dark", P.dark);
    P.task = lane => taskColour(lane, P.dark);
    P.warn = P.dark ? "#ef8c6b" : "#c9452f";
    root.style.setProperty("--good", P.task(0));
    root.style.setProperty("--bad", P.warn);
    seen = root.clientWidth;
    shows.forEach(show => show());
    message.textContent = get("message");
    message.hidden = !message.textContent;
    draw(seen - 28);
  };
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(paint); } };
  for (const name of [...traits, "message"]) model.on(`change:${name}`, later);
  const themes = new MutationObserver(() => setTimeout(later, 60)), media = matchMedia("(prefers-color-scheme: dark)");
  for (const one of [document.documentElement, document.body]) {
    themes.observe(one, {attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"]});
  }
  media.addEventListener("change", later);
  const sizes = new ResizeObserver(() => { if (root.clientWidth !== seen) later(); });
  sizes.observe(root);
  setTimeout(later, 0);
  return () => {
    for (const name of [...traits, "message"]) model.off(`change:${name}`, later);
    themes.disconnect();
    sizes.disconnect();
    media.removeEventListener("change", later);
    P.end?.();
  };
}});

// --- drawing -------------------------------------------------------------------------------------------------------------
const brief = value => String(+value.toPrecision(6)).replace("-", "−");

// Grid, ticks, a title above and a name below; gives the two scales and `line`.
export function axes(svg, box, [x0, x1], [y0, y1], title, below, across = Math.round(box.w / 90)) {
  const X = x => box.x + box.w * (x - x0) / (x1 - x0), Y = y => box.y + box.h * (1 - (y - y0) / (y1 - y0));
  const inside = y => Math.min(box.y + box.h, Math.max(box.y, Y(y)));
  for (const tick of ticks(y0, y1, 4)) {
    shape("line", {x1: box.x, x2: box.x + box.w, y1: Y(tick), y2: Y(tick), stroke: "var(--rule)"}, svg);
    words(svg, box.x - 6, Y(tick) + 4, brief(tick), {"text-anchor": "end"});
  }
  for (const tick of ticks(x0, x1, across)) words(svg, X(tick), box.y + box.h + 15, brief(tick), {"text-anchor": "middle"});
  words(svg, box.x, box.y - 9, title, {class: "head", room: box.w});
  words(svg, box.x + box.w, box.y + box.h + 31, below, {"text-anchor": "end", room: box.w});
  const line = (points, stroke, width = 2, dash = "") => shape("polyline", {fill: "none", stroke, "stroke-width": width,
    "stroke-dasharray": dash, "stroke-linejoin": "round", points: points.filter(([x, y]) => Number.isFinite(x + y))
      .map(([x, y]) => `${X(x).toFixed(1)},${inside(y).toFixed(1)}`).join(" ")}, svg);
  return {X, Y, line};
}

// The fusion graph; gate(e) from 0 to 1; hard: what is shut is dashed. Edges of one look are one path, so that large spaces
// are fast. Gives the function (x, y) -> edge or −1.
export function graph(P, svg, stage, box, gate, {lit = -1, hard = false, title = "Fusion graph", right = ""} = {}) {
  const plan = graphPlan(stage, box), looks = new Map(), crowd = Math.min(1, Math.max(0.35, plan.unit / 26)), r = plan.r;
  for (const {x, w, channels} of plan.groups) {
    shape("rect", {x: x - 2, y: plan.top, width: w + 4, height: plan.bottom - plan.top, rx: 6, fill: "var(--tint)"}, svg);
    const text = channels.length > 1 ? "" : `${channels[0]}${w > 44 ? " ch" : ""}`;
    words(svg, x + w / 2, plan.bottom + 14, text, {"text-anchor": "middle", room: w + 8});
  }
  plan.nodes.forEach((nodes, lane) => shape("line", {x1: nodes[0].x - r - 8, x2: nodes.at(-1).x + r + 9, y1: nodes[0].y, y2: nodes[0].y,
    stroke: P.task(lane), "stroke-width": 2}, svg));
  stage.edges.forEach(([lane], e) => {
    const p = Math.round(15 * gate(e)) / 15, key = e === lit ? "lit" : `${p} ${lane}`, shut = hard && p < 0.5;
    const width = (shut ? 1.2 : 0.7 + (hard ? 1.7 : 2.5) * p) * crowd + 0.8 * (e === lit), colour = e === lit ? "var(--ink)" : P.task(lane);
    const opacity = e === lit ? 1 : shut ? 0.6 : hard ? 0.8 : 0.07 + 0.88 * p ** 1.45;
    if (!looks.has(key)) looks.set(key, {p: e === lit ? 2 : p, lines: "", heads: "", colour, opacity, width, shut});
    const look = looks.get(key), c = plan.edges[e].map(v => +v.toFixed(1)), size = 2.6 * crowd + 1.5 * width;
    const along = Math.atan2(c[7] - c[5], c[6] - c[4]);
    const at = (far, turn) => [c[6] - far * Math.cos(along + turn), c[7] - far * Math.sin(along + turn)].map(v => v.toFixed(1)).join(" ");
    look.lines += `M${c[0]} ${c[1]}C${c[2]} ${c[3]} ${c[4]} ${c[5]} ${at(0.7 * size, 0)}`;
    look.heads += `M${c[6]} ${c[7]}L${at(size, -0.42)} ${at(size, 0.42)}Z`;
  });
  for (const {p, lines, heads, colour, opacity, width, shut} of [...looks.values()].sort((a, b) => a.p - b.p)) {
    const pen = {fill: "none", stroke: colour, "stroke-width": width, "stroke-dasharray": shut ? "4 3" : ""};
    const style = p > 1 ? "" : `mix-blend-mode:${P.dark ? "screen" : "multiply"}`;     // where edges cross, none hides another
    shape("path", {d: lines, opacity, style, ...pen}, svg);
    shape("path", {d: heads, opacity, style, fill: colour}, svg);
  }
  plan.nodes.forEach((nodes, lane) => {
    const fill = P.task(lane), ink = isDark(fill) ? "#fff" : "#1b1f27", style = `font-size:8.5px;fill:${ink}`;
    words(svg, nodes[0].x - r - 14, nodes[0].y + 4, stage.tasks[lane], {class: "lane", "text-anchor": "end", room: nodes[0].x - r - 15 - box.x});
    nodes.forEach((node, k) => {
      shape("circle", {cx: node.x, cy: node.y, r, fill, stroke: "var(--paper)", "stroke-width": 1.5}, svg);
      if (r >= 6) shape("text", {x: node.x, y: node.y + 3, "text-anchor": "middle", style}, svg, k);
    });
  });
  words(svg, box.x + 12, box.y + 8, title, {class: "head", room: box.w * 0.42});
  words(svg, box.x + box.w - 4, box.y + 8, right, {"text-anchor": "end", room: box.w * 0.55});
  return (x, y) => nearest(plan.edges, x, y, 7);
}

// Source × target, one cell for each candidate; gate(e) from 0 to 1. Gives the plan, for `cellAt`.
export function matrix(P, svg, stage, box, gate, lit = -1) {
  const plan = heatPlan(stage, box), {cells, blocks, cell, two} = plan, paths = new Map(), inset = cell > 6 ? 0.6 : 0.2;
  const bottom = Math.max(...blocks.map(b => b.y + b.h)), edge = Math.min(...blocks.map(b => b.x)), side = cell - 2 * inset;
  words(svg, edge, box.y - 12, "Adjacency: source ↓ target →", {class: "head", room: box.w});
  for (const {source, target, x, y, w, h} of blocks) {
    shape("rect", {x, y, width: w, height: h, fill: "var(--tint)"}, svg);
    const [from, to] = [stage.tasks[source], stage.tasks[target]], middle = {"text-anchor": "middle"};
    if (two || source === (target ? 0 : 1)) words(svg, x + w / 2, bottom + 14, two ? `${from} → ${to}` : to, {...middle, room: w + 6});
    const turn = `translate(${edge - 6},${y + h / 2}) rotate(-90)`;
    if (!two && target === (source ? 0 : 1)) words(svg, 0, 0, from, {...middle, room: h + 12, transform: turn});
  }
  cells.forEach(({x, y}, e) => {
    const p = Math.round(15 * gate(e)) / 15, d = `M${(x + inset).toFixed(1)} ${(y + inset).toFixed(1)}h${side}v${side}h${-side}Z`;
    paths.set(p, (paths.get(p) || "") + d);
  });
  for (const [p, d] of paths) {
    shape("path", {d, ...(p ? {fill: ramp(0.25 + 0.5 * p, P.dark)} : {fill: "none", stroke: "var(--soft)", "stroke-width": 0.7})}, svg);
  }
  if (lit >= 0) shape("rect", {...cells[lit], width: cell, height: cell, fill: "none", stroke: "var(--ink)", "stroke-width": 2}, svg);
  return plan;
}

// An edge under the mouse or the arrow keys: `lit.e`; Enter, space and a click act on it. at(x, y) -> edge or −1.
// Pressed and let go on the same edge is a click: the browser's own is lost when the page is drawn anew between the two.
export function picker(P, svg, count, at, act = () => {}) {
  let pressed = -1;
  const lit = {e: -1}, put = e => { if (e !== lit.e) { lit.e = e; P.later(); } };
  const under = event => {
    const box = svg.getBoundingClientRect();
    return at(event.clientX - box.left, event.clientY - box.top);
  };
  svg.tabIndex = 0;
  svg.setAttribute("role", "application");
  svg.onpointermove = event => { put(under(event)); svg.style.cursor = lit.e < 0 ? "default" : "pointer"; };
  svg.onpointerleave = () => put(-1);
  svg.onpointerdown = event => { pressed = event.button ? -1 : under(event); };
  svg.onpointerup = event => {
    if (pressed >= 0 && pressed === under(event)) act(pressed);
    pressed = -1;
  };
  svg.onkeydown = event => {
    const n = count(), turn = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key], known = lit.e >= 0 && lit.e < n;
    if (turn && n) put(known ? (lit.e + turn + n) % n : turn > 0 ? 0 : n - 1);
    else if (event.key === "Escape") put(-1);
    else if ((event.key === "Enter" || event.key === " ") && known) act(lit.e);
    else return;
    event.preventDefault();
  };
  return lit;
}
