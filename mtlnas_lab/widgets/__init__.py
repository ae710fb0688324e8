"""Live and recorded searches in a notebook cell: the studio, the thread that drives a search, the replay page; and
small explorers, each for one idea.

    from mtlnas_lab.widgets import SearchStudio
    studio = SearchStudio(search)                    # or an EventLog, a Run, the path of a run folder
    studio                                           # shows it; Start is a button, or studio.start()
"""

from .driver import Controls, Driver, Pulse
from .explorers import (
    EdgeMicroscope,
    EdgeToggler,
    PredictionBrowser,
    RelaxationExplorer,
    ReplayScrubber,
    SpaceExplorer,
)
from .figure_studio import FigureStudio
from .replay import replay_html
from .studio import SearchStudio, show

__all__ = [
    "Controls",
    "Driver",
    "EdgeMicroscope",
    "EdgeToggler",
    "FigureStudio",
    "PredictionBrowser",
    "Pulse",
    "RelaxationExplorer",
    "ReplayScrubber",
    "SearchStudio",
    "SpaceExplorer",
    "replay_html",
    "show",
]
