"""The doctor: healthy here, and for each thing that goes wrong elsewhere, one line that says what to do."""

import importlib
import re
import sys
from importlib import metadata

import pytest

from mtlnas_lab.cli import doctor


@pytest.fixture
def versions(monkeypatch):
    """A dict of pretended versions; the rest is as installed."""
    pretended, real = {}, metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: pretended.get(name) or real(name))
    return pretended


@pytest.fixture
def fails(monkeypatch):
    """fails(module, error): importing it raises from now on."""
    real = importlib.import_module

    def add(module, error):
        def pretend(name, *rest):
            if name == module:
                raise error
            return real(name, *rest)

        monkeypatch.setattr(doctor.importlib, "import_module", pretend)

    return add


def find(name: str, folder="."):
    return next(check for check in doctor.checks(folder) if check.name == name)


def test_one_line_each_and_nothing_missing_here(tmp_path):
    found = doctor.checks(tmp_path)
    lines = doctor.report(found).splitlines()
    assert len(lines) == len(found) + 1
    names = [check.name for check in found]
    assert len(names) == len(set(names))
    assert names == [
        "installation",
        "libraries",
        "torchvision",
        "device",
        "widgets",
        "place",
        "shipped data",
    ]
    libraries = found[1].found
    for name in (
        "torch",
        "torchmetrics",
        "matplotlib",
        "seaborn",
        "networkx",
        "ipywidgets",
        "anywidget",
        "jupyterlab",
        "ipykernel",
    ):
        assert re.search(rf"\b{name} \d", libraries)
    broken = [str(check) for check in found if not check.ok and check.name != "place"]
    assert broken == []
    assert not any(check.advice for check in found if check.name not in ("device", "place"))


def test_report_marks_and_sums_up():
    good, bad = (
        doctor.Check("torch", True, "2.13.0"),
        doctor.Check("anywidget", False, "0.1", "install it"),
    )
    assert (
        doctor.report([good, bad])
        == "✓ torch: 2.13.0\n✗ anywidget: 0.1  → install it\nTo mend: anywidget."
    )
    assert doctor.report([good]).endswith("Everything the lab needs is here.")


def test_lowest_versions_come_from_the_package():
    lowest = doctor.required()
    assert lowest["jupyterlab"] == "4.4" and lowest["torch"]
    assert "pytest" not in lowest and "h5py" not in lowest


def test_old_library(versions):
    versions["jupyterlab"] = "4.3.9"
    check = find("libraries")
    assert (
        not check.ok
        and check.found == "jupyterlab 4.3.9"
        and "4.4 or later" in check.advice
        and "make setup" in check.advice
    )


@pytest.mark.parametrize(
    "version, lowest, ok",
    [
        ("4.4", "4.4", True),
        ("4.10.1", "4.4", True),
        ("2.13.0+cpu", "2.6", True),
        ("2.6.0rc1", "2.6", True),
        ("4.3.9", "4.4", False),
        ("0.9.9", "0.9.13", False),
        ("7.9", "8.1", False),
    ],
)
def test_versions_are_compared_as_numbers(version, lowest, ok):
    assert doctor._at_least("x", version, lowest).ok is ok


def test_missing_library(fails):
    fails("seaborn", ModuleNotFoundError("No module named 'seaborn'", name="seaborn"))
    check = find("libraries")
    assert (check.ok, check.found) == (
        False,
        "seaborn no module 'seaborn'",
    ) and "pip install" in check.advice


def test_broken_library_is_a_line_and_no_traceback(fails):
    fails("matplotlib", OSError("libfreetype.so.6: cannot open\nmore"))
    check = find("libraries")
    assert (
        not check.ok
        and "matplotlib fails on import, OSError: libfreetype.so.6: cannot open" in check.found
        and "\n" not in str(check)
    )
    assert check.advice.endswith("--force-reinstall matplotlib`")


def test_mismatched_torchvision_names_the_error_people_meet(monkeypatch):
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda name: ["numpy", "torch (==2.9.1)", "pillow>=5.3"]
    )
    check = doctor._torchvision("")
    assert not check.ok and "is for torch 2.9.1" in check.found
    assert (
        "operator torchvision::nms does not exist" in check.found
        and "torch torchvision" in check.advice
    )


def test_torchvision_whose_import_fails_in_another_way(monkeypatch):
    def broken():
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("mtlnas_lab._compat.torchvision", broken)
    check = find("torchvision")
    assert (
        not check.ok
        and "torchvision::nms does not exist" in check.found
        and "--force-reinstall" in check.advice
    )


def test_not_installed(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", absent)
    assert doctor.required() == {}
    check = doctor._installation({})
    assert not check.ok and sys.prefix in check.found and "make setup" in check.advice


def test_missing_lab_extension(monkeypatch, tmp_path):
    (tmp_path / "anywidget").mkdir()
    (tmp_path / "anywidget" / "package.json").write_text("{}")
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    check = doctor._widgets()
    assert (check.ok, check.found) == (
        False,
        "no @jupyter-widgets/jupyterlab-manager",
    ) and "reload" in check.advice


@pytest.mark.parametrize(
    "threads, policy, hint",
    [
        (2, "", True),
        (2, "passive", False),
        (1, "", False),
        (4, "ACTIVE", True),
    ],
)
def test_thread_policy_is_a_hint_and_no_fault(monkeypatch, threads, policy, hint):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    check = doctor._threads()
    assert check.ok and bool(check.advice) is hint


def test_runs_that_cannot_be_written(tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    check = find("place", tmp_path)
    assert not check.ok and "--out" in check.advice
    assert f"{tmp_path / 'runs'} cannot be written" in check.found
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_folder_that_is_not_there(tmp_path):
    check = find("place", tmp_path / "gone")
    assert not check.ok and "No such file" in check.found and "runs" not in check.found


def test_full_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 2e8})()
    )
    check = find("place", tmp_path)
    assert not check.ok and "0.2 GB" in check.found and "make room" in check.advice


def test_no_shipped_data(monkeypatch, tmp_path):
    monkeypatch.setenv("MTLNAS_LAB_SAMPLES", str(tmp_path))
    check = doctor._shipped_data()
    assert not check.ok and "install the lab again" in check.advice and str(tmp_path) in check.found
