"""Every notebook as a reader uses it: opened, run, a stub filled in wrongly, the message read, then rightly."""

import importlib.util
import re
import shutil

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from browsing import ROOT, Notebook, browser, expect, in_browser, serve  # noqa: F401, E402 (fixtures)

pytestmark = [*in_browser, pytest.mark.slow]
FOLDER = ROOT / "notebooks"
spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
SOURCES = [
    s
    for s in sorted((FOLDER / "src").glob("*.py"))
    if re.search(r'^check\("', s.read_text(encoding="utf-8"), re.M)
]


@pytest.fixture(scope="module")
def quickly(tmp_path_factory):
    """Fast sizes, and progress of its own; before the server starts, which hands them on to the kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTLNAS_LAB_FAST", "1")
        patch.setenv(
            "MTLNAS_LAB_PROGRESS", str(tmp_path_factory.mktemp("progress") / "progress.json")
        )
        yield


@pytest.fixture(scope="module")
def lab(quickly, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("course")) as there:
        yield there


class Course(Notebook):
    """A notebook of the course, all of whose cells are on the page."""

    def __init__(self, lab, browser, source):
        root, self.url = lab
        settings = root / ".settings" / "@jupyterlab" / "notebook-extension"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
        self.path = root / f"{source.stem}.ipynb"
        shutil.copy(FOLDER / self.path.name, self.path)
        self.page = browser.new_page(viewport={"width": 1340, "height": 900})
        self.errors = []
        self.page.on("pageerror", self._heard)
        self.open()

    def at(self, number):
        return self.page.locator(
            ".jp-Notebook > .jp-WindowedPanel-outer .jp-Cell, .jp-Notebook .jp-Cell"
        ).nth(number)

    def fill(self, number, text):
        self.at(number).scroll_into_view_if_needed()
        self.at(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Control+Enter")

    def run(self, number):
        self.at(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_a_reader_runs_it_and_does_an_exercise(lab, browser, source):  # noqa: F811
    nb = Course(lab, browser, source)
    nb.menu("Run", "Run All Cells")
    nb.page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].every(one => /\\d/.test(one.innerText) && !one.innerText.includes('*'))",
        timeout=240_000,
    )
    nb.idle()
    assert (
        nb.page.locator(
            ".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']"
        ).all_inner_texts()
        == []
    )
    student, solved = build.cells(source), build.cells(source, "solution")
    first = next(i for i, cell in enumerate(student) if "# your turn" in cell.source)
    checks = next(
        i for i in range(first, len(student)) if re.search(r'^check\("', student[i].source, re.M)
    )
    output = nb.at(checks).locator(".jp-OutputArea")
    expect(output).to_contain_text("not filled in")
    nb.fill(first, re.sub(r"(return|=) \.\.\.", r"\1 'nonsense'", student[first].source))
    nb.run(checks)
    expect(output).to_contain_text("not yet", timeout=30_000)
    nb.shot(f"course-{source.stem}-wrong", whole=True)
    nb.fill(first, solved[first].source)
    nb.run(checks)
    expect(output).to_contain_text("✓ solved", timeout=30_000)
    nb.at(checks).scroll_into_view_if_needed()
    nb.shot(f"course-{source.stem}-right", whole=True)
    assert not nb.errors
    nb.close()
    nb.page.close()
