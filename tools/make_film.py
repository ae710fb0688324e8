"""Makes README's moving picture, docs/film.gif: a search in which segmentation's eyes are covered and uncovered again.

python tools/make_film.py [--run FOLDER] [--out FILE]

The search is kept in a run folder. Stopped, the same command goes on where it was; finished, the film alone is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image, ImageColor

from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.events import Step
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.core.search import Search
from mtlnas_lab.data.dataset import MEAN, STD
from mtlnas_lab.experiments import presets
from mtlnas_lab.runs.event_log import EventLog
from mtlnas_lab.runs.recorder import record
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.viz import fusion_graph, plot_fusion_graph, provenance
from mtlnas_lab.viz.graph.animation import gif
from mtlnas_lab.viz.seeing import along, mark
from mtlnas_lab.viz.style import MM, style

SEED = 4
COVERED = "segmentation"
VISIBILITY = {0: 1.0, 60: 0.0, 160: 1.0}  # {after so many steps: how much its network sees}
# λ waits until the arrows have turned; then it decides the edges.
CONFIG = SearchConfig(
    steps=300, seed=SEED, alpha_lr=0.03, entropy_weight=Schedule(10.0, 0.0, (0.7, 1.0))
)
# The steps that are shown: slowly, while the arrows turn.
SHOWN = [*range(6, 60, 6), *range(60, 76), *range(78, 301, 6)]
MS = 170  # how long a picture is shown
LAST_MS = 3000
PIXELS = 900
LOOK = style("web-light")
HEIGHT = 138  # mm
LEFT = 0.11  # of the width: the room for what the networks see
ROOM = 18  # of the test images, what the networks are shown
SMOOTH = 15  # steps that a loss is averaged over


# --- the search -------------------------------------------------------------------------------------------------------
def visibility_after(step: int) -> float:
    """How much the covered network sees after so many steps."""
    return [share for begin, share in VISIBILITY.items() if begin <= step][-1]


def search(lab: Lab, path: Path) -> Run:
    """The recorded search in that lab: made, gone on with, or there already."""
    found = Search(lab, CONFIG)
    turn = None
    if (path / "events.jsonl").exists():
        folder = RunWriter.resume(path)
        step = max([0, *(manifest.step for manifest in folder.checkpoints())])
        turn = {"visibility": {COVERED: visibility_after(step)}}  # a turn may have been lost
    else:
        folder = RunWriter.create(path, CONFIG.to_json(), lab.space)
    with folder:
        for event in record(found, folder, 20, turn=turn):
            if isinstance(event, Step) and event.step in VISIBILITY:
                found.turn(visibility={COVERED: VISIBILITY[event.step]})
    return Run.open(path)


# --- the film ---------------------------------------------------------------------------------------------------------
def pictures(log: EventLog, lab: Lab) -> Iterator[Image.Image]:
    """A Pillow image of each step that is shown."""
    rows = [step - 1 for step in SHOWN]
    steps = [log.steps[row] for row in rows]
    for row, step, eyes in zip(rows, steps, along(log, SHOWN)):
        graph = fusion_graph(log.space, log.alpha[row])
        mark(graph, eyes)
        lab.visibility = {task: sight.share for task, sight in eyes.items()}
        with LOOK.context():
            figure = LOOK.figure(HEIGHT)
            _draw_graph(figure, graph, f"After {step.step} of {CONFIG.steps} steps")
            _draw_seen(figure, lab)
            _draw_edges(figure.add_axes(_place(0)), log, row)
            _draw_entropy(figure.add_axes(_place(1)), log, row)
            _draw_losses(figure.add_axes(_place(2)), log, row)
        figure.set_dpi(PIXELS * MM / LOOK.width)
        figure.canvas.draw()
        yield Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def _place(column: int) -> tuple[float, float, float, float]:
    """Where a curve stands: left, bottom, width, height, as shares of the page."""
    return 0.055 + 0.33 * column, 0.085, 0.26, 0.24


def _draw_graph(figure, graph, title: str) -> None:
    ax = figure.add_axes((LEFT, 0.42, 1 - LEFT, 0.58))
    plot_fusion_graph(graph, ax, style=LOOK, title=title, colorbar=False)


def _draw_seen(figure, lab: Lab) -> None:
    """One room of the test images, as each network sees it now; always the same noise."""
    image, targets = lab.data["test"].batch(torch.tensor([ROOM]), lab.targets)
    inputs = lab.see(image, targets, torch.Generator().manual_seed(0))
    for task, bottom in zip(lab.tasks, (0.773, 0.477)):
        shown = inputs if isinstance(inputs, torch.Tensor) else inputs[task]
        colours = shown[0] * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
        ax = figure.add_axes((0.012, bottom, 0.095, 0.175))
        ax.imshow(colours.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
        ax.set_axis_off()


def _curve(ax, title: str, top: float) -> None:
    """An empty picture over the steps; where the eyes are covered it is shaded."""
    first, last = (step for step in VISIBILITY if step)
    ax.axvspan(first, last, color=LOOK.soft, alpha=0.18, linewidth=0, zorder=0)
    ax.set(xlim=(0, CONFIG.steps), ylim=(0, top), xlabel="search step")
    ax.set_title(title)
    middle = ((first + last) / 2, 0.97 * top)
    ax.text(*middle, "eyes covered", ha="center", va="top", color=LOOK.ink, size=LOOK.small)


def _draw_edges(ax, log: EventLog, row: int) -> None:
    into = np.array([edge.target.task == COVERED for edge in log.space.edges])
    opened = log.alpha[: row + 1] > 0
    steps = log.column("step")[: row + 1]
    _curve(ax, f"Open edges, of {into.sum()} each", 30)
    ax.plot(steps, opened[:, into].sum(1), color=LOOK.ink, label=f"into {COVERED}")
    ax.plot(steps, opened[:, ~into].sum(1), color=LOOK.ink, ls="--", label=f"out of {COVERED}")
    ax.legend(loc="center right")


def _draw_entropy(ax, log: EventLog, row: int) -> None:
    steps = log.column("step")[: row + 1]
    weight = log.column("entropy_weight") / log.column("entropy_weight").max()
    _curve(ax, "Entropy of the gates, and its weight", 1.3)
    entropy = log.column("entropy_fraction")[: row + 1]
    ax.plot(steps, entropy, color=LOOK.ramp(0.62), label="entropy / ln 2")
    ax.plot(steps, weight[: row + 1], color=LOOK.ink, ls="--", label="λ / 10")
    ax.legend(loc="center left", bbox_to_anchor=(0, 0.45))


def _draw_losses(ax, log: EventLog, row: int) -> None:
    colours = LOOK.colors(log.space.tasks)
    steps = log.column("step")[SMOOTH - 1 : row + 1]
    _curve(ax, f"Losses, mean over {SMOOTH} steps", 1.75)
    for task, loss in log.loss.items():
        means = np.convolve(loss, np.ones(SMOOTH) / SMOOTH, "valid")[: len(steps)]
        ax.plot(steps, means, color=colours[task], label=task)
    ax.legend(loc="center right")


def _palette(picture: Image.Image) -> Image.Image:
    """The picture in 250 colours; those close to the paper's are the paper's, or a frame would be seen around the film."""
    found = picture.quantize(250)
    colours = np.array(found.getpalette()).reshape(-1, 3)
    paper = ImageColor.getrgb(LOOK.paper)
    colours[np.abs(colours - paper).max(1) < 8] = paper
    found.putpalette(colours.flatten().tolist())
    return found


def main(run: Path = Path("runs/film"), out: Path = Path("docs/film.gif")) -> None:
    """Search, make the film of it, and say what happened.

    Args:
        run: The run folder of the search.
        out: The film.
    """
    torch.set_num_threads(1)  # the same numbers on any machine of this kind
    lab = presets.tiny(seed=SEED)
    found = search(lab, run)
    log = found.log
    into = np.array([edge.target.task == COVERED for edge in log.space.edges])
    for step in (60, 70, 160, 210, 300):
        opened = log.alpha[step - 1] > 0
        print(f"after step {step}: {opened[into].sum()} edges into {COVERED}, ", end="")
        print(f"{opened[~into].sum()} out of it")
    shown = list(pictures(log, lab))
    palette = _palette(shown[SHOWN.index(75)])  # with the colours of the noise and of the room
    times = [MS] * (len(shown) - 1) + [LAST_MS]
    facts = json.dumps(provenance(found, made_by="tools/make_film.py"))
    out.write_bytes(gif(shown, times, facts, palette))
    print(f"{out}: {len(shown)} pictures, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    tyro.cli(main)
