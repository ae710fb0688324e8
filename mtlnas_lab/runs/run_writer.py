"""The one process that writes a run folder: it holds the lock, appends events, saves checkpoints."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Container, Mapping
from pathlib import Path

from torch import Tensor

from ..core.events import Checkpoint, Event, Recovered, Resumed
from ..core.space import SearchSpace
from ..errors import RunError
from ..storage.checkpoints import pack
from ..storage.jsonl import checksum, from_jsonable, parse_object, to_jsonable
from ..storage.safe_files import (
    open_plain,
    os_errors_as_run_errors,
    replace,
    sync_folder,
    take_lock,
)
from . import event_file
from .run import FILES, JSON, REQUEST, SEALED, Run

REQUESTS = 2**20  # bytes of controls.jsonl that are read at a time

AT_ONCE = 1_000  # lines of it

WHOLE = {name: file for name, file in FILES.items() if file.written_whole}


class RunWriter(Run):
    """A run folder to write: `create` makes one, `resume` goes on with one, `close` gives it up. For `with`.

    One process at a time writes; the system frees its lock when it ends, however it ends.

    Attributes:
        requests_read: Bytes of controls.jsonl that `requests` has been through.

    Example:
        >>> import tempfile, torch
        >>> from mtlnas_lab.core.space import SearchSpace, plan
        >>> space = SearchSpace.build({"seg": plan([8, 8], [2]), "depth": plan([8, 8], [2])})
        >>> folder = tempfile.TemporaryDirectory()
        >>> with RunWriter.create(folder.name, {"seed": 3}, space) as run:
        ...     saved = run.save_checkpoint(5, {"alpha": torch.zeros(6)}, {"note": "half way"})
        >>> with RunWriter.resume(folder.name) as run:
        ...     step, tensors, meta = run.load_checkpoint()
        >>> step, tensors["alpha"].shape, meta
        (5, torch.Size([6]), {'note': 'half way'})
        >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self.requests_read = 0
        self._lock: int | None = None  # descriptors
        self._events: int | None = None
        self._seq = 0  # of the last event
        self._sure = False  # whether `_seq` is that, and the log ends in a whole line
        self._synced = time.monotonic()

    @classmethod
    def create(
        cls, path: str | os.PathLike, config: Mapping, space: SearchSpace | Mapping
    ) -> RunWriter:
        """A new run folder. Raises RunError where there is something already.

        Args:
            path: The folder; it and those above it are made.
            config: The settings, kept as config.json.
            space: The search space, or its JSON; kept as space.json.
        """
        run = cls(path)
        with os_errors_as_run_errors(path):
            os.makedirs(path, exist_ok=True)
        run._must_be_new()
        if isinstance(space, SearchSpace):
            space = space.to_json()
        return run._begin({"config.json": config, "space.json": space})

    @classmethod
    def resume(cls, path: str | os.PathLike) -> RunWriter:
        """A run to go on with; the end of its log is mended. Raises RunError while another process writes to it."""
        Run.open(path)
        return cls(path)._begin({})

    def _must_be_new(self) -> None:
        with os_errors_as_run_errors(self.path):
            there = set(os.listdir(self.path))
        if "events.jsonl" in there:
            raise RunError(
                f"{self.path} already holds a run; pass --resume to go on with it, or another --out"
            )
        # a `create` that was killed may have left these
        unfinished = {"lock", *SEALED, *(f"{name}.tmp" for name in SEALED)}
        if there - unfinished:
            raise RunError(f"{self.path} is not empty; pass another --out")

    def _begin(self, sealed: Mapping[str, Mapping]) -> RunWriter:
        try:
            self._lock = take_lock(self.path / "lock")
            if sealed:
                self._must_be_new()  # again: another process may have been quicker
            for name, value in sealed.items():
                self.write_json(name, value)
            self._open_log()
            self._mend()
            return self
        except BaseException:
            self.close()
            raise

    def _open_log(self) -> None:
        """Comes last: with its log, the folder is a run."""
        path = self.path / "events.jsonl"
        with os_errors_as_run_errors(path):
            self._events = open_plain(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            if os.fstat(self._events).st_nlink != 1:
                raise RunError(
                    f"{path} has a second name (a hard link); go on in a copy of the run"
                )
            os.makedirs(self.path / "checkpoints", exist_ok=True)
            sync_folder(self.path)

    def close(self) -> None:
        """Makes the log safe and gives up the lock; the run can still be looked at."""
        events, lock = self._events, self._lock
        self._events = None
        self._lock = None
        try:
            if events is not None:
                with os_errors_as_run_errors(self.path / "events.jsonl"):
                    os.fsync(events)
        finally:
            # the lock goes last: nobody else writes while this process still may
            for descriptor in (events, lock):
                if descriptor is not None:
                    os.close(descriptor)

    def __enter__(self) -> RunWriter:
        return self

    def _must_write(self) -> None:
        if self._lock is None:
            raise RunError(
                f"{self.path} is only being looked at; RunWriter.resume opens it to write"
            )

    # --- files --------------------------------------------------------------------------------------------------------
    def write_json(self, name: str, value: Mapping) -> None:
        """One of the files in JSON, as a whole or not at all. Raises RunError for another name, or a full disk."""
        self._path(name, JSON)
        value = to_jsonable(dict(value))
        if name in SEALED:
            value["crc"] = checksum(value)
        self.write(name, json.dumps(value, indent=1, allow_nan=False) + "\n")

    def write(self, name: str, data: bytes | str) -> None:
        """One of the files, as a whole or not at all. Raises RunError for another name, or a full disk."""
        self._must_write()
        if isinstance(data, str):
            data = data.encode()
        replace(self._path(name, WHOLE), data)

    def save_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Keeps the searched networks and α, as `load_weights` reads them."""
        self._must_write()
        replace(self.path / "weights.safetensors", pack(tensors, {}))

    # --- events -------------------------------------------------------------------------------------------------------
    def append(self, event: Event) -> int:
        """Writes one event and returns its seq: from here on it outlives the process.

        Raises RunError, as on a full disk; the event is then not promised, and may be appended again.
        """
        self._must_write()
        if not self._sure:
            self._mend()
        line = event_file.encode(event, self._seq + 1)
        self._sure = False  # until the line is there: a full disk may take half of it
        self._write_line(line)
        self._seq += 1
        self._sure = True
        if time.monotonic() - self._synced >= 1:
            self.sync()
        return self._seq

    def _write_line(self, line: bytes) -> None:
        with os_errors_as_run_errors(self.path / "events.jsonl"):
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
        # a checkpoint tells the seq of its event, which the log may have lost
        known = [manifest.seq - 1 for manifest in self.checkpoints()]
        self._seq = max(self._tail.reader.seq, *known, 0)
        self._sure = True
        if cut:
            self.append(Recovered(cut))

    def sync(self) -> None:
        """Makes all events so far safe from a power failure (`append` sees to it once a second)."""
        self._must_write()
        with os_errors_as_run_errors(self.path / "events.jsonl"):
            getattr(os, "fdatasync", os.fsync)(self._events)
        self._synced = time.monotonic()

    def resumed(self, from_step: int, from_seq: int | None = None) -> int:
        """Says in the log that the run goes on from the checkpoint loaded last; without one, from nothing."""
        if from_seq is None:
            from_seq = self.loaded.seq if self.loaded else 0
        return self.append(Resumed(from_step, from_seq))

    def save_checkpoint(
        self, step: int, tensors: Mapping[str, Tensor], meta: Mapping, keep: Container[int] = ()
    ) -> Checkpoint:
        """Saves the state after `step` and says so in the log; all but the last two good ones and the steps `keep` go.

        Raises RunError, and then the checkpoints that there were are still there.
        """
        self._must_write()
        if not self._sure:
            self._mend()
        self.sync()  # a checkpoint vouches for the log before it
        manifest = self._checkpoints.save(step, self._seq + 1, tensors, meta)
        event = Checkpoint(step, manifest.file, manifest.sha256)
        self.append(event)
        self.sync()
        self._checkpoints.prune(self.checkpoints(), keep)
        return event

    # --- requests -----------------------------------------------------------------------------------------------------
    def requests(self) -> list[dict]:
        """What was asked for since the last call, oldest first. What is not a request is passed over with a notice.

        At most AT_ONCE lines; the next call goes on with the rest.
        """
        path = self.path / "controls.jsonl"
        asked = []
        for line in self._request_lines(path):
            try:
                if len(line) > REQUEST:
                    raise RunError(f"a request of more than {REQUEST} bytes")
                asked.append(from_jsonable(parse_object(line)))
            except RunError as error:
                self.notice(f"{path}: a line is passed over: {error}")
        return asked

    def _request_lines(self, path: Path) -> list[bytes]:
        """The next whole lines of requests that are not empty."""
        if not os.path.lexists(path):
            return []
        try:
            with os_errors_as_run_errors(path):
                descriptor = open_plain(path)
                with os.fdopen(descriptor, "rb", buffering=0) as stream:
                    if os.fstat(stream.fileno()).st_size < self.requests_read:
                        self.requests_read = 0  # a new file
                    stream.seek(self.requests_read)
                    data = stream.read(REQUESTS)
        except RunError as error:
            self.notice(str(error))  # no request ends a search
            return []
        *lines, rest = data.split(b"\n")
        if not lines and len(rest) == REQUESTS:  # a line without end: passed over in portions
            lines = [rest[:-1]]
        lines = lines[:AT_ONCE]
        self.requests_read += sum(len(line) + 1 for line in lines)
        return [line for line in lines if line]
