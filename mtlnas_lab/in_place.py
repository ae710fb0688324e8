"""Modules that change their inputs in place, run so that nobody notices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ConfigError


def untouched(module: nn.Module, *inputs: Any) -> Any:
    """Run a module so that its inputs stay as they are: edges, other heads and the caller still read them.

    A module that changes them in place (`x += …`, an in-place ReLU that comes first) gets copies. The first call, in
    training and in use, finds out which modules do; from then on the others run at no cost.
    """
    known = module.__dict__.setdefault("changes_its_input", {})  # {training: does it?}
    does = known.get(module.training)
    if torch.compiler.is_compiling():  # a program is made of it, where nothing can be found out
        return module(*(inputs if does is False else map(_copied, inputs)))
    if does:
        return module(*map(_copied, inputs))
    given = inputs
    if does is None:  # nobody knows yet: it must not be tried on the caller's own tensors
        given = [_copied(value) for value in inputs]
    versions = [_version(tensor) for tensor in _tensors(given)]
    out = module(*given)
    does = versions != [_version(tensor) for tensor in _tensors(given)]
    if given is not inputs:
        known[module.training] = does or not _alike(given, inputs)
    elif does:
        known[module.training] = True
        raise ConfigError(
            f"{type(module).__name__} has begun to change its input in place, which others read; "
            "the result of this call is lost, from the next one on it gets a copy"
        )
    return out


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _tensors(value: Any) -> list[Tensor]:
    """The tensors among the values, and in lists of them."""
    if isinstance(value, Tensor):
        return [value]
    parts = value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _version(tensor: Tensor) -> int:
    """How often a tensor, or a view of it, was changed in place; 0 where torch does not count."""
    return 0 if tensor.is_inference() else tensor._version


def _alike(given: Sequence, inputs: Sequence) -> bool:
    """Whether the copies still hold what they are copies of: `x.data` is changed without being counted."""
    with suppress(RuntimeError):  # tensors without values
        return all(torch.equal(x, y) for x, y in zip(_tensors(given), _tensors(inputs)))
    return True
