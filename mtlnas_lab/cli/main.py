"""`mtlnas-lab …`: the main job and what belongs to it, from a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path

from tyro.conf import Positional

from ..errors import ConfigError
from ..one_line import USERS, mistake, printable
from .data import DATA
from .figure import explain, figure
from .places import writable_file
from .progress import ENDINGS, Stopped, handling, stop_at_once, table
from .search import search
from .study import report, study

LARGEST = 4096  # pixels of an image's side that a network is traced with


def evaluate(
    run: Positional[Path],
    eval_data: str | None = None,
    device: str = "auto",
    data: str | None = None,
) -> None:
    """Score a searched network again: soft gates, hard gates, hard gates with recalibrated batch norm.

    Args:
        run: A run folder, or a checkpoint (.pth) of the released implementation (then --eval-data must name a pack).
        eval_data: Another pack to score on.
        device: auto, cpu, cuda or mps.
        data: Where the run's data lie now, if they were moved; other data are refused.
    """
    from ..experiments import pipeline, scores

    if run.suffix == ".pth":
        from ..models.released import load_checkpoint, scores

        print(table(scores(load_checkpoint(run), eval_data)))
        return
    lab, architecture = pipeline.reopen(run, eval_data, device, data)
    print(table(scores.final_scores(lab, architecture)))


def replay(run: Positional[Path], html: Path | None = None) -> None:
    """Write a recorded run as one HTML page, to be watched without a kernel and without a network.

    Args:
        run: A run folder.
        html: The file to write; otherwise replay.html in the run folder.
    """
    from ..runs.run import Run
    from ..widgets import replay_html

    found = Run.open(run)
    html = writable_file(html or run / "replay.html")
    html.write_text(replay_html(found), encoding="utf-8")
    print(printable(html))


def doctor() -> None:
    """Check versions, device, widgets, torchvision, write access; say what to do."""
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
) -> None:
    """Write the searched network as ONNX, for any batch and image size: closed edges gone, batch norm folded.

    Args:
        run: The run folder.
        out: The file; otherwise network.onnx (or network.pt2) in the run folder.
        height: Pixels of the image it is traced with.
        width: Pixels of the image it is traced with.
        onnx: Write ONNX beside --torch; by itself it is what is written anyway.
        torch: Write a program of torch.export instead, which needs PyTorch and not this package.
        data: Where the run's data lie now, if they were moved; other data are refused.
    """
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
    asked = [(work.to_onnx, "network.onnx")] * (onnx or not torch)
    asked += [(work.to_torch, "network.pt2")] * torch
    Run.open(run)
    files = [(write, writable_file(out or run / name)) for write, name in asked]
    lab, architecture = reopen(run, device="cpu", data=data)
    network = prune(lab.supernet, architecture)
    for write, file in files:
        print(printable(write(network, file, (height, width))))


def progress(reset: bool = False) -> None:
    """Which exercises of the notebooks are solved.

    Args:
        reset: Forget them all, and the guesses.
    """
    from ..course import progress as kept
    from ..course.checking import load

    if reset:
        kept.reset()
    print(kept.summary(load()))


def data() -> None:
    """Look at packs and make them: show, check, make-rooms, import-nyuv2."""
    _chosen(["--help"], DATA, "mtlnas-lab data")


COMMANDS = {
    "search": search,
    "evaluate": evaluate,
    "figure": figure,
    "explain": explain,
    "replay": replay,
    "export": export,
    "study": study,
    "report": report,
    "data": data,
    "progress": progress,
    "doctor": doctor,
}


# --- from arguments to the command ------------------------------------------------------------------------------------
def _chosen(arguments: Sequence[str], commands: Mapping[str, Callable], name: str) -> Callable:
    """The command that the arguments name, with its settings, still to be called. Raises ConfigError for what it cannot be."""
    from tyro.extras import subcommand_cli_from_dict

    if arguments[:1] == ["data"] and commands is COMMANDS and len(arguments) > 1:
        return _chosen(arguments[1:], DATA, f"{name} data")
    told, later = io.StringIO(), {key: _later(command) for key, command in commands.items()}
    helps = {"-h", "--help"} & {*arguments}
    try:
        with contextlib.redirect_stderr(told), contextlib.nullcontext() if helps else _unwrapped():
            call = subcommand_cli_from_dict(
                later, prog=name, args=list(arguments), description=main.__doc__
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise ConfigError(_said(told.getvalue())) from None
    if "said" in call.keywords:
        call.keywords["said"] = _flags(arguments)
    return call


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


def _said(text: str) -> str:
    """What tyro says in a box of several parts, as one line: the mistake, what may have been meant, where to read on."""
    lines = [line.strip(" │|") for line in text.splitlines() if line.strip(" │|")]
    parts: list[list[str]] = [[]]
    for line in lines[1:]:  # the first one is a title
        if re.fullmatch(r"[─╭╮╰╯+-]{2,}", line):
            parts.append([])
        else:
            parts[-1].append(line)
    mistaken, *others = [part for part in parts if part] or [["not understood"]]
    meant = [part for part in others if part[0].startswith("Perhaps you meant")]
    flags = [line.split()[0] for part in meant for line in part if line.startswith("--")]
    near = f"; perhaps {', '.join(dict.fromkeys(flags))} was meant" if flags else ""
    helped = re.search(r"mtlnas-lab[\w -]* --help", text)
    said = " ".join(mistaken).rstrip(".")
    return f"{said}{near}; {helped[0] if helped else 'mtlnas-lab --help'} says more"


def _flags(arguments: Sequence[str]) -> tuple[str, ...]:
    """The names of the settings that were given, as in entropy_weight, whether or not their value is the default."""
    found = [re.match(r"--(?:no-)?([\w-]+)", argument) for argument in arguments]
    return tuple(match[1].replace("-", "_") for match in found if match)


def main(arguments: list[str] | None = None) -> None:
    """Neural architecture search for multi-task learning, to understand and to use (unofficial MTL-NAS)."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # before torch: busy neighbours then cost little
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller; progress bars write without asking
            setattr(sys, name, io.StringIO())
        getattr(getattr(sys, name), "reconfigure", lambda **_: None)(errors="replace")
    try:
        with handling(ENDINGS, stop_at_once):
            _chosen(sys.argv[1:] if arguments is None else arguments, COMMANDS, "mtlnas-lab")()
            sys.stdout.flush()
    except BrokenPipeError:  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as end:
        _tell(end, "; ".join(["stopped", *map(printable, getattr(end, "__notes__", ()))]))
        raise SystemExit(end.code if isinstance(end, Stopped) else 130) from None
    except Exception as error:  # a mistake is one line and no traceback
        _tell(error, mistake(error))
        raise SystemExit(2 if isinstance(error, USERS) else 1) from None


def _tell(error: BaseException, line: str) -> None:
    if os.environ.get("MTLNAS_LAB_TRACEBACK"):
        traceback.print_exception(error)
    with contextlib.suppress(OSError):  # nobody listens any more
        print(f"mtlnas-lab: {line}", file=sys.stderr)
