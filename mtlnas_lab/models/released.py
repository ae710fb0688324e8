"""Reads what the released MTL-NAS implementation wrote: its checkpoints and its configuration files.

Facts about it: PAPERS.md 1 and 3 [C]. `net1` is segmentation, `net2` is normals; α matrices have target rows.
"""

from __future__ import annotations

import copy
import math
import re
import reprlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.config import SearchConfig
from ..core.evaluate import evaluate
from ..core.fusion import NDDR, CrossStitch
from ..core.lab import Lab
from ..core.relaxation import ArchitectureWeights
from ..core.schedule import Schedule
from ..core.space import SearchSpace
from ..core.supernet import SuperNet
from ..data.dataset import ImageDataset
from ..data.npz import splits
from ..errors import ConfigError, RunError
from ..storage.yaml_files import read_yaml
from ..tasks.task import Normals, Segmentation
from .pretrained import is_there, read_file, shown, state_dict, usable
from .vgg import vgg16

NETS = {"net1": "segmentation", "net2": "normals"}


LIMIT = 2 * 2**30  # bytes of a checkpoint


MOST = 1_000_000_000  # of a setting


WIDEST = 8192  # channels of a layer


SECOND = re.compile(r"net[12]\.features\.")  # other names of what has one already


def from_released(state: Mapping[str, Tensor], dropout: float = 0.5) -> Lab:
    """A lab with the weights and α of a state dict in the released names (tensors or arrays).

    Widths and numbers of classes follow from the shapes; a `module.` prefix and the second names `net?.features.*` are
    accepted. Raises RunError for a state dict of something else.
    """
    try:
        state = {name.removeprefix("module."): torch.as_tensor(x) for name, x in state.items()}
        state = {name: x for name, x in state.items() if not SECOND.match(name)}
        with torch.device("meta"):  # shapes are compared before anything is made
            sketch = _supernet(state, dropout)
        names = _found(sketch, state)
        supernet = _supernet(state, dropout)
        own = supernet.state_dict()
        taken = {name: state[there].reshape(own[name].shape) for name, there in names.items()}
        taken = {name: usable(x, own[name], names[name], "state dict") for name, x in taken.items()}
        supernet.load_state_dict(taken)
        space, alphas = supernet.space, ArchitectureWeights(len(supernet.space))
        matrices = {task: _matrix(state, net, space) for net, task in NETS.items()}
        alphas.alpha.data = torch.stack(
            [matrices[e.target.task][e.target.stage, e.source.stage] for e in space.edges]
        )
    except RunError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"this is no state dict of the released two-task supernet ({shown(str(error).splitlines()[0])}); it has "
            "net1.stages.*, net1.head.*, paths.net1_paths.*, net1_alphas, and the same for net2"
        ) from None
    tasks = {
        "segmentation": Segmentation(
            "segmentation", supernet.backbones["segmentation"].head[-1].out_channels
        ),
        "normals": Normals("normals", weight=20.0),
    }
    return Lab(tasks, supernet, alphas)


def _supernet(state: Mapping[str, Tensor], dropout: float) -> SuperNet:
    """A supernet of the sizes that these tensors say."""
    backbones = {task: _backbone(state, net, dropout) for net, task in NETS.items()}
    space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
    crossed = "paths.net1_paths.0.a" in state
    return SuperNet(backbones, space, CrossStitch if crossed else NDDR)


def _found(sketch: SuperNet, state: Mapping[str, Tensor]) -> dict[str, str]:
    """{tensor of ours: its released name}. Raises ValueError where one is missing, of another shape, or mere repetition."""
    names = {name: released_name(name, sketch.space) for name in sketch.state_dict()}
    memory, needed = {}, 0
    for name, there in names.items():
        ours, theirs = sketch.state_dict()[name].shape, state[there].shape
        if [side for side in theirs if side != 1] != [side for side in ours if side != 1]:
            raise ValueError(f"{there} has the shape {tuple(theirs)}, not {tuple(ours)}")
        storage = state[there].untyped_storage()
        memory[storage.data_ptr()] = storage.nbytes()
        needed += state[there].numel() * state[there].element_size()
    if needed > sum(memory.values()):
        raise ValueError("its tensors repeat each other's numbers")
    return names


def _matrix(state: Mapping[str, Tensor], net: str, space: SearchSpace) -> Tensor:
    """α of the edges into one network: a row for each of its stages, a column for each stage of the other."""
    name, sides = f"{net}_alphas", [len(stages) for stages in space.plans.values()]
    if list(state[name].shape) != sides:
        raise ValueError(f"{name} has the shape {tuple(state[name].shape)}, not {tuple(sides)}")
    return usable(state[name], torch.zeros(()), name, "state dict")


def _backbone(state: Mapping[str, Tensor], net: str, dropout: float):
    stages = _numbered(state, re.compile(rf"{net}\.stages\.(\d{{1,3}})\..*weight", re.A))
    convolutions = [value for values in stages.values() for value in values if value.ndim == 4]
    heads = _numbered(state, re.compile(rf"{net}\.head\.(\d{{1,3}})\.weight", re.A))
    first, last = heads[min(heads)][0], heads[max(heads)][0]
    widths = [value.shape[0] for value in convolutions]
    if not all(1 <= width <= WIDEST for width in (*widths, first.shape[0], last.shape[0])):
        raise ValueError(f"{net} has layers of 0, or of more than {WIDEST} channels")
    if NETS[net] == "normals" and last.shape[0] != Normals.channels:
        raise ValueError(f"the head of {net} has {last.shape[0]} channels, normals have 3")
    return vgg16(last.shape[0], widths=widths, hidden=first.shape[0], dropout=dropout)


def _numbered(state: Mapping[str, Tensor], form: re.Pattern) -> dict[int, list[Tensor]]:
    """The tensors whose names have this form, by the number in it."""
    found: dict[int, list[Tensor]] = {}
    for name, value in state.items():
        if match := form.fullmatch(name):
            found.setdefault(int(match[1]), []).append(value)
    return dict(sorted(found.items()))


def released_name(name: str, space: SearchSpace) -> str:
    """Our name of a tensor -> the released one."""
    nets = {task: net for net, task in NETS.items()}
    part, rest = name.split(".", 1)
    if part == "backbones":
        task, kind, number, rest = rest.split(".", 3)
        return (
            f"{nets[task]}.stages.{number}.feature.{rest}"
            if kind == "stages"
            else f"{nets[task]}.head.{number}.{rest}"
        )
    node, rest = rest.split(".", 1)
    task, stage = node.split(":")
    return f"paths.{nets[task]}_paths.{stage}." + rest.replace("norm.", "bn.").replace("mix", "a")


