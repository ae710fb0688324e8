"""Reads what the released MTL-NAS implementation wrote: its checkpoints and its configuration files.

Facts about it: PAPERS.md 1 and 3 [C]. `net1` is segmentation, `net2` is normals; α matrices have target rows.
"""

from __future__ import annotations

import ast
import copy
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from .backbones import vgg16
from .config import SearchConfig
from .data import Pack
from .errors import ConfigError, RunError
from .evaluate import evaluate
from .fusion import NDDR, CrossStitch
from .lab import Lab
from .packfile import splits
from .relaxation import ArchitectureWeights, Schedule
from .space import SearchSpace
from .supernet import SuperNet
from .tasks import Normals, Segmentation

NETS = {"net1": "segmentation", "net2": "normals"}
LIMIT = 2 * 2**30


def from_released(state: Mapping[str, Tensor], dropout: float = 0.5) -> Lab:
    """A lab with the weights and α of a state dict in the released names (tensors or arrays).

    Widths and numbers of classes follow from the shapes; a `module.` prefix and the second names `net?.features.*` are
    accepted. Raises RunError for a state dict of something else.
    """
    state = {name.removeprefix("module."): torch.as_tensor(value) for name, value in state.items()}
    state = {
        name: value for name, value in state.items() if not re.match(r"net[12]\.features\.", name)
    }
    try:
        backbones = {task: _backbone(state, net, dropout) for net, task in NETS.items()}
        space = SearchSpace.build({task: backbone.plan for task, backbone in backbones.items()})
        crossed = "paths.net1_paths.0.a" in state
        supernet = SuperNet(backbones, space, CrossStitch if crossed else NDDR)
        wanted = {name: released_name(name, space) for name in supernet.state_dict()}
        supernet.load_state_dict(
            {
                name: state[released].reshape(supernet.state_dict()[name].shape)
                for name, released in wanted.items()
            }
        )
        alphas = ArchitectureWeights(len(space))
        matrices = {task: state[f"{net}_alphas"] for net, task in NETS.items()}
        alphas.alpha.data = torch.stack(
            [matrices[e.target.task][e.target.stage, e.source.stage] for e in space.edges]
        )
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise RunError(
            f"this is no state dict of the released two-task supernet ({str(error).splitlines()[0]}); it has net1.stages.*, "
            "net1.head.*, paths.net1_paths.*, net1_alphas, and the same for net2"
        ) from None
    tasks = {
        "segmentation": Segmentation(
            "segmentation", backbones["segmentation"].head[-1].out_channels
        ),
        "normals": Normals("normals", weight=20.0),
    }
    return Lab(tasks, supernet, alphas)


def _backbone(state: Mapping[str, Tensor], net: str, dropout: float):
    convolutions = [
        value
        for name, value in sorted(
            (
                (n, v)
                for n, v in state.items()
                if re.match(rf"{net}\.stages\.\d+\..*weight$", n) and v.ndim == 4
            ),
            key=lambda item: int(item[0].split(".")[2]),
        )
    ]
    head = {
        int(name.split(".")[2]): value
        for name, value in state.items()
        if re.match(rf"{net}\.head\.\d+\.weight$", name)
    }
    return vgg16(
        len(head[max(head)]),
        widths=[len(w) for w in convolutions],
        hidden=len(head[min(head)]),
        dropout=dropout,
    )


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
    if not path.is_file():
        raise RunError(f"there is no checkpoint {str(path)!r}")
    if path.stat().st_size > LIMIT:
        raise RunError(
            f"{str(path)!r} has {path.stat().st_size:,} bytes; checkpoints of the released code stay below {LIMIT:,}"
        )
    try:
        with torch.serialization.safe_globals(BESIDE):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that it will not read
        raise RunError(
            f"{str(path)!r} was refused: it is no file of plain tensors ({type(error).__name__}); nothing in it was run"
        ) from None
    for key in ("model_state_dict", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise RunError(
            f"{str(path)!r} holds no state dict; a released checkpoint maps parameter names to tensors"
        )
    return from_released(content, dropout)


def scores(lab: Lab, pack_path: str | Path | None, batch_size: int = 16) -> dict[str, dict]:
    """Scores of a released network on a pack, under its architecture: images as 0–255 less the pack's mean colour.

    Its normals were learnt from undecoded colours (PAPERS.md P1), so its angles do not mean what ours mean.
    """
    if pack_path is None:
        raise ConfigError("a released checkpoint comes without data; name a pack with --eval-data")
    path = Path(pack_path)
    pack = Pack.load(path, "test" if "test" in splits(path) else None)
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
    settings = _read_yaml(Path(path))
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
                f"{path}: {section}.{key} = {settings[section][key]!r} is not supported here; "
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
            f"{path} asks for the baseline {asked.baseline}, which is no search; "
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


def _read_yaml(path: Path) -> dict:
    import yaml

    if not path.is_file():
        raise ConfigError(f"there is no configuration file {str(path)!r}")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML file: {str(error).splitlines()[0]}") from None
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{path} holds no sections; a released configuration has ARCH, MODEL and TRAIN"
        )
    settings = copy.deepcopy(DEFAULTS) | {"SEED": given.get("SEED", 1)}
    for section in DEFAULTS:
        if not isinstance(given.get(section) or {}, Mapping):
            raise ConfigError(
                f"{path}: {section} = {given[section]!r} is no section; it holds settings, one a line"
            )
        for key, value in (given.get(section) or {}).items():
            default = DEFAULTS[section].get(key)
            if isinstance(default, tuple):
                value = _tuple(path, f"{section}.{key}", value)
            elif isinstance(default, float) and isinstance(value, str | int):
                value = _number(path, f"{section}.{key}", value)
            if default is not None and not isinstance(value, type(default)):
                raise ConfigError(
                    f"{path}: {section}.{key} = {value!r} should be of the kind of {default!r}"
                )
            settings[section][key] = value
    return settings


def _tuple(path: Path, key: str, value) -> tuple[float, ...]:
    """`(1.0, 0.0)` is a string to a YAML parser; `()` means random where it is a start."""
    try:
        parsed = tuple(
            float(v) for v in (ast.literal_eval(value) if isinstance(value, str) else value)
        )
    except (ValueError, SyntaxError, TypeError):
        raise ConfigError(
            f"{path}: {key} = {value!r} is no pair of numbers; write it as (1.0, 0.0)"
        ) from None
    if len(parsed) not in ((0, 2) if key == "MODEL.INIT" else (2,)):
        raise ConfigError(f"{path}: {key} = {value!r} should hold two numbers")
    return parsed


def _number(path: Path, key: str, value) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{path}: {key} = {value!r} is no number") from None
