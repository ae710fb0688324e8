"""Folders are layers: what each may import, held against the source. README, "How it is built", shows the same order."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mtlnas_lab

ROOT = Path(mtlnas_lab.__file__).parent

# Lowest first. A folder may import the folders named here, the files beside them (BESIDE), the packages named under `top`
# when it is imported, and the packages named under `inside` only when a function that needs them is called.
FOLDERS = {
    "tasks": {"folders": "", "top": "numpy torch", "inside": "torchmetrics"},
    "storage": {"folders": "", "top": "torch safetensors", "inside": "yaml"},
    "data": {"folders": "tasks", "top": "numpy torch", "inside": "PIL h5py torchvision"},
    "core": {"folders": "tasks storage data", "top": "numpy torch", "inside": ""},
    "models": {
        "folders": "tasks storage data core",
        "top": "torch",
        "inside": "safetensors torchvision onnx onnxruntime onnxscript",
    },
    "runs": {
        "folders": "storage core",
        "top": "numpy torch",
        "inside": "lightning lightning_fabric",
    },
    "viz": {
        "folders": "tasks storage core runs",
        "top": "numpy matplotlib networkx",
        "inside": "PIL seaborn",
    },
    "experiments": {
        "folders": "tasks storage data core models runs viz",
        "top": "torch",
        "inside": "safetensors",
    },
    "widgets": {
        "folders": "tasks data core runs viz",
        "top": "numpy matplotlib networkx PIL anywidget ipywidgets traitlets",
        "inside": "IPython",
    },
    "analysis": {
        "folders": "tasks storage data core models runs experiments viz",
        "top": "numpy torch",
        "inside": "matplotlib pandas scipy joblib distributed ray jinja2 markupsafe",
    },
    "bench": {
        "folders": "tasks storage data core models analysis",
        "top": "numpy torch",
        "inside": "pandas scipy joblib jinja2",
    },
    "explore": {
        "folders": "tasks storage data core models runs experiments viz analysis bench",
        "top": "numpy torch",
        "inside": "matplotlib networkx pandas scipy joblib jinja2 pymoo",
    },
    "course": {
        "folders": "storage data core models runs experiments viz widgets",
        "top": "numpy torch",
        "inside": "IPython ipywidgets jupyter_core matplotlib networkx",
    },
    "cli": {
        "folders": "tasks storage data core models runs experiments viz widgets analysis bench explore course",
        "top": "tyro",
        "inside": "torch tqdm jupyter_core",
    },
}

# The files beside the folders, lowest first; each may import those before it.
BESIDE = {
    "lazy_names": "",
    "errors": "",
    "one_line": "",
    "values": "",
    "cores": "",
    "randomness": "numpy torch",
    "in_place": "torch",
    "_compat": "torch torchvision",
}


def modules() -> dict[str, Path]:
    """Dotted name inside the package → file; a folder's own `__init__` has the folder's name."""
    named = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts).removesuffix(".__init__")] = path
    del named["__init__"]  # the public root reaches everything, lazily
    del named["__main__"]  # `python -m mtlnas_lab` is the command line
    return named


def imports(name: str, path: Path):
    """(line, at the top?, dotted target) of each import; a target inside the package starts with a dot."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside.update(id(child) for child in ast.walk(node))
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        at_top = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, at_top, ours(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = ["mtlnas_lab", *package[: len(package) + 1 - node.level], *base]
            for alias in node.names:
                yield node.lineno, at_top, ours(".".join([*base, alias.name]))


def ours(target: str) -> str:
    """A target inside the package, with the dot that says so; another as it is."""
    if target.split(".")[0] == "mtlnas_lab":
        return target.removeprefix("mtlnas_lab")
    return target


def fine(place: str, target: str, at_top: bool) -> bool:
    """May a file of this folder, or this file beside them, import that?"""
    if target.startswith("."):
        part = target.split(".")[1]
        if place in BESIDE:
            return part in list(BESIDE)[: list(BESIDE).index(place)]
        return part in {place, "__version__", *BESIDE, *FOLDERS[place]["folders"].split()}
    package = target.split(".")[0]
    if package in sys.stdlib_module_names:
        return True
    if place in BESIDE:
        return package in BESIDE[place].split()
    rule = FOLDERS[place]
    return package in rule["top"].split() or (not at_top and package in rule["inside"].split())


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_what_the_table_allows(name):
    place = name.split(".")[0]
    assert place in FOLDERS or place in BESIDE, f"{name} has no place in the table of this file"
    wrong = []
    for line, at_top, target in imports(name, modules()[name]):
        if not fine(place, target, at_top):
            wrong.append(f"line {line}: {target}{' at the top' if at_top else ''}")
    assert not wrong, f"{name} may not import " + "; ".join(wrong)


def test_folders_import_only_folders_below_them():
    order = list(FOLDERS)
    for place, rule in FOLDERS.items():
        assert set(rule["folders"].split()) <= set(order[: order.index(place)]), place


def module_of(target: str, known) -> str | None:
    """The module that a target inside the package names: `.core.space.Node` → `core.space`."""
    parts = target.split(".")[1:]
    while parts and ".".join(parts) not in known:
        parts.pop()
    return ".".join(parts) or None


def test_no_file_imports_itself_through_others():
    known = modules()
    graph = {}
    for name, path in known.items():
        targets = [target for _, _, target in imports(name, path) if target.startswith(".")]
        graph[name] = {module_of(target, known) for target in targets} - {None, name}
    for name, path in known.items():
        if path.name == "__init__.py":  # a folder's face imports its files; they do not import it
            graph[name] = set()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " → ".join(error.args[1]))


