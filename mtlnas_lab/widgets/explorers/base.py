"""What the explorers share: a small page, its state in synced traits, and a still twin where no widget can live."""

from __future__ import annotations

import base64
import io
import threading
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from ...core.space import SearchSpace
from ...errors import ConfigError, RunError
from ...runs.event_log import EventLog
from ...viz.pixels import has_pixels
from ...viz.sources import read_log
from ...viz.style import FigureStyle, style
from ..jupyter import deliver_directly, live
from ..still import BACK, shown
from ..studio.panel import space_of
from ..studio.view import page_script, page_style

HERE = Path(__file__).parent
STYLE = "web-light"  # of the still twins
DPI = 76


def page(name: str) -> str:
    """The script of an explorer."""
    return page_script(HERE / f"{name}.js")


class Explorer(anywidget.AnyWidget):
    """A page that is its own widget. Handlers may run in any thread and hold `_lock` while they change state."""

    _css = page_style(HERE.parent / "studio" / "studio.css", HERE / "explorers.css")
    message = traitlets.Unicode("").tag(sync=True)  # one line, for what went wrong

    def __init__(self, **state):
        self._lock = threading.RLock()
        super().__init__(**state)
        deliver_directly(self.comm)

    def caption(self) -> str:
        """One sentence on what is shown now, for those who cannot see it."""
        raise NotImplementedError

    def figure(self, look: FigureStyle):
        """The still twin, a matplotlib figure."""
        raise NotImplementedError

    def picture(self) -> bytes:
        """The still twin (PNG)."""
        return _pixels_of(self._drawn())

    def _drawn(self):
        look = style(STYLE)
        with look.context():
            figure = self.figure(look)
            figure.set_dpi(DPI)
            figure.canvas.draw()
        return figure

    def _repr_mimebundle_(self, **options):
        data, metadata = super()._repr_mimebundle_(**options)
        data = {**data, "text/plain": f"{self.caption()}. {BACK}"}
        if live():
            return data, metadata
        figure = self._drawn()
        picture, about = shown(_pixels_of(figure), drawing=not has_pixels(figure))
        return data | picture, metadata | about


def searched(log_or_run, purpose: str) -> tuple[EventLog, SearchSpace]:
    """The log and the space of a search. Raises RunError for one without steps or edges: there is no `purpose` then."""
    log = read_log(log_or_run)
    space = space_of(log)
    if not log.steps or space is None:
        raise RunError(
            f"this log has no step with edges, so there is no {purpose}; give the log of a search"
        )
    return log, space


def checked_picture(image) -> np.ndarray:
    """`image` as it must be, (H, W, 3) uint8, or a ConfigError."""
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ConfigError(
            f"a picture of shape {array.shape}, {array.dtype}; give (height, width, 3) of uint8"
        )
    return array


def address(image) -> str:
    """A picture (H, W, 3) uint8 as an address that a page can show."""
    return "data:image/png;base64," + base64.b64encode(_png(checked_picture(image))).decode()


def _pixels_of(figure) -> bytes:
    """A drawn figure (PNG), in sixteen levels of each colour: half the bytes."""
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    return _png((pixels / 17).round().astype(np.uint8) * 17)


def _png(pixels: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    stream = io.BytesIO()
    imsave(stream, pixels, format="png", pil_kwargs={"optimize": True})
    return stream.getvalue()
