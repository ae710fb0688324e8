"""A whole piece of work in which networks see different things: recorded, refused, resumed, scored."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mtlnas_lab.cli import main as cli
from mtlnas_lab.core.search import Search
from mtlnas_lab.data.dataset import ImageDataset
from mtlnas_lab.data.lazy import from_dataset
from mtlnas_lab.data.rooms import render
from mtlnas_lab.data.views import View
from mtlnas_lab.errors import ConfigError, DataError
from mtlnas_lab.experiments import pipeline
from mtlnas_lab.experiments.config import Experiment
from mtlnas_lab.experiments.pipeline import outcome, pretrain, reopen, run, seen_by_each
from mtlnas_lab.experiments.presets import make_lab
from mtlnas_lab.experiments.scores import final_scores
from mtlnas_lab.runs.run import Run
from mtlnas_lab.runs.run_writer import RunWriter

ARRAYS = render(24, 32, seed=3)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "small.npz"
    np.savez(path, **{key: np.asarray(value) for key, value in ARRAYS.items()})
    return path


def small(pack, baselines=("single_task",), visibility=None, steps=2, **settings):
    made = Experiment.from_preset(
        data=str(pack), steps=steps, pretrain_steps=0, baselines=baselines, threads=1, **settings
    )
    search = replace(made.search, batch_size=2, visibility=visibility or {})
    return replace(made, search=search, weights={"*": "random"})


DEPTH_SEEN = {"views": {"segmentation": "depth"}, "visibility": {"normals": 0.25}}


@pytest.fixture(scope="module")
def finished(pack, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    run(small(pack, **DEPTH_SEEN), out)
    return out


def test_depth_beside_the_image(finished):
    folder = Run.open(finished)
    recorded = folder.config["data_identity"]
    assert recorded["tasks"] == ["segmentation", "normals"] and recorded["maps"] == ["depth"]
    assert "depth" in recorded["splits"]["train"]["arrays"]
    lab, architecture = reopen(finished, device="cpu")
    assert [*lab.tasks] == ["segmentation", "normals"], "what is seen does not become a task"
    assert lab.views == {"segmentation": View("depth")} and lab.visibility == {"normals": 0.25}
    assert final_scores(lab, architecture)["hard"] == folder.scores()["hard"]
    assert folder.scores()["single_task"]
    said = "segmentation saw depth; normals saw 0.25 of the image, the rest noise"
    assert outcome(folder).endswith(said)
    assert said in (finished / "summary.md").read_text(encoding="utf-8")


def test_changed_maps_are_other_data(finished, pack, tmp_path):
    other = {key: np.asarray(value) for key, value in ARRAYS.items()}
    other["depth_mm"] = other["depth_mm"] + 100
    np.savez(tmp_path / "other.npz", **other)
    with pytest.raises(DataError, match="not the data that the run was made with.*differs: depth"):
        reopen(finished, device="cpu", data=tmp_path / "other.npz")
    del other["depth_mm"]
    np.savez(tmp_path / "none.npz", **other)
    with pytest.raises(DataError, match="it has no labels for depth"):
        reopen(finished, device="cpu", data=tmp_path / "none.npz")
    with pytest.raises(ConfigError, match="has no depth for segmentation to see"):
        run(small(tmp_path / "none.npz", **DEPTH_SEEN), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    made = small(pack)
    plain, _ = pipeline.prepare(made, tmp_path / "run")
    assert "maps" not in plain.data_identity, "data are recorded as they always were"
    assert plain.data_identity["tasks"] == ["segmentation", "normals"]


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"visibility": {"walls": 0}}, "visibility: there is no task 'walls'"),
        ({"views": {"walls": "grey"}}, "there is no task 'walls' to have a view"),
        ({"views": {"normals": "normals"}}, "normals cannot see normals"),
        ({"views": {"normals": "grey"}, "baselines": ("shared_trunk",)}, "a shared trunk sees one"),
        ({"visibility": {"normals": 0}, "method": "shared_trunk"}, "a shared trunk sees one"),
        (
            {"views": {"segmentation": "normals"}, "few_labels": {"normals": 8}},
            "few_labels: segmentation sees normals",
        ),
    ],
)
def test_what_cannot_be_is_said_before_there_is_a_folder(settings, words, pack, tmp_path):
    with pytest.raises(ConfigError, match=words):
        run(small(pack, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pretraining_and_turns_are_checked_too(pack, finished, tmp_path):
    made = small(pack)
    blind = replace(made.pretrain, steps=1, batch_size=2, visibility={"walls": 0})
    with pytest.raises(ConfigError, match="visibility: there is no task 'walls'"):
        run(replace(made, pretrain=blind), tmp_path / "run")
    many = replace(made, search=replace(made.search, edge_budget=49))
    with pytest.raises(ConfigError, match="edge_budget = 49: there are only 48"):
        run(many, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    before = (finished / "events.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="there is no task 'walls'"):
        run(None, finished, resume=True, turn={"visibility": {"walls": 0}})
    assert (finished / "events.jsonl").read_bytes() == before


def test_a_pretraining_under_other_views_is_not_taken(pack, tmp_path):
    made = small(pack)
    made = replace(made, pretrain=replace(made.pretrain, steps=1, batch_size=2))
    pretrain(made, tmp_path / "taught")
    with pytest.raises(ConfigError, match="was trained with other views or labels"):
        pretrain(replace(made, views={"normals": "grey"}), tmp_path / "taught")


def test_eyes_are_covered_where_a_run_goes_on(pack, tmp_path):
    made = small(pack, baselines=("single_task", "shared_trunk"), steps=4)
    made = replace(made, checkpoint_every=2)

    class Enough(Exception):
        pass

    def stop(name, search, event):
        if search.step_number == 2:
            raise Enough

    with pytest.raises(Enough):
        run(made, tmp_path / "run", listen=stop)
    with pytest.raises(ConfigError, match="a shared trunk sees one image"):
        run(None, tmp_path / "run", resume=True, turn={"visibility": {"normals": 0}})
    with RunWriter.resume(tmp_path / "run") as folder:
        started = Run.open(folder.path).checkpoints()
    assert started[-1].step == 2
    # as a viewer does, who knows no baselines
    Run.request(tmp_path / "run", visibility={"normals": 0})
    heard = []
    run(None, tmp_path / "run", resume=True, tell=heard.append)
    done = Run.open(tmp_path / "run")
    assert "a shared trunk sees one image for all tasks" in " ".join(heard)
    assert done.scores()["single_task"] and "shared_trunk" not in done.scores()
    (turned,) = done.log.turned
    first, second = seen_by_each(done)
    assert first == "segmentation saw the image"
    step = turned.step
    assert second == (
        f"normals saw the image (steps 1 to {step - 1}), then noise (steps {step} to 4)"
    )
    alone = Run.open(tmp_path / "run" / "baselines" / "single_task")
    assert alone.config["search"]["visibility"]["normals"]["end"] == 0


def test_a_shared_trunk_goes_on_when_a_viewer_covers_eyes(pack, tmp_path):
    asked = []

    def ask(name, search, event):
        if search.step_number == 1 and not asked:
            asked.append(Run.request(tmp_path / "run", visibility={"normals": 0}))

    heard = []
    made = small(pack, method="shared_trunk", baselines=(), steps=3)
    run(made, tmp_path / "run", listen=ask, tell=heard.append)
    done = Run.open(tmp_path / "run")
    assert "a request was refused: a shared trunk sees one image" in " ".join(heard)
    assert done.log.finished.step == 3 and not done.log.turned


def test_frozen_stages_of_every_baseline(pack, tmp_path):
    made = small(pack, baselines=("shared_trunk", "sluice", "cross_stitch"))
    run(replace(made, search=replace(made.search, freeze=True)), tmp_path / "run")
    assert {*made.baselines} <= {*Run.open(tmp_path / "run").scores()}


def test_precision_is_measured_on_what_is_seen(pack):
    experiment = small(pack, **DEPTH_SEEN)
    lab = experiment.lab(packs=experiment.packs()[0])
    settings, seconds = pipeline.calibrate(lab, experiment.search, steps=1)
    assert {*seconds} == {"float32", "bf16"} and not lab.visibility


def test_images_that_are_read_as_needed_have_views_too():
    whole = ImageDataset.from_arrays(ARRAYS)
    items = []
    for i in range(len(whole)):
        image = torch.as_tensor(whole.images[i])
        depth = whole.targets["depth"][i, 0].float() / 1000
        normals = whole.targets["normals"][i].float() / 127
        normals = normals / normals.norm(dim=0).clamp(min=1e-6)
        segmentation = whole.targets["segmentation"][i].long() - 1
        segmentation[segmentation < 0] = 255
        items.append(
            {"image": image, "depth": depth, "normals": normals, "segmentation": segmentation}
        )
    pack = from_dataset(items, size=(32, 32), labels={"segmentation": 13})
    lab = make_lab("tiny", {"train": pack, "val": pack}, ("segmentation", "normals"))
    lab = replace(lab, views={"segmentation": View("depth")})
    search = Search(lab, replace(small("x").search, batch_size=2))
    assert search.step().loss
    seen, targets = next(lab.seen(iter([pack.batch(torch.arange(2), lab.targets)])))
    assert {*seen} == {*lab.tasks} and "depth" in targets
    expected = View("depth").of(*whole.batch(torch.arange(2), ["depth"]), torch.Generator())
    torch.testing.assert_close(seen["segmentation"], expected, atol=1e-2, rtol=0)


@pytest.mark.slow
def test_at_the_command_line(pack, tmp_path, capsys):
    out = str(tmp_path / "run")
    flags = ["--steps", "2", "--batch-size", "2", "--pretrain-steps", "0", "--baselines", "none"]
    flags += ["--threads", "1", "--evaluate-every", "0", "--weights", "random"]
    seen = ["--view", "segmentation=depth", "--visibility", "normals=0", "--freeze"]
    cli.main(["search", "--data", str(pack), "--out", out, *flags, *seen])
    assert "segmentation saw depth; normals saw noise" in capsys.readouterr().out
    cli.main(["evaluate", out, "--device", "cpu"])
    assert "miou" in capsys.readouterr().out
    cli.main(["explain", out, "--device", "cpu"])
    assert json.loads((tmp_path / "run" / "ablation.json").read_text())["scores"]
    cli.main(["export", out, "--torch", "--height", "32", "--width", "32"])
    told = capsys.readouterr().out
    assert "input depth: what segmentation sees" in told
    assert "input image_of_normals: what normals sees" in told
