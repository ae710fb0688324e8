"""Build and execute a notebook from its source: python notebooks/build.py notebooks/src/NAME.py

Pictures are reduced to 40 colours, so that the built notebook stays light; a notebook that fails leaves no file.
"""
import base64
import io
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def light(png: str) -> str:
    """A base64 PNG in 40 colours."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(40).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def build(source: Path) -> Path:
    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(source.parent.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output["data"]["image/png"] = light(output["data"]["image/png"])
    target = source.parent.parent / f"{source.stem}.ipynb"
    nbformat.write(notebook, target)
    return target


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(build(Path(name)))
