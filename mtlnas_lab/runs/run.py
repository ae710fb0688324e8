"""A run folder: all that one search leaves behind, and the interface between it and whoever looks at it.

`FILES` says what stands in one. Killing the process that writes loses no event that `append` returned from; a power failure
loses at most those of the last second. Nothing in a run folder can execute code: no other files than these are opened, and
none of them is a pickle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from ..core.controls import turned
from ..core.schedule import Schedule
from ..core.space import SearchSpace
from ..errors import ConfigError, MTLNASError, RunError
from ..storage.checkpoints import FILE, Checkpoints, Manifest, unpack
from ..storage.jsonl import checksum, from_jsonable, read_json, to_jsonable
from ..storage.safe_files import open_plain, os_errors_as_run_errors, read
from ..values import told as told_value
from .event_file import Tail
from .event_log import EventLog

# Every file and folder that a run folder may hold: its name, its kind, what it is.
TABLE = """
config.json          json    the settings; sealed with a checksum
space.json           json    the search space; sealed with a checksum
events.jsonl         lines   what happened, one checked line each; only ever grows
controls.jsonl       lines   what viewers ask for, one line of knobs each
checkpoints          folder  STEP-HASH.safetensors, each with a STEP-HASH.json that vouches for it
lock                 lock    held by the one process that writes; the system frees it when that process ends
architecture.json    json    the edges that were found
weights.safetensors  tensors the searched networks and α
scores.json          json    {gates or baseline: {task: {metric: value}}}
summary.md           text    scores and kept edges, to be read
fusion_graph.json    figure  what the picture shows, to be drawn again
fusion_graph.pdf     text    the picture of the fusion graph
fusion_graph.svg     text    the same
fusion_graph.png     text    the same
fusion_graph.tex     text    the same, to be typeset alone
fusion_graph.tikz    text    the same, to be put into a document
fusion_graph.html    text    the same, to be pointed at
ablation.json        json    what each kept edge is worth: all numbers
explained.md         text    what each kept edge is worth: table and sentences
explained.tex        text    what each kept edge is worth: a booktabs table
edge_worth.json      json    what each candidate edge is worth, beside its α
pretraining          folder  the run folder of the networks taught alone
baselines            folder  a run folder for each baseline
tensorboard          folder  the events once more, for TensorBoard
"""

BYTES = {"json": 2**22, "figure": 2**24}  # that a file in JSON may have, by kind


@dataclass(frozen=True)
class RunFile:
    """What a file of a run folder is: a kind out of TABLE, and a line about it."""

    kind: str
    about: str

    @property
    def written_whole(self) -> bool:
        """Whether `RunWriter.write` writes it; what is not, grows or is a folder."""
        return self.kind in ("json", "figure", "text")


def _read_table() -> dict[str, RunFile]:
    files = {}
    for line in TABLE.strip().splitlines():
        name, kind, about = line.split(maxsplit=2)
        files[name] = RunFile(kind, about)
    return files


FILES = _read_table()

JSON = {name: BYTES[file.kind] for name, file in FILES.items() if file.kind in BYTES}

SEALED = ("config.json", "space.json")  # written once, with a checksum

REQUEST = 2**16  # bytes of a line of controls.jsonl

NOTICES = 1_000  # that are kept


class Run:
    """A run folder to look at; `RunWriter` writes one. A run that another process writes grows while it is looked at.

    Args:
        path: The folder; `Run.open` makes sure that there is a run.

    Attributes:
        notices: What was damaged and passed over, a line each.
        loaded: The manifest of the checkpoint that was loaded last.

    Example:
        >>> import tempfile
        >>> from mtlnas_lab.core.events import Turned
        >>> from mtlnas_lab.core.space import SearchSpace, plan
        >>> from mtlnas_lab.runs.run_writer import RunWriter
        >>> space = SearchSpace.build({"seg": plan([8, 8], [2]), "depth": plan([8, 8], [2])})
        >>> folder = tempfile.TemporaryDirectory()
        >>> with RunWriter.create(folder.name, {"seed": 3}, space) as writer:
        ...     number = writer.append(Turned(1, {"alpha_lr": 0.1}))
        >>> run = Run.open(folder.name)
        >>> run.config
        {'seed': 3}
        >>> run.log.turned
        [Turned(step=1, knobs={'alpha_lr': 0.1})]
        >>> run.space == space
        True
        >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.notices: list[str] = []
        self.loaded: Manifest | None = None
        self._tell: Callable[[str], None] = lambda text: None
        self._tail = Tail(self.path / "events.jsonl")
        self._checkpoints = Checkpoints(self.path / "checkpoints", self.notice)

    @classmethod
    def open(cls, path: str | os.PathLike) -> Run:
        """A run to look at. Raises RunError where there is none."""
        if not os.path.lexists(Path(path) / "events.jsonl"):
            raise RunError(
                f"{path} is no run folder, for it has no events.jsonl; pass the folder that a search wrote"
            )
        return Run(path)

    @staticmethod
    def list(folder: str | os.PathLike) -> list[Path]:
        """The run folders in `folder`, by name. Raises RunError where `folder` can't be read."""
        with os_errors_as_run_errors(folder):
            paths = [Path(entry) for entry in os.scandir(folder)]
            return sorted(path for path in paths if os.path.isfile(path / "events.jsonl"))

    def close(self) -> None:
        """Gives up what the process holds of the run: for a reader, nothing."""

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    # --- files --------------------------------------------------------------------------------------------------------
    @property
    def config(self) -> dict:
        """The settings, as they were given to `RunWriter.create`."""
        return self._sealed("config")

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return SearchSpace.from_json(self._sealed("space"))

    def _sealed(self, name: str) -> dict:
        try:
            return self.read_json(f"{name}.json")
        except RunError as error:
            started = self.log.started
            if not started:
                raise
            # the first event tells both once more, and a checksum of its own vouches for it
            self.notice(f"{error}; the copy in the log is used")
            return getattr(started, name)

    def architecture(self) -> dict:
        """The architecture that was found, as `Architecture.from_json` takes it."""
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

    def _path(self, name: str, names: Mapping) -> Path:
        if name not in names:
            raise RunError(f"a run folder has no file {name!r} here; it has {', '.join(names)}")
        return self.path / name

    def load_weights(self) -> dict[str, Tensor]:
        """{name: tensor} of the searched networks and α. Raises RunError where the file is not whole."""
        path = self.path / "weights.safetensors"
        tensors, _ = unpack(path, read(path, FILE))
        return tensors

    def notice(self, text: str) -> None:
        """Keeps a line about something that was damaged and passed over, once."""
        if len(self.notices) < NOTICES and text not in self.notices:
            self.notices.append(text)
            self._tell(text)

    def hear(self, tell: Callable[[str], None]) -> None:
        """`tell` hears of each notice from now on, and of those that there are."""
        self._tell = tell
        for text in self.notices:
            tell(text)

    # --- events and checkpoints ---------------------------------------------------------------------------------------
    @property
    def log(self) -> EventLog:
        """All events so far; it grows with the run. For one thread: another one opens the run for itself."""
        self._tail.poll()
        return self._tail.log

    def checkpoints(self) -> list[Manifest]:
        """The checkpoints that count, oldest first: not those of a history that a later `resumed` left behind."""
        counting = []
        left = self.log.resumptions
        for manifest in self._checkpoints.manifests():
            if not any(first < manifest.seq <= last for first, last in left):
                counting.append(manifest)
        return counting

    def load_checkpoint(
        self,
        step: int | None = None,
        refusal: Callable[[Mapping[str, Tensor], Mapping], str] = lambda tensors, meta: "",
    ) -> tuple[int, dict[str, Tensor], dict]:
        """The newest good checkpoint (of that step); `notices` says which ones were damaged.

        Args:
            step: The step it is of; None: any.
            refusal: Says of a whole checkpoint why it cannot be used, if so; then one of an earlier step is tried.

        Returns:
            (step, tensors, meta), as they were saved.

        Raises:
            RunError: There is none, with what was said of the newest.
        """
        refused: dict[int, str] = {}  # {step: why}
        for manifest in reversed(self.checkpoints()):
            if step not in (None, manifest.step) or manifest.step in refused:
                continue
            state = self._checkpoints.load(manifest)
            if not state:
                continue
            tensors, meta = state
            problem = refusal(tensors, meta)
            said = meta.get("step", manifest.step)
            if not problem and said != manifest.step:
                problem = f"it says that it is of step {told_value(said)}"
            if problem:
                refused[manifest.step] = problem
                continue
            self.loaded = manifest
            for number, why in refused.items():
                self.notice(f"the checkpoint of step {number} is passed over: {why}")
            return manifest.step, tensors, meta
        for number, why in refused.items():  # the newest
            raise RunError(f"{self.path}: the checkpoint of step {number} is refused: {why}")
        raise RunError("; ".join([self._none_of(step), *self.notices]))

    def _none_of(self, step: int | None) -> str:
        wanted = "" if step is None else f" of step {step}"
        there = ", ".join(str(manifest.step) for manifest in self.checkpoints())
        return f"{self.path} has no good checkpoint{wanted}, of these: {there or 'none'}"

    # --- requests -----------------------------------------------------------------------------------------------------
    @classmethod
    def request(cls, path: str | os.PathLike, /, **knobs) -> None:
        """Asks the search that writes the run to turn knobs; anybody who looks at the run may.

        Raises ConfigError for what no search would take, RunError where there is no run or no place for a request.
        """
        run = cls.open(path)
        path = run.path / "controls.jsonl"
        turned(knobs, run._space_or_none() if "force" in knobs else None)
        said = {}
        for name, value in knobs.items():
            said[name] = asdict(value) if isinstance(value, Schedule) else value
        line = json.dumps(to_jsonable(said), allow_nan=False).encode() + b"\n"
        if len(line) > REQUEST:
            raise ConfigError(f"a request of {len(line)} bytes is too long; ask for less at a time")
        with os_errors_as_run_errors(path):
            descriptor = open_plain(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            with os.fdopen(descriptor, "r+b", buffering=0) as stream:
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(end - 1, 0))
                # one who asked before may have been killed within a line: this one begins its own
                torn = stream.read(1) not in (b"", b"\n")
                stream.write(b"\n" + line if torn else line)

    def _space_or_none(self) -> SearchSpace | None:
        try:
            return self.space
        except MTLNASError:  # a damaged run: the search itself will say what it has no edge for
            return None
