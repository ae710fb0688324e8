"""The import table of the README ("How it is built"), held against the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mtlnas_lab

ROOT = Path(mtlnas_lab.__file__).parent
CORE = (
    "errors",
    "values",
    "cores",
    "_torchvision",
    "files",
    "inputs",
    "yaml_files",
    "checkpoints",
    "space",
    "fusion",
    "relaxation",
    "colours",
    "meters",
    "tasks",
    "events",
    "backbones",
    "zoo",
    "weights",
    "furniture",
    "rooms",
    "packfile",
    "data",
    "stored",
    "lazy",
    "identity",
    "readers",
    "supernet",
    "architecture",
    "transfer",
    "lab",
    "baselines",
    "evaluate",
    "config",
    "together",
    "randomness",
    "search",
    "calibrate",
    "runs",
    "official",
    "presets",
    "recording",
    "experiment",
)
PICTURES_READ = {"errors", "files", "space", "architecture", "events", "runs"}
ANYTHING = {
    "cli",
    "commands",
    "console",
    "doctor",
    "looking",
    "boards",
    "samples",
    "nyuv2",
    "exercises",
    "scale",
    "export",
    "studies",
    "workers",
    "paired",
    "informative",
    "findings",
    "report",
    "__main__",
}

CORE_TOP = {"torch", "numpy", "safetensors", "tqdm"}
CORE_INSIDE = CORE_TOP | {"torchvision", "torchmetrics", "yaml", "PIL", "h5py"}
VIZ = {"numpy", "matplotlib", "seaborn", "networkx"}
WIDGETS = {"numpy", "ipywidgets", "anywidget", "traitlets", "IPython", "PIL"}
EVERYTHING = (
    CORE_INSIDE
    | VIZ
    | WIDGETS
    | {
        "tyro",
        "jupyter_core",
        "joblib",
        "pandas",
        "scipy",
        "onnx",
        "onnxscript",
        "onnxruntime",
        "distributed",
        "ray",
        "lightning",
        "lightning_fabric",
        "tensorboard",
    }
)


def modules() -> dict[str, Path]:
    """Dotted name inside the package -> file, for all but the package's own __init__."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }
    files.pop("__init__")
    return files


def imports(name: str, path: Path):
    """(line, at the top?, dotted target) of each import; a target inside the package starts with a dot."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.walk(node)
    }
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            whole = node.module == "mtlnas_lab"
            targets = (
                [f"mtlnas_lab.{alias.name}" for alias in node.names] if whole else [node.module]
            )
        elif isinstance(node, ast.ImportFrom):
            base = ["mtlnas_lab", *package[: len(package) + 1 - node.level]]
            base += node.module.split(".") if node.module else []
            targets = (
                [".".join(base)]
                if node.module
                else [".".join([*base, alias.name]) for alias in node.names]
            )
        else:
            continue
        for target in targets:
            yield (
                node.lineno,
                id(node) not in inside,
                target.removeprefix("mtlnas_lab") if _ours(target) else target,
            )


def _ours(target: str) -> bool:
    return target.split(".")[0] == "mtlnas_lab"


def allowed(name: str) -> tuple[set[str], set[str], set[str]]:
    """What `name` may import: modules of ours, other packages at the top, other packages inside functions."""
    part = name.split(".")[0]
    if part in CORE:
        return {*CORE[: CORE.index(part)], "__version__"}, CORE_TOP, CORE_INSIDE
    if part == "viz":
        return PICTURES_READ | {"viz", "__version__"}, VIZ, VIZ | {"PIL"}
    if part == "widgets":
        return PICTURES_READ | {"viz", "widgets", "__version__"}, VIZ | WIDGETS, VIZ | WIDGETS
    if part in ANYTHING:
        return {*CORE, *ANYTHING, "viz", "widgets", "__version__"}, CORE_TOP | {"tyro"}, EVERYTHING
    pytest.fail(
        f"{name} has no place in the import table of tests/test_layers.py; give it one there and in the README"
    )


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_what_the_table_allows(name):
    ours, at_top, inside = allowed(name)
    wrong = []
    for line, top, target in imports(name, modules()[name]):
        if target.startswith("."):
            fine = target.split(".")[1] in ours
        else:
            package = target.split(".")[0]
            fine = package in sys.stdlib_module_names or package in (at_top if top else inside)
        if not fine:
            wrong.append(f"line {line}: {target}{' at the top' if top else ''}")
    assert not wrong, f"{name} may not import " + "; ".join(wrong)


def test_the_reader_of_imports_sees_every_form(tmp_path):
    source = tmp_path / "two.py"
    source.write_text(
        "import torch.nn\nfrom . import one\nfrom .. import space, __version__\nfrom ..runs import Run\n"
        "from mtlnas_lab import search\nimport mtlnas_lab.viz\n"
        "def f():\n    from .three import x\n    import h5py\n"
    )
    assert sorted(imports("viz.two", source)) == [
        (1, True, "torch.nn"),
        (2, True, ".viz.one"),
        (3, True, ".__version__"),
        (3, True, ".space"),
        (4, True, ".runs"),
        (5, True, ".search"),
        (6, True, ".viz"),
        (8, False, ".viz.three"),
        (9, False, "h5py"),
    ]


@pytest.mark.parametrize(
    "use, unwanted",
    [
        ("mtlnas_lab", {"torch", "numpy", "matplotlib"}),
        ("mtlnas_lab.SearchSpace", {"torch", "numpy", "matplotlib"}),
        (
            "[getattr(mtlnas_lab, name) for name in mtlnas_lab._LIVES_IN]",
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
