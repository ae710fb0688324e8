"""The built notebooks are their sources; they are light, quick enough, and their solutions pass their own checks."""

import ast
import base64
import importlib
import importlib.util
import io
import os
import re
import signal
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

from mtlnas_lab._compat import torchvision
from mtlnas_lab.course.checking import load
from mtlnas_lab.course.theme import PAGE
from mtlnas_lab.data.dataset import picture
from mtlnas_lab.data.open import open_data
from mtlnas_lab.tasks.colormap import palette

FOLDER = Path(__file__).parent.parent / "notebooks"
SOURCES = sorted((FOLDER / "src").glob("*.py"))
COURSE = [source for source in SOURCES if source.stem[:2].isdecimal()]
EXPLORED = [source for source in COURSE if source.stem[:2] >= "12"]  # a related paper each
spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_built_is_the_source_and_light(source):
    path = FOLDER / f"{source.stem}.ipynb"
    built = nbformat.read(path, 4)
    assert [c.source for c in built.cells] == [c.source for c in build.cells(source)], (
        "run `make notebooks`"
    )
    assert path.stat().st_size <= 400_000
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|Users|work|tmp)/", text), "a path of a machine"
    for cell in built.cells:
        if cell.cell_type == "code":
            assert cell.execution_count, "not executed"
            assert not any(output.output_type == "error" for output in cell.outputs)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_answers_to_predictions_are_folded(source):
    """Who opens a notebook must be able to guess before he reads what happened."""
    built = nbformat.read(FOLDER / f"{source.stem}.ipynb", 4)
    pages = [
        output.data["text/html"]
        for cell in built.cells
        if cell.cell_type == "code" and re.search(r"^ *reveal\(", cell.source, re.M)
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    assert pages and all(page.startswith("<details") for page in pages)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_an_answer_is_the_last_thing_of_its_cell(source):
    """A cell shows its last value alone: an answer that stands before it would be nowhere."""
    for cell in build.cells(source):
        if cell.cell_type != "code" or not re.search(r"^ *reveal\(", cell.source, re.M):
            continue
        plain = re.sub(r"^ *%.*", "", cell.source, flags=re.M)
        last = ast.unparse(ast.parse(plain).body[-1])
        assert last.startswith("reveal("), cell.source


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_a_built_notebook_follows_the_theme(source):
    """Its first cell told the page how, as today, and so a notebook that nobody has run is dark on a dark page."""
    built = nbformat.read(FOLDER / f"{source.stem}.ipynb", 4)
    first = next(cell for cell in built.cells if cell.cell_type == "code")
    assert PAGE in [output.get("data", {}).get("text/html") for output in first.outputs]


@pytest.fixture(scope="module")
def photos():
    """A picture (PNG) of rooms, of what stands in them, and of what the colours mean."""
    pack = open_data("rooms")["test"]
    task = pack.make_tasks(["segmentation"])["segmentation"]
    images, targets = pack.batch(torch.tensor([3, 8, 14]), {"segmentation": task})
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    for row, image, target in zip(figure.subplots(3, 3), images, targets["segmentation"]):
        row[0].imshow(picture(image), interpolation="nearest")
        row[1].imshow(task.picture(target), interpolation="nearest")
        for label in range(13):
            row[2].scatter(label, 0, color=palette(13)[label] / 255, label=task.labels[label])
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    return stream.getvalue()


def test_pictures_keep_their_colours(photos):
    sizes = []
    for error in build.ERRORS:
        few = base64.b64decode(build.light(base64.b64encode(photos).decode(), error))
        assert build.color_error(photos, few) <= error
        sizes.append(len(few))
    assert sizes[-1] < len(photos) / 2 and sizes == sorted(sizes, reverse=True)


def test_a_light_shade_stays_beside_white_paper():
    """Groups of a fusion graph stand on a shade that is 13 levels from the paper."""
    paper = np.full((100, 100, 3), 255, np.uint8)
    paper[:20] = 242, 243, 246
    paper[50, :, 0] = np.arange(100)
    stream = io.BytesIO()
    Image.fromarray(paper).save(stream, "PNG")
    few = build.light(base64.b64encode(stream.getvalue()).decode(), max(build.ERRORS))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(few))).convert("RGB"))
    assert (shown[:20] == paper[:20]).all() and (shown[60:] == 255).all()


