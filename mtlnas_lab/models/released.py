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
from ..one_line import shown
from ..storage.yaml_files import read_yaml
from ..tasks.task import Normals, Segmentation
from .pretrained import is_there, read_file, state_dict, usable
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
        taken = {}
        for name, own in supernet.state_dict().items():
            there = names[name]
            taken[name] = usable(state[there].reshape(own.shape), own, there, "state dict")
        supernet.load_state_dict(taken)
        alphas = ArchitectureWeights(len(supernet.space))
        alphas.alpha.data = _alpha(state, supernet.space)
    except RunError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"this is not a state dict of the released two-task supernet ({shown(str(error).splitlines()[0])}); it has "
            "net1.stages.*, net1.head.*, paths.net1_paths.*, net1_alphas, and the same for net2"
        ) from None
    classes = supernet.backbones["segmentation"].head[-1].out_channels
    tasks = {
        "segmentation": Segmentation("segmentation", classes),
        "normals": Normals("normals", weight=20.0),
    }
    return Lab(tasks, supernet, alphas)


def _supernet(state: Mapping[str, Tensor], dropout: float) -> SuperNet:
    """A supernet of the sizes that these tensors say."""
    backbones = {task: _backbone(state, net, dropout) for net, task in NETS.items()}
    space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
    if "paths.net1_paths.0.a" in state:
        return SuperNet(backbones, space, CrossStitch)
    return SuperNet(backbones, space, NDDR)


def _found(sketch: SuperNet, state: Mapping[str, Tensor]) -> dict[str, str]:
    """{tensor of ours: its released name}. Raises ValueError where one is missing, of another shape, or mere repetition."""
    sketched = sketch.state_dict()
    names = {name: released_name(name, sketch.space) for name in sketched}
    memory = {}  # bytes, by where they lie
    needed = 0
    for name, there in names.items():
        ours = sketched[name].shape
        theirs = state[there].shape
        if [side for side in theirs if side != 1] != [side for side in ours if side != 1]:
            raise ValueError(f"{there} has the shape {tuple(theirs)}, not {tuple(ours)}")
        storage = state[there].untyped_storage()
        memory[storage.data_ptr()] = storage.nbytes()
        needed += state[there].numel() * state[there].element_size()
    if needed > sum(memory.values()):  # a small file could else ask for any amount of memory
        raise ValueError("its tensors repeat each other's numbers")
    return names


def _alpha(state: Mapping[str, Tensor], space: SearchSpace) -> Tensor:
    """α of all candidate edges, (E,)."""
    matrices = {task: _matrix(state, net, space) for net, task in NETS.items()}
    alpha = []
    for edge in space.edges:
        alpha.append(matrices[edge.target.task][edge.target.stage, edge.source.stage])
    return torch.stack(alpha)


def _matrix(state: Mapping[str, Tensor], net: str, space: SearchSpace) -> Tensor:
    """α of the edges into one network: a row for each of its stages, a column for each stage of the other."""
    name = f"{net}_alphas"
    sides = [len(stages) for stages in space.plans.values()]
    if list(state[name].shape) != sides:
        raise ValueError(f"{name} has the shape {tuple(state[name].shape)}, not {tuple(sides)}")
    return usable(state[name], torch.zeros(()), name, "state dict")


def _backbone(state: Mapping[str, Tensor], net: str, dropout: float):
    stages = _numbered(state, re.compile(rf"{net}\.stages\.(\d{{1,3}})\..*weight", re.A))
    convolutions = [value for values in stages.values() for value in values if value.ndim == 4]
    heads = _numbered(state, re.compile(rf"{net}\.head\.(\d{{1,3}})\.weight", re.A))
    first = heads[min(heads)][0]
    last = heads[max(heads)][0]
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
        match = form.fullmatch(name)
        if match:
            found.setdefault(int(match[1]), []).append(value)
    return dict(sorted(found.items()))


