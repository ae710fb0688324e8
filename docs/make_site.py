"""Makes the site in build/site/html: the course, the gallery, the glossary and the API as pages that need no kernel, no
server and no network. `python docs/make_site.py`, which `make site` calls; it needs `pip install mtlnas-lab[site]`.

Notebooks are shown as they were built. A panel that such a notebook has saved, and that needs no kernel to be used, becomes a
page in a frame; of the others the picture stays.
"""

import html
import re
import shutil
from pathlib import Path

import nbformat
from sphinx.cmd.build import build_main

from mtlnas_lab.widgets import explorers
from mtlnas_lab.widgets.studio.standalone import STYLE, alone
from mtlnas_lab.widgets.studio.view import HERE as STUDIO
from mtlnas_lab.widgets.studio.view import StudioView, page_script

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "site"

WIDGET = "application/vnd.jupyter.widget-view+json"
STATES = "application/vnd.jupyter.widget-state+json"
KERNEL = {"choices": "", "facts": ""}  # traits of panels that ask the kernel for what they show
OVER = "This page draws a panel with a script; allow scripts to see it."
START = """
const data = JSON.parse(document.getElementById("data").textContent), state = {...data.state};
for (const [name, text] of Object.entries(data.buffers)) state[name] = bytesFrom(text);
shown.render({model: modelOf(state), el: document.getElementById("studio")});
"""
FRAME = '<iframe class="page" src="{address}" title="{title}" loading="lazy" style="height: 640px"></iframe>'
ENTRY = re.compile(
    r"- \*\*(?P<term>.+?)\*\*(?P<kind> \(\w+\))?: (?P<says>.+?) · in code: (?P<code>–|`[^`]+`) "
    r"→ \[(?P<number>\d\d)\]\(\.\./notebooks/(?P<name>\w+)\.ipynb\)"
)
FOLDERS = {
    "errors": "what can go wrong, a class a noun",
    "tasks": "what is learnt: a task's loss, metrics and picture",
    "data": "from what: packs, folders, procedural rooms; batches, augmentation",
    "core": "the method: from the space to the search",
    "models": "by which networks; baselines; pruned and exported networks",
    "storage": "files that survive",
    "runs": "what a search leaves: events, run folders, resuming, branching",
    "viz": "pictures of data",
    "experiments": "presets, and a whole piece of work: pretrain, search, score",
    "widgets": "live: the studio, explorers, the figure studio, pages without a kernel",
    "analysis": "many runs: studies, statistics, reports",
    "bench": "every small fusion graph trained once, and searches that race over it",
    "explore": "ideas of related papers, a paper a file",
    "course": "the notebooks' answer book",
}


def make_site(out: Path = BUILD) -> Path:
    """Makes the site in out/html, anew. Returns that folder; ends with an error for a page that cannot be made."""
    source, built = out / "source", out / "html"
    for old in (source, built):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(DOCS / "site", source, ignore=shutil.ignore_patterns("__pycache__"))
    frames = source / "extra" / "frames"
    frames.mkdir(parents=True)
    for page in ("playground.html", "replay.html"):
        shutil.copyfile(DOCS / page, frames / page)

    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    course(source / "course", frames, names)
    for_teachers(source)
    gallery(source / "gallery")
    glossary(source, names)
    api(source / "api")
    index = source / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace("NOTEBOOKS", str(len(names))))
    failed = build_main(["-q", "-W", "--keep-going", "-b", "html", str(source), str(built)])
    if failed:
        raise SystemExit("the site has faults, which stand above")
    shutil.rmtree(built / ".doctrees", ignore_errors=True)
    for template in (built / "_static").glob("*.html"):  # the theme's own, which are no pages
        template.unlink()
    return built


# --- the course -------------------------------------------------------------------------------------------------------
def course(folder: Path, frames: Path, names: list[str]) -> None:
    """The notebooks as pages, and a page that lists them."""
    folder.mkdir()
    text = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    (folder / "map.md").write_text(in_course(text), encoding="utf-8")
    lines = ["map"]
    for name in names:
        notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
        title = with_frames(notebook, name, frames)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        lines.append(f"{title} <{name}>")
    toctree = "\n".join(lines)
    (folder / "index.md").write_text(
        "# Course\n\nThe notebooks with what they printed and drew when they were built. Panels can be used here, as far as they "
        "need no kernel; exercises need one: `mtlnas-lab course` copies the notebooks into a folder of yours.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n",
        encoding="utf-8",
    )


def in_course(text: str) -> str:
    """A text of the folder notebooks/ with links as the site's pages lie."""
    text = text.replace("](../docs/glossary.md", "](../glossary.md").replace(
        "](README.md", "](map.md"
    )
    return text.replace("](../docs/teaching.md", "](../teaching.md")


def for_teachers(source: Path) -> None:
    """docs/teaching.md as a page."""
    text = (DOCS / "teaching.md").read_text(encoding="utf-8")
    text = text.replace("](../notebooks/README.md", "](course/map.md")
    text = text.replace("](../notebooks/", "](course/")
    (source / "teaching.md").write_text(text, encoding="utf-8")


