"""pyproject.toml, constraints.txt, environment.yml, CITATION.cff and the package's front door agree with each other."""

import ast
import importlib
import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mtlnas_lab

ROOT = Path(__file__).parents[1]
CONDA_NAME = {"torch": "pytorch", "playwright": "playwright-python"}


def ranges() -> dict[str, Requirement]:
    """All requirements of pyproject.toml, with the extras, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    return {r.name: r for r in map(Requirement, texts) if r.name != project["name"]}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def absent_site() -> set[str]:
    """What of the extra `site` is not installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {Requirement(text).name for text in project["optional-dependencies"]["site"]}
    return {name for name in names if importlib.util.find_spec(name.replace("-", "_")) is None}


def test_every_requirement_is_a_range():
    for requirement in ranges().values():
        operators = sorted(part.operator for part in requirement.specifier)
        assert operators == ["<", ">="], f"{requirement} needs a lowest version and a limit"


def test_pins_are_plain_versions_inside_the_ranges():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines[1:] if not re.fullmatch(r"[a-z0-9._-]+==[0-9][0-9a-z.]*", line)]
    assert odd == [], (
        "constraints.txt holds name==version only: no address, no editable line, no +cpu"
    )
    for name, requirement in ranges().items():
        assert requirement.specifier.contains(Version(pins()[name])), (
            f"{name}=={pins()[name]} is outside {requirement}"
        )


def test_pins_cover_all_that_the_requirements_bring():
    """Walks the installed packages from pyproject's requirements on: what is not pinned may change overnight.

    The extra `site` is not in `test`: it is walked where somebody has installed it.
    """
    asked = {
        name: requirement for name, requirement in ranges().items() if name not in absent_site()
    }
    other = [
        name for name in asked if Version(importlib.metadata.version(name)).public != pins()[name]
    ]
    if other:
        pytest.skip(
            f"this environment was not made with constraints.txt: other versions of {', '.join(other)}"
        )
    pinned = {canonicalize_name(name) for name in pins()}
    todo, seen = list(asked.values()), set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        if name.startswith(("nvidia-", "cuda-")) or name in {"triton", "mtlnas-lab"}:
            continue  # the builds with CUDA bring these, pinned by torch itself
        assert name in pinned, (
            f"{requirement} is installed and not pinned; add it to constraints.txt"
        )
        for text in importlib.metadata.requires(name) or ():
            further = Requirement(text)
            extras = ("", *requirement.extras)
            if further.marker is None or any(
                further.marker.evaluate({"extra": extra}) for extra in extras
            ):
                todo.append(further)


def test_conda_asks_for_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = {line for line in environment["dependencies"] if isinstance(line, str)} - {"pip"}
    python = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    ours = {
        f"{CONDA_NAME.get(name, name)}{_in_order(requirement)}"
        for name, requirement in ranges().items()
    }
    assert conda == ours | {f"python{python}"}
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def _in_order(requirement: Requirement) -> str:
    return ",".join(sorted(map(str, requirement.specifier), reverse=True))


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == mtlnas_lab.__version__ == importlib.metadata.version("mtlnas-lab")
    assert citation["preferred-citation"]["doi"] == "10.1109/CVPR42600.2020.01156"
    assert "unofficial" in citation["title"]


def test_no_addresses_of_machines_or_registries():
    for name in ("pyproject.toml", "constraints.txt", "environment.yml", "Makefile", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|file://|find-links|index-url|/home/|/work/", text), name


@pytest.mark.parametrize("name", mtlnas_lab.__all__)
def test_every_public_name_is_there(name):
    value = getattr(mtlnas_lab, name)
    assert name in dir(mtlnas_lab)
    if name in mtlnas_lab.LIVES_IN:
        assert value.__module__ == f"mtlnas_lab.{mtlnas_lab.LIVES_IN[name]}"
    elif name == "presets":
        assert value.__name__ == "mtlnas_lab.experiments.presets"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'SearchSpce'"):
        mtlnas_lab.SearchSpce


LAZY = ["", "tasks", "storage", "data", "core", "models", "runs", "experiments", "analysis"]


@pytest.mark.parametrize("folder", LAZY)
def test_type_checkers_see_the_same_names(folder):
    """What a folder hands out when it is asked is what its TYPE_CHECKING block imports, and each name is there."""
    package = importlib.import_module(f"mtlnas_lab.{folder}".rstrip("."))
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {}
    for statement in block.body:
        for alias in statement.names:
            seen[alias.name] = statement.module
    own = {"presets": "experiments"} if not folder else {}
    assert seen == own | package.LIVES_IN
    for name in package.LIVES_IN:
        value = getattr(package, name)
        assert value.__module__.startswith("mtlnas_lab.") and name in dir(package)


def test_make_help_names_every_command():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    assert sorted(phony) == sorted(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