def test_blotches_and_a_legend_that_is_not_the_map_are_errors(photos):
    """The palettes that notebooks once had: 96 colours by median cut, 40 by largest coverage."""
    plain = Image.open(io.BytesIO(photos)).convert("RGB")
    for colours, method in ((96, Image.Quantize.MEDIANCUT), (40, Image.Quantize.MAXCOVERAGE)):
        stream = io.BytesIO()
        plain.quantize(colours, method=method, dither=Image.Dither.NONE).save(stream, "PNG")
        assert build.color_error(photos, stream.getvalue()) > 2 * min(build.ERRORS)
    gray, legend = Image.new("RGB", (100, 100), "gray"), io.BytesIO()
    gray.paste((200, 30, 30), (0, 0, 4, 4))
    gray.save(legend, "PNG")
    lost = io.BytesIO()
    gray.paste((230, 30, 30), (0, 0, 4, 4))
    gray.save(lost, "PNG")
    assert build.color_error(legend.getvalue(), lost.getvalue()) == 30, "16 of 10,000 pixels"


def test_a_notebook_that_stays_too_heavy_is_refused(photos, monkeypatch):
    part, stream = Image.open(io.BytesIO(photos)).crop((0, 0, 200, 200)), io.BytesIO()
    part.save(stream, "PNG")
    data = {"image/png": base64.b64encode(stream.getvalue()).decode()}
    output = nbformat.v4.new_output("display_data", data)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(outputs=[output], execution_count=1)]
    )
    monkeypatch.setattr(build, "MOST", 1000)
    with pytest.raises(SystemExit, match="draw fewer pictures, or smaller ones"):
        build._lighten(notebook)


@pytest.mark.parametrize("form", ["student", "teacher"])
@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_code_cells_are_short(source, form):
    for cell in build.cells(source, form):
        assert cell.cell_type != "code" or len(cell.source.splitlines()) <= 20, cell.source


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_edition_for_a_class_tells_no_answer(source):
    student = "\n".join(cell.source for cell in build.cells(source))
    handed_out = "\n".join(cell.source for cell in build.cells(source, "class"))
    assert "<summary>Solution</summary>" not in handed_out
    assert handed_out.count("Hint 1") == student.count("Hint 1")
    assert handed_out.count("# your turn") == student.count("# your turn")


def test_texts_are_copied_where_the_code_is_the_same(tmp_path, monkeypatch):
    source = SOURCES[3]
    monkeypatch.setattr(build, "HERE", tmp_path)
    built = nbformat.read(FOLDER / f"{source.stem}.ipynb", 4)
    nbformat.write(built, tmp_path / f"{source.stem}.ipynb")
    text = source.read_text(encoding="utf-8")
    changed = tmp_path / source.name
    changed.write_text(text.replace("# **Why.**", "# **Why?**"), encoding="utf-8")
    again = nbformat.read(build.texts(changed), 4)
    assert "**Why?**" in again.cells[0].source
    pairs = list(zip(built.cells, again.cells))
    assert all(a.get("outputs") == b.get("outputs") for a, b in pairs if a.cell_type == "code")
    changed.write_text(text.replace("print(", "print(1, ", 1), encoding="utf-8")
    with pytest.raises(SystemExit, match="has to be executed"):
        build.texts(changed)


def test_slides_begin_at_headings_and_leave_exercises_out(tmp_path, monkeypatch):
    source = SOURCES[5]
    built = nbformat.read(FOLDER / f"{source.stem}.ipynb", 4)
    monkeypatch.setattr(build, "HERE", tmp_path)
    nbformat.write(built, tmp_path / f"{source.stem}.ipynb")
    shown = nbformat.read(build.slides(source), 4)
    kinds = {"slide": [], "notes": [], "skip": [], "-": []}
    for cell in shown.cells:
        kinds[cell.metadata["slideshow"]["slide_type"]].append(cell)
    assert all(cell.source.lstrip().startswith("#") for cell in kinds["slide"])
    assert len(kinds["slide"]) >= 5 and kinds["notes"]
    assert all(cell.source.startswith("**") for cell in kinds["notes"])
    left = "\n".join(cell.source for cell in kinds["skip"])
    assert left.count("check(") == len(asked(source)) and "Hint 1" in left
    pictures = [cell for cell in kinds["-"] if cell.cell_type == "code"]
    assert all(cell.outputs for cell in pictures)


