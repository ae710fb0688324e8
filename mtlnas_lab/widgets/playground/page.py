"""One HTML file in which a browser searches: two small networks, twelve candidate edges, the studio's canvas."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ...core.config import SCHEDULES, SearchConfig
from ...core.space import SearchSpace, plan
from ..studio.panel import stage
from ..studio.standalone import STYLE, alone
from ..studio.view import page_script, page_style

HERE = Path(__file__).parent
STUDIO = HERE.parent / "studio"

CHANNELS = 4
GROUPS = (2, 2)  # stages of each network
SIDE = 12  # pixels of an image
OUTPUTS = {"segmentation": 3, "depth": 1}
VISIBILITY = (1.0, 0.2)  # depth's network sees little: what it needs can come over edges
IMAGES = 128  # that train; a quarter as many test
MOST = 4.0  # where the slider of λ ends
PACE = 60  # updates a second

CONFIG = SearchConfig(
    steps=2400, batch_size=4, entropy_weight=0.0, alpha_lr=0.02, weight_lr=0.01, evaluate_every=400
)
KNOBS = ("alpha_lr", "weight_lr", "alpha_gates", "weight_gates")

TITLE = "A search in this page"

MAIN = """<main class="mtl-page"><h1>A search in this page</h1>
<div class="mtl-intro"><div><p>Two small networks look at toy images: one says what stands where (a ball, a box, the wall), the other how far away it is.
Twelve edges between them could carry features from one to the other. Each has a gate σ(α) from 0 (shut) to 1 (open), and the
search learns gates and networks together. All of it is computed here, in your browser, with the updates of
<code>mtlnas_lab.Search</code>. Depth's network sees little of the image: what it lacks can come over the edges.</p>
<p>Click an edge to follow it, or go through the edges with the arrow keys; the pointer on a word says more.</p></div>
<div><h2>What to try</h2>
<ol><li>Press Start. λ is 0, so nothing makes the gates decide. Does the entropy fall?</li>
<li>Move “weight λ” to 1 while it runs. Which edges open, those into depth or those into segmentation? Press Reset (other
images, other weights) and do it again: are they the same edges?</li>
<li>Add L1. How many edges are left before depth gets worse?</li>
<li>Let depth see all. Does it still take what segmentation knows?</li>
<li>Keep an edge and force it open or shut. What does the other network do?</li></ol></div></div>
<div id="studio"></div>
<h2>What the networks answer</h2>
<div class="mtl-answers" id="answers"></div>
<p id="colours"></p>
<p id="scores" role="status"></p>
<noscript>This page searches with a script; allow scripts to see it.</noscript></main>"""


def playground_space() -> SearchSpace:
    """The space of the page: two networks of four stages, twelve candidate edges.

    Example:
        >>> from mtlnas_lab.widgets.playground.page import playground_space
        >>> playground_space()
        SearchSpace(segmentation × 4 stages + depth × 4 stages, 12 candidate edges)
    """
    stages = plan([CHANNELS] * sum(GROUPS), GROUPS)
    return SearchSpace.build(dict.fromkeys(OUTPUTS, stages))


def playground_html() -> str:
    """The page as text, less than 300 kB. It needs no kernel and asks for no other file.

    Example:
        >>> from mtlnas_lab.widgets import playground_html
        >>> page = playground_html()
        >>> len(page.encode()) < 300_000, "http://" in page
        (True, False)
    """
    style = STYLE + page_style(STUDIO / "studio.css", HERE / "playground.css")
    script = page_script(HERE / "playground.js")
    return alone(TITLE, MAIN, style, script, page_data())


def page_data() -> dict:
    """What the script begins with: the space as the studio and as the networks know it, and the settings of the search."""
    space = playground_space()
    shown = stage(space, "Playground")
    shape = {
        "tasks": list(OUTPUTS),
        "outputs": list(OUTPUTS.values()),
        "channels": CHANNELS,
        "stages": sum(GROUPS),
        "side": SIDE,
        "edges": shown["edges"],
    }
    settings = {
        "steps": CONFIG.steps,
        "batch_size": CONFIG.batch_size,
        "evaluate_every": CONFIG.evaluate_every,
        "knobs": knobs_of(CONFIG),
        "images": IMAGES,
        "visibility": VISIBILITY,
        "most": MOST,
        "pace": PACE,
    }
    return {"stage": shown, "shape": shape, "settings": settings}


def knobs_of(config: SearchConfig) -> dict:
    """The settings that the page's search reads: numbers, names of relaxations, and schedules by their fields."""
    knobs = {name: getattr(config, name) for name in KNOBS}
    for name in SCHEDULES:
        knobs[name] = asdict(getattr(config, name))
    return knobs
