import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import command

from mtlnas_lab import presets
from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.architecture import Architecture
from mtlnas_lab.core.events import Evaluated, Step
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.rooms import render
from mtlnas_lab.errors import ConfigError, MTLNASError, RunError
from mtlnas_lab.experiments import config, pipeline, scores
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import outcome, reopen, run
from mtlnas_lab.experiments.scores import table
from mtlnas_lab.runs.event_file import read_events
from mtlnas_lab.runs.run import FILES, Run
from mtlnas_lab.runs.run_writer import RunWriter
from mtlnas_lab.storage.checkpoints import OWN


@pytest.fixture(scope="session")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "small.npz"
    np.savez(path, **{key: np.asarray(value) for key, value in render(40, 32, seed=3).items()})
    return path


def small(pack, **settings) -> Experiment:
    made = Experiment.from_preset(
        "tiny",
        str(pack),
        tasks=("segmentation", "normals"),
        steps=6,
        pretrain_steps=2,
        checkpoint_every=2,
        baselines=("single_task",),
        keyframes=1,
        threads=1,
        **settings,
    )
    change = lambda config: replace(config, batch_size=2)  # noqa: E731
    return replace(
        made, search=replace(change(made.search), evaluate_every=3), pretrain=change(made.pretrain)
    )


def events(path):
    """What happened, without what may differ: times, and what a stop adds."""
    log = read_events(path / "events.jsonl")
    return [replace(e, seconds=0.0) for e in log.steps], log.of(Evaluated), log.alpha.tolist()


