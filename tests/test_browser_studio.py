"""The studio as a person uses it: a real JupyterLab, a real browser, a mouse and a keyboard."""
import json
import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from browsing import ROOT, SHOTS, browser, expect, in_browser, lab, notebook  # noqa: F401, E402 (fixtures)

pytestmark = in_browser
SEARCH = f"""import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})
from widget_fakes import FakeSearch
from mtlnas_lab.widgets import SearchStudio, show
"""


def settings_used(nb):
    """The λ of every step so far, as the kernel knows them."""
    return json.loads(nb.cell("import json; print(json.dumps(list(studio.log.column('entropy_weight'))))"))


def test_a_person_runs_pauses_steers_and_stops(notebook):
    nb = notebook(SEARCH + "studio = SearchStudio(FakeSearch(steps=4000, pause=0.01), title='Rooms')\nstudio", "")
    nb.run_all()
    expect(nb.mode()).to_have_text("ready")
    nb.shot("studio-ready")
    nb.button("Start").click()
    nb.wait_step(20)
    nb.page.locator(".mtl-entropy_weight input").focus()
    nb.page.keyboard.press("End")                                        # by keyboard
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
    used = settings_used(nb)                                             # cells run beside it
    assert 20.0 in used and 8.0 <= used[-1] <= 12.0
    nb.page.locator(".mtl-canvas").focus()
    for _ in range(3):
        nb.page.keyboard.press("ArrowRight")
    assert nb.cell("print(studio.view.pinned)") == "2"
    expect(nb.page.locator(".mtl-edge b")).to_have_text(re.compile(" → "))
    nb.button("Open by force").click()
    nb.button("Step").click()
    nb.wait_step(at + 2)
    expect(nb.page.locator(".mtl-edge")).to_contain_text("forced open")
    nb.page.locator(".mtl-scrub").focus()
    for _ in range(5):
        nb.page.keyboard.press("ArrowLeft")
    assert int(nb.cell("print(studio.view.at)")) > 0
    nb.shot("studio-forced-and-scrubbed")
    nb.page.locator(".mtl-time button:text-is('Latest')").click()
    nb.button("Stop and keep").click()
    expect(nb.mode()).to_have_text("stopped")
    assert "edges kept" in nb.cell("studio.architecture")
    nb.button("Go on").click()
    nb.wait_step(at + 10)


def test_dark_theme(notebook):
    nb = notebook(SEARCH + "studio = SearchStudio(FakeSearch(steps=400, pause=0.002), title='Rooms')\nstudio", "")
    nb.run_all()
    nb.button("Start").click()
    nb.wait_step(60)
    nb.menu("Settings", "Theme", "JupyterLab Dark")
    expect(nb.page.locator(".mtl-studio[data-dark]")).to_be_attached()
    expect(nb.mode()).to_have_text("finished", timeout=60_000)
    box = nb.page.locator(".mtl-canvas").bounding_box()
    nb.page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.4 * box["height"])
    time.sleep(0.3)
    nb.shot("studio-finished-dark")
    nb.menu("Settings", "Theme", "JupyterLab Light")
    expect(nb.page.locator(".mtl-studio:not([data-dark])")).to_be_attached()
    time.sleep(0.3)
    nb.shot("studio-finished-light")


def test_the_page_is_reloaded_and_a_second_tab_sees_the_same(notebook, browser):
    nb = notebook(SEARCH + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.01))\nstudio", "")
    nb.run_all()
    nb.button("Start").click()
    nb.wait_step(10)
    nb.page.keyboard.press("Control+S")
    nb.menu("File", "Save Notebook")
    time.sleep(0.5)
    at = nb.step()
    nb.open(reset="")
    nb.page.wait_for_selector(".mtl-studio canvas", timeout=60_000)
    nb.wait_step(at + 5)
    other = browser.new_page(viewport={"width": 1100, "height": 800})
    other.goto(f"{nb.url}/lab/workspaces/two/tree/{nb.path.name}?token=test")
    other.wait_for_selector(".mtl-studio canvas", timeout=60_000)
    other.locator(".mtl-studio").get_by_role("button", name="Pause", exact=True).click()
    expect(other.locator(".mtl-mode")).to_have_text("paused")
    nb.page.bring_to_front()                                             # a page behind another one draws nothing
    expect(nb.mode()).to_have_text("paused")
    other.close()
    assert nb.cell("show()") is not None
    expect(nb.page.locator(".mtl-studio")).to_have_count(2)


def test_interrupting_the_kernel_stops_the_search(notebook):
    nb = notebook(SEARCH + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.01))\nstudio", "")
    nb.run_all()
    nb.button("Start").click()
    nb.wait_step(10)
    nb.menu("Kernel", "Interrupt Kernel")
    expect(nb.mode()).to_have_text("stopped", timeout=10_000)
    assert nb.cell("print(1 + 1)") == "2"


def test_a_cell_that_is_run_again_replaces_its_search(notebook):
    nb = notebook(SEARCH + "studio = SearchStudio(FakeSearch(steps=100000, pause=0.01))\nALL = [*globals().get('ALL', []), studio]\n"
                  "studio.start()", "")
    nb.run_all()
    nb.wait_step(10)
    nb.page.locator(".jp-CodeCell").first.locator(".cm-content").click()
    nb.page.keyboard.press("Control+Enter")
    time.sleep(1)
    nb.wait_step(10)
    assert nb.cell("print([one.source.mode for one in ALL])") == "['stopped', 'running']"


def test_it_follows_a_run_that_runs_elsewhere(notebook, tmp_path):
    writer = subprocess.Popen([sys.executable, str(ROOT / "tests" / "widget_fakes.py"), str(tmp_path / "run")])
    try:
        nb = notebook(SEARCH + f"studio = SearchStudio({str(tmp_path / 'run')!r})\nstudio", "")
        nb.run_all()
        nb.wait_step(30)
        expect(nb.mode()).to_have_text("followed")
        nb.page.locator(".mtl-entropy_weight input").focus()
        nb.page.keyboard.press("End")
        nb.page.wait_for_function("document.querySelector('.mtl-canvas').ariaLabel.includes('entropy weight 20.0')", timeout=20_000)
    finally:
        writer.kill()
        writer.wait()


def test_names_are_text(notebook):
    nb = notebook(SEARCH + "import viz_fakes\n"
                  "space = viz_fakes.space(3, names=viz_fakes.HOSTILE)\n"
                  "studio = SearchStudio(FakeSearch(space=space, steps=60, pause=0), title='<img src=x onerror=alert(1)>')\nstudio", "")
    alerts = []
    nb.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    nb.run_all()
    nb.button("Start").click()
    expect(nb.mode()).to_have_text("finished", timeout=30_000)
    nb.page.locator(".mtl-canvas").focus()
    nb.page.keyboard.press("ArrowRight")
    time.sleep(0.3)
    nb.shot("studio-hostile-names")
    assert not alerts and nb.page.locator(".mtl-studio img, .mtl-studio script").count() == 0


def test_replay_page_stands_alone(browser, tmp_path):
    import viz_fakes
    from mtlnas_lab.widgets import replay_html

    (tmp_path / "run.html").write_text(replay_html(viz_fakes.log(viz_fakes.space(), steps=200), title="<b>Rooms</b>"), encoding="utf-8")
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
