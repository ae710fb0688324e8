"""Settings at the command line: every field has a flag, a file says the same, and a misspelt name is put right."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtlnas_lab.cli import main as cli
from mtlnas_lab.cli import settings
from mtlnas_lab.cli.fields import fields_of
from mtlnas_lab.core.config import SearchConfig
from mtlnas_lab.core.schedule import Schedule
from mtlnas_lab.data.open import samples
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import run as carry_out
from mtlnas_lab.runs.run import Run

# a text for each annotation, and for a field that takes fewer; none of them is a default
TEXTS = {
    "int": "7",
    "float": "0.25",
    "bool": "{not the default}",
    "tuple[str, ...]": "depth,normals",
    "str | None": "other",
    "int | None": "7",
    "tuple[float, float]": "0.25,0.75",
    "tuple[float, float] | None": "0.25,0.75",
    "Schedule | float": "0.25",
    "Mapping[str, Schedule | float]": "normals=0.25",
    "Mapping[str, int]": "normals=32",
}
TEXTS_BY_NAME = {
    "primary": "normals",
    "augment": "true",  # the preset does not
    "optimizer": "sgd",
    "alpha_gates": "bernoulli",
    "weight_gates": "bernoulli",
    "precision": "bf16",
    "compile": "eager",
    "preset": "vgg16",
    "data": "pack.npz",
    "device": "cpu",
    "method": "all_edges",
    "backbone": "vit",
    "weights": "depth=a.pth",
    "fusion": "residual",
    "loss_weights": "depth=3",
    "class_weights": "segmentation=balanced",
    "views": "segmentation=depth,normals=blurred:0.3",
    "graph": str(samples() / "runs" / "entropy"),
    "warm_start": str(samples() / "runs" / "entropy"),
}
OWN = [f for f in dataclasses.fields(Experiment) if f.name not in settings.SECTIONS]
OWN = [f for f in OWN if f.name not in settings.RECORDED]


def heard_by(monkeypatch):
    """The experiments that the command line was about to carry out."""
    made = []

    def stop(experiment, *_, **__):
        made.append(experiment)
        raise ConfigError("enough")

    monkeypatch.setattr("mtlnas_lab.experiments.pipeline.run", stop)
    return made


@pytest.fixture
def heard(monkeypatch):
    return heard_by(monkeypatch)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The experiment of a search without any flag; it is read in many tests, and each command line takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("usual"))
        made = heard_by(patch)
        with pytest.raises(SystemExit):
            cli.main(["search", "--out", "run", "--threads", "1"])
    return made.pop()


@pytest.fixture
def ask(heard, tmp_path, monkeypatch):
    """ask(flags…): the experiment that a search with these flags would carry out."""
    monkeypatch.chdir(tmp_path)

    def ask(*flags):
        with pytest.raises(SystemExit):
            cli.main(["search", "--out", "run", "--threads", "1", *map(str, flags)])
        return heard.pop()

    return ask


@pytest.fixture
def refused(heard, tmp_path, monkeypatch, capsys):
    """refused(flags…): the one line that is said instead of a search."""
    monkeypatch.chdir(tmp_path)

    def refused(*flags):
        with pytest.raises(SystemExit) as caught:
            cli.main(["search", *map(str, flags)])
        told = capsys.readouterr().err
        assert caught.value.code == 2 and told.count("\n") == 1 and not heard, told
        assert "fault of the lab" not in told
        return told

    return refused


def text_for(field: dataclasses.Field) -> str:
    """A value as the command line writes it, another than the default."""
    if field.name in TEXTS_BY_NAME:
        return TEXTS_BY_NAME[field.name]
    if field.type == "bool":
        return str(not field.default).lower()
    return TEXTS[field.type]


# --- every field has a flag -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("section", settings.SECTIONS)
@pytest.mark.parametrize("field", dataclasses.fields(SearchConfig), ids=lambda field: field.name)
def test_every_setting_of_a_search_has_a_flag(field, section, ask, usual):
    text = text_for(field)
    flag = f"--{section}.{field.name.replace('_', '-')}"
    made = getattr(ask(flag, text), section)
    usual = getattr(usual, section)
    assert getattr(made, field.name) != getattr(usual, field.name)
    assert dataclasses.replace(made, **{field.name: getattr(usual, field.name)}) == usual or (
        field.name == "steps"  # the evaluations come with the steps
    )


@pytest.mark.parametrize("field", OWN, ids=lambda field: field.name)
def test_every_setting_of_an_experiment_has_a_flag(field, ask, usual):
    text = text_for(field)
    made = ask(f"--{field.name.replace('_', '-')}", text)
    assert getattr(made, field.name) != getattr(usual, field.name)


@pytest.mark.parametrize(
    "read, made", [("SEARCH_FIELDS", SearchConfig), ("EXPERIMENT_FIELDS", Experiment)]
)
def test_fields_are_read_from_the_source_as_they_are(read, made):
    found = getattr(settings, read)
    fields = dataclasses.fields(made)
    assert [(f.name, f.kind) for f in found] == [(f.name, f.type) for f in fields]
    assert all(f.about for f in found), [f.name for f in found if not f.about]
    for one, field in zip(found, fields):
        if isinstance(field.default, (int, float, str)):
            assert one.default == str(field.default)


def test_the_words_of_a_field_come_from_its_comment_or_its_docstring(tmp_path):
    source = tmp_path / "made.py"
    source.write_text(
        '"""A module."""\nclass Made:\n    """Not a field\'s."""\n\n    a: int = 1  # behind it\n'
        '    # above it\n    b: "float" = (0.5, 1)\n    c: str | None = None\n    """Below\n    it."""\n'
        "    d: dict = field(default_factory=dict)\n"
    )
    found = [(f.name, f.default, f.about) for f in fields_of(source, "Made")]
    assert found == [
        ("a", "1", "behind it"),
        ("b", "0.5,1", "above it"),
        ("c", "", "Below it."),
        ("d", "", ""),
    ]
    with pytest.raises(LookupError):
        fields_of(source, "Absent")


