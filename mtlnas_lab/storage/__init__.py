"""Files that survive: whole writes, checked lines, checkpoints."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .checkpoints import Checkpoints

LIVES_IN = {
    "Checkpoints": "checkpoints",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
