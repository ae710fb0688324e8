"""Live and recorded searches in a notebook cell: the studio, the thread that drives a search, the replay page.

    from mtlnas_lab.widgets import SearchStudio
    studio = SearchStudio(search)                    # or an EventLog, a Run, the path of a run folder
    studio                                           # shows it; Start is a button, or studio.start()
"""
from .driver import Controls, Driver, Pulse
from .replay import replay_html
from .studio import SearchStudio, show

__all__ = ["Controls", "Driver", "Pulse", "SearchStudio", "replay_html", "show"]
