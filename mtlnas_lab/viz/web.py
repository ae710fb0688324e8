"""A fusion graph as one HTML file that answers the mouse and the keyboard. It loads nothing and may load nothing."""
from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

from .looks import describe
from .scene import Scene
from .vector import clean, to_svg

STYLE = """
:root{color-scheme:light dark}body{font:15px/1.45 'DejaVu Sans',Verdana,sans-serif;margin:1.5rem auto;max-width:70rem;padding:0 1rem;
background:PAPER;color:INK}svg{width:100%;height:auto}h1{font-size:1.15rem}label{margin-right:1.5rem}table{border-collapse:collapse}
input[type=range]{vertical-align:middle}td,th{text-align:left;padding:.15rem 1rem .15rem 0}tr:hover,tr.on{outline:2px solid #c05a80}
[id^=node-]{cursor:pointer;outline:none}[id^=node-]:focus{stroke:INK}.dim{opacity:.08}.gone{display:none}details{margin-top:1rem}
output{display:inline-block;min-width:3em}p{min-height:1.5em}code{word-break:break-all}
"""
SCRIPT = """
'use strict';
const data = JSON.parse(document.getElementById('data').textContent), by = id => document.getElementById(id);
const edges = data.edges.map((e, i) => ({...e, shape: by('edge-' + i)})), say = by('say'), level = by('level'), faint = by('faint');
let chosen = null;
const rows = edges.map(e => { const row = by('edges').insertRow();
  for (const text of [e.source, e.target, e.probability.toFixed(3), e.kept ? 'kept' : 'dropped']) row.insertCell().textContent = text;
  row.tabIndex = 0; row.onmouseenter = row.onfocus = () => pick(x => x === e, e.title);
  row.onmouseleave = row.onblur = () => pick(null, ''); return row; });
function pick(test, text) { chosen = test; say.textContent = text; show(); }
function show() {
  by('value').textContent = Number(level.value).toFixed(2);
  edges.forEach((e, i) => {
    const gone = e.probability < level.value || (!faint.checked && !e.kept);
    e.shape.classList.toggle('gone', gone); rows[i].classList.toggle('gone', gone);
    e.shape.classList.toggle('dim', Boolean(chosen) && !chosen(e)); rows[i].classList.toggle('on', Boolean(chosen) && chosen(e)); });
}
edges.forEach(e => { e.shape.onmouseenter = () => pick(x => x === e, e.title); e.shape.onmouseleave = () => pick(null, ''); });
for (const [id, node] of Object.entries(data.nodes)) {
  const shape = by(id); shape.setAttribute('tabindex', 0); shape.setAttribute('aria-label', node);
  shape.onmouseenter = shape.onfocus = () => pick(e => e.source === node || e.target === node, shape.querySelector('title').textContent);
  shape.onmouseleave = shape.onblur = () => pick(null, ''); }
level.oninput = faint.onchange = show; show();
"""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%(title)s</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '%(css)s'; script-src '%(js)s'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width">
<style>%(style)s</style></head><body>
<h1>%(title)s</h1>
%(svg)s
<p id="say" aria-live="polite"></p>
<label>σ(α) at least <input id="level" type="range" min="0" max="1" step="0.01" value="0"> <output id="value"></output></label>
<label><input id="faint" type="checkbox" checked> show dropped edges</label>
<details><summary>All edges</summary><table><thead><tr><th>from</th><th>to</th><th>σ(α)</th><th></th></tr></thead><tbody id="edges"></tbody></table></details>
<details><summary>Where this comes from</summary><code>%(facts)s</code></details>
<script type="application/json" id="data">%(data)s</script>
<script>%(script)s</script></body></html>
"""


def to_html(scene: Scene, note: str = "", facts: Mapping | None = None, title: str | None = None) -> str:
    """The scene with a threshold for σ(α), edges of a node on hover or focus, and a table of edges. Names are text only."""
    spec = scene.spec
    weights = spec.graph.graph.get("weights", "alpha")
    plain = lambda node: node.partition("/")[0]  # noqa: E731
    data = {"edges": [{"source": plain(a), "target": plain(b), "probability": d["probability"], "kept": d["kept"],
                       "title": describe(a, b, d, weights)} for a, b, d in spec.edges()],
            "nodes": {f"node-{d['lane']}-{d['stage']}": plain(node) for node, d in spec.graph.nodes(data=True)}}
    style = STYLE.replace("PAPER", scene.style.paper).replace("INK", scene.style.ink)
    digest = lambda text: "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()  # noqa: E731
    title = escape(clean(title or spec.title or "Fusion graph"))
    return PAGE % {"title": title, "style": style, "css": digest(style), "js": digest(SCRIPT), "svg": to_svg(scene, note),
                   "facts": escape(json.dumps(facts or {}, sort_keys=True)), "script": SCRIPT,
                   "data": json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")}