def test_the_reader_of_imports_sees_every_form(tmp_path):
    source = tmp_path / "two.py"
    source.write_text(
        "import torch.nn\nfrom . import one\nfrom .. import core, __version__\nfrom ..runs.run import Run\n"
        "from mtlnas_lab import search\nimport mtlnas_lab.viz\n"
        "def f():\n    from .three import x\n    import h5py\n"
    )
    assert sorted(imports("viz.two", source)) == [
        (1, True, "torch.nn"),
        (2, True, ".viz.one"),
        (3, True, ".__version__"),
        (3, True, ".core"),
        (4, True, ".runs.run.Run"),
        (5, True, ".search"),
        (6, True, ".viz"),
        (8, False, ".viz.three.x"),
        (9, False, "h5py"),
    ]


def test_the_table_refuses():
    assert not fine("viz", ".experiments.presets", at_top=False)
    assert not fine("core", "matplotlib", at_top=False)
    assert not fine("data", "h5py", at_top=True) and fine("data", "h5py", at_top=False)
    assert not fine("errors", ".values.number", at_top=True)
    assert module_of(".core.space.Node", {"core", "core.space"}) == "core.space"


@pytest.mark.parametrize(
    "use, unwanted",
    [
        ("mtlnas_lab", {"torch", "numpy", "matplotlib"}),
        ("mtlnas_lab.SearchSpace", {"torchvision", "matplotlib", "ipywidgets"}),
        (
            "[getattr(mtlnas_lab, name) for name in mtlnas_lab.LIVES_IN if not"
            " mtlnas_lab.LIVES_IN[name].startswith(('viz', 'widgets', 'course'))]",
            {
                "matplotlib",
                "seaborn",
                "networkx",
                "torchvision",
                "torchmetrics",
                "PIL",
                "h5py",
                "yaml",
                "ipywidgets",
            },
        ),
    ],
)
def test_a_fresh_import_is_cheap(use, unwanted):
    code = f"import sys, mtlnas_lab; {use}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert unwanted.isdisjoint(loaded), f"loads {unwanted.intersection(loaded)}"
