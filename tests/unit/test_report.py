"""The page of `./claw report`: what it says, and what hostile hosts cannot make it do."""

from __future__ import annotations

import base64
import json
import re
import stat
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commandline import asking
from commandline.asking import Answer
from commandline.results import HostResult, OperationResult, RunResult
from commandline.run import history
from commandline.screen.given import Given
from commandline.verbs import report
from operations.base.preflight import Problem
from operations.lifecycle import runs
from operations.lifecycle.runs import Looked, Run
from operations.lifecycle.status import Backups, Status, Watch
from tests.unit.test_timeline import EVIL, Reader

SECRETS = ("sk-" + "a1b2c3d4" * 4, "https://user:hunter22@backup.example", "123456789:" + "A" * 35)
STATUS = Status(
    "openclaw",
    deployed=True,
    engine="26.1.5",
    openclaw="2026.9.6",
    state="running",
    ready=True,
    up_seconds=7200,
    backups=Backups(made=3600, drilled=None),
    disk_free=53 << 30,
    security_updates=26,
    attention=(Problem("there is no drill yet", "./claw drill makes one"),),
)
RUN = Run("r1", "2026-11-30T06:00:00Z", "done", "me@here", "f.yml", 3, (), 61.0, "2026.9.6")
DRIFT = Problem("the firewall's table is gone", "./claw up sets it again")


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def answers() -> asking.Answers:
    hostile = replace(
        STATUS,
        deployment=EVIL,
        openclaw=EVIL,
        ready=False,
        state=EVIL,
        engine="\x1b]0;x\x07\u202e",
        newer_release=EVIL,
        attention=(Problem(f"{EVIL} {SECRETS[0]}", EVIL), DRIFT),
        drift=(DRIFT, Problem(f"{EVIL} {SECRETS[1]}", SECRETS[2])),
    )
    theirs = Run(EVIL, "2026-11-30T07:00:00Z", "failed", EVIL, EVIL, 1, (EVIL,), 5.0, EVIL)
    return {
        "claw1": Answer(Looked(STATUS, (RUN,))),
        "claw2": Answer(Looked(replace(STATUS, attention=()), (replace(RUN, seconds=9.0),))),
        EVIL: Answer(Looked(hostile, (theirs,))),
        "claw4": Answer(error=f"cannot connect: {EVIL} {SECRETS[1]}"),
    }


def words_of(html: str) -> str:
    """Return the text as people read it."""
    text = re.sub(r"<[^>]*>", " ", html.partition("</style>")[2])
    return " ".join(unescape(text).split())


def page(**more: Any) -> str:
    return report.page({**answers(), **more}, Given("f.yml"), f"f.yml {EVIL}")


def test_it_says_what_there_is_to_know_of_a_fleet() -> None:
    text = words_of(page())
    for words in (
        "2 of 4 ready",
        "1 with drift",
        "1 without an answer",
        "claw1 ready, 2 h openclaw 2026.9.6",
        "60 min ago never",
        "53 GiB",
        "claw1: there is no drill yet: ./claw drill f.yml --limit claw1 makes one",
        "the firewall's table is gone",
        "claw4 : cannot connect",
        "2026-11-30T06:00:00Z done claw1, claw2 6 1 min 01 s 2026.9.6 me@here",
    ):
        assert words in text, words
    assert text.index("2026-11-30T07:00:00Z failed") < text.index("2026-11-30T06:00:00Z done")


def test_what_the_watchdog_of_a_host_says_is_shown() -> None:
    watched = replace(STATUS, watch=Watch("hung", "given-up", 5))
    assert "gave up" not in page()
    assert "gave up" in words_of(page(claw5=Answer(Looked(watched, ()))))


def test_nothing_comes_from_outside_and_what_hosts_say_is_text() -> None:
    html = page()
    found = Reader(html)
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "b", "i", "ul"}
    allowed |= {"li", "div", "table", "tr", "th", "td", "span"}
    assert {tag for tag, _ in found.tags} <= allowed
    assert "<script" not in html and "url(" not in html and "@import" not in html
    assert found.text.count(EVIL) >= 8
    for _, attributes in found.tags:
        assert not {"src", "href", "onclick", "onload"} & attributes.keys()
    assert "\x1b" not in html and "\u202e" not in html
    policy = [one["content"] for tag, one in found.tags if tag == "meta" and "http-equiv" in one]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


@pytest.mark.parametrize("secret", [SECRETS[0], "hunter22", SECRETS[2]])
def test_no_secret_is_in_it_that_can_be_told(secret: str) -> None:
    html = page()
    assert secret not in html
    assert html.count("(hidden)") >= 3


def test_a_page_without_anything_is_one() -> None:
    nothing = Looked(Status("openclaw"), ())
    text = Reader(report.page({"a": Answer(nothing)}, Given(), "@local")).text
    assert "not there" in text and "No host has a log" in text and "It knows of none" in text


