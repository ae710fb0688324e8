"""The settings of `mtlnas-lab search`: their names, how their values are written, and the Experiment that they make.

A setting is called as its field of Experiment is (`tasks`), or as its field of SearchConfig behind `search.` or
`pretrain.` (`search.warm_up`). Some have a short name too (`steps`). A file of settings says

    tasks: segmentation,normals
    steps: 200
    search:
        warm_up: 50

and a flag `--search.warm-up 50`. Where a setting is given several times, flags count more than the file, the file more
than the preset, and in each of them a long name more than a short one.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..values import told
from .fields import Field, fields_of
from .texts import READERS, READERS_BY_NAME, Reader

if TYPE_CHECKING:
    from ..core.config import SearchConfig
    from ..experiments.config import Experiment

PACKAGE = Path(__file__).parents[1]


SEARCH_FIELDS = fields_of(PACKAGE / "core" / "config.py", "SearchConfig")


EXPERIMENT_FIELDS = fields_of(PACKAGE / "experiments" / "config.py", "Experiment")


SECTIONS = ("search", "pretrain")  # fields of Experiment that are a SearchConfig each


RECORDED = ("weights_sha256", "calibration", "data_identity")  # by a run, about itself


CHECKSUM = "crc"  # of a config.json, which may have been edited since


END_OF_LAMBDA = "search.entropy_weight.end"  # its schedule stays the preset's


SHORT = {  # {short name: the settings that it sets}
    "seed": ("seed", "search.seed", "pretrain.seed"),
    "steps": ("search.steps",),
    "pretrain_steps": ("pretrain.steps",),
    "entropy_weight": (END_OF_LAMBDA,),
    "weight_lr": ("search.weight_lr",),
    "batch_size": ("search.batch_size", "pretrain.batch_size"),
    "evaluate_every": ("search.evaluate_every",),
    "precision": ("search.precision", "pretrain.precision"),
    "compile": ("search.compile", "pretrain.compile"),
    "view": ("views",),
    "visibility": ("search.visibility",),
    "freeze": ("search.freeze",),
    "edge_budget": ("search.edge_budget",),
    "close_below": ("search.close_below",),
}


ABOUT = {  # {short name: the help of its flag}
    "steps": "Steps of the search, one α-update and one w-update each.",
    "pretrain_steps": "Steps of single-task pretraining.",
    "entropy_weight": "λ at the end of the preset's schedule; 0 switches the entropy term off.",
    "weight_lr": "Learning rate of the networks' weights in the search.",
    "batch_size": "Images in a batch, in pretraining too; a step of the search takes two batches.",
    "evaluate_every": "Steps between evaluations on the validation images; otherwise a tenth of the search.",
    "precision": "float32, bf16, or auto: what three steps of each say. Pretraining has it, too.",
    "compile": "A backend of torch.compile: inductor, or cudagraphs on CUDA. It takes minutes to begin; no gain was seen on a CPU.",
    "view": "The same as `views`, for one task or several.",
    "visibility": "How much of that a task's network sees in the search, as in segmentation=0.2,normals=1: 0 is noise "
    "alone, 1 all; or end,start,begin,finish of a schedule. The others see all.",
    "freeze": "Leave the backbones' stages as pretraining made them; fusion and heads learn.",
    "edge_budget": "Keep so many edges, those with the largest α; otherwise those with α > 0.",
    "close_below": "Shut an edge for good when its gate has stayed below this for 20 steps, as in 0.01: faster, another method.",
}


# Fields are read from the source: `mtlnas-lab search --help` must not wait for PyTorch.
def setting_fields() -> dict[str, Field]:
    """{setting: its field}, of all that can be set, by its long name where it has one."""
    found = {}
    for field in EXPERIMENT_FIELDS:
        if field.name not in (*SECTIONS, *RECORDED):
            found[field.name] = field
    for section in SECTIONS:
        for field in SEARCH_FIELDS:
            found[f"{section}.{field.name}"] = field
    return found


FIELDS = setting_fields()


KINDS = {name: field.kind for name, field in FIELDS.items()}
for name, sets in SHORT.items():
    KINDS[name] = KINDS.get(sets[0], "float")  # λ's end is a number, where λ is a schedule


def nearest(name: str, known: Collection[str]) -> str:
    """The name that was meant, most likely; "" where none is like it.

    Example:
        >>> nearest("wram_up", ["steps", "search.warm_up", "search.weight_lr"])
        'search.warm_up'
    """
    by_spelling = {candidate: candidate for candidate in known}
    for candidate in known:  # with a section left away
        by_spelling.setdefault(candidate.rpartition(".")[2], candidate)
    # The name without its section is tried last: search.stps is nearer to search.steps than to steps.
    for asked in (name, name.rpartition(".")[2]):
        found = difflib.get_close_matches(asked, by_spelling, n=1)
        if found:
            return by_spelling[found[0]]
    return ""


def reader(name: str) -> Reader:
    """(how help calls a value of a setting, what reads its text)."""
    long = _long(name)
    if long in READERS_BY_NAME:
        return READERS_BY_NAME[long]
    return READERS.get(KINDS[name], ("TEXT", str))


def _long(name: str) -> str:
    """The long name of a setting, the first where a short one sets several."""
    return SHORT.get(name, (name,))[0]


def read_value(name: str, text: str, shown: str) -> object:
    """The value of a setting that is given as text. Raises ConfigError, which begins with what `shown` calls it.

    Example:
        >>> read_value("tasks", "segmentation,normals", "--tasks")
        ('segmentation', 'normals')
    """
    _, read = reader(name)
    try:
        return read(text)
    except ConfigError:
        raise
    except ValueError as error:
        if _long(name) in READERS_BY_NAME:
            raise ConfigError(f"{shown} {error}") from None
        raise ConfigError(f"{shown}: {error}") from None


# --- a file of settings -----------------------------------------------------------------------------------------------
def read_settings(path: Path) -> dict[str, object]:
    """{setting: value} of a YAML or JSON file; a run's config.json is such a file.

    What a run recorded about itself (checksums, timings, which data it had) is not a setting, and left out.
    Raises ConfigError or RunError, in one line, for what cannot be read, and for a name that is not a setting's.
    """
    from ..storage.jsonl import read_json
    from ..storage.yaml_files import read_yaml

    if path.suffix == ".json":
        content = read_json(path)  # to YAML, 1e-05 is text
    else:
        content = read_yaml(path, what="file of settings")
    found: dict[str, object] = {}
    for key, value in content.items():
        key = key.replace("-", "_")
        if key in (*RECORDED, CHECKSUM):
            continue
        if key not in SECTIONS:
            found[key] = _from_file(path, key, value)
            continue
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path}: {key} = {told(value)}: give settings below it, name: value")
        for below, setting in value.items():
            name = f"{key}.{below}".replace("-", "_")
            found[name] = _from_file(path, name, setting)
    return found


def _from_file(path: Path, name: str, value: object) -> object:
    """A setting of the file, as a flag would give it."""
    if name not in KINDS:
        near = nearest(name, KINDS)
        advice = f"perhaps {near} is meant" if near else "mtlnas-lab search --help lists them"
        raise ConfigError(f"{path}: there is no setting {told(name)}; {advice}")
    # YAML writes `a,b` and `1e-3` as text, as a command line does.
    if isinstance(value, str):
        return read_value(name, value, f"{path}: {name}")
    if isinstance(value, list) and KINDS[name].startswith("tuple"):
        return tuple(value)
    return value


# --- from settings to an experiment -----------------------------------------------------------------------------------
def combined(*layers: Mapping[str, object]) -> dict[str, object]:
    """{long name: value}: every layer counts more than those before it, and a long name more than a short one.

    Example:
        >>> combined({"steps": 100, "seed": 1}, {"search.steps": 50, "search.seed": 2})
        {'seed': 1, 'search.seed': 2, 'pretrain.seed': 1, 'search.steps': 50}
    """
    found: dict[str, object] = {}
    for layer in layers:
        # Short names first, so that a long one in the same layer is not lost under them.
        for name in SHORT:
            if name in layer:
                found |= dict.fromkeys(SHORT[name], layer[name])
        for name, value in layer.items():
            if name not in SHORT:
                found[name] = value
        if "search.entropy_weight" in layer:
            found.pop(END_OF_LAMBDA, None)  # the whole schedule is given
    return found


def experiment_of(settings: Mapping[str, object], released: Path | None = None) -> Experiment:
    """The experiment of a preset, or of a file of the released implementation, with these settings in it.

    Args:
        settings: {long name: value}, as `combined` gives them.
        released: A YAML file of the released implementation.

    Raises ConfigError for a value that a setting cannot have.
    """
    from ..experiments.config import Experiment
    from ..experiments.presets import with_budget

    own = {name: value for name, value in settings.items() if "." not in name}
    begin = dict(own)
    begin["name"] = begin.pop("preset", "tiny")
    # None leaves it to the preset, which knows whether trained networks are shipped.
    begin["pretrain_steps"] = settings.get("pretrain.steps")
    if released is None:
        made = Experiment.from_preset(**begin)
    else:
        made = Experiment.released(released, **begin)
        # The file weighs the normals; a flag for another task must not take that away.
        own["loss_weights"] = {**made.loss_weights, **own.get("loss_weights", {})}
    search = replace(made.search, **_below("search", settings))
    if END_OF_LAMBDA in settings:
        search = with_budget(search, entropy_weight=settings[END_OF_LAMBDA])
    if "search.evaluate_every" not in settings:
        search = replace(search, evaluate_every=max(1, search.steps // 10))
    pretrain = replace(made.pretrain, **_below("pretrain", settings))
    return replace(made, **own, search=search, pretrain=pretrain)


def _below(section: str, settings: Mapping[str, object]) -> dict[str, object]:
    """{field of SearchConfig: value} of the settings `section.field`."""
    found = {}
    for name, value in settings.items():
        first, _, field = name.partition(".")
        if first == section and name != END_OF_LAMBDA:
            found[field] = value
    return found


def kept_value(experiment: Experiment, name: str) -> object:
    """The value that an experiment has for a setting.

    Args:
        experiment: Of a run folder.
        name: A long name or a short one.
    """
    section, _, field = _long(name).rpartition(".")
    if section:
        return getattr(getattr(experiment, section), field)
    return getattr(experiment, field)


def as_kept(experiment: Experiment, name: str, value: object) -> object:
    """A value as an experiment would keep it, as in Schedule(3.0, 3.0) for 3. Raises ConfigError."""
    section, _, field = _long(name).rpartition(".")
    if not section:
        return getattr(replace(experiment, **{field: value}), field)
    config: SearchConfig = getattr(experiment, section)
    return getattr(replace(config, **{field: value}), field)
