"""Many runs: studies, statistics, reports, and what an edge is worth."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .edge_importance import ablate
    from .edge_table import explain, to_latex, to_markdown
    from .results import StudyResults
    from .study import Study

LIVES_IN = {
    "Study": "study",
    "StudyResults": "results",
    "ablate": "edge_importance",
    "explain": "edge_table",
    "to_latex": "edge_table",
    "to_markdown": "edge_table",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
