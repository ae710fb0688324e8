"""Weights that a user has as a file, put into a backbone by torchvision's own names. Nothing is ever fetched."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ._torchvision import torchvision
from .backbones import Backbone
from .errors import RunError

FAMILIES = (
    "alexnet",
    "vgg",
    "resnet",
    "wide_resnet",
    "resnext",
    "vit_b",
    "vit_l",
    "mobilenet",
    "convnext",
    "densenet121",
    "squeezenet",
)


@dataclass(frozen=True)
class Loaded:
    """What became of a weight file: its checksum, how many tensors were taken, and which were left out."""

    path: Path
    sha256: str
    kind: str
    taken: int
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        rest = f"; left out: {', '.join(self.left_out)}" if self.left_out else ""
        return f"{self.path.name}: {self.taken} tensors of {self.kind or 'the network it was cut from'}{rest}"


def load_weights(backbone: Backbone, path: str | Path, sha256: str | None = None) -> Loaded:
    """Put a state dict (.pth, .pt, .safetensors) with torchvision's names, or the backbone's own, into the backbone.

    The classifier is left out. A convolution's bias that the backbone does not have (vgg16_bn's) goes into the running
    mean of the batch norm behind it. Raises RunError for a file that is missing, no state dict, of another network or
    width, or not the one of checksum `sha256`; then the backbone is as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(
            f"{path}: no such file. {_fitting(backbone)}; nothing is fetched: download one and pass its path"
        )
    checksum = digest(path)
    if sha256 not in (None, checksum):
        raise RunError(
            f"{path} is not the file that this work began with: its sha256 is {checksum[:12]}…, it was "
            f"{sha256[:12]}…; put that one back"
        )
    found, own = _read(path), backbone.state_dict()
    if all(name in found and found[name].shape == value.shape for name, value in own.items()):
        backbone.load_state_dict({name: found[name] for name in own})
        return Loaded(
            path, checksum, backbone.kind, len(own), tuple(sorted(found.keys() - own.keys()))
        )
    needed = {
        name: there
        for name, there in backbone.names.items()
        if not name.endswith("num_batches_tracked")
    }
    missing = [there for there in needed.values() if there not in found]
    unlike = [
        (there, found[there].shape, own[name].shape)
        for name, there in needed.items()
        if there in found and found[there].shape != own[name].shape
    ]
    if not needed or missing or unlike:
        name = _seems(found)
        if unlike and not missing and name in (backbone.kind, ""):
            there, theirs, ours = unlike[0]
            raise RunError(
                f"{path.name} is {name or 'the network'} at other widths: {there} is {tuple(theirs)} there and "
                f"{tuple(ours)} here; weights of full width need a backbone of full width (--preset vgg16)"
            )
        seems = (
            f"torchvision's {name}"
            if name
            else "weights that this package saved, of other backbones"
            if any(key.startswith(("supernet.", "backbones.", "stages.")) for key in found)
            else (
                f"no network of torchvision, its tensors are called {', '.join(sorted(found)[:3])}, …"
            )
        )
        raise RunError(f"{path.name} does not fit: it seems to be {seems}. {_fitting(backbone)}")
    taken = {name: found[there].to(own[name].dtype) for name, there in needed.items()}
    folded = _fold_biases(taken, needed, found)
    backbone.load_state_dict(taken, strict=False)
    left = found.keys() - set(backbone.names.values()) - folded
    return Loaded(path, checksum, backbone.kind, len(taken), tuple(sorted(left)))


def digest(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name; a dict around them and the prefix of a wrapper are taken off."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise many kinds for what is no such file
        raise RunError(
            f"{path.name} is no file of weights that can be read without running code in it "
            f"({type(error).__name__}); give a state dict, as torch.save(net.state_dict()) or safetensors "
            "write it"
        ) from None
    for around in ("state_dict", "model_state_dict", "model"):
        state = (
            state[around]
            if isinstance(state, Mapping) and isinstance(state.get(around), Mapping)
            else state
        )
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(value, Tensor) for value in state.values())
    ):
        raise RunError(
            f"{path.name} holds no state dict, {{name: tensor}}; save one with torch.save(net.state_dict())"
        )
    for prefix in ("module.", "backbone."):
        if any(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def _fold_biases(
    taken: dict[str, Tensor], needed: Mapping[str, str], found: Mapping[str, Tensor]
) -> set[str]:
    """BN(W·x + b) has the mean μ where BN(W·x) has μ − b. Returns the names of the biases that went there."""
    means, folded = (
        {there: name for name, there in needed.items() if there.endswith(".running_mean")},
        set(),
    )
    for there in needed.values():
        before, _, number = there.removesuffix(".weight").rpartition(".")
        bias = f"{before}.{number}.bias"
        mean = means.get(f"{before}.{int(number) + 1}.running_mean") if number.isdecimal() else None
        if mean and bias in found and bias not in needed.values() and found[there].ndim == 4:
            taken[mean] = taken[mean] - found[bias]
            folded.add(bias)
    return folded


def _fitting(backbone: Backbone) -> str:
    """Which files fit."""
    if not backbone.kind:
        return "A state dict of the module that the backbone was cut from fits"
    torchvision()
    from torchvision.models import get_model_weights

    files = ", ".join(
        f"{weights.url.rpartition('/')[2]} ({weights.name})"
        for weights in get_model_weights(backbone.kind)
    )
    return f"torchvision's weights of {backbone.kind} fit: {files}"


def _seems(found: Mapping[str, Tensor]) -> str:
    """The torchvision network that shares most names and shapes with these tensors; "" where none shares much."""
    shapes = {(name, tuple(value.shape)) for name, value in found.items()}
    shared = {
        name: len(shapes & theirs) / len(shapes | theirs) for name, theirs in _known().items()
    }
    best = max(shared, key=shared.get)
    return best if shared[best] > 0.3 else ""


@functools.cache
def _known() -> dict[str, frozenset]:
    """{network of torchvision: names and shapes of its tensors}, of the families that people have weights of."""
    torchvision()
    from torchvision.models import get_model, list_models

    with torch.device("meta"):
        return {
            name: frozenset(
                (key, tuple(value.shape)) for key, value in get_model(name).state_dict().items()
            )
            for name in list_models(module=torchvision().models)
            if name.startswith(FAMILIES)
        }
