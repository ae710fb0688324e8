"""What a studio's page holds, and the messages that keep it true to the search."""

from __future__ import annotations

from ...core.events import Resumed
from ...runs.event_log import EventLog
from .encoding import (
    LIVE,
    RECORDED,
    TAIL,
    frame,
    marks,
    pace,
    settings,
    size_of,
    staged,
    tail,
    unfit,
)
from .runner import told
from .sources import FollowedRun, LiveSource, RecordedRun
from .view import StudioView

MOVING = (
    "running",
    "followed",
    "waiting",
    "reading",
)  # modes in which the page gets ten frames a second, so smaller ones


class StudioSync:
    """A view of `source`, with the run `compare` drawn behind. For one thread at a time.

    branched: from which step the run is a branch; -1: it is none. closes: whether the page has a Close.
    answer: what is told of what a person asked for. refusal: why the log cannot be drawn; "" where it can.
    """

    def __init__(
        self,
        view: StudioView,
        source: RecordedRun | FollowedRun | LiveSource,
        title: str,
        compare: EventLog | None = None,
    ):
        self.view, self.source, self.title, self.compare = view, source, title, compare
        self.branched, self.closes, self.answer, self.refusal = -1, False, "", ""
        self._holds: dict = {}  # what the page was told last, by trait
        self._of: dict = {}  # of what that was made
        self._framed, self._calm = (
            0,
            None,
        )  # steps in its frame; `_beside` of its last whole message

    @property
    def size(self) -> tuple | None:
        """Changes with every event that the page was told."""
        return self._of.get("frame")

    def forget(self) -> None:
        """The next `refresh` tells everything anew."""
        self._of.clear()
        self._calm = None

    def behind(self) -> bool:
        """Whether the mode or the other run went on."""
        other = self.compare and self._of.get("other", ())[:3] != size_of(self.compare)
        return bool(other) or self._holds["status"]["mode"] != self.source.mode

    def refresh(self) -> bool:
        """Bring the page up to date by one message: what is slow here, the search waits for. True where only steps came."""
        log = self.source.log
        if (
            self._calm == self._beside() is not None
            and 0 < len(log.steps) - self._framed <= TAIL // log.alpha.shape[1]
        ):
            self.view.follow(tail(log, self._framed))
            return True
        try:
            with self.view.hold_sync():
                self._tell()
        except Exception:  # what was noted as told may not have been
            self.forget()
            raise
        return False

    def fail(self, error: Exception) -> str:
        """Tell what went wrong, and nothing else."""
        message = told(error)[:500]
        self._put("status", self._holds["status"] | {"message": message})
        return message

    def _beside(self) -> tuple | None:
        """Changes with everything but the steps that a page shows; None where they alone would not do."""
        log, source = self.source.log, self.source
        return (
            None
            if not self._framed or source.mode not in MOVING or source.asked()
            else (
                source.mode,
                source.message,
                log,
                log.column("step")[self._framed - 1],
                len(log.seqs) - len(log.steps),
                len(log.of(Resumed)),
                self.answer,
                size_of(self.compare) if self.compare else 0,
            )
        )

    def _tell(self) -> None:
        source, log, mode, can, message = (
            self.source,
            self.source.log,
            self.source.mode,
            self.source.can,
            self.source.message,
        )
        values = LIVE if mode in MOVING else RECORDED
        if self._changed("frame", *size_of(log), values):
            if self._changed("stage", log.started):
                shown, self.refusal = staged(log, source.space, self.title)
                self._put("stage", shown)
            shown = log.started and self._holds["stage"]
            if shown and (wrong := unfit(log, len(shown["edges"]))):
                shown, self.refusal = {}, wrong
            if self._changed(
                "marks",
                id(log),
                len(log.events) - len(log.steps),
                len(log.of(Resumed)),
                self.branched,
            ):
                happened = marks(log)
                if "branch" in can:
                    happened["checkpoints"] = source.checkpoints()
                if self.branched >= 0:
                    happened["branched"] = self.branched
                self._put("marks", happened)
            self._framed = len(log.steps) if shown else 0
            self._put("frame", frame(log, values) if shown else b"")
            self.view.tail = b""
        if self.compare and self._changed("other", *size_of(self.compare), values):
            self._put("other", frame(self.compare, values))
        knobs, steps = settings(log, source.knobs() if mode != "finished" else {}, source.asked())
        if isinstance(source, LiveSource):
            steps = steps or getattr(getattr(source.search, "config", None), "steps", 0)
        self._put(
            "status",
            {
                "mode": mode,
                "step": int(log.column("step")[-1]) if log.steps else 0,
                "knobs": knobs | {"steps": steps},
                "message": (self.answer or self.refusal or message)[:500],
                "pace": pace(log),
                "can": [*can, *(["close"] if self.closes else [])],
            },
        )
        self._calm = (
            now if (now := self._beside()) and now[:2] == (mode, message) else None
        )  # not what changed meanwhile

    def _changed(self, name: str, *of) -> bool:
        """Whether a trait is made of something else than it was."""
        before, self._of[name] = self._of.get(name), of
        return before != of

    def _put(self, name: str, value) -> None:
        """Only what has changed is sent."""
        if self._holds.get(name) != value:
            self._holds[name] = value
            setattr(self.view, name, value)
