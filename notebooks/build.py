"""Build notebooks from their sources: python notebooks/build.py [--form FORM | --texts] notebooks/src/NAME.py …

The student's form is executed and lies in notebooks/; the others are made into notebooks/forms/. Not executed are `solution`,
`teacher` (with timings and talking points) and `class` (nothing in the page tells an answer: what a teacher hands out); `slides`
takes the outputs of the built notebook. `--texts` copies texts that changed into a built notebook whose code is the same. A
notebook's seconds are those of the processor, which one reader on a quiet machine waits. In a source,

    # %% tags=["exercise"]          a cell to fill in: what stands between `# your turn: about N lines` and `# end` is the
                                    answer, and the student sees the last line of it as `return ...` or `name = ...`
    # %% [markdown] tags=["hint"]   folded below the exercise's check, and then the solution with them
    # %% [markdown] tags=["teacher"]   timings and talking points: in the teacher's form alone

Pictures are reduced to as few colours as the eye takes for the same, so that a built notebook stays light; a notebook that fails,
or stays too heavy, leaves no file.
"""

import argparse
import base64
import io
import os
import re
from datetime import datetime
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

MOST = 400_000  # bytes of a built notebook
ERRORS = (8, 10, 12, 14, 16, 20)  # of a colour, in levels of 255; as small a one as the bytes allow
# of a picture; a PNG has no larger palette
COLOURS = (16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 224, 256)
ADDRESS = ""  # the public address of the repository, once there is one: owner/name on GitHub
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ANSWER = re.compile(r"^( *)# your turn(.*)\n((?:.*\n)*?) *# end *\n?", re.M)
HERE = Path(__file__).parent


def cells(source: Path, form: str = "student") -> list:
    """The cells of one form of a notebook."""
    blank = form in ("student", "class")  # what is to be filled in
    made, solution, hints = [_setup()], None, []
    for cell in jupytext.read(source).cells:
        tags = cell.metadata.pop("tags", [])
        if "hint" not in tags and hints:
            made.append(_folded(hints, solution if form == "student" else None))
            hints = []
        if "hint" in tags:
            hints.append(cell.source)
        elif "exercise" in tags:
            solution = ANSWER.sub(r"\3", cell.source + "\n").rstrip()
            cell.source = ANSWER.sub(_stub, cell.source + "\n").rstrip() if blank else solution
            made.append(cell)
        elif "teacher" not in tags or form == "teacher":
            made.append(cell)
    if hints:
        made.append(_folded(hints, solution if form == "student" else None))
    made.insert(1, made.pop(0))  # the title stands first
    if ADDRESS:
        link = f"https://colab.research.google.com/github/{ADDRESS}/blob/main/notebooks/{source.stem}.ipynb"
        made[
            0
        ].source += f"\n\n[![open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({link})"
    for number, cell in enumerate(made):
        cell["id"] = f"cell-{number}"
        cell.metadata.pop("lines_to_next_cell", None)
    return made


def _setup():
    missing = (
        f'    %pip install -q "mtlnas-lab @ git+https://github.com/{ADDRESS}"'
        if ADDRESS
        else '    raise SystemExit("mtlnas_lab is not installed in this kernel: see Set-up in the README")'
    )
    return nbformat.v4.new_code_cell(
        "# Runs anywhere: says so where the lab is missing; one core stays free for the browser\nimport importlib.util\nimport os\n\n"
        f'if importlib.util.find_spec("mtlnas_lab") is None:\n{missing}\nimport torch\n\n'
        "from mtlnas_lab.course.theme import follow_theme\n\n"
        'cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2\n'
        "torch.set_num_threads(max(1, cores - 1))\nfollow_theme()  # drawings on dark paper where the page is dark"
    )


def _stub(match: re.Match) -> str:
    indent, note, body = match.groups()
    last = [
        line
        for line in body.splitlines()
        if line.startswith(indent) and line[len(indent) : len(indent) + 1].strip()
    ][-1].strip()
    name = re.match(r"([\w., ]+?) = ", last)
    if last.startswith("return"):
        left = "return ..."
    elif name:
        left = f"{name[1]} = {', '.join('...' for _ in name[1].split(','))}"
    else:
        raise SystemExit(f"an answer must end in `return …` or `name = …`, not in `{last}`")
    return f"{indent}# your turn{note}\n{indent}{left}\n"


