"""The studio as a person uses it: a real JupyterLab, a real browser, a mouse and a keyboard."""

# ruff: noqa: E402, F401, F811 (fixtures are imported)
import importlib.util
import json
import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from browsing import (
    ROOT,
    SHOTS,
    browser,
    expect,
    free_port,
    in_browser,
    nbformat,
    notebook,
    pages,
    wait_for,
)

pytestmark = in_browser
SEARCH = f"""import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
from widget_fakes import FakeSearch
from mtlnas_lab.widgets import SearchStudio, show
"""


def settings_used(nb):
    """The λ of every step so far, as the kernel knows them."""
    return json.loads(
        nb.cell("import json; print(json.dumps(list(studio.log.column('entropy_weight'))))")
    )


def point_at_an_edge(nb):
    """The mouse goes over the matrix of gates until an edge lights up."""
    nb.page.locator(".mtl-canvas").scroll_into_view_if_needed()
    box = nb.page.locator(".mtl-canvas").bounding_box()
    for share in range(60, 98):
        nb.page.mouse.move(box["x"] + share / 100 * box["width"], box["y"] + 0.2 * box["height"])
        nb.page.wait_for_timeout(60)
        if nb.page.locator(".mtl-edge b").count():
            return
    raise AssertionError("no edge lights up")


def test_a_person_runs_pauses_steers_and_stops(notebook):
    nb = notebook(
        SEARCH
        + "studio = SearchStudio(lambda: FakeSearch(steps=4000, pause=0.03), title='Rooms')\nstudio",
        "",
    )
    nb.run_all()
    expect(nb.mode()).to_have_text("ready")
    nb.shot("studio-ready")
    nb.button("Start").click()
    nb.wait_step(20)
    nb.page.locator(".mtl-entropy_weight input").focus()
    nb.page.keyboard.press("End")  # by keyboard
    nb.wait_step(nb.step() + 10)
    slider = nb.page.locator(".mtl-entropy_weight input").bounding_box()  # by mouse
    nb.page.mouse.move(slider["x"] + slider["width"] - 8, slider["y"] + 8)
    nb.page.mouse.down()
    nb.page.mouse.move(slider["x"] + slider["width"] * 0.5, slider["y"] + 8, steps=6)
    nb.page.mouse.up()
    nb.wait_step(nb.step() + 20)
    nb.shot("studio-running")
    nb.button("Pause").click()
    expect(nb.mode()).to_have_text("paused")
    time.sleep(0.3)
    at = nb.step()
    time.sleep(0.3)
    assert nb.step() == at
    nb.button("Step").click()
    nb.wait_step(at + 1)
    time.sleep(0.2)
    assert nb.step() == at + 1
    used = settings_used(nb)  # cells run beside it
    assert 20.0 in used and 8.0 <= used[-1] <= 12.0
    knob, named = nb.page.locator(".mtl-entropy_weight"), nb.page.locator(".mtl-edge b")
    knob.locator("input").focus()
    nb.page.keyboard.press("Home")
    time.sleep(1)
    point_at_an_edge(nb)  # by mouse: point, keep, let go
    expect(knob.locator("output")).to_have_text(
        "0.000"
    )  # what was asked for stays, also in a pause
    assert knob.locator("input").input_value() == "0"
    expect(named).to_have_text(re.compile(" → "))
    there = named.inner_text()
    nb.page.mouse.down()
    nb.page.mouse.up()
    expect(nb.button("Open by force")).to_be_visible()
    nb.page.mouse.move(5, 5)
    expect(named).to_have_text(there)
    point_at_an_edge(nb)
    nb.page.locator(".mtl-canvas").press("Escape")
    nb.page.mouse.move(5, 5)
    expect(named).to_have_count(0)
    nb.page.locator(".mtl-canvas").focus()
    for _ in range(3):
        nb.page.keyboard.press("ArrowRight")
    assert nb.cell("print(studio.view.pinned)") == "2"
    expect(nb.page.locator(".mtl-edge b")).to_have_text(re.compile(" → "))
    nb.button("Open by force").click()
    expect(nb.page.locator(".mtl-edge")).to_contain_text("forced open")  # before any step
    nb.button("Step").click()
    nb.wait_step(at + 2)
    expect(nb.page.locator(".mtl-edge")).to_contain_text("forced open")
    nb.page.locator(".mtl-scrub").focus()
    for _ in range(5):
        nb.page.keyboard.press("ArrowLeft")
    assert int(nb.cell("print(studio.view.at)")) > 0
    expect(nb.page.locator(".mtl-edge")).not_to_contain_text("forced")  # at that step it was free
    assert settings_used(nb)[-1] == 0.0
    nb.shot("studio-forced-and-scrubbed")
    nb.page.locator(".mtl-time button:text-is('Latest')").click()
    nb.button("Stop and keep").click()
    expect(nb.mode()).to_have_text("stopped")
    assert "edges kept" in nb.cell("studio.architecture")
    nb.button("Go on").click()
    nb.wait_step(at + 10)
    nb.button("Replay").click()
    nb.button("Reset").click()
    expect(nb.mode()).to_have_text("ready")
    assert nb.step() == 0
    nb.button("Start").click()
    nb.wait_step(3)


