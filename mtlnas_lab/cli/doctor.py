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
from functools import partial
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
        mark = "✓" if self.ok else "✗"
        line = f"{mark} {self.name}: {self.found}"
        if self.advice:
            line = f"{line}  → {self.advice}"
        return printable(line)


def checks(folder: Path | str = ".") -> list[Check]:
    """The seven checks, a line each.

    Args:
        folder: Where runs would be written, into its `runs/`.
    """
    lowest = required()
    return [
        _installation(lowest),
        _libraries(lowest),
        _guarded("torchvision", lambda: _torchvision(lowest.get("torchvision", ""))),
        _guarded("device", _device),
        _guarded("widgets", _widgets),
        _place(Path(folder)),
        _shipped_data(),
    ]


def report(found: list[Check] | None = None) -> str:
    """The checks as text, one line each, and a closing line that says whether the lab will work."""
    if found is None:
        found = checks()
    missing = [check.name for check in found if not check.ok]
    closing = "Everything the lab needs is here."
    if missing:
        closing = f"To mend: {', '.join(missing)}."
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
            name = re.match(r"[\w.-]+", text)[0].lower()
            least = re.search(r">=\s*([\w.]+)", text)
            lowest[name] = least[1] if least else ""
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


# A version's label (rc1, +cpu) says nothing about what the lab needs of it.
def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _at_least(name: str, version: str, lowest: str) -> Check:
    if lowest and _numbers(version) < _numbers(lowest):
        return Check(name, False, version, f"the lab needs {lowest} or later: {SET_UP}")
    return Check(name, True, version)


def _installation(lowest: dict[str, str]) -> Check:
    """The package in its environment, and Python."""
    from .. import __version__

    python = platform.python_version()
    found = f"mtlnas-lab {__version__}, Python {python} on {platform.system()} {platform.machine()}"
    if _numbers(python) < (3, 11):
        advice = "make a new environment with Python 3.11 or later"
        return Check("installation", False, found, advice)
    if not lowest:
        found = f"{found}, not installed in this environment ({sys.prefix})"
        return Check("installation", False, found, SET_UP)
    return Check("installation", True, found)


def _libraries(lowest: dict[str, str]) -> Check:
    """Every library that the package requires: it can be imported, and is not too old."""
    good, bad, advice = [], [], []
    for name in lowest:
        if name == "torchvision":  # has a check of its own
            continue
        check = _guarded(name, partial(_library, name, lowest[name]))
        (good if check.ok else bad).append(f"{name} {check.found}")
        if check.advice not in ("", *advice):
            advice.append(check.advice)
    return Check("libraries", not bad, ", ".join(bad or good), "; ".join(advice))


def _library(name: str, lowest: str) -> Check:
    if name == "torchmetrics":  # it imports torchvision, which must come first
        from .._compat import torchvision

        torchvision()
    if name not in OWN_PROCESS:
        importlib.import_module(MODULE_OF.get(name, name))
    return _at_least(name, metadata.version(name), lowest)


def _device() -> Check:
    """What a search would run on, and how its threads wait."""
    threads = _threads()
    return Check("device", True, f"{_processor()}; {threads.found}", threads.advice)


def _processor() -> str:
    import torch

    # An emulated bf16 is slower than float32, so only hardware counts.
    if torch.cuda.is_available():
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return f"cuda ({torch.cuda.get_device_name()}), {_precision(bf16)}"
    if torch.backends.mps.is_available():
        return f"mps ({platform.machine()}), {_precision(None)}"
    able = getattr(torch.cpu, "get_capabilities", dict)()
    name = able.get("cpu_name") or platform.processor() or platform.machine()
    bf16 = None
    if able:
        bf16 = any("bf16" in feature and there for feature, there in able.items())
    return f"cpu ({name}), {os.cpu_count()} cores, {_precision(bf16)}"


def _precision(bf16: bool | None) -> str:
    if bf16 is None:
        return "bf16 not known"
    return "bf16 in hardware" if bf16 else "no bf16 in hardware"


