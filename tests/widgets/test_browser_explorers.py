"""The small explorers as a person uses them: JupyterLab, a browser, a mouse and a keyboard."""

# ruff: noqa: F811 (fixtures)
import json
import re
import time

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from browsing import ROOT, SHOTS, browser, expect, in_browser, notebook, pages  # noqa: F401, E402 (fixtures)

pytestmark = in_browser
BEGIN = f"""import sys, time; sys.path.insert(0, {str(ROOT / "tests")!r})
import numpy as np, viz_fakes
from mtlnas_lab.widgets import *
space = viz_fakes.space()
rng = np.random.default_rng(0)
draw = lambda h, w: np.kron(rng.integers(0, 255, (h, w, 3)), np.ones((8, 8, 1))).astype(np.uint8)
def look(gates):
    share = sum(gates) / len(gates)
    return {{"scores": {{"segmentation": {{"miou": 0.2 + 0.1 * share, "pixel_accuracy": 0.5}},
                         "normals": {{"mean_angle": 30 - share}}}},
            "pictures": {{"segmentation": draw(8, 12), "normals": draw(8, 12)}}, "caption": "truth, prediction"}}
row = lambda: {{"truth": draw(8, 8), "before": (draw(8, 8), "miou 0.2"), "error before": draw(8, 8),
                "after": (draw(8, 8), "miou 0.3, better"), "error after": draw(8, 8)}}
item = lambda i: {{"image": draw(8, 8), "title": f"room {{i}}", "tasks": {{"segmentation": row(), "normals": row()}}}}
"""
RUN = ROOT / "data_samples/runs/entropy"
SPACES, TOGGLER, BROWSER = "Search space explorer", "Edge toggler", "Prediction browser"
MICROSCOPE, RELAXATION, REPLAY = "Edge microscope", "Relaxation explorer", "Replay"


def of(nb, label):
    return nb.page.locator(f'.mtl-explorer[aria-label="{label}"]')


def shots(nb, names):
    """Each explorer, dark and light."""
    for theme, mark, css in (
        ("Dark", "dark", "[data-dark]"),
        ("Light", "light", ":not([data-dark])"),
    ):
        nb.menu("Settings", "Theme", f"JupyterLab {theme}")
        expect(nb.page.locator(f".mtl-explorer{css}")).to_have_count(
            nb.page.locator(".mtl-explorer").count()
        )
        time.sleep(0.3)
        for name, label in names.items():
            nb.shot(f"explorer-{name}-{mark}", of=f'.mtl-explorer[aria-label="{label}"]')


def test_numbers_move_with_the_sliders(notebook):
    nb = notebook(
        BEGIN + f"run = {str(RUN)!r}\n"
        "micro, relax = EdgeMicroscope(run), RelaxationExplorer()\n"
        "replay = ReplayScrubber(run, title='Rooms', at=250)\n"
        "display(micro, relax, replay)",
        "",
    )
    nb.run_all(until=".mtl-explorer svg[viewBox]")
    micro, relax, replay = (of(nb, label) for label in (MICROSCOPE, RELAXATION, REPLAY))
    expect(micro.locator("svg")).to_have_attribute("aria-label", re.compile("Tips at"))
    micro.locator(".mtl-of-alpha input").focus()
    nb.page.keyboard.press("End")  # α = 8: above every tipping point
    expect(micro.locator("svg")).to_have_attribute("aria-label", re.compile("goes to 1"))
    nb.page.keyboard.press("Home")
    expect(micro.locator(".mtl-note")).to_contain_text("goes to 0")
    micro.locator("select").select_option(index=5)
    relax.get_by_role("button", name="Draw again").click()
    relax.locator(".mtl-of-temperature input").focus()
    nb.page.keyboard.press("Home")
    expect(relax.locator(".mtl-facts")).to_contain_text(re.compile(r"within 0.05 of 0 or 1 9\d %"))
    assert nb.cell("print(micro.edge, relax.seed, relax.temperature)") == "5 1 0.05"
    relax.locator(".mtl-of-temperature input").fill("0.6")
    replay.locator(".mtl-scrub").focus()
    nb.page.keyboard.press("Home")
    expect(replay.locator("output")).to_have_text(re.compile(r"step \d$"))
    replay.get_by_role("button", name="Play").click()
    expect(replay.locator("output")).to_have_text(re.compile(r"step [1-9]\d+"))
    replay.get_by_role("button", name="Pause").click()
    replay.locator("svg").focus()
    nb.page.keyboard.press("ArrowRight")
    expect(replay.locator("svg")).to_have_attribute("aria-label", re.compile(r"→ .*σ\(α\) ="))
    shots(nb, {"microscope": MICROSCOPE, "relaxation": RELAXATION, "replay": REPLAY})


