"""What a search leaves behind: events, run folders, recording."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .event_log import EventLog
    from .recorder import Recorded, record
    from .run import Run
    from .run_writer import RunWriter

LIVES_IN = {
    "Run": "run",
    "RunWriter": "run_writer",
    "EventLog": "event_log",
    "record": "recorder",
    "Recorded": "recorder",
}
__all__ = [*LIVES_IN]
__getattr__, __dir__ = lazy_names(__name__, LIVES_IN)