class _Ignored:
    """Stands in for what a released checkpoint holds beside its tensors: takes everything, keeps nothing, runs nothing."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, _):
        pass


class _Section:
    """Stands in for a section of its configuration, which becomes a plain dictionary."""

    def __new__(cls, *_):
        return OrderedDict()


BESIDE = [(_Section, "yacs.config.CfgNode")] + [
    (_Ignored, name)
    for name in (
        "numpy.dtype",
        "_codecs.encode",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
    )
]


def load_checkpoint(path: str | Path, dropout: float = 0.5) -> Lab:
    """A lab from a released `.pth` file. Read with weights_only=True: a file that wants to run code is refused (RunError)."""
    path = Path(path)
    if not is_there(path):
        raise RunError(f"there is no checkpoint {shown(path)!r}")
    content = read_file(path, LIMIT, BESIDE)
    return from_released(state_dict(content, path.name), dropout)


def scores(lab: Lab, pack_path: str | Path | None, batch_size: int = 16) -> dict[str, dict]:
    """Scores of a released network on a pack, under its architecture: images as 0–255 less the pack's mean colour.

    Its normals were learnt from undecoded colours (PAPERS.md P1), so its angles do not mean what ours mean.
    """
    if pack_path is None:
        raise ConfigError("a released checkpoint comes without data; name a pack with --eval-data")
    path = Path(pack_path)
    pack = ImageDataset.load(path, "test" if "test" in splits(path) else None)
    classes = lab.tasks["segmentation"].channels
    key = next(
        (
            task
            for task in ("segmentation", "seg13", "seg40")
            if task in pack.tasks and len(pack.labels.get(task, ())) == classes
        ),
        None,
    )
    if key is None or "normals" not in pack.tasks:
        raise ConfigError(
            f"{path} cannot score this checkpoint: it needs normals and a segmentation of {classes} classes; "
            f"the pack has {', '.join(pack.tasks)}"
        )
    mean = pack.images.float().mean((0, 2, 3), keepdim=True)

    def batches():
        for index in torch.arange(len(pack)).split(batch_size):
            _, targets = pack.batch(index, (key, "normals"))
            yield (
                pack.images[index].float() - mean,
                {"segmentation": targets[key], "normals": targets["normals"]},
            )

    return {"hard": evaluate(lab.supernet, lab.derive().kept, lab.tasks, batches())}


# --- configuration files ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ReleasedConfig:
    """What a released YAML file asks for: the search's settings, the fusion's start, and which baseline if it is none."""

    search: SearchConfig
    fusion_start: tuple[float, float] | None
    classes: tuple[int, int]
    normals_weight: float
    baseline: str | None  # None: a search


DEFAULTS = {  # of the released code, where they matter here
    "ARCH": {
        "SEARCHSPACE": "",
        "TRAIN_SPLIT": 0.5,
        "MIXED_DATA": True,
        "OPTIMIZER": "",
        "LR": 3e-3,
        "WEIGHT_DECAY": 1e-3,
        "INIT_TEMP": 1.0,
        "TEMPERATURE_POWER": 2.0,
        "TEMPERATURE_PERIOD": (0.0, 1.0),
        "ENTROPY_REGULARIZATION": False,
        "ENTROPY_PERIOD": (0.0, 1.0),
        "ENTROPY_REGULARIZATION_WEIGHT": 10.0,
        "L1_REGULARIZATION": False,
        "L1_OFF": False,
        "WEIGHTED_L1": False,
        "L1_PERIOD": (0.0, 1.0),
        "L1_REGULARIZATION_WEIGHT": 5.0,
        "HARD_WEIGHT_TRAINING": True,
        "HARD_ARCH_TRAINING": True,
        "HARD_EVAL": True,
        "STOCHASTIC_EVAL": False,
    },
    "MODEL": {
        "SINGLETASK": False,
        "SHAREDFEATURE": False,
        "SUPERNET": False,
        "BACKBONE": "VGG16_13_Stage",
        "INIT": (0.9, 0.1),
        "NDDR_TYPE": "",
        "NDDR_BN_TYPE": "default",
        "ZERO_BATCH_NORM_GAMMA": False,
        "BATCH_NORM_MOMENTUM": 0.05,
        "NET1_CLASSES": 40,
        "NET2_CLASSES": 3,
    },
    "TRAIN": {
        "BATCH_SIZE": 10,
        "STEPS": 20001,
        "WARMUP": 0,
        "LR": 1e-3,
        "MOMENTUM": 0.9,
        "WEIGHT_DECAY": 2.5e-4,
        "POWER": 0.9,
        "NDDR_FACTOR": 100.0,
        "FC8_WEIGHT_FACTOR": 10.0,
        "FC8_BIAS_FACTOR": 20.0,
        "TASK2_FACTOR": 20.0,
        "SCHEDULE": "Poly",
        "EVAL_INTERVAL": 1000,
    },
}


def read_released(path: str | Path) -> ReleasedConfig:
    """Everything that a YAML file of the released code says. Raises ConfigError, with the key, for what it cannot mean."""
    path, settings = shown(path), _settings(path)
    arch, model, train = settings["ARCH"], settings["MODEL"], settings["TRAIN"]
    for section, key, supported in (
        ("ARCH", "SEARCHSPACE", ("", "GeneralizedMTLNAS")),
        ("ARCH", "OPTIMIZER", ("", "adam")),
        ("MODEL", "NDDR_TYPE", ("", "cross_stitch")),
        ("MODEL", "NDDR_BN_TYPE", ("default",)),
        ("MODEL", "BACKBONE", ("VGG16", "VGG16_13_Stage")),
        ("TRAIN", "SCHEDULE", ("Poly",)),
        ("TRAIN", "WARMUP", (0,)),
        ("MODEL", "ZERO_BATCH_NORM_GAMMA", (False,)),
    ):
        if settings[section][key] not in supported:
            raise ConfigError(
                f"{path}: {section}.{key} = {_told(settings[section][key])} is not supported here; "
                f"supported: {', '.join(map(repr, supported))}"
            )

    def weight(on: bool, end: float, period, off: bool = False) -> Schedule:
        return (
            Schedule(float(end), 0.0, tuple(period), 1.0, 0.0 if off else None)
            if on
            else Schedule.constant(0.0)
        )

    search = SearchConfig(
        steps=train["STEPS"],
        batch_size=train["BATCH_SIZE"],
        seed=settings["SEED"],
        optimizer="sgd",
        weight_lr=train["LR"],
        weight_decay=train["WEIGHT_DECAY"],
        momentum=train["MOMENTUM"],
        lr_power=train["POWER"],
        fusion_lr_factor=train["NDDR_FACTOR"],
        last_weight_lr_factor=train["FC8_WEIGHT_FACTOR"],
        last_bias_lr_factor=train["FC8_BIAS_FACTOR"],
        alpha_lr=arch["LR"],
        alpha_betas=(0.5, 0.999),
        alpha_weight_decay=arch["WEIGHT_DECAY"],
        alpha_gates="stochastic" if arch["HARD_ARCH_TRAINING"] else "deterministic",
        weight_gates="stochastic" if arch["HARD_WEIGHT_TRAINING"] else "deterministic",
        entropy_weight=weight(
            arch["ENTROPY_REGULARIZATION"],
            arch["ENTROPY_REGULARIZATION_WEIGHT"],
            arch["ENTROPY_PERIOD"],
        ),
        l1_weight=weight(
            arch["L1_REGULARIZATION"],
            arch["L1_REGULARIZATION_WEIGHT"],
            arch["L1_PERIOD"],
            arch["L1_OFF"],
        ),
        l1_by_cost=arch["WEIGHTED_L1"],
        temperature=Schedule(
            0.0, arch["INIT_TEMP"], tuple(arch["TEMPERATURE_PERIOD"]), arch["TEMPERATURE_POWER"]
        ),
        weight_share=arch["TRAIN_SPLIT"],
        redraw=arch["MIXED_DATA"],
        evaluate_every=train["EVAL_INTERVAL"],
    )
    return ReleasedConfig(
        search,
        tuple(model["INIT"]) or None,
        (model["NET1_CLASSES"], model["NET2_CLASSES"]),
        train["TASK2_FACTOR"],
        _baseline(arch, model),
    )


def read_config(path: str | Path) -> SearchConfig:
    """The `SearchConfig` of a released YAML file: of a search, or of its supernet with all edges on.

    Raises ConfigError for the file of another baseline; `read_released` reads those too.
    """
    asked = read_released(path)
    if asked.baseline not in (None, "all_edges"):
        raise ConfigError(
            f"{shown(path)} asks for the baseline {asked.baseline}, which is no search; "
            "train it with `mtlnas-lab search --released-config`"
        )
    return (
        asked.search
        if asked.baseline is None
        else replace(asked.search, alpha_gates="all_open", weight_gates="all_open")
    )


def _baseline(arch: Mapping, model: Mapping) -> str | None:
    if model["SINGLETASK"]:
        return "single_task"
    if model["SHAREDFEATURE"]:
        return "shared_trunk"
    if model["SUPERNET"]:
        return "all_edges"
    if arch["SEARCHSPACE"]:
        return None
    if model["NDDR_TYPE"] == "cross_stitch":
        return "cross_stitch"
    return "nddr_every_stage" if model["BACKBONE"] == "VGG16_13_Stage" else "nddr_group_ends"


def _settings(path: str | Path) -> dict:
    """The sections of a file, checked against DEFAULTS, with those where it is silent."""
    given, path = read_yaml(path, what="configuration file"), shown(path)
    seed = given.get("SEED", 1)
    settings = copy.deepcopy(DEFAULTS) | {"SEED": _alike(path, "SEED", seed, 1)}
    for section in DEFAULTS:
        own = given.get(section) or {}
        if not isinstance(own, Mapping):
            raise ConfigError(
                f"{path}: {section} = {_told(own)} is no section; it holds settings, one a line"
            )
        for key, value in own.items():
            default = DEFAULTS[section].get(key)
            if default is not None:
                settings[section][key] = _alike(path, f"{section}.{key}", value, default)
    return settings


def _alike(path: str, key: str, value: Any, default: Any) -> Any:
    """A value of a default's type, finite and not below 0. Raises ConfigError."""
    if isinstance(default, tuple):
        return _pair(path, key, value)
    if isinstance(default, float):
        return _number(path, key, value)
    if type(value) is not type(default):
        raise ConfigError(f"{path}: {key} = {_told(value)} should be of the kind of {default!r}")
    if type(value) is int and not 0 <= value < 2**63:
        raise ConfigError(f"{path}: {key} = {value} should be from 0 to {2**63 - 1}")
    return value


