"""Colours that survive print and colour-blind eyes; sizes one can read; no pyplot."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from viz_fakes import EYES, seen

from mtlnas_lab.errors import ConfigError
from mtlnas_lab.viz.style import (
    STYLES,
    TASK_COLORS,
    FigureStyle,
    drawable,
    shorten,
    style,
    text_width,
)


@pytest.mark.parametrize("eye", EYES)
def test_task_colours_are_told_apart(eye):
    lab = seen([to_rgb(color) for color in TASK_COLORS], eye)
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 20


def test_task_colours_are_told_apart_in_grey_print():
    lightness = seen([to_rgb(color) for color in TASK_COLORS], "full")[:, 0]
    assert np.diff(np.sort(lightness)).min() > 6
    assert abs(lightness[0] - lightness[1]) > 25, "the two tasks of the paper's case"


def test_the_simulation_finds_a_bad_palette():
    red_green = seen([to_rgb("#c03020"), to_rgb("#4f7a10")], "deuteranopia")
    assert np.linalg.norm(red_green[0] - red_green[1]) < 20


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name, sign", [("web-light", -1), ("web-dark", 1)])
def test_the_ramp_of_gates_only_falls_or_only_rises(eye, name, sign):
    lightness = seen(STYLES[name].ramp(np.linspace(0, 1, 21))[:, :3], eye)[:, 0]
    assert (sign * np.diff(lightness) > 1).all()


@pytest.mark.parametrize("look", STYLES.values(), ids=str)
def test_every_style_can_be_read(look):
    assert min(look.font, look.small) >= 6
    contrast = seen([to_rgb(look.paper), to_rgb(look.ink), to_rgb(look.soft)], "full")[:, 0]
    assert abs(contrast[1] - contrast[0]) > 70 and abs(contrast[2] - contrast[0]) > 40
    width, height = look.figure(40).get_size_inches()
    assert (width * 25.4, height * 25.4) == pytest.approx((look.width, 40))


def test_mistakes_in_a_style_are_named():
    with pytest.raises(ConfigError, match="choose one of paper-single"):
        style("papersingle")
    with pytest.raises(ConfigError, match="at least 6 pt"):
        FigureStyle("tiny", 85, 7, 5)
    with pytest.raises(ConfigError, match="wide"):
        FigureStyle("none", 0, 7, 7)


def test_text_is_measured_and_cut():
    assert text_width("mm", 7) == pytest.approx(2 * text_width("m", 7))
    assert text_width("segmentation", 14) == pytest.approx(2 * text_width("segmentation", 7))
    short = shorten("a rather long name", 7, 15)
    assert "…" in short and text_width(short, 7) <= 15
    assert shorten("depth", 7, 15) == "depth" and shorten("m", 100, 1) == "…"
    assert drawable("σ(α) → é") == "σ(α) → é" and drawable("\U000e0001") == "□"


def test_pictures_need_no_pyplot():
    code = "import sys, mtlnas_lab.viz; print('matplotlib.pyplot' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )
