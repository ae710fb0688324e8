"""Drawings of a notebook are marked, so that a dark page shows them on dark paper; pictures of pixels are not."""

import base64
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mtlnas_lab.course import check, theme


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: one)
    one = InteractiveShell()
    one.history_manager.enabled = False
    return one


def figure_of(kind: str) -> Figure:
    figure = Figure(figsize=(3, 2))
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    if kind == "drawing":
        ax.plot([1, 2])
    if kind == "image":
        ax.imshow([[1, 2]])
    if kind == "field":
        ax.pcolormesh([[1, 2]])
    return figure


def shown(shell, kind: str):
    """(bundle, metadata) of a figure as a cell's last line."""
    data, metadata = shell.display_formatter.format(figure_of(kind))
    return data["image/png"], metadata.get("image/png", {})


@pytest.mark.parametrize("kind, marked", [("drawing", True), ("image", False), ("field", False)])
def test_drawings_say_their_width(shell, capsys, kind, marked):
    theme.follow_theme()
    for _ in range(2):  # `%matplotlib inline` may stand in any cell, and twice
        select_figure_formats(shell, ["png"])
        shell.events.trigger("pre_run_cell", SimpleNamespace())
        shell.events.trigger("pre_run_cell", SimpleNamespace())
        png, metadata = shown(shell, kind)
        raw = png if isinstance(png, bytes) else base64.b64decode(png)
        wide = int.from_bytes(raw[16:20], "big")
        assert metadata.get("width") == (wide if marked else None)


def test_without_matplotlib_and_outside_of_ipython_nothing_happens(shell, monkeypatch):
    theme.follow_theme()
    shell.events.trigger("pre_run_cell", SimpleNamespace())
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    theme.follow_theme()


def test_verdicts_with_lines_are_drawings(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLNAS_LAB_PROGRESS", str(tmp_path / "progress.json"))
    page = check("05.tipping", lambda g, w, e: g * e / w)._repr_mimebundle_()["text/html"]
    assert 'class="mtl-drawing"' in page
    page = check("04.start", lambda *given: None)._repr_mimebundle_()["text/html"]
    assert 'class="mtl-drawing"' not in page
