"""Weights that a user has as a file, put into a backbone by torchvision's own names. Nothing is ever fetched."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import pickletools
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from .._compat import torchvision
from ..core.backbone import Backbone
from ..errors import RunError
from ..one_line import listed, shown
from ..storage.checkpoints import HEADER, TENSORS
from ..storage.safe_files import open_plain

LIMIT = 4 * 2**30  # bytes of a file of weights


PICKLE = 16 * 2**20  # bytes of what a file of torch says of its tensors


OPERATIONS = 1_000_000  # steps to read that


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
        line = f"{shown(self.path.name)}: {self.taken} tensors of {self.kind or 'the network it was cut from'}"
        if self.left_out:
            line += f"; left out: {listed(self.left_out)}"
        return line


def load_weights(backbone: Backbone, path: str | Path, sha256: str | None = None) -> Loaded:
    """Put a state dict (.pth, .pt, .safetensors) with torchvision's names, or the backbone's own, into the backbone.

    The classifier is left out. A convolution's bias that the backbone does not have (vgg16_bn's) goes into the running
    mean of the batch norm behind it. Raises RunError for a file that is missing, no state dict, of another network or
    width, or not the one of checksum `sha256`; then the backbone is as it was.
    """
    path = Path(path)
    if not is_there(path):
        raise RunError(
            f"{shown(path)}: no such file. {_fitting(backbone)}; nothing is fetched: download one and pass its path"
        )
    check_file(path)
    checksum = digest(path)
    if sha256 not in (None, checksum):  # a run that goes on must go on from the same weights
        raise RunError(
            f"{shown(path)} is not the file that this work began with: its sha256 is {checksum[:12]}…, it was "
            f"{sha256[:12]}…; put that one back"
        )
    found = _read(path)
    own = backbone.state_dict()
    names = {}  # tensor of ours: its name in the file
    folded = set()
    if _fits(own, found):  # saved by this package: under the backbone's own names
        names = {name: name for name in own}
        known = set(own)
        taken = _usable(names, own, found, path.name)
    else:
        names = _theirs(backbone)
        known = set(backbone.names.values())
        _must_fit(backbone, names, own, found, path.name)
        taken = _usable(names, own, found, path.name)
        folded = _fold_biases(taken, names, found)
    backbone.load_state_dict(taken, strict=False)
    left = found.keys() - known - folded
    return Loaded(path, checksum, backbone.kind, len(taken), tuple(sorted(left)))


def _fits(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether a file has all of these tensors by name and shape."""
    return all(name in found and found[name].shape == value.shape for name, value in own.items())


def _theirs(backbone: Backbone) -> dict[str, str]:
    """{tensor of ours: torchvision's name}; counters of batches, which older files lack, are left as they are."""
    names = {}
    for name, there in backbone.names.items():
        if not name.endswith("num_batches_tracked"):
            names[name] = there
    return names


def _usable(
    names: Mapping[str, str], own: Mapping[str, Tensor], found: Mapping[str, Tensor], file: str
) -> dict[str, Tensor]:
    """The tensors of a file under our names and in our types. Raises RunError."""
    return {name: usable(found[there], own[name], there, file) for name, there in names.items()}


def _must_fit(
    backbone: Backbone,
    names: Mapping[str, str],
    own: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    file: str,
) -> None:
    """Raise RunError, which says what the file seems to be, unless it has all tensors of these names and our shapes."""
    missing = [there for there in names.values() if there not in found]
    unlike = []
    for name, there in names.items():
        if there in found and found[there].shape != own[name].shape:
            unlike.append(name)
    if names and not missing and not unlike:
        return
    kind = _seems(found)
    if unlike and not missing and kind in (backbone.kind, ""):
        there = names[unlike[0]]
        theirs = tuple(found[there].shape)
        ours = tuple(own[unlike[0]].shape)
        raise RunError(
            f"{shown(file)} is {kind or 'the network'} at other widths: {there} is {theirs} there and "
            f"{ours} here; weights of full width need a backbone of full width, as in the preset vgg16",
            hint="preset=vgg16",
        )
    if kind:
        seems = f"torchvision's {kind}"
    elif any(key.startswith(("supernet.", "backbones.", "stages.")) for key in found):
        seems = "weights that this package saved, of other backbones"
    else:
        first = listed(sorted(found)[:3])
        seems = f"not a network of torchvision, its tensors are called {first}, …"
    raise RunError(f"{shown(file)} does not fit: it seems to be {seems}. {_fitting(backbone)}")