def with_frames(notebook, name: str, frames: Path) -> str:
    """Makes the saved panels of a notebook frames, and gives the notebook's title with its number."""
    states = notebook.metadata.pop("widgets", {}).get(STATES, {}).get("state", {})
    first = notebook.cells[0].source.partition("\n")[0]
    bare = re.sub(r"^# (\d\d · )?", "", first)
    number = name.partition("_")[0]
    title = f"{number} {bare}" if number.isdecimal() else bare
    notebook.cells[0].source = notebook.cells[0].source.replace(first, f"# {title}", 1)
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = in_course(cell.source)
        for output in cell.get("outputs", []):
            view = output.get("data", {}).pop(WIDGET, None)
            panel = saved_panel(states, view["model_id"]) if view else None
            if panel is None:
                continue
            count += 1
            page = f"{name}-{count}.html"
            words = output.data["text/plain"].partition(". A picture")[0]
            (frames / page).write_text(panel_page(panel, words), encoding="utf-8")
            frame = FRAME.format(address=f"../frames/{page}", title=html.escape(words))
            output.data = nbformat.from_dict({"text/html": frame, "text/plain": words})
    return title


def saved_panel(states: dict, model: str) -> dict | None:
    """The state of a panel that a notebook has saved; None for one that does nothing without its kernel."""
    state = states.get(model, {})
    children = state.get("state", {}).get("children", [])
    if children:  # a studio lies in a box
        return saved_panel(states, children[0].removeprefix("IPY_MODEL_"))
    shown = state.get("state", {})
    if "_esm" not in shown or KERNEL.keys() & shown.keys():
        return None
    return state


def panel_page(panel: dict, title: str) -> str:
    """A saved panel as a page that stands alone."""
    state = panel["state"]
    name = state["_anywidget_id"].rpartition(".")[2]
    made_by = getattr(
        explorers, name, StudioView
    )  # its page of today, not that of the day it was saved
    script = made_by._esm.replace("export default", "const shown =").replace("export ", "")
    style = STYLE + made_by._css
    if "status" in state:  # of a search that is over here
        state = {
            **state,
            "status": {**state["status"], "mode": "recorded", "can": [], "message": ""},
        }
    plain = {name: value for name, value in state.items() if not name.startswith("_")}
    buffers = {one["path"][0]: one["data"] for one in panel.get("buffers", [])}
    heading = f'<h1 class="mtl-unseen">{html.escape(title)}</h1>'
    main = f'<main>{heading}<div id="studio"></div></main><noscript>{OVER}</noscript>'
    whole = page_script(STUDIO / "model.js").replace("export ", "") + script + START
    return alone(title, main, style, whole, {"state": plain, "buffers": buffers})


# --- gallery, glossary, API ---------------------------------------------------------------------------------------------
def gallery(folder: Path) -> None:
    folder.mkdir()
    for file in (DOCS / "gallery").iterdir():
        name = "index.md" if file.name == "README.md" else file.name
        shutil.copyfile(file, folder / name)


def glossary(source: Path, names: list[str]) -> None:
    """The glossary as Sphinx has one, each term with the notebooks that use it."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    said = {name: plain_words(name) for name in names}
    lines = [
        "# Glossary",
        "",
        "Each term in a sentence or two, what carries it in the code, and the notebooks that use it, first the one that "
        "introduces it.",
        "",
    ]
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        head, _, items = part.partition("\n")
        lines += [f"## {head}", "", "````{glossary}"]
        for item in re.findall(r"^- .+(?:\n  .+)*", items, re.M):
            entry = ENTRY.fullmatch(" ".join(item.split()))
            lines += [
                entry["term"],
                f"  {entry['says']}{entry['kind'] or ''}.",
                "",
                f"  {uses(entry, said)}",
                "",
            ]
        lines += ["````", ""]
    (source / "glossary.md").write_text("\n".join(lines), encoding="utf-8")


def plain_words(name: str) -> str:
    """The text of a notebook's source on one line."""
    text = (ROOT / "notebooks" / "src" / f"{name}.py").read_text(encoding="utf-8")
    return " ".join(re.sub(r"^# ?", "", text, flags=re.M).replace("*", "").split())


def uses(entry: re.Match, said: dict[str, str]) -> str:
    """Where a term is carried in the code, and links to the notebooks that say it."""
    term = entry["term"]
    kind = 0 if len(term) < 3 else re.I
    word = re.compile(rf"(?<!\w){re.escape(term)}(?!\w)", kind)
    others = [name for name, text in said.items() if name != entry["name"] and word.search(text)]
    links = [
        f"[{name.partition('_')[0]}](course/{name}.ipynb)" for name in [entry["name"], *others]
    ]
    code = "" if entry["code"] == "–" else f"In code: {entry['code']}. "
    return f"{code}→ {', '.join(links)}"


def api(folder: Path) -> None:
    """A page for each folder of the package, made from the docstrings."""
    folder.mkdir()
    rows = []
    for name, about in FOLDERS.items():
        place = ROOT / "mtlnas_lab" / name
        modules = sorted(place.rglob("*.py")) or [place.with_suffix(".py")]
        listed = [dotted(module) for module in modules if not module.stem.startswith("_")]
        title = f"mtlnas_lab.{name}: {about}"
        lines = [title, "=" * len(title), ""]
        for module in listed:
            short = module.removeprefix(f"mtlnas_lab.{name}.")
            lines += [short, "-" * len(short), "", f".. automodule:: {module}", "   :members:", ""]
        (folder / f"{name}.rst").write_text("\n".join(lines), encoding="utf-8")
        rows.append(f"{name} <{name}>")
    toctree = "\n".join(rows)
    about = "\n".join(f"- [{name}]({name}.rst): {text}" for name, text in FOLDERS.items())
    (folder / "index.md").write_text(
        "# API\n\nFrom the docstrings, folder by folder; each folder builds on those before it. What a notebook needs can be "
        f"imported from `mtlnas_lab` itself.\n\n{about}\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n",
        encoding="utf-8",
    )


def dotted(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts)


if __name__ == "__main__":
    print(make_site())
