"""Small explorers, each a page for one idea, alone in a cell. What reacts at once is computed in the page."""

from .blindfold import Blindfold
from .browser import PredictionBrowser
from .deployment import DeploymentExplorer
from .landscape import LandscapeExplorer
from .microscope import EdgeMicroscope
from .relaxed import RelaxationExplorer
from .scrubber import ReplayScrubber
from .spaces import SpaceExplorer, fusion_weights
from .sums import concrete, descend, phase, tipping, uniform
from .toggler import EdgeToggler

__all__ = [
    "Blindfold",
    "DeploymentExplorer",
    "EdgeMicroscope",
    "EdgeToggler",
    "LandscapeExplorer",
    "PredictionBrowser",
    "RelaxationExplorer",
    "ReplayScrubber",
    "SpaceExplorer",
    "concrete",
    "descend",
    "fusion_weights",
    "phase",
    "tipping",
    "uniform",
]
