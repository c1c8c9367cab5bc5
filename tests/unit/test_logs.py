"""`./claw logs`: what is typed, and the lines of several hosts."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import Any

import click
import pytest

from commandline import asking
from commandline.asking import Answer
from commandline.moments import Moment
from commandline.screen.display import Display
from commandline.screen.given import Given
from commandline.verbs import logs
from operations.configuration import stage
from operations.lifecycle.logs import Record
from toolkit.settings import Settings
from toolkit.terminal import Screen

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        ("90s", NOW - 90),
        ("15min", NOW - 900),
        ("15m", NOW - 900),
        ("2h ago", NOW - 7200),
        ("3 d", NOW - 259200),
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:01", 60.0),
        ("1970-01-01 00:01:02.5", 62.5),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
    ],
)
def test_a_moment(typed: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    assert Moment().convert(typed, None, None) == seconds


@pytest.mark.parametrize("typed", ["", "yesterday", "2h30", "-2h", "2026-13-01", "12:00", "9" * 99])
def test_what_is_no_moment(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="accepted: 90s") as found:
        Moment().convert(typed, None, None)
    assert repr(typed) in found.value.message


def run(
    monkeypatch: pytest.MonkeyPatch, answers: asking.Answers, *typed: str, **settings: Any
) -> tuple[int, str]:
    """Type `./claw logs`; the hosts are those that answer."""
    out, codes = io.StringIO(), []
    hosts = [SimpleNamespace(name=name) for name in answers]
    display = Display(Screen(file=io.StringIO()))
    display.hosts = list(answers)
    options = SimpleNamespace(given=Given())
    session = SimpleNamespace(hosts=hosts, display=display, options=options)

    class Left(Exception):
        pass

    def leave(code: int) -> None:
        codes.append(code)
        raise Left

    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(asking, "opened", lambda *_, **__: session)
    monkeypatch.setattr(asking, "ask", lambda *_: answers)
    monkeypatch.setattr(logs, "leave", leave)
    monkeypatch.setattr(logs, "settings_for", lambda _: Settings.model_validate(settings))
    with pytest.raises(Left):
        logs.logs.main(list(typed), standalone_mode=False)
    return codes[0], out.getvalue()


ANSWERS = {
    "b": Answer([Record(10**9, "first"), Record(4 * 10**9, "last")]),
    "a": Answer([Record(2 * 10**9, "\x1b[31mred\x1b[0m"), Record(3 * 10**9, "third")]),
}


def test_several_hosts_stand_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, ANSWERS, "f.yml")
    assert code == 0
    lines = ["[b] first", "[a] \x1b[31mred\x1b[0m", "[a] third", "[b] last"]
    assert said.splitlines() == lines


def test_json_is_an_object_on_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, {"a": ANSWERS["a"]}, "--json")
    first, second = map(json.loads, said.splitlines())
    assert (code, first["host"], first["text"], second["time"]) == (
        0,
        "a",
        "\x1b[31mred\x1b[0m",
        "1970-01-01T00:00:03.000000Z",
    )


def test_a_host_that_does_not_answer_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[asking.Answers] = []
    monkeypatch.setattr(asking, "print_errors", shown.append)
    code, said = run(monkeypatch, {**ANSWERS, "c": Answer(error="gone")}, "f.yml", "--since", "2h")
    assert code == 1
    assert len(said.splitlines()) == 4
    assert shown[0]["c"].error == "gone"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("-f", "--until", "1h"), "opposites"),
        (("--since", "1h", "--until", "2h"), "not before"),
        (("--grep", "("), "accepted: an extended regular expression"),
        (("--grep", "a\nb"), "printable text on one line"),
        (("--level", "loud"), "'loud' is not one of"),
        (("-n", "-1"), "-1"),
    ],
)
def test_wrong_options_are_refused_before_a_host_is_asked(
    typed: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "opened", lambda *_, **__: pytest.fail("a host was asked"))
    with pytest.raises(click.UsageError, match=said.replace("'", ".")):
        logs.logs.main(list(typed), standalone_mode=False)


def test_a_journal_of_text_has_no_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def fail(message: str) -> None:
        said.append(message)
        logs.leave(1)

    monkeypatch.setattr(logs, "fail", fail)
    on_host = {"sandbox": {"enabled": True, "socket": "host"}}
    code, _ = run(monkeypatch, ANSWERS, "f.yml", "--level", "warn", **on_host)
    assert code == 1
    assert said == [
        "b: --level warn: the journal does not say the level of a line of text; "
        "accepted with gateway.log_style: json"
    ]


def test_what_openclaw_logs_is_bounded_by_its_tmp() -> None:
    assert "logging" not in stage.owned(Settings())
    gateway = {"log_level": "debug", "log_style": "json", "tmp_size": "240m"}
    found = stage.owned(Settings.model_validate({"gateway": gateway}))["logging"]
    assert found == {
        "level": "debug",
        "consoleLevel": "debug",
        "consoleStyle": "json",
        "maxFileBytes": 10 << 20,
    }