@pytest.fixture(scope="session")
def finished(pack, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(small(pack), out)
    return out


def test_run_folder_is_as_promised(finished):
    folder = Run.open(finished)
    assert {
        "config.json",
        "space.json",
        "events.jsonl",
        "architecture.json",
        "scores.json",
        "weights.safetensors",
        "checkpoints",
    } <= {p.name for p in finished.iterdir()}
    log = folder.log
    assert [e.step for e in log.steps] == list(range(1, 7)) and log.finished.step == 6
    assert [e.step for e in log.of(Evaluated)] == [3, 6]
    found = folder.read_json("scores.json")
    assert set(found) == {"soft", "hard", "hard_recalibrated", "trivial", "single_task"}
    assert set(found["hard"]["normals"]) >= {
        "mean_angle",
        "median_angle",
        "rmse_angle",
        "within_11",
        "within_22",
        "within_30",
    }
    found = Architecture.from_json(folder.read_json("architecture.json"))
    assert found.space == folder.space and found.alpha == pytest.approx(
        log.steps[-1].alpha, rel=1e-7
    )
    assert {m.step for m in folder.checkpoints()} == {4, 6}
    for part in ("pretraining", "baselines/single_task"):
        assert Run.open(finished / part).log.finished


def strangers(folder):
    """Files of a run folder that its table does not know."""
    found = [path for path in folder.iterdir() if path.name not in FILES]
    for path in (folder / "checkpoints").iterdir():
        if not OWN.fullmatch(path.name):
            found.append(path)
    for part in (folder / "pretraining", *(folder / "baselines").glob("*")):
        if part.exists():
            found += strangers(part)
    return found


def test_a_run_folder_has_no_file_outside_the_table(finished, pack, tmp_path):
    assert strangers(finished) == []
    whole = tmp_path / "run"
    shutil.copytree(finished, whole)
    run(None, whole, resume=True, figures=("pdf", "svg", "png", "tikz", "html"))
    assert strangers(whole) == []
    assert (whole / "fusion_graph.html").is_file() and (whole / "fusion_graph.tex").is_file()
    assert not (finished / "fusion_graph.pdf").exists()  # figures are for who asks for them
    (whole / "thesis.docx").touch()
    assert strangers(whole) == [whole / "thesis.docx"]


def test_the_summary_says_what_was_found_and_its_scores(finished):
    text = (finished / "summary.md").read_text(encoding="utf-8")
    folder = Run.open(finished)
    assert outcome(folder) in text and table(folder.scores()) in text
    for edge in folder.architecture()["kept"]:
        assert f"- `{edge}`, p = " in text


def test_the_stages_one_by_one_leave_the_folder_of_all(pack, finished, tmp_path):
    out = tmp_path / "run"
    settings, lab = pipeline.prepare(small(pack), out)
    assert not out.exists()
    pipeline.pretrain(settings, tmp_path / "pretraining", lab=lab)
    begun = lab.copy()
    with RunWriter.create(out, settings.to_json(), lab.space) as folder:
        found = pipeline.search(settings, lab, folder)
        scores = pipeline.score(found, folder)
        pipeline.baselines(settings, begun, found, folder, scores)
        pipeline.write(folder, figures=())
    assert events(tmp_path / "pretraining") == events(finished / "pretraining")
    for part in (".", "baselines/single_task"):
        assert events(out / part) == events(finished / part)
    for name in ("scores.json", "architecture.json", "config.json"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()
    left = {path.name for path in out.iterdir()}
    assert left | {"pretraining"} == {path.name for path in finished.iterdir()}


def test_reopened_lab_gives_the_scores_of_the_run(finished):
    from mtlnas_lab.experiments.scores import final_scores

    lab, architecture = reopen(finished)
    written = Run.open(finished).read_json("scores.json")
    for name, found in final_scores(lab, architecture).items():
        for task, metrics in found.items():
            assert metrics == pytest.approx(written[name][task], abs=1e-6)


@pytest.mark.parametrize(
    "stops",
    [
        [("pretraining", 1)],
        [("search", 1), ("search", 3), ("search", 5)],
        [("search", 6), ("single_task", 3)],
    ],
)
def test_stopped_and_gone_on_with_is_as_never_stopped(pack, finished, tmp_path, stops):
    out = tmp_path / "run"

    def stop_at(where, step):
        def listen(name, search, event):
            if name == where and isinstance(event, Step) and event.step == step:
                raise KeyboardInterrupt

        return listen

    for number, stop in enumerate(stops):
        with pytest.raises(KeyboardInterrupt):
            run(small(pack), out, resume=number > 0, listen=stop_at(*stop))
    run(small(pack), out, resume=True)
    for part in (".", "pretraining", "baselines/single_task"):
        assert events(out / part) == events(finished / part)
    assert json.loads((out / "scores.json").read_text()) == json.loads(
        (finished / "scores.json").read_text()
    )
    before = (out / "events.jsonl").read_bytes()
    run(small(pack), out, resume=True)  # nothing is left to do
    assert (out / "events.jsonl").read_bytes() == before


def test_requests_of_viewers_reach_the_search(pack, tmp_path):
    out = tmp_path / "run"

    def listen(name, search, event):
        if name == "search" and isinstance(event, Step) and event.step == 2:
            Run.request(out, entropy_weight=3.5, force={"normals:0 -> segmentation:0": True})
            with open(out / "controls.jsonl", "ab") as stream:
                stream.write(b'{"nonsense": 1}\n')

    run(replace(small(pack), baselines=()), out, listen=listen)
    log = Run.open(out).log
    assert [e.step for e in log.turned] == [4] or [e.step for e in log.turned] == [3]
    assert log.steps[-1].entropy_weight == 3.5
    assert "normals:0 -> segmentation:0" in Run.open(out).read_json("architecture.json")["kept"]


def test_baseline_as_the_method(pack, tmp_path):
    run(replace(small(pack), method="all_edges", baselines=()), tmp_path / "run")
    scores = Run.open(tmp_path / "run").read_json("scores.json")
    assert set(scores) == {"hard", "hard_recalibrated", "trivial"}
    lab, architecture = reopen(tmp_path / "run")
    assert len(architecture) == len(lab.space) == 48


def test_wrong_settings(pack, tmp_path):
    for settings, words in (
        ({"tasks": ("segmentation",)}, "two tasks"),
        ({"tasks": ("segmentation", "scene")}, "scene"),
        ({"fusion": "sum"}, "no fusion"),
        ({"baselines": ("best",)}, "no baseline"),
        ({"device": "tpu"}, "tpu"),
    ):
        with pytest.raises(MTLNASError, match=words):
            run(replace(small(pack), **settings), tmp_path / "never")
        assert not (tmp_path / "never").exists()
    with pytest.raises(ConfigError, match="no preset"):
        Experiment.from_preset("huge")
    with pytest.raises(RunError, match="no run folder"):
        run(small(pack), tmp_path / "never", resume=True)


# --- settings, data and weights that are handed over ------------------------------------------------------------------
WRONG = {
    "preset": (5, None, ["tiny"]),
    "data": (None, 5, "", ["rooms"]),
    "eval_data": (5, ["x"]),
    "tasks": ("segmentation,depth", [5], {"a": 1}, 5),
    "seed": ("0", 1.0, True, 2**63, 10**5000, None),
    "search": (None, 5, [], {"steps": "x"}, {"nonsense": 1}, {"entropy_weight": {"x": 1}}),
    "pretrain": (None, "none", {"steps": -1}),
    "baselines": ("single_task", [None], 5),
    "checkpoint_every": (0, -1, 1.5, "100", True),
    "keyframes": (-1, "5", 10**30),
    "device": (5, None),
    "threads": (0, -1, 10**30, "2", 1.5, None),
    "method": (5, None),
    "edges": (-1, "5", 1.5),
    "draw": (-1, None, "1"),
    "graph": (5, "x", []),
    "backbone": (5, None, ["vgg16"]),
    "weights": ("x.pth", None, {"*": 5}, {"*": ""}),
    "weights_sha256": ([], {"x": 5}),
    "calibration": ([], {"bf16": "x"}, {"bf16": float("nan")}),
    "fusion": (5, None),
    "fusion_start": ([0.9], [0.9, "x"], 5, [float("nan"), 1], "ab"),
    "loss_weights": ({"depth": -1}, {"depth": float("inf")}, {"depth": "2"}, [1]),
    "class_weights": ({"depth": "even"}, {"depth": [1, -1]}, {"depth": [0, 0]}, "balanced"),
    "views": ("grey", {"normals": 5}, {"normals": "nowhere"}, {"normals": "blurred:2"}, [1]),
    "few_labels": (32, {"normals": 0}, {"normals": 1.5}, {"normals": "x"}, [1]),
    "primary": (5, None, ["segmentation"]),
    "warm_start": (5, "x", []),
    "kappa": (-1, "1", None, float("nan"), float("inf")),
    "data_identity": ([], "x", {"a": 1}),
    "unheard_of": (1,),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_of_another_kind_is_named_where_it_is_read(name):
    good = json.loads(json.dumps(Experiment.from_preset(threads=1).to_json()))
    assert Experiment.from_json(good) == Experiment.from_preset(threads=1)
    for value in WRONG[name]:
        with pytest.raises(RunError, match="config.json is not of an experiment") as caught:
            Experiment.from_json(good | {name: value})
        told = str(caught.value)
        assert "\n" not in told and len(told) < 600
        if name not in ("search", "pretrain"):
            assert name in told
    if name != "unheard_of":
        known = good | {name: Experiment.from_preset(threads=1).to_json()[name]}
        assert Experiment.from_json(known) == Experiment.from_preset(threads=1)


def test_all_settings_are_checked():
    from dataclasses import fields

    assert {f.name for f in fields(Experiment)} == {*config.SETTINGS} == {*WRONG} - {"unheard_of"}


@pytest.mark.parametrize("content", [None, [], "x", 5, {}])
def test_a_config_that_is_no_experiment_is_one_line(content):
    with pytest.raises(RunError, match="config.json is not of an experiment"):
        Experiment.from_json(content)


def test_a_run_opens_its_data_from_anywhere_and_after_they_moved(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    content = render(16, 32, seed=4)
    np.savez("pack.npz", **content)
    run(replace(small("pack.npz"), baselines=()), tmp_path / "run")
    assert Run.open(tmp_path / "run").config["data"] == str(tmp_path / "there" / "pack.npz")
    monkeypatch.chdir(tmp_path)
    told = []
    lab, _ = reopen(tmp_path / "run", tell=told.append)
    assert told == []
    (tmp_path / "there" / "pack.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(MTLNASError, match="no such file"):
        reopen(tmp_path / "run")
    moved, _ = reopen(tmp_path / "run", data="moved.npz", tell=told.append)
    assert torch.equal(moved.data["test"].images, lab.data["test"].images) and told == []
    run(None, tmp_path / "run", resume=True, data="moved.npz", tell=told.append)
    np.savez("other.npz", **render(16, 32, seed=5))
    for act in (
        lambda: reopen(tmp_path / "run", data="other.npz"),
        lambda: run(None, tmp_path / "run", resume=True, data="other.npz"),
    ):
        with pytest.raises(MTLNASError, match="not the data that the run was made with"):
            act()
    other, _ = reopen(tmp_path / "run", "other.npz", data="moved.npz")
    assert len(other.data["test"]) == 16
    first = lab.data["train"].images[0].movedim(0, -1).numpy()
    kept = [n for n in range(16) if (content["image"][n] != first).any()]
    less = {k: x[kept] if len(x) == 16 else x for k, x in content.items()}
    np.savez("moved.npz", **less)
    run(None, tmp_path / "run", resume=True, data="moved.npz", tell=told.append)
    assert len(told) == 1 and "1 of the 16 images that the run began with are gone" in told[0]


def old_run(folder, data, lab, **settings):
    """A run folder as they were before runs said which data they were made with."""
    made = Experiment.from_preset(
        "tiny", str(data), pretrain_steps=0, steps=1, threads=1, **settings
    )
    config = json.loads(json.dumps(made.to_json()))
    for name in ("data_identity", "class_weights"):
        del config[name]
    with RunWriter.create(folder, config, lab.space) as created:
        created.write_json("architecture.json", lab.derive().to_json())
        tensors = {f"supernet.{n}": value for n, value in lab.supernet.state_dict().items()}
        created.save_weights({"alpha": lab.alphas.alpha.detach(), **tensors})


def test_a_run_of_before_opens_with_one_notice_and_the_split_that_it_had(pack, tmp_path):
    lab = presets.make_lab("tiny", presets.open_data(pack), ("segmentation", "normals"))
    old_run(tmp_path / "old", pack, lab, tasks=("segmentation", "normals"))
    told = []
    found, _ = reopen(tmp_path / "old", tell=told.append)
    assert len(told) == 1 and "does not say which data it was made with" in told[0]
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    whole = ImageDataset.load(pack)
    assert torch.equal(found.data["val"].images, whole.images[order[:4]])
    assert torch.equal(found.data["test"].images, whole.images[order[4:8]])
    assert torch.equal(found.data["train"].images, whole.images[order[8:]])


def weights_of(lab):
    return lab.supernet.backbones["segmentation"].state_dict()["stages.0.0.weight"]


@pytest.mark.parametrize(
    "rooms, settings, shipped, words",
    [
        (True, {}, True, None),
        (True, {"weights": {"*": "random"}}, False, "segmentation: random weights"),
        (True, {"weights": {"segmentation": "random"}}, False, "segmentation: random weights"),
        (True, {"backbone": "resnet18"}, None, "begin with random ones"),
        (False, {}, False, "begin with random ones"),
        (False, {"weights": {"*": "random"}}, False, "random weights"),
        (False, {"weights": {"*": "shipped"}}, True, None),
    ],
)
def test_shipped_weights_are_for_the_shipped_rooms(tmp_path, rooms, settings, shipped, words):
    data = "rooms"
    if not rooms:  # as many classes, other images
        names = [*presets.open_data()["train"].labels["segmentation"]]
        np.savez(tmp_path / "p.npz", **render(20, 32, seed=1), seg_names=np.array(["no", *names]))
        data = str(tmp_path / "p.npz")
    tasks = ("segmentation", "normals")
    told, made = [], Experiment.from_preset("tiny", data, pretrain_steps=0, tasks=tasks, **settings)
    lab = made.sealed().lab(tell=told.append)
    assert any(words in line for line in told) if words else told == []
    if shipped is not None:
        assert torch.equal(weights_of(lab), weights_of(presets.tiny())) == shipped
    drawn = presets.make_lab("tiny", lab.data, tasks, 0, backbone=settings.get("backbone", ""))
    if not shipped:
        assert torch.equal(weights_of(lab), weights_of(drawn))


def test_classes_can_be_weighed(pack, tmp_path):
    made = small(pack, class_weights={"segmentation": "balanced"}, loss_weights={"normals": 3.0})
    lab = made.lab()
    train = lab.data["train"]
    labels = train.batch(torch.arange(len(train)), ("segmentation",))[1]["segmentation"]
    counts = torch.bincount(labels[labels < 255], minlength=lab.tasks["segmentation"].channels)
    expected = counts.sum() / (len(counts) * counts.clamp(min=1)).double()
    given = torch.tensor(lab.tasks["segmentation"].class_weights, dtype=torch.double)
    assert (
        torch.allclose(given[counts > 0], expected[counts > 0]) and (given[counts == 0] == 1).all()
    )
    assert lab.tasks["normals"].weight == 3.0
    output = torch.randn(2, len(counts), 32, 32)
    weighed = torch.nn.functional.cross_entropy(output, labels[:2], given.float(), ignore_index=255)
    assert lab.tasks["segmentation"].loss(output, labels[:2]).item() == pytest.approx(
        weighed.item(), rel=1e-5
    )
    assert Experiment.from_json(json.loads(json.dumps(made.to_json()))).class_weights
    for settings, words in (
        ({"class_weights": {"normals": "balanced"}}, "normals has no classes to weigh"),
        ({"class_weights": {"segmentation": (1.0, 2.0)}}, "2 weights are given"),
        ({"class_weights": {"smell": "balanced"}}, "no task 'smell' to weigh"),
        ({"loss_weights": {"smell": 1.0}}, "no task 'smell' to weigh"),
    ):
        with pytest.raises(ConfigError, match=words):
            small(pack, **settings).lab()
    told = []
    small(pack, loss_weights={"depth": 1.0}).lab(tell=told.append)
    assert "depth is not among the tasks" in told[0]


def test_too_few_images_for_the_search_are_said_before_the_pretraining(pack, tmp_path):
    made = small(pack)
    many = replace(made, search=replace(made.search, batch_size=20))
    with pytest.raises(MTLNASError, match="make no batch of 20"):
        run(many, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_pretraining_with_other_data_is_not_taken(pack, tmp_path):
    from mtlnas_lab.experiments.pipeline import pretrain

    made = replace(small(pack), pretrain=replace(small(pack).pretrain, steps=1))
    pretrain(made, tmp_path / "taught")
    pretrain(made, tmp_path / "taught")
    np.savez(tmp_path / "other.npz", **render(40, 32, seed=8))
    with pytest.raises(MTLNASError, match="was trained with other data"):
        pretrain(replace(made, data=str(tmp_path / "other.npz")), tmp_path / "taught")


def test_a_file_that_is_no_pack_is_one_line(tmp_path):
    made = Experiment(data="/etc/passwd")
    with pytest.raises(MTLNASError, match="^/etc/passwd: not a readable .npz file") as caught:
        made.packs()
    assert "\n" not in str(caught.value)


# --- the command ------------------------------------------------------------------------------------------------------
def test_search_evaluate_figure(pack, tmp_path):
    out = tmp_path / "run"
    done = command(
        "search",
        "--data",
        pack,
        "--tasks",
        "segmentation,depth",
        "--steps",
        3,
        "--pretrain-steps",
        1,
        "--out",
        out,
        "--baselines",
        "none",
        "--seed",
        4,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"\d+ of 48 edges kept, entropy [\d.]+ of ln 2 after 3 steps\nfusion graph: .*fusion_graph.pdf",
        done.stdout,
    )
    assert "entropy=" in done.stderr and "edges=" in done.stderr
    assert {"summary.md", "fusion_graph.pdf", "fusion_graph.svg", "fusion_graph.png"} <= {
        p.name for p in out.iterdir()
    }
    again = command("evaluate", out)
    assert again.returncode == 0 and again.stdout.splitlines()[:5] == done.stdout.splitlines()[:5]
    drawn = command("figure", out, "--format", "tikz,svg", "--out", tmp_path / "figures")
    assert drawn.returncode == 0, drawn.stderr
    assert {"fusion_graph.tex", "fusion_graph.tikz", "fusion_graph.svg"} <= {
        p.name for p in (tmp_path / "figures").iterdir()
    }


def test_a_loss_that_is_no_number_stops_with_advice_that_works(pack, tmp_path):
    out = tmp_path / "run"
    failed = command(
        "search",
        "--data",
        pack,
        "--steps",
        8,
        "--pretrain-steps",
        1,
        "--out",
        out,
        "--baselines",
        "none",
        "--weight-lr",
        "1e9",
        "--checkpoint-every",
        1,
    )
    assert failed.returncode == 2 and "Traceback" not in failed.stderr, failed.stderr
    last = failed.stderr.strip().splitlines()[-1]
    assert re.search(
        r"the loss of \w+ is (nan|inf) at step \d+; .*resume .* weight_lr = .*; the last good checkpoint is \d+",
        last,
    )
    assert Run.open(out).log.failed.message in last
    gone_on = command("search", "--out", out, "--resume", "--weight-lr", "0")
    assert gone_on.returncode in (0, 2) and "Traceback" not in gone_on.stderr
    assert [t.knobs for t in Run.open(out).log.turned] == [{"weight_lr": 0.0}]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["search", "--preset", "huge"], "no preset 'huge'; choose one of tiny, vgg16"),
        (["search", "--data", "missing.npz"], "missing.npz: no such file"),
        (["search", "--tasks", "segmentation,smell"], "smell"),
        (["search", "--steps", "-3"], "steps = -3"),
        (["search", "--baselines", "best"], "no baseline 'best'"),
        (["search", "--device", "cuda:7"], "cuda:7"),
        (["search", "--threads", "0"], "threads = 0"),
        (["search", "--checkpoint-every", "0"], "--checkpoint-every 0"),
        (["search", "--resume"], "--resume needs --out"),
        (["search", "--released-config", "missing.yaml"], "no configuration file"),
        (["evaluate", "missing"], "no run folder"),
        (["evaluate", "missing.pth"], "no checkpoint"),
        (["figure", "missing"], "no run folder"),
        (["figure", "missing", "--format", "gif"], "there is no format 'gif'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    told = capsys.readouterr().err
    assert (
        caught.value.code == 2
        and words in told
        and told.count("\n") == 1
        and "Traceback" not in told
    )
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_there_is_not_overwritten(finished, capsys):
    before = (finished / "config.json").read_bytes()
    with pytest.raises(SystemExit):
        cli.main(["search", "--out", str(finished)])
    assert (
        "--resume" in capsys.readouterr().err and (finished / "config.json").read_bytes() == before
    )


def test_help_teaches():
    helped = command("search", "--help")
    assert helped.returncode == 0 and "--entropy-weight" in helped.stdout and "λ" in helped.stdout
    assert command("--help").stdout.count("search") and "import-nyuv2" in command("data").stdout


def test_released_config_and_checkpoint(pack, tmp_path):
    from pathlib import Path

    golden = Path(__file__).parents[1] / "golden"
    done = command(
        "search",
        "--released-config",
        golden / "mtlnas_vgg16_narrow.yaml",
        "--data",
        pack,
        "--steps",
        2,
        "--pretrain-steps",
        1,
        "--out",
        tmp_path / "run",
        "--baselines",
        "none",
    )
    assert done.returncode == 0, done.stderr
    config = Run.open(tmp_path / "run").config
    assert config["search"]["optimizer"] == "sgd" and config["fusion_start"] == [1.0, 0.0]
    with np.load(golden / "mtlnas_vgg16_narrow.npz") as file:
        names = [name for name in file.files if name.startswith("state/")]
        state = {name.removeprefix("state/"): torch.tensor(file[name]) for name in names}
    torch.save({"model_state_dict": state}, tmp_path / "released.pth")
    drawn = command("figure", tmp_path / "released.pth", "--format", "svg", "--out", tmp_path)
    assert drawn.returncode == 0 and (tmp_path / "fusion_graph.svg").exists(), drawn.stderr
    scored = command("evaluate", tmp_path / "released.pth", "--eval-data", pack)
    assert scored.returncode == 0 and "mean_angle" in scored.stdout, scored.stderr


def test_a_branch_without_other_knobs_is_the_run_itself(pack, tmp_path):
    from mtlnas_lab.core.search import Search
    from mtlnas_lab.runs.recorder import Recorded

    experiment = small(pack)
    lab = experiment.lab()
    with RunWriter.create(tmp_path / "run", experiment.to_json(), lab.space) as folder:
        source = Recorded(
            Search(lab, replace(experiment.search, evaluate_every=0)), folder, checkpoint_every=2
        )
        steps = [e for e in source if isinstance(e, Step)]
        same = [replace(e, seconds=0.0) for e in source.branch(4) if isinstance(e, Step)]
        assert same == [replace(e, seconds=0.0) for e in steps[4:]]
        other = [e for e in source.branch(4, entropy_weight=0) if isinstance(e, Step)]
        assert [e.entropy_weight for e in other] == [0, 0] and other[-1].alpha != steps[-1].alpha
        with pytest.raises(RunError, match="no good checkpoint of step 3"):
            source.branch(3)


def test_replay_page(finished, tmp_path):
    done = command("replay", finished, "--html", tmp_path / "run.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page and len(page) < 2e6


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_batch_size_and_precision_hold_for_pretraining_too(
    precision, monkeypatch, tmp_path, capsys
):
    seen = []

    def instead(settings, *rest, **more):
        seen.append(settings)
        raise ConfigError("enough")

    monkeypatch.setattr("mtlnas_lab.experiments.pipeline.run", instead)
    with pytest.raises(SystemExit):
        cli.main(
            [
                "search",
                "--out",
                str(tmp_path / "run"),
                "--pretrain-steps",
                "3",
                "--batch-size",
                "3",
                "--precision",
                precision,
            ]
        )
    search, pretrain = seen[0].search, seen[0].pretrain
    assert (search.batch_size, pretrain.batch_size) == (3, 3) and (
        search.precision,
        pretrain.precision,
    ) == (precision,) * 2


def test_the_trivial_answer_of_many_images_is_made_of_some_evenly_spread(monkeypatch):
    data = {
        split: pack.subset(torch.arange(7)) for split, pack in presets.open_data("rooms").items()
    }
    tasks = data["train"].make_tasks(["normals"])
    lab = SimpleNamespace(
        data=data, tasks=tasks, targets=("normals",), seen=lambda batches: batches
    )
    monkeypatch.setattr(scores, "_gaps", lambda *_: {})
    monkeypatch.setattr(
        scores,
        "trivial",
        lambda tasks, training, batches: torch.cat([t["normals"] for _, t in training]),
    )
    normals, one = (
        data["train"].batch(torch.arange(7))[1]["normals"],
        data["train"].images[0].numel(),
    )
    for room, kept in ((7, [0, 1, 2, 3, 4, 5, 6]), (6, [0, 2, 4, 6]), (3, [0, 3, 6]), (1, [0])):
        monkeypatch.setattr(scores, "AT_ONCE", room * one)
        assert torch.equal(scores.final_scores(lab, None)["trivial"], normals[kept])


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda w: {n: t for n, t in w.items() if n != "alpha"}, "alpha is missing"),
        (lambda w: {**w, "alpha": w["alpha"][:3]}, r"alpha has the shape \(3,\) instead of"),
        (lambda w: {**w, "alpha": w["alpha"].double()}, "float64 instead of torch.float32"),
        (lambda w: dict(list(w.items())[:4]), "is missing"),
        (lambda w: {**w, "more": w["alpha"]}, "'more' is not known"),
        (lambda w: {"other": w["alpha"]}, "alpha is missing"),
    ],
)
def test_weights_of_another_run_are_refused_by_name(finished, tmp_path, spoil, words):
    shutil.copytree(finished, tmp_path / "run")
    with RunWriter.resume(tmp_path / "run") as folder:
        folder.save_weights(spoil(folder.load_weights()))
    with pytest.raises(RunError, match=f"weights.safetensors is not of this run, for .*{words}"):
        reopen(tmp_path / "run")
