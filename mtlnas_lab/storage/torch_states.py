"""Checks whether tensors from a file can be the state of a generator or of an optimizer.

torch itself does not ask: it takes a generator's state that reads outside its numbers, and an optimizer's entries of any
shape, and fails or lies later.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import RunError


def generator_fits(generator: torch.Generator, state: Tensor) -> bool:
    """Whether `state` can be that of such a generator."""
    own = generator.get_state()
    if state.dtype != own.dtype or state.shape != own.shape:
        return False
    # torch documents no layout of a state; where a new generator does not read as expected, nothing is concluded
    known = _mersenne(torch.Generator().get_state()) == (1, 0)
    if known and generator.device.type == "cpu":
        left, following = _mersenne(state)
        if not (1 <= left <= 624 and 0 <= following <= 625 - left):
            return False
    try:
        torch.Generator(generator.device).set_state(state.cpu())
    except (RuntimeError, TypeError):
        return False
    return True


def _mersenne(state: Tensor) -> tuple[int, int]:
    """(numbers left, place of the next) in the state of a CPU generator."""
    data = bytes(state[:24].tolist())
    left = int.from_bytes(data[8:12], "little", signed=True)
    following = int.from_bytes(data[16:24], "little")
    return left, following


def take_moments(
    name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> dict[int, dict[str, Tensor]]:
    """Takes what is an optimizer's out of `tensors`, where it stands as "name.parameter.entry".

    A parameter has all of its entries or none, as before its first update.

    Returns:
        {number of a parameter: {entry: value}}, each value like its parameter in shape, type and memory layout.

    Raises:
        RunError: for an entry that is missing, or does not fit its parameter.
    """
    sgd = isinstance(optimizer, torch.optim.SGD)
    entries = ("exp_avg", "exp_avg_sq", "step")
    if sgd:
        entries = ("momentum_buffer",)
    parameters = []
    for group in optimizer.param_groups:
        parameters += group["params"]
    state = {}
    for i, parameter in enumerate(parameters):
        found = {entry: tensors.pop(f"{name}.{i}.{entry}", None) for entry in entries}
        if all(value is None for value in found.values()):
            continue
        for entry, value in found.items():
            problem = _wrong(entry, value, parameter)
            if problem:
                raise RunError(f"this checkpoint does not fit: {name}.{i}.{entry} {problem}")
            if entry == "step":
                found[entry] = value.clone()
            else:  # in the parameter's memory layout, which the file does not keep
                found[entry] = torch.empty_like(parameter, requires_grad=False).copy_(value)
        state[i] = found
    if state and sgd:
        # torch's SGD needs a buffer for all parameters or for none; one of zeros acts as none
        for i, parameter in enumerate(parameters):
            state.setdefault(i, {"momentum_buffer": torch.zeros_like(parameter.detach())})
    return state


def _wrong(entry: str, value: Tensor | None, parameter: Tensor) -> str:
    """What is wrong with an entry of an optimizer's state; "" where it fits its parameter."""
    if value is None:
        return "is missing"
    kind = f"{tuple(value.shape)} of {value.dtype}"
    if entry == "step":
        if value.shape != () or value.dtype not in (torch.float32, torch.float64):
            return f"is {kind} instead of one count"
        count = float(value)
        if not math.isfinite(count) or count < 0 or count != int(count):
            return f"counts {count} updates"
    elif value.shape != parameter.shape or value.dtype != parameter.dtype:
        return f"is {kind} instead of {tuple(parameter.shape)} of {parameter.dtype}"
    return ""
