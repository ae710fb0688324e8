"""The playground in a browser: a person searches in it, by keyboard alone."""

import re

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from browsing import SHOTS, browser, expect, in_browser  # noqa: F401, E402 (fixtures)

from mtlnas_lab.widgets import playground_html  # noqa: E402

pytestmark = in_browser


def test_a_search_by_keyboard_and_without_any_request(browser, tmp_path):
    (tmp_path / "page.html").write_text(playground_html(), encoding="utf-8")
    asked, wrong = [], []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    label = page.locator(".mtl-canvas")
    expect(page.locator(".mtl-mode")).to_have_text("ready")
    page.get_by_role("button", name="Step").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mtl-where")).to_contain_text("step 1 of")

    weight = page.locator(".mtl-entropy_weight input")
    weight.focus()
    page.keyboard.press("End")  # λ is as large as it can be
    page.get_by_role("button", name="Go on").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mtl-where")).to_contain_text(
        re.compile(r"step ([6-9]\d|\d{3})"), timeout=90_000
    )
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mtl-mode")).to_have_text("paused")
    # From ln 2 nats on.
    expect(label).to_have_attribute("aria-label", re.compile(r"mean entropy 0\.[0-5]"))

    label.focus()
    page.keyboard.press("ArrowRight")  # the first edge
    page.get_by_role("button", name="Shut by force").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".mtl-edge")).to_contain_text("forced shut")
    page.get_by_role("button", name="Discretize now").click()
    expect(page.locator("#scores")).to_contain_text("test images")
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / "playground.png", full_page=True)
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".mtl-where")).to_contain_text("step 0 of")
    page.close()
    assert not wrong and len(asked) == 1


NAME = "e => (e.ariaLabel || [...e.labels || []].map(l => l.textContent).join() || e.textContent).trim()"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_shows_that_it_has_the_focus(browser, tmp_path, scheme):
    (tmp_path / "page.html").write_text(playground_html(), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_role("button", name="Step").click()
    expect(page.locator(".mtl-where")).to_contain_text("step 1 of")
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() == 0:
            break  # behind the last one
        name = focused.evaluate(NAME)
        assert name, focused.evaluate("e => e.outerHTML")
        assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid", name
        reached.add(focused.evaluate("e => e.tagName"))
    page.close()
    assert reached >= {"BUTTON", "INPUT", "SELECT", "CANVAS"}
