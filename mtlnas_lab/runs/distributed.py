"""One search on several processes and machines: started by torchrun, held together by Lightning Fabric (extra `scale`).

Every process has the same networks and α and works on its part of each batch. Gradients of α and w are averaged on the bare
modules, once a step: through DDP, `autograd.grad` is not averaged at all (measured; PyTorch documents it for DDP's hooks). Gates are drawn by
equal generators, hence the same everywhere. All processes evaluate, on the same images: batch norm that is recalibrated over GPUs
needs every one of them. The leader, rank 0, alone writes the run folder.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from ..core.communicator import SingleProcess
from ..core.events import Checkpoint
from ..core.lab import Lab
from ..core.supernet import images_in
from ..cores import processes
from ..errors import ConfigError, MTLNASError, RunError

READ = ("checkpoints", "load_checkpoint")  # what the leader gets, all get

WRITTEN = ("append", "resumed", "notice", "hear", "write_json", "save_weights", "write", "sync")


class FabricCommunicator(SingleProcess):
    """The processes that torchrun started, through Lightning Fabric."""

    def __init__(self, device: str = "auto"):
        try:
            from lightning.fabric import Fabric
        except ImportError:
            try:
                from lightning_fabric import Fabric
            except ImportError:
                raise ConfigError(
                    "several processes need the extra `scale`: pip install mtlnas-lab[scale]"
                ) from None
        local = processes("LOCAL_WORLD_SIZE")
        kind = device.partition(":")[0]
        if device == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        gpus = torch.cuda.device_count()
        if kind == "cuda" and gpus < local:
            advice = f"start {gpus or 1}"
            hint = f"nproc_per_node={gpus or 1}"  # a setting of torchrun
            if not gpus:
                advice += " on the device cpu"
                hint += ", device=cpu"
            raise ConfigError(
                f"torchrun started {local} processes here, but there are {gpus} GPUs; {advice}",
                hint=hint,
            )
        # lightning.fabric and lightning_fabric are one library under two names
        for name in ("lightning.fabric", "lightning_fabric"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.fabric = Fabric(
            accelerator=kind,
            devices=local,
            num_nodes=max(1, processes("WORLD_SIZE") // local),
            strategy="ddp",
        )
        self.fabric.launch()
        self.rank = self.fabric.global_rank
        self.world_size = self.fabric.world_size

    def device(self, name: str) -> torch.device:
        return self.fabric.device

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        with _others_are_there():
            torch.distributed.all_reduce(flat)
        parts = (flat / self.world_size).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts):
            tensor.copy_(part.view(tensor.shape))

    def broadcast(self, value):
        held = [value if self.is_main_process else None]
        with _others_are_there():
            torch.distributed.broadcast_object_list(held, 0)
        return held[0]

    def shard(self, batches: Iterator) -> Iterator:
        return Part(batches, self.rank, self.world_size)

    def folder(self, make: Callable) -> Folder:
        return Folder(self.led(make, tell=False), self)

    def led(self, act: Callable, tell: bool = True):
        """What the leader gets from `act`, for every process (tell=False: for the leader alone). A MTLNASError that it
        meets, all raise, so that none of them waits for an answer."""
        value = None
        error = None
        if self.is_main_process:
            try:
                value = act()
            except MTLNASError as met:
                error = met
        shared, error = self.broadcast((value if tell else None, error))
        if error is not None:
            raise error
        return shared if tell else value

    def check_in_sync(self, lab: Lab, settings=None) -> Lab:
        """The lab, with batch norm over all processes where there are GPUs (torch has none on CPU).

        Raises ConfigError where the processes did not make the same networks, or have other settings.
        """
        networks = _fingerprint(lab)
        if networks != self.broadcast(networks):
            raise ConfigError(
                f"process {self.rank} made other networks than process 0; give all of them the same settings, data and versions"
            )
        mine = _shown(settings)
        others = _shown(self.broadcast(settings))
        different = []
        for field, value in mine.items():
            if value != others[field]:
                different.append(f"{field} = {value} here, {others[field]} there")
        if different:
            raise ConfigError(
                f"process {self.rank} has other settings than process 0 ({'; '.join(different)}); give all of them the same"
            )
        if lab.device.type == "cuda":
            lab.supernet = nn.SyncBatchNorm.convert_sync_batchnorm(lab.supernet)
        return lab


def _fingerprint(lab: Lab) -> str:
    """Short, and another one for other networks: names, shapes and sums of all tensors, and the space."""
    sums = []
    for name, tensor in sorted(lab.supernet.state_dict().items()):
        sums.append((name, tuple(tensor.shape), float(tensor.double().sum())))
    said = repr((lab.space.to_json(), sums))
    return hashlib.sha256(said.encode()).hexdigest()[:12]


def _shown(settings) -> dict[str, str]:
    """{field: value} of settings, to be compared and told."""
    if settings is None:
        return {}
    return {field: repr(value) for field, value in vars(settings).items()}


@contextmanager
def _others_are_there():
    """A process that has died ends the run cleanly: what the leader has saved is where it goes on."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            f"another process of this run has gone ({str(error).splitlines()[0][:80]}…); resume the run",
            hint="resume",
        ) from None


class Part:
    """Every world-th image of each batch, from `rank` on; where networks see different ones, of each of them."""

    def __init__(self, batches: Iterator, rank: int, world_size: int):
        self.batches = batches
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Part:
        return self

    def __next__(self):
        seen, targets = next(self.batches)
        count = images_in(seen)
        if count % self.world_size:  # each process's mean counts as much as another's
            raise ConfigError(
                f"a batch of {count} images cannot be shared by {self.world_size} processes; give a batch_size of "
                f"{self.world_size} or a multiple of it"
            )
        mine = slice(self.rank, None, self.world_size)
        if isinstance(seen, Tensor):
            part = seen[mine]
        else:
            part = {task: image[mine] for task, image in seen.items()}
        return part, {task: target[mine] for task, target in targets.items()}

    @property
    def position(self):
        return self.batches.position

    @position.setter
    def position(self, value) -> None:
        self.batches.position = value


class Folder:
    """The leader's run folder as every process sees it: what is read is agreed on, what is written is written once."""

    def __init__(self, run, communicator: FabricCommunicator):
        self._run = run  # None in all processes but the leader
        self._communicator = communicator
        self.requests_read = 0
        self.path = communicator.broadcast(run and run.path)
        self.config = communicator.broadcast(run and run.config)

    def __getattr__(self, name: str):
        if name in WRITTEN:
            return getattr(self._run, name) if self._run else lambda *_, **__: None
        if name in READ:
            return lambda *args: self._communicator.led(lambda: getattr(self._run, name)(*args))
        raise AttributeError(name)

    @property
    def log(self) -> SimpleNamespace:
        said = None
        if self._run:
            log = self._run.log
            said = {"finished": log.finished, "events": bool(log.events)}
            said["evaluated"] = log.evaluated[-2:]
        return SimpleNamespace(**self._communicator.broadcast(said))

    def requests(self) -> list[dict]:
        """What viewers left; the leader turns the knobs, and the search tells the others."""
        if self._run is None:
            return []
        asked = self._run.requests()
        self.requests_read = self._run.requests_read
        return asked

    def save_checkpoint(self, step: int, tensors, meta, keep=()) -> Checkpoint:
        if self._run:
            return self._run.save_checkpoint(step, tensors, meta, keep=keep)
        return Checkpoint(step=step, file="", sha256="")

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *error) -> None:
        if self._run:
            self._run.__exit__(*error)
