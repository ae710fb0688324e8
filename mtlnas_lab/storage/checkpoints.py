"""Checkpoints: tensors in safetensors files, each with a manifest that vouches for it. No pickle, ever.

A checkpoint is `STEP-HASH.safetensors` and `STEP-HASH.json`, where HASH begins the file's SHA-256. The file is put in
place first, then its manifest (one checked line, see `files.py`): from then on there is a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import reprlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from ..errors import RunError
from ..values import MOST, whole
from ..values import told as told_value
from .jsonl import LINE, RECORDS, decode, encode, parse_object, to_jsonable
from .safe_files import os_errors_as_run_errors, read, replace

FILE = 8 * 2**30  # bytes of a file

HEADER = 2**23  # of its header

NAME = 255  # of a tensor's name

TENSORS = 20_000  # in a file


SHA256 = re.compile(r"[0-9a-f]{64}")


OWN = re.compile(r"(\d{8,12}-[0-9a-f]{16})\.(json|safetensors)(\.tmp)?")


FOREIGN = {
    b"PK": "a zip file, as torch.save writes",
    b"\x80": "a pickle",
    b"\x1f\x8b": "a gzip file",
    b"\x89H": "an HDF5 file",
}


def pack(tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> bytes:
    """Tensors (copied, so they may share memory) and notes as safetensors. Raises RunError if `unpack` would refuse."""
    try:
        copies = {}
        for name, tensor in tensors.items():
            copies[name] = tensor.detach().to(
                "cpu", copy=True, memory_format=torch.contiguous_format
            )
        data = save(copies, dict(notes))
    except Exception as error:
        raise RunError(f"safetensors can't hold this: {reprlib.repr(str(error))}") from None
    _notes("what is to be saved", data)
    return data


def unpack(path: str | os.PathLike, data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, notes) of the bytes of a safetensors file. Raises RunError for anything else."""
    notes = _notes(path, data)
    try:
        return load(data), notes
    except Exception as error:
        raise RunError(f"{path} is no whole safetensors file: {reprlib.repr(str(error))}") from None


def _notes(path: str | os.PathLike, data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if length > min(HEADER, len(data) - 8):
        kind = "something else, or cut short"
        for start, name in FOREIGN.items():
            if data.startswith(start):
                kind = name
        raise RunError(
            f"{path} is no safetensors file but {kind}; a run keeps tensors in safetensors only"
        )
    header = parse_object(data[8 : 8 + length])
    if len(header) > TENSORS or any(len(name.encode()) > NAME for name in header):
        raise RunError(
            f"{path} has more than {TENSORS} tensors, or one with a name of more than {NAME} bytes"
        )
    return header.get("__metadata__") or {}


def misfit(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """The first thing in which tensors are not those that are expected: a name, a shape, a type; "" where they are."""
    for name, like in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != like.shape:
            return f"{name} has the shape {tuple(found[name].shape)} instead of {tuple(like.shape)}"
        if found[name].dtype != like.dtype:
            return f"{name} is of {found[name].dtype} instead of {like.dtype}"
    for name in found:
        if name not in expected:
            return f"{told_value(name)} is not known"
    return ""


@dataclass(frozen=True)
class Manifest:
    """What vouches for a checkpoint. `seq` is that of its event: so far the log belongs to it."""

    seq: int
    step: int
    file: str
    size: int
    sha256: str

    def __post_init__(self):
        for name, most in {"seq": RECORDS, "step": MOST, "size": FILE}.items():
            if type(getattr(self, name)) is not int:
                raise RunError(f"its {name} is {told_value(getattr(self, name))}, not an integer")
            whole(f"its {name}", getattr(self, name), most=most, error=RunError)
        if not isinstance(self.sha256, str) or not SHA256.fullmatch(self.sha256):
            raise RunError("it vouches for no checkpoint")
        name = f"{self.step:08d}-{self.sha256[:16]}.safetensors"
        if not OWN.fullmatch(name) or self.file != name:
            raise RunError("it vouches for no checkpoint")


class Checkpoints:
    """The folder `checkpoints` of a run. `notice` is told of what is damaged and passed over."""

    def __init__(self, folder: Path, notice: Callable[[str], None]):
        self.folder = folder
        self.notice = notice
        self._good: set[str] = set()  # files that were written or checked by this object

    def manifests(self) -> list[Manifest]:
        """Of all checkpoints whose manifests are whole, oldest first."""
        found = []
        for name in self._own():
            if not name.endswith(".json"):
                continue
            try:
                manifest = Manifest(**decode(read(self.folder / name, LINE)))
                if manifest.file != f"{name[:-5]}.safetensors":
                    raise ValueError("it vouches for another file")
                found.append(manifest)
            except (TypeError, ValueError) as error:
                self.notice(f"{self.folder / name} is passed over: {error}")
        return sorted(found, key=lambda manifest: (manifest.seq, manifest.file))

    def save(self, step: int, seq: int, tensors: Mapping[str, Tensor], meta: Mapping) -> Manifest:
        """Raises RunError; the checkpoints that there are stay as they are."""
        data = pack(tensors, {"meta": json.dumps(to_jsonable(dict(meta)))})
        digest = hashlib.sha256(data).hexdigest()
        name = f"{step:08d}-{digest[:16]}"
        manifest = Manifest(seq, step, f"{name}.safetensors", len(data), digest)
        replace(self.folder / manifest.file, data)  # without its manifest it counts for nothing
        replace(self.folder / f"{name}.json", encode(asdict(manifest)))
        self._good.add(manifest.file)
        return manifest

    def load(self, manifest: Manifest) -> tuple[dict[str, Tensor], dict] | None:
        """(tensors, meta); None, with a notice, where they are not what was saved."""
        path = self.folder / manifest.file
        try:
            data = read(path, min(manifest.size, FILE))
            if len(data) != manifest.size or hashlib.sha256(data).hexdigest() != manifest.sha256:
                raise RunError(f"{path} is damaged: its sha256 is not that of what was saved")
            tensors, notes = unpack(path, data)
            meta = parse_object(notes["meta"].encode())
            self._good.add(manifest.file)
            return tensors, meta
        except (AttributeError, KeyError, TypeError, RunError) as error:
            return self.notice(f"the checkpoint of step {manifest.step} is passed over: {error}")

    def prune(self, manifests: Sequence[Manifest], keep: Container[int]) -> None:
        """Removes what is ours but neither one of the last two good checkpoints nor of a step in `keep`.

        Nothing goes while there are not two good ones, and no name goes that is not ours.
        """
        good = []
        for manifest in reversed(manifests):
            if len(good) < 2 and (manifest.file in self._good or self.load(manifest)):
                good.append(manifest.file)
        if len(good) < 2:
            return
        wanted = {*good, *(manifest.file for manifest in manifests if manifest.step in keep)}
        for name in self._own():
            if f"{OWN.fullmatch(name)[1]}.safetensors" in wanted:
                continue
            try:
                os.unlink(self.folder / name)
            except OSError as error:  # a file too many stops no search
                self.notice(f"{self.folder / name} can't be removed: {error.strerror}")

    def _own(self) -> list[str]:
        if os.path.islink(self.folder):
            raise RunError(f"{self.folder} is a link; a run keeps its checkpoints in itself")
        with os_errors_as_run_errors(self.folder):
            if not self.folder.is_dir():
                return []
            return sorted(filter(OWN.fullmatch, os.listdir(self.folder)))
