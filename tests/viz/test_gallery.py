"""docs/gallery/ is there, small, and drawn by this version of the data model."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

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


def test_the_film_of_readme_is_small_and_says_what_it_shows():
    root = GALLERY.parents[1]
    text = (root / "README.md").read_text(encoding="utf-8")
    alt, name = re.search(r"!\[([^\]]+)\]\((docs/film\.gif)\)", text).groups()
    assert text.index(name) < text.index("](docs/studio.png)"), "README opens with it"
    assert "eye" in alt and "noise" in alt and "segmentation" in alt
    assert (root / name).stat().st_size <= 1_500_000
    with Image.open(root / name) as film:
        assert film.n_frames > 40 and film.width <= 1000
        facts = json.loads(film.info["comment"])
    assert facts["made_by"] == "tools/make_film.py" and facts["step"] == 300
    assert facts["seen"] == ["segmentation saw noise from step 61 to 160, then the image"]