def released_name(name: str, space: SearchSpace) -> str:
    """Our name of a tensor -> the released one."""
    nets = {task: net for net, task in NETS.items()}
    part, rest = name.split(".", 1)
    if part == "backbones":
        task, kind, number, rest = rest.split(".", 3)
        if kind == "stages":
            return f"{nets[task]}.stages.{number}.feature.{rest}"
        return f"{nets[task]}.head.{number}.{rest}"
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
        raise ConfigError(
            "a released checkpoint comes without data; name a pack to score it on", hint="eval_data"
        )
    path = Path(pack_path)
    split = "test" if "test" in splits(path) else None
    pack = ImageDataset.load(path, split)
    classes = lab.tasks["segmentation"].channels
    key = None
    for task in ("seg40", "seg13", "segmentation"):  # the last that fits
        if task in pack.tasks and len(pack.labels.get(task, ())) == classes:
            key = task
    if key is None or "normals" not in pack.tasks:
        raise ConfigError(
            f"{path} cannot score this checkpoint: it needs normals and a segmentation of {classes} classes; "
            f"the pack has {', '.join(pack.tasks)}"
        )
    mean = pack.images.float().mean(
        (0, 2, 3), keepdim=True
    )  # the released code takes the data's own

    def batches():
        for index in torch.arange(len(pack)).split(batch_size):
            _, targets = pack.batch(index, (key, "normals"))
            targets["segmentation"] = targets.pop(key)
            yield pack.images[index].float() - mean, targets

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


SUPPORTED = {  # settings that name a variant, and the variants that are here
    ("ARCH", "SEARCHSPACE"): ("", "GeneralizedMTLNAS"),
    ("ARCH", "OPTIMIZER"): ("", "adam"),
    ("MODEL", "NDDR_TYPE"): ("", "cross_stitch"),
    ("MODEL", "NDDR_BN_TYPE"): ("default",),
    ("MODEL", "BACKBONE"): ("VGG16", "VGG16_13_Stage"),
    ("TRAIN", "SCHEDULE"): ("Poly",),
    ("TRAIN", "WARMUP"): (0,),
    ("MODEL", "ZERO_BATCH_NORM_GAMMA"): (False,),
}


RENAMED = {  # fields of SearchConfig that take a released setting as it is
    "steps": ("TRAIN", "STEPS"),
    "batch_size": ("TRAIN", "BATCH_SIZE"),
    "weight_lr": ("TRAIN", "LR"),
    "weight_decay": ("TRAIN", "WEIGHT_DECAY"),
    "momentum": ("TRAIN", "MOMENTUM"),
    "lr_power": ("TRAIN", "POWER"),
    "fusion_lr_factor": ("TRAIN", "NDDR_FACTOR"),
    "last_weight_lr_factor": ("TRAIN", "FC8_WEIGHT_FACTOR"),
    "last_bias_lr_factor": ("TRAIN", "FC8_BIAS_FACTOR"),
    "evaluate_every": ("TRAIN", "EVAL_INTERVAL"),
    "alpha_lr": ("ARCH", "LR"),
    "alpha_weight_decay": ("ARCH", "WEIGHT_DECAY"),
    "l1_by_cost": ("ARCH", "WEIGHTED_L1"),
    "weight_share": ("ARCH", "TRAIN_SPLIT"),
    "redraw": ("ARCH", "MIXED_DATA"),
}


def read_released(path: str | Path) -> ReleasedConfig:
    """Everything that a YAML file of the released code says. Raises ConfigError, with the key, for what it cannot mean."""
    settings = _settings(path)
    for (section, key), supported in SUPPORTED.items():
        value = settings[section][key]
        if value not in supported:
            raise ConfigError(
                f"{shown(path)}: {section}.{key} = {_told(value)} is not supported here; "
                f"supported: {', '.join(map(repr, supported))}"
            )
    model = settings["MODEL"]
    return ReleasedConfig(
        search=_search_config(settings),
        fusion_start=tuple(model["INIT"]) or None,
        classes=(model["NET1_CLASSES"], model["NET2_CLASSES"]),
        normals_weight=settings["TRAIN"]["TASK2_FACTOR"],
        baseline=_baseline(settings["ARCH"], model),
    )


