"""`mtlnas-lab search`: the main job."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

from ..errors import ConfigError
from ..one_line import printable
from .places import writable
from .progress import Progress, interruptible
from .settings import (
    ABOUT,
    FIELDS,
    KINDS,
    SHORT,
    as_kept,
    combined,
    experiment_of,
    kept_value,
    read_settings,
    read_value,
    reader,
)

if TYPE_CHECKING:
    from ..experiments.config import Experiment

MOST_THREADS = 1024


MOVED = ("data", "eval_data")  # may lie elsewhere when a run goes on


HERE = ("device", "threads")  # of the machine, not of the run


BEGINS = (
    "config",
    "released_config",
    "graph",
    "warm_start",
)  # what a run begins with, and cannot take up later


# --- its flags --------------------------------------------------------------------------------------------------------
NOT_GIVEN = object()


def flag_of(setting: str) -> str:
    """The flag of a setting, as in --search.warm-up of search.warm_up."""
    return f"--{setting.replace('_', '-')}"


def _text(setting: str, about: str, default: str) -> tuple:
    """A field of the class that tyro makes flags of: it takes a text, which `read_value` reads later."""
    metavar, _ = reader(setting)
    nargs: int | tuple[int, ...] = 1
    if KINDS[setting] == "bool":
        nargs = (0, 1)  # --freeze alone says true
    # Any default passes as an instance, so that NOT_GIVEN can stand where a setting is left to the preset.
    spec = PrimitiveConstructorSpec(
        nargs=nargs,
        metavar=metavar,
        instance_from_str=lambda given: given[0] if given else "true",
        is_instance=lambda given: True,
        str_from_instance=lambda given: [default],
    )
    hint = f"(default: {default})" if default else ""
    kind = Annotated[Any, spec, arg(help=about, help_behavior_hint=hint)]
    return setting.rpartition(".")[2], kind, field(default=NOT_GIVEN)


def _common_flags() -> list[tuple]:
    """Of settings without a section: the fields of Experiment, and the short names behind `seed`."""
    made = []
    for setting, known in FIELDS.items():
        if "." in setting:
            continue
        made.append(_text(setting, known.about, known.default))
        if setting == "seed":
            shorts = [name for name in SHORT if name not in FIELDS]
            made += [_text(name, ABOUT[name], "") for name in shorts]
    return made


def _flags_below(section: str, explained: bool) -> list[tuple]:
    made = []
    for setting, known in FIELDS.items():
        if setting.startswith(f"{section}."):
            if explained:
                made.append(_text(setting, known.about, known.default))
            else:
                made.append(_text(setting, "as of the search", ""))
    return made


def _path(about: str) -> object:
    return arg(help=about, metavar="PATH", help_behavior_hint="")


def _switch(about: str) -> object:
    return arg(help=about, help_behavior_hint="")


@dataclass(frozen=True)
class Work:
    """What is to be done with the settings."""

    out: Annotated[Path | None, _path("The run folder; otherwise runs/<time>-<tasks>.")] = None
    config: Annotated[
        Path | None,
        _path("A file of settings (YAML or JSON), such as a run's config.json; flags go before."),
    ] = None
    released_config: Annotated[
        Path | None, _path("A YAML file of the released implementation, whose settings to use.")
    ] = None
    resume: Annotated[
        bool,
        _switch(
            "Go on with the run in --out, under its own settings; but flags of knobs (--entropy-weight, --weight-lr, "
            "--search.temperature …) turn these from here on, and --device and --threads say where it goes on. "
            "Others must be those of the folder."
        ),
    ] = False
    tensorboard: Annotated[
        bool,
        _switch(
            "Also write TensorBoard events, into `tensorboard` in the run folder (extra `tensorboard`)."
        ),
    ] = False


Common = make_dataclass("Common", _common_flags(), frozen=True)


SearchFlags = make_dataclass("SearchFlags", _flags_below("search", True), frozen=True)


PretrainFlags = make_dataclass("PretrainFlags", _flags_below("pretrain", False), frozen=True)


FLAGS = (*(one.name for one in fields(Work)), *KINDS)  # all names, as in search.warm_up


def search(
    work: Annotated[Work, arg(name="")],
    common: Annotated[Common, arg(name="")],
    search: SearchFlags,
    pretrain: PretrainFlags,
) -> None:
    """Search a fusion graph between single-task networks, and score it as it is.

    Pretrains one network for each task (not on `rooms`: those are shipped), searches, evaluates the searched network
    with soft and hard gates, trains the baselines, and leaves everything in a run folder. Ctrl-C stops after the step
    that is under way; --resume goes on with it.

        mtlnas-lab search                                            # rooms, segmentation + normals, a few minutes
        mtlnas-lab search --entropy-weight 0 --out runs/no-entropy   # what if nothing pushed the gates apart?
        mtlnas-lab search --data pack.npz --tasks seg13,normals --eval-data test.npz
        mtlnas-lab search --search.warm-up 50 --search.weight-gates straight_through
        mtlnas-lab search --visibility segmentation=0                # cover one network's eyes: which edges open?
        mtlnas-lab search --data pack.npz --tasks seg13,normals --view seg13=depth
        mtlnas-lab search --data pack.npz --tasks seg13,depth --warm-start runs/a --kappa 0.5   # α from a neighbour
        mtlnas-lab search --config runs/no-entropy/config.json --seed 1     # the same again, under another seed

    Args:
        work: What is to be done.
        common: The settings that are asked for most.
        search: Every setting of the search. Defaults are those of SearchConfig; a preset may have others. What changes on a
            schedule takes a number, or end,start,begin,finish,power as in 10,0,0.3,1,1: from 0 to 10 over 30–100 %.
        pretrain: The same settings, for teaching each network alone before the search.
    """
    from ..experiments import pipeline
    from ..runs.run import Run

    given = _given(common, search, pretrain)
    if work.resume and work.out is None:
        raise ConfigError("--resume needs --out, the run folder to go on with")
    settings = None
    more: dict[str, Any] = {"elsewhere": None}
    turn = None
    # A run that goes on has its settings in its folder; `pipeline.run` reads them there.
    if work.resume:
        kept = Run.open(work.out).config
        turn, more = _going_on(kept, given, work)
    else:
        settings = _settings(given, work)
    communicator = _communicator(_device(given, settings))
    leads = communicator.is_main_process
    with contextlib.ExitStack() as stack:
        out = work.out
        if out is None and leads:
            out = stack.enter_context(_own_folder(settings))
        out = writable(communicator.broadcast(out))  # its name holds the time
        stopped = stack.enter_context(interruptible())
        progress = stack.enter_context(Progress(stopped, silent=not leads))
        listen = progress
        if work.tensorboard and leads:
            listen = _also(progress, out / "tensorboard")
        more |= {"tell": _tell, "communicator": communicator}
        try:
            pipeline.run(
                settings,
                out,
                work.resume,
                listen,
                turn,
                figures=("pdf", "svg", "png"),
                **more,
            )
        except pipeline.NotAllWritten:
            finish(Run.open(out))
            raise
        except KeyboardInterrupt as end:
            if (out / "events.jsonl").exists():
                again = shlex.join(["mtlnas-lab", "search", "--resume", "--out", str(out)])
                end.add_note(f"what is done is kept; {again} goes on with it")
            raise
    if leads:
        finish(Run.open(out))


def _given(common, search, pretrain) -> dict[str, str]:
    """{setting: text} of the flags that were given. Raises ConfigError for numbers that no run can have."""
    given = {}
    for section, flags in (("", common), ("search.", search), ("pretrain.", pretrain)):
        for name, text in vars(flags).items():
            if text is not NOT_GIVEN:
                given[f"{section}{name}"] = text
    if "threads" in given and not 1 <= _read("threads", given) <= MOST_THREADS:
        raise ConfigError(f"threads = {given['threads']}: give from 1 to {MOST_THREADS}")
    if "checkpoint_every" in given and _read("checkpoint_every", given) < 1:
        raise ConfigError(
            f"{flag_of('checkpoint_every')} {given['checkpoint_every']}: give 1 or more"
        )
    return given


def _read(setting: str, given: Mapping[str, str]) -> Any:
    return read_value(setting, given[setting], flag_of(setting))


def _settings(given: Mapping[str, str], work: Work) -> Experiment:
    """The experiment of a new run."""
    flags = {setting: _read(setting, given) for setting in given}
    file = read_settings(work.config) if work.config else {}
    return experiment_of(combined(file, flags), work.released_config)


def _device(given: Mapping[str, str], settings: Experiment | None) -> str:
    if settings is not None:
        return settings.device
    return given.get("device", "auto")


def _tell(text: str) -> None:
    print(printable(text), file=sys.stderr)


# --- a run that goes on -----------------------------------------------------------------------------------------------
def _going_on(
    config: Mapping, given: Mapping[str, str], work: Work
) -> tuple[dict[str, object], dict[str, Any]]:
    """(knobs to turn, where its data, device and threads are now). Raises ConfigError for what a run can't go on with."""
    from ..core.controls import KNOBS
    from ..experiments.config import Experiment

    kept = Experiment.from_json(config)
    for name in BEGINS:
        asked = given.get(name) or getattr(work, name, None)
        if asked is not None:
            raise ConfigError(
                f"{flag_of(name)} {asked} can't be given where a run goes on; leave it out, or start another run "
                "without --resume"
            )
    # Nothing here changes what a finished step did: only what comes after, or where it is computed.
    turn: dict[str, object] = {}
    here: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for setting in given:
        value = _read(setting, given)
        knob = setting.removeprefix("search.")
        if setting in HERE:
            here[setting] = value
        elif knob in KNOBS and setting in (f"search.{knob}", *SHORT):
            turn[knob] = value
        elif setting in MOVED and kept.data_identity and value is not None:
            moved[setting] = value  # the data are known by what they hold, wherever they lie now
        else:
            _must_be_kept(kept, setting, value, given[setting])
    return turn, {"elsewhere": here, **moved}


