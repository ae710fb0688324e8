"""What is learnt: tasks, their metrics and their pictures."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .task import Task, make_task

LIVES_IN = {
    "Task": "task",
    "make_task": "task",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
