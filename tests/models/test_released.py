import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlnas_lab.errors import ConfigError, RunError
from mtlnas_lab.models import released as official

GOLDEN = Path(__file__).parents[1] / "golden"
YAML = GOLDEN / "mtlnas_vgg16_narrow.yaml"


@pytest.fixture(scope="module")
def state():
    file = np.load(GOLDEN / "mtlnas_vgg16_narrow.npz")
    return {
        key.removeprefix("state/"): torch.tensor(file[key])
        for key in file.files
        if key.startswith("state/")
    }


def test_prefix_and_second_names_are_accepted(state):
    odd = {f"module.{name}": value for name, value in state.items()}
    odd |= {
        "module.net1.features.0.weight": torch.zeros(3),
        "module.net2.features.1.bias": torch.zeros(1),
    }
    lab, plain = official.from_released(odd), official.from_released(state, dropout=0.5)
    assert torch.equal(lab.alphas.alpha, plain.alphas.alpha) and len(lab.space) == 48
    assert (
        list(lab.tasks) == ["segmentation", "normals"] and lab.tasks["segmentation"].channels == 13
    )
    assert lab.supernet.backbones["normals"].head[5].share == 0.5


def test_alpha_matrices_become_the_vector(state):
    lab = official.from_released({**state, "net1_alphas": torch.arange(169.0).view(13, 13)})
    i = lab.space.index("normals:3 -> segmentation:3")
    assert lab.alphas.alpha[i] == 3 * 13 + 3
    assert lab.alphas.alpha[lab.space.index("normals:5 -> segmentation:6")] == 6 * 13 + 5


def test_checkpoint_file_with_what_lies_beside_its_tensors(state, tmp_path):
    torch.save(
        {
            "step": 5,
            "model_state_dict": state,
            "loss": torch.tensor(1.0),
            "task1_metric": {"Mean IoU": np.float64(0.3)},
        },
        tmp_path / "c.pth",
    )
    assert torch.equal(
        official.load_checkpoint(tmp_path / "c.pth").alphas.alpha,
        official.from_released(state).alphas.alpha,
    )


def test_a_payload_is_refused_and_not_run(state, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"model_state_dict": state, "cfg": Payload()}, tmp_path / "bad.pth")
    seen = []
    sys.addaudithook(
        lambda event, arguments: (
            seen.append(event) if event in ("os.system", "pickle.find_class") else None
        )
    )
    with pytest.raises(RunError, match="nothing in it was run"):
        official.load_checkpoint(tmp_path / "bad.pth")
    assert seen == [] and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "write, words",
    [
        (lambda path: None, "no checkpoint"),
        (lambda path: path.write_bytes(b"nothing"), "refused"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "refused"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "not a state dict of the released"),
        (lambda path: torch.save([1, 2], path), "no state dict"),
    ],
)
def test_other_files_get_one_line(write, words, tmp_path):
    write(tmp_path / "x.pth")
    with pytest.raises(RunError, match=words) as caught:
        official.load_checkpoint(tmp_path / "x.pth")
    assert "\n" not in str(caught.value)


def test_state_of_wrong_shapes(state):
    with pytest.raises(RunError, match="not a state dict of the released"):
        official.from_released({**state, "paths.net1_paths.3.conv.weight": torch.zeros(1)})
    with pytest.raises(RunError, match="not a state dict of the released"):
        official.from_released({})


