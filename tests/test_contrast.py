"""The package's words can be read: a contrast of 4.5 in light and in dark, wherever a file says a colour of text."""

import re
from pathlib import Path

import pytest
from contrast import AA, contrast, mixed

import mtlnas_lab
from mtlnas_lab.course.checking import BADGE, COLOURS
from mtlnas_lab.viz.style import PAGES
from mtlnas_lab.widgets.still import TEXT

PACKAGE = Path(mtlnas_lab.__file__).parent
RULES = {
    f"{path.relative_to(PACKAGE)}: {selector.strip()}": body
    for path in sorted([*PACKAGE.rglob("*.css"), *PACKAGE.rglob("*.j2")])
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", path.read_text(encoding="utf-8"))
    if re.search(r"(?<![-\w])color: *#", body)
}
DARKEST = "#14161b"  # of a page that stands alone; JupyterLab's is #111111
# JupyterLab 4.6's own: ink, and what lies below a row of facts (ui-font-color0, layout-color2).
JUPYTERLAB = [("#000000", "#eeeeee"), ("#ffffff", "#424242")]
ALONE = [("#1b1f27", "#f0f1f4"), ("#eceff4", "#23272f")]


@pytest.mark.parametrize("rule", RULES)
def test_colours_of_words_on_a_page(rule):
    """On the background that the rule sets, or else on paper."""
    body = RULES[rule]
    colour = _long(re.search(r"(?<![-\w])color: *(#\w+)", body)[1])
    own = re.search(r"background: *(#\w+)", body)
    paper = DARKEST if "[data-dark]" in rule else "#ffffff"
    assert contrast(colour, _long(own[1]) if own else paper) >= AA


def _long(colour: str) -> str:
    """#fff → #ffffff."""
    return colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])


def test_colours_that_the_page_sets_are_found():
    assert len(RULES) >= 4


@pytest.mark.parametrize("solved", COLOURS)
def test_what_a_check_says_is_white_on_a_colour(solved):
    """So it is read on a light page and on a dark one alike."""
    letters = re.search(r"color:(#\w{6})", BADGE)[1]
    assert contrast(letters, COLOURS[solved]) >= AA


@pytest.mark.parametrize("dark", PAGES)
@pytest.mark.parametrize("words", ["ink", "soft"])
@pytest.mark.parametrize("below", ["paper", "shade"])
def test_words_of_figures(dark, words, below):
    assert contrast(PAGES[dark][words], PAGES[dark][below]) >= AA


def test_the_line_below_a_still_picture():
    assert contrast(TEXT["color"], "#ffffff") >= AA


@pytest.mark.parametrize("ink, shade", JUPYTERLAB + ALONE)
def test_soft_words_on_a_shade(ink, shade):
    style = (PACKAGE / "widgets" / "studio" / "studio.css").read_text(encoding="utf-8")
    share = int(re.search(r"--soft-on-shade: color-mix\(in srgb, var\(--ink\) (\d+)%", style)[1])
    assert contrast(mixed(share / 100, ink, shade), shade) >= AA
    every = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.css")]
    bodies = re.findall(r"\{([^{}]*)\}", "".join(every))
    on_shade = [body for body in bodies if "background: var(--shade)" in body]
    assert on_shade and not any("color: var(--soft);" in body for body in on_shade)
