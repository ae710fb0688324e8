"""What kernel and page share: the state of one canvas, and the script and style that draw it."""
from __future__ import annotations

import uuid
from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent
SCRIPTS = ("plan.js", "draw.js", "studio.js")


def page_script() -> str:
    """The page's script as one module: pure functions, drawing, and the widget."""
    parts = [(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(line for part in parts for line in part.splitlines() if not line.startswith("import "))


class StudioView(anywidget.AnyWidget):
    """What is synced with the page: all of its state, so that a reloaded page or a second one shows the same."""

    _esm = page_script()
    _css = (HERE / "studio.css").read_text(encoding="utf-8")
    frame = traitlets.Bytes(b"").tag(sync=True)      # the history (frame.py)
    other = traitlets.Bytes(b"").tag(sync=True)      # another run's history, drawn behind
    stage = traitlets.Dict().tag(sync=True)          # the space
    marks = traitlets.Dict().tag(sync=True)          # knobs turned, evaluations, checkpoints
    status = traitlets.Dict().tag(sync=True)         # mode, step, knobs, message, what can be done
    key = traitlets.Unicode().tag(sync=True)         # whose page it is, where one page has several
    at = traitlets.Int(-1).tag(sync=True)            # the step that is looked at; -1: the latest
    pinned = traitlets.Int(-1).tag(sync=True)        # the edge that is looked at; -1: none

    @traitlets.default("key")
    def _fresh(self) -> str:
        return uuid.uuid4().hex
