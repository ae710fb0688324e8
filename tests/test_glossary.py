"""The glossary: each term is said where it sends the reader, each once; its links and its names of code lead somewhere."""

import importlib
import re
from pathlib import Path

import pytest
from matplotlib.text import Text

import mtlnas_lab
from mtlnas_lab.analysis import report
from mtlnas_lab.analysis.results import StudyResults
from mtlnas_lab.analysis.study import FOLDER, Study
from mtlnas_lab.models.baselines import BASELINES

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRY = re.compile(
    r"- \*\*(?P<term>.+?)\*\*(?: \(\w+\))?: (?P<says>.+?) · in code: (?P<code>–|`[^`]+`) "
    r"→ \[(?P<number>\d\d)\]\(\.\./notebooks/(?P<name>\w+)\.ipynb\)"
)
ITEMS = re.findall(r"^- .+(?:\n  .+)*", TEXT, re.M)
ENTRIES = [ENTRY.fullmatch(" ".join(item.split())) for item in ITEMS]


def found(link: str, folder: str) -> bool:
    """Whether a link of a page in `folder` leads somewhere; to a notebook, if there is a source of it."""
    path = ROOT / folder / link.partition("#")[0]
    return (
        path.is_file()
        or path.suffix == ".ipynb"
        and (path.parent / "src" / f"{path.stem}.py").is_file()
    )


def words(name: str) -> str:
    """The source of a notebook without its comment signs, on one line."""
    source = (ROOT / "notebooks" / "src" / f"{name}.py").read_text(encoding="utf-8")
    return " ".join(re.sub(r"^# ?", "", source, flags=re.M).replace("*", "").split())


def test_every_item_is_an_entry_and_every_term_stands_once():
    assert [item for item, entry in zip(ITEMS, ENTRIES) if entry is None] == []
    terms = [entry["term"] for entry in ENTRIES]
    assert len(terms) > 80 and len(set(terms)) == len(terms)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_a_term_is_said_in_the_notebook_it_links_to(entry):
    assert entry["name"].startswith(entry["number"])
    term, text = entry["term"], words(entry["name"])
    if len(term) > 2:
        term, text = term.lower(), text.lower()
    assert re.search(rf"(?<!\w){re.escape(term)}", text), f"{entry['name']} does not say {term}"
    assert len(re.findall(r"[.;](?= )", entry["says"])) <= 2, "one or two sentences"


def named(code: str) -> object:
    """What `Name.part`, `folder/file.py` or `folder/file.py: Name.part` stands for; an error where there is none."""
    file, _, name = code.rpartition(": ")
    if code.endswith(".py"):
        file = code
        name = ""
    value = mtlnas_lab
    if file:
        module = file.removesuffix(".py").replace("/", ".")
        value = importlib.import_module(f"mtlnas_lab.{module}")
    else:
        assert name.split(".")[0] in mtlnas_lab.__all__, (
            f"{name} is not a name of the package itself"
        )
    for part in filter(None, name.split(".")):
        # a field of a dataclass without a default is not an attribute of the class
        if part in getattr(value, "__dataclass_fields__", {}):
            return value.__dataclass_fields__[part]
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["term"])
def test_what_carries_a_term_in_the_code_exists(entry):
    if entry["code"] != "–":
        assert named(entry["code"].strip("`")) is not None


def test_a_name_that_does_not_exist_is_found_out():
    for wrong in ("SearchSpace.nowhere", "core/relaxation.py: nowhere", "core/nowhere.py"):
        with pytest.raises((AttributeError, ImportError)):
            named(wrong)


def test_most_terms_are_carried_by_something():
    carried = [entry["term"] for entry in ENTRIES if entry["code"] != "–"]
    assert len(carried) > 0.75 * len(ENTRIES)


# What a reader of a study's figures and sentences has to look up.
JARGON = (
    "Δm",
    "effect size g",
    "corrected p",
    "95 % interval",
    "Jaccard",
    "stability",
    "gap",
    "batch norm",
)
JARGON += ("smallest", "mIoU", "mean_angle", "entropy", "chance")


def said_by_studies() -> str:
    """All words that the figures and sentences of the studies say which notebooks show."""
    said = []
    for name in ("main", "gap"):
        results = StudyResults.read(Study.load(name), FOLDER / f"{name}-small")
        said += results.sentences
        for caption, figure in report.pictures(results)[:3]:
            texts = [text.get_text() for text in figure.findobj(Text)]
            said += [caption, *texts]
    return " ".join(said)


def test_terms_of_figures_and_sentences_are_in_the_glossary():
    words = said_by_studies()
    known = {entry["term"].lower().replace("-", "_").replace(" ", "_") for entry in ENTRIES}
    known |= {"gap", "smallest"}  # said as discretization gap, and by the sentence itself
    asked = [term for term in (*JARGON, *BASELINES) if term in words]
    assert {"Δm", "effect size g", "corrected p", "Jaccard", "sluice", "nddr_every_stage"} <= set(
        asked
    )
    missing = [term for term in asked if term.lower().replace(" ", "_") not in known]
    assert missing == []


def test_every_link_of_the_page_leads_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links and [link for link in links if not found(link, "docs")] == []


def test_notebook_00_leads_to_the_glossary_and_to_notebooks_that_exist():
    source = (ROOT / "notebooks" / "src" / "00_start_here.py").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", source)
    assert "../docs/glossary.md" in links
    assert [link for link in links if not found(link, "notebooks")] == []