@pytest.mark.parametrize(
    "may, threads", [({0}, 1), ({3}, 1), ({0, 1}, 1), ({0, 2, 5, 7}, 3), (None, 5)]
)
def test_the_first_cell_takes_the_cores_that_this_process_may_use(monkeypatch, may, threads):
    """A machine may have 64 cores and lend us one; where nobody says how many, it is all of them. One stays free."""
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    if may is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: may, raising=False)
    taken = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    exec(build._setup().source, {})
    assert taken == [threads]


def minutes(notebook) -> float:
    return float(
        re.search(r"About (½|\d+) minute", notebook.cells[0].source)[1].replace("½", "0.5")
    )


def test_the_minutes_on_top_are_true():
    """A full run of each notebook took at most what its first cell says; those of the method together stay below 25."""
    stated = {}
    for source in COURSE:
        built = nbformat.read(FOLDER / f"{source.stem}.ipynb", 4)
        stated[source.stem] = minutes(built)
        assert built.metadata["mtlnas_lab"]["seconds"] <= 60 * stated[source.stem], (
            f"{source.stem} took longer than it says"
        )
        assert stated[source.stem] <= 4
        if built.metadata["mtlnas_lab"].get("slowest", 0) > 25:
            texts = "\n".join(cell.source for cell in built.cells if cell.cell_type == "markdown")
            assert re.search(r"longest one of this notebook: about .+ minute", texts), source.stem
    explored = {source.stem for source in EXPLORED}
    assert sum(least for name, least in stated.items() if name not in explored) <= 25
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for name, least in stated.items():
        row = re.search(rf"\({re.escape(f'notebooks/{name}.ipynb')}\).*\| *(½|\d+) *\|", readme)
        assert row and float(row[1].replace("½", "0.5")) == least, (
            f"README's table says other minutes for {name}"
        )


