"""What networks learn from: data sets, batches, and the files they come from."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .dataset import ImageDataset
    from .lazy import LazyImageDataset
    from .loader import Batches, sequential, split, whole
    from .open import open_data

LIVES_IN = {
    "ImageDataset": "dataset",
    "LazyImageDataset": "lazy",
    "Batches": "loader",
    "sequential": "loader",
    "split": "loader",
    "whole": "loader",
    "open_data": "open",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
