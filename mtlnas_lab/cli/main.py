"""`mtlnas-lab …`: the main job and what belongs to it, from a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial, wraps
from inspect import cleandoc, signature
from pathlib import Path

from tyro.conf import Positional

from ..errors import ConfigError, MTLNASError
from ..one_line import USERS, mistake, printable
from .bench import BENCH
from .course import course
from .data import DATA
from .figure import explain, figure
from .grade import grade
from .hints import flags_of_hints
from .places import writable_file
from .progress import ENDINGS, Stopped, handling, stop_at_once
from .search import FLAGS, flag_of, search
from .settings import nearest
from .study import report, study

LARGEST = 4096  # pixels of an image's side that a network is traced with


def evaluate(
    run: Positional[Path],
    eval_data: str | None = None,
    device: str = "auto",
    data: str | None = None,
) -> None:
    """Score a searched network again: soft gates, hard gates, hard gates with recalibrated batch norm.

        mtlnas-lab evaluate runs/demo
        mtlnas-lab evaluate runs/demo --eval-data test.npz     # on other images
        mtlnas-lab evaluate released.pth --eval-data test.npz

    Args:
        run: A run folder, or a checkpoint (.pth) of the released implementation (then --eval-data must name a pack).
        eval_data: Another pack to score on.
        device: auto, cpu, cuda or mps.
        data: Where the run's data lie now, if they were moved; other data are refused.
    """
    from ..experiments import pipeline
    from ..experiments.scores import final_scores, table

    if run.suffix == ".pth":
        from ..models import released

        print(table(released.scores(released.load_checkpoint(run), eval_data)))
        return
    lab, architecture = pipeline.reopen(run, eval_data, device, data)
    print(table(final_scores(lab, architecture)))


def replay(run: Positional[Path], html: Path | None = None) -> None:
    """Write a recorded run as one HTML page, to be watched without a kernel and without a network.

        mtlnas-lab replay runs/demo --html run.html

    Args:
        run: A run folder.
        html: The file to write; otherwise replay.html in the run folder.
    """
    from ..runs.run import Run
    from ..widgets import replay_html

    found = Run.open(run)
    html = writable_file(html or run / "replay.html")
    html.write_text(replay_html(found, lab=_lab_of(run)), encoding="utf-8")
    print(printable(html))


def playground(html: Positional[Path] = Path("playground.html")) -> None:
    """Write one HTML page in which a browser searches: two small networks, no kernel, no network.

        mtlnas-lab playground
        mtlnas-lab playground page.html

    Args:
        html: The file to write.
    """
    from ..widgets import playground_html

    writable_file(html).write_text(playground_html(), encoding="utf-8")
    print(printable(html))


def _lab_of(run: Path):
    """The lab of a run, whose image a page shows; None where the run's data are not there."""
    from ..experiments import pipeline

    try:
        lab, _ = pipeline.as_set_up(run, device="cpu", tell=lambda _: None)
    except (MTLNASError, OSError):
        return None
    return lab


def doctor() -> None:
    """Check versions, device, widgets, torchvision, write access; say what to do.

        mtlnas-lab doctor

    Ends with exit code 1 where something must be mended.
    """
    from .doctor import checks, report

    found = checks()
    print(report(found))
    if not all(check.ok for check in found):
        raise SystemExit(1)


