"""A search in its run folder: kept as it happens, gone on with where it stopped, branched from where it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from .errors import LabError, RunError
from .events import Checkpoint, Evaluated, Event, Failed, Started, Step
from .runs import Run
from .search import Search


class Recorded:
    """A search and its folder as one source of events, for whoever watches it: to iterate, to turn, to branch.

    Leave the iteration when you like (`break`, a stopped studio, a kernel that closes): the state is saved, and the next
    iteration goes on with it, also that of another process on the same folder. left: the checkpoint made then, or None.
    """

    def __init__(
        self, search: Search, folder: Run, checkpoint_every: int = 100, keyframes: int = 5
    ):
        self.search, self.folder, self.checkpoint_every, self.keyframes = (
            search,
            folder,
            checkpoint_every,
            keyframes,
        )
        self.lab, self.config, self.turn, self.current = (
            search.lab,
            search.config,
            search.turn,
            search.current,
        )
        self.lull = search.lull
        self.left: Checkpoint | None = None
        self._as_left = False  # the search in memory stands where its folder says

    def __iter__(self) -> Iterator[Event]:
        if not self._as_left and not resume(self.search, self.folder):
            return
        self.left, self._as_left = None, False  # what ends in an error is loaded anew
        try:
            yield from _keep(self.search, self.folder, self.checkpoint_every, self.keyframes)
        except GeneratorExit:
            self._as_left = True
            self.left = next(reversed(self.folder.log.of(Checkpoint)), None)
            raise

    def score_now(self) -> Evaluated:
        """What the search would be worth at this moment, kept in the folder. Raises ConfigError without an `evaluate`."""
        event = self.search.score_now()
        self.folder.append(event)
        return event

    def checkpoints(self) -> list[int]:
        """The steps it can branch from: those of the last two checkpoints and of the keyframes. Safe from any thread."""
        return sorted(
            {
                int(path.name.split("-")[0])
                for path in (self.folder.path / "checkpoints").glob("*-*.json")
            }
        )

    def branch(self, step: int, **knobs) -> Search:
        """Another search from the checkpoint of `step`, with the same seed and other knobs. Raises RunError, ConfigError."""
        _, tensors, meta = Run.open(self.folder.path).load_checkpoint(step)
        search = Search(self.lab.copy(), self.config, evaluate=self.search.evaluate)
        search.load_state(tensors, meta)
        search.turn(**knobs)
        return search


def go(
    search: Search,
    folder: Run,
    checkpoint_every: int = 100,
    keyframes: int = 5,
    listen=lambda *_: None,
    turn: Mapping | None = None,
) -> None:
    """Run a search to its end in a folder, from its last checkpoint if it has one. Raises RunError when a loss fails."""
    with closing(record(search, folder, checkpoint_every, keyframes, turn)) as events:
        for event in events:
            listen(search, event)
            if isinstance(event, Failed):
                raise RunError(
                    f"{event.message}; the last good checkpoint is {event.checkpoint or 'the start'}"
                )


def record(
    search: Search,
    folder: Run,
    checkpoint_every: int = 100,
    keyframes: int = 5,
    turn: Mapping | None = None,
) -> Iterator[Event]:
    """Pass a search's events on, once they are safe in the folder; checkpoint; apply the requests that viewers left.

    Starts from the folder's newest checkpoint, if there is one: the events then are those of a search never stopped.
    Closed between two events, it saves where the search stands.
    """
    if resume(search, folder):
        if turn:
            search.turn(**turn)
        yield from _keep(search, folder, checkpoint_every, keyframes)


def resume(search: Search, folder: Run) -> bool:
    """Take the search to the folder's newest checkpoint, if there is one. False: the folder's search is finished."""
    if folder.checkpoints():
        step, tensors, meta = folder.load_checkpoint()
        search.load_state(tensors, meta)
        if step == search.config.steps and folder.log.finished:
            return False
        folder.requests_read = meta["requests_read"]
        folder.resumed(step)
    elif folder.log.events:
        folder.resumed(0)
    return True


def _keep(search: Search, folder: Run, checkpoint_every: int, keyframes: int) -> Iterator[Event]:
    parts = (
        search.config.steps * i / keyframes / checkpoint_every for i in range(1, keyframes + 1)
    )
    event, saved, keep = (
        None,
        search.step_number,
        {round(part) * checkpoint_every for part in parts},
    )  # from those it can branch
    try:
        if search.evaluates_now() and all(
            e.step != search.step_number for e in folder.log.evaluated[-2:]
        ):
            event = search.score_now()  # a stop came in between
            folder.append(event)
            yield event
        for event in search:
            if isinstance(event, Failed):
                event = replace(
                    event, checkpoint=next((m.file for m in reversed(folder.checkpoints())), None)
                )
            if isinstance(event, Started):
                event = replace(
                    event, config=folder.config
                )  # the log then tells the whole experiment
            folder.append(event)
            yield event
            settled = (
                isinstance(event, Evaluated)
                or isinstance(event, Step)
                and not search.evaluates_now()
            )
            if settled and (
                event.step % checkpoint_every == 0 or event.step == search.config.steps
            ):
                saved = event.step
                yield save(search, folder, keep)
            for knobs in folder.requests():
                try:
                    search.turn(**knobs)
                except LabError as error:
                    folder.notice(f"a request was refused: {error}")
    except GeneratorExit:  # asked to stop, between two events
        if search.step_number != saved and not isinstance(event, Failed):
            save(search, folder, keep)
        raise


def save(search: Search, folder: Run, keep=()) -> Checkpoint:
    """Put the search's state into the folder."""
    tensors, meta = search.state()
    return folder.save_checkpoint(
        search.step_number, tensors, {**meta, "requests_read": folder.requests_read}, keep=keep
    )