def _must_be_kept(kept: Experiment, setting: str, value: object, text: str) -> None:
    """Raises ConfigError for a setting that is another than its run folder's."""
    there = kept_value(kept, setting)
    if _same(setting, as_kept(kept, setting, value), there):
        return
    flag = flag_of(setting)
    raise ConfigError(
        f"{flag} {text}: {flag} is the folder's own setting, which is {_shown(setting, there)}; leave it out, or start "
        "another run without --resume"
    )


def _same(setting: str, asked, kept) -> bool:
    """Whether a setting that was given is the one that the folder has."""
    if asked == kept:
        return True
    if setting in MOVED:
        return Path(str(asked)).resolve() == Path(str(kept)).resolve()
    if setting == "weights":  # a run folder keeps absolute paths
        return {task: str(Path(path).resolve()) for task, path in asked.items()} == kept
    return False


def _shown(setting: str, kept: object) -> str:
    if isinstance(kept, tuple):
        kept = ",".join(map(str, kept))
    if kept in (None, "", {}):
        return "none" if setting == "baselines" else "not set"
    return str(kept)


def _also(progress, folder: Path):
    """The progress bar, and a board that listens beside it."""
    from ..runs.tensorboard import TensorBoardLogger

    board = TensorBoardLogger(folder)

    def listen(*what) -> None:
        board(*what)
        progress(*what)

    return listen


def _communicator(device: str):
    """The processes that torchrun started, or this one alone."""
    from ..core.communicator import SINGLE_PROCESS
    from ..cores import processes

    if processes("WORLD_SIZE") == 1:
        return SINGLE_PROCESS
    from ..runs.distributed import FabricCommunicator

    return FabricCommunicator(device)


# --- what is left behind ----------------------------------------------------------------------------------------------
def finish(run) -> None:
    """Says the last lines that a user reads of a finished run."""
    from ..experiments.pipeline import outcome
    from ..experiments.scores import table

    print(table(run.scores()), f"\n{outcome(run)}", sep="\n")
    drawn = run.path / "fusion_graph.pdf"
    if drawn.is_file():
        print(printable(f"fusion graph: {drawn}"))


@contextlib.contextmanager
def _own_folder(settings) -> Iterator[Path]:
    """A new folder runs/<time>-<tasks> that no other search has; it is gone again where nothing came into it."""
    name = "-".join(settings.tasks or (Path(settings.data).stem,))
    plain = re.sub(r"[^\w.@+-]", "-", f"{time.strftime('%Y%m%d-%H%M%S')}-{name[:80]}")
    number, base = 1, Path("runs")
    while True:
        out = base / (plain if number == 1 else f"{plain}-{number}")
        new = not base.exists()
        try:
            writable(out).parent.mkdir(exist_ok=True)
            out.mkdir()
            break
        except FileExistsError:  # another search began in the same second
            number += 1
        except FileNotFoundError:  # another search took its empty `runs` away
            continue
    try:
        yield out
    finally:
        for folder in (out, base)[: 1 + new]:
            with contextlib.suppress(OSError):  # what holds something stays
                folder.rmdir()