def test_dark_theme_in_a_large_space_with_hostile_names(notebook):
    nb = notebook(
        SEARCH + "import viz_fakes\n"
        "space = viz_fakes.space(5, plan=viz_fakes.RESNET, names=viz_fakes.HOSTILE)\n"
        "studio = SearchStudio(FakeSearch(space=space, steps=120, pause=0.02, evaluate_every=20), "
        "title='<img src=x onerror=alert(1)>')\nstudio",
        "",
    )
    alerts = []
    nb.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    nb.run_all()
    nb.button("Start").click()
    nb.wait_step(40)
    nb.menu("Settings", "Theme", "JupyterLab Dark")
    expect(nb.page.locator(".mtl-studio[data-dark]")).to_be_attached()
    expect(nb.mode()).to_have_text("finished", timeout=60_000)
    box = nb.page.locator(".mtl-canvas").bounding_box()
    nb.page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.3 * box["height"])
    nb.page.locator(".mtl-canvas").focus()
    nb.page.keyboard.press("ArrowRight")
    expect(nb.page.locator(".mtl-edge b")).to_contain_text("→")
    time.sleep(0.3)
    nb.shot("studio-hostile-dark")
    nb.menu("Settings", "Theme", "JupyterLab Light")
    expect(nb.page.locator(".mtl-studio:not([data-dark])")).to_be_attached()
    time.sleep(0.3)
    nb.shot("studio-hostile-light")
    assert not alerts and nb.page.locator(".mtl-studio img, .mtl-studio script").count() == 0


def test_saved_with_its_picture_reloaded_and_seen_in_a_second_tab(notebook, browser):
    nb = notebook(
        SEARCH + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.03))\nstudio", ""
    )
    nb.run_all()
    nb.button("Start").click()
    nb.wait_step(60)
    nb.button("Stop and keep").click()
    expect(nb.mode()).to_have_text("stopped")
    deadline = time.monotonic() + 30
    while "image/png" not in (saved := nb.saved()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert "image/png" in saved and "widget-view" in saved and len(saved) < 400_000
    nb.button("Go on").click()
    at = nb.step()
    nb.wait_step(at + 5)
    nb.open(reset="")
    nb.page.wait_for_selector(".mtl-studio canvas", timeout=60_000)
    nb.wait_step(at + 10)
    other = browser.new_page(viewport={"width": 1100, "height": 800})
    other.goto(f"{nb.url}/lab/workspaces/two/tree/{nb.path.name}?token=test")
    other.wait_for_selector(".mtl-studio canvas", timeout=60_000)
    other.locator(".mtl-studio").get_by_role("button", name="Pause", exact=True).click()
    expect(other.locator(".mtl-mode")).to_have_text("paused")
    nb.page.bring_to_front()  # a page behind another one draws nothing
    expect(nb.mode()).to_have_text("paused")
    other.close()
    assert nb.cell("show()") is not None
    expect(nb.page.locator(".mtl-studio")).to_have_count(2)


def test_run_again_interrupted_and_restarted(notebook):
    nb = notebook(
        SEARCH
        + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.03))\nALL = [*globals().get('ALL', []), studio]\n"
        "studio",
        "",
    )
    nb.run_all()
    nb.button("Start").click()
    nb.wait_step(10)
    nb.page.locator(".jp-CodeCell").first.locator(".cm-content").click()
    nb.page.keyboard.press("Control+Enter")  # a cell that is run again replaces its search
    expect(nb.mode()).to_have_text("ready")
    assert nb.cell("print([one.source.mode for one in ALL])") == "['stopped', 'ready']"
    nb.button("Start").click()
    nb.wait_step(10)
    nb.menu("Kernel", "Interrupt Kernel")
    expect(nb.mode()).to_have_text("stopped", timeout=10_000)
    assert nb.cell("print(1 + 1)") == "2"
    nb.menu("Kernel", "Restart Kernel and Run All Cells…")
    nb.page.click(".jp-Dialog button.jp-mod-accept")
    expect(nb.mode()).to_have_text("ready", timeout=60_000)
    nb.button("Start").click()
    nb.wait_step(3)
    assert nb.cell("print(len(ALL))") == "1"