def test_edges_are_taken_out_and_toggled(notebook):
    nb = notebook(
        BEGIN + "spaces, toggler = SpaceExplorer(), EdgeToggler(look, space)\n"
        "browser = PredictionBrowser([item(i) for i in range(3)])\n"
        "display(spaces, toggler, browser)",
        "",
    )
    nb.run_all(until=".mtl-explorer svg[viewBox]")
    spaces, toggler, seen = (of(nb, label) for label in (SPACES, TOGGLER, BROWSER))
    expect(spaces.locator(".mtl-facts")).to_contain_text("candidate edges 48 ")
    spaces.locator(".mtl-of-limit select").select_option("no limit")
    spaces.locator(".mtl-of-same_group input").uncheck()
    expect(spaces.locator(".mtl-facts")).to_contain_text("candidate edges 182 ")
    spaces.locator(".mtl-of-limit select").select_option("the last 3 stages")
    spaces.locator(".mtl-of-same_group input").check()
    spaces.locator("svg").focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        nb.page.keyboard.press(key)
    expect(spaces.locator(".mtl-facts")).to_contain_text("candidate edges 47 of 48")
    expect(spaces.locator(".mtl-note")).to_contain_text("is taken out")
    assert (
        nb.cell("print(len(spaces.space), spaces.removed == [str(viz_fakes.space().edges[1])])")
        == "47 True"
    )
    toggler.get_by_role("button", name="All shut").click()
    expect(toggler.locator("table")).to_contain_text("▼ −0.100 worse")
    svg = toggler.locator("svg")
    svg.focus()
    nb.page.keyboard.press("ArrowRight")
    nb.page.keyboard.press(" ")
    expect(toggler.locator("table")).to_contain_text("▲ +0.002 better")
    expect(toggler.locator("table")).to_contain_text("▲ −0.021 better")
    assert nb.cell("print(sum(toggler.gates), toggler.gates[0])") == "1 True"
    curve = svg.locator("path[d]").first.get_attribute("d").split("C")[1]
    x1, y1, x2, y2 = map(float, curve.split()[:4])
    svg.hover(position={"x": (x1 + x2) / 2, "y": (y1 + y2) / 2})  # the first edge, with the mouse
    expect(toggler.locator(".mtl-note").first).to_contain_text("a click opens it")
    nb.page.mouse.down()
    nb.page.evaluate(
        "document.body.classList.toggle('drawn-anew')"
    )  # between pressing and letting go: still a click
    time.sleep(0.3)
    nb.page.mouse.up()
    expect(toggler.locator("svg")).to_have_attribute("aria-label", re.compile("^2 of 48"))
    seen.focus()
    nb.page.keyboard.press("ArrowRight")
    seen.get_by_role("button", name="Next").click()
    expect(seen).to_contain_text("3 of 3")
    expect(seen.get_by_role("button", name="Next")).to_be_disabled()
    nb.page.mouse.move(5, 5)
    shots(nb, {"space": SPACES, "toggler": TOGGLER, "browser": BROWSER})


def test_many_tasks_strange_names_and_errors_on_a_narrow_page(notebook):
    nb = notebook(
        BEGIN
        + "many = SpaceExplorer(tasks=5); space = viz_fakes.space(3, names=viz_fakes.HOSTILE)\n"
        "look = lambda gates: {'scores': {space.tasks[1]: {'<b>f1': sum(gates)}}} if any(gates) else {}\n"
        "toggler = EdgeToggler(look, space)\n"
        "display(many, toggler)",
        "",
    )
    alerts = []
    nb.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    nb.page.set_viewport_size({"width": 1130, "height": 900})  # leaves a cell about 700 pixels
    nb.run_all(until=".mtl-explorer svg[viewBox]")
    many, toggler = of(nb, SPACES), of(nb, TOGGLER)
    expect(many.locator(".mtl-facts")).to_contain_text("candidate edges 480")
    time.sleep(0.3)
    nb.shot("explorer-space-five-narrow", of=f'.mtl-explorer[aria-label="{SPACES}"]')
    many.locator(".mtl-of-backbone select").select_option("stages below")
    many.locator(".mtl-of-stages input").fill("64 x | 3")
    nb.page.set_viewport_size(
        {"width": 1120, "height": 900}
    )  # drawn anew while somebody types: the words stay
    time.sleep(0.3)
    nb.page.keyboard.press("Enter")
    expect(many.locator(".mtl-message")).to_contain_text("'x' is not a number of channels")
    nb.shot("explorer-space-error", of=f'.mtl-explorer[aria-label="{SPACES}"]')
    many.locator(".mtl-of-stages input").fill("8 8 | 16")
    nb.page.keyboard.press("Enter")
    expect(many.locator(".mtl-message")).to_be_hidden()
    toggler.get_by_role("button", name="All shut").click()
    expect(toggler.locator(".mtl-message")).to_contain_text("look gave no scores")
    toggler.get_by_role("button", name="All open").click()
    expect(toggler.locator(".mtl-message")).to_be_hidden()
    nb.shot("explorer-hostile-names", of=f'.mtl-explorer[aria-label="{TOGGLER}"]')
    assert (
        not alerts and nb.page.locator(".mtl-explorer script, .mtl-explorer table b").count() == 0
    )


PAGE = """<!DOCTYPE html><meta charset="utf-8"><style>%s</style><body><div id="here"></div><script type="module">%s
const state = %s, heard = {};
const model = {get: name => state[name], save_changes() {}, off() {}, on(name, act) { (heard[name] ||= []).push(act); },
  set(name, value) { state[name] = value; (heard[`change:${name}`] || []).forEach(act => act()); }};
shown.render({model, el: document.getElementById("here")});</script>"""


def test_without_a_kernel_it_still_computes(browser, tmp_path):
    """As in a saved page: nobody answers, the numbers are the page's own. 700 pixels wide."""
    from mtlnas_lab.widgets import EdgeMicroscope

    one = EdgeMicroscope()
    names = (
        "alpha",
        "gradient",
        "weight",
        "rate",
        "begin",
        "steps",
        "edges",
        "edge",
        "stage",
        "known",
        "message",
    )
    state = json.dumps({"frame": None, **{name: getattr(one, name) for name in names}})
    script = one._esm.replace("export default", "const shown =")
    (tmp_path / "page.html").write_text(PAGE % (one._css, script, state), encoding="utf-8")
    page, wrong = browser.new_page(viewport={"width": 716, "height": 560}), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    expect(page.locator("svg")).to_have_attribute("aria-label", re.compile("goes to 1"))
    page.locator(".mtl-of-gradient input").focus()
    page.keyboard.press("End")
    expect(page.locator("svg")).to_have_attribute("aria-label", re.compile("goes to 0"))
    page.locator(".mtl-of-gradient input").fill("0.3")
    SHOTS.mkdir(exist_ok=True)
    time.sleep(0.2)
    page.screenshot(path=SHOTS / "explorer-microscope-alone.png")
    page.close()
    assert not wrong


def test_eyes_are_covered_by_the_keyboard(notebook):
    nb = notebook(
        BEGIN + "def covered(visibility):\n"
        "    text = f'{visibility:.0%} like the map where it sees all'\n"
        "    return {'task': 'normals', 'caption': 'Maps: the mean over the channels.', 'pictures': {\n"
        "        'normals sees': (draw(8, 12), ''), 'normals:1, its own': (draw(8, 12), text),\n"
        "        'over the edge from segmentation:1': (draw(8, 12), text)}}\n"
        "eye = Blindfold(covered)\ndisplay(eye)",
        "",
    )
    nb.run_all(until=".mtl-explorer figure img")
    eye = of(nb, "Blindfold")
    expect(eye.locator("figure")).to_have_count(3)
    expect(eye.locator(".mtl-note").first).to_have_text("normals sees the image.")
    eye.locator(".mtl-of-visibility input").focus()
    nb.page.keyboard.press("Home")
    expect(eye.locator(".mtl-note").first).to_have_text("normals sees noise.")
    expect(eye.locator("figure small").first).to_contain_text("0% like the map")
    nb.page.keyboard.press("ArrowRight")
    expect(eye.locator(".mtl-note").first).to_contain_text("0.05 of the image, the rest noise")
    own = re.compile("^normals:1, its own: 5%")  # the picture comes a moment after the sentence
    expect(eye.locator("img").nth(1)).to_have_attribute("alt", own)
    assert nb.cell("print(eye.visibility)") == "0.05"
    shots(nb, {"blindfold": "Blindfold"})


