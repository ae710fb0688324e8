"""The live search studio: one canvas that is redrawn in place, and the controls of the search behind it."""

from __future__ import annotations

import contextlib
import io
import threading
import uuid
import weakref

from ipywidgets import GridBox, Layout

from ...core.architecture import Architecture
from ...core.controls import KNOBS
from ...core.lab import Lab
from ...errors import ConfigError
from ...runs.event_log import EventLog
from ..jupyter import deliver_directly, hear_all, live, loop_between_cells, running_cell
from ..still import SHOW, shown
from .panel import PLAIN, settings, short_knobs, space_of
from .sources import LiveSource, source_of
from .sync import StudioSync
from .timer import FrameTimer
from .view import StudioView, link

__all__ = ["SearchStudio", "live", "show"]

# What a message of steps only brings, the page draws bit by bit: so there is one for so many frames (studio.js).
FRAMES = 4

# Studios stand side by side where there is room for both.
SIDE_BY_SIDE = {
    "grid_template_columns": "repeat(auto-fit, minmax(min(100%, 620px), 1fr))",
    "grid_gap": "12px",
}
PICTURE_DPI = 72


class SearchStudio:
    """Shows a search and steers it: `SearchStudio(search)` as the last line of a cell.

    The search runs in a thread of its own, so that other cells can be run beside it. Where no widget can live (nbclient,
    nbconvert), showing the studio runs the search to its end and leaves a picture. `a.beside(b)` shows two studios that
    stay in step.

    Args:
        source: a search (an iterable of events that may have `turn`, `branch`, `score_now`), a function that makes one
            (then there is a Reset), an EventLog, a Run, or the path of a run folder, which is followed while another
            process writes it.
        title: of the panel.
        compare: another run's EventLog, drawn behind this one.
        rate: frames per second, at most.
        lab: whose test image the eyes show, of a run without data of its own (a recorded one).
        plain: only the graph, the curves of entropy and losses, λ and the eyes, for a first look.

    Raises:
        ConfigError: for a source that a studio cannot show.

    Example:
        A search of one step, run without any page:

        >>> from mtlnas_lab import Search, SearchConfig, SearchStudio, presets
        >>> studio = SearchStudio(Search(presets.tiny(), SearchConfig(steps=1, batch_size=2)))
        >>> studio.turn(entropy_weight=5.0).run().source.mode
        'finished'
        >>> studio.log.steps[-1].entropy_weight
        5.0
        >>> len(studio.architecture.kept)                   # one answer for each candidate edge
        48
        >>> studio.close()
    """

    def __init__(
        self,
        source,
        *,
        title: str = "",
        compare: EventLog | None = None,
        rate: float = 10.0,
        lab: Lab | None = None,
        plain: bool = False,
    ):
        self._cell = running_cell()
        for earlier in list(_MADE):  # a cell that is run again replaces what it began before
            if earlier._cell.was_run_again(self._cell):
                earlier._leave()
        self.source = source_of(source, self._cell)
        self.title = title
        self.rate = rate
        self.view = StudioView(parts=PLAIN if plain else {})
        self.box = GridBox([self.view], layout=Layout(**SIDE_BY_SIDE))
        self.sync = StudioSync(self.view, self.source, title, compare, lab)
        self._others: list[SearchStudio] = []  # that are shown beside this one
        self._above: SearchStudio | None = None  # of a branch: the studio it is shown in
        self._lock = threading.RLock()
        self._timer: FrameTimer | None = None  # while there is something to wait for
        self._pause = 1 / rate  # seconds to the next frame
        self._between_cells = None  # the loop of the thread that runs cells, where there is one
        self._handle = None  # of the output in the notebook
        self._drawn = None  # `sync.size` of the picture in it
        self.view.on_msg(self._on_message)
        deliver_directly(self.view.comm)
        hear_all(self.box)
        self.source.poll()
        # A page shows what was read of a long run so far; a program waits for all of it.
        while self.source.reading and not live():
            self.source.poll()
        self.refresh()
        _LATEST[:] = [self]
        _MADE.add(self)

    # --- what a person does -------------------------------------------------------------------------------------------
    def start(self) -> SearchStudio:
        """Begin, or go on after a pause or a stop."""
        return self._do("start")

    def pause(self) -> SearchStudio:
        """Stand still after the step that is under way."""
        return self._do("pause")

    def step(self, count: int = 1) -> SearchStudio:
        """Take `count` steps and pause."""
        return self._do("step", count)

    def stop(self) -> SearchStudio:
        """Stop after the step that is under way; what was learnt is kept, and Start goes on with it."""
        return self._do("stop")

    def reset(self) -> SearchStudio:
        """Throw the search away and make a fresh one (where the studio was given a function)."""
        self.sync.forget()
        self.view.at = -1
        return self._do("reset")

    def score(self) -> SearchStudio:
        """Have the search say what it is worth with its gates cut now (where it has `score_now`)."""
        return self._do("score")

    def turn(self, **knobs) -> SearchStudio:
        """Change knobs from the next step on. Raises MTLNASError for a knob or a value that there is not."""
        unknown = set(knobs) - set(KNOBS)
        if unknown:
            raise ConfigError(
                f"there is no knob {', '.join(sorted(unknown))}; there are {', '.join(KNOBS)}"
            )
        with self._lock:
            self.source.turn(**knobs)
        return self._show_now()

    def branch(self, step: int, **knobs) -> SearchStudio:
        """A second studio beside this one, from the checkpoint at `step` under other knobs, with this run drawn behind it.

        It waits for its Start, so that more knobs can be turned; the two stay in step.
        """
        if not isinstance(self.source, LiveSource):
            raise ConfigError(
                "this search runs elsewhere or is over, so it cannot branch here; branch from its Recorded search"
            )
        title = f"{self.title or 'Search'}, from step {step}"
        if knobs:
            title += f", {short_knobs(knobs)}"
        latest = list(_LATEST)
        source = self.source.branch(step, **knobs)
        made = SearchStudio(
            source, title=title, compare=self.log, rate=self.rate, plain=bool(self.view.parts)
        )
        _LATEST[:] = latest  # `show` shows this one, with the branch beside it
        made._above = self
        made.sync.branched = step
        made.sync.closes = True
        self.beside(made)
        made.sync.forget()
        made.refresh()
        if self._timer is not None:  # this one goes on, behind the branch
            made._watch()
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
        """Stop the search and take the page away; also of the branches beside it."""
        for branch in self._branches():
            branch.close()
        if self._above is not None:
            self._above._take_away(self)
            self._above = None
        if self._timer is not None:
            self._timer.stop()
        if isinstance(self.source, LiveSource):
            self.source.stop()
        self.view.close()
        self.box.close()

    def _do(self, what: str, *values) -> SearchStudio:
        if not isinstance(self.source, LiveSource):
            raise ConfigError(
                f"this search runs elsewhere or is over, so there is nothing to {what}"
            )
        getattr(self.source, what)(*values)
        self._watch()
        return self._show_now()

    def _show_now(self) -> SearchStudio:
        """The page shows now what a person asked for, and soon what comes of it."""
        self.refresh()
        self._frame_now()
        return self

    def _branches(self) -> list[SearchStudio]:
        """The studios beside this one that show this run behind their own."""
        return [other for other in self._others if other._above is self]

    def _take_away(self, branch: SearchStudio) -> None:
        self._others.remove(branch)
        self.box.children = [view for view in self.box.children if view is not branch.view]

    # --- what it shows ------------------------------------------------------------------------------------------------
    @property
    def log(self) -> EventLog:
        """The events so far."""
        return self.source.log

    @property
    def architecture(self) -> Architecture:
        """What the search has found so far: edges with α > 0, forced ones as they are forced."""
        log = self.log
        space = space_of(log)
        if not log.steps or space is None:
            raise ConfigError("the search has taken no step yet, so it has found nothing; start it")
        knobs, _ = settings(log)
        forced = knobs["force"]
        alpha = log.steps[-1].alpha
        kept = [forced.get(str(edge), a > 0) for edge, a in zip(space.edges, alpha)]
        return Architecture(space, tuple(kept), alpha)

    def refresh(self) -> None:
        """Bring the page up to date with the log."""
        with self._lock:
            only_steps_came = self.sync.push()
            self._pause = 1 / self.rate
            if only_steps_came:
                self._pause *= FRAMES

    # --- threads ------------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        """Make frames as long as something can come."""
        with self._lock:
            self.source.ended = self._frame_now
            if self._timer is None:
                self._timer = FrameTimer(self._make_frame).start()
        for branch in self._branches():
            branch._watch()

    def _frame_now(self) -> None:
        timer = self._timer  # another thread may take it away
        if timer is not None:
            timer.request_now()

    def _make_frame(self) -> float:
        """One frame. Returns the seconds to the next one; 0 where nothing can come any more."""
        with self._lock:
            # Asked before the log is read: what a search does last is then read below.
            goes_on = self.source.alive or self._run_behind_goes_on()
            try:
                if self.source.poll() or self.sync.is_behind():
                    self.refresh()
            except Exception as error:  # a log can hold anything: the panel says it and lives on
                self.sync.show_error(error)
            if goes_on:
                return self._pause
            self._timer = None
        self._leave_picture_between_cells()
        return 0

    def _run_behind_goes_on(self) -> bool:
        return self._above is not None and self._above._timer is not None

    def _leave(self) -> None:
        """Its cell was run again: its searches stop after their step, and a run elsewhere is not followed any more."""
        for branch in self._branches():
            branch._leave()
        if isinstance(self.source, LiveSource):
            self.source.leave()
        elif self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _on_message(self, view, content, buffers) -> None:
        """A button or a slider of the page. Runs in whatever thread the kernel answers in; what is refused is told until
        the person asks for something else."""
        had_an_answer = bool(self.sync.answer)
        self.sync.answer = ""
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
            if had_an_answer:
                self.refresh()
        except Exception as error:  # nobody else would hear of it
            with self._lock:
                self.sync.answer = self.sync.show_error(error)

    # --- in a notebook ------------------------------------------------------------------------------------------------
    def picture(self) -> bytes | None:
        """One still picture of the search (PNG), for where no widget can live; None before the first step."""
        from ...viz.heatmap import CURVES, overview

        if not self.log.steps or self.sync.refusal:
            return None
        log = EventLog(self.log.events)  # the search may go on meanwhile
        panels = self.view.parts.get("panels", CURVES)  # a plain studio has a few
        curves = [name for name in CURVES if name in panels]
        figure = overview(log, style="web-light", title=self.title or None, curves=curves)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=PICTURE_DPI)
        return stream.getvalue()

    def _bundle(self, picture: bytes | None) -> tuple[dict, dict]:
        """The output of a cell, data and metadata: the widget, a text, and the picture where there is one."""
        caption = f"Search, {self.source.mode}, step {self.view.status.get('step', 0)}"
        if picture and self.view.stage:
            kept = self.architecture.kept
            caption += f": {sum(kept)} of {len(kept)} edges open"
        data = {**self.box._repr_mimebundle_(), "text/plain": f"{caption}. {SHOW}"}
        if not picture:
            return data, {}
        still, about = shown(picture, SHOW)
        return data | still, about

    def show(self) -> None:
        """Shows it (again), below the cell that is running; a page that was reloaded is attached anew."""
        if live():
            self._display(None)
            self._between_cells = loop_between_cells()
            for studio in (self, *self._others):
                studio._watch()  # and leaves a picture when nothing moves any more
            return
        self.run()
        self._display(self.picture())
        self._between_cells = None
        for studio in self._others:
            studio.show()

    def _display(self, picture: bytes | None) -> None:
        from IPython.display import display

        self._drawn = None
        data, about = self._bundle(picture)
        self._handle = display(data, metadata=about, raw=True, display_id=uuid.uuid4().hex)

    def _ipython_display_(self) -> None:
        self.show()

    def _leave_picture_between_cells(self) -> None:
        """Where that can be: matplotlib's settings, which a picture needs its own of, are those of the whole process, so
        that a cell which draws meanwhile would get them too."""
        if self._between_cells is None:
            self._leave_picture()
            return
        with contextlib.suppress(RuntimeError):  # the kernel ends
            self._between_cells.call_soon_threadsafe(self._leave_picture)

    def _leave_picture(self) -> None:
        """The saved notebook keeps one picture beside the widget."""
        if self._handle is None or not self.log.steps or self._drawn == self.sync.size:
            return
        try:
            self._drawn = self.sync.size
            data, about = self._bundle(self.picture())
            self._handle.update(data, metadata=about, raw=True)
        except Exception:  # what a file holds may be no picture; the panel has said so
            pass


_LATEST: list[SearchStudio] = []  # the one that `show` shows
_MADE: weakref.WeakSet[SearchStudio] = weakref.WeakSet()


def show() -> None:
    """Shows the latest studio again, as after the page of an unsaved notebook was reloaded."""
    if not _LATEST:
        raise ConfigError("there is no studio yet; make one with SearchStudio(search)")
    _LATEST[0].show()