REAL = f"""import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
import torch; torch.set_num_threads(1)
from dataclasses import replace
from mtlnas_lab import Search, presets
from mtlnas_lab.experiments.scores import scores_now
from mtlnas_lab.runs.recorder import Recorded
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.widgets import SearchStudio
lab = presets.tiny(seed=0)
config = replace(presets.preset("tiny").search, steps=20, batch_size=2, alpha_lr=0.3, evaluate_every=0)
folder = RunWriter.create("FOLDER", config.to_json(), lab.space)
studio = SearchStudio(Recorded(Search(lab, config, evaluate=scores_now), folder, checkpoint_every=5), title="Rooms")
"""


def test_branching_discretising_and_staying_in_step(notebook, tmp_path):
    """A real search, recorded: what would it be worth now, and what if λ had been another from step 10 on?"""
    nb = notebook(REAL.replace("FOLDER", str(tmp_path / "run")), "studio", "")
    nb.run_all()
    nb.button("Step").click()
    nb.wait_step(1)
    expect(nb.button("Discretize now")).to_be_enabled()
    nb.button("Discretize now").click()
    nb.page.wait_for_function(
        "document.querySelector('.mtl-canvas').ariaLabel.includes(' hard')", timeout=60_000
    )
    nb.button("Start").click() if nb.button("Start").is_visible() else nb.button("Go on").click()
    expect(nb.mode()).to_have_text("finished", timeout=90_000)
    nb.page.locator(".mtl-scrub").first.focus()
    nb.page.keyboard.press("Home")
    for _ in range(11):
        nb.page.keyboard.press("ArrowRight")
    nb.button("Branch from 10").click()
    expect(nb.page.locator(".mtl-studio")).to_have_count(2)
    expect(nb.mode(1)).to_have_text("ready")
    knob = nb.page.locator(".mtl-studio").nth(1).locator(".mtl-entropy_weight input")
    knob.focus()
    nb.page.keyboard.press("End")
    nb.button("Go on", 1).click()
    expect(nb.mode(1)).to_have_text("finished", timeout=60_000)
    texts = nb.page.locator(".mtl-time output")
    for key, step in (("Home", "step 1"), ("ArrowRight", "step 2"), ("End", "step 20")):
        nb.page.locator(".mtl-scrub").nth(1).focus()
        nb.page.keyboard.press(key)
        expect(texts.nth(0)).to_have_text(step)
        expect(texts.nth(1)).to_have_text(step)
    nb.button("Replay", 0).click()
    nb.page.wait_for_function(
        "() => { const [a, b] = [...document.querySelectorAll('.mtl-time output')].map(o => o.textContent);"
        " return a === b && a !== 'step 20' && a !== 'step 1' }",
        timeout=20_000,
    )
    nb.shot("studio-branch", of=".widget-gridbox, .jp-OutputArea-output:has(.mtl-studio)")
    assert (
        nb.cell(
            "import numpy as np; other = studio._others[0].log.alpha; print(np.array_equal(other[:10], studio.log.alpha[:10]), "
            "np.array_equal(other[10:], studio.log.alpha[10:]), studio._others[0].log.steps[-1].entropy_weight)"
        )
        == "True False 20.0"
    )
    nb.button("Close", 1).click()
    expect(nb.page.locator(".mtl-studio")).to_have_count(1)


