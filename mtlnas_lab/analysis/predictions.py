"""What a lab's network sees and says, as plain numbers and pictures, for the explorers of `mtlnas_lab.widgets`.

EdgeToggler(look_at(lab), lab.space, start=lab.derive())
PredictionBrowser(browse(lab, no_edges(lab.space), lab.derive()))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.architecture import Architecture
from ..core.evaluate import evaluate
from ..core.lab import Lab
from ..core.supernet import Gates
from ..data.dataset import ImageDataset, picture
from ..data.loader import sequential
from ..errors import ConfigError
from ..tasks import colormap as colours
from ..tasks.metrics import HIGHER_IS_BETTER
from ..tasks.task import IGNORE, Depth, Edges, Normals, Segmentation, Task
from ..values import MOST, told, whole

FAR = {"normals": 45.0, "depth": 1.0}  # errors of so many degrees, metres and more are white


UNLABELLED = np.array([38, 52, 96], np.uint8)  # no grey, so that it is taken for no error


Way = Lab | Architecture | Gates


def look_at(
    lab: Lab, split: str = "test", images: Sequence[int] = (3, 8, 14)
) -> Callable[[Sequence[bool]], dict]:
    """A function of gates, one boolean for each edge: scores on all of `split`, and pictures of these of its images.

    It gives {"scores": {task: {metric: value}}, "pictures": {task: (H, W, 3) uint8}, "caption": text}. The lab's own
    networks are used as they are at that moment.
    """
    pack = _split(lab, split)
    images = [whole("an image", i, -MOST) for i in images]
    if not images or not all(0 <= i < len(pack) for i in images):
        raise ConfigError(
            f"images {told(images)} are not all in {split!r}; name one or more of 0 to {len(pack) - 1}"
        )
    chosen = pack.subset(torch.tensor(images))
    shown, targets = chosen.batch(torch.arange(len(chosen)), lab.tasks)

    def look(gates: Sequence[bool]) -> dict:
        scores = evaluate(lab.supernet, list(gates), lab.tasks, sequential(pack, lab.tasks))
        outputs, pictures = _outputs(lab, list(gates), shown), {}
        for name, task in lab.tasks.items():
            rows = targets[name], _same_size(task, outputs[name], targets[name])
            pictures[name] = _tiled(
                [map(picture, shown), *(map(task.picture, row) for row in rows)]
            )
        return {
            "scores": scores,
            "pictures": pictures,
            "caption": f"From top to bottom: image, truth, prediction. Scores are of all {len(pack)} images of {split!r}.",
        }

    return look


def browse(lab: Lab, before: Way, after: Way | None = None, split: str = "test") -> Predictions:
    """The images of `split` with truth, prediction and error of each task: before, and after where that is given.

    before, after: gates of the lab's supernet, an architecture, or another lab (under what it derives).
    """
    return Predictions(lab, before, after, split)


class Predictions(Sequence):
    """What `PredictionBrowser` goes through; each item is computed when it is asked for."""

    def __init__(self, lab: Lab, before: Way, after: Way | None, split: str):
        self.lab, self.pack = lab, _split(lab, split)
        ways = {"prediction": before} if after is None else {"before": before, "after": after}
        self.ways = {name: _network(lab, way) for name, way in ways.items()}

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, i: int) -> dict:
        if not 0 <= i < len(self):
            raise IndexError(i)
        image, targets = self.pack.batch(torch.tensor([i]), self.lab.tasks)
        outputs = {name: _outputs(lab, gates, image) for name, (lab, gates) in self.ways.items()}
        return {
            "title": f"image {i}",
            "image": picture(image[0]),
            "tasks": {
                name: dict(
                    self._row(task, targets[name], {way: out[name] for way, out in outputs.items()})
                )
                for name, task in self.lab.tasks.items()
            },
        }

    def _row(self, task: Task, target: Tensor, outputs: dict[str, Tensor]) -> Iterator:
        yield "truth", task.picture(target[0])
        first = None
        for way, output in outputs.items():
            meter = task.meter()
            meter.update(output, target)
            metric, value = next(iter(meter.compute().items()))
            gain = 0 if first is None else (value - first) * (1 if HIGHER_IS_BETTER[metric] else -1)
            verdict = ", better" if gain > 1e-9 else ", worse" if gain < -1e-9 else ""
            text = (
                f"{metric.replace('_', ' ')} {value:.3g}{verdict}" if value == value else "no label"
            )
            yield way, (task.picture(_same_size(task, output, target)[0]), text)
            if (error := error_picture(task, output, target)) is not None:
                yield f"error {way}" if len(outputs) > 1 else "error", error
            first = value


def error_picture(task: Task, output: Tensor, target: Tensor) -> np.ndarray | None:
    """Black where the output is right, white where it is wrong (by 45° of normals, by 1 m of depth), blue without a
    label; None for tasks with one answer for an image. output, target: a batch of one."""
    output = _same_size(task, output, target)
    if isinstance(task, Segmentation):
        wrong, known = output.argmax(1) != target, target != IGNORE
    elif isinstance(task, Normals):
        cosine, known = F.cosine_similarity(output, target, dim=1), (target != 0).any(1)
        wrong = cosine.clamp(-1, 1).acos().rad2deg() / FAR["normals"]
    elif isinstance(task, Depth):
        wrong, known = ((output - target).abs() / FAR["depth"])[:, 0], (target > 0)[:, 0]
    elif isinstance(task, Edges):
        wrong, known = (output.sigmoid() - target.float()).abs()[:, 0], (target != IGNORE)[:, 0]
    else:
        return None
    shown = colours.grey(wrong[0].float().clamp(0, 1).cpu().numpy())
    return np.where(known[0].cpu().numpy()[..., None], shown, UNLABELLED)


def _split(lab: Lab, split: str) -> ImageDataset:
    if split not in lab.data:
        raise ConfigError(f"this lab has no data {split!r}; it has {', '.join(lab.data) or 'none'}")
    return lab.data[split]


def _network(lab: Lab, way: Way) -> tuple[Lab, Gates]:
    if isinstance(way, Lab):
        if list(way.tasks) != list(lab.tasks):
            raise ConfigError(
                f"the other lab has tasks {list(way.tasks)}, not {list(lab.tasks)}; give one of the same"
            )
        return way, way.derive().kept
    way = way.kept if isinstance(way, Architecture) else way
    gates = way if isinstance(way, Tensor) else [bool(gate) for gate in way]
    if len(gates) != len(lab.space):
        raise ConfigError(
            f"{len(gates)} gates for {len(lab.space)} edges; give one for each of lab.space.edges"
        )
    return lab, gates


@torch.no_grad()
def _outputs(lab: Lab, gates: Gates, image: Tensor) -> dict[str, Tensor]:
    training = lab.supernet.training
    lab.supernet.eval()
    outputs = lab.supernet(image.to(lab.device), gates)
    lab.supernet.train(training)
    return {name: output.to(image.device) for name, output in outputs.items()}


def _same_size(task: Task, batch: Tensor, target: Tensor) -> Tensor:
    if not task.dense or batch.shape[-2:] == target.shape[-2:]:
        return batch
    return F.interpolate(batch, target.shape[-2:], mode="bilinear", align_corners=True)


def _tiled(rows: Iterable[Iterable[np.ndarray]], gap: int = 2) -> np.ndarray:
    """Pictures in rows and columns of one size, white between them."""
    rows = [list(row) for row in rows]
    high, wide = (max(tile.shape[axis] for row in rows for tile in row) for axis in (0, 1))
    sheet = np.full(
        ((high + gap) * len(rows) - gap, (wide + gap) * len(rows[0]) - gap, 3), 255, np.uint8
    )
    for i, row in enumerate(rows):
        for k, tile in enumerate(row):
            y, x = i * (high + gap), k * (wide + gap)
            sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet
