"""A search in its run folder: kept as it happens, gone on with where it stopped, branched from where it was."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .errors import LabError, RunError
from .events import Checkpoint, Evaluated, Event, Failed, Started, Step
from .runs import Run
from .search import Search


class Recorded:
    """A search and its folder as one source of events, for whoever watches it: to iterate, to turn, to branch."""

    def __init__(self, search: Search, folder: Run, checkpoint_every: int = 100, keyframes: int = 5):
        self.search, self.folder, self.checkpoint_every, self.keyframes = search, folder, checkpoint_every, keyframes
        self.lab, self.config, self.turn, self.score_now = search.lab, search.config, search.turn, search.score_now

    def __iter__(self) -> Iterator[Event]:
        return record(self.search, self.folder, self.checkpoint_every, self.keyframes)

    def branch(self, step: int, **knobs) -> Search:
        """Another search from the checkpoint of `step`, with the same seed and other knobs. Raises RunError, ConfigError."""
        _, tensors, meta = Run.open(self.folder.path).load_checkpoint(step)
        search = Search(self.lab.copy(), self.config, evaluate=self.search.evaluate)
        search.load_state(tensors, meta)
        search.turn(**knobs)
        return search


def go(search: Search, folder: Run, checkpoint_every: int = 100, keyframes: int = 5, listen=lambda *_: None,
       turn: Mapping | None = None) -> None:
    """Run a search to its end in a folder, from its last checkpoint if it has one. Raises RunError when a loss fails."""
    for event in record(search, folder, checkpoint_every, keyframes, turn):
        try:
            listen(search, event)
        except KeyboardInterrupt:                                       # asked to stop, between two steps
            if _settled(search, event):
                save(search, folder, _keyframes(search, checkpoint_every, keyframes))
            raise
        if isinstance(event, Failed):
            raise RunError(f"{event.message}; the last good checkpoint is {event.checkpoint or 'the start'}")


def record(search: Search, folder: Run, checkpoint_every: int = 100, keyframes: int = 5,
           turn: Mapping | None = None) -> Iterator[Event]:
    """Pass a search's events on, once they are safe in the folder; checkpoint; apply the requests that viewers left.

    Starts from the folder's newest checkpoint, if there is one: the events then are those of a search never stopped.
    """
    steps, keep = search.config.steps, _keyframes(search, checkpoint_every, keyframes)
    saved = folder.checkpoints()
    if saved:
        step, tensors, meta = folder.load_checkpoint()
        if step == steps and folder.log.finished:
            search.load_state(tensors, meta)
            return
        search.load_state(tensors, meta)
        folder.requests_read = meta["requests_read"]
        folder.resumed(step)
    elif folder.log.events:
        folder.resumed(0)
    if turn:
        search.turn(**turn)
    for event in search:
        if isinstance(event, Failed):
            event = replace(event, checkpoint=next((m.file for m in reversed(folder.checkpoints())), None))
        if isinstance(event, Started):
            event = replace(event, config=folder.config)                # the log then tells the whole experiment
        folder.append(event)
        yield event
        if _settled(search, event) and (event.step % checkpoint_every == 0 or event.step == steps):
            yield save(search, folder, keep)
        for knobs in folder.requests():
            try:
                search.turn(**knobs)
            except LabError as error:
                folder.notice(f"a request was refused: {error}")


def _settled(search: Search, event: Event) -> bool:
    """Whether a step is done with all that belongs to it."""
    return isinstance(event, Evaluated) or isinstance(event, Step) and not search.evaluates_now()


def _keyframes(search: Search, checkpoint_every: int, count: int) -> set[int]:
    """Steps whose checkpoints are kept, spread over the run: from them a search can branch."""
    parts = (search.config.steps * i / count / checkpoint_every for i in range(1, count + 1))
    return {round(part) * checkpoint_every for part in parts}


def save(search: Search, folder: Run, keep=()) -> Checkpoint:
    """Put the search's state into the folder."""
    tensors, meta = search.state()
    return folder.save_checkpoint(search.step_number, tensors, {**meta, "requests_read": folder.requests_read}, keep=keep)
