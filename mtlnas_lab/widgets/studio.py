"""The live search studio: one canvas that is redrawn in place, and the controls of the search behind it."""
from __future__ import annotations

import asyncio
import base64
import io
import os
import threading
import uuid
from pathlib import Path

import anywidget
import traitlets

from ..architecture import Architecture
from ..errors import ConfigError, LabError
from ..events import EventLog
from .driver import Pulse, stop_on_interrupt
from .frame import frame, marks, settings, space_of, stage
from .sources import Driven, source_of

HERE = Path(__file__).parent
KNOBS = ("entropy_weight", "l1_weight", "temperature", "alpha_lr", "weight_lr", "alpha_gates", "weight_gates", "force")


def page_script() -> str:
    """The canvas's script as one module: plan.js (pure functions) in front of studio.js."""
    parts = [(HERE / name).read_text(encoding="utf-8") for name in ("plan.js", "studio.js")]
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
    at = traitlets.Int(-1).tag(sync=True)            # the step that is looked at; -1: the latest
    pinned = traitlets.Int(-1).tag(sync=True)        # the edge that is looked at; -1: none


class SearchStudio:
    """Shows a search and steers it: `SearchStudio(search)` as the last line of a cell.

    source: a search (an iterable of events that may have `turn`, `branch`, `score_now`), a function that makes one (then
    there is a Reset), an EventLog, a Run, or the path of a run folder, which is followed while another process writes it.
    compare: an EventLog drawn behind. Where no widget can live, showing it runs the search to its end and leaves a picture.
    """

    def __init__(self, source, *, title: str = "", compare: EventLog | None = None, rate: float = 10.0):
        self.source, self.title, self.rate = source_of(source, *_cell()), title, rate
        self.view, self._pulse, self._handle, self._seen = StudioView(), None, None, None
        self._lock, self._known, self._branches, self._staged = threading.RLock(), {}, [], None
        if compare is not None:
            self.view.other = frame(compare)
        self.view.on_msg(self._asked)
        _hear_always(self.view.comm)
        self.source.poll()
        self.refresh()
        _LATEST[:] = [self]

    # --- what a person does -------------------------------------------------------------------------------------------
    def start(self) -> SearchStudio:
        return self._do("start")

    def pause(self) -> SearchStudio:
        return self._do("pause")

    def step(self, count: int = 1) -> SearchStudio:
        return self._do("step", count)

    def stop(self) -> SearchStudio:
        """After the step that is under way; what was learnt is kept, and Start goes on with it."""
        return self._do("stop")

    def reset(self) -> SearchStudio:
        self._seen = None
        return self._do("reset")

    def score(self) -> SearchStudio:
        """Have the search say what it is worth with its gates cut now (where the source has `score_now`)."""
        return self._do("score")

    def turn(self, **knobs) -> SearchStudio:
        """Change knobs from the next step on. Raises LabError for a knob or a value that there is not."""
        if unknown := set(knobs) - set(KNOBS):
            raise ConfigError(f"there is no knob {', '.join(sorted(unknown))}; there are {', '.join(KNOBS)}")
        self.source.turn(**knobs)
        return self

    def branch(self, step: int, **knobs) -> SearchStudio:
        """A second studio from the checkpoint at `step`, under other knobs, with this run drawn behind it."""
        make = getattr(getattr(self.source, "search", None), "branch", None)
        if make is None:
            raise ConfigError("this source cannot branch; give a search that is recorded in a run folder with checkpoints")
        made = SearchStudio(make(step, **knobs), title=f"{self.title or 'Branch'} from step {step}", compare=self.log)
        self._branches.append(made)
        return made

    def _do(self, what: str, *values) -> SearchStudio:
        if not isinstance(self.source, Driven):
            raise ConfigError(f"this search runs elsewhere or is over, so there is nothing to {what}")
        getattr(self.source, what)(*values)
        self._watch()
        self.refresh()
        return self

    # --- what it shows ------------------------------------------------------------------------------------------------
    log = property(lambda self: self.source.log, doc="The events so far (EventLog).")

    @property
    def architecture(self) -> Architecture:
        """What the search has found so far: edges with α > 0, forced ones as they are forced."""
        log, space = self.log, space_of(self.log)
        if not log.steps or space is None:
            raise ConfigError("the search has taken no step yet, so it has found nothing; start it")
        forced, alpha = settings(log)[0]["force"], log.steps[-1].alpha
        return Architecture(space, tuple(forced.get(str(e), a > 0) for e, a in zip(space.edges, alpha)), alpha)

    def refresh(self) -> None:
        """Bring the page up to date with the log."""
        with self._lock:
            log, mode = self.source.log, self.source.mode
            size = (id(log), len(log.events), len(log.seqs) and log.seqs[-1])
            if size != self._seen:
                if self._seen is None or self._staged is not log.started:
                    self._staged, space = log.started, space_of(log) or self.source.space
                    self._put("stage", stage(space, self.title) if space else {})
                self._seen = size
                self._put("marks", marks(log))
                self._put("frame", frame(log) if log.started and self._known["stage"] else b"")
            knobs, steps = settings(log)
            knobs |= {"steps": steps or getattr(getattr(self._search, "config", None), "steps", 0)}
            self._put("status", {"mode": mode, "step": log.steps[-1].step if log.steps else 0, "knobs": knobs,
                                 "message": self.source.message[:500], "can": list(self.source.can), "pace": self._pace()})

    _search = property(lambda self: getattr(self.source, "search", None))

    def _put(self, name: str, value) -> None:
        """Only what has changed is sent."""
        if self._known.get(name) != value:
            self._known[name] = value
            setattr(self.view, name, value)

    def _pace(self) -> float:
        """Seconds a step, the mean of the latest ones."""
        latest = [step.seconds for step in self.log.steps[-20:]]
        return round(sum(latest) / len(latest), 4) if latest else 0.0

    # --- threads ------------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        with self._lock:
            if self._pulse is None and (self.source.alive or not isinstance(self.source, Driven)):
                self._pulse = Pulse(self._beat, self.rate).start()

    def _beat(self) -> bool:
        with self._lock:
            alive = self.source.alive
            try:
                if self.source.poll() or self._known["status"]["mode"] != self.source.mode:
                    self.refresh()
            except Exception as error:               # a log can hold anything: the panel says it and lives on
                self._put("status", self._known["status"] | {"message": f"{type(error).__name__}: {error}"[:500]})
            if alive:
                return True
            self._pulse = None
        self._leave_picture()
        return False

    def run(self) -> SearchStudio:
        """Run to the end right here, without any thread or page."""
        if isinstance(self.source, Driven) and not self.source.alive:
            for event in self.source.search:
                self.source.add(event)
        else:
            self.source.poll()
        self.refresh()
        return self

    def close(self) -> None:
        """Stops the search and takes the page away."""
        if self._pulse is not None:
            self._pulse.stop()
        if isinstance(self.source, Driven):
            self.source.stop()
        self.view.close()

    def _asked(self, view, content, buffers) -> None:
        """A button or a slider of the page. Runs in whatever thread the kernel answers in."""
        try:
            match content:
                case {"do": "turn", "knobs": dict(knobs)}:
                    self.turn(**knobs)
                case {"do": "branch", "step": int(at)}:
                    self.branch(at).start().show()
                case {"do": "start" | "pause" | "step" | "stop" | "reset" | "score" as what}:
                    getattr(self, what)()
        except (LabError, TypeError) as error:
            with self._lock:
                self._put("status", {**self._known["status"], "message": str(error)[:500]})

    # --- in a notebook ------------------------------------------------------------------------------------------------
    def picture(self) -> bytes | None:
        """One still picture of the search (PNG), for where no widget can live; None before the first step."""
        from ..viz import overview

        if not self.log.steps:
            return None
        stream, log = io.BytesIO(), EventLog(self.log.events)
        overview(log, style="web-light", title=self.title or None).savefig(stream, format="png", dpi=72)
        return stream.getvalue()

    def _bundle(self, picture: bytes | None) -> dict:
        found = f"{sum(self.architecture.kept)} of {len(self.architecture.kept)} edges open" if picture and self.view.stage else ""
        caption = f"Search, {self.source.mode}, step {self.view.status.get('step', 0)}" + (f": {found}" if found else "")
        data = {**self.view._repr_mimebundle_()[0], "text/plain": caption}
        return data | ({"image/png": base64.b64encode(picture).decode()} if picture else {})

    def show(self) -> None:
        """Shows it (again), below the cell that is running; a page that was reloaded is attached anew."""
        from IPython.display import display

        if isinstance(self.source, Driven) and not live():
            self.run()
        if live():
            _interruptible()
            self._watch()
        done = not self.source.alive and self.log.steps
        self._handle = display(self._bundle(self.picture() if done else None), raw=True, display_id=uuid.uuid4().hex)

    def _ipython_display_(self) -> None:
        self.show()

    def _leave_picture(self) -> None:
        """The saved notebook keeps one picture beside the widget."""
        if self._handle is not None and self.log.steps:
            try:
                self._handle.update(self._bundle(self.picture()), raw=True)
            except LabError:
                pass


def live() -> bool:
    """Whether a person can be at the other end: JupyterLab and Voilà say so; MTLNAS_LAB_LIVE = 0 or 1 decides otherwise."""
    asked = os.environ.get("MTLNAS_LAB_LIVE")
    if asked is not None:
        return asked not in ("", "0")
    return "JPY_SESSION_NAME" in os.environ or any(name.startswith("VOILA_") for name in os.environ)


def _cell() -> tuple[str | None, str | None]:
    """(which cell is being run, which time) as JupyterLab says it; (None, None) elsewhere."""
    try:
        from IPython import get_ipython

        parent = get_ipython().parent_header
        return parent["metadata"]["cellId"], parent["header"]["msg_id"]
    except (ImportError, AttributeError, KeyError, TypeError):
        return None, None


def _hear_always(comm) -> None:
    """ipykernel 7.4 has the shell that wrote to a page last answer that page, and drops the message when that shell is
    gone, as after a reload. Our handlers may run in any thread: take a message where the page sends it."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


def _interruptible() -> None:
    """Once the cell is over (the kernel has its own handler in cells), let the kernel's stop button reach the search."""
    try:
        asyncio.get_running_loop().call_later(0.2, stop_on_interrupt)
    except RuntimeError:
        pass


_LATEST: list[SearchStudio] = []


def show() -> None:
    """Shows the latest studio again, as after the page of an unsaved notebook was reloaded."""
    if not _LATEST:
        raise ConfigError("there is no studio yet; make one with SearchStudio(search)")
    _LATEST[0].show()
