"""The tool that makes README's film: its search goes on where it was stopped, with the eyes as they should be."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtlnas_lab.core.events import Step
from mtlnas_lab.experiments import presets
from mtlnas_lab.viz.seeing import sights

TOOL = Path(__file__).parents[2] / "tools" / "make_film.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_film", TOOL)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "make_film", module)
        spec.loader.exec_module(module)
        module.CONFIG = replace(module.CONFIG, steps=6, batch_size=2)
        module.VISIBILITY = {0: 1.0, 2: 0.0, 4: 1.0}
        module.SHOWN = [2, 3, 6]
        yield module


@pytest.fixture(scope="module")
def never_stopped(tool, tmp_path_factory):
    """(the run, its lab as the search left it)."""
    lab = presets.tiny(seed=4)
    return tool.search(lab, tmp_path_factory.mktemp("film") / "run"), lab


@pytest.mark.parametrize("stop", [2, 3])
def test_stopped_equals_never_stopped(tool, never_stopped, stop, tmp_path, monkeypatch):
    whole = never_stopped[0].log
    assert sights(whole)["segmentation"].words == "saw noise from step 3 to 4, then the image"

    record = tool.record

    def cut_short(*arguments, **more):
        for event in record(*arguments, **more):
            yield event
            if isinstance(event, Step) and event.step == stop:
                return

    monkeypatch.setattr(tool, "record", cut_short)
    tool.search(presets.tiny(seed=4), tmp_path / "parts")
    monkeypatch.setattr(tool, "record", record)
    parts = tool.search(presets.tiny(seed=4), tmp_path / "parts").log
    assert np.array_equal(parts.alpha, whole.alpha)
    assert sights(parts) == sights(whole)


def test_it_draws_the_steps_that_are_shown(tool, never_stopped):
    run, lab = never_stopped
    first, covered, last = tool.pictures(run.log, lab)
    assert first.size == covered.size == last.size and first.width == tool.PIXELS
    of_segmentation, of_normals = (12, 24, 97, 110), (12, 170, 97, 255)
    seen = [np.asarray(one.crop(of_segmentation)) for one in (first, covered, last)]
    assert np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[0], seen[1])
    rooms = [np.asarray(one.crop(of_normals)) for one in (first, covered, last)]
    assert np.array_equal(rooms[0], rooms[1]) and np.array_equal(rooms[0], rooms[2])
