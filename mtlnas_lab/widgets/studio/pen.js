// Words, lines and axes on a canvas, for the panels. Names are text only.
import {ticks, wrap} from "./plan.js";

function type(g, S, size, bold = false) {
  g.font = g.face = `${bold ? "600 " : ""}${size}px ${S.font}`;      // to ask a context for its font takes it long
}

const WIDTHS = new Map();
export function measured(g, text) {
  const key = `${g.face}|${text}`;
  if (!WIDTHS.has(key)) {
    if (WIDTHS.size > 3000) WIDTHS.clear();
    WIDTHS.set(key, g.measureText(text).width);
  }
  return WIDTHS.get(key);
}

function fit(g, text, room) {
  if (room >= 1e4 || measured(g, text) <= room) return text;
  for (let keep = text.length - 1; keep > 0; keep--) {
    const cut = text.slice(0, (keep + 1) >> 1).trimEnd() + "…" + text.slice(text.length - (keep >> 1)).trimStart();
    if (measured(g, cut) <= room) return cut;
  }
  return "…";
}

export function say(g, S, text, x, y, {align = "left", bold = false, size = 11, colour = S.soft, room = 1e4, turn = 0, halo = false} = {}) {
  type(g, S, size, bold);
  g.fillStyle = colour;
  g.textAlign = align;
  const shown = fit(g, text, room);
  if (turn) {
    g.save();
    g.translate(x, y);
    g.rotate(turn);
    [x, y] = [0, 0];
  }
  if (halo) {
    g.lineWidth = 3;
    g.lineJoin = "round";
    g.strokeStyle = S.paper;
    g.strokeText(shown, x, y);
  }
  g.fillText(shown, x, y);
  if (turn) g.restore();
  return measured(g, shown);
}

export const title = (g, S, box, text, left = box.x) => say(g, S, text, left, box.y - 9, {bold: true, size: 12, colour: S.ink, room: box.w});

// Values (text or [[text, colour], …]) right of the title, as far as there is room.
export function values(g, S, box, beside, given, left = box.x) {
  type(g, S, 12, true);
  const from = left + 8 + Math.min(measured(g, beside), box.w), fitting = Array.isArray(given) ? [...given] : [[given, S.soft]];
  let right = box.x + box.w;
  type(g, S, 10.5);
  const widths = fitting.map(([text]) => measured(g, text) + 9);
  while (fitting.length && widths.reduce((a, b) => a + b, -9) > right - from) { fitting.pop(); widths.pop(); }
  for (const [text, colour] of fitting.reverse()) {
    right -= 9 + say(g, S, text, right, box.y - 9, {align: "right", size: 10.5, colour});
  }
}

// What the panel's colours, widths and dashes mean.
export function legend(g, S, box, text) {
  type(g, S, 10);
  const left = box.x < 10 ? box.x + 12 : box.x, room = box.w - (left - box.x);
  wrap(text, room, part => measured(g, part)).slice(0, 4).forEach((part, i) => (
    say(g, S, part, left, box.y + box.h + box.legend + 12 * i, {size: 10, room})));
}

// What happened at x, at the foot of a box: right of x where it has room there, in lines of whole words, else further left.
export function beside(g, S, box, x, text) {
  type(g, S, 10);
  const room = box.w - 8, lines = wrap(text, room, part => measured(g, part)).slice(0, 3);
  const widest = Math.min(room, Math.max(...lines.map(part => measured(g, part)))), left = Math.min(x + 4, box.x + box.w - 4 - widest);
  lines.forEach((part, i) => say(g, S, part, left, box.y + box.h - 5 - 12 * (lines.length - 1 - i), {size: 10, room, halo: true}));
}

// A line through (x(i), y(i)) for i from `first` to `last`; it is broken where y is no number.
export function trace(g, first, last, x, y, colour, width, {dash = [], opacity = 1} = {}) {
  g.globalAlpha = opacity;
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.lineJoin = "bevel";
  g.setLineDash(dash);
  g.beginPath();
  let pen = false;
  for (let i = first; i <= last; i++) {
    const at = y(i), fine = Number.isFinite(at);
    if (fine) pen ? g.lineTo(x(i), at) : g.moveTo(x(i), at);
    pen = fine;
  }
  g.stroke();
  g.globalAlpha = 1;
  if (dash.length) g.setLineDash([]);
}
export const line = (g, points, ...pen) => trace(g, 0, points.length - 1, i => points[i][0], i => points[i][1], ...pen);

// A colour beside a word: words themselves have the colour of text, for many a colour is too pale to be read.
export const swatch = (g, x, y, colour) => line(g, [[x, y], [x + 11, y]], colour, 3);

export const brief = value => String(+value.toPrecision(6)).replace("-", "−");
export const scales = (S, box, low, high) => ({X: step => box.x + box.w * step / S.end, Y: value => box.y + box.h * (1 - (value - low) / (high - low || 1))});

// A panel over search steps: grid, ticks, turned knobs, where it branched off.
export function axes(g, S, box, low, high, {marked = true, format = brief, count = 3} = {}) {
  const {X, Y} = scales(S, box, low, high);
  for (const tick of ticks(low, high, count)) {
    line(g, [[box.x, Y(tick)], [box.x + box.w, Y(tick)]], S.shade, 1);
    say(g, S, format(tick), box.x - 5, Y(tick) + 3.5, {align: "right", size: 10});
  }
  for (const tick of ticks(0, S.end, box.w < 180 ? 2 : 4)) {
    say(g, S, String(tick), X(tick), box.y + box.h + 13, {align: tick > 0.95 * S.end ? "right" : tick ? "center" : "left", size: 10});
  }
  say(g, S, "search step", box.x + box.w / 2, box.y + box.h + 25, {align: "center", size: 10});
  if (marked) for (const [step] of S.marks.turned || []) {
    line(g, [[X(step), box.y], [X(step), box.y + box.h]], S.soft, 1, {dash: [1.5, 2.5], opacity: 0.9});
  }
  const split = S.marks.branched;
  if (split >= 0) line(g, [[X(split), box.y], [X(split), box.y + box.h]], S.warn, 1.2, {dash: [6, 3]});
  return {X, Y};
}