def _folded(hints: list[str], solution: str | None):
    parts = [
        f"<details><summary>Hint {i}</summary>\n\n{hint}\n\n</details>"
        for i, hint in enumerate(hints, 1)
    ]
    if solution:
        parts.append(
            f"<details><summary>Solution</summary>\n\n```python\n{solution}\n```\n\n</details>"
        )
    return nbformat.v4.new_markdown_cell("\n\n".join(parts))


def build(source: Path, form: str = "student") -> Path:
    notebook = nbformat.v4.new_notebook(cells=cells(source, form))
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    target = (
        HERE / f"{source.stem}.ipynb"
        if form == "student"
        else HERE / "forms" / form / f"{source.stem}.ipynb"
    )
    if form == "student":
        before = _processor_seconds()
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(HERE)}}).execute()
        seconds = _processor_seconds() - before
        waits = [_waited(cell.metadata.pop("execution", {})) for cell in notebook.cells]
        slowest = seconds * max(waits) / sum(waits)
        notebook.metadata["mtlnas_lab"] = {"seconds": round(seconds), "slowest": round(slowest)}
        _lighten(notebook)
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return target


def _lighten(notebook) -> None:
    """Its pictures in fewer colours, with as small an error as keeps it below `MOST`."""
    pictures = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                pictures.append((output["data"], output["data"]["image/png"]))
    for error in ERRORS:
        for data, png in pictures:
            data["image/png"] = light(png, error)
        size = len(nbformat.writes(notebook).encode())
        if size <= MOST:
            return
    raise SystemExit(
        f"{size:,} bytes, with pictures as light as they may be; a notebook has {MOST:,} at most: "
        "draw fewer pictures, or smaller ones"
    )


def _processor_seconds() -> float:
    """Of the kernels that ended so far."""
    used = os.times()
    return used.children_user + used.children_system


def _waited(execution: dict) -> float:
    """The seconds between a cell's start and its answer."""
    if "shell.execute_reply" not in execution:
        return 0.0
    times = [execution[name] for name in ("iopub.status.busy", "shell.execute_reply")]
    start, end = (datetime.fromisoformat(time.replace("Z", "+00:00")) for time in times)
    return (end - start).total_seconds()


def texts(source: Path) -> Path:
    """Copies the texts of a source into its built notebook, whose outputs and seconds stay."""
    target = HERE / f"{source.stem}.ipynb"
    if not target.is_file():
        raise SystemExit(f"{target} is not built yet: build it without --texts first")
    built = nbformat.read(target, 4)
    old, new = built.cells, cells(source)
    codes = [[cell.source for cell in part if cell.cell_type == "code"] for part in (old, new)]
    if codes[0][1:] != codes[1][1:]:  # the first one is the same in every notebook
        raise SystemExit(
            f"{source}: its code changed, so it has to be executed: leave --texts away"
        )
    outputs = [cell for cell in old if cell.cell_type == "code"]
    for cell in new:
        if cell.cell_type == "code":
            ran = outputs.pop(0)
            cell["outputs"], cell["execution_count"] = ran["outputs"], ran["execution_count"]
    built.cells = new
    nbformat.write(built, target)
    return target


def slides(source: Path) -> Path:
    """The built notebook as slides: a heading begins one, what a class does by itself is left out, talking points are notes."""
    built = nbformat.read(HERE / f"{source.stem}.ipynb", 4)
    outputs = [cell["outputs"] for cell in built.cells if cell.cell_type == "code"]
    notes = _notes(source)
    shown = []
    for cell in cells(source, "teacher"):
        if cell.cell_type == "code":
            cell["outputs"] = outputs.pop(0)
            shown.append(cell)
        else:
            shown += [nbformat.v4.new_markdown_cell(part) for part in _by_heading(cell.source)]
    for cell in shown:
        kind = "notes" if cell.source in notes else slide_type(cell)
        cell.metadata["slideshow"] = {"slide_type": kind}
    notebook = nbformat.v4.new_notebook(cells=shown, metadata=built.metadata)
    target = HERE / "forms" / "slides" / f"{source.stem}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return target


