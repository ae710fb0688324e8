"""The studio as a person uses it: a real JupyterLab, a real browser, a mouse and a keyboard."""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ROOT = Path(__file__).parents[1]
SHOTS = ROOT / "test-output"
ARGUMENTS = ("--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
             "--disable-component-update --disable-sync").split()
pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="there is no chromium on this machine")]
SEARCH = f"""import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})
from widget_fakes import FakeSearch
from mtlnas_lab.widgets import SearchStudio, show
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(folder, address) of a JupyterLab of our own, with nothing of this machine's settings."""
    root = tmp_path_factory.mktemp("notebooks")
    settings = root / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(root / ".config"), "JUPYTERLAB_SETTINGS_DIR": str(root / ".settings"),
           "JUPYTERLAB_WORKSPACES_DIR": str(root / ".workspaces"), "JUPYTER_RUNTIME_DIR": str(root / ".runtime"),
           "IPYTHONDIR": str(root / ".ipython"), "OMP_NUM_THREADS": "1"}
    env.pop("MTLNAS_LAB_LIVE", None)
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=test",
         f"--ServerApp.root_dir={root}", "--LabApp.news_url=None",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token=test").close()
            break
        except OSError:
            time.sleep(0.1)
    yield root, f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as machinery:
        one = machinery.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield one
        one.close()


class Notebook:
    """A notebook in the browser, and a person in front of it."""

    def __init__(self, lab, browser, name, *cells):
        root, self.url = lab
        self.path = root / f"{name}.ipynb"
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=spec), self.path)
        self.page = browser.new_page(viewport={"width": 1340, "height": 900})
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.open()

    def open(self, reset="&reset"):
        self.page.goto(f"{self.url}/lab/tree/{self.path.name}?token=test{reset}")
        self.page.wait_for_selector(".jp-CodeCell")
        self.idle()

    def idle(self):
        self.page.wait_for_function("document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')", timeout=90_000)

    def menu(self, *names):
        self.page.click(f".lm-MenuBar-itemLabel:text-is('{names[0]}')")
        for name in names[1:]:
            self.page.click(f".lm-Menu-itemLabel:text-is('{name}')")

    def run_all(self):
        self.menu("Run", "Run All Cells")
        self.page.wait_for_selector(".mtl-studio canvas", timeout=60_000)

    def cell(self, text):
        """Type a cell at the end, run it, and return its output."""
        self.page.locator(".jp-Notebook .jp-CodeCell").last.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)
        before = self.page.locator(".jp-CodeCell").last.locator(".jp-InputArea-prompt").inner_text()
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            "was => { const all = document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt'); const now = "
            "all[all.length - 1].innerText; return now !== was && !now.includes('*') }", arg=before, timeout=60_000)
        return self.page.locator(".jp-CodeCell").last.locator(".jp-OutputArea").inner_text().strip()

    def step(self, which=0):
        return int(re.search(r"step (\d+)", self.page.locator(".mtl-where").nth(which).inner_text())[1])

    def wait_step(self, least, which=0):
        self.page.wait_for_function(
            "([least, which]) => +(document.querySelectorAll('.mtl-where')[which].innerText.match(/step (\\d+)/)[1]) >= least",
            arg=[least, which], timeout=60_000)

    def button(self, name, which=0):
        return self.page.locator(".mtl-studio").nth(which).get_by_role("button", name=name, exact=True)

    def mode(self, which=0):
        return self.page.locator(".mtl-mode").nth(which)

    def shot(self, name, whole=False):
        SHOTS.mkdir(exist_ok=True)
        target = self.page if whole else self.page.locator(".mtl-studio").first
        target.screenshot(path=SHOTS / f"studio-{name}.png")

    def close(self):
        self.menu("Kernel", "Shut Down Kernel") if not self.errors else None
        self.page.close()


@pytest.fixture
def notebook(lab, browser, request):
    opened = []

    def make(*cells):
        opened.append(Notebook(lab, browser, f"{request.node.name}-{len(opened)}", *cells))
        return opened[-1]
    yield make
    errors = [error for one in opened for error in one.errors]
    for one in opened:
        one.close()
    assert not errors


def settings_used(nb):
    """The λ of every step so far, as the kernel knows them."""
    return json.loads(nb.cell("import json; print(json.dumps(list(studio.log.column('entropy_weight'))))"))


def test_a_person_runs_pauses_steers_and_stops(notebook):
    nb = notebook(SEARCH + "studio = SearchStudio(FakeSearch(steps=4000, pause=0.01), title='Rooms')\nstudio", "")
    nb.run_all()
    expect(nb.mode()).to_have_text("ready")
    nb.shot("ready")
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
    nb.shot("running")
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
    nb.shot("forced-and-scrubbed")
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
    nb.shot("finished-dark")
    nb.menu("Settings", "Theme", "JupyterLab Light")
    expect(nb.page.locator(".mtl-studio:not([data-dark])")).to_be_attached()
    time.sleep(0.3)
    nb.shot("finished-light")


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
    nb.shot("hostile-names")
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
