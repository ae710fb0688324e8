"""`mtlnas-lab …`: the main job and what belongs to it, from a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tyro.conf import Positional

from .commands.data import DATA
from .commands.figures import explain, figure
from .commands.search import search
from .commands.studies import report, study
from .console import table
from .errors import ConfigError, LabError


def evaluate(run: Positional[Path], eval_data: str | None = None, device: str = "auto") -> None:
    """Score a searched network again: soft gates, hard gates, hard gates with recalibrated batch norm.

    Args:
        run: A run folder, or a checkpoint (.pth) of the released implementation (then --eval-data must name a pack).
        eval_data: Another pack to score on.
        device: auto, cpu, cuda or mps.
    """
    from . import experiment as work

    if run.suffix == ".pth":
        from .official import load_checkpoint, scores

        print(table(scores(load_checkpoint(run), eval_data)))
        return
    lab, architecture = work.reopen(run, eval_data, device)
    print(table(work.final_scores(lab, architecture)))


def replay(run: Positional[Path], html: Path | None = None) -> None:
    """Write a recorded run as one HTML page, to be watched without a kernel and without a network.

    Args:
        run: A run folder.
        html: The file to write; otherwise replay.html in the run folder.
    """
    from .runs import Run
    from .widgets import replay_html

    html = html or run / "replay.html"
    html.write_text(replay_html(Run.open(run)), encoding="utf-8")
    print(html)


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
) -> None:
    """Write the searched network as ONNX, for any batch and image size: closed edges gone, batch norm folded.

    Args:
        run: The run folder.
        out: The file; otherwise network.onnx (or network.pt2) in the run folder.
        height: Pixels of the image it is traced with.
        width: Pixels of the image it is traced with.
        onnx: Write ONNX beside --torch; by itself it is what is written anyway.
        torch: Write a program of torch.export instead, which needs PyTorch and not this package.
    """
    from . import export as work
    from .architecture import prune
    from .experiment import reopen

    if onnx and torch and out:
        raise ConfigError(
            f"--onnx and --torch are two files, --out {out} names one; leave --out away, or give one of them"
        )
    lab, architecture = reopen(run, device="cpu")
    network = prune(lab.supernet, architecture)
    for write, name in [(work.to_onnx, "network.onnx")] * (onnx or not torch) + [
        (work.to_torch, "network.pt2")
    ] * torch:
        print(write(network, out or run / name, (height, width)))


def progress(reset: bool = False) -> None:
    """Which exercises of the notebooks are solved.

    Args:
        reset: Forget them all, and the guesses.
    """
    from .exercises import progress as kept

    if reset:
        kept.reset()
    print(kept.summary())


def data() -> None:
    """Look at packs and make them: show, check, make-rooms, make-backbones, make-runs, import-nyuv2."""
    raise SystemExit(_call(["--help"], DATA, "mtlnas-lab data"))


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


def _call(arguments: list[str], commands: dict, name: str) -> None:
    from tyro.extras import subcommand_cli_from_dict

    if arguments[:1] == ["data"] and commands is COMMANDS and len(arguments) > 1:
        return _call(arguments[1:], DATA, f"{name} data")
    subcommand_cli_from_dict(commands, prog=name, args=arguments, description=main.__doc__)


def main(arguments: list[str] | None = None) -> None:
    """Neural architecture search for multi-task learning, to understand and to use (unofficial MTL-NAS)."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # before torch: busy neighbours then cost little
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    try:
        _call(sys.argv[1:] if arguments is None else arguments, COMMANDS, "mtlnas-lab")
    except LabError as error:  # a user's mistake is one line and no traceback
        print(f"mtlnas-lab: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(
            "\nmtlnas-lab: stopped; a search goes on with --resume and the same --out",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
    except BrokenPipeError:  # … | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