def test_help_names_every_flag_and_needs_no_torch():
    code = (
        "import sys\nfrom mtlnas_lab.cli import main\n"
        "try:\n    main.main(['search', '--help'])\nfinally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in settings.KINDS:
        assert f"--{name.replace('_', '-')} " in done.stdout, name
    assert "search options" in done.stdout and "pretrain options" in done.stdout


@pytest.mark.parametrize("command", [*cli.COMMANDS, *(f"data {name}" for name in cli.DATA)])
def test_help_of_every_command_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([*command.split(), "--help"])
    assert not caught.value.code
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith(f"mtlnas-lab {command}") for line in lines)


# --- short names and long ones ----------------------------------------------------------------------------------------
def test_short_names_set_what_they_always_set(ask):
    made = ask("--seed", 3, "--steps", 40, "--batch-size", 4, "--entropy-weight", 2)
    assert (made.seed, made.search.seed, made.pretrain.seed) == (3, 3, 3)
    assert (made.search.batch_size, made.pretrain.batch_size) == (4, 4)
    assert made.search.evaluate_every == 4
    assert made.search.entropy_weight == Schedule(2.0, 0.0, (0.3, 1.0))  # the preset's, to its end
    assert made == dataclasses.replace(
        ask("--seed", 3, "--search.steps", 40, "--batch-size", 4, "--entropy-weight", 2), seed=3
    )


def test_short_names_of_what_networks_see(ask):
    made = ask(
        *("--view", "segmentation=depth,normals=grey", "--few-labels", "normals=32"),
        *("--visibility", "segmentation=0.2, normals=0,1,0.3,1", "--freeze", "--edge-budget", 8),
    )
    assert made.views == {"segmentation": "depth", "normals": "grey"}
    assert made.few_labels == {"normals": 32}
    assert made.search.visibility == {
        "segmentation": Schedule.constant(0.2),
        "normals": Schedule(0.0, 1.0, (0.3, 1.0)),
    }
    assert (made.search.freeze, made.search.edge_budget) == (True, 8)
    assert not made.pretrain.visibility and not made.pretrain.freeze
    assert not ask("--freeze", "false", "--search.redraw", "no").search.redraw


def test_a_file_says_what_networks_see(ask, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "view: {segmentation: depth}\nfew_labels: {normals: 32}\nfreeze: true\n"
        "search:\n    visibility: {segmentation: 0.2, normals: {end: 0, start: 1}}\n"
    )
    flags = ["--view", "segmentation=depth", "--few-labels", "normals=32", "--freeze"]
    flags += ["--visibility", "segmentation=0.2,normals=0,1"]
    assert ask("--config", "mine.yaml") == ask(*flags)
    kept = ask(*flags)
    (tmp_path / "config.json").write_text(json.dumps(kept.to_json()))
    assert ask("--config", "config.json") == kept


