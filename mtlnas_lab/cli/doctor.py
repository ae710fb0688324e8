"""`mtlnas-lab doctor`: is everything here that the lab needs, and what to do where it is not."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..one_line import printable

SET_UP = "run `make setup`, or `python -m pip install -c constraints.txt -e .`"


MODULE_OF = {"pillow": "PIL", "pyyaml": "yaml"}


OWN_PROCESS = (
    "jupyterlab",
    "ipykernel",
)  # started, never imported by the lab: their version is enough


LAB_EXTENSIONS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")


DISK = 1e9  # bytes: a few hundred runs with their checkpoints


@dataclass(frozen=True)
class Check:
    """One thing looked at. ok: good enough to work; found: what is there; advice: what to do ("" where nothing is)."""

    name: str
    ok: bool
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"  → {self.advice}" if self.advice else ""
        return printable(f"{'✓' if self.ok else '✗'} {self.name}: {self.found}{advice}")


def checks(folder: Path | str = ".") -> list[Check]:
    """All checks, one line each; `folder` is where runs would be written (into its `runs/`)."""
    folder = Path(folder)
    lowest = required()
    libraries = [name for name in lowest if name not in ("torch", "torchvision")]
    return [
        _python(),
        _itself(lowest),
        _guarded("torch", lambda: _library("torch", lowest.get("torch", ""))),
        _guarded("device", _device),
        _guarded("torchvision", lambda: _torchvision(lowest.get("torchvision", ""))),
        *(_guarded(name, lambda name=name: _library(name, lowest[name])) for name in libraries),
        _guarded("widgets in JupyterLab", _widgets),
        _guarded("threads", _threads),
        _writable("this folder", folder),
        *([_writable("runs/", folder / "runs")] if (folder / "runs").exists() else []),
        _disk(folder),
        _shipped_data(),
    ]


def report(found: list[Check] | None = None) -> str:
    """The checks as text, one line each, and a closing line that says whether the lab will work."""
    found = checks() if found is None else found
    missing = [check.name for check in found if not check.ok]
    closing = (
        "Everything the lab needs is here." if not missing else f"To mend: {', '.join(missing)}."
    )
    return "\n".join([*map(str, found), closing])


def required() -> dict[str, str]:
    """{library: lowest version} as the installed package declares it, without the extras; {} if it is not installed."""
    try:
        texts = metadata.requires("mtlnas-lab") or []
    except metadata.PackageNotFoundError:
        return {}
    lowest = {}
    for text in texts:
        if "extra" not in text:
            least = re.search(r">=\s*([\w.]+)", text)
            lowest[re.match(r"[\w.-]+", text)[0].lower()] = least[1] if least else ""
    return lowest


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """A broken installation may raise anything at all; it becomes a line like every other."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return check()
    except ModuleNotFoundError as error:
        return Check(name, False, f"no module {error.name!r}", SET_UP)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        return Check(
            name,
            False,
            f"fails on import, {type(error).__name__}: {reason}",
            f"install it again: `python -m pip install -c constraints.txt --force-reinstall {name}`",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _at_least(name: str, version: str, lowest: str) -> Check:
    if lowest and _numbers(version) < _numbers(lowest):
        return Check(name, False, version, f"the lab needs {lowest} or later: {SET_UP}")
    return Check(name, True, version)


def _python() -> Check:
    check = _at_least("python", platform.python_version(), "3.11")
    return Check(
        check.name,
        check.ok,
        f"{check.found} on {platform.system()} {platform.machine()}",
        "" if check.ok else "make a new environment with Python 3.11 or later",
    )


def _itself(lowest: dict[str, str]) -> Check:
    from .. import __version__

    if not lowest:
        return Check(
            "mtlnas-lab",
            False,
            f"{__version__}, not installed in this environment ({sys.prefix})",
            SET_UP,
        )
    return Check("mtlnas-lab", True, __version__)


def _library(name: str, lowest: str) -> Check:
    if name == "torchmetrics":  # it imports torchvision, which must come first
        from .._compat import torchvision

        torchvision()
    if name not in OWN_PROCESS:
        importlib.import_module(MODULE_OF.get(name, name))
    return _at_least(name, metadata.version(name), lowest)


def _device() -> Check:
    import torch

    able = getattr(torch.cpu, "get_capabilities", dict)()
    kind, name = "cpu", able.get("cpu_name") or platform.processor() or platform.machine()
    bf16 = any("bf16" in feature and there for feature, there in able.items()) if able else None
    if torch.cuda.is_available():
        kind, name, bf16 = (
            "cuda",
            torch.cuda.get_device_name(),
            torch.cuda.is_bf16_supported(including_emulation=False),
        )
    elif torch.backends.mps.is_available():
        kind, bf16 = "mps", None
    precision = {True: "bf16 in hardware", False: "no bf16 in hardware", None: "bf16 not known"}[
        bf16
    ]
    return Check("device", True, f"{kind} ({name}), {os.cpu_count()} cores, {precision}")


def _torchvision(lowest: str) -> Check:
    """The pair must match: torchvision names the one torch it was built for."""
    import torch

    from .._compat import MISSING, torchvision

    version = metadata.version("torchvision")
    meant = next(
        (
            m[1]
            for text in metadata.requires("torchvision") or ()
            if (m := re.match(r"torch\s*\(?==\s*([\w.]+)", text))
        ),
        None,
    )
    mend = "install the pair again: `python -m pip install -c constraints.txt --force-reinstall torch torchvision`"
    if meant and _numbers(meant) != _numbers(torch.__version__):
        return Check(
            "torchvision",
            False,
            f"{version} is for torch {meant} and meets torch {torch.__version__} "
            f'(other programs then say "{MISSING}")',
            mend,
        )
    module = torchvision()
    check = _at_least("torchvision", version, lowest)
    if check.ok and not module.extension._has_ops():
        return Check(
            "torchvision",
            True,
            f"{version} beside torch {torch.__version__}, without its compiled operators "
            "(the lab needs none of them)",
        )
    return Check(check.name, check.ok, f"{version} beside torch {torch.__version__}", check.advice)


def _widgets() -> Check:
    """JupyterLab draws a widget only where its extension lies; without it a cell says "model not found"."""
    from jupyter_core.paths import jupyter_path

    folders = [Path(path) for path in jupyter_path("labextensions")]
    missing = [
        name
        for name in LAB_EXTENSIONS
        if not any((path / name / "package.json").exists() for path in folders)
    ]
    if missing:
        return Check(
            "widgets in JupyterLab",
            False,
            f"no {' and no '.join(missing)}",
            "`python -m pip install -c constraints.txt --force-reinstall jupyterlab_widgets anywidget`, then "
            "start JupyterLab from this environment and reload the page",
        )
    return Check("widgets in JupyterLab", True, "both extensions are in place")


def _threads() -> Check:
    import torch

    from ..cores import usable_cores

    there, cores, threads = os.cpu_count() or 1, usable_cores(), torch.get_num_threads()
    waiting = os.environ.get("OMP_WAIT_POLICY", "")
    usable = "" if cores == there else f" that this process may use (the machine has {there})"
    found = (
        f"torch uses {threads} of {cores} cores{usable}, OMP_WAIT_POLICY is {waiting or 'not set'}"
    )
    if threads > cores:
        return Check(
            "threads",
            True,
            found,
            f"set OMP_NUM_THREADS={cores} before Python starts: more threads than cores wait for each other",
        )
    if threads > 1 and waiting.upper() != "PASSIVE" and os.environ.get("GOMP_SPINCOUNT") != "0":
        return Check(
            "threads",
            True,
            found,
            "set OMP_WAIT_POLICY=PASSIVE before Python starts (`make lab` does): a "
            "busy browser and threads that spin while they wait slow a search greatly",
        )
    return Check("threads", True, found)


def _writable(name: str, folder: Path) -> Check:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"lab")
    except OSError as error:
        return Check(
            name,
            False,
            f"cannot be written: {error.strerror}",
            "start in a folder of yours, or give --out",
        )
    return Check(name, True, "can be written")


def _disk(folder: Path) -> Check:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(
            "free disk", False, f"not known: {error.strerror}", "start from a folder that exists"
        )
    return Check(
        "free disk",
        free >= DISK,
        f"{free / 1e9:.1f} GB",
        ""
        if free >= DISK
        else f"runs and checkpoints want {DISK / 1e9:.0f} GB: make room or give --out",
    )


def _shipped_data() -> Check:
    samples = Path(__file__).parents[2] / "data_samples"
    if not (samples / "rooms.npz").is_file():
        return Check(
            "shipped data",
            False,
            "no data_samples/rooms.npz beside the package",
            "work in a clone of the repository and install it with `-e`; the data is part of it",
        )
    return Check("shipped data", True, "data_samples/rooms.npz")
