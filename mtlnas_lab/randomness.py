"""What a network draws without asking for a generator: made a function of the seed and of the step."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

DRAW = (  # of torch's layers, those that draw from its global generators
    nn.modules.dropout._DropoutNd,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RReLU,
)


OURS = __name__.partition(".")[0]


def may_draw(network: nn.Module) -> bool:
    """Whether a network may draw from global generators: every one but those of torch's and our layers that do not.

    Of a layer that somebody else wrote nobody knows, as of a torchvision network with stochastic depth.
    """
    for module in network.modules():
        origin = type(module).__module__.partition(".")[0]
        known = origin == OURS or type(module).__module__.startswith("torch.nn.modules.")
        if not known or isinstance(module, DRAW):
            return True
    return False


class SeededPasses:
    """Forward passes whose draws from global generators follow from the seed, the step and the number of the pass.

    So a resumed search draws what one that was never stopped draws.
    """

    def __init__(self, network: nn.Module, device: torch.device, seed: int):
        self.device = device
        self.seed = seed
        self.draws = may_draw(network)  # if it does not, a pass costs nothing more
        self.begin(0)

    def begin(self, step: int) -> None:
        """The next pass is the first of this step."""
        self.step = step
        self.number = 0

    @contextmanager
    def of_step(self, step: int) -> Iterator[None]:
        """Inside: one more pass of `step`."""
        if not self.draws:
            yield
            return
        if step != self.step:
            self.begin(step)
        self.number += 1
        with drawn_by(self.device, self.seed, step, self.number):
            yield


@contextmanager
def drawn_by(device: torch.device, *key) -> Iterator[None]:
    """Inside, the global generators (of torch, NumPy and Python) are seeded by `key`; outside they are as they were.

    Neither a search nor whoever runs one beside his own work then depends on what the other draws.
    """
    generators = _generators(device)
    states = [generator.get_state() for generator in generators]
    python = random.getstate()
    legacy = np.random.get_state()
    seed = int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little")
    try:
        for generator in generators:
            generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)
        random.setstate(python)
        np.random.set_state(legacy)


def _generators(device: torch.device) -> list[torch.Generator]:
    """torch's global generators that a network on `device` may draw from."""
    found = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        index = device.index
        if index is None:
            index = torch.cuda.current_device()
        found.append(torch.cuda.default_generators[index])
    elif device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    return found