def test_a_long_name_counts_more_than_a_short_one(ask):
    made = ask("--batch-size", 4, "--pretrain.batch-size", 8, "--seed", 2, "--search.seed", 5)
    assert (made.search.batch_size, made.pretrain.batch_size) == (4, 8)
    assert (made.seed, made.search.seed, made.pretrain.seed) == (2, 5, 2)
    made = ask("--search.entropy-weight", 3, "--entropy-weight", 2)
    assert made.search.entropy_weight == Schedule(3.0, 3.0)


def test_what_is_not_given_is_the_presets(ask):
    expected = Experiment.from_preset("tiny", threads=1)
    expected = dataclasses.replace(
        expected, search=dataclasses.replace(expected.search, evaluate_every=50)
    )
    assert ask() == expected
    made = ask("--preset", "vgg16", "--search.l1-weight", 1)
    whole = Experiment.from_preset("vgg16", threads=1).search
    assert made.search == dataclasses.replace(
        whole, l1_weight=Schedule(1.0, 1.0), evaluate_every=2000
    )


@pytest.mark.parametrize(
    "text, schedule",
    [
        ("3", Schedule(3.0, 3.0)),
        ("3,1", Schedule(3.0, 1.0)),
        ("3,1,0.25,0.5", Schedule(3.0, 1.0, (0.25, 0.5))),
        ("3,1,0.25,0.5,2", Schedule(3.0, 1.0, (0.25, 0.5), 2.0)),
    ],
)
def test_schedules_at_the_command_line(text, schedule, ask):
    assert ask("--search.temperature", text).search.temperature == schedule


# --- a file of settings -----------------------------------------------------------------------------------------------
YAML = """
tasks: depth, normals
steps: 30
seed: 4
weight_lr: 1e-3
loss_weights: {depth: 2}
search:
    warm-up: 5
    alpha_betas: [0.25, 0.75]
    temperature: {end: 0.5, start: 1, period: [0, 0.5]}
    redraw: false
pretrain:
    steps: 7
"""


def test_a_file_says_what_flags_say(ask, tmp_path):
    (tmp_path / "mine.yaml").write_text(YAML)
    flags = ["--tasks", "depth,normals", "--steps", 30, "--seed", 4, "--weight-lr", "1e-3"]
    flags += ["--loss-weights", "depth=2", "--search.warm-up", 5, "--pretrain-steps", 7]
    flags += ["--search.alpha-betas", "0.25,0.75", "--search.temperature", "0.5,1,0,0.5"]
    made = ask("--config", "mine.yaml")
    assert made == ask(*flags, "--search.redraw", "false")
    assert made.search.evaluate_every == 3 and made.search.alpha_betas == (0.25, 0.75)


def test_a_flag_counts_more_than_the_file_and_the_file_more_than_the_preset(ask, tmp_path):
    (tmp_path / "mine.yaml").write_text(YAML + "preset: vgg16\nfusion: residual\n")
    made = ask("--config", "mine.yaml", "--steps", 9, "--entropy-weight", 1, "--fusion", "nddr")
    assert (made.preset, made.fusion, made.search.steps) == ("vgg16", "nddr", 9)
    assert made.search.entropy_weight == Schedule(1.0) and made.search.optimizer == "sgd"
    assert (made.search.warm_up, made.pretrain.steps, made.tasks) == (5, 7, ("depth", "normals"))
    (tmp_path / "mine.yaml").write_text("search: {entropy_weight: 3}\n")
    made = ask("--config", "mine.yaml", "--entropy-weight", 1)
    assert made.search.entropy_weight == Schedule(1.0, 3.0)  # its schedule, to another end
    made = ask("--config", "mine.yaml", "--search.entropy-weight", 1)
    assert made.search.entropy_weight == Schedule(1.0, 1.0)


def test_a_setting_goes_before_a_file_of_the_released_implementation(ask):
    golden = Path(__file__).parents[1] / "golden" / "mtlnas_vgg16_narrow.yaml"
    made = ask(
        "--released-config", golden, "--search.warm-up", 5, "--loss-weights", "segmentation=2"
    )
    assert made.search.optimizer == "sgd" and made.search.warm_up == 5
    assert made.loss_weights == {"normals": 20.0, "segmentation": 2.0}
    assert ask("--released-config", golden, "--fusion", "residual").fusion == "residual"


