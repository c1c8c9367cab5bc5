"""A person opens a run's timeline in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from commandline.screen import timeline
from tests.e2e.harness import ARTIFACTS
from tests.unit.test_timeline import a_run

pytestmark = [pytest.mark.browser, pytest.mark.whole]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_details_are_shown_where_the_mouse_is(browser: Browser, tmp_path: Path, scheme: str):
    file = tmp_path / "timeline.html"
    file.write_text(timeline.render(a_run(), "fleet.yml", "me@here", "2026-01-01"))
    page = browser.new_page(viewport={"width": 1100, "height": 700})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    tip = page.get_by_role("tooltip").filter(has_text="claw1: Engine | Install")
    expect(tip).not_to_be_visible()
    bars = page.locator(".track .bar")
    bars.nth(3).hover()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("58 s, from 2.1 s on")
    bars.nth(4).focus()
    page.mouse.move(0, 0)
    expect(page.get_by_role("tooltip").filter(has_text="Images | Build")).to_be_visible()
    assert page.locator(".row.failed").count() == 2
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")
    assert asked == [file.as_uri()]
    assert said == []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"timeline-{scheme}.png")
    page.close()


OVERPRINTED = """() => {
  const boxes = [...document.querySelectorAll('.axis .tick')]
    .filter(one => one.checkVisibility())
    .map(one => {
      const range = document.createRange()
      range.selectNodeContents(one)
      return range.getBoundingClientRect()
    })
  return [boxes.length, boxes.filter((box, i) => i && box.left < boxes[i - 1].right).length]
}"""


@pytest.mark.parametrize("width", [360, 900])
def test_labels_are_not_printed_over_each_other(browser: Browser, tmp_path: Path, width: int):
    run = a_run()
    run.hosts["claw1"].operations[1].seconds = 6050  # "100 min" is the longest label
    file = tmp_path / "timeline.html"
    file.write_text(timeline.render(run, "fleet.yml", "me@here", "2026-01-01"))
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.goto(file.as_uri())
    shown, over = page.evaluate(OVERPRINTED)
    assert shown >= 2
    assert over == 0
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    drawn = page.evaluate(
        "[...document.querySelectorAll('.legend .bar:not(.waits)')]"
        ".map(one => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(drawn)) == len(drawn) > 1
    page.close()
