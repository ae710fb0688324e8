"""Small labs and batches that several tests need, and the command line without a process of its own."""

import io
import os
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

import torch

from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.fusion import NDDR
from mtlnas_lab.core.lab import Lab
from mtlnas_lab.core.relaxation import ArchitectureWeights
from mtlnas_lab.core.space import SearchSpace
from mtlnas_lab.core.supernet import SuperNet
from mtlnas_lab.models.vgg import vgg16
from mtlnas_lab.tasks.task import Depth, Normals, Segmentation


def small_lab(
    tasks=2, fusion=NDDR, dropout=0.0, widths=(4, 4, 6, 6, 6), dtype=torch.float32, seed=0
) -> Lab:
    """Narrow VGGs for segmentation (5 classes), normals and depth, the first `tasks` of them; α drawn around 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = {
            t.name: t
            for t in (
                Segmentation("segmentation", 5),
                Normals("normals", weight=2.0),
                Depth("depth"),
            )[:tasks]
        }
        backbones = {
            name: vgg16(t.channels, widths=widths, hidden=8, field=2, dropout=dropout)
            for name, t in made.items()
        }
        space = SearchSpace.build({name: backbone.plan for name, backbone in backbones.items()})
        lab = Lab(made, SuperNet(backbones, space, fusion), ArchitectureWeights(len(space)))
        lab.alphas.alpha.data = torch.randn(len(space))
    lab.supernet.to(dtype)
    lab.alphas.to(dtype)
    return lab


def batch(number, size=32, count=2, dtype=torch.float32):
    """Batch `number`: image and targets for the tasks of `small_lab`."""
    g = torch.Generator().manual_seed(number)
    normals = torch.randn(count, 3, size, size, generator=g, dtype=dtype)
    return torch.randn(count, 3, size, size, generator=g, dtype=dtype), {
        "segmentation": torch.randint(0, 5, (count, size, size), generator=g),
        "normals": normals / normals.norm(dim=1, keepdim=True),
        "depth": torch.rand(count, 1, size, size, generator=g, dtype=dtype) + 1,
    }


class Stream:
    """Endless batches with a position, as a search needs them."""

    def __init__(self, lab, first=0, position=0, dtype=torch.float32):
        self.tasks, self.first, self.position, self.dtype = tuple(lab.tasks), first, position, dtype

    def __iter__(self):
        return self

    def __next__(self):
        image, targets = batch(self.first + self.position % 4, dtype=self.dtype)
        self.position += 1
        return image, {task: targets[task] for task in self.tasks}


def command(*arguments) -> SimpleNamespace:
    """What `mtlnas-lab` of these arguments returns and says. It runs here: a process of its own would first import torch,
    which takes longer than most searches of the tests."""
    code, said, told = 0, io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(told):
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        finally:
            torch.set_num_threads(
                1
            )  # as all tests have it; a command takes the cores that there are
    return SimpleNamespace(returncode=code, stdout=said.getvalue(), stderr=told.getvalue())


def signal_at(log, text: bytes, number: int) -> threading.Thread:
    """Sends this process a signal, as its user or its system would, once a log says `text`."""

    def wait():
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if log.exists() and text in log.read_bytes():
                os.kill(os.getpid(), number)
                return
            time.sleep(0.005)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    return waiting