def test_the_config_of_a_run_makes_the_same_settings_again(ask, tmp_path):
    data = tmp_path / "small.npz"
    np.savez(data, **{key: np.asarray(value) for key, value in render(40, 32, seed=3).items()})
    asked = ask(*["--data", data, "--tasks", "segmentation,normals", "--steps", 2, "--seed", 5])
    asked = dataclasses.replace(asked, search=dataclasses.replace(asked.search, batch_size=2))
    asked = dataclasses.replace(
        asked,
        pretrain=dataclasses.replace(asked.pretrain, batch_size=2, steps=1),
        loss_weights={"normals": 3.0},
        class_weights={"segmentation": "balanced"},
        fusion="nddr",
        fusion_start=None,
        baselines=(),
    )
    carry_out(asked, tmp_path / "made")
    kept = Experiment.from_json(Run.open(tmp_path / "made").config)
    nothing_recorded = {"data_identity": {}, "weights_sha256": {}, "calibration": {}}
    again = ask("--config", tmp_path / "made" / "config.json")
    assert again == dataclasses.replace(kept, **nothing_recorded)
    assert again == dataclasses.replace(asked, data=str(data))
    other = ask("--config", tmp_path / "made" / "config.json", "--seed", 6)
    assert (other.seed, other.search.seed, other.pretrain.seed) == (6, 6, 6)
    assert other.search.evaluate_every == asked.search.evaluate_every


def test_the_config_of_a_shipped_run_can_be_used(ask):
    made = ask("--config", samples() / "runs" / "entropy" / "config.json")
    assert made.search.entropy_weight == Schedule(10.0, 0.0, (0.3, 1.0))
    assert made.search.evaluate_every == 50


