"""The site: built from what is in the repository, complete, with no broken link, and it asks nobody for anything."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

for needed in ("sphinx", "myst_nb", "sphinx_book_theme", "latex2mathml"):
    pytest.importorskip(needed, reason="pip install 'mtlnas-lab[site]'")

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
ASKS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "link": "href",
}


class Page(HTMLParser):
    """What a page fetches, what it links to, and the names that a link can lead to."""

    def __init__(self, text):
        super().__init__()
        self.fetches, self.links, self.names = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.names |= {given.get("id"), given.get("name")}
        if tag in ASKS and given.get(ASKS[tag]):
            self.fetches.append(given[ASKS[tag]])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site():
    """Made by the command that `make site` calls: Sphinx in a process of its own, with its own rules for warnings."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_site.py"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def elsewhere(address):
    return re.match(r"[a-z]+:|//", address) is not None


def test_no_page_fetches_anything_from_elsewhere(site, pages):
    asked = [
        f"{path.name}: {address}"
        for path, page in pages.items()
        for address in page.fetches
        if elsewhere(address) and not address.startswith("data:")
    ]
    assert asked == []
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"url\(['\"]?(https?:)?//|@import\s+['\"]https?:", text), path


def test_every_link_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for address in [*page.links, *page.fetches]:
            if elsewhere(address):
                continue
            file, _, name = address.partition("#")
            target = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            gone = name and target in pages and unquote(name) not in pages[target].names
            if gone or not target.is_file():
                broken.append(f"{path.name}: {address}")
    assert broken == []


def test_every_notebook_is_there_with_what_it_drew(site, pages):
    for name in NOTEBOOKS:
        text = (site / "course" / f"{name}.html").read_text(encoding="utf-8")
        assert "cell_output" in text and ("<img" in text or "<iframe" in text), name
        assert "widget-view+json" not in text
    frames = [
        address for page in pages.values() for address in page.fetches if "frames/" in address
    ]
    assert len(frames) > 8
    assert f"{len(NOTEBOOKS)} notebooks" in (site / "index.html").read_text(encoding="utf-8")


def test_the_glossary_links_each_term_to_the_notebooks_that_use_it(site):
    terms = re.findall(
        r"^- \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M
    )
    text = (site / "glossary.html").read_text(encoding="utf-8")
    assert text.count('id="term-') >= len(terms) - 5  # two names of one letter may share theirs
    assert text.count('href="course/') > 2 * len(terms)


def test_what_notebooks_import_is_in_the_reference(site):
    import mtlnas_lab

    text = "".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    for name, module in mtlnas_lab.LIVES_IN.items():
        assert f'id="mtlnas_lab.{module}.{name}"' in text, name


def test_search_finds_what_is_there(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert "entropi" in index and "course/05_relaxation_and_entropy" in index