def test_the_map_leads_to_every_notebook():
    """One page says which notebook answers which question; its links lead somewhere."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    sources = {f"{source.stem}.ipynb" for source in SOURCES}
    assert [link for link in links if not (link in sources or (FOLDER / link).is_file())] == []
    missing = [source.stem for source in SOURCES if f"({source.stem}.ipynb)" not in page]
    assert missing == [], "give it a row in notebooks/README.md"


SAID = {  # otherwise: what a notebook calls it
    "How to read it": "Reading aid",
    "Halt": "Pause",
    "iscretis": "discretize",
    "training pictures": "training images",
    "test pictures": "test images",
    "validation pictures": "validation images",
}


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_one_thing_has_one_name(source):
    text = source.read_text(encoding="utf-8")
    assert {said: right for said, right in SAID.items() if said in text} == {}


def test_every_built_notebook_has_a_source():
    assert {p.stem for p in FOLDER.glob("*.ipynb")} == {p.stem for p in SOURCES}


def asked(source: Path) -> list[str]:
    """Names of the exercises that a notebook checks."""
    return re.findall(r'^check\("([\w.]+)"', source.read_text(encoding="utf-8"), re.M)


def test_every_exercise_is_asked_once_and_every_course_notebook_asks_enough():
    names = [name for source in SOURCES for name in asked(source)]
    assert sorted(names) == sorted(load())
    for source in COURSE:
        least = 2 if source in EXPLORED else 4
        if source.stem.startswith("00"):
            least = 0
        assert len(asked(source)) >= least, source.stem


@pytest.mark.parametrize("source", [s for s in SOURCES if asked(s)], ids=lambda p: p.stem)
def test_exercises_have_two_hints_and_a_stub(source):
    folded = [c.source for c in build.cells(source) if "<summary>Hint 1</summary>" in c.source]
    assert len(folded) == len(asked(source))
    assert all("Hint 2" in text and "Solution" in text for text in folded)
    assert sum(
        bool(re.search(r"# your turn: about \d+ lines?\n.*\.\.\.", c.source))
        for c in build.cells(source)
    ) == len(asked(source))


def execute(source: Path, form: str, tmp_path) -> nbformat.NotebookNode:
    notebook = nbformat.v4.new_notebook(
        cells=build.cells(source, form), metadata={"kernelspec": build.KERNEL}
    )
    env = {
        **os.environ,
        "MTLNAS_LAB_FAST": "1",
        "MTLNAS_LAB_PROGRESS": str(tmp_path / "progress.json"),
    }
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute(
        env=env
    )
    return notebook


def unsolved(source: Path, said: str) -> list[str]:
    return [name for name in asked(source) if f"✓ solved · {name}:" not in said]


OFTEN_IMPORTED = (
    "matplotlib.pyplot",
    "seaborn",
    "torch._dynamo",  # by torch itself, for the first optimizer
    "torchmetrics",
    "matplotlib_inline.backend_inline",
    "mtlnas_lab.widgets",
)


def in_a_child(source: Path, tmp_path) -> str:
    """What the cells with their answers say, run one after the other in IPython's shell in a copy of this process.

    A kernel would first import torch, matplotlib and the lab, which takes longer than many a notebook.
    """
    torchvision()  # before torchmetrics, which imports it
    for name in OFTEN_IMPORTED:
        importlib.import_module(name)
    open_data()  # the copy has the rooms unpacked, too
    out = tmp_path / "said.txt"
    out.write_text("the copy of this process was ended", encoding="utf-8")
    child = os.fork()
    if not child:
        signal.alarm(1800)  # ends the child, whatever it does; a busy machine is no failure
        said = "the shell did not begin"
        try:
            said = _run_cells(source, tmp_path)
        except BaseException:
            said = traceback.format_exc()
        finally:
            out.write_text(said, encoding="utf-8")
            os._exit(0)
    os.waitpid(child, 0)
    return out.read_text(encoding="utf-8")


# Paper that is cut to what is drawn on it takes one more look at all of that.
DRAWN_ONCE = Config({"InlineBackend": {"print_figure_kwargs": {"bbox_inches": None}}})


class Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        """Pictures are made, but no window shows them."""


def _run_cells(source: Path, tmp_path) -> str:
    os.chdir(FOLDER)
    os.environ.update(
        MTLNAS_LAB_FAST="1",
        MTLNAS_LAB_LIVE="0",
        MTLNAS_LAB_PROGRESS=str(tmp_path / "progress.json"),
        IPYTHONDIR=str(tmp_path / "ipython"),
    )
    warnings.simplefilter("default")  # as in a kernel: they are shown
    shell = Shell.instance(config=DRAWN_ONCE)
    shell.history_manager.enabled = False
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        for cell in build.cells(source, "teacher"):
            if cell.cell_type == "code":
                shell.run_cell(cell.source).raise_error()
    return said.getvalue()


WITH_EXERCISES = [source for source in SOURCES if asked(source)]
NO_COPY = not hasattr(os, "fork") or torch.cuda.is_available()  # a copy has no use of a GPU


@pytest.mark.skipif(NO_COPY, reason="this process cannot be copied; the slow test uses kernels")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("source", WITH_EXERCISES, ids=lambda p: p.stem)
def test_the_solutions_pass_their_checks(source, tmp_path):
    said = in_a_child(source, tmp_path)
    assert unsolved(source, said) == [], said[-3000:]
    assert "Traceback" not in said


QUICKEST = "03_search_space"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(one, marks=[pytest.mark.slow] * (one.stem != QUICKEST and not NO_COPY))
        for one in WITH_EXERCISES
    ],
    ids=lambda p: p.stem,
)
def test_the_solutions_pass_their_checks_in_a_kernel(source, tmp_path):
    notebook = execute(source, "teacher", tmp_path)
    said = "\n".join(
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    )
    assert unsolved(source, said) == []
