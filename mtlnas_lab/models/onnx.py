"""The searched network out in the world: a program of torch.export, or ONNX; batch norm folded, closed edges gone."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.lab import Lab
from ..data.views import View
from ..errors import ConfigError, RunError
from ..one_line import os_errors_as
from ..values import told, whole
from .pruned import PrunedNetwork

LARGEST = 4096  # pixels of a side that a network is traced with
# of a file's outputs, as a share of the largest: in float32 three fused ResNet-50 are 1.6e-4 away from their own float64,
# and another network is 1e-2 away and more
TOLERANCE = 1e-3

IMAGE = "image"  # the input that all networks see, unless they see different ones


class ByInput(nn.Module):
    """A network whose tasks see different images: {name of an input: (B, 3, H, W)} -> {task: output}.

    Args:
        network: Called with {task: image}.
        inputs: {task: the name of the input that its network sees}; tasks may share one.
    """

    def __init__(self, network: nn.Module, inputs: Mapping[str, str]):
        super().__init__()
        self.network = network
        self.inputs = dict(inputs)

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.network({task: images[name] for task, name in self.inputs.items()})


def inputs_of(lab: Lab) -> dict[str, str]:
    """{task: the name of the input that its network sees}: "image", another view, or an input of its own for what is seen
    through noise.

    Example:
        >>> from mtlnas_lab import presets
        >>> lab = presets.tiny()
        >>> inputs_of(lab)
        {'segmentation': 'image', 'normals': 'image'}
        >>> lab.visibility = {"segmentation": 0.0}
        >>> inputs_of(lab)
        {'segmentation': 'image_of_segmentation', 'normals': 'image'}
    """
    names = {}
    for task in lab.tasks:
        name = str(lab.views.get(task, View())).replace(":", "_")
        if lab.visibility.get(task, 1.0) != 1:
            name = f"{name}_of_{task}"
        names[task] = name
    return names


def to_torch(
    network: PrunedNetwork,
    path: str | Path,
    size: tuple[int, int] = (64, 96),
    inputs: Mapping[str, str] | None = None,
) -> Path:
    """A file that `torch.export.load(path).module()(image)` runs without this package; any batch and image size that the network takes.

    size: (H, W) of the image that it is traced with. inputs: {task: the name of what its network sees}, where they see
    different ones; it is then called with {name: image}.
    """
    path = _target(path)
    network = _by_input(network, inputs).cpu().eval()
    example, shapes = _example(network, size)
    # On the CPU, so that the file runs where there is no GPU.
    with _written(path, size), _quiet():
        program = torch.export.export(network, (example,), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


def to_onnx(
    network: PrunedNetwork,
    path: str | Path,
    size: tuple[int, int] = (64, 96),
    inputs: Mapping[str, str] | None = None,
) -> Path:
    """An ONNX file: input `image` (B, 3, H, W) of any batch and size, an output for each task. Needs the extra `export`.

    size: (H, W) of the image that it is traced with. inputs: {task: the name of what its network sees}, where they see
    different ones; the file then has these inputs.

    Raises ConfigError where onnx is not installed, RunError where its outputs are not the network's, at three sizes.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed; ONNX needs the extra `export`: pip install mtlnas-lab[export]"
        ) from None
    path = _target(path)
    tasks = list(network.supernet.space.tasks)
    network = _by_input(copy.deepcopy(network), inputs).cpu().eval()
    example, shapes = _example(network, size)
    height, width = size
    for module in network.modules():
        # onnxruntime merges a pad of 0 into the max-pool behind it, where a border counts as -∞.
        if isinstance(module, nn.ConstantPad2d) and module.value == 0:
            module.value = 1e-30
    with _written(path, size), _quiet():
        given = {"args": (example,)}
        if isinstance(
            network, ByInput
        ):  # in a place, a dictionary would be taken for all arguments
            given = {"args": (), "kwargs": {"images": example}}
        program = torch.onnx.export(
            network,
            **given,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=_names(network),
            output_names=tasks,
            verbose=False,
        )
        program.save(path)
    sizes = [(1, height, width), (3, height + 32, width + 64), (2, height + 8, width)]
    try:
        worst = onnx_difference(path, network, sizes)
    except Exception as error:
        raise RunError(
            f"{path}: runs only at {height} × {width} ({str(error).splitlines()[0][:90]}…); trace it with a larger "
            "image, whose maps are nowhere one pixel high or wide"
        ) from None
    if worst > TOLERANCE:
        raise RunError(
            f"{path}: its outputs differ from the network's by {worst:.2g}; this backbone cannot be exported"
        )
    return path


