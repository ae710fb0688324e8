"""What kernel and page share: the state of one canvas, and the script and style that draw it."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


def page_script(path: Path = HERE / "studio.js", seen: set[Path] | None = None) -> str:
    """`path` and what it imports as one module, each file once; without comments and indents, as a saved notebook keeps
    one for each widget."""
    seen, path = set() if seen is None else seen, path.resolve()
    if path in seen:
        return ""
    seen.add(path)
    text = path.read_text(encoding="utf-8")
    parts = [
        page_script(path.parent / name, seen)
        for name in re.findall(r'^import .* from "(.+)";$', text, re.MULTILINE)
    ]
    return "".join([*parts, re.sub(r"^import .*\n|^//.*\n|^\s+", "", text, flags=re.MULTILINE)])


class StudioView(anywidget.AnyWidget):
    """What is synced with the page: all of its state, so that a reloaded page or a second one shows the same."""

    _esm = page_script()
    _css = (HERE / "studio.css").read_text(encoding="utf-8")
    frame = traitlets.Bytes(b"").tag(sync=True)  # the history (frame.py)
    tail = traitlets.Bytes(b"").tag(sync=True)  # the steps behind it (frame.py)
    other = traitlets.Bytes(b"").tag(sync=True)  # another run's history, drawn behind
    stage = traitlets.Dict().tag(sync=True)  # the space
    marks = traitlets.Dict().tag(sync=True)  # knobs turned, evaluations, checkpoints
    status = traitlets.Dict().tag(sync=True)  # mode, step, knobs, message, what can be done
    key = traitlets.Unicode().tag(sync=True)  # whose page it is, where one page has several
    at = traitlets.Int(-1).tag(sync=True)  # the step that is looked at; -1: the latest
    pinned = traitlets.Int(-1).tag(sync=True)  # the edge that is looked at; -1: none

    def follow(self, tail: bytes) -> None:
        """What `self.tail = tail` does, in half the time, for the search waits for it."""
        self._trait_values["tail"] = tail
        if self.comm is not None:
            self.comm.send(
                {"method": "update", "state": {}, "buffer_paths": [["tail"]]}, buffers=[tail]
            )

    @traitlets.default("key")
    def _fresh(self) -> str:
        return uuid.uuid4().hex


def link(one: StudioView, other: StudioView) -> None:
    """From now on both look at the same step, and where they have the same edges, at the same edge."""

    def follow(name: str, this: StudioView, that: StudioView) -> None:
        def act(change) -> None:
            if name == "at" or this.stage.get("names") == that.stage.get("names"):
                setattr(that, name, change.new)

        this.observe(act, name)

    for name in ("at", "pinned"):
        follow(name, one, other)
        follow(name, other, one)
    other.at = one.at