EYES = """import torch; torch.set_num_threads(1)
from dataclasses import replace
from mtlnas_lab import Search, presets
from mtlnas_lab.widgets import SearchStudio
lab = presets.tiny(seed=0)
see, given = lab.see, []
lab.see = lambda *batch: (given.append(dict(lab.visibility)), see(*batch))[1]
config = replace(presets.preset("tiny").search, steps=2000, batch_size=2, evaluate_every=0)
search = Search(lab, config)
studio = SearchStudio(search, title="Rooms", plain=PLAIN)
"""
PIXELS = """() => [...document.querySelectorAll('.mtl-eye canvas')].map(one => (
  [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data].filter((_, k) => k % 4 < 3)))"""


@pytest.mark.parametrize("plain", [False, True], ids=["full", "plain"])
def test_an_eye_is_covered_by_mouse_and_by_keyboard(notebook, plain):
    """A real search: what its network is given next, what the picture shows at once, what the log and the page keep."""
    nb = notebook(EYES.replace("PLAIN", str(plain)) + "studio", "")
    nb.run_all()
    eye, other = (
        nb.page.get_by_role("slider", name=f"how much {task}'s network sees")
        for task in ("segmentation", "normals")
    )
    value = nb.page.locator(".mtl-eye output").first
    expect(value).to_have_text("100 %")
    picture = (
        "import json\nfrom mtlnas_lab.data.dataset import picture\nimage, _ = "
        "lab.data['test'].batch(torch.tensor([0]))\nprint(json.dumps(picture(image[0]).ravel().tolist()))"
    )
    whole = json.loads(nb.cell(picture))
    assert nb.page.evaluate(PIXELS) == [whole, whole]
    assert nb.page.locator(".mtl-knobs label").count() == (1 if plain else 6)
    nb.cell("None")  # its output made the page long
    nb.button("Start").click()
    nb.wait_step(2)

    eye.scroll_into_view_if_needed()  # by mouse
    box = eye.bounding_box()
    nb.page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    nb.page.mouse.down()
    before = nb.page.evaluate(PIXELS)
    for share in (0.8, 0.6, 0.4, 0.3):
        nb.page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        faded = nb.page.evaluate(PIXELS)
        assert (
            faded[0] != before[0] and faded[1] == before[1] == whole
        )  # at once, and this eye alone
        before = faded
    nb.page.mouse.up()
    expect(value).to_have_text(re.compile("^(25|30|35) %$"))
    v = int(value.inner_text().split()[0]) / 100
    given = "print(json.dumps(given[-1]))"
    nb.wait_cell(given, json.dumps({"segmentation": v}))
    nb.wait_step(nb.step() + 3)
    expect(value).to_have_text(f"{100 * v:.0f} %")
    told = "step = len(studio.log.steps)\nprint(studio.log.turned[-1].knobs, studio.log.visibility(step))"
    assert nb.cell(told) == f"{{'visibility': {{'segmentation': {v}}}}} {{'segmentation': {v}}}"
    assert f"segmentation sees {100 * v:.0f} %" in nb.cell("studio.view.marks['turned'][-1]")

    eye.focus()  # by keyboard
    nb.page.keyboard.press("Home")
    nb.page.keyboard.press("ArrowRight")
    nb.page.keyboard.press("ArrowRight")
    expect(value).to_have_text("10 %")
    assert eye.get_attribute("aria-valuetext") == "10 %"
    assert nb.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    other.focus()
    nb.page.keyboard.press("End")
    nb.page.keyboard.press("PageDown")
    sees = float(other.input_value())
    assert 0.7 <= sees < 1
    nb.wait_cell(given, json.dumps({"segmentation": 0.1, "normals": sees}))
    nb.wait_step(nb.step() + 3)
    expect(value).to_have_text("10 %")
    nb.shot(f"eyes-{'plain' if plain else 'full'}")

    nb.button("Pause").click()
    expect(nb.mode()).to_have_text("paused")
    nb.page.locator(".mtl-scrub").focus()
    nb.page.keyboard.press("Home")
    expect(value).to_have_text("100 %")  # as it was at that step
    assert nb.page.evaluate(PIXELS)[0] == whole
    nb.page.locator(".mtl-time button:text-is('Latest')").click()
    expect(value).to_have_text("10 %")
    nb.page.locator(".mtl-scrub").press("Home")
    eye.press("Home")  # what is turned there is turned now
    expect(value).to_have_text("0 %")
    assert nb.cell("print(studio.view.at)") == "-1"
    nb.button("Step").click()
    nb.wait_step(nb.step() + 1)
    assert json.loads(nb.cell(given))["segmentation"] == 0.0
    nb.button("Stop and keep").click()


WIDTHS = (1600, 1400, 1100, 900)  # of the window
LAID = """() => {
  const root = document.querySelector('.mtl-studio'), top = root.getBoundingClientRect().top;
  const words = [...root.querySelectorAll('.mtl-top button, .mtl-head span, .mtl-knobs span, .mtl-eyes span')].filter(one => one.offsetParent);
  return {canvas: Math.round(root.querySelector('.mtl-canvas').getBoundingClientRect().top - top),
    cut: words.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)};
}"""


def test_the_panel_stands_still_and_nothing_is_cut_at_any_width(notebook):
    """A button that came with Start had moved the others to a second line, and all below them down."""
    nb = notebook(
        SEARCH
        + "studio = SearchStudio(lambda: FakeSearch(steps=100000, pause=0.03, evaluate_every=50), "
        "title='Rooms: segmentation + normals')\nstudio",
        "",
    )
    nb.run_all()

    def laid(state):
        found = {}
        for width in WIDTHS:
            nb.page.set_viewport_size({"width": width, "height": 900})
            nb.page.wait_for_timeout(400)
            found[width] = nb.page.evaluate(LAID)
            assert found[width]["cut"] == [], (state, width)
        return {width: one["canvas"] for width, one in found.items()}

    for theme in ("Light", "Dark"):
        ready = laid("ready")
        nb.page.set_viewport_size({"width": 1340, "height": 900})
        nb.button("Start").click()
        nb.wait_step(60)
        edge = "segmentation:10 -> normals:10"
        nb.cell(f"studio.turn(force={{{edge!r}: False}}); None")
        assert laid("running") == ready
        for width in (1400, 1100):
            nb.page.set_viewport_size({"width": width, "height": 900})
            nb.shot(f"studio-{width}-{theme.lower()}")
        nb.page.set_viewport_size({"width": 1340, "height": 900})
        nb.button("Pause").click()
        expect(nb.mode()).to_have_text("paused")
        assert laid("paused") == ready
        nb.page.set_viewport_size({"width": 1340, "height": 900})
        nb.button("Stop and keep").click()
        expect(nb.mode()).to_have_text("stopped")
        assert laid("stopped") == ready
        nb.page.set_viewport_size({"width": 1340, "height": 900})
        nb.button("Reset").click()
        nb.menu("Settings", "Theme", "JupyterLab Dark")
        expect(nb.page.locator(".mtl-studio[data-dark]")).to_be_attached()
    nb.menu("Settings", "Theme", "JupyterLab Light")


SLOWLY = """import time
import matplotlib.pyplot as plt
figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for number, ax in enumerate(axes):
    time.sleep(0.5)
    plot_gates(run, ax=ax, style="web-light", title=f"part {number}")
    time.sleep(0.5)
plt.show()
"""
RECORDED = f"""%matplotlib inline
from mtlnas_lab import Run
from mtlnas_lab.viz import plot_gates
from mtlnas_lab.widgets import ReplayScrubber, SearchStudio
run = Run.open({str(ROOT / "data_samples" / "runs" / "entropy")!r})
"""


@pytest.mark.parametrize(
    "panel, play, stop",
    [
        pytest.param("ReplayScrubber(run)", "Play", "Pause", id="the replay of notebook 00"),
        pytest.param(  # the studio's own page beside a cell that draws: quickly in test_jupyter.py
            "studio = SearchStudio(run.log)\nstudio",
            "Replay",
            "Pause replay",
            id="the studio of notebook 06",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_cell_that_draws_while_a_replay_plays_has_its_whole_picture(notebook, panel, play, stop):
    """Each message of the replay made matplotlib send off the figure that the cell had half drawn."""
    nb = notebook(RECORDED + panel, "")
    nb.run_all(until=".mtl-studio")
    picture = nb.page.locator(".jp-CodeCell").last.locator(".jp-OutputArea img")

    def drawn():
        nb.cell(SLOWLY)
        expect(picture).to_have_count(1)
        return picture.get_attribute("src")

    quiet = drawn()
    moved = "() => document.querySelector('.mtl-time output').textContent"
    for _ in range(3):
        nb.page.locator(".mtl-time select").select_option(index=0)  # as slowly as can be
        nb.button(play).click()
        expect(nb.button(stop)).to_be_visible()
        before = nb.page.evaluate(moved)
        assert drawn() == quiet
        assert nb.page.evaluate(moved) != before, "nothing moved meanwhile"
        nb.button(stop).click() if nb.button(stop).is_visible() else None


def test_it_follows_a_run_that_runs_elsewhere(notebook, tmp_path):
    writer = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "widget_fakes.py"), str(tmp_path / "run")]
    )
    try:
        nb = notebook(SEARCH + f"studio = SearchStudio({str(tmp_path / 'run')!r})\nstudio", "")
        nb.run_all()
        nb.wait_step(30)
        expect(nb.mode()).to_have_text("followed")
        nb.page.locator(".mtl-entropy_weight input").focus()
        nb.page.keyboard.press("End")
        nb.page.wait_for_function(
            "document.querySelector('.mtl-canvas').ariaLabel.includes('entropy weight 20.0')",
            timeout=20_000,
        )
    finally:
        writer.kill()
        writer.wait()


def test_replay_page_stands_alone(browser, tmp_path):
    import viz_fakes

    from mtlnas_lab.widgets import replay_html

    (tmp_path / "run.html").write_text(
        replay_html(viz_fakes.log(viz_fakes.space(), steps=200), title="<b>Rooms</b>"),
        encoding="utf-8",
    )
    asked, wrong = [], []
    page = browser.new_page(viewport={"width": 1000, "height": 760})
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "run.html").as_uri())
    expect(page.locator(".mtl-title")).to_have_text("<b>Rooms</b>")
    page.locator(".mtl-scrub").focus()
    page.keyboard.press("Home")
    expect(page.locator(".mtl-time output")).to_have_text("step 1")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".mtl-time output")).to_have_text(re.compile(r"step [1-9]\d+"))
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / "replay-page.png", full_page=True)
    page.close()
    assert not wrong and len(asked) == 1


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("voila") is None,
    reason="voila is not installed: pip install 'mtlnas-lab[app]'",
)
def test_the_same_notebook_as_an_app(browser, tmp_path):
    """Voilà runs the notebook and shows its outputs only; the studio works there as in JupyterLab."""
    cells = [
        nbformat.v4.new_code_cell(
            SEARCH
            + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.01), title='Rooms')\nstudio"
        )
    ]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=spec), tmp_path / "app.ipynb")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "voila", "app.ipynb", "--no-browser", f"--port={port}"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/")
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector(".mtl-studio canvas", timeout=90_000)
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_function(
            "+document.querySelector('.mtl-where')?.innerText.match(/step (\\d+)/)?.[1] > 20",
            timeout=60_000,
        )
        page.locator(".mtl-entropy_weight input").focus()
        page.keyboard.press("End")
        page.wait_for_function(
            "document.querySelector('.mtl-canvas').ariaLabel.includes('entropy weight 20.0')",
            timeout=20_000,
        )
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / "studio-voila.png")
        page.close()
    finally:
        server.terminate()
        server.wait(20)