def onnx_difference(
    path: str | Path, network: nn.Module, sizes: list[tuple[int, int, int]]
) -> float:
    """The largest difference between the file's outputs (by onnxruntime) and the network's over (B, H, W); where outputs are
    larger than 1, as a share of the largest."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    worst = 0.0
    generator = torch.Generator().manual_seed(0)
    for shape in sizes:
        example = _images(network, shape, generator)
        with torch.no_grad():
            expected = network(example)
        if isinstance(example, Tensor):
            example = {IMAGE: example}
        outputs = session.run(None, {name: image.numpy() for name, image in example.items()})
        for name, output in zip(names, outputs):
            difference = (torch.from_numpy(output) - expected[name]).abs().max()
            scale = expected[name].abs().max().clamp(min=1)
            worst = max(worst, float(difference / scale))
    return worst


def _by_input(network: nn.Module, inputs: Mapping[str, str] | None) -> nn.Module:
    """The network, to be called with its inputs by their names where it has more than one."""
    if inputs is None or {*inputs.values()} == {IMAGE}:
        return network
    return ByInput(network, inputs)


def _names(network: nn.Module) -> list[str]:
    """The names of the network's inputs, in the order in which they are handed over."""
    if isinstance(network, ByInput):
        return sorted({*network.inputs.values()})
    return [IMAGE]


def _images(
    network: nn.Module, shape: tuple[int, int, int], generator: torch.Generator
) -> Tensor | dict[str, Tensor]:
    """What the network can be called with: an image of noise, shape (B, H, W), for each of its inputs."""
    batch, height, width = shape
    images = {}
    for name in _names(network):
        images[name] = torch.randn(batch, 3, height, width, generator=generator)
    if isinstance(network, ByInput):
        return images
    return images[IMAGE]


def _target(path: str | Path) -> Path:
    """Where the file is to be. Raises RunError, before any work, where there can't be one."""
    shown = told(str(path))
    try:
        path = Path(path)
        str(path).encode()
        there = os.path.lexists(path.parent) and not path.is_dir()
        if not there or "\0" in str(path) or not path.parent.is_dir():
            raise RunError(
                f"{shown}: no file can be written there; name one in a folder that exists"
            )
        os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RunError(f"{shown}: no file can be written there: {error.strerror}") from None
    except UnicodeError:
        raise RunError(f"{shown} cannot be the name of a file") from None
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise RunError(f"{shown}: you may not write there; name a file that you may write")
    return path


@contextlib.contextmanager
def _written(path: Path, size: tuple[int, int]) -> Iterator[None]:
    """Says in one line what torch says in many: what it cannot trace, and where it cannot write."""
    try:
        with os_errors_as(RunError, path):
            yield
    except RunError:
        raise
    except Exception as error:
        sides = " × ".join(map(str, size))
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(
            f"{told(str(path))}: torch cannot export this network at {sides} ({reason[:200]})"
        ) from None


def _example(network: nn.Module, size: tuple[int, int]) -> tuple[Tensor | dict[str, Tensor], dict]:
    """What the network takes, and which of its sizes are free. Raises ConfigError where it takes none such."""
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ConfigError(
            f"size = {told(size)}: give height and width in pixels, as in (64, 96)"
        ) from None
    sides = whole("height", height, 1, LARGEST), whole("width", width, 1, LARGEST)
    example = _images(network, (2, *sides), torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            network(example)
    except ConfigError:
        raise
    except RuntimeError as error:
        raise ConfigError(
            f"the network takes no images of {sides[0]} × {sides[1]} pixels ({str(error).splitlines()[0][:200]}); "
            "give a larger size"
        ) from None
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    if isinstance(example, Tensor):
        return example, {"image": free}
    return example, {"images": dict.fromkeys(example, free)}


@contextlib.contextmanager
def _quiet():
    """The exporter's own progress is not what a user asked for."""
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
