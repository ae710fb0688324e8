"""A whole piece of work: presets, settings, the pipeline."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .config import Experiment

LIVES_IN = {
    "Experiment": "config",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
