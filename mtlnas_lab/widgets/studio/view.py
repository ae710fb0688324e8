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
    if seen is None:
        seen = set()
    path = path.resolve()
    if path in seen:
        return ""
    seen.add(path)
    text = path.read_text(encoding="utf-8")
    imported = re.findall(r'^import .* from "(.+)";$', text, re.MULTILINE)
    parts = [page_script(path.parent / name, seen) for name in imported]
    own = re.sub(r"^import .*\n|^\s*//.*\n|^\s+|(?<=[;{,)])\s+//.*$", "", text, flags=re.MULTILINE)
    return "".join([*parts, own])


def page_style(*paths: Path) -> str:
    """Several style sheets as one."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


class StudioView(anywidget.AnyWidget):
    """What is synced with the page: all of its state, so that a reloaded page or a second one shows the same."""

    _esm = page_script()
    _css = page_style(HERE / "studio.css")
    frame = traitlets.Bytes(b"").tag(sync=True)  # the history (encoding.py)
    tail = traitlets.Bytes(b"").tag(sync=True)  # the steps behind it (encoding.py)
    other = traitlets.Bytes(b"").tag(sync=True)  # another run's history, drawn behind
    stage = traitlets.Dict().tag(sync=True)  # the space
    marks = traitlets.Dict().tag(sync=True)  # knobs turned, evaluations, checkpoints
    eyes = traitlets.Dict().tag(sync=True)  # what each network sees of one image (eyes.py)
    parts = traitlets.Dict().tag(sync=True)  # which panels and knobs there are (panel.py)
    status = traitlets.Dict().tag(sync=True)  # mode, step, knobs, message, what can be done
    key = traitlets.Unicode().tag(sync=True)  # whose page it is, where one page has several
    at = traitlets.Int(-1).tag(sync=True)  # the step that is looked at; -1: the latest
    pinned = traitlets.Int(-1).tag(sync=True)  # the edge that is looked at; -1: none

    def follow(self, tail: bytes) -> None:
        """What `self.tail = tail` does, in half the time, for the search waits for it."""
        self._trait_values["tail"] = tail
        if self.comm is not None:
            message = {"method": "update", "state": {}, "buffer_paths": [["tail"]]}
            self.comm.send(message, buffers=[tail])

    @traitlets.default("key")
    def _new_key(self) -> str:
        return uuid.uuid4().hex


def link(one: StudioView, other: StudioView) -> None:
    """From now on both look at the same step, and where they have the same edges, at the same edge."""
    for leader, follower in ((one, other), (other, one)):
        _lead(leader, follower)
    other.at = one.at


def _lead(leader: StudioView, follower: StudioView) -> None:
    def step_was_chosen(change) -> None:
        follower.at = change.new

    def edge_was_chosen(change) -> None:
        if leader.stage.get("names") == follower.stage.get("names"):
            follower.pinned = change.new

    leader.observe(step_was_chosen, "at")
    leader.observe(edge_was_chosen, "pinned")
