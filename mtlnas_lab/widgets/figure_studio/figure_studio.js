// The figure studio's page: controls, the kernel's own SVG, and hands over its nodes. Names are text only.
import {make} from "../studio/dom.js";

const LABELS = [["stage", "stages"], ["channels", "channels"], ["none", "nothing"]];
const FILES = [["pdf", "PDF"], ["svg", "SVG"], ["png", "PNG"], ["tikz", "TikZ"], ["tex", "TeX"], ["html", "HTML"]];
const SVG = "http://www.w3.org/2000/svg";

function render({model, el}) {
  const root = make("div", "mtl-studio mtl-figures", el), heard = [], shows = [], token = String(Math.random());
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Figure studio");
  root.addEventListener("keydown", event => event.stopPropagation());       // JupyterLab's own shortcuts
  const get = name => model.get(name), now = name => get("settings")[name];

  // What is wished for goes out when the last wish was seen to, so that a drag never queues up old pictures.
  let settings = {}, moves = {}, waiting = 0;
  const flush = () => {
    if (waiting || !(Object.keys(settings).length + Object.keys(moves).length)) return;
    model.send({do: "change", settings, moves});
    [settings, moves] = [{}, {}];
    waiting = setTimeout(() => { waiting = 0; flush(); }, 5000);
  };
  const set = (name, value) => { settings[name] = value; flush(); };
  const listen = (event, act) => { model.on(event, act); heard.push([event, act]); };

  // --- controls
  const bar = make("div", "mtl-set", root);
  const named = (text, kind, name, parent = bar) => {
    const label = make("label", name, parent), words = make("span", "", label, text), one = make(kind, "", label);
    return {label, words, one};
  };
  const choose = (name, text, options) => {
    const {one} = named(text, "select");
    for (const [value, shown] of options) make("option", "", one, shown).value = value;
    one.onchange = () => set(name, one.value === "none" ? null : one.value);
    shows.push(() => { one.value = now(name) ?? "none"; });
  };
  // What was typed and can't be stays where it was typed, and is said until something else is typed there.
  const refused = new Map();
  const write = (name, text, kind) => {
    const {one} = named(text, "input");
    let asked;
    one.type = kind;
    one.onchange = () => {
      if (kind === "number" && one.validity.badInput) {
        refused.set(name, `${text}: that is not a number; the figure stays as it was.`);
        asked = undefined;
        return show();
      }
      asked = one.value === "" ? null : kind === "number" ? +one.value : one.value;
      refused.delete(name);
      set(name, asked);
    };
    shows.push(() => {
      if (asked !== undefined && !waiting && !(name in settings)) {
        if (now(name) !== asked) refused.set(name, `${text} ${asked}: ${get("message")} The figure stays as it was.`);
        asked = undefined;
      }
      one.setAttribute("aria-invalid", refused.has(name));
      if (document.activeElement !== one && asked === undefined && !refused.has(name)) one.value = now(name) ?? "";
      if (kind === "number") one.placeholder = get("choices").widths[now("style")];
    });
    return one;
  };
  const tick = (name, text) => {
    const label = make("label", "tick", bar), one = make("input", "", label);
    one.type = "checkbox";
    make("span", "", label, text);
    one.onchange = () => set(name, one.checked);
    shows.push(() => { one.checked = now(name); });
    return label;
  };
  const slide = (text, most, step, value, shown, act) => {
    const {label, words, one} = named(text, "input", "slide"), out = make("b", "", words);
    Object.assign(one, {type: "range", min: 0, max: most, step});
    const say = () => { out.textContent = ` ${shown(+one.value)}`; };
    one.oninput = () => { say(); act(+one.value); };
    shows.push(() => { if (!waiting) one.value = value(); say(); });
    return label;
  };
  choose("style", "Style", get("choices").style.map(name => [name, name]));
  const width = write("width", "Width, mm", "number");
  Object.assign(width, {min: 1, max: 5000, step: "any"});
  write("title", "Title", "text");
  choose("dropped", "Dropped edges", [["faint", "faint"], ["hide", "hidden"]]);
  choose("labels", "Nodes say", LABELS);
  choose("color", "Colour by", [["probability", "probability"], ["source", "source task"]]);
  slide("Edges from σ(α) =", 1, 0.01, () => now("threshold"), value => value.toFixed(2), value => set("threshold", value));
  const steps = get("choices").steps, last = steps.length;
  slide("Step", last, 1, () => (now("step") === null ? last : steps.findLastIndex(step => step <= now("step"))),
    at => (at < last ? steps[at] : "end"), at => set("step", at < last ? steps[at] : null)).hidden = !last;
  tick("legend", "legend");
  tick("colorbar", "colour bar");
  tick("split", "split nodes").hidden = !get("choices").split;
  let real = false;
  const label = make("label", "tick", bar), box = make("input", "", label);
  box.type = "checkbox";
  make("span", "", label, "print size");
  box.onchange = () => { real = box.checked; place(); };

  // --- the figure, in a root of its own: its ids and styles stay there; and the hands over its nodes
  const sheet = make("div", "mtl-sheet", root), page = make("div", "mtl-page", sheet), shadow = page.attachShadow({mode: "open"});
  const hands = document.createElementNS(SVG, "svg");
  sheet.append(hands);
  hands.classList.add("mtl-hands");
  hands.setAttribute("tabindex", 0);
  hands.setAttribute("role", "application");
  const said = make("div", "mtl-say", root), message = make("div", "mtl-message", root), noted = make("ul", "mtl-notes", root);
  noted.setAttribute("aria-live", "polite");
  noted.setAttribute("aria-label", "What the figure shows otherwise");
  said.setAttribute("aria-live", "polite");
  message.setAttribute("role", "alert");
  const rects = new Map();
  let size = [1, 1], chosen = "", held = null;
  const place = () => { sheet.style.width = real ? `${size[0]}mm` : ""; sheet.style.maxWidth = "100%"; };
  const figure = () => {
    const read = new DOMParser().parseFromString(get("svg"), "image/svg+xml").documentElement;
    if (read.nodeName !== "svg") return;
    size = read.getAttribute("viewBox").split(" ").slice(2).map(Number);
    read.setAttribute("width", "100%");
    read.removeAttribute("height");
    read.style.display = "block";
    shadow.replaceChildren(document.adoptNode(read));
    hands.setAttribute("viewBox", `0 0 ${size.join(" ")}`);
    place();
  };
  const put = (rect, x, y) => {
    Object.assign(rect, {x, y});
    rect.shape.setAttribute("x", x - rect.w / 2);
    rect.shape.setAttribute("y", y - rect.h / 2);
  };
  const nodes = () => {
    const there = new Set(get("nodes").map(([name]) => name));
    for (const [name, {shape}] of rects) if (!there.has(name)) { shape.remove(); rects.delete(name); }
    for (const [name, x, y, w, h] of get("nodes")) {
      if (!rects.has(name)) rects.set(name, {name, shape: hands.appendChild(document.createElementNS(SVG, "rect"))});
      const rect = Object.assign(rects.get(name), {w, h});
      rect.shape.setAttribute("width", w);
      rect.shape.setAttribute("height", h);
      rect.shape.setAttribute("rx", h / 2);
      if (held?.rect !== rect && !(name in moves)) put(rect, x, y);
    }
    if (!rects.has(chosen)) choose_(get("nodes")[0]?.[0] ?? "");
  };
  const choose_ = (name, speak = false) => {
    rects.get(chosen)?.shape.classList.remove("on");
    chosen = name;
    rects.get(name)?.shape.classList.add("on");
    hands.setAttribute("aria-label", `${name}. Arrow keys move it, Page Up and Page Down choose another node, Delete puts it back`);
    if (speak) said.textContent = name;
  };
  const moved = rect => { moves[rect.name] = [rect.x, rect.y]; flush(); };
  const at = event => {
    const box = hands.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * size[0], (event.clientY - box.top) / box.height * size[1]];
  };
  hands.onpointerdown = event => {
    const rect = [...rects.values()].find(one => one.shape === event.target);
    if (!rect || event.button) return;
    event.preventDefault();
    hands.focus();
    choose_(rect.name, true);
    const [x, y] = at(event);
    held = {rect, dx: rect.x - x, dy: rect.y - y, x, y, far: false};
    hands.setPointerCapture(event.pointerId);
  };
  hands.onpointermove = event => {
    if (!held) return;
    const [x, y] = at(event);
    held.far ||= Math.hypot(x - held.x, y - held.y) > 0.004 * size[0];
    if (!held.far) return;
    held.rect.shape.classList.add("held");
    put(held.rect, Math.min(Math.max(x + held.dx, 0), size[0]), Math.min(Math.max(y + held.dy, 0), size[1]));
  };
  hands.onpointerup = hands.onpointercancel = event => {
    if (!held) return;
    const {rect, far} = held;
    held = null;
    rect.shape.classList.remove("held");
    if (far && event.type === "pointerup") moved(rect); else nodes();
  };
  hands.onkeydown = event => {
    const rect = rects.get(chosen), names = [...rects.keys()], far = size[0] * (event.shiftKey ? 0.002 : 0.01);
    const [dx, dy] = {ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far]}[event.key] || [];
    const turn = {PageDown: 1, PageUp: -1}[event.key];
    if (dx !== undefined && rect) { put(rect, rect.x + dx, rect.y + dy); moved(rect); }
    else if (turn) choose_(names[(names.indexOf(chosen) + turn + names.length) % names.length], true);
    else if (event.key === "Delete" || event.key === "Backspace") { moves[chosen] = null; flush(); }
    else return;
    event.preventDefault();
  };

  // --- files and code
  const foot = make("div", "mtl-row", root), pre = make("pre");
  const press = (text, act, name = "") => { make("button", name, foot, text).onclick = act; };
  for (const [what, text] of FILES) press(text, () => model.send({do: "download", what, token}));
  make("span", "mtl-space", foot);
  press("Nodes back", () => model.send({do: "reset"}));
  press("Layout", () => model.send({do: "download", what: "layout", token}));
  press("Copy code", async () => {
    try {
      await navigator.clipboard.writeText(get("code"));
      said.textContent = "Copied.";
    } catch {                                                               // not allowed here: select it
      getSelection().selectAllChildren(pre);
      said.textContent = document.execCommand("copy") ? "Copied." : "Selected: copy it with Ctrl+C.";
    }
  }, "main");
  root.append(pre);
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", "The call that makes this figure");
  said.textContent = "Drag a node, or choose one with Page Up and Page Down and move it with the arrow keys.";

  const show = () => {
    for (const one of shows) one();
    pre.textContent = get("code");
    const lines = [...refused.values()], last = get("message");
    if (!lines.some(line => line.includes(last))) lines.push(last);
    const alert = lines.join(" ");
    if (message.textContent !== alert) message.textContent = alert;
    const notes = get("notices");
    if (noted.dataset.all === JSON.stringify(notes)) return;               // else it would be read out again
    noted.dataset.all = JSON.stringify(notes);
    noted.replaceChildren();
    for (const text of notes) make("li", "", noted, text);
  };
  listen("change:svg", figure);
  listen("change:nodes", nodes);
  for (const name of ["settings", "code", "message", "notices"]) listen(`change:${name}`, show);
  listen("change:done", () => { clearTimeout(waiting); waiting = 0; nodes(); show(); flush(); });
  listen("msg:custom", ({file, token: whose}, buffers) => {
    if (whose !== token) return;
    const link = make("a"), data = buffers[0];
    link.href = URL.createObjectURL(new Blob([data.buffer ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data]));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    said.textContent = `${file} is in your downloads.`;
  });
  figure();
  nodes();
  show();
  return () => { for (const [event, act] of heard) model.off(event, act); };
}

export default {render};
