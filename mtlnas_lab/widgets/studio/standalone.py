"""One HTML file with the studio's canvas and a recorded run: no kernel, no network, nothing to install."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os

from ...core.lab import Lab
from ...errors import RunError
from ...runs.event_log import EventLog
from ...runs.run import Run
from .encoding import RECORDED, frame
from .eyes import pictures
from .panel import marks, settings, space_of, stage, unfit
from .view import HERE, page_script, page_style

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

MAIN = """<main><h1 class="mtl-unseen">{title}</h1><div id="studio"></div></main>
<noscript>This page draws a recorded search with a script; allow scripts to see it.</noscript>"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src '{css}'; style-src-attr 'unsafe-inline'; script-src '{js}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width">
<style>{style}</style></head><body>{main}
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script></body></html>
"""


def replay_html(
    source: Run | EventLog | str | os.PathLike,
    *,
    title: str = "",
    compare: EventLog | None = None,
    lab: Lab | None = None,
) -> str:
    """The page as text, at most 2 MB.

    Args:
        source: a run, its folder, or a log.
        title: of the page; by default the name of the run.
        compare: another run's log, drawn behind.
        lab: whose test image the eyes show; without one they show numbers alone.

    Raises:
        RunError: for a run without steps or without edges.
    """
    run = source
    if isinstance(source, (str, os.PathLike)):
        run = Run.open(source)
    log = run if isinstance(run, EventLog) else run.log
    space = space_of(log)
    if not log.steps or space is None:
        raise RunError(
            "this run has no step of a search, so there is nothing to replay; pass the folder of a search"
        )
    problem = unfit(log, len(space))
    if problem:
        raise RunError(problem)
    if not title:
        title = f"Search {run.path.name}" if isinstance(run, Run) else "Recorded search"

    page = _page(title, _state(log, stage(space, title), compare, lab))
    size = len(page.encode())
    if size > LARGEST:
        raise RunError(
            f"the page would have {size} bytes, {LARGEST} at most; the space has too many edges"
        )
    return page


def _state(log: EventLog, shown: dict, compare: EventLog | None, lab: Lab | None) -> dict:
    """What a kernel would have sent to the page."""
    knobs, steps = settings(log)
    other = b""
    if compare:
        other = frame(compare, RECORDED)
    status = {
        "mode": "recorded",
        "step": log.steps[-1].step,
        "knobs": knobs | {"steps": steps},
        "message": "",
        "can": [],
        "pace": 0,
    }
    return {
        "stage": shown,
        "marks": marks(log),
        "eyes": pictures(lab),
        "frame": _base64(frame(log, RECORDED)),
        "other": _base64(other),
        "status": status,
    }


def _page(title: str, state: dict) -> str:
    style = STYLE + page_style(HERE / "studio.css")
    main = MAIN.format(title=html.escape(title))
    return alone(title, main, style, page_script(HERE / "replay.js"), state)


def alone(title: str, main: str, style: str, script: str, data: dict) -> str:
    """One HTML page that asks for nothing: its policy allows this style and this script, and no other file.

    Args:
        title: of the page, any text.
        main: what the page says before its script runs, as HTML.
        style: as CSS.
        script: a module; it finds the data as JSON in the element `data`.
        data: as JSON can hold it.
    """
    # Names of tasks are anybody's: in a script, "</script>" within JSON would end it.
    text = json.dumps(data).replace("<", "\\u003c").replace("&", "\\u0026")
    return PAGE.format(
        title=html.escape(title),
        main=main,
        style=style,
        css=_hash(style),
        script=script,
        js=_hash(script),
        data=text,
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hash(text: str) -> str:
    """As a page's security policy names a style or a script that it allows."""
    return "sha256-" + _base64(hashlib.sha256(text.encode()).digest())
