"""Build notebooks from their sources: python notebooks/build.py [--form student|solution|teacher] notebooks/src/NAME.py …

The student's form is executed and lies in notebooks/; the others are made into notebooks/forms/, not executed. In a source,

    # %% tags=["exercise"]          a cell to fill in: what stands between `# your turn: about N lines` and `# end` is the
                                    answer, and the student sees the last line of it as `return ...` or `name = ...`
    # %% [markdown] tags=["hint"]   folded below the exercise's check, and then the solution with them
    # %% [markdown] tags=["teacher"]   timings and talking points: in the teacher's form alone

Pictures are reduced to 40 colours, so that a built notebook stays light; a notebook that fails leaves no file.
"""

import argparse
import base64
import io
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

ADDRESS = ""  # the public address of the repository, once there is one: owner/name on GitHub
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ANSWER = re.compile(r"^( *)# your turn(.*)\n((?:.*\n)*?) *# end *\n?", re.M)
HERE = Path(__file__).parent


def cells(source: Path, form: str = "student") -> list:
    """The cells of one form of a notebook."""
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
            cell.source = (
                ANSWER.sub(_stub, cell.source + "\n").rstrip() if form == "student" else solution
            )
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
        start = time.perf_counter()
        NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(HERE)}}).execute()
        notebook.metadata["mtlnas_lab"] = {"seconds": round(time.perf_counter() - start)}
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    output["data"]["image/png"] = light(output["data"]["image/png"])
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return target


def light(png: str) -> str:
    """A base64 PNG in 40 colours, among them those of thin lines."""
    stream = io.BytesIO()
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    few = picture.quantize(40, method=Image.Quantize.MAXCOVERAGE)
    few.save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build notebooks from their sources.")
    parser.add_argument("--form", choices=("student", "solution", "teacher"), default="student")
    parser.add_argument("sources", nargs="+", type=Path)
    asked = parser.parse_args()
    for source in asked.sources:
        print(build(source, asked.form))