def _torchvision(lowest: str) -> Check:
    """The pair must match: torchvision names the one torch it was built for."""
    import torch

    from .._compat import MISSING, torchvision

    version = metadata.version("torchvision")
    meant = _torch_that_torchvision_is_for()
    if meant and _numbers(meant) != _numbers(torch.__version__):
        return Check(
            "torchvision",
            False,
            f"{version} is for torch {meant} and meets torch {torch.__version__} "
            f'(other programs then say "{MISSING}")',
            "install the pair again: `python -m pip install -c constraints.txt --force-reinstall torch torchvision`",
        )
    module = torchvision()
    check = _at_least("torchvision", version, lowest)
    found = f"{version} beside torch {torch.__version__}"
    if check.ok and not module.extension._has_ops():
        found = f"{found}, without its compiled operators (the lab needs none of them)"
    return Check("torchvision", check.ok, found, check.advice)


def _torch_that_torchvision_is_for() -> str:
    for text in metadata.requires("torchvision") or ():
        match = re.match(r"torch\s*\(?==\s*([\w.]+)", text)
        if match:
            return match[1]
    return ""


def _widgets() -> Check:
    """JupyterLab draws a widget only where its extension lies; without it a cell says "model not found"."""
    from jupyter_core.paths import jupyter_path

    folders = [Path(path) for path in jupyter_path("labextensions")]
    missing = []
    for name in LAB_EXTENSIONS:
        if not any((path / name / "package.json").exists() for path in folders):
            missing.append(name)
    if missing:
        return Check(
            "widgets",
            False,
            f"no {' and no '.join(missing)}",
            "`python -m pip install -c constraints.txt --force-reinstall jupyterlab_widgets anywidget`, then "
            "start JupyterLab from this environment and reload the page",
        )
    return Check("widgets", True, "both extensions of JupyterLab are in place")


def _threads() -> Check:
    import torch

    from ..cores import usable_cores

    there = os.cpu_count() or 1
    cores = usable_cores()
    threads = torch.get_num_threads()
    waiting = os.environ.get("OMP_WAIT_POLICY", "")
    found = f"torch uses {threads} of {cores} cores"
    if cores != there:
        found = f"{found} that this process may use (the machine has {there})"
    found = f"{found}, OMP_WAIT_POLICY is {waiting or 'not set'}"
    advice = ""
    passive = waiting.upper() == "PASSIVE" or os.environ.get("GOMP_SPINCOUNT") == "0"
    # Advice and not a fault: the search is right, only slow.
    if threads > cores:
        advice = f"set OMP_NUM_THREADS={cores} before Python starts: more threads than cores wait for each other"
    elif threads > 1 and not passive:
        advice = (
            "set OMP_WAIT_POLICY=PASSIVE before Python starts (`make lab` does): a "
            "busy browser and threads that spin while they wait slow a search greatly"
        )
    return Check("threads", True, found, advice)


def _place(folder: Path) -> Check:
    """Where runs are written: the folder, its `runs`, and the room on its disk."""
    # `runs` may belong to another user, or lie on another disk, where the folder around it does not.
    places = [folder]
    if (folder / "runs").exists():
        places.append(folder / "runs")
    for place in places:
        reason = _why_not_writable(place)
        if reason:
            advice = "start in a folder of yours, or give --out"
            return Check("place", False, f"{place} cannot be written: {reason}", advice)
    free = shutil.disk_usage(folder).free
    found = f"{folder} can be written, {free / 1e9:.1f} GB are free"
    if free < DISK:
        advice = f"runs and checkpoints want {DISK / 1e9:.0f} GB: make room or give --out"
        return Check("place", False, found, advice)
    return Check("place", True, found)


def _why_not_writable(folder: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"lab")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _shipped_data() -> Check:
    from ..data.open import ROOMS, shipped

    folder = shipped("data_samples")
    if not (folder / ROOMS).is_file():
        return Check(
            "shipped data",
            False,
            f"no {ROOMS} in {folder}",
            "install the lab again: the data is part of it",
        )
    return Check("shipped data", True, f"{ROOMS} and what else comes with the lab")
