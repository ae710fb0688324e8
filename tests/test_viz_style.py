"""Colours that survive print and colour-blind eyes; sizes one can read; no pyplot."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

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

EYES = {  # Machado, Oliveira & Fernandes 2009, severity 1, linear RGB
    "full": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def seen(colors, eye) -> np.ndarray:
    """CIE L*a*b* (N, 3) of sRGB colours (N, 3) as that eye sees them."""
    colors = np.asarray(colors, float)
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(EYES[eye]), 0, 1) @ TO_XYZ.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


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