def test_a_landscape_is_walked_by_keyboard_and_mouse(notebook):
    nb = notebook(
        BEGIN + "from widget_fakes import GraphTable\n"
        "from mtlnas_lab.core.space import SearchSpace, plan\n"
        "small = SearchSpace.build(dict.fromkeys(('segmentation', 'normals'), plan([8, 8, 16], [2, 1])))\n"
        "walk = LandscapeExplorer(GraphTable(small), graph=3)\ndisplay(walk)",
        "",
    )
    nb.run_all(until=".mtl-explorer svg[viewBox]")
    walk = of(nb, "Landscape explorer")
    svg = walk.locator("svg")
    expect(svg).to_have_attribute("aria-label", re.compile("^Graph 11000000: 2 of 8 edges"))
    svg.focus()
    nb.page.keyboard.press("ArrowRight")
    expect(walk.locator(".mtl-note").first).to_contain_text("is open; flipped, total changes by")
    nb.page.keyboard.press("Enter")
    expect(svg).to_have_attribute("aria-label", re.compile("^Graph 01000000: 1 of 8 edges"))
    flip = walk.get_by_role("button", name="Open segmentation:2 → normals:2")
    flip.focus()
    nb.page.keyboard.press("Enter")
    again = walk.get_by_role("button", name="Shut segmentation:2 → normals:2")
    expect(again).to_be_focused()
    assert nb.cell("print(walk.graph)") == "130"
    walk.locator(".mtl-of-by select").select_option("normals/loss")
    for _ in range(12):
        if walk.get_by_role("button", name="Best neighbour").is_disabled():
            break
        walk.get_by_role("button", name="Best neighbour").click()
        nb.page.wait_for_timeout(250)
    expect(walk.get_by_role("button", name="Best neighbour")).to_be_disabled()
    nb.page.mouse.move(5, 5)
    assert nb.cell("print(walk.by, bool((walk.changes() >= 0).all()))") == "normals/loss True"
    walk.get_by_role("button", name="No edge").click()
    expect(svg).to_have_attribute("aria-label", re.compile("^Graph 00000000"))
    points = svg.locator("circle[opacity]")
    expect(points).to_have_count(256)
    box = points.nth(255).bounding_box()  # the graph with all edges
    nb.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(svg).not_to_have_attribute("aria-label", re.compile("^Graph 00000000"))
    shots(nb, {"landscape": "Landscape explorer"})


def test_drawings_follow_the_theme_and_pictures_of_pixels_are_dimmed(notebook):
    nb = notebook(
        "from mtlnas_lab.course.theme import follow_theme\nfollow_theme()",
        "%matplotlib inline\nimport matplotlib.pyplot as plt",
        "plt.plot([1, 2])\nplt.show()",
        "plt.imshow([[1, 2]])\nplt.show()",
    )
    nb.run_all(until=".jp-RenderedImage img")
    images = nb.page.locator(".jp-RenderedImage img")
    expect(images).to_have_count(2)

    def shown(theme):
        change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        nb.page.evaluate(change, f"JupyterLab {theme}")
        is_light = str(theme == "Light").lower()
        nb.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{is_light}'")
        return images.evaluate_all("all => all.map(one => getComputedStyle(one).filter)")

    assert shown("Light") == ["none", "none"]
    drawing, pixels = shown("Dark")
    assert "invert" in drawing and pixels == "brightness(0.85)", "colours that mean something stay"
    assert shown("Light") == ["none", "none"]
