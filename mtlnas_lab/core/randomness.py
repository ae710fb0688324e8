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


@contextmanager
def drawn_by(device: torch.device, *key) -> Iterator[None]:
    """Inside, the global generators (of torch, NumPy and Python) are seeded by `key`; outside they are as they were.

    So a resumed search draws what one never stopped draws, and neither depends on what else the process draws.
    """
    generators = _generators(device)
    states = [generator.get_state() for generator in generators]
    python, legacy = random.getstate(), np.random.get_state()
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
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    elif device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    return found


def fits(generator: torch.Generator, state: torch.Tensor) -> bool:
    """Whether `state` can be that of such a generator: torch itself would take one that reads outside its numbers."""
    own = generator.get_state()
    if state.dtype != own.dtype or state.shape != own.shape:
        return False
    known = _mersenne(torch.Generator().get_state()) == (1, 0)  # the layout is what it was
    if known and generator.device.type == "cpu":
        left, following = _mersenne(state)
        if not (1 <= left <= 624 and 0 <= following <= 625 - left):
            return False
    try:
        torch.Generator(generator.device).set_state(state.cpu())
    except (RuntimeError, TypeError):
        return False
    return True


def _mersenne(state: torch.Tensor) -> tuple[int, int]:
    """(numbers left, place of the next) in the state of a CPU generator."""
    data = bytes(state[:24].tolist())
    return int.from_bytes(data[8:12], "little", signed=True), int.from_bytes(data[16:24], "little")
