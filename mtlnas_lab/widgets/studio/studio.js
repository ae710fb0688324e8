// The studio's page: one canvas, drawn anew when its state changes, and plain controls around it. Names are text only.
import {cellAt, decode, describe, endOfAxis, entropyOf, forcedAt, graphPlan, growing, heatPlan, isDark, join, nearest} from "./plan.js";
import {panels, pull, quantile, roundUp, rowOf, same, short, since, taskColour} from "./plan.js";
import {say} from "./pen.js";
import {paint, sparkle} from "./draw.js";
import {make, put} from "./dom.js";
import {eyesOf} from "./eyes.js";
import {knobsOf} from "./knobs.js";

const BEFORE = new Map();                           // what a person was doing in a view that is made anew, as when the cell gets a picture
const FRAMES = 4;                                   // of one message, while only steps come (studio.py)
const plain = name => name.replace(/^(.*) -> (.*)$/, "\u2068$1\u2069 → \u2068$2\u2069");   // whatever way a name is written

// --- the widget --------------------------------------------------------------------------------------------------------
export function render({model, el}) {
  const root = make("div", "mtl-studio", el), S = {hover: -1, version: 0, forced: {}, colours: [], marks: {}, stage: {}, status: {}};
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Search studio");
  const shows = model.get("parts") || {};            // which panels and knobs there are, and `without` which buttons; without a word all
  root.toggleAttribute("data-plain", Boolean(shows.panels));
  const send = message => { if (S.status.can?.length) model.send(message); };
  // What it is stands left or above, what can be done right or below: how many lines that takes depends on the width alone.
  const top = make("div", "mtl-row mtl-top", root), head = make("div", "mtl-head", top), does = make("div", "mtl-row mtl-does", top);
  const title = make("span", "mtl-title", head), mode = make("span", "mtl-mode", head), where = make("span", "mtl-where", head);
  const button = (parent, text, act, name = "") => {
    const one = make("button", name, parent, text);
    one.type = "button";
    one.onclick = act;
    return one;
  };
  const main = button(does, "Start", () => send({do: main.textContent === "Pause" ? "pause" : "start"}), "main");
  const buttons = {step: button(does, "Step", () => send({do: "step"})), score: button(does, "Discretize now", () => send({do: "score"})),
    stop: button(does, "Stop and keep", () => send({do: "stop"})), reset: button(does, "Reset", () => send({do: "reset"})),
    close: button(does, "Close", () => send({do: "close"}))};
  const turns = make("div", "mtl-turns", root), bar = make("div", "mtl-row mtl-knobs", turns), knobs = knobsOf(bar, send, S, shows.knobs);
  const lids = make("div", "mtl-row mtl-eyes", turns), eyes = eyesOf(lids, send, S, at => look(at));
  const canvas = make("canvas", "mtl-canvas", root), g = canvas.getContext("2d", {alpha: false});
  const b = document.createElement("canvas").getContext("2d", {alpha: false});      // the panels' backs
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  const info = make("div", "mtl-row mtl-edge", root), told = make("span", "", info), pulls = make("span", "", info);
  const spark = make("canvas", "mtl-spark", info), heard = make("span", "mtl-unseen", info);
  spark.setAttribute("aria-hidden", "true");
  heard.setAttribute("aria-live", "polite");
  make("span", "mtl-space", info);
  const hands = make("span", "mtl-hands", info);
  make("span", "", hands, "Force:").setAttribute("aria-hidden", "true");
  const force = to => send({do: "turn", knobs: {force: {[S.stage.names[S.lit]]: to}}});
  const forces = [["Open", true], ["Shut", false], ["Free", null]].map(([text, to]) => button(hands, text, () => force(to)));
  forces.forEach((one, i) => one.setAttribute("aria-label", ["Open by force", "Shut by force", "Free again"][i]));
  const time = make("div", "mtl-row mtl-time", root), play = button(time, "Replay", () => toggle());
  const scrub = make("input", "mtl-scrub", time), stepText = make("output", "", time), speed = make("select", "", time);
  scrub.type = "range";
  scrub.min = 0;
  scrub.setAttribute("aria-label", "Step that is looked at");
  for (const s of ["½ ×", "1 ×", "2 ×", "4 ×"]) make("option", "", speed, s);
  speed.selectedIndex = 1;
  speed.setAttribute("aria-label", "Speed of the replay");
  const latest = button(time, "Latest", () => look(-1)), branch = button(time, "Branch here", () => send({do: "branch", step: branchStep()}));
  const message = make("div", "mtl-message", root);
  message.setAttribute("role", "status");

  // state → S
  const open = () => eyes.make(S.stage.tasks || [], model.get("eyes") || {});
  const theme = () => {
    const css = getComputedStyle(root), value = name => css.getPropertyValue(name).trim();
    S.font = css.fontFamily;
    S.dark = isDark(css.backgroundColor);
    root.toggleAttribute("data-dark", S.dark);
    [S.ink, S.soft, S.paper] = [css.color, value("--soft"), css.backgroundColor];
    S.shade = S.dark ? "#8fa0b81f" : "#5c70901a";
    S.rule = S.dark ? "#ffffff3a" : "#1b1f2733";
    S.warn = S.dark ? "#ef8c6b" : "#c9452f";
    S.colours = (S.stage.tasks || []).map((_, lane) => taskColour(lane, S.dark));
    eyes.colour(S.colours);
    S.version++;                // what is painted once is painted again
    S.lossColour = t => S.colours[(S.stage.tasks || []).indexOf((S.marks.losses || [])[t])] || S.soft;
  };
  const place = () => {
    const width = Math.max(320, Math.round(canvas.clientWidth || 960)), all = panels(width, S.stage.tasks?.length || 2, shows.panels);
    const scale = window.devicePixelRatio || 1;
    for (const one of [canvas, b.canvas]) [one.width, one.height] = [width * scale, all.height * scale];
    canvas.style.height = `${all.height}px`;
    S.place = all.place;
    S.size = [width, all.height, scale];
    S.version++;
    if (S.stage.tasks) {
      S.graph = graphPlan(S.stage, S.place.graph);
      if (S.place.heat) S.heat = heatPlan(S.stage, S.place.heat);
      S.heatRows = S.stage.plans.reduce((sum, plan) => sum + plan.length + 1.2, -1.2);
    }
  };
  const parts = {}, decoded = name => {              // most of the time only the tail is another one
    const bytes = model.get(name);
    if (parts[name]?.bytes !== bytes) parts[name] = {bytes, frame: decode(bytes)};
    return parts[name]?.frame;
  };
  const read = (tail = model.get("tail")) => {
    const before = S.frame, band = S.band;
    clearTimeout(S.rest);
    S.known = model.get("tail")?.byteLength || 0;
    S.frame = join(decoded("frame"), tail);
    S.other = decoded("other");
    if (S.frame && S.frame.E !== (S.stage.edges || []).length) S.frame = null;
    S.status = since(model.get("status") || {}, S.frame);
    if (!S.frame) return;
    const kept = before && band ? same(before, S.frame) : 0;
    S.band = Array.from({length: S.frame.N}, (_, i) => {
      if (i < kept) return band[i];
      const h = Array.from({length: S.frame.E}, (_, e) => entropyOf(S.frame.p(i, e))).sort((a, b) => a - b);
      return [quantile(h, 0.1), quantile(h, 0.9)];
    });
    const all = [S.frame, S.other].filter(Boolean).flatMap(one => one.losses.flatMap(loss => [...loss])).filter(Number.isFinite);
    S.top = roundUp(quantile(all.sort((a, b) => a - b), 0.99) * 1.08);
  };
  // A message costs a search more than a frame: so one brings the steps of FRAMES, which are drawn one after the other.
  const follow = () => {
    const parts = growing(S.frame, model.get("tail"), S.known, FRAMES), apart = 100 * FRAMES / parts.length;
    const next = () => {
      read(parts.shift());
      soon();
      if (parts.length) S.rest = setTimeout(next, apart);
    };
    next();
  };
  const settle = () => {
    S.at = S.frame ? model.get("at") : -1;
    S.row = S.frame ? rowOf(S.frame, S.at) : 0;
    const known = S.stage.edges?.length || 0, pinned = model.get("pinned");
    S.pinned = pinned < known ? pinned : -1;
    S.lit = S.hover >= 0 && S.hover < known ? S.hover : S.pinned;
    const now = [[0, S.status.knobs?.force || {}]];  // at the latest step also what is asked for the next one
    S.forced = forcedAt(S.at < 0 ? now : S.marks.forced || [], S.stage.names || [], S.at < 0 ? 0 : S.frame.step[S.row]);
    const last = S.frame ? S.frame.step[S.frame.N - 1] : 0, behind = S.other ? S.other.step[S.other.N - 1] : 0;
    S.end = endOfAxis(Math.max(last, behind), S.status.knobs?.steps || 0);
  };

  // S → page
  function draw() {
    S.waiting = false;
    if (!root.isConnected) return;
    settle();
    const [width, height, scale] = S.size, now = [S.version, S.end, S.lit, S.top, !S.frame, !S.other, Object.entries(S.forced)].join();
    for (const one of [g, b]) {
      one.setTransform(scale, 0, 0, scale, 0, 0);
      one.globalAlpha = 1;
      one.setLineDash([]);
    }
    const tell = text => {
      g.fillStyle = S.paper;
      g.fillRect(0, 0, width, height);
      say(g, S, text, width / 2, height / 2, {align: "center", size: 13, room: width - 20});
    };
    try {
      if (S.stage.tasks) paint(g, b, S, S.painted !== now);
      else tell(S.status.message || "Press Start: the search begins with its first step.");
      S.painted = now;
    } catch (error) {                                // a file can hold anything
      tell(`This cannot be drawn: ${error.message}`);
      S.painted = "";
    }
    clearTimeout(S.pending);
    if (S.due || Date.now() - S.said > 500) words();   // a page lays itself out anew for words: less often than it is drawn
    else S.pending = setTimeout(words, 500);
  }
  function words() {
    [S.due, S.said] = [false, Date.now()];
    const {status, frame: f} = S, can = new Set(status.can || []), steps = status.knobs?.steps;
    put(title, "textContent", S.stage.title || "Search studio");
    put(title, "title", title.textContent);          // all of it, where it has no room
    put(mode, "textContent", status.mode || "");
    put(mode.dataset, "mode", status.mode || "");
    put(where, "textContent", `step ${status.step || 0}${steps ? ` of ${steps}` : ""}` +
      (status.pace && status.mode === "running" ? ` · ${short(1 / status.pace)} steps/s` : ""));
    const steered = can.has("run") || can.has("pause");
    main.hidden = !steered;
    put(main, "textContent", can.has("pause") ? "Pause" : status.step || status.mode === "paused" ? "Go on" : "Start");
    for (const [name, one] of Object.entries(buttons)) {
      one.hidden = ["score", "reset", "close"].includes(name) ? !can.has(name) : !steered || shows.without?.includes(name);
      one.disabled = !can.has(name);
    }
    buttons.score.hidden ||= !S.place.gap;           // what is found shows there alone
    S.steered ||= steered || Object.values(buttons).some(one => !one.hidden);
    does.hidden = !S.steered;                        // once there it stays, so that nothing moves when a search ends
    bar.hidden = !status.mode || status.mode === "recorded";
    knobs.show(status.knobs || {});
    const at = S.at >= 0 ? f.step[S.row] : f?.latest ? status.step + 1 : -1;       // steps came without a status: as planned
    eyes.show(status.knobs?.visibility || {}, S.marks, at, can, status.mode);
    put(message, "textContent", status.message || "");
    message.hidden = !message.textContent;
    time.hidden = !f;
    if (f) {
      put(scrub, "max", String(f.N - 1));
      put(scrub, "value", String(S.row));
      put(stepText, "textContent", `step ${f.step[S.row]}`);
      latest.disabled = S.at < 0;
      branch.hidden = !can.has("branch") || branchStep() === undefined;
      put(branch, "textContent", `Branch from ${branchStep()}`);
    }
    if (status.mode !== "running" || !(Date.now() - S.described < 1000)) {       // nobody hears ten a second
      S.described = Date.now();
      put(canvas, "ariaLabel", describe(S.stage, f, S.row, status.mode || "", S.marks, S.forced));
      if (f) put(scrub, "ariaValueText", stepText.textContent);
    }
    hands.hidden = !can.has("turn") || S.lit < 0 || S.lit !== S.pinned;
    tell();
  }
  function tell() {
    const {frame: f, lit: e, row: i} = S;
    if (pulls.firstChild) pulls.replaceChildren();
    spark.hidden = e < 0 || !f;
    if (e < 0 || !S.stage.names) {
      put(told, "textContent", S.stage.tasks ? "Point at an edge to follow it everywhere; click to keep it." : "");
      return;
    }
    const forced = S.forced[e] === undefined ? "" : S.forced[e] ? " · forced open" : " · forced shut";
    told.replaceChildren();
    make("b", "", told, plain(S.stage.names[e]));
    if (!f) return;
    const p = f.p(i, e), ask = -f.grad(i, e), press = -pull(f.lambda[i], f.alpha(i, e), f.E);
    told.append(`   p ${short(p)} · H ${short(entropyOf(p))} nats${forced}`);
    const most = Math.max(Math.abs(ask), Math.abs(press), 1e-12);
    for (const [text, value, colour] of [["tasks", ask, S.colours[S.stage.edges[e][2]]], ["λH", press, S.warn]]) {
      const one = make("span", "", pulls, `${text} ${short(value)} `), bars = make("span", "mtl-pulls", one);
      const [left, , right] = [make("i", "", bars), make("u", "", bars), make("i", "", bars)];
      const side = value < 0 ? left : right;
      side.style.background = colour;
      side.style.width = `${Math.max(2, 25 * Math.abs(value) / most)}px`;
      left.style.justifySelf = "end";
      one.title = `gradient pulls: ${text === "tasks" ? "the task losses" : "the entropy term"} pull${text === "tasks" ? "" : "s"} this ` +
        `gate ${value > 0 ? "open" : "shut"} (−∂/∂α)`;
      pulls.append("  ");
    }
    sparkle(spark, S, e);
    const news = `${plain(S.stage.names[e])}, gate ${short(p)}, tasks pull ${short(ask)}, entropy pulls ${short(press)}${forced}`;
    const now = `${e} ${forced} ${S.status.mode === "running" ? "" : f.step[i]}`;
    if (S.heard !== now) heard.textContent = news;   // not ten times a second
    S.heard = now;
  }
  const later = () => { S.due = true; soon(); }, soon = () => { if (!S.waiting) { S.waiting = true; requestAnimationFrame(draw); } };
  const branchStep = () => (S.marks.checkpoints || []).findLast(step => S.at < 0 || step <= S.frame.step[S.row]);

  // a person
  const look = at => { model.set("at", at); model.save_changes(); later(); };
  const pin = e => { model.set("pinned", e); model.save_changes(); later(); };
  scrub.oninput = () => look(+scrub.value >= S.frame.N - 1 ? -1 : S.frame.step[+scrub.value]);
  let timer = 0;
  function toggle() {
    const playing = Boolean(timer);
    clearInterval(timer);
    timer = 0;
    play.textContent = playing ? "Replay" : "Pause replay";
    if (playing || !S.frame) return;
    let at = S.at < 0 || S.row >= S.frame.N - 1 ? 0 : S.row, due = at;
    timer = setInterval(() => {
      due += 0.5 * 2 ** speed.selectedIndex * (S.frame?.N || 0) / 240;
      if (!S.frame || due >= S.frame.N - 1 || !root.isConnected) { look(-1); return toggle(); }
      if (Math.floor(due) !== at) look(S.frame.step[at = Math.floor(due)]);
    }, 50);
  }
  function under(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const inside = r => x >= r.x - 4 && x <= r.x + r.w + 4 && y >= r.y - 6 && y <= r.y + r.h + 6;
    if (!S.stage.tasks) return -1;
    if (S.place.heat && inside(S.place.heat)) return cellAt(S.heat, x, y);
    if (inside(S.place.graph)) return nearest(S.graph.edges, x, y, 7, e => S.frame ? S.frame.p(S.row, e) : 0.5);
    if (S.frame && S.gatesAt && inside(S.gatesAt.inner)) {
      const {inner, Y} = S.gatesAt, i = rowOf(S.frame, Math.max(0, (x - inner.x) / inner.w * S.end));
      let best = -1, least = 7;
      for (let e = 0; e < S.frame.E; e++) {
        const far = Math.abs(Y(S.frame.p(i, e)) - y);
        if (far < least) [best, least] = [e, far];
      }
      return best;
    }
    return -1;
  }
  const hover = e => { if (e !== S.hover) { S.hover = e; canvas.style.cursor = e < 0 ? "default" : "pointer"; later(); } };
  canvas.onpointermove = event => hover(under(event));
  canvas.onpointerleave = () => hover(-1);
  canvas.onclick = event => { const e = under(event); pin(e === S.pinned ? -1 : e); };
  canvas.onkeydown = event => {
    const n = S.stage.edges?.length || 0, turn = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    const pinned = model.get("pinned");              // S is brought up to date with the next frame, keys come sooner
    if (turn && n) pin(pinned < 0 || pinned >= n ? (turn > 0 ? 0 : n - 1) : (pinned + turn + n) % n);
    else if (event.key === "Escape") pin(-1);
    else if (event.key === " ") main.hidden || main.click();
    else return;
    event.preventDefault();
    event.stopPropagation();                       // JupyterLab's own shortcuts
  };
  root.addEventListener("keydown", event => event.stopPropagation());

  // changes
  const listeners = {frame: read, tail: follow, other: read, at: null, pinned: null, marks: () => { S.marks = model.get("marks") || {}; S.version++; },
    status: () => { S.status = since(model.get("status") || {}, S.frame); }, eyes: () => open(),
    stage: () => { S.stage = model.get("stage") || {}; open(); place(); theme(); read(); }};
  const off = Object.entries(listeners).map(([name, act]) => {
    const on = () => { act?.(); name === "tail" ? soon() : later(); };
    model.on(`change:${name}`, on);
    return () => model.off(`change:${name}`, on);
  });
  const again = () => { theme(); later(); };
  const themes = new MutationObserver(() => setTimeout(again, 60));
  for (const one of [document.documentElement, document.body]) {
    themes.observe(one, {attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"]});
  }
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", again);
  const sizes = new ResizeObserver(() => { if (Math.round(canvas.clientWidth) !== S.size?.[0]) { place(); draw(); } });
  sizes.observe(root);
  listeners.status();
  listeners.marks();
  listeners.stage();
  setTimeout(again, 0);
  later();
  const key = model.get("key"), hands_on = () => [...root.querySelectorAll("button, input, select, canvas[tabindex]")];
  let held = -1;
  root.addEventListener("focusin", event => { held = hands_on().indexOf(event.target); });
  root.addEventListener("focusout", () => setTimeout(() => { if (root.isConnected && !root.contains(document.activeElement)) held = -1; }, 0));
  const before = BEFORE.get(key);
  BEFORE.delete(key);
  if (before && Date.now() - before.when < 3000) setTimeout(() => {
    if (before.held >= 0 && document.activeElement === document.body) hands_on()[before.held]?.focus({preventScroll: true});
    if (before.playing) toggle();
  }, 80);
  return () => {
    BEFORE.set(key, {held, playing: Boolean(timer), when: Date.now()});
    off.forEach(one => one());
    themes.disconnect();
    sizes.disconnect();
    media.removeEventListener("change", again);
    clearInterval(timer);
    clearTimeout(S.pending);
    clearTimeout(S.rest);
  };
}

export default {render};
