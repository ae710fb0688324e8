"""What a lab's network sees and says, as plain numbers and pictures, for the explorers of `mtlnas_lab.widgets`.

EdgeToggler(look_at(lab), lab.space, start=lab.derive())
PredictionBrowser(browse(lab, no_edges(lab.space), lab.derive()))
Blindfold(look_into(lab, "normals:3 -> segmentation:3"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.architecture import Architecture
from ..core.evaluate import evaluate, evaluating
from ..core.lab import Lab
from ..core.space import Edge, Node
from ..core.supernet import Gates, each_its_own
from ..data.dataset import ImageDataset, picture
from ..data.loader import sequential
from ..data.views import Inputs
from ..errors import ConfigError
from ..tasks import colormap
from ..tasks.task import IGNORE, Depth, Edges, Normals, Segmentation, Task
from ..values import MOST, told, whole
from .statistics import direction

FAR = {"normals": 45.0, "depth": 1.0}  # errors of so many degrees, metres and more are white
UNLABELLED = np.array([38, 52, 96], np.uint8)  # a blue: errors are greys, and this is not an error

# how a network is chosen: another lab's, an architecture of this one, or gates of this one
Way = Lab | Architecture | Gates


def look_at(
    lab: Lab, split: str = "test", images: Sequence[int] = (3, 8, 14)
) -> Callable[[Sequence[bool]], dict]:
    """A function of gates that scores the lab's network under them and draws what it sees.

    Args:
        lab: Its networks are used as they are when the function is called.
        split: The images that are scored, all of them.
        images: Numbers of those that are drawn.

    Returns:
        look(gates), gates one boolean for each edge. It gives
        {"scores": {task: {metric: value}}, "pictures": {task: (H, W, 3) uint8}, "caption": text}.

    Raises:
        ConfigError: The lab has no such split, or that has no such image.
    """
    pack = _split(lab, split)
    images = [whole("an image", i, -MOST) for i in images]
    if not images or not all(0 <= i < len(pack) for i in images):
        raise ConfigError(
            f"images {told(images)} are not all in {split!r}; name one or more of 0 to {len(pack) - 1}"
        )
    chosen = pack.subset(torch.tensor(images))
    image, targets = chosen.batch(torch.arange(len(chosen)), lab.targets)

    def look(gates: Sequence[bool]) -> dict:
        batches = lab.seen(sequential(pack, lab.targets))
        scores = evaluate(lab.supernet, list(gates), lab.tasks, batches)
        seen = _seen(lab, image, targets)
        images = each_its_own(seen, tuple(lab.tasks))
        outputs = _outputs(lab, list(gates), seen)
        pictures = {}
        for name, task in lab.tasks.items():
            predicted = _same_size(task, outputs[name], targets[name])
            pictures[name] = _tiled(
                [
                    list(map(picture, images[name])),
                    list(map(task.picture, targets[name])),
                    list(map(task.picture, predicted)),
                ]
            )
        first = "image" if isinstance(seen, Tensor) else "what its network sees"
        return {
            "scores": scores,
            "pictures": pictures,
            "caption": f"From top to bottom: {first}, truth, prediction. Scores are of all {len(pack)} images of {split!r}.",
        }

    return look


def look_into(
    lab: Lab, edge: str | Edge, split: str = "test", image: int = 3
) -> Callable[[float], dict]:
    """A function of a visibility that shows what one edge brings to a network whose eyes are so far covered.

    All other edges are shut.

    Args:
        lab: Its networks are used as they are when the function is called.
        edge: As in "normals:3 -> segmentation:3"; the network that it enters is the one that is covered.
        split: Where the image is from.
        image: Its number.

    Returns:
        look(visibility), from 0 (noise alone) to 1. It gives {"task": whose eyes are covered, "pictures": {title: ((H, W, 3)
        uint8, text)}, "caption": text}: what the network sees, and three maps of features at the node that the edge enters.

    Raises:
        ConfigError: The lab has no such split, or that has no such image.
        SpaceError: There is no such edge.
    """
    number = lab.space.index(edge)
    edge = lab.space.edges[number]
    task = edge.target.task
    pack = _split(lab, split)
    if not 0 <= whole("an image", image, -MOST) < len(pack):
        raise ConfigError(f"image {image} is not in {split!r}; name one of 0 to {len(pack) - 1}")
    shown, targets = pack.batch(torch.tensor([image]), lab.targets)
    gates = [i == number for i in range(len(lab.space))]

    def look(visibility: float) -> dict:
        seeing = _maps(lab, edge, gates, shown, targets, 1.0)
        now = _maps(lab, edge, gates, shown, targets, visibility)
        pictures = {f"{task} sees": (picture(now.pop("sees")), "")}
        for title, found in now.items():
            alike = _correlation(found, seeing[title])
            drawn = colormap.grey(
                (found / seeing[title].max().clamp(min=1e-9)).clamp(max=1).numpy()
            )
            text = f"{alike:.0%} like the map where it sees all"
            pictures[title] = (_enlarged(drawn, shown.shape[-2:]), text)
        return {
            "task": task,
            "pictures": pictures,
            "caption": "Maps: the mean over the channels of |feature|, white as much as the largest where it sees all. "
            "How like two maps are is their correlation over the pixels.",
        }

    return look


def _maps(
    lab: Lab,
    edge: Edge,
    gates: Sequence[bool],
    image: Tensor,
    targets: Mapping[str, Tensor],
    visibility: float,
) -> dict[str, Tensor]:
    """What the network that an edge enters sees (3, H, W), and the strength (h, w) of the features at the edge's ends."""
    task = edge.target.task
    covered = replace(lab, visibility={**lab.visibility, task: visibility})
    seen = each_its_own(_seen(covered, image, targets), lab.space.tasks)
    features: dict[str, Tensor] = {}

    def keep(title: str) -> Callable:
        def hook(module, given, output) -> None:
            own = output if isinstance(output, Tensor) else output[0]
            features[title] = own.clone()  # what follows may change it in place

        return hook

    def fused(node: Node, output: Tensor) -> None:
        if node == edge.target:
            features[f"{node}, fused"] = output

    hooks = []
    titles = {
        edge.target: f"{edge.target}, its own",
        edge.source: f"over the edge from {edge.source}",
    }
    for node, title in titles.items():
        stage = lab.supernet.backbones[node.task].stages[node.stage]
        hooks.append(stage.register_forward_hook(keep(title)))
    try:
        with evaluating(lab.supernet), torch.no_grad():
            lab.supernet({t: x.to(lab.device) for t, x in seen.items()}, gates, tap=fused)
    finally:
        for hook in hooks:
            hook.remove()
    maps = {"sees": seen[task][0].cpu()}
    for title in (*titles.values(), f"{edge.target}, fused"):
        maps[title] = features[title][0].abs().mean(0).float().cpu()
    return maps


