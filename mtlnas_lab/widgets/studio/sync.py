"""What a studio's page holds, and the messages that keep it true to the search."""

from __future__ import annotations

from ...core.events import Resumed
from ...core.lab import Lab
from ...errors import MTLNASError
from ...runs.event_log import EventLog
from .encoding import LIVE, RECORDED, TAIL, frame, tail
from .eyes import pictures
from .panel import drawable_space, marks, pace, settings, size_of, stage, unfit
from .runner import LONGEST, one_line
from .sources import FollowedRun, LiveSource, RecordedRun
from .view import StudioView

# Modes in which the page gets ten frames a second, so smaller ones.
MOVING = ("running", "followed", "waiting", "reading")


class StudioSync:
    """Keeps a view true to its source. For one thread at a time.

    What is slow here, a running search waits for. So a trait is sent only where it has changed, and while a search does
    nothing but steps, `push` sends those alone.

    Args:
        view: what the page shows.
        source: where the events come from.
        title: of the page.
        compare: another run, drawn behind.
        lab: whose images the eyes show, where the source has none.

    Attributes:
        branched: from which step the run is a branch; -1: it is not one.
        closes: whether the page has a Close.
        answer: what is told of what a person asked for.
        refusal: why the log cannot be drawn; "" where it can.
    """

    def __init__(
        self,
        view: StudioView,
        source: RecordedRun | FollowedRun | LiveSource,
        title: str,
        compare: EventLog | None = None,
        lab: Lab | None = None,
    ):
        self.view = view
        self.source = source
        self.title = title
        self.compare = compare
        self.lab = lab
        self.branched = -1
        self.closes = False
        self.answer = ""
        self.refusal = ""
        self._sent: dict = {}  # by trait, what the page was told last
        self._made_from: dict[str, tuple] = {}  # by trait, what changes when it has to be made anew
        self._steps_in_frame = 0
        self._pushed_state: tuple | None = None  # `_state_key` at the last whole message

    @property
    def size(self) -> tuple | None:
        """Changes with every event that the page was told."""
        return self._made_from.get("frame")

    def forget(self) -> None:
        """Have the next `push` tell everything anew."""
        self._made_from.clear()
        self._pushed_state = None

    def is_behind(self) -> bool:
        """Whether the mode or the other run went on."""
        if self._sent["status"]["mode"] != self.source.mode:
            return True
        if not self.compare:
            return False
        return self._made_from.get("other", ())[:3] != size_of(self.compare)

    def push(self) -> bool:
        """Bring the page up to date by one message. True where only steps came."""
        if self._only_steps_came():
            self.view.follow(tail(self.source.log, self._steps_in_frame))
            return True
        try:
            with self.view.hold_sync():
                self._push_all()
        except Exception:  # what was noted as sent may not have been
            self.forget()
            raise
        return False

    def show_error(self, error: Exception) -> str:
        """Tell what went wrong, and nothing else. Returns the message."""
        message = one_line(error)
        self._send("status", self._sent["status"] | {"message": message})
        return message

    # --- while only steps come ----------------------------------------------------------------------------------------
    def _only_steps_came(self) -> bool:
        """Whether the steps behind the page's frame are all that is new, and few enough to be sent again and again."""
        state = self._state_key()
        if state is None or state != self._pushed_state:
            return False
        log = self.source.log
        new_steps = len(log.steps) - self._steps_in_frame
        edges = log.alpha.shape[1]
        return 0 < new_steps <= TAIL // edges

    def _state_key(self) -> tuple | None:
        """Changes with everything but the steps that a page shows; None where they alone would not do."""
        log = self.source.log
        mode = self.source.mode
        if not self._steps_in_frame or mode not in MOVING or self.source.asked():
            return None
        # A search that was resumed takes steps again: then the frame's last row is another.
        last_in_frame = log.column("step")[self._steps_in_frame - 1]
        other_events = len(log.seqs) - len(log.steps)
        resumed = len(log.of(Resumed))
        compared = size_of(self.compare) if self.compare else None
        message = self.source.message
        return mode, message, log, last_in_frame, other_events, resumed, self.answer, compared

    # --- everything ---------------------------------------------------------------------------------------------------
    def _push_all(self) -> None:
        # Read once: the search's thread goes on meanwhile, and the parts of one message should agree.
        mode = self.source.mode
        can = self.source.can
        message = self.source.message
        values = LIVE if mode in MOVING else RECORDED

        if self._has_changed("frame", *size_of(self.source.log), values):
            self._push_history(values, can)
        if self.compare and self._has_changed("other", *size_of(self.compare), values):
            self._send("other", frame(self.compare, values))
        self._send("status", self._status(mode, can, message))

        state = self._state_key()
        self._pushed_state = None
        if state is not None and state[:2] == (mode, message):  # else something changed meanwhile
            self._pushed_state = state

    def _push_history(self, values: int, can: tuple[str, ...]) -> None:
        """Stage, marks and frame."""
        log = self.source.log
        if self._has_changed("stage", log.started):
            self._push_stage()
        shown = False
        if log.started and self._sent["stage"]:
            problem = unfit(log, len(self._sent["stage"]["edges"]))
            shown = not problem
            if problem:
                self.refusal = problem

        others = len(log.events) - len(log.steps)  # marks are made of events that are not steps
        resumed = len(log.of(Resumed))
        if self._has_changed("marks", id(log), others, resumed, self.branched):
            self._push_marks(can)

        self._steps_in_frame = len(log.steps) if shown else 0
        self._send("frame", frame(log, values) if shown else b"")
        self.view.tail = b""

    def _push_stage(self) -> None:
        """The space that the run says, else that of its source; why it cannot be drawn becomes the refusal."""
        shown = {}
        self.refusal = ""
        try:
            space = drawable_space(self.source.log, self.source.space)
            if space is not None:
                shown = stage(space, self.title)
        except MTLNASError as error:
            self.refusal = str(error)
        self._send("stage", shown)
        lab = self.source.lab or self.lab
        if self._has_changed("eyes", id(lab)):
            self._send("eyes", pictures(lab))

    def _push_marks(self, can: tuple[str, ...]) -> None:
        happened = marks(self.source.log)
        if "branch" in can:
            happened["checkpoints"] = self.source.checkpoints()
        if self.branched >= 0:
            happened["branched"] = self.branched
        self._send("marks", happened)

    def _status(self, mode: str, can: tuple[str, ...], message: str) -> dict:
        log = self.source.log
        now = {}
        if mode != "finished":
            now = self.source.knobs()
        knobs, steps = settings(log, now, self.source.asked())
        if not steps and isinstance(self.source, LiveSource):
            steps = self.source.planned_steps
        step = 0
        if log.steps:
            step = int(log.column("step")[-1])
        actions = list(can)
        if self.closes:
            actions.append("close")
        return {
            "mode": mode,
            "step": step,
            "knobs": knobs | {"steps": steps},
            "message": (self.answer or self.refusal or message)[:LONGEST],
            "pace": pace(log),
            "can": actions,
        }

    # --- what the page has already ------------------------------------------------------------------------------------
    def _has_changed(self, trait: str, *made_from) -> bool:
        """Whether a trait has to be made anew, for it would be made from something else than last time."""
        before = self._made_from.get(trait)
        self._made_from[trait] = made_from
        return before != made_from

    def _send(self, trait: str, value) -> None:
        """Send only what has changed."""
        if self._sent.get(trait) != value:
            self._sent[trait] = value
            setattr(self.view, trait, value)
