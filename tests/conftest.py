"""What every test stands on: one thread, fixed seeds, no figure left open; real photographs, where there are some."""

import gc
import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("lab", deadline=None)  # a busy machine is no failure
settings.load_profile("lab")
torch.set_num_threads(1)
pytest.register_assert_rewrite("judging")


def pytest_collection_modifyitems(items):
    """Tests in a browser come first. One of them takes as long as hundreds of others: at the end, one worker would wait for
    another. And one worker has them all, with one JupyterLab and one kernel."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


def pytest_collection_finish(session):
    """What was imported stays to the end: a collector that looks through it again and again took a fifth of the time
    of tests that draw. Copies of this process share its memory for longer, too."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 5)


@pytest.fixture(autouse=True)
def same_start():
    """Global generators start alike, so that a test which forgot its own generator at least repeats."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def nothing_waits_for_the_disk():
    """A sync guards against a power failure alone, which no test has: what a killed process wrote is there without it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            if hasattr(os, name):
                patch.setattr(os, name, lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def own_progress(request):
    """What a test of the exercises solves is kept in its own folder, not with the reader's."""
    if request.path.parent.name == "course":
        kept = request.getfixturevalue("tmp_path") / "progress.json"
        request.getfixturevalue("monkeypatch").setenv("MTLNAS_LAB_PROGRESS", str(kept))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs; the test skips where there is none."""
    folder = os.environ.get("MTLNAS_LAB_REAL_DATA")
    if not folder:
        pytest.skip(
            "MTLNAS_LAB_REAL_DATA is not set; it names the folder of packs made from real photographs"
        )
    if not Path(folder).is_dir():
        pytest.skip("MTLNAS_LAB_REAL_DATA names no folder")
    return Path(folder)
