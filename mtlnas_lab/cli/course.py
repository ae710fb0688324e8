"""`mtlnas-lab course`: the notebooks in a folder of the reader's own, wherever the lab was installed from."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tyro.conf import Positional

from ..errors import ConfigError
from ..one_line import printable
from .places import writable

FOLDER = Path("mtlnas_lab_course")
FIRST = "00_start_here.ipynb"


def course(folder: Positional[Path] = FOLDER) -> None:
    """Copy the notebooks into a folder of your own, and say how to open them; what you changed there stays as it is.

        mtlnas-lab course
        mtlnas-lab course my_course

    Args:
        folder: Where they go; it is made where it is not there.
    """
    from ..data.open import shipped

    notebooks = sorted(shipped("notebooks").glob("*.ipynb"))
    if not notebooks:
        raise ConfigError(
            "the notebooks did not come with this installation; install the lab again"
        )
    writable(folder).mkdir(parents=True, exist_ok=True)
    kept = []
    pages = [shipped("notebooks") / "README.md"]
    pages += [shipped("docs") / name for name in ("glossary.md", "teaching.md")]
    for source in [*notebooks, *filter(Path.is_file, pages)]:
        target = folder / source.name
        text = _side_by_side(source)
        if not os.path.lexists(target):
            target.write_bytes(text)
        elif target.read_bytes() != text:
            kept.append(source.name)
    _link(shipped("data_samples"), folder / "data_samples")
    print(printable(f"{len(notebooks)} notebooks are in {folder}"))
    if kept:
        print(printable(f"yours differ and stay as they are: {', '.join(kept)}"))
    print(printable(f"dark pictures before a cell has run: jupyter trust {folder / '*.ipynb'}"))
    print(printable(f"open the first: jupyter lab {folder / FIRST}"))


def _side_by_side(source: Path) -> bytes:
    """A file whose links lead to its neighbours: what lies in two folders here lies in one there."""
    return source.read_bytes().replace(b"../docs/", b"").replace(b"../notebooks/", b"")


def _link(data: Path, link: Path) -> None:
    """Commands in the notebooks read data_samples/…: where links can't be made, they need the longer path."""
    with suppress(OSError):
        if not os.path.lexists(link):
            link.symlink_to(data.resolve(), target_is_directory=True)
