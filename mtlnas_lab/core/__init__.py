"""The method: search space, fusion, relaxation, supernet and search."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .architecture import Architecture, agreement, derive, transfer
    from .backbone import Backbone
    from .config import SearchConfig
    from .evaluate import discretization_gap
    from .fusion import NDDR, CrossStitch, ResidualFusion
    from .lab import Lab, pick_device
    from .relaxation import ArchitectureWeights
    from .schedule import Schedule
    from .search import Search
    from .space import Edge, Node, SearchSpace, Stage
    from .supernet import SuperNet

LIVES_IN = {
    "Edge": "space",
    "Node": "space",
    "SearchSpace": "space",
    "Stage": "space",
    "ArchitectureWeights": "relaxation",
    "Schedule": "schedule",
    "CrossStitch": "fusion",
    "NDDR": "fusion",
    "ResidualFusion": "fusion",
    "Backbone": "backbone",
    "SuperNet": "supernet",
    "Architecture": "architecture",
    "agreement": "architecture",
    "derive": "architecture",
    "transfer": "architecture",
    "SearchConfig": "config",
    "Lab": "lab",
    "pick_device": "lab",
    "discretization_gap": "evaluate",
    "Search": "search",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
