"""A search in its run folder: kept as it happens, gone on with where it stopped, branched from where it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from ..core.controls import turned
from ..core.events import Checkpoint, Evaluated, Event, Failed, Started, Step
from ..core.search import Search
from ..errors import MTLNASError, RunError
from ..storage.checkpoints import OWN
from ..values import whole
from .run import Run
from .run_writer import RunWriter


class Recorded:
    """Joins a search and its folder to one source of events, for whoever watches it: to iterate, to turn, to branch.

    Leave the iteration when you like (`break`, a stopped studio, a kernel that closes): the state is saved, and the next
    iteration goes on with it, also that of another process on the same folder. left: the checkpoint made then, or None.
    """

    def __init__(
        self, search: Search, folder: RunWriter, checkpoint_every: int = 100, keyframes: int = 5
    ):
        self.search, self.folder = search, folder
        self.checkpoint_every, self.keyframes = _often(checkpoint_every, keyframes)
        self.lab = search.lab
        self.config = search.config
        self.turn = search.turn
        self.current = search.current
        self.left: Checkpoint | None = None
        self._as_left = False  # the search in memory stands where its folder says

    def __iter__(self) -> Iterator[Event]:
        if not self._as_left and not resume(self.search, self.folder):
            return
        self.left = None
        self._as_left = False  # what ends in an error is loaded anew
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
        names = (path.name for path in (self.folder.path / "checkpoints").glob("*-*.json"))
        return sorted({int(name.split("-")[0]) for name in names if OWN.fullmatch(name)})

    def branch(self, step: int, /, **knobs) -> Search:
        """Another search from the checkpoint of `step`, with the same seed and other knobs. Raises RunError, ConfigError."""
        turned(knobs, self.lab.space)  # refused before anything is made
        search = Search(self.lab.copy(), self.config, evaluate=self.search.evaluate)
        run = Run.open(self.folder.path)
        _, tensors, meta = run.load_checkpoint(step, search.refusal)
        for notice in search.load_state(tensors, meta):
            self.folder.notice(notice)
        search.turn(**knobs)
        return search


def run_recorded(
    search: Search,
    folder: RunWriter,
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
    folder: RunWriter,
    checkpoint_every: int = 100,
    keyframes: int = 5,
    turn: Mapping | None = None,
) -> Iterator[Event]:
    """Pass a search's events on, once they are safe in the folder; checkpoint; apply the requests that viewers left.

    Starts from the folder's newest checkpoint, if there is one: the events then are those of a search never stopped.
    Closed between two events, it saves where the search stands.

    Args:
        search: The search; it changes.
        folder: Its run folder, opened to write.
        checkpoint_every: Steps between checkpoints.
        keyframes: Checkpoints spread over the run that are kept for branching.
        turn: Knobs to turn before the search goes on.

    Raises:
        ConfigError: A number or a knob is not one that can be.
        RunError: The folder can't be written to, or no checkpoint is one of this search.

    Example:
        >>> import tempfile
        >>> from mtlnas_lab import Search, SearchConfig, presets
        >>> from mtlnas_lab.runs.run_writer import RunWriter
        >>> lab = presets.tiny()
        >>> search = Search(lab, SearchConfig(steps=2, batch_size=2))
        >>> folder = tempfile.TemporaryDirectory()
        >>> with RunWriter.create(folder.name, search.config.to_json(), lab.space) as run:
        ...     kinds = [type(event).__name__ for event in record(search, run)]
        >>> kinds
        ['Started', 'Step', 'Step', 'Checkpoint', 'Finished']
        >>> folder.cleanup()
    """
    _often(checkpoint_every, keyframes)
    turned(turn or {}, search.lab.space)  # refused before the folder says that it goes on
    if resume(search, folder):
        if turn:
            search.turn(**turn)
        yield from _keep(search, folder, checkpoint_every, keyframes)


def resume(search: Search, folder: RunWriter) -> bool:
    """Take the search to the folder's newest checkpoint, if there is one. False: the folder's search is finished.

    A checkpoint that is not a state of this search is refused, and one of an earlier step taken. Raises RunError where
    all are; the folder then stays as it is.
    """
    if folder.checkpoints():
        step, tensors, meta = folder.load_checkpoint(None, search.refusal)
        for notice in search.load_state(tensors, meta):
            folder.notice(notice)
        if step == search.config.steps and folder.log.finished:
            return False
        folder.requests_read = meta.get("requests_read", 0)
        folder.resumed(step)
    elif folder.log.events:
        folder.resumed(0)
    return True


def _often(checkpoint_every: int, keyframes: int) -> tuple[int, int]:
    """How often checkpoints are made and how many are kept, checked. Raises ConfigError."""
    return whole("checkpoint_every", checkpoint_every, 1), whole("keyframes", keyframes)


def _keep(
    search: Search, folder: RunWriter, checkpoint_every: int, keyframes: int
) -> Iterator[Event]:
    keep = _kept_steps(search.config.steps, checkpoint_every, keyframes)
    event = None
    saved = told = search.step_number
    try:
        if _evaluation_is_due(search, folder):  # a stop came in between
            event = search.score_now()
            folder.append(event)
            yield event
        for event in search:
            event = _completed(event, folder)
            folder.append(event)  # before anybody hears of it
            if isinstance(event, Step):
                told = event.step
            yield event
            if _checkpoint_is_due(search, event, checkpoint_every):
                checkpoint = save(search, folder, keep)
                saved = event.step
                yield checkpoint
            _heed(search, folder)
    except (GeneratorExit, KeyboardInterrupt, SystemExit):  # asked to stop
        whole_step = search.between_steps and search.step_number == told
        if whole_step and search.step_number != saved and not isinstance(event, Failed):
            save(search, folder, keep)
        raise


def _kept_steps(steps: int, checkpoint_every: int, keyframes: int) -> set[int]:
    """The steps whose checkpoints stay, for branching: `keyframes` of them, evenly spread."""
    kept = set()
    for number in range(1, keyframes + 1):
        checkpoints = steps * number / keyframes / checkpoint_every
        kept.add(round(checkpoints) * checkpoint_every)
    return kept


def _evaluation_is_due(search: Search, folder: RunWriter) -> bool:
    """Whether the search should have been evaluated where it stands, and the folder does not have it."""
    if not search.evaluates_now():
        return False
    return all(event.step != search.step_number for event in folder.log.evaluated[-2:])


def _completed(event: Event, folder: RunWriter) -> Event:
    """The event with what only the folder knows."""
    if isinstance(event, Failed):
        good = [manifest.file for manifest in folder.checkpoints()]
        return replace(event, checkpoint=good[-1] if good else None)
    if isinstance(event, Started):
        return replace(event, config=folder.config)  # the log then tells the whole experiment
    return event


def _checkpoint_is_due(search: Search, event: Event, checkpoint_every: int) -> bool:
    """Whether a step, with its evaluation if it has one, is done and one to save after."""
    if not isinstance(event, (Step, Evaluated)):
        return False
    if isinstance(event, Step) and search.evaluates_now():
        return False  # the evaluation comes first, and is part of the state
    return event.step % checkpoint_every == 0 or event.step == search.config.steps


def _heed(search: Search, folder: RunWriter) -> None:
    """Turn what viewers asked for. What cannot be is refused with a notice: no request ends a search."""
    for knobs in folder.requests():
        try:
            search.turn(**knobs)
        except MTLNASError as error:
            folder.notice(f"a request was refused: {error}")


def save(search: Search, folder: RunWriter, keep=()) -> Checkpoint:
    """Put the search's state into the folder."""
    tensors, meta = search.state()
    return folder.save_checkpoint(
        search.step_number, tensors, {**meta, "requests_read": folder.requests_read}, keep=keep
    )
