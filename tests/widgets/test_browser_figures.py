"""The figure studio as a person uses it: a real JupyterLab, a real browser, a mouse and a keyboard."""

import hashlib
import json
import re

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from browsing import ROOT, browser, expect, in_browser, notebook, pages  # noqa: F401, E402 (fixtures)

pytestmark = in_browser
BEGIN = f"""import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
import viz_fakes
from mtlnas_lab.widgets import FigureStudio
search = viz_fakes.log(viz_fakes.space())
studio = FigureStudio(search, dropped='hide')
studio"""


def test_a_figure_is_made_by_hand(notebook):
    nb = notebook(BEGIN, "")
    nb.run_all(until=".mtl-figures svg[viewBox]")
    page, studio = nb.page, nb.page.locator(".mtl-figures")
    expect(studio.locator(".mtl-page text", has_text="segmentation")).to_be_visible()
    nb.shot("figures-first", of=".mtl-figures")

    studio.get_by_label("Style").select_option("paper-double")  # choose
    studio.get_by_label("Title").fill("Made by <b>hand</b>")
    studio.get_by_label("Title").press("Tab")
    studio.get_by_label("Dropped edges").select_option("faint")
    studio.get_by_label("Step").focus()
    page.keyboard.press("ArrowLeft")
    expect(studio.locator(".mtl-page text", has_text="Made by <b>hand</b>")).to_be_visible()
    expect(studio.locator("pre")).to_contain_text("step=60")

    def node(number):  # drag
        return studio.locator(".mtl-hands rect").nth(number).bounding_box()

    start = node(4)
    page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    page.mouse.down()
    page.mouse.move(start["x"] + start["width"] / 2 + 30, start["y"] - 25, steps=6)
    nb.shot("figures-dragging", of=".mtl-figures")
    page.mouse.up()
    expect(studio.locator("pre")).to_contain_text("'segmentation:4'")
    expect(studio.locator(".mtl-say")).to_have_text("segmentation:4")
    there = json.loads(
        nb.cell(
            "import json; print(json.dumps([studio.layout_now, studio.figure.page().at['segmentation:4'],"
            " studio.figure.page().width, studio.figure.page().height]))"
        )
    )
    (x, y), width, height = there[1:]
    sheet, box = studio.locator(".mtl-hands").bounding_box(), node(4)
    middle = box["x"] + box["width"] / 2 - sheet["x"], box["y"] + box["height"] / 2 - sheet["y"]
    assert middle == pytest.approx(
        (x / width * sheet["width"], (1 - y / height) * sheet["height"]), abs=1.5
    )
    assert there[0]["segmentation:4"][1] > 0.2, "above its lane"

    studio.locator(".mtl-hands").focus()  # by keyboard: the next node, to the left
    page.keyboard.press("PageDown")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(studio.locator("pre")).to_contain_text("'segmentation:5'")
    page.keyboard.press("Delete")
    expect(studio.locator("pre")).not_to_contain_text("'segmentation:5'")
    nb.shot("figures-dragged", of=".mtl-figures")

    page.context.grant_permissions(
        ["clipboard-read", "clipboard-write"]
    )  # copy code, download: the same bytes
    studio.get_by_role("button", name="Copy code").click()
    expect(studio.locator(".mtl-say")).to_have_text("Copied.")
    code = page.evaluate("navigator.clipboard.readText()")
    assert "save_fusion_graph(\n    search, " in code and "layout={'segmentation:4': (" in code
    nb.cell(code)
    digests = json.loads(
        nb.cell(
            "import hashlib, pathlib; print(json.dumps({p.suffix[1:]: hashlib.sha256(p.read_bytes())"
            ".hexdigest() for p in pathlib.Path('figures').iterdir()}))"
        )
    )
    for button, ending in (("PDF", "pdf"), ("TikZ", "tikz")):
        with page.expect_download() as waiting:
            studio.get_by_role("button", name=button, exact=True).click()
        assert waiting.value.suggested_filename == f"fusion_graph.{ending}"
        assert hashlib.sha256(waiting.value.path().read_bytes()).hexdigest() == digests[ending]
    with page.expect_download() as waiting:
        studio.get_by_role("button", name="Layout").click()
    assert list(json.loads(waiting.value.path().read_bytes())) == ["segmentation:4"]

    studio.get_by_label("Width, mm").fill("5")  # too narrow for any figure: said, borne
    studio.get_by_label("Width, mm").press("Tab")
    expect(studio.locator(".mtl-message")).to_have_text(re.compile("wide"))
    nb.menu("Settings", "Theme", "JupyterLab Dark")
    expect(page.locator("body[data-jp-theme-light=false]")).to_be_attached()
    studio.get_by_label("Style").select_option("web-dark")
    expect(studio.locator("pre")).to_contain_text("web-dark")
    nb.shot("figures-dark", of=".mtl-figures")
    nb.menu("Settings", "Theme", "JupyterLab Light")
