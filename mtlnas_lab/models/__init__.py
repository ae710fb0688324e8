"""The networks: backbones, baselines, and searched networks that stand alone."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .pruned import prune

LIVES_IN = {
    "prune": "pruned",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