def _pair(path: str, key: str, value: Any) -> tuple[float, ...]:
    """`(1.0, 0.0)` is a string to a YAML parser; `()` means random where it is a start."""
    parts = value
    if isinstance(value, str):
        inner = re.fullmatch(r"\s*(?:\(([^()\[\]]*)\)|\[([^()\[\]]*)\])\s*", value)
        parts = inner and [part for part in (inner[1] or inner[2] or "").split(",") if part.strip()]
    if not isinstance(parts, list | tuple):
        raise ConfigError(
            f"{path}: {key} = {_told(value)} is no pair of numbers; write it as (1.0, 0.0)"
        )
    if len(parts) not in ((0, 2) if key == "MODEL.INIT" else (2,)):
        raise ConfigError(f"{path}: {key} = {_told(value)} should hold two numbers")
    return tuple(_number(path, key, part, -MOST) for part in parts)


def _number(path: str, key: str, value: Any, least: int = 0) -> float:
    """Also of text, for YAML takes 1e-2 for text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not least <= number <= MOST:
        raise ConfigError(f"{path}: {key} = {_told(value)} is no number from {least:,} to {MOST:,}")
    return number


def _told(value: Any) -> str:
    """A value of a file, short."""
    return shown(reprlib.repr(value)) if not isinstance(value, str) else repr(shown(value))