def _by_heading(text: str) -> list[str]:
    """A text cut before each of its headings."""
    return [part.strip() for part in re.split(r"^(?=#{1,3} )", text, flags=re.M) if part.strip()]


def slide_type(cell) -> str:
    """What a cell is in a talk: `slide` (a new one), `-` (goes on), `skip`."""
    if cell.cell_type == "code":
        return "skip" if cell.source.startswith("check(") or not cell["outputs"] else "-"
    first = cell.source.lstrip()
    if first.startswith(("<details>", "### Your turn")):
        return "skip"
    return "slide" if re.match(r"#{1,2} ", first) else "-"


def _notes(source: Path) -> set[str]:
    """The texts for teachers alone."""
    every = jupytext.read(source).cells
    return {cell.source for cell in every if "teacher" in cell.metadata.get("tags", [])}


def light(png: str, error: int) -> str:
    """A base64 PNG in as few colours as keep its `color_error` at `error` or below; else in 32 levels of each channel."""
    raw = base64.b64decode(png)
    for colours in COLOURS:
        few = _in_few_colours(raw, colours)
        if color_error(raw, few) <= error:
            return base64.b64encode(few).decode()
    return base64.b64encode(_in_few_levels(raw)).decode()


@cache
def _in_few_colours(raw: bytes, colours: int) -> bytes:
    """Those that fill a two-hundredth of the picture as they are: paper stays white, and a shade stays beside it."""
    pixels = _pixels(raw)
    _, first, place, count = _colours_of(pixels)
    common = np.flatnonzero(count * 200 >= len(place))[: colours - 1]
    ranks = np.full(len(count), -1)
    ranks[common] = np.arange(len(common))
    index = ranks[place]
    flat = pixels.reshape(-1, 3).astype(np.uint8)
    palette = [flat[first[common]]]
    if (index < 0).any():
        rest = Image.fromarray(flat[index < 0][None])
        method = Image.Quantize.MAXCOVERAGE
        few = rest.quantize(colours - len(common), method, kmeans=5, dither=Image.Dither.NONE)
        index[index < 0] = np.asarray(few).ravel() + len(common)
        palette.append(np.array(few.getpalette("RGB"), np.uint8).reshape(-1, 3))
    picture = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), "P")
    picture.putpalette(np.concatenate(palette).tobytes())
    return _saved(picture)


def _colours_of(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    """What `np.unique` says of the pixels' colours: codes, their first pixel, the colour of each pixel, how many pixels."""
    codes = (pixels @ (65536, 256, 1)).ravel()
    return np.unique(codes, return_index=True, return_inverse=True, return_counts=True)


def _in_few_levels(raw: bytes) -> bytes:
    step = 255 / 31
    levels = (_pixels(raw) / step).round() * step
    return _saved(Image.fromarray(levels.round().astype(np.uint8)))


def _saved(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _pixels(raw: bytes) -> np.ndarray:
    """(H, W, 3), whole numbers from 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"), dtype=int)


@cache
def color_error(raw: bytes, few: bytes) -> int:
    """How far the colours of `few` are from those of `raw`, both PNG, in levels of 255.

    It holds for 99 pixels of 100, and for each colour that fills a thousandth of the picture: a legend still means its map.
    """
    before = _pixels(raw)
    off = np.abs(before - _pixels(few)).max(-1).ravel()
    _, _, place, count = _colours_of(before)
    common = count[place] * 1000 >= len(place)
    return int(max(np.percentile(off, 99), off[common].max(initial=0)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build notebooks from their sources.")
    forms = ("student", "solution", "teacher", "class", "slides")
    parser.add_argument("--form", choices=forms, default="student")
    parser.add_argument("--texts", action="store_true", help="copy texts alone, execute nothing")
    parser.add_argument("sources", nargs="+", type=Path)
    asked = parser.parse_args()
    for source in asked.sources:
        if asked.texts:
            print(texts(source))
        elif asked.form == "slides":
            print(slides(source))
        else:
            print(build(source, asked.form))
