"""The live search studio: one canvas that is redrawn in place, and the controls of the search behind it."""

from __future__ import annotations

import base64
import contextlib
import io
import threading
import uuid
import weakref

from ipywidgets import GridBox, Layout

from ...core.architecture import Architecture
from ...errors import ConfigError
from ...runs.event_log import EventLog
from ..jupyter import _cell, _hear_always, _interruptible, hear_all, live
from ..still import SHOW, signed
from .encoding import settings, short_knobs, space_of
from .runner import Pulse
from .sources import LiveSource, source_of
from .sync import StudioSync
from .view import HERE, StudioView, link, page_script

__all__ = ["HERE", "SearchStudio", "StudioView", "live", "page_script", "show"]


KNOBS = (
    "entropy_weight",
    "l1_weight",
    "temperature",
    "alpha_lr",
    "weight_lr",
    "alpha_gates",
    "weight_gates",
    "force",
)


FRAMES = 4  # of one message, while only steps come (studio.js)


class SearchStudio:
    """Shows a search and steers it: `SearchStudio(search)` as the last line of a cell.

    source: a search (an iterable of events that may have `turn`, `branch`, `score_now`), a function that makes one (then
    there is a Reset), an EventLog, a Run, or the path of a run folder, which is followed while another process writes it.
    compare: an EventLog drawn behind. Where no widget can live, showing it runs the search to its end and leaves a picture.
    `a.beside(b)` shows two studios that stay in step.
    """

    def __init__(
        self, source, *, title: str = "", compare: EventLog | None = None, rate: float = 10.0
    ):
        self._cell = _cell()
        for earlier in list(_MADE):  # a cell that is run again replaces what it began before
            if (
                self._cell[0] is not None
                and earlier._cell[0] == self._cell[0]
                and earlier._cell[1] != self._cell[1]
            ):
                earlier._leave()
        self.source, self.title, self.rate, self.view = (
            source_of(source, *self._cell),
            title,
            rate,
            StudioView(),
        )
        self.page = StudioSync(self.view, self.source, title, compare)
        self._lock, self._pulse, self._pause, self._handle, self._drawn = (
            threading.RLock(),
            None,
            1 / rate,
            None,
            None,
        )
        self.box = GridBox(
            [self.view],
            layout=Layout(
                grid_template_columns="repeat(auto-fit, minmax(min(100%, 620px), 1fr))",
                grid_gap="12px",
            ),
        )
        self._between_cells = None  # the loop of the thread that runs cells, where there is one
        self._others: list[SearchStudio] = []  # that are shown beside this one
        self._above: SearchStudio | None = None  # of a branch: the studio it is shown in
        self.view.on_msg(self._asked)
        _hear_always(self.view.comm)
        hear_all(self.box)
        self.source.poll()
        while (
            self.source.reading and not live()
        ):  # a page shows what was read so far, a program waits
            self.source.poll()
        self.refresh()
        _LATEST[:] = [self]
        _MADE.add(self)

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
        """Throw the search away and make a fresh one (where the studio was given a function)."""
        self.page.forget()
        self.view.at = -1
        return self._do("reset")

    def score(self) -> SearchStudio:
        """Have the search say what it is worth with its gates cut now (where it has `score_now`)."""
        return self._do("score")

    def turn(self, **knobs) -> SearchStudio:
        """Change knobs from the next step on. Raises MTLNASError for a knob or a value that there is not."""
        if unknown := set(knobs) - set(KNOBS):
            raise ConfigError(
                f"there is no knob {', '.join(sorted(unknown))}; there are {', '.join(KNOBS)}"
            )
        with self._lock:
            self.source.turn(**knobs)
        return self._answer()

    def branch(self, step: int, **knobs) -> SearchStudio:
        """A second studio beside this one, from the checkpoint at `step` under other knobs, with this run drawn behind it.

        It waits for its Start, so that more knobs can be turned; the two stay in step.
        """
        if not isinstance(self.source, LiveSource):
            raise ConfigError(
                "this search runs elsewhere or is over, so it cannot branch here; branch from its Recorded search"
            )
        what, latest = (f", {short_knobs(knobs)}" if knobs else ""), list(_LATEST)
        made = SearchStudio(
            self.source.branch(step, **knobs),
            title=f"{self.title or 'Search'}, from step {step}{what}",
            compare=self.log,
            rate=self.rate,
        )
        _LATEST[:], made._above, made.page.branched, made.page.closes = latest, self, step, True
        self.beside(made)
        made.page.forget()
        made.refresh()
        made._watch() if self._pulse else None  # this one goes on behind it
        return made

    def beside(self, other: SearchStudio) -> SearchStudio:
        """Show `other` next to this one (below it where there is no room for both), and link the two. Returns this one."""
        if other is not self and other not in self._others:
            self._others.append(other)
            self.box.children = (*self.box.children, other.view)
            self.link(other)
        return self

    def link(self, other: SearchStudio) -> SearchStudio:
        """From now on both look at the same step (by mouse, key, replay or `view.at`), and at the same edge. Returns this one."""
        link(self.view, other.view)
        return self

    def _do(self, what: str, *values) -> SearchStudio:
        if not isinstance(self.source, LiveSource):
            raise ConfigError(
                f"this search runs elsewhere or is over, so there is nothing to {what}"
            )
        getattr(self.source, what)(*values)
        self._watch()
        return self._answer()

    def _answer(self) -> SearchStudio:
        """The page shows now what a person asked for, and soon what comes of it."""
        self.refresh()
        self._hurry()
        return self

    def _hurry(self) -> None:
        if pulse := self._pulse:
            pulse.hurry()

    # --- what it shows ------------------------------------------------------------------------------------------------
    log = property(lambda self: self.source.log, doc="The events so far (EventLog).")

    @property
    def architecture(self) -> Architecture:
        """What the search has found so far: edges with α > 0, forced ones as they are forced."""
        log, space = self.log, space_of(self.log)
        if not log.steps or space is None:
            raise ConfigError("the search has taken no step yet, so it has found nothing; start it")
        forced, alpha = settings(log)[0]["force"], log.steps[-1].alpha
        return Architecture(
            space, tuple(forced.get(str(e), a > 0) for e, a in zip(space.edges, alpha)), alpha
        )

    def refresh(self) -> None:
        """Bring the page up to date with the log."""
        with self._lock:  # what a message of steps only brings is drawn bit by bit
            self._pause = (FRAMES if self.page.refresh() else 1) / self.rate

    # --- threads ------------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        with self._lock:
            self.source.ended = self._hurry
            if self._pulse is None:
                self._pulse = Pulse(self._beat, lambda: self.source.lull).start()
        for other in self._others:
            if other._above is self:  # it shows this run behind its own
                other._watch()

    def _beat(self) -> float:
        with self._lock:
            alive = self.source.alive or bool(self._above and self._above._pulse)
            try:
                if self.source.poll() or self.page.behind():
                    self.refresh()
            except Exception as error:  # a log can hold anything: the panel says it and lives on
                self.page.fail(error)
            if alive:
                return self._pause
            self._pulse = None
        if self._between_cells is None:
            self._leave_picture()
        else:
            with contextlib.suppress(RuntimeError):  # the kernel ends
                self._between_cells.call_soon_threadsafe(self._leave_picture)
        return 0

    def _leave(self) -> None:
        """Its cell was run again: its searches stop after their step, and a run elsewhere is not followed any more."""
        for other in self._others:
            if other._above is self:
                other._leave()
        if isinstance(self.source, LiveSource):
            self.source.leave()
        elif self._pulse is not None:
            self._pulse.stop()
            self._pulse = None

    def run(self) -> SearchStudio:
        """Run to the end right here, without any thread or page; a branch runs where it is."""
        if isinstance(self.source, LiveSource) and not self.source.alive:
            for event in self.source.search:
                self.source.add(event)
        while self.source.poll() and self.source.reading:
            pass
        self.refresh()
        return self

    def close(self) -> None:
        """Stops the search and takes the page away; also of the branches beside it."""
        for other in [one for one in self._others if one._above is self]:
            other.close()
        if self._above is not None:
            self._above._others.remove(self)
            self._above.box.children = [
                view for view in self._above.box.children if view is not self.view
            ]
        if self._pulse is not None:
            self._pulse.stop()
        if isinstance(self.source, LiveSource):
            self.source.stop()
        self.view.close()
        self.box.close()

    def _asked(self, view, content, buffers) -> None:
        """A button or a slider of the page. Runs in whatever thread the kernel answers in; what is refused is told until
        the person asks for something else."""
        before, self.page.answer = self.page.answer, ""
        try:
            match content:
                case {"do": "turn", "knobs": dict(knobs)}:
                    self.turn(**knobs)
                case {"do": "branch", "step": int(at)}:
                    self.branch(at)
                case {"do": "close"} if self._above:
                    self.close()
                case {"do": "start" | "pause" | "step" | "stop" | "reset" | "score" as what}:
                    getattr(self, what)()
            if before:
                self.refresh()
        except Exception as error:  # nobody else would hear of it
            with self._lock:
                self.page.answer = self.page.fail(error)

    # --- in a notebook ------------------------------------------------------------------------------------------------
    def picture(self) -> bytes | None:
        """One still picture of the search (PNG), for where no widget can live; None before the first step."""
        from ...viz import overview

        stream = io.BytesIO()
        if self.log.steps and not self.page.refusal:
            overview(
                EventLog(self.log.events), style="web-light", title=self.title or None
            ).savefig(stream, format="png", dpi=72)
        return stream.getvalue() or None

    def _bundle(self, picture: bytes | None) -> dict:
        found = (
            f"{sum(self.architecture.kept)} of {len(self.architecture.kept)} edges open"
            if picture and self.view.stage
            else ""
        )
        caption = f"Search, {self.source.mode}, step {self.view.status.get('step', 0)}" + (
            f": {found}" if found else ""
        )
        data = {**self.box._repr_mimebundle_(), "text/plain": f"{caption}. {SHOW}"}
        if picture:
            data["image/png"] = base64.b64encode(signed(picture, SHOW)).decode()
        return data

    def show(self) -> None:
        """Shows it (again), below the cell that is running; a page that was reloaded is attached anew."""
        from IPython.display import display

        here = live()
        if not here:
            self.run()
        self._drawn, number = None, uuid.uuid4().hex
        self._handle = display(
            self._bundle(None if here else self.picture()), raw=True, display_id=number
        )
        self._between_cells = _interruptible() if here else None
        for one in (self, *self._others):
            if here:
                one._watch()  # and leaves a picture when nothing moves any more
            elif one is not self:
                one.show()

    def _ipython_display_(self) -> None:
        self.show()

    def _leave_picture(self) -> None:
        """The saved notebook keeps one picture beside the widget.

        Between two cells where that can be: matplotlib's settings, which a picture needs its own of, are those of the whole
        process, so that a cell which draws meanwhile would get them too.
        """
        if self._handle is None or not self.log.steps or self._drawn == self.page.size:
            return
        try:
            self._drawn = self.page.size
            self._handle.update(self._bundle(self.picture()), raw=True)
        except Exception:  # what a file holds may be no picture; the panel has said so
            pass


_LATEST: list[SearchStudio] = []


_MADE: weakref.WeakSet[SearchStudio] = weakref.WeakSet()


def show() -> None:
    """Shows the latest studio again, as after the page of an unsaved notebook was reloaded."""
    if not _LATEST:
        raise ConfigError("there is no studio yet; make one with SearchStudio(search)")
    _LATEST[0].show()