def test_where_the_time_went_is_told_of_this_targets_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = [OperationResult("Engine | Install", 58.0, True), OperationResult("x", 2.0, False)]
    run = RunResult(hosts={"claw1": HostResult(operations=operations), "b": HostResult()})
    history.keep_run("f.yml", run, "me@here", "1 changed")
    monkeypatch.setattr("os.getpid", lambda: 7)  # of one process there is one
    history.keep_run("other.yml", run, "them@there", "1 changed")
    (history.directory() / "runs/29991231T000000Z-1.json").write_text("[[[")
    (history.directory() / "runs/29991231T000000Z-2.json").write_text('{"target": {}}')
    text = words_of(page())
    assert "me@here · 2 hosts," in text and "1 changed" in text
    assert "Engine 58 s" in text and "Other 2.0 s" in text
    assert "them@there" not in text


def test_runs_that_are_kept_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT_RUNS", 2)
    folder = history.directory() / "runs"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"2020010{number + 1}T000000Z-1.json").write_text("{}")
    history.keep_run("f.yml", RunResult(hosts={"a": HostResult()}), "me", "x")
    assert len(list(folder.iterdir())) == 2
    assert stat.S_IMODE(next(folder.glob("2026*")).stat().st_mode) == 0o600


class Left(Exception):
    pass


def run(monkeypatch: pytest.MonkeyPatch, *typed: str) -> int:
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Left

    options = SimpleNamespace(target_name="f.yml", verbosity=0)
    monkeypatch.setattr(asking, "opened", lambda *_, **__: SimpleNamespace(options=options))
    monkeypatch.setattr(asking, "ask", lambda *_: answers())
    monkeypatch.setattr(report, "leave", leave)
    with pytest.raises(Left):
        report.report.main(["f.yml", *typed], standalone_mode=False)
    return codes[0]


def test_the_file_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fleet.html"
    file.write_text("an older one")
    file.chmod(0o644)
    assert run(monkeypatch, "--output", str(file)) == 1, "a host gave no answer"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "claw1" in file.read_text()


def test_standard_output_has_the_page_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--output", "-")
    said = capsys.readouterr()
    assert said.out.startswith("<!doctype html>") and said.out.rstrip().endswith("</html>")


@pytest.mark.parametrize(
    ("name", "said"), [("", "it is a directory"), ("none/x.html", "there is no directory")]
)
def test_a_file_that_cannot_be_written_is_said_before_a_host_is_asked(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def fail(message: str) -> None:
        told.append(message)
        raise Left

    monkeypatch.setattr(report, "fail", fail)
    monkeypatch.setattr(asking, "opened", lambda *_, **__: pytest.fail("a host was asked"))
    with pytest.raises(Left):
        report.report.main(["f.yml", "--output", str(tmp_path / name)], standalone_mode=False)
    assert said in told[0] and str(tmp_path) in told[0]


def in_log(**more: Any) -> str:
    entry = {
        "time": "2026-11-30T06:00:00Z",
        "run": "abc",
        "owner": "me@here",
        "target": "f.yml",
        "result": "done",
        "changed": ["a", "b"],
        "failed": [],
        "seconds": 4.5,
        "versions": {"openclaw": "2026.9.6", "pyinfra": "3"},
    }
    return json.dumps({**entry, **more})


def said(*lines: str) -> tuple[Run, ...]:
    text = base64.b64encode("\n".join(lines).encode()).decode()
    return runs.parse(f"now=1\nruns={text}\nready=yes")


def test_a_line_of_the_log_is_a_run() -> None:
    first, second = said(in_log(), in_log(run="def", result="failed", failed=["x"]))
    assert (first.run, first.failed) == ("def", ("x",))
    assert (second.changed, second.seconds, second.openclaw) == (2, 4.5, "2026.9.6")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 5000,
        in_log(time="now"),
        in_log(time=["2026-11-30T06:00:00Z"]),
        in_log(result="<b>"),
        in_log(run=7),
        in_log(owner={"a": 1}),
        in_log(seconds="long"),
        in_log(seconds=None),
        in_log(changed=7),
        in_log(failed="abc", versions=[]),
        in_log(failed=[7]),
        in_log(versions={}),
    ],
)
def test_what_is_no_line_of_the_log_hides_no_other(line: str) -> None:
    assert [one.run for one in said(line, in_log())] == ["abc"]


def test_a_hosts_numbers_and_texts_have_an_end() -> None:
    (one,) = said(in_log(seconds=1e300, owner="x" * 9999, failed=["y" * 9999] * 99))
    assert one.seconds == 1e6
    assert len(one.owner) == 100
    assert [len(name) for name in one.failed] == [200] * 5


@pytest.mark.parametrize("answer", ["", "runs=", "runs=%%%", "runs=AA", "nothing"])
def test_a_host_without_a_log_has_no_runs(answer: str) -> None:
    assert runs.parse(answer) == ()
