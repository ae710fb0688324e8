"""The notebooks in a folder of the reader's own; a wheel that has all that the lab needs."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mtlnas_lab.cli.main import main
from mtlnas_lab.data import open as opening
from mtlnas_lab.errors import DataError

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_notebooks_and_data_are_at_hand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["course"])
    folder = tmp_path / "mtlnas_lab_course"
    assert sorted(path.name for path in folder.glob("*.ipynb")) == NOTEBOOKS
    for page in ("glossary.md", "teaching.md", "README.md"):
        text = (folder / page).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
        assert links and [link for link in links if not (folder / link).is_file()] == []
    assert "](glossary.md)" in (folder / "00_start_here.ipynb").read_text(encoding="utf-8")
    assert (folder / "data_samples" / "runs" / "entropy" / "events.jsonl").is_file()
    said = capsys.readouterr().out
    assert f"{len(NOTEBOOKS)} notebooks" in said
    assert said.endswith("jupyter lab mtlnas_lab_course/00_start_here.ipynb\n")


def test_what_the_reader_changed_stays(tmp_path, capsys):
    main(["course", str(tmp_path / "mine")])
    capsys.readouterr()
    changed = tmp_path / "mine" / NOTEBOOKS[1]
    changed.write_text("{}")
    (tmp_path / "mine" / NOTEBOOKS[2]).unlink()
    main(["course", str(tmp_path / "mine")])
    assert changed.read_text() == "{}"
    assert f"yours differ and stay as they are: {NOTEBOOKS[1]}\n" in capsys.readouterr().out
    assert (tmp_path / "mine" / NOTEBOOKS[2]).is_file()


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        main(["course", str(tmp_path / "file")])
    told = capsys.readouterr().err
    assert "is a file" in told and told.count("\n") == 1


def test_where_shipped_folders_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("MTLNAS_LAB_SAMPLES", raising=False)
    assert opening.samples() == ROOT / "data_samples"
    package = tmp_path / "site-packages" / "mtlnas_lab"
    monkeypatch.setattr(opening, "__file__", str(package / "data" / "open.py"))
    with pytest.raises(DataError, match="data_samples has no rooms.npz; install the lab again"):
        opening.samples()
    installed = package / "shipped" / "data_samples"
    installed.mkdir(parents=True)
    (installed / "rooms.npz").write_bytes(b"")
    assert opening.samples() == installed
    monkeypatch.setenv("MTLNAS_LAB_SAMPLES", str(ROOT / "data_samples"))
    assert opening.samples() == ROOT / "data_samples"


@pytest.mark.slow
def test_a_wheel_needs_no_clone(tmp_path):
    """Its package, unpacked elsewhere, searches, draws, teaches. (It is built by hatchling, which pip fetches.)"""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
    ]
    subprocess.run([*pip, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 17.5e6
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
        names = packed.namelist()
    assert not [name for name in names if "/forms/" in name or name.endswith(".lock")]

    (tmp_path / "empty").mkdir()
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "OMP_NUM_THREADS": "1"}
    env.pop("MTLNAS_LAB_SAMPLES", None)

    def lab(*arguments):
        command = [sys.executable, "-m", "mtlnas_lab", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path / "empty", env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import mtlnas_lab; print(mtlnas_lab.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        cwd=tmp_path / "empty",
        env=env,
        capture_output=True,
        text=True,
    )
    assert str(tmp_path / "installed") in found.stdout, "the wheel's package is the one that runs"
    lab("search", "--steps", "5", "--out", "run")
    lab("figure", "run", "--format", "pdf", "--out", "figures")
    lab("course")
    lab("bench", "query", "segmentation-normals", "255")
    assert (tmp_path / "empty" / "mtlnas_lab_course" / "data_samples" / "rooms.npz").is_file()