# --- mistakes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "content, words",
    [
        ("stpes: 3", "mine.yaml: there is no setting 'stpes'; perhaps steps is meant"),
        ("search: {wram_up: 3}", "no setting 'search.wram_up'; perhaps search.warm_up is meant"),
        ("warm_up: 3", "no setting 'warm_up'; perhaps search.warm_up is meant"),
        ("pretrain: {stps: 3}", "perhaps pretrain.steps is meant"),
        ("zzzzzz: 3", "no setting 'zzzzzz'; mtlnas-lab search --help lists them"),
        ("out: runs/x", "no setting 'out'"),
        ("search: 5", "search = 5: give settings below it"),
        ("steps: many", "mine.yaml: steps: invalid literal"),
        ("steps: -3", "steps = -3"),
        ("steps: 1.5", "steps = 1.5"),
        ("threads: 0", "threads = 0: give a whole number from 1 to 1024"),
        ("tasks: [1]", "tasks = (1,): give names of tasks"),
        ("tasks: {a: 1}", "tasks = {'a': 1}: give names of tasks"),
        ("data: ''", "data = ''"),
        ("preset: [tiny]", "no preset"),
        ("search: {entropy_weight: {ende: 3}}", "a schedule has no 'ende'"),
        ("search: {redraw: perhaps}", "'perhaps' is neither true nor false"),
        ("loss_weights: {depth: -1}", "loss_weights = {'depth': -1}"),
        ("graph: missing.json", "missing.json"),
        ("graph: 5", "graph = 5: give an architecture's JSON"),
        ("- steps", "holds no sections or settings"),
        ("a: [", "holds no YAML"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(content, words, refused, tmp_path):
    (tmp_path / "mine.yaml").write_text(content)
    told = refused("--config", "mine.yaml", "--out", "run")
    assert words in told, told


def test_a_file_that_is_none(refused, tmp_path):
    (tmp_path / "broken.json").write_text("{")
    assert "no file of settings 'missing.yaml'" in refused("--config", "missing.yaml")
    assert "missing.json" in refused("--config", "missing.json")
    assert "broken.json is damaged" in refused("--config", "broken.json")


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--wram-up", "perhaps --search.warm-up was meant"),
        ("--warm-up", "perhaps --search.warm-up was meant"),
        ("--search.wramup", "perhaps --search.warm-up was meant"),
        ("--pretrain.stps", "perhaps --pretrain.steps was meant"),
        ("--entropy-wieght", "perhaps --entropy-weight was meant"),
        ("--sead", "perhaps --seed was meant"),
        ("--confg", "perhaps --config was meant"),
        ("--data-identity", "Unrecognized options: --data-identity"),
    ],
)
def test_a_misspelt_flag_is_one_line_with_the_nearest(flag, words, refused):
    assert words in refused(flag, "3")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--search.warm-up", "x"], "--search.warm-up: invalid literal"),
        (["--search.alpha-lr", "fast"], "--search.alpha-lr: could not convert"),
        (["--search.augment", "maybe"], "--search.augment: 'maybe' is neither true nor false"),
        (["--search.alpha-betas", "1"], "give two numbers"),
        (["--search.temperature", "1,2,3"], "end,start,begin,finish,power"),
        (["--search.momentum", "3"], "momentum = 3.0"),
        (["--search.optimizer", "adamw"], "optimizer = 'adamw' is none of the choices adam, sgd"),
        (["--search.alpha-gates", "hard"], "hard"),
        (["--keyframes", "-1"], "keyframes = -1"),
        (["--edges", "few"], "--edges: invalid literal"),
        (["--graph", "missing.json"], "missing.json"),
        (["--visibility", "segmentation"], "--visibility: segmentation: give each task once"),
        (["--visibility", "a=1,a=0"], "a=0: give each task once, as in segmentation=0.2,normals=1"),
        (["--visibility", "segmentation=2"], "visibility of 'segmentation' = 2 is more than all"),
        (["--visibility", "segmentation=-1"], "visibility of 'segmentation' = -1.0 is too small"),
        (["--pretrain.visibility", "a=dark"], "--pretrain.visibility: a=dark: give each task once"),
        (["--view", "segmentation"], "--view segmentation: give each task once, as in"),
        (["--view", "segmentation=nowhere"], "there is no view 'nowhere'; choose one of image"),
        (["--view", "segmentation=depth:0.5"], "the view depth has no dial"),
        (["--few-labels", "normals=many"], "--few-labels normals=many: give each task once"),
        (["--few-labels", "normals=0"], "few_labels = {'normals': 0}"),
        (["--freeze", "perhaps"], "--freeze: 'perhaps' is neither true nor false"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(flags, words, refused):
    assert words in refused(*flags, "--out", "run")


# --- a run that goes on -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the settings of a run, which is all that is looked at here."""
    place = tmp_path_factory.mktemp("runs") / "run"
    made = Experiment.from_preset(threads=1)
    place.mkdir()
    (place / "config.json").write_text(json.dumps(made.to_json()))
    return place


@pytest.fixture
def going_on(finished, monkeypatch):
    def stop(settings, out, resume, listen, turn, elsewhere, **_):
        raise ConfigError(f"turns {turn}, {elsewhere}")

    class Opened:
        config = json.loads((finished / "config.json").read_text())

    monkeypatch.setattr("mtlnas_lab.runs.run.Run.open", lambda path: Opened)
    monkeypatch.setattr("mtlnas_lab.experiments.pipeline.run", stop)


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--search.temperature", "0.5"], "turns {'temperature': 0.5}, {}"),
        (
            ["--search.weight-lr", "0.5", "--threads", "2"],
            "turns {'weight_lr': 0.5}, {'threads': 2}",
        ),
        (["--visibility", "normals=0.5"], "turns {'visibility': {'normals': 0.5}}, {}"),
        (["--search.visibility", "normals=0"], "turns {'visibility': {'normals': 0.0}}, {}"),
        (["--view", "normals=grey"], "--view is the folder's own setting, which is not set"),
        (["--freeze"], "--freeze is the folder's own setting, which is False"),
        (["--search.warm-up", "0", "--pretrain.weight-lr", "2e-3"], "turns {}, {}"),
        (["--search.warm-up", "5"], "--search.warm-up is the folder's own setting, which is 0"),
        (["--pretrain.weight-lr", "1"], "--pretrain.weight-lr is the folder's own"),
        (["--keyframes", "9"], "--keyframes is the folder's own setting, which is 5"),
        (["--config", "x.yaml"], "--config x.yaml can't be given where a run goes on"),
    ],
)
def test_a_run_that_goes_on(flags, words, refused, going_on):
    assert words in refused("--resume", "--out", "run", *flags)
