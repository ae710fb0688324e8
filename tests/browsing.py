"""A real JupyterLab, a real browser, a person in front of a notebook: what the browser tests share."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
expect.set_options(timeout=15_000)  # of a machine that does other things too

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ROOT = Path(__file__).parents[1]
SHOTS = ROOT / "test-output"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
in_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="there is no chromium on this machine"),
]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(address):
    """Until a server answers there."""
    for _ in range(600):
        try:
            urllib.request.urlopen(address).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing answers at {address}")


@contextmanager
def serve(root):
    """(folder, address) of a JupyterLab of our own, with nothing of this machine's settings."""
    settings = root / ".settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    port = free_port()
    env = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(root / ".config"),
        "JUPYTERLAB_SETTINGS_DIR": str(root / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / ".workspaces"),
        "JUPYTER_RUNTIME_DIR": str(root / ".runtime"),
        "IPYTHONDIR": str(root / ".ipython"),
        "OMP_NUM_THREADS": "1",
    }
    env.pop("MTLNAS_LAB_LIVE", None)
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--IdentityProvider.token=test",
            f"--ServerApp.root_dir={root}",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.expose_app_in_browser=True",
        ],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:  # a server that is left behind leaves its searches running
        wait_for(f"http://127.0.0.1:{port}/api/status?token=test")
        yield root, f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def chromium():
    with playwright.sync_playwright() as machinery:
        one = machinery.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield one
        one.close()


@pytest.fixture(scope="module")
def browser():
    """Not for longer than a module: while it is open, nothing else of this process may wait with asyncio."""
    with chromium() as one:
        yield one


VIEWPORT = {"width": 1340, "height": 900}


class Notebook:
    """A notebook in the browser, and a person in front of it. kernel: the one to take, by its id; else it gets a new one."""

    def __init__(self, lab, page, name, *cells, kernel=None):
        root, self.url = lab
        self.path = root / f"{name}.ipynb"
        self.page = page
        self.errors = []
        page.on("pageerror", self._heard)
        self.write(cells)
        if not page.url.startswith(self.url):
            page.goto(f"{self.url}/lab?token=test&reset")
            page.wait_for_function("window.jupyterapp")
        self.open_here(kernel)

    def _heard(self, error):
        self.errors.append(str(error))

    def write(self, cells):
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(
            nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=spec
            ),
            self.path,
        )

    def open_here(self, kernel=None):
        """In the JupyterLab that the page shows: to load it anew takes longer than most of what a person does there."""
        self.page.set_viewport_size(VIEWPORT)
        self.page.mouse.move(0, 0)
        self.page.evaluate(OPEN, [self.path.name, kernel and {"id": kernel}])
        self.page.wait_for_selector(".jp-CodeCell")
        self.idle()

    def open(self, reset="&reset"):
        self.page.goto(f"{self.url}/lab/tree/{self.path.name}?token=test{reset}")
        self.page.wait_for_selector(".jp-CodeCell")
        self.idle()

    def idle(self):
        self.page.wait_for_function(
            "document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')",
            timeout=90_000,
        )

    def menu(self, *names):
        self.page.click(f".lm-MenuBar-itemLabel:text-is('{names[0]}')")
        for name in names[1:]:
            self.page.click(f".lm-Menu-itemLabel:text-is('{name}')")

    def run_all(self, until=".mtl-studio canvas"):
        self.menu("Run", "Run All Cells")
        self.page.wait_for_selector(until, timeout=60_000)

    def cell(self, text, timeout=60):
        """Type a cell at the end, run it, and return its output. timeout: seconds."""
        self.page.locator(".jp-Notebook .jp-CodeCell").last.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)
        before = self.page.locator(".jp-CodeCell").last.locator(".jp-InputArea-prompt").inner_text()
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            "was => { const all = document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt'); const now = "
            "all[all.length - 1].innerText; return now !== was && !now.includes('*') }",
            arg=before,
            timeout=1000 * timeout,
        )
        return self.page.locator(".jp-CodeCell").last.locator(".jp-OutputArea").inner_text().strip()

    def saved(self):
        """The notebook's file, after saving it."""
        self.menu("File", "Save Notebook")
        self.page.wait_for_function("!document.querySelector('.jp-mod-dirty')", timeout=30_000)
        return self.path.read_text(encoding="utf-8")

    def step(self, which=0):
        self.wait_step(0, which)
        return int(
            re.search(r"step (\d+)", self.page.locator(".mtl-where").nth(which).inner_text())[1]
        )

    def wait_step(self, least, which=0):
        self.page.wait_for_function(
            "([least, which]) => +(document.querySelectorAll('.mtl-where')[which]?.innerText.match(/step (\\d+)/)?.[1]) >= least",
            arg=[least, which],
            timeout=60_000,
        )

    def wait_cell(self, code, said):
        """Runs a cell until it prints `said`: a message of the page takes its time to the kernel, and a step to be done."""
        for _ in range(100):
            printed = self.cell(code)
            if printed == said:
                return
            self.page.wait_for_timeout(200)
        raise AssertionError(f"{code} still prints {printed}, not {said}")

    def button(self, name, which=0):
        return (
            self.page.locator(".mtl-studio").nth(which).get_by_role("button", name=name, exact=True)
        )

    def mode(self, which=0):
        return self.page.locator(".mtl-mode").nth(which)

    def shot(self, name, whole=False, of=".mtl-studio"):
        SHOTS.mkdir(exist_ok=True)
        before = self.page.viewport_size
        self.page.set_viewport_size({**before, "height": 1800})  # all of a tall panel
        self.page.wait_for_timeout(200)
        target = self.page if whole else self.page.locator(of).first
        target.screenshot(path=SHOTS / f"{name}.png")
        self.page.set_viewport_size(before)

    def close(self):
        """The kernel ends, the page stays."""
        self.page.evaluate(SHUT)
        self.page.remove_listener("pageerror", self._heard)

    def leave(self):
        """The page stays, and the kernel, without what this notebook made in it; returns the kernel's id."""
        kernel = self.page.evaluate(LEAVE, CLEAR)
        self.page.remove_listener("pageerror", self._heard)
        return kernel


# The application itself, which JupyterLab hands out when it is asked to (expose_app_in_browser).
OPEN = """async ([path, kernel]) => {
  await window.jupyterapp.restored;
  const opened = await window.jupyterapp.commands.execute('docmanager:open', {path, kernel});
  const session = opened.context.sessionContext;
  await opened.context.ready;
  await session.ready;
  await session.session.kernel.info;
}"""
LEAVE = """async code => {
  const shown = [...window.jupyterapp.shell.widgets('main')].filter(one => one.context);
  const kernel = shown[0].context.sessionContext.session.kernel;
  const reply = await kernel.requestExecute({code, store_history: false}).done;
  if (reply.content.status !== 'ok') throw new Error(reply.content.evalue);
  shown.forEach(one => one.dispose());
  return kernel.id;
}"""
CLEAR = """import gc
from ipywidgets import Widget
from mtlnas_lab.widgets import SearchStudio
for made in [one for one in gc.get_objects() if type(one) is SearchStudio]:
    made.close()
Widget.close_all()
get_ipython().run_line_magic("reset", "-f")
"""
SHUT = """async () => {
  for (const one of [...window.jupyterapp.shell.widgets('main')]) {
    await one.context?.sessionContext.shutdown();
    one.dispose();
  }
}"""


@pytest.fixture(scope="module")
def pages():
    """The page with JupyterLab in it, which tests hand on to each other."""
    return []


@pytest.fixture
def notebook(lab, browser, pages, kernels, request):
    """notebook(*cells) opens a notebook of these cells; one in a test. Its kernel is the last one's, in which nothing is left
    of that: a new one would first import torch, which takes longer than many a test."""
    opened = []
    failures = request.session.testsfailed

    def make(*cells):
        if not pages:
            pages.append(browser.new_page(viewport=VIEWPORT))
        kernel = kernels.pop() if kernels else None
        opened.append(Notebook(lab, pages[0], request.node.name, *cells, kernel=kernel))
        return opened[0]

    yield make
    errors = [error for one in opened for error in one.errors]
    whole = False
    try:
        if not errors and request.session.testsfailed == failures:
            kernels += [one.leave() for one in opened]
            whole = True
    finally:
        while pages and not whole:
            pages.pop().close()  # the next test gets one to which nothing has happened
    assert not errors
