import sys
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from check import check, main  # noqa: E402

FILES = [str(GOLDEN / f"mtlnas_vgg16_narrow.{kind}") for kind in ("npz", "yaml")]


def test_every_key_is_in_tolerance():
    errors = check(*FILES)
    file = np.load(FILES[0])
    keys = {
        key
        for key in file.files
        if not key.startswith(
            ("state/", "image", "seg", "normal", "traj/search", "traj/train", "metrics")
        )
    }
    assert keys <= set(errors), "every recorded value is compared"
    assert {key: error for key, (error, tolerance) in errors.items() if error > tolerance} == {}


def test_check_notices_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("check._trajectory", lambda *_: None)
    # the trajectory and the passes without training take longest; neither fault is in them
    file = np.load(FILES[0])
    golden = {key: file[key] for key in file.files if not key.startswith(("eval", "traj"))}
    np.savez(tmp_path / "right.npz", **golden)
    golden["train/loss1"] = golden["train/loss1"] * (1 + 1e-7)
    np.savez(tmp_path / "wrong.npz", **golden)
    assert main([str(tmp_path / "right.npz"), FILES[1]]) == 0
    assert main([str(tmp_path / "wrong.npz"), FILES[1]]) == 1
    assert "1 out of tolerance: train/loss1" in capsys.readouterr().out
    assert main([]) == 2
    other = (Path(FILES[1]).read_text()).replace(
        "ENTROPY_REGULARIZATION_WEIGHT: 10.", "ENTROPY_REGULARIZATION_WEIGHT: 11."
    )
    (tmp_path / "other.yaml").write_text(other)
    assert main([str(tmp_path / "right.npz"), str(tmp_path / "other.yaml")]) == 1


@pytest.mark.parametrize("arguments", [["one"], []])
def test_usage(arguments):
    assert main(arguments) == 2