def digest(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name; a dict around them and the prefix of a wrapper are taken off."""
    state = state_dict(read_file(path), path.name)
    # DataParallel and some toolboxes put a word before each name.
    for prefix in ("module.", "backbone."):
        if any(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


# --- any file of tensors ----------------------------------------------------------------------------------------------
def is_there(path: Path) -> bool:
    """Whether something has this name."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def check_file(path: Path, limit: int = LIMIT) -> None:
    """Raises RunError for what is not a regular file (a link to one is fine), or is larger than the limit."""
    try:
        with os.fdopen(open_plain(os.path.realpath(path)), "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise RunError(f"{shown(path)} cannot be read: {error.strerror}") from None
    if size > limit:
        raise RunError(f"{shown(path)} has {size:,} bytes; files of weights stay below {limit:,}")


def read_file(path: Path, limit: int = LIMIT, beside: Sequence = ()) -> Any:
    """What a file of torch.save or of safetensors holds, read without running code in it.

    beside: stand-ins for what lies beside the tensors, as `torch.serialization.safe_globals` takes them. Raises RunError,
    before anything is made of it, for a file that is larger or holds more than the limits above.
    """
    check_file(path, limit)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            _check_header(path)
            return load_file(path)
        _check_pickles(path)
        with torch.serialization.safe_globals(list(beside)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except RunError as error:
        raise RunError(f"{shown(path.name)} was refused: {error}") from None
    except Exception as error:  # readers raise many kinds for what is not such a file
        raise RunError(
            f"{shown(path.name)} was refused: it is not a file of tensors that can be read without running code in it "
            f"({type(error).__name__}), and nothing in it was run; give a state dict, as torch.save(net.state_dict()) "
            "or safetensors write it"
        ) from None


def _check_header(path: Path) -> None:
    """How long the header of a file of safetensors is, and how many tensors it names."""
    # Before the library parses it: a long list of tensors fills memory though each of them is empty.
    with open(path, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > HEADER:
            raise RunError(f"its header has {length:,} bytes; at most {HEADER:,} are read")
        header = stream.read(length)
    if header.count(b"data_offsets") > TENSORS or len(json.loads(header)) > TENSORS + 1:
        raise RunError(f"it names more than {TENSORS:,} tensors")


def _check_pickles(path: Path) -> None:
    """How much the pickles of a file of torch.save make: of the newer form, a zip file, and of the older one."""
    with open(path, "rb") as stream:
        if stream.read(4) != b"PK\3\4":
            stream.seek(0)
            _count(
                stream.read(PICKLE), 5
            )  # magic number, version, system, content, keys of tensors
            return
        _check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            parts = archive.infolist()
            if len(parts) > TENSORS + 100:
                raise RunError(f"it holds more than {TENSORS:,} tensors")
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise RunError("its parts are compressed, which torch.save does not do")
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise RunError("its parts are larger than the file")
            for part in parts:
                if part.filename.endswith(".pkl"):
                    if part.file_size > PICKLE:
                        raise RunError(
                            f"it says {part.file_size:,} bytes of its tensors; at most {PICKLE:,} are read"
                        )
                    _count(archive.read(part), 1)


def _check_directory(stream: BinaryIO) -> None:
    """How long the table of contents of a zip file is, before it is read."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 70_000))
    end = stream.read()
    last = end.rfind(b"PK\5\6")
    large = end.rfind(b"PK\6\6")  # its form for more than 4 GiB, or 65,535 parts
    size = 0
    if last >= 0:
        (size,) = struct.unpack_from("<I", end, last + 12)
    if large >= 0:
        (size,) = struct.unpack_from("<Q", end, large + 40)
    if size > PICKLE:
        raise RunError(f"its table of contents has {size:,} bytes; at most {PICKLE:,} are read")


def _count(data: bytes, pickles: int) -> None:
    """Steps that it takes to read some pickles in a row."""
    stream = io.BytesIO(data)
    steps = 0
    for _ in range(pickles):
        for _ in pickletools.genops(stream):
            steps += 1
            if steps > OPERATIONS:
                raise RunError(f"it takes more than {OPERATIONS:,} steps to read")


def state_dict(content: Any, name: str) -> dict[str, Tensor]:
    """The tensors by name in what a file held, out of a dict around them. Raises RunError where there are none."""
    # Training scripts save such a dict beside an optimizer and a step.
    for around in ("model_state_dict", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(around), Mapping):
            content = content[around]
    if not isinstance(content, Mapping) or not content:
        raise RunError(
            f"{shown(name)} holds no state dict, {{name: tensor}}; save one with torch.save(net.state_dict())"
        )
    if len(content) > TENSORS:
        raise RunError(
            f"{shown(name)} holds {len(content):,} tensors; at most {TENSORS:,} are read"
        )
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise RunError(
                f"{shown(name)} holds no state dict, {{name: tensor}}: under {shown(key, 40)} it has a value of "
                f"type {type(value).__name__}; save one with torch.save(net.state_dict())"
            )
        if value.layout is not torch.strided or value.is_meta or value.is_quantized:
            raise RunError(
                f"{shown(name)}: {shown(key)} is sparse, quantized or without values; save plain tensors"
            )
    return {key: value.detach() for key, value in content.items()}


def usable(value: Tensor, own: Tensor, tensor: str, name: str) -> Tensor:
    """A tensor of a file in the type of our own. Raises RunError for numbers that are of another kind, or not finite."""
    kind = "floating-point" if own.is_floating_point() else "whole"
    of_kind = value.is_floating_point() == own.is_floating_point()
    if not of_kind or value.is_complex() or value.dtype is torch.bool:
        raise RunError(
            f"{shown(name)}: {shown(tensor)} holds numbers of type {str(value.dtype).removeprefix('torch.')}; "
            f"{kind} numbers belong there"
        )
    value = value.to(own.dtype)
    if own.is_floating_point() and not value.isfinite().all():
        raise RunError(
            f"{shown(name)}: {shown(tensor)} holds NaN or infinity: was its training lost, or the file damaged?"
        )
    if tensor.endswith("running_var") and (value < 0).any():
        raise RunError(
            f"{shown(name)}: {shown(tensor)} holds a variance below 0; the file is damaged"
        )
    return value


def _fold_biases(
    taken: dict[str, Tensor], needed: Mapping[str, str], found: Mapping[str, Tensor]
) -> set[str]:
    """BN(W·x + b) has the mean μ where BN(W·x) has μ − b. Returns the names of the biases that went there."""
    ours = {there: name for name, there in needed.items()}
    folded = set()
    for there in needed.values():
        before, _, number = there.removesuffix(".weight").rpartition(".")
        if not number.isdecimal() or found[there].ndim != 4:  # a convolution in a row of layers
            continue
        bias = f"{before}.{number}.bias"
        mean = ours.get(f"{before}.{int(number) + 1}.running_mean")
        if mean and bias in found and bias not in ours:
            taken[mean] = taken[mean] - found[bias]
            folded.add(bias)
    return folded


def _fitting(backbone: Backbone) -> str:
    """Which files fit."""
    if not backbone.kind:
        return "A state dict of the module that the backbone was cut from fits"
    torchvision()
    from torchvision.models import get_model_weights

    files = []
    for weights in get_model_weights(backbone.kind):
        file = weights.url.rpartition("/")[2]
        files.append(f"{file} ({weights.name})")
    return f"torchvision's weights of {backbone.kind} fit: {', '.join(files)}"


def _seems(found: Mapping[str, Tensor]) -> str:
    """The torchvision network that shares most names and shapes with these tensors; "" where none shares much."""
    shapes = {(name, tuple(value.shape)) for name, value in found.items()}
    shared = {  # Jaccard: |A ∩ B| / |A ∪ B|
        name: len(shapes & theirs) / len(shapes | theirs) for name, theirs in _known().items()
    }
    best = max(shared, key=shared.get)
    if shared[best] <= 0.3:
        return ""
    return best


@functools.cache
def _known() -> dict[str, frozenset]:
    """{network of torchvision: names and shapes of its tensors}, of the families that people have weights of."""
    torchvision()
    from torchvision.models import get_model, list_models

    known = {}
    for name in list_models(module=torchvision().models):
        if name.startswith(FAMILIES):
            with torch.device("meta"):  # shapes alone: nothing is allocated
                state = get_model(name).state_dict()
            known[name] = frozenset((key, tuple(value.shape)) for key, value in state.items())
    return known