def export(
    run: Positional[Path],
    out: Path | None = None,
    height: int = 64,
    width: int = 96,
    onnx: bool = False,
    torch: bool = False,
    data: str | None = None,
    alone: str = "",
) -> None:
    """Write the searched network as ONNX, for any batch and image size: closed edges gone, batch norm folded.

    It has one input, `image`; where networks see different ones, an input for each, which is named.

        mtlnas-lab export runs/demo --onnx
        mtlnas-lab export runs/demo --torch --out network.pt2
        mtlnas-lab export runs/aux --alone segmentation   # of `search --primary segmentation`: that network and no other

    Args:
        run: The run folder.
        out: The file; otherwise network.onnx (or network.pt2) in the run folder.
        height: Pixels of the image it is traced with.
        width: Pixels of the image it is traced with.
        onnx: Write ONNX beside --torch; by itself it is what is written anyway.
        torch: Write a program of torch.export instead, which needs PyTorch and not this package.
        data: Where the run's data lie now, if they were moved; other data are refused.
        alone: The task whose network is written by itself; no open edge may lead into it.
    """
    from ..core.architecture import alone as by_itself
    from ..experiments.pipeline import reopen
    from ..models import onnx as work
    from ..models.pruned import prune
    from ..runs.run import Run

    if onnx and torch and out:
        raise ConfigError(
            f"--onnx and --torch are two files, --out {out} names one; leave --out away, or give one of them"
        )
    for name, pixels in (("--height", height), ("--width", width)):
        if not 1 <= pixels <= LARGEST:
            raise ConfigError(f"{name} {pixels}: give from 1 to {LARGEST} pixels")
    # Where it cannot be written is said before minutes of work.
    Run.open(run)
    files = []
    if onnx or not torch:
        files.append((work.to_onnx, writable_file(out or run / "network.onnx")))
    if torch:
        files.append((work.to_torch, writable_file(out or run / "network.pt2")))
    lab, architecture = reopen(run, device="cpu", data=data)
    if alone:
        architecture = by_itself(architecture, alone)
    network = prune(lab.supernet, architecture)
    inputs = work.inputs_of(lab)
    if alone:
        inputs = {alone: inputs[alone]}
    for write, file in files:
        print(printable(write(network, file, (height, width), inputs)))
    for name in dict.fromkeys(inputs.values()):
        readers = [task for task, own in inputs.items() if own == name]
        if len(readers) < len(inputs) or name != work.IMAGE:
            print(printable(f"input {name}: what {' and '.join(readers)} sees"))


def progress(reset: bool = False) -> None:
    """Which exercises of the notebooks are solved.

        mtlnas-lab progress
        mtlnas-lab progress --reset

    Args:
        reset: Forget them all, and the guesses.
    """
    from ..course import progress as kept
    from ..course.checking import load

    if reset:
        kept.reset()
    print(kept.summary(load()))


def data() -> None:
    """Look at packs and make them: show, check, make-rooms, import-nyuv2.

    mtlnas-lab data show pack.npz
    mtlnas-lab data check FOLDER
    """
    _chosen(["--help"], DATA, "mtlnas-lab data")


def bench() -> None:
    """The table of all small fusion graphs: show, query, make, check.

    mtlnas-lab bench show
    mtlnas-lab bench query segmentation-normals 01100000
    """
    _chosen(["--help"], BENCH, "mtlnas-lab bench")


GROUPS = {"data": (data, DATA), "bench": (bench, BENCH)}  # commands of several commands

COMMANDS = {
    "search": search,
    "evaluate": evaluate,
    "figure": figure,
    "explain": explain,
    "replay": replay,
    "playground": playground,
    "export": export,
    "study": study,
    "report": report,
    "data": data,
    "bench": bench,
    "course": course,
    "grade": grade,
    "progress": progress,
    "doctor": doctor,
}


# --- from arguments to the command ------------------------------------------------------------------------------------
def _chosen(arguments: Sequence[str], commands: Mapping[str, Callable], name: str) -> Callable:
    """The command that the arguments name, with its settings, still to be called. Raises ConfigError for what it cannot be."""
    first = arguments[0] if arguments else ""
    rest = list(arguments[1:])
    if first in GROUPS and commands is COMMANDS and rest:
        _, inside = GROUPS[first]
        return _chosen(rest, inside, f"{name} {first}")
    said = io.StringIO()
    asks_for_help = not {"-h", "--help"}.isdisjoint(arguments)
    lines = contextlib.nullcontext() if asks_for_help else _unwrapped()
    try:
        with contextlib.redirect_stderr(said), lines:
            # Only the command that is named is looked at: the flags of all take longer to make than most work.
            if first in commands:
                return _parsed(commands[first], f"{name} {first}", rest)
            return _listed(commands, name, arguments)
    except SystemExit as end:
        if not end.code:
            raise
        flags: Collection[str] = ()
        if first in commands:
            flags = _flags(commands[first])
        raise ConfigError(_said(said.getvalue(), flags)) from None


