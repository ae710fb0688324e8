"""A lab for MTL-NAS: which features should single-task networks share? Search it, watch it, draw it (unofficial).

    from mtlnas_lab import presets, Search, SearchConfig, evaluate, plot_fusion_graph

    lab = presets.tiny()                                    # tasks, data, supernet, α
    for event in Search(lab, SearchConfig(steps=300)):
        print(event)
    plot_fusion_graph(lab.derive())                         # edges with α > 0

These names are what a notebook needs. Everything else is in the folders, each of which builds on those before it: tasks,
storage, data, core, models, runs, viz, experiments, widgets, analysis, course, cli.

Importing the package loads nothing; a name loads its module when it is first used.
"""

from typing import TYPE_CHECKING

from .lazy_names import lazy_names

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from .core.architecture import Architecture, agreement, derive, transfer
    from .core.config import SearchConfig
    from .core.evaluate import discretization_gap, evaluate
    from .core.fusion import NDDR, CrossStitch, ResidualFusion
    from .core.lab import Lab, pick_device
    from .core.schedule import Schedule
    from .core.search import Search
    from .core.space import Edge, Node, SearchSpace, Stage
    from .core.supernet import SuperNet
    from .course.checking import check
    from .course.predictions import predict, reveal
    from .data.dataset import ImageDataset
    from .data.open import open_data
    from .errors import MTLNASError
    from .experiments import presets
    from .models.pruned import prune
    from .runs.event_log import EventLog
    from .runs.recorder import record
    from .runs.run import Run
    from .tasks.task import Task, make_task
    from .viz.curves import plot_entropy, plot_gates, plot_losses
    from .viz.export import save_fusion_graph
    from .viz.graph.plot import plot_fusion_graph
    from .widgets.figure_studio.widget import FigureStudio
    from .widgets.studio.widget import SearchStudio

LIVES_IN = {
    "Search": "core.search",
    "SearchConfig": "core.config",
    "Schedule": "core.schedule",
    "Lab": "core.lab",
    "pick_device": "core.lab",
    "Architecture": "core.architecture",
    "derive": "core.architecture",
    "agreement": "core.architecture",
    "transfer": "core.architecture",
    "SearchSpace": "core.space",
    "Node": "core.space",
    "Edge": "core.space",
    "Stage": "core.space",
    "SuperNet": "core.supernet",
    "NDDR": "core.fusion",
    "CrossStitch": "core.fusion",
    "ResidualFusion": "core.fusion",
    "evaluate": "core.evaluate",
    "discretization_gap": "core.evaluate",
    "prune": "models.pruned",
    "open_data": "data.open",
    "ImageDataset": "data.dataset",
    "Task": "tasks.task",
    "make_task": "tasks.task",
    "Run": "runs.run",
    "EventLog": "runs.event_log",
    "record": "runs.recorder",
    "plot_fusion_graph": "viz.graph.plot",
    "plot_entropy": "viz.curves",
    "plot_gates": "viz.curves",
    "plot_losses": "viz.curves",
    "save_fusion_graph": "viz.export",
    "SearchStudio": "widgets.studio.widget",
    "FigureStudio": "widgets.figure_studio.widget",
    "check": "course.checking",
    "predict": "course.predictions",
    "reveal": "course.predictions",
    "MTLNASError": "errors",
}
__all__ = ["__version__", "presets", *LIVES_IN]


MODULES = {"presets": "experiments.presets"}
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN, MODULES)
