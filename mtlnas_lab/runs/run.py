"""A run folder: all that one search leaves behind, and the interface between it and whoever looks at it.

    config.json space.json architecture.json scores.json summary.md weights.safetensors
    fusion_graph.*    the picture: .pdf .svg .png .tex .tikz .html, and .json that says what it shows, to be drawn again
    ablation.json explained.md explained.tex   what each kept edge is worth (`mtlnas-lab explain`)
    events.jsonl      what happened, one checked line each; only ever grows
    checkpoints/      STEP-HASH.safetensors, each with a checked line in STEP-HASH.json that vouches for it
    controls.jsonl    what viewers ask for, one line of knobs each
    lock              held by the one process that writes; the system frees it when that process ends, however it ends

Killing the process loses no event that `append` returned from; a power failure loses at most those of the last second.
Nothing in a run folder can execute code: no other files than these are opened, and none of them is a pickle.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from ..core.config import turned
from ..core.events import Checkpoint, Event, Recovered, Resumed
from ..core.schedule import Schedule
from ..core.space import SearchSpace
from ..errors import ConfigError, MTLNASError, RunError
from ..storage.checkpoints import FILE, Checkpoints, Manifest, pack, unpack
from ..storage.jsonl import checksum, from_jsonable, parse_object, read_json, to_jsonable
from ..storage.safe_files import (
    open_plain,
    os_errors_as_run_errors,
    read,
    replace,
    sync_folder,
    take_lock,
)
from ..values import told as told_value
from . import event_file
from .event_file import Tail
from .event_log import EventLog

SEALED = ("config.json", "space.json")  # written once, with a checksum


JSON = {  # the files in JSON, and how many bytes each may have
    "config.json": 2**22,
    "space.json": 2**22,
    "architecture.json": 2**22,
    "scores.json": 2**22,
    "ablation.json": 2**22,
    "fusion_graph.json": 2**24,
}


FILES = (
    *JSON,
    "summary.md",
    "explained.md",
    "explained.tex",
    *(f"fusion_graph.{kind}" for kind in ("pdf", "svg", "png", "tex", "tikz", "html")),
)


REQUESTS, REQUEST, AT_ONCE = 2**20, 2**16, 1_000  # bytes and lines read at a time, bytes of a line


NOTICES = 1_000  # that are kept


class Run:
    """A run folder: `Run.open` looks at one, `Run.create` and `Run.resume` hold its lock and write. For `with`."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.notices: list[str] = []  # what was damaged and passed over
        self._tell: Callable[[str], None] = lambda text: None
        self.requests_read = 0  # bytes of controls.jsonl that `requests` has been through
        self.loaded: Manifest | None = None  # the checkpoint that was loaded last
        self._tail = Tail(self.path / "events.jsonl")
        self._checkpoints = Checkpoints(self.path / "checkpoints", self.notice)
        self._lock = self._events = None  # descriptors, where this is the process that writes
        self._seq, self._sure, self._synced = 0, False, time.monotonic()

    @classmethod
    def create(cls, path: str | os.PathLike, config: Mapping, space: SearchSpace | Mapping) -> Run:
        """A new run folder. Raises RunError where there is something already."""
        run = cls(path)
        with os_errors_as_run_errors(path):
            os.makedirs(path, exist_ok=True)
        run._must_be_new()
        return run._begin(config, space.to_json() if isinstance(space, SearchSpace) else space)

    @classmethod
    def resume(cls, path: str | os.PathLike) -> Run:
        """A run to go on with; the end of its log is mended. Raises RunError while another process writes to it."""
        return cls.open(path)._begin()

    @classmethod
    def open(cls, path: str | os.PathLike) -> Run:
        """A run to look at. Raises RunError where there is none."""
        if not os.path.lexists(Path(path) / "events.jsonl"):
            raise RunError(
                f"{path} is no run folder, for it has no events.jsonl; pass the --out of a search"
            )
        return cls(path)

    @staticmethod
    def list(folder: str | os.PathLike) -> list[Path]:
        """The run folders in `folder`, by name."""
        with os_errors_as_run_errors(folder):
            return sorted(
                Path(entry)
                for entry in os.scandir(folder)
                if os.path.isfile(Path(entry) / "events.jsonl")
            )

    def _must_be_new(self) -> None:
        with os_errors_as_run_errors(self.path):
            there = set(os.listdir(self.path)) - {
                name + end for name in SEALED for end in ("", ".tmp")
            }
        if there - {"lock"}:  # the others are left by a `create` that was killed
            raise RunError(
                f"{self.path} already holds a run; pass --resume to go on with it, or another --out"
                if "events.jsonl" in there
                else f"{self.path} is not empty; pass another --out"
            )

    def _begin(self, config: Mapping | None = None, space: Mapping | None = None) -> Run:
        try:
            self._lock = take_lock(self.path / "lock")
            if config is not None:
                self._must_be_new()  # again: another process may have been quicker
                self.write_json("config.json", config)
                self.write_json("space.json", space)
            with os_errors_as_run_errors(
                self._tail.path
            ):  # comes last: with it, the folder is a run
                self._events = open_plain(self._tail.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                if os.fstat(self._events).st_nlink != 1:
                    raise RunError(
                        f"{self._tail.path} has a second name (a hard link); go on in a copy of the run"
                    )
                os.makedirs(self.path / "checkpoints", exist_ok=True)
                sync_folder(self.path)
            self._mend()
            return self
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Makes the log safe and gives up the lock; the run can still be looked at."""
        descriptors, self._lock, self._events = (self._events, self._lock), None, None
        try:
            with os_errors_as_run_errors(self._tail.path):
                if descriptors[0] is not None:
                    os.fsync(descriptors[0])
        finally:
            for descriptor in descriptors:
                if descriptor is not None:
                    os.close(descriptor)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    # --- files --------------------------------------------------------------------------------------------------------
    config = property(
        lambda self: self._sealed("config"), doc="The settings, as given to `create`."
    )
    space = property(
        lambda self: SearchSpace.from_json(self._sealed("space")), doc="The search space."
    )

    def _sealed(self, name: str) -> dict:
        try:
            return self.read_json(f"{name}.json")
        except RunError as error:
            if not self.log.started:
                raise
            self.notice(f"{error}; the copy in the log is used")
            return getattr(self.log.started, name)

    def architecture(self) -> dict:
        return self.read_json("architecture.json")

    def scores(self) -> dict:
        """{gates: {task: {metric: value}}}."""
        return from_jsonable(self.read_json("scores.json"))

    def read_json(self, name: str) -> dict:
        """One of the files in JSON. Raises RunError for another name, a missing file or a damaged one."""
        path = self._path(name, JSON)
        value = read_json(path, JSON[name])
        if name in SEALED and value.pop("crc", None) != checksum(value):
            raise RunError(f"{path} is damaged: its crc does not match, or it was changed by hand")
        return value

    def write_json(self, name: str, value: Mapping) -> None:
        self._path(name, JSON)
        value = to_jsonable(dict(value))
        value |= {"crc": checksum(value)} if name in SEALED else {}
        self.write(name, json.dumps(value, indent=1, allow_nan=False) + "\n")

    def write(self, name: str, data: bytes | str) -> None:
        """One of the files, as a whole or not at all."""
        self._must_write()
        replace(self._path(name, FILES), data.encode() if isinstance(data, str) else data)

    def _path(self, name: str, names: tuple[str, ...]) -> Path:
        if name not in names:
            raise RunError(f"a run folder has no file {name!r} here; it has {', '.join(names)}")
        return self.path / name

    def save_weights(self, tensors: Mapping[str, Tensor]) -> None:
        self._must_write()
        replace(self.path / "weights.safetensors", pack(tensors, {}))

    def load_weights(self) -> dict[str, Tensor]:
        path = self.path / "weights.safetensors"
        return unpack(path, read(path, FILE))[0]

    def notice(self, text: str) -> None:
        if len(self.notices) < NOTICES and text not in self.notices:
            self.notices.append(text)
            self._tell(text)

    def hear(self, tell: Callable[[str], None]) -> None:
        """`tell` hears of each notice from now on, and of those that there are."""
        self._tell = tell
        for text in self.notices:
            tell(text)

    def _must_write(self) -> None:
        if self._lock is None:
            raise RunError(f"{self.path} is only being looked at; Run.resume opens it to write")

    # --- events -------------------------------------------------------------------------------------------------------
    @property
    def log(self) -> EventLog:
        """All events so far; it grows with the run. For one thread: another one opens the run for itself."""
        self._tail.poll()
        return self._tail.log

    def append(self, event: Event) -> int:
        """Writes one event and returns its seq: from here on it outlives the process.

        Raises RunError, as on a full disk; the event is then not promised, and may be appended again.
        """
        self._must_write()
        if not self._sure:
            self._mend()
        line = event_file.encode(event, self._seq + 1)
        self._sure = False
        self._write_line(line)
        self._seq, self._sure = self._seq + 1, True
        if time.monotonic() - self._synced >= 1:
            self.sync()
        return self._seq

    def _write_line(self, line: bytes) -> None:
        with os_errors_as_run_errors(self._tail.path):
            if os.fstat(self._events).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the file was removed while the run went on")
            if os.write(self._events, line) < len(line):
                raise OSError(errno.ENOSPC, "no space left for a whole line")

    def _mend(self) -> None:
        """Finds the next seq, and ends a last line that was cut short."""
        self._tail.poll()
        cut = self._tail.reader.pending
        if cut:
            self._write_line(b"\n")
            self._tail.poll()
        self._seq = max(
            self._tail.reader.seq, *(manifest.seq - 1 for manifest in self.checkpoints()), 0
        )
        self._sure = True
        if cut:
            self.append(Recovered(cut))

    def sync(self) -> None:
        """Makes all events so far safe from a power failure (`append` sees to it once a second)."""
        self._must_write()
        with os_errors_as_run_errors(self._tail.path):
            getattr(os, "fdatasync", os.fsync)(self._events)
        self._synced = time.monotonic()

    def resumed(self, from_step: int, from_seq: int | None = None) -> int:
        """Says in the log that the run goes on from the checkpoint loaded last; without one, from nothing."""
        seq = (self.loaded.seq if self.loaded else 0) if from_seq is None else from_seq
        return self.append(Resumed(from_step, seq))

    # --- checkpoints --------------------------------------------------------------------------------------------------
    def checkpoints(self) -> list[Manifest]:
        """The checkpoints that count, oldest first: not those of a history that a later `resumed` left behind."""
        left = self.log.resumptions
        return [
            manifest
            for manifest in self._checkpoints.manifests()
            if not any(first < manifest.seq <= last for first, last in left)
        ]

    def save_checkpoint(
        self, step: int, tensors: Mapping[str, Tensor], meta: Mapping, keep: Container[int] = ()
    ) -> Checkpoint:
        """Saves the state after `step` and says so in the log; all but the last two good ones and the steps `keep` go.

        Raises RunError, and then the checkpoints that there were are still there.
        """
        self._must_write()
        if not self._sure:
            self._mend()
        self.sync()
        manifest = self._checkpoints.save(step, self._seq + 1, tensors, meta)
        event = Checkpoint(step, manifest.file, manifest.sha256)
        self.append(event)
        self.sync()
        self._checkpoints.prune(self.checkpoints(), keep)
        return event

    def load_checkpoint(
        self,
        step: int | None = None,
        refusal: Callable[[Mapping[str, Tensor], Mapping], str] = lambda tensors, meta: "",
    ) -> tuple[int, dict[str, Tensor], dict]:
        """(step, tensors, meta) of the newest good checkpoint (of that step); `notices` says which ones were damaged.

        refusal: says of a whole checkpoint why it cannot be used, if so; then one of an earlier step is tried. Raises
        RunError where there is none, with what was said of the newest.
        """
        refused = {}  # {step: why}
        for manifest in reversed(self.checkpoints()):
            if step not in (None, manifest.step) or manifest.step in refused:
                continue
            state = self._checkpoints.load(manifest)
            if not state:
                continue
            problem = refusal(*state)
            if not problem and state[1].get("step", manifest.step) != manifest.step:
                problem = f"it says that it is of step {told_value(state[1]['step'])}"
            if not problem:
                self.loaded = manifest
                for number, why in refused.items():
                    self.notice(f"the checkpoint of step {number} is passed over: {why}")
                return manifest.step, *state
            refused[manifest.step] = problem
        if refused:
            number, why = next(iter(refused.items()))
            raise RunError(f"{self.path}: the checkpoint of step {number} is refused: {why}")
        there = ", ".join(str(manifest.step) for manifest in self.checkpoints()) or "none"
        raise RunError(
            "; ".join(
                [
                    f"{self.path} has no good checkpoint{'' if step is None else f' of step {step}'}, "
                    f"of these: {there}",
                    *self.notices,
                ]
            )
        )

    # --- requests -----------------------------------------------------------------------------------------------------
    @classmethod
    def request(cls, path: str | os.PathLike, /, **knobs) -> None:
        """Asks the search that writes the run to turn knobs; anybody who looks at the run may.

        Raises ConfigError for what no search would take, RunError where there is no run or no place for a request.
        """
        run = cls.open(path)
        path = run.path / "controls.jsonl"
        turned(knobs, run._space_or_none() if "force" in knobs else None)
        said = {name: asdict(v) if isinstance(v, Schedule) else v for name, v in knobs.items()}
        line = json.dumps(to_jsonable(said), allow_nan=False).encode() + b"\n"
        if len(line) > REQUEST:
            raise ConfigError(f"a request of {len(line)} bytes is too long; ask for less at a time")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with (
            os_errors_as_run_errors(path),
            os.fdopen(open_plain(path, flags), "r+b", buffering=0) as stream,
        ):
            stream.seek(max(stream.seek(0, os.SEEK_END) - 1, 0))
            stream.write(line if stream.read(1) in (b"", b"\n") else b"\n" + line)

    def _space_or_none(self) -> SearchSpace | None:
        try:
            return self.space
        except MTLNASError:  # a damaged run: the search itself will say what it has no edge for
            return None

    def requests(self) -> list[dict]:
        """What was asked for since the last call, oldest first. What is no request is passed over with a notice.

        At most AT_ONCE lines; the next call goes on with the rest.
        """
        path, asked = self.path / "controls.jsonl", []
        if not os.path.lexists(path):
            return asked
        try:
            with (
                os_errors_as_run_errors(path),
                os.fdopen(open_plain(path), "rb", buffering=0) as stream,
            ):
                if os.fstat(stream.fileno()).st_size < self.requests_read:
                    self.requests_read = 0  # a new file
                stream.seek(self.requests_read)
                data = stream.read(REQUESTS)
        except RunError as error:
            self.notice(str(error))
            return asked
        *lines, rest = data.split(b"\n")
        if not lines and len(rest) == REQUESTS:  # a line without end: passed over in portions
            lines = [rest[:-1]]
        lines = lines[:AT_ONCE]
        self.requests_read += sum(len(line) + 1 for line in lines)
        for line in filter(None, lines):
            try:
                if len(line) > REQUEST:
                    raise RunError(f"a request of more than {REQUEST} bytes")
                asked.append(from_jsonable(parse_object(line)))
            except RunError as error:
                self.notice(f"{path}: a line is passed over: {error}")
        return asked
