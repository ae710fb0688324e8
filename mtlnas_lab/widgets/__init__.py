"""Live and recorded searches in a notebook cell: the studio, the thread that runs a search, the replay page and the
playground; and small explorers, each for one idea.

    from mtlnas_lab.widgets import SearchStudio
    studio = SearchStudio(search)                    # or an EventLog, a Run, the path of a run folder
    studio                                           # shows it; Start is a button, or studio.start()
"""

from .explorers import (
    Blindfold,
    DeploymentExplorer,
    EdgeMicroscope,
    EdgeToggler,
    LandscapeExplorer,
    PredictionBrowser,
    RelaxationExplorer,
    ReplayScrubber,
    SpaceExplorer,
)
from .figure_studio.widget import FigureStudio
from .playground.page import playground_html
from .studio.runner import SearchRunner
from .studio.standalone import replay_html
from .studio.widget import SearchStudio, show

__all__ = [
    "Blindfold",
    "DeploymentExplorer",
    "EdgeMicroscope",
    "EdgeToggler",
    "FigureStudio",
    "LandscapeExplorer",
    "PredictionBrowser",
    "RelaxationExplorer",
    "ReplayScrubber",
    "SearchRunner",
    "SearchStudio",
    "SpaceExplorer",
    "playground_html",
    "replay_html",
    "show",
]
