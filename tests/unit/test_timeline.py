"""The timeline of a run, the table at its end, and the moving lines in between."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from commandline.results import HostResult, Mark, OperationResult, RunResult
from commandline.screen.fleet import HostLine, table
from commandline.screen.outcome import outcome_table
from commandline.screen.timeline import HUES, STAGES, Colour, colours, render, ticks

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<script>alert('1')</script>\"&"


def a_run() -> RunResult:
    done = HostResult(
        version="2026.9.6",
        health="ready",
        marks=[Mark("Connect", 0.0, 0.5), Mark("Check", 0.5, 1.5), Mark("Lock", 2.0, 0.1)],
        operations=[
            OperationResult("Engine | Install", 58.0, True, 2.1),
            OperationResult("Images | Build", 60.0, False, 60.1),
        ],
    )
    broken = HostResult(
        failed=f"Engine | Install {EVIL}",
        operations=[OperationResult("Engine | Install", 3.0, False, 2.1, failed=True)],
    )
    return RunResult(
        hosts={
            "claw1": done,
            EVIL: broken,
            "claw3": HostResult(left_out="the rollout stopped"),
            "claw4": HostResult(problems=[{"what": "no disk", "fix": "buy"}], failed="not ready"),
        },
        batches=[["claw1", EVIL], ["claw3"]],
    )


class Reader(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, name: str) -> list[dict[str, str | None]]:
        return [
            attributes
            for _, attributes in self.tags
            if name in (attributes.get("class") or "").split()
        ]


def test_bars_are_where_their_time_was() -> None:
    page = Reader(render(a_run(), "fleet.yml", "me@here", "2026-01-01"))
    drawn = [bar for bar in page.having("bar") if "left" in (bar["style"] or "")]
    assert len(drawn) == 6
    install = drawn[3]["style"] or ""
    assert re.search(r"left: 1\.749%; width: 48\.293%", install)
    assert (drawn[5]["class"] or "").split() == ["bar", "same", "wrong"]
    assert "claw1: Engine | Install58 s, from 2.1 s on · changed" in page.text
    assert len([row for row in page.having("row") if "failed" in (row["class"] or "")]) == 2
    for words in ("batch 2", "the rollout stopped", "no disk", "2026.9.6", "1 changed, 2 failed"):
        assert words in page.text


def test_nothing_comes_from_outside_and_text_stays_text() -> None:
    html = render(a_run(), f"fleet {EVIL}", EVIL, "2026-01-01")
    page = Reader(html)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe")]
    assert "<script" not in html and "url(" not in html and "://" not in html
    assert page.text.count(EVIL) >= 4
    for _, attributes in page.tags:
        assert not {"src", "href", "onclick"} & attributes.keys()


def test_each_stage_of_the_deploy_has_its_own_colour_in_every_run() -> None:
    paths = set((ROOT / "operations").rglob("*.py")) - set(
        (ROOT / "operations/lifecycle").iterdir()
    )
    sources = [path.read_text() for path in paths]
    declared = {name for text in sources for name in re.findall(r'^@deploy\("(.+)"\)', text, re.M)}
    assert declared == set(STAGES)
    own = ["Mine", "Other", "Monitoring", "My backups"]
    found = colours([*STAGES, *own])
    assert len({found[stage] for stage in (*STAGES, *own)}) == len(STAGES) + len(own)
    for stages in (["Images"], ["Mine", "Images"], [*own, "Verification", "Images"]):
        assert colours(stages)["Images"] == found["Images"]
    assert {found[stage] for stage in ("Connect", "Check", "Lock")} == {Colour(0)}
    many = colours(f"stage {number}" for number in range(3 * HUES))
    assert all(0 <= one.hue < 360 for one in many.values())


def test_a_colour_does_not_depend_on_how_long_a_stage_took() -> None:
    def legend(seconds: float) -> list[str | None]:
        run = a_run()
        run.hosts["claw1"].operations[0].seconds = seconds
        page = Reader(render(run, "fleet.yml", "me@here", "2026-01-01"))
        return [bar["style"] for bar in page.having("bar") if "static" in (bar["style"] or "")]

    assert len(set(legend(1.0))) > 2
    assert legend(1.0) == legend(500.0)


def test_a_run_that_did_nothing_has_a_page() -> None:
    assert "claw1" in render(RunResult(hosts={"claw1": HostResult()}), "x", "me", "now")


@pytest.mark.parametrize(
    ("total", "labels"),
    [
        (0.4, ["0 s"]),
        (9.0, [f"{second} s" for second in range(10)]),
        (400, [f"{minute} min" for minute in range(7)]),
        (7000, ["0 min", "20 min", "40 min", "60 min", "80 min", "100 min"]),
    ],
)
def test_the_axis_has_at_most_a_dozen_marks(total: float, labels: list[str]) -> None:
    assert [label for _, label in ticks(total)] == labels


def shown(renderable: object, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_table_has_a_row_for_each_host() -> None:
    lines = [re.split(r"\s{2,}", line) for line in shown(outcome_table(a_run()))]
    assert lines[0] == ["Host", "Result", "Changed", "Time", "Version", "Health"]
    assert lines[1] == ["claw1", "changed", "1", "1 min 58 s", "2026.9.6", "ready"]
    assert lines[2] == [EVIL, "failed", "3.0 s"]
    assert lines[3] == ["claw3", "not attempted"]


def test_a_line_for_each_host() -> None:
    lines = {"a": HostLine(), "b": HostLine(), "c": HostLine()}
    lines["b"].begin("Engine | Install")
    lines["c"].begin("Engine | Install")
    lines["c"].finish("done, 2 changes", failed=False)
    seen = shown(table(lines, Text("~"), 100, 24))
    assert [line.split()[:2] for line in seen] == [["·", "a"], ["~", "b"], ["✓", "c"]]
    assert "Engine | Install" in seen[1] and seen[1].endswith(" s")


def test_what_runs_and_what_failed_is_shown_where_there_is_little_room() -> None:
    lines = {f"host{number}": HostLine() for number in range(50)}
    lines["host40"].begin("Engine | Install")
    lines["host41"].finish("Images | Build", failed=True)
    seen = shown(table(lines, Text("~"), 100, 6))
    assert [line.split()[1] for line in seen[:2]] == ["host40", "host41"]
    assert len(seen) == 5
    assert seen[-1].split() == ["and", "46", "waiting"]