def _search_config(settings: Mapping) -> SearchConfig:
    """The settings of a search, out of the sections of a file."""
    arch = settings["ARCH"]
    taken = {field: settings[section][key] for field, (section, key) in RENAMED.items()}
    period = tuple(arch["TEMPERATURE_PERIOD"])
    taken["temperature"] = Schedule(0.0, arch["INIT_TEMP"], period, arch["TEMPERATURE_POWER"])
    taken["entropy_weight"] = _ramp(arch, "ENTROPY")
    taken["l1_weight"] = _ramp(arch, "L1", arch["L1_OFF"])
    return SearchConfig(
        **taken,
        seed=settings["SEED"],
        optimizer="sgd",  # no setting chooses it in the released code
        alpha_betas=(0.5, 0.999),  # nor these
        alpha_gates=_gates(arch["HARD_ARCH_TRAINING"]),
        weight_gates=_gates(arch["HARD_WEIGHT_TRAINING"]),
    )


def _gates(hard: bool) -> str:
    """The kind of gates that the released word "hard" means."""
    if hard:
        return "stochastic"
    return "deterministic"


def _ramp(arch: Mapping, name: str, off_afterwards: bool = False) -> Schedule:
    """The weight of a regularizer: from 0 up over a part of the search, after which it stays or is switched off."""
    if not arch[f"{name}_REGULARIZATION"]:
        return Schedule.constant(0.0)
    end = float(arch[f"{name}_REGULARIZATION_WEIGHT"])
    afterwards = 0.0 if off_afterwards else None
    return Schedule(end, 0.0, tuple(arch[f"{name}_PERIOD"]), 1.0, afterwards)


def read_config(path: str | Path) -> SearchConfig:
    """The `SearchConfig` of a released YAML file: of a search, or of its supernet with all edges on.

    Raises ConfigError for the file of another baseline; `read_released` reads those too.
    """
    asked = read_released(path)
    if asked.baseline not in (None, "all_edges"):
        raise ConfigError(
            f"{shown(path)} asks for the baseline {asked.baseline}, which is not a search; "
            "train it as Experiment.released says",
            hint="released_config",
        )
    if asked.baseline == "all_edges":
        return replace(asked.search, alpha_gates="all_open", weight_gates="all_open")
    return asked.search


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
    if model["BACKBONE"] == "VGG16_13_Stage":
        return "nddr_every_stage"
    return "nddr_group_ends"


def _settings(path: str | Path) -> dict:
    """The sections of a file, checked against DEFAULTS, with those where it is silent."""
    given = read_yaml(path, what="configuration file")
    path = shown(path)
    seed = given.get("SEED", 1)
    settings = copy.deepcopy(DEFAULTS) | {"SEED": _alike(path, "SEED", seed, 1)}
    for section in DEFAULTS:
        own = given.get(section) or {}
        if not isinstance(own, Mapping):
            raise ConfigError(
                f"{path}: {section} = {_told(own)} is not a section; it holds settings, one a line"
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
        if inner:
            texts = (inner[1] or inner[2] or "").split(",")
            parts = [text for text in texts if text.strip()]
    if not isinstance(parts, list | tuple):
        raise ConfigError(
            f"{path}: {key} = {_told(value)} is not a pair of numbers; write it as (1.0, 0.0)"
        )
    allowed = [0, 2] if key == "MODEL.INIT" else [2]
    if len(parts) not in allowed:
        raise ConfigError(f"{path}: {key} = {_told(value)} should hold two numbers")
    return tuple(_number(path, key, part, -MOST) for part in parts)


def _number(path: str, key: str, value: Any, least: int = 0) -> float:
    """Also of text, for YAML takes 1e-2 for text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not least <= number <= MOST:
        raise ConfigError(
            f"{path}: {key} = {_told(value)} is not a number from {least:,} to {MOST:,}"
        )
    return number


def _told(value: Any) -> str:
    """A value of a file, short."""
    if isinstance(value, str):
        return repr(shown(value))
    return shown(reprlib.repr(value))
