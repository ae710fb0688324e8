"""A fusion graph as one HTML file that answers the mouse and the keyboard. It loads nothing and may load nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

from .build import plain, weights_of
from .legend import describe
from .shapes import Scene
from .svg_tikz import clean, in_words, to_svg

STYLE = """
body { font: 15px/1.45 'DejaVu Sans', Verdana, sans-serif; margin: 1.5rem auto; max-width: 70rem; padding: 0 1rem;
       background: PAPER; color: INK }
svg { width: 100%; height: auto } p { min-height: 1.5em } code { word-break: break-all }
label { margin-right: 1.5rem } input { vertical-align: middle } output { display: inline-block; min-width: 3em }
table { border-collapse: collapse } td, th { text-align: left; padding: .15rem 1rem .15rem 0 }
tr:hover, tr.on { outline: 2px solid #c05a80 } details { margin-top: 1rem }
.dim { opacity: .08 } .gone { display: none }
[id^=node-] { cursor: pointer; outline: none } [id^=node-]:focus { stroke: INK }
"""


SCRIPT = """
'use strict';
const by = id => document.getElementById(id), data = JSON.parse(by('data').textContent);
const level = by('level'), faint = by('faint');
let chosen = null;
function pick(test, text) { chosen = test; by('say').textContent = text; show(); }
function hover(thing, test, text) {
  thing.onmouseenter = thing.onfocus = () => pick(test, text);
  thing.onmouseleave = thing.onblur = () => pick(null, '');
}
const edges = data.edges.map((edge, i) => {
  const shape = by('edge-' + i), row = by('edges').insertRow(), one = {...edge, shape, row};
  for (const text of [edge.source, edge.target, edge.probability.toFixed(3), edge.kept ? 'kept' : 'dropped'])
    row.insertCell().textContent = text;
  row.tabIndex = 0;
  for (const thing of [shape, row]) hover(thing, x => x === one, edge.title);
  return one;
});
for (const [id, node] of Object.entries(data.nodes)) {
  const shape = by(id);
  shape.setAttribute('tabindex', 0);
  shape.setAttribute('aria-label', node);
  hover(shape, x => x.source === node || x.target === node, shape.querySelector('title').textContent);
}
function show() {
  by('value').textContent = Number(level.value).toFixed(2);
  for (const edge of edges) {
    const gone = edge.probability < level.value || (!faint.checked && !edge.kept);
    const on = chosen && chosen(edge);
    for (const thing of [edge.shape, edge.row]) thing.classList.toggle('gone', gone);
    edge.shape.classList.toggle('dim', Boolean(chosen && !on));
    edge.row.classList.toggle('on', Boolean(on));
  }
}
level.oninput = faint.onchange = show;
show();
"""


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src '{css}'; script-src '{js}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width">
<style>{style}</style></head><body>
{svg}{seen}
<p id="say" aria-live="polite"></p>
<label>{caption} at least <input id="level" type="range" min="0" max="1" step="0.01" value="0"> <output id="value">
</output></label> <label><input id="faint" type="checkbox" checked> show dropped edges</label>
<details><summary>All edges</summary><table>
<thead><tr><th>from</th><th>to</th><th>{caption}</th><th></th></tr></thead><tbody id="edges"></tbody></table></details>
<details><summary>Where this comes from</summary><code>{facts}</code></details>
<script type="application/json" id="data">{data}</script>
<script>{script}</script></body></html>
"""


def to_html(scene: Scene, note: str = "", facts: Mapping | None = None) -> str:
    """The scene with a threshold for σ(α), the edges of a node on hover or focus, and a table. Names are text only."""
    spec = scene.spec
    weights = weights_of(spec.graph)
    caption = "share of the runs" if weights == "frequency" else "σ(α)"
    style = STYLE.replace("PAPER", scene.style.paper).replace("INK", scene.style.ink)
    title = clean(spec.title or "Fusion graph")
    # The browser runs and applies only what has these hashes, whatever a name in the page holds.
    hashes = {"css": _hash(style), "js": _hash(SCRIPT)}
    told = ""
    if spec.seen:
        told = f'\n<p id="seen">{escape(in_words(spec))}.</p>'
    told_facts = escape(json.dumps(facts or {}, sort_keys=True))
    return PAGE.format(
        title=escape(title),
        seen=told,
        style=style,
        script=SCRIPT,
        svg=to_svg(scene, note, title),
        facts=told_facts,
        caption=caption,
        data=_data(spec, weights),
        **hashes,
    )


def _data(spec, weights: str) -> str:
    """The edges and nodes as JSON that can stand inside a <script>: without the letters that could end it."""
    edges = []
    for a, b, data in spec.edges():
        edge = {"source": plain(a), "target": plain(b)}
        edge["probability"] = data["probability"]
        edge["kept"] = data["kept"]
        edge["title"] = describe(a, b, data, weights)
        edges.append(edge)
    nodes = {}
    for node, data in spec.graph.nodes(data=True):
        nodes[f"node-{data['lane']}-{data['stage']}"] = plain(node)
    text = json.dumps({"edges": edges, "nodes": nodes})
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _hash(text: str) -> str:
    """The hash of a script or a style, as a content security policy writes it."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
