"""A lab for MTL-NAS: which features should single-task networks share? Search it, watch it, draw it (unofficial).

    from mtlnas_lab import presets, Search           # the nouns of the paper, each from the module it lives in
    from mtlnas_lab.relaxation import stochastic     # everything else

Importing the package loads nothing; a name loads its module when it is first used. Where a module and a function share
a name, the name here is the module: `mtlnas_lab.evaluate.evaluate`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from . import (
        architecture,
        backbones,
        baselines,
        config,
        data,
        errors,
        evaluate,
        events,
        fusion,
        lab,
        official,
        presets,
        relaxation,
        rooms,
        runs,
        search,
        space,
        supernet,
        tasks,
        viz,
        widgets,
    )
    from .architecture import Architecture, derive, prune
    from .config import SearchConfig
    from .data import Pack
    from .errors import LabError
    from .evaluate import discretization_gap
    from .events import EventLog
    from .fusion import NDDR, CrossStitch, ResidualFusion
    from .lab import Lab
    from .relaxation import ArchitectureWeights, Schedule, entropy, entropy_fraction
    from .runs import Run
    from .search import Search
    from .space import Edge, Node, SearchSpace, Stage
    from .supernet import SuperNet

_MODULES = (
    "architecture",
    "backbones",
    "baselines",
    "config",
    "data",
    "errors",
    "evaluate",
    "events",
    "fusion",
    "lab",
    "official",
    "presets",
    "relaxation",
    "rooms",
    "runs",
    "search",
    "space",
    "supernet",
    "tasks",
    "viz",
    "widgets",
)
_LIVES_IN = {
    "Architecture": "architecture",
    "derive": "architecture",
    "prune": "architecture",
    "SearchConfig": "config",
    "Pack": "data",
    "LabError": "errors",
    "discretization_gap": "evaluate",
    "EventLog": "events",
    "NDDR": "fusion",
    "CrossStitch": "fusion",
    "ResidualFusion": "fusion",
    "Lab": "lab",
    "ArchitectureWeights": "relaxation",
    "Schedule": "relaxation",
    "entropy": "relaxation",
    "entropy_fraction": "relaxation",
    "Run": "runs",
    "Search": "search",
    "Edge": "space",
    "Node": "space",
    "SearchSpace": "space",
    "Stage": "space",
    "SuperNet": "supernet",
}
__all__ = ["__version__", "show", *_MODULES, *_LIVES_IN]


def show() -> None:
    """Shows the latest studio again, as after the page of an unsaved notebook was reloaded."""
    from .widgets import show

    show()


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _LIVES_IN:
        value = globals()[name] = getattr(import_module(f".{_LIVES_IN[name]}", __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
