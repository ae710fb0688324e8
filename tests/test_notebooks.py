import re
from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
SOURCES = sorted((FOLDER / "src").glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_built_is_the_source_and_light(source):
    path = FOLDER / f"{source.stem}.ipynb"
    built, written = nbformat.read(path, 4), jupytext.read(source)
    assert [c.source for c in built.cells] == [c.source for c in written.cells], "run `make notebooks`"
    assert path.stat().st_size <= 400_000
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|Users|work|tmp)/", text), "a path of a machine"
    for cell in built.cells:
        if cell.cell_type == "code":
            assert cell.execution_count, "not executed"
            assert len(cell.source.splitlines()) <= 20
            assert not any(output.output_type == "error" for output in cell.outputs)
    assert re.search(r"minute|As long as", built.cells[0].source), "minutes stated on top"


def test_every_built_notebook_has_a_source():
    assert {p.stem for p in FOLDER.glob("*.ipynb")} == {p.stem for p in SOURCES}
