"""One HTML file with the studio's canvas and a recorded run: no kernel, no network, nothing to install."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os

from ...errors import RunError
from ...runs.event_log import EventLog
from ...runs.run import Run
from .encoding import RECORDED, frame, marks, settings, space_of, stage, unfit
from .view import HERE, page_script

LARGEST = 2_000_000  # bytes


STYLE = """
:root { color-scheme: light dark; --jp-layout-color0: #ffffff; --jp-layout-color2: #f0f1f4; --jp-ui-font-color0: #1b1f27;
  --jp-ui-font-color2: #5c6370; --jp-border-color2: #d9dce2; --jp-brand-color1: #2262ad;
  --jp-ui-font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
@media (prefers-color-scheme: dark) { :root { --jp-layout-color0: #14161b; --jp-layout-color2: #23272f; --jp-ui-font-color0: #eceff4;
  --jp-ui-font-color2: #a9b1bf; --jp-border-color2: #3a404b; --jp-brand-color1: #6f9fd8; } }
body { margin: 0; padding: 18px; background: var(--jp-layout-color0); }
#studio { max-width: 1320px; margin: 0 auto; }
"""


START = """
const data = JSON.parse(document.getElementById("data").textContent);
const bytes = text => text ? new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer) : new DataView(new ArrayBuffer(0));
const state = {...data, frame: bytes(data.frame), tail: bytes(""), other: bytes(data.other), at: -1, pinned: -1}, heard = {};
const model = {get: name => state[name], send() {}, save_changes() {},
  on(name, act) { (heard[name] ||= []).push(act); },
  off(name, act) { heard[name] = (heard[name] || []).filter(one => one !== act); },
  set(name, value) { state[name] = value; (heard["change:" + name] || []).forEach(act => act()); }};
render({model, el: document.getElementById("studio")});
"""


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src '{css}'; style-src-attr 'unsafe-inline'; script-src '{js}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width">
<style>{style}</style></head><body><main id="studio"></main>
<noscript>This page draws a recorded search with a script; allow scripts to see it.</noscript>
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script></body></html>
"""


def replay_html(
    source: Run | EventLog | str | os.PathLike, *, title: str = "", compare: EventLog | None = None
) -> str:
    """The page as text, at most 2 MB. source: a run, its folder, or a log; compare: another log, drawn behind.

    Raises RunError for a run without steps or without edges.
    """
    run = Run.open(source) if isinstance(source, (str, os.PathLike)) else source
    log = run if isinstance(run, EventLog) else run.log
    space = space_of(log)
    if not log.steps or space is None:
        raise RunError(
            "this run has no step of a search, so there is nothing to replay; pass the folder of a search"
        )
    if told := unfit(log, len(space)):
        raise RunError(told)
    title = title or (f"Search {run.path.name}" if isinstance(run, Run) else "Recorded search")
    knobs, steps = settings(log)
    data = {
        "stage": stage(space, title),
        "marks": marks(log),
        "frame": _text(frame(log, RECORDED)),
        "other": _text(frame(compare, RECORDED)) if compare else "",
        "status": {
            "mode": "recorded",
            "step": log.steps[-1].step,
            "knobs": knobs | {"steps": steps},
            "message": "",
            "can": [],
            "pace": 0,
        },
    }
    style, script = STYLE + (HERE / "studio.css").read_text(encoding="utf-8"), page_script() + START
    shown = json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")
    page = PAGE.format(
        title=html.escape(title),
        style=style,
        css=_hash(style),
        script=script,
        js=_hash(script),
        data=shown,
    )
    if len(page.encode()) > LARGEST:
        raise RunError(
            f"the page would have {len(page.encode())} bytes, {LARGEST} at most; the space has too many edges"
        )
    return page


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
