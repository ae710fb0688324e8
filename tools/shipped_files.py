"""What a wheel has besides the package: data, notebooks and the glossary, so that who installs the lab needs no clone.

An editable install has them already, in the checkout that it points to.
"""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("data_samples",)
# of studies and runs: their tables and events say the same, and `mtlnas-lab figure` draws
LEFT_OUT = (".html", ".pdf", ".png")
PILOT = "pilot.parquet"  # what it says stands in the table's card; only who makes a table again goes on with it
FILES = ("notebooks/*.ipynb", "notebooks/README.md", "docs/glossary.md", "docs/teaching.md")


def shipped_files(root: Path) -> dict[str, str]:
    """{file of the checkout: where it goes in the wheel}; `mtlnas_lab.data.open.shipped` looks there."""
    found = []
    for folder in FOLDERS:
        found += (path for path in (root / folder).rglob("*") if is_shipped(path))
    for pattern in FILES:
        found += root.glob(pattern)
    inside = "mtlnas_lab/shipped"
    return {str(path): f"{inside}/{path.relative_to(root).as_posix()}" for path in sorted(found)}


def is_shipped(path: Path) -> bool:
    """Whether a path below data_samples is a file that a wheel has."""
    made = "studies" in path.parts or "runs" in path.parts
    return path.is_file() and path.name != PILOT and not (made and path.suffix in LEFT_OUT)


class Shipped(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        if version != "editable":
            build_data["force_include"].update(shipped_files(Path(self.root)))
