"""docs/gallery/ is there, small, and drawn by this version of the data model."""

import re
from pathlib import Path

import pytest

from mtlnas_lab.viz import refigure

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.fixture(scope="module")
def page():
    if not (GALLERY / "README.md").is_file():
        pytest.skip("docs/gallery is not here; python docs/make_gallery.py makes it")
    return (GALLERY / "README.md").read_text(encoding="utf-8")


def test_every_picture_is_on_the_page_and_small(page):
    shown = set(re.findall(r"\]\((\w+\.\w+)\)", page))
    assert shown == {file.name for file in GALLERY.iterdir()} - {"README.md"} and len(shown) > 15
    assert all(file.stat().st_size <= 200_000 for file in GALLERY.iterdir())


def test_every_graph_can_be_drawn_again(page):
    for file in GALLERY.glob("*.svg"):
        assert refigure(file).scene().items, file.name