# --- configuration files ----------------------------------------------------------------------------------------------
def write(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    return tmp_path / "c.yaml"


def test_default_search():
    config = official.read_config(YAML)
    assert (config.steps, config.batch_size, config.optimizer, config.alpha_lr) == (
        20001,
        10,
        "sgd",
        1e-3,
    )
    assert config.entropy_weight(0, 20001) == 0 and config.entropy_weight(1, 20001) == 10
    assert config.fusion_lr_factor == 100 and config.temperature(10000, 20001) == pytest.approx(
        0.25, abs=1e-3
    )
    assert official.read_released(YAML).fusion_start == (1.0, 0.0)


@pytest.mark.parametrize(
    "text, field, value",
    [
        ("ARCH: {SEARCHSPACE: GeneralizedMTLNAS}", "alpha_gates", "stochastic"),
        (
            "ARCH: {SEARCHSPACE: GeneralizedMTLNAS, HARD_ARCH_TRAINING: False}",
            "alpha_gates",
            "deterministic",
        ),
        (
            "ARCH: {SEARCHSPACE: GeneralizedMTLNAS, HARD_WEIGHT_TRAINING: False}",
            "weight_gates",
            "deterministic",
        ),
        ("ARCH: {SEARCHSPACE: GeneralizedMTLNAS, LR: 1.}", "alpha_lr", 1.0),
        (
            "ARCH: {SEARCHSPACE: GeneralizedMTLNAS, LR: 1e-2}",
            "alpha_lr",
            0.01,
        ),  # a string to a YAML parser
        ("ARCH: {SEARCHSPACE: GeneralizedMTLNAS, WEIGHTED_L1: True}", "l1_by_cost", True),
        ("ARCH: {SEARCHSPACE: GeneralizedMTLNAS, TRAIN_SPLIT: 0.6}", "weight_share", 0.6),
        ("ARCH: {SEARCHSPACE: GeneralizedMTLNAS}\nTRAIN: {STEPS: 300}", "steps", 300),
        (
            "ARCH: {SEARCHSPACE: GeneralizedMTLNAS}\nMODEL: {SUPERNET: True}",
            "weight_gates",
            "all_open",
        ),
    ],
)
def test_settings_are_read(tmp_path, text, field, value):
    assert getattr(official.read_config(write(tmp_path, text)), field) == value


def test_ramps(tmp_path):
    path = write(
        tmp_path,
        'ARCH: {SEARCHSPACE: GeneralizedMTLNAS, ENTROPY_REGULARIZATION: True, ENTROPY_PERIOD: "(0.2, 0.7)",'
        ' L1_REGULARIZATION: True, L1_OFF: True, L1_PERIOD: "(0., 0.5)"}\nTRAIN: {STEPS: 100}',
    )
    config = official.read_config(path)
    assert [config.entropy_weight(t, 100) for t in (20, 45, 70)] == pytest.approx([0, 5, 10])
    assert [config.l1_weight(t, 100) for t in (0, 25, 50, 51)] == pytest.approx([0, 2.5, 5, 0])


@pytest.mark.parametrize(
    "text, baseline",
    [
        ("MODEL: {BACKBONE: VGG16}", "nddr_group_ends"),
        ("MODEL: {BACKBONE: VGG16_13_Stage}", "nddr_every_stage"),
        ("MODEL: {SINGLETASK: True}", "single_task"),
        ("MODEL: {SHAREDFEATURE: True}", "shared_trunk"),
        ("MODEL: {NDDR_TYPE: cross_stitch}", "cross_stitch"),
    ],
)
def test_baseline_files(tmp_path, text, baseline):
    path = write(tmp_path, text)
    assert official.read_released(path).baseline == baseline
    with pytest.raises(ConfigError, match=f"baseline {baseline}"):
        official.read_config(path)


def test_random_start(tmp_path):
    assert official.read_released(write(tmp_path, "MODEL: {INIT: ()}")).fusion_start is None


@pytest.mark.parametrize(
    "text, words",
    [
        ("ARCH: {SEARCHSPACE: Other}", "ARCH.SEARCHSPACE = 'Other' is not supported"),
        ("ARCH: {OPTIMIZER: sgd}", "ARCH.OPTIMIZER"),
        ("TRAIN: {SCHEDULE: Step}", "TRAIN.SCHEDULE"),
        ("MODEL: {INIT: (1.0}", "not a pair of numbers"),
        ("MODEL:\n  INIT: (1.0, 2, 3)", "two numbers"),
        ("TRAIN: {LR: fast}", "not a number"),
        ("TRAIN: {STEPS: many}", "TRAIN.STEPS"),
        ("- 1", "no sections"),
        ("a: [", "no YAML"),
        ("!!python/object/apply:os.system [ls]", "no YAML"),
        ("ARCH: 3", "ARCH"),
    ],
)
def test_wrong_files_get_one_line_that_names_the_key(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        official.read_config(write(tmp_path, text))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no configuration file"):
        official.read_config(tmp_path / "missing.yaml")
