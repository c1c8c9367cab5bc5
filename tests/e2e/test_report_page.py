"""A person opens the page of `./claw report` in a browser, also on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from commandline.results import HostResult, OperationResult, RunResult
from commandline.run import history
from tests.e2e.harness import ARTIFACTS
from tests.unit.test_report import page as a_page
from tests.unit.test_timeline import EVIL

pytestmark = [pytest.mark.browser, pytest.mark.long]

PALE = """() => {
  const light = colour => {
    const canvas = document.createElement('canvas').getContext('2d')
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(one => one / 255)
      .map(one => one <= .03928 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
    return .2126 * r + .7152 * g + .0722 * b
  }
  const paper = light(getComputedStyle(document.body).backgroundColor)
  return [...document.querySelectorAll('td, th, p, li, b')]
    .filter(one => {
      const [low, high] = [paper, light(getComputedStyle(one).color)].sort((a, b) => a - b)
      return (high + .05) / (low + .05) < 4.5
    }).map(one => one.className + ': ' + one.textContent.slice(0, 40))
}"""
"""What has less contrast than WCAG 2 wants of text (1.4.3)."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_in_a_browser(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, scheme: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    operations = [
        OperationResult(f"{stage} | do", seconds, True)
        for stage, seconds in (("Engine", 58.0), ("Images", 90.0), (EVIL, 3.0))
    ]
    run = RunResult(hosts={"claw1": HostResult(operations=operations)})
    history.keep_run("f.yml", run, "me@here", "1 changed")
    file = tmp_path / "report.html"
    file.write_text(a_page())

    shown = browser.new_page(viewport={"width": width, "height": 740})
    shown.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    asked: list[str] = []
    said: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.on("dialog", lambda dialog: said.append(dialog.message))
    shown.goto(file.as_uri())

    expect(shown.get_by_role("list", name="Summary")).to_contain_text("2 of 4")
    row = shown.get_by_role("row").filter(has=shown.get_by_role("rowheader", name="claw1"))
    expect(row).to_contain_text("ready, 2 h")
    expect(shown.get_by_role("row").filter(has_text="done")).to_contain_text("claw1, claw2")
    expect(shown.get_by_text("Images 1 min 30 s")).to_be_visible()
    expect(shown.get_by_text(EVIL).first).to_be_visible()

    assert not shown.evaluate("document.documentElement.scrollWidth > innerWidth")
    hosts = shown.get_by_role("region", name="Hosts", exact=True)
    if width == 360:
        assert hosts.evaluate("one => one.scrollWidth > one.clientWidth"), "it scrolls, alone"
        hosts.evaluate("one => one.scrollTo(9999, 0)")
        name = shown.get_by_role("rowheader", name="claw1").bounding_box()
        assert name and name["x"] >= 0, "the host stays beside what is said of it"
    drawn = shown.locator(".track .bar").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert [round(one / sum(drawn), 1) for one in drawn] == [0.4, 0.6, 0.0]
    light = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light == "rgb(255, 255, 255)") == (scheme == "light")
    assert shown.evaluate(PALE) == []
    assert asked == [file.as_uri()]
    assert said == []
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=ARTIFACTS / f"report-{width}-{scheme}.png", full_page=True)
    shown.close()