def _parsed(command: Callable, name: str, arguments: Sequence[str]) -> Callable:
    """The command with the settings that tyro reads from the arguments."""
    import tyro

    return tyro.cli(_later(command), prog=name, args=arguments)


def _listed(commands: Mapping[str, Callable], name: str, arguments: Sequence[str]) -> Callable:
    """Help about all commands, or what tyro says to a name that is none of them: their own flags are not looked at."""
    from tyro.extras import subcommand_cli_from_dict

    about = main.__doc__
    for group, inside in GROUPS.values():
        if commands is inside:
            about = group.__doc__
    named = {key: _first_paragraph(command) for key, command in commands.items()}
    return subcommand_cli_from_dict(named, prog=name, args=list(arguments), description=about)


def _first_paragraph(command: Callable) -> Callable:
    """A command without flags, for a list of commands."""

    def named() -> None:
        pass

    named.__doc__ = cleandoc(command.__doc__).partition("\n\n")[0]
    return named


def _flags(command: Callable) -> Collection[str]:
    """The names of a command's flags."""
    if command is search:
        return FLAGS
    return signature(command).parameters


def _later(command: Callable) -> Callable:
    """The command with the same arguments and help, which is not done yet: the parser's errors are then the parser's."""

    @wraps(command)
    def keep(*arguments, **settings) -> Callable:
        return partial(command, *arguments, **settings)

    return keep


@contextlib.contextmanager
def _unwrapped():
    """Lines as long as they are: a path that is broken in two is not the path that was given."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _said(text: str, flags: Collection[str]) -> str:
    """What tyro says in a box of several parts, as one line: the mistake, what may have been meant, where to read on.

    Args:
        text: The box.
        flags: Those that the command has, as in warm_up for --warm-up.
    """
    parts: list[list[str]] = [[]]
    for line in text.splitlines()[1:]:  # the first one is a title; rules part the others
        line = line.strip(" │|")
        if re.fullmatch(r"[─╭╮╰╯+-]{2,}", line):
            parts.append([])
        elif line:
            parts[-1].append(line)
    parts = [part for part in parts if part]
    said = "not understood"
    if parts:
        said = " ".join(parts[0]).rstrip(".")
    unknown = re.match(r"Unrecognized options: --([\w.-]+)", said)
    if unknown:
        near = nearest(unknown[1].replace("-", "_"), flags)
        if near:
            said += f"; perhaps {flag_of(near)} was meant"
    helped = re.search(r"mtlnas-lab[\w -]* --help", text)
    command = helped[0] if helped else "mtlnas-lab --help"
    return f"{said}; {command} says more"


def main(arguments: list[str] | None = None) -> None:
    """Neural architecture search for multi-task learning, to understand and to use (unofficial MTL-NAS)."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # before torch: busy neighbours then cost little
    if arguments is None:
        arguments = sys.argv[1:]
    _make_streams_safe()
    try:
        with handling(ENDINGS, stop_at_once):
            command = _chosen(arguments, COMMANDS, "mtlnas-lab")
            command()
            sys.stdout.flush()
    except BrokenPipeError:  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as end:
        notes = getattr(end, "__notes__", ())
        _tell(end, "; ".join(["stopped", *map(printable, notes)]))
        code = 130  # Ctrl-C, as shells know it
        if isinstance(end, Stopped):
            code = end.code
        raise SystemExit(code) from None
    except USERS as error:  # a mistake is one line and no traceback
        _tell(error, mistake(error) + flags_of_hints(error))
        raise SystemExit(2) from None
    except Exception as error:
        _tell(error, mistake(error))
        raise SystemExit(1) from None


def _make_streams_safe() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller; progress bars write without asking
            stream = io.StringIO()
            setattr(sys, name, stream)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a letter that a terminal lacks ends no search


def _tell(error: BaseException, line: str) -> None:
    if os.environ.get("MTLNAS_LAB_TRACEBACK"):
        traceback.print_exception(error)
    with contextlib.suppress(OSError):  # nobody listens any more
        print(f"mtlnas-lab: {line}", file=sys.stderr)