def _correlation(one: Tensor, other: Tensor) -> float:
    """Of two maps over their pixels, from −1 to 1; 0 where one is the same everywhere."""
    x = one.flatten() - one.mean()
    y = other.flatten() - other.mean()
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-12))


def _enlarged(pixels: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A small picture (h, w, 3) at the size (H, W): each of its pixels as a block."""
    rows = np.arange(size[0]) * pixels.shape[0] // size[0]
    columns = np.arange(size[1]) * pixels.shape[1] // size[1]
    return np.ascontiguousarray(pixels[rows][:, columns])


def browse(lab: Lab, before: Way, after: Way | None = None, split: str = "test") -> Predictions:
    """The images of `split` with truth, prediction and error of each task: before, and after where that is given.

    Args:
        lab: Has the data and the tasks.
        before: Gates of the lab's supernet, an architecture, or another lab (under what it derives).
        after: The same, to compare with.
        split: Which images.

    Raises:
        ConfigError: No such split, other tasks, or another number of gates than the lab has edges.
    """
    return Predictions(lab, before, after, split)


class Predictions(Sequence):
    """What `PredictionBrowser` goes through; each item is computed when it is asked for."""

    def __init__(self, lab: Lab, before: Way, after: Way | None, split: str):
        self.lab = lab
        self.pack = _split(lab, split)
        ways = {"prediction": before}
        if after is not None:
            ways = {"before": before, "after": after}
        self.ways = {name: _network(lab, way) for name, way in ways.items()}

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, i: int) -> dict:
        if not 0 <= i < len(self):
            raise IndexError(i)
        maps = [name for lab, _ in self.ways.values() for name in lab.targets]
        image, targets = self.pack.batch(torch.tensor([i]), dict.fromkeys(maps))
        seen = {}
        outputs = {}
        for way, (lab, gates) in self.ways.items():
            given = _seen(lab, image, targets, i)
            outputs[way] = _outputs(lab, gates, given)
            if not isinstance(given, Tensor):
                seen[way] = given
        tasks = {}
        for name, task in self.lab.tasks.items():
            of_task = {way: output[name] for way, output in outputs.items()}
            row = dict(self._row(task, targets[name], of_task))
            tasks[name] = _inputs_of(name, seen, len(self.ways)) | row
        return {"title": f"image {i}", "image": picture(image[0]), "tasks": tasks}

    def _row(self, task: Task, target: Tensor, outputs: dict[str, Tensor]) -> Iterator:
        """(title, picture), with a text under each prediction, of one task and one image."""
        yield "truth", task.picture(target[0])
        before = None
        for way, output in outputs.items():
            meter = task.meter()
            meter.update(output, target)
            metric, value = next(iter(meter.compute().items()))
            if value != value:  # NaN
                text = "no label"
            else:
                text = f"{metric.replace('_', ' ')} {value:.3g}{_verdict(metric, value, before)}"
            yield way, (task.picture(_same_size(task, output, target)[0]), text)
            error = error_picture(task, output, target)
            if error is not None:
                title = "error"
                if len(outputs) > 1:
                    title = f"error {way}"
                yield title, error
            before = value


def _inputs_of(task: str, seen: dict[str, dict[str, Tensor]], ways: int) -> dict[str, np.ndarray]:
    """{title: picture} of what a task's network sees, where it is not the image that all see; once for all `ways` where they
    see the same."""
    pictures = {f"sees {way}": picture(images[task][0]) for way, images in seen.items()}
    shown = [*pictures.values()]
    alike = all(np.array_equal(one, shown[0]) for one in shown)
    if alike and len(shown) == ways:
        return {"sees": shown[0]}
    return pictures


def _verdict(metric: str, value: float, before: float | None) -> str:
    """Whether a score is better than the one beside it."""
    if before is None:
        return ""
    gain = (value - before) * direction(metric)
    if gain > 1e-9:  # less is rounding
        return ", better"
    if gain < -1e-9:
        return ", worse"
    return ""


def error_picture(task: Task, output: Tensor, target: Tensor) -> np.ndarray | None:
    """Black where the output is right, white where it is wrong, blue without a label.

    Args:
        task: What was asked.
        output: Of the network, a batch of one.
        target: The truth, a batch of one.

    Returns:
        (H, W, 3) uint8; white is 45° of normals, 1 m of depth, another class. None for a task with one answer for an
        image.
    """
    output = _same_size(task, output, target)
    if isinstance(task, Segmentation):
        wrong = output.argmax(1) != target
        known = target != IGNORE
    elif isinstance(task, Normals):
        cosine = F.cosine_similarity(output, target, dim=1)
        wrong = cosine.clamp(-1, 1).acos().rad2deg() / FAR["normals"]
        known = (target != 0).any(1)
    elif isinstance(task, Depth):
        wrong = ((output - target).abs() / FAR["depth"])[:, 0]
        known = (target > 0)[:, 0]
    elif isinstance(task, Edges):
        wrong = (output.sigmoid() - target.float()).abs()[:, 0]
        known = (target != IGNORE)[:, 0]
    else:
        return None
    shown = colormap.grey(wrong[0].float().clamp(0, 1).cpu().numpy())
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
    if isinstance(way, Architecture):
        way = way.kept
    gates = way
    if not isinstance(way, Tensor):  # a tensor may hold soft gates
        gates = [bool(gate) for gate in way]
    if len(gates) != len(lab.space):
        raise ConfigError(
            f"{len(gates)} gates for {len(lab.space)} edges; give one for each of lab.space.edges"
        )
    return lab, gates


def _seen(lab: Lab, image: Tensor, targets: Mapping[str, Tensor], seed: int = 0) -> Inputs:
    """What the lab's networks see of a batch: the same noise each time for the same seed."""
    generator = torch.Generator(image.device).manual_seed(seed)
    return lab.see(image, targets, generator)


@torch.no_grad()
def _outputs(lab: Lab, gates: Gates, seen: Inputs) -> dict[str, Tensor]:
    """The networks' outputs, on the device of the data."""
    images = each_its_own(seen, lab.space.tasks)
    device = images[lab.space.tasks[0]].device
    if isinstance(seen, Tensor):
        given = seen.to(lab.device)
    else:
        given = {task: image.to(lab.device) for task, image in images.items()}
    with evaluating(lab.supernet):
        outputs = lab.supernet(given, gates)
    return {name: output.to(device) for name, output in outputs.items()}


def _same_size(task: Task, batch: Tensor, target: Tensor) -> Tensor:
    if not task.dense or batch.shape[-2:] == target.shape[-2:]:
        return batch
    return F.interpolate(batch, target.shape[-2:], mode="bilinear", align_corners=True)


def _tiled(rows: Sequence[Sequence[np.ndarray]], gap: int = 2) -> np.ndarray:
    """Pictures in rows and columns of one size, white between them."""
    tiles = [tile for row in rows for tile in row]
    high = max(tile.shape[0] for tile in tiles)
    wide = max(tile.shape[1] for tile in tiles)
    height = (high + gap) * len(rows) - gap
    width = (wide + gap) * len(rows[0]) - gap
    sheet = np.full((height, width, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for k, tile in enumerate(row):
            y = i * (high + gap)
            x = k * (wide + gap)
            sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet
