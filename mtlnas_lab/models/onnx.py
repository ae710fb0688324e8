"""The searched network out in the world: a program of torch.export, or ONNX; batch norm folded, closed edges gone."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import ConfigError, RunError
from ..one_line import os_errors_as
from ..values import told, whole
from .pruned import PrunedNetwork

LARGEST = 4096  # pixels of a side that a network is traced with


def to_torch(network: PrunedNetwork, path: str | Path, size: tuple[int, int] = (64, 96)) -> Path:
    """A file that `torch.export.load(path).module()(image)` runs without this package; any batch and image size that the network takes.

    size: (H, W) of the image that it is traced with.
    """
    path = _target(path)
    image, shapes = _example(network, size)
    # On the CPU, so that the file runs where there is no GPU.
    with _written(path, image), _quiet():
        program = torch.export.export(network.cpu().eval(), (image,), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


def to_onnx(network: PrunedNetwork, path: str | Path, size: tuple[int, int] = (64, 96)) -> Path:
    """An ONNX file: input `image` (B, 3, H, W) of any batch and size, an output for each task. Needs the extra `export`.

    Raises ConfigError where onnx is not installed, RunError where its outputs are not the network's (1e-4, three sizes).
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed; ONNX needs the extra `export`: pip install mtlnas-lab[export]"
        ) from None
    path = _target(path)
    image, shapes = _example(network, size)
    height, width = image.shape[-2:]
    tasks = list(network.supernet.space.tasks)
    network = copy.deepcopy(network).cpu().eval()
    for module in network.modules():
        # onnxruntime merges a pad of 0 into the max-pool behind it, where a border counts as -∞.
        if isinstance(module, nn.ConstantPad2d) and module.value == 0:
            module.value = 1e-30
    with _written(path, image), _quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=["image"],
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
    if worst > 1e-4:
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
    for batch, height, width in sizes:
        image = torch.randn(batch, 3, height, width, generator=generator)
        with torch.no_grad():
            expected = network(image)
        outputs = session.run(None, {"image": image.numpy()})
        for name, output in zip(names, outputs):
            difference = (torch.from_numpy(output) - expected[name]).abs().max()
            scale = expected[name].abs().max().clamp(min=1)
            worst = max(worst, float(difference / scale))
    return worst


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
def _written(path: Path, image: Tensor) -> Iterator[None]:
    """Says in one line what torch says in many: what it cannot trace, and where it cannot write."""
    try:
        with os_errors_as(RunError, path):
            yield
    except RunError:
        raise
    except Exception as error:
        size = " × ".join(map(str, image.shape[-2:]))
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(
            f"{told(str(path))}: torch cannot export this network at {size} ({reason[:200]})"
        ) from None


def _example(network: PrunedNetwork, size: tuple[int, int]) -> tuple[Tensor, dict]:
    """An image that the network takes, and which of its sizes are free. Raises ConfigError where it takes none such."""
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ConfigError(
            f"size = {told(size)}: give height and width in pixels, as in (64, 96)"
        ) from None
    sides = whole("height", height, 1, LARGEST), whole("width", width, 1, LARGEST)
    image = torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            network.cpu().eval()(image)
    except ConfigError:
        raise
    except RuntimeError as error:
        raise ConfigError(
            f"the network takes no images of {sides[0]} × {sides[1]} pixels ({str(error).splitlines()[0][:200]}); "
            "give a larger size"
        ) from None
    return image, {"image": dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)}


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
