"""The gateway's log as a host prints it for `./claw logs`: its own shell, on a stand-in's log."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations.base.answers import AnswerError
from operations.gateway import container, service
from operations.lifecycle import logs
from operations.lifecycle.logs import LEVELS, Asked, Record, keeps, parse
from toolkit.settings import Settings


def of_json(level: str, message: str, **more: Any) -> str:
    moment = "2026-11-30T06:57:30.000+00:00"
    return json.dumps({**more, "time": moment, "level": level, "message": message})


OUT = [
    "2026-11-30T06:57:29.732140224Z 2026-11-30T06:57:29.717+00:00 [ws] closed before connect",
    "2026-11-30T06:57:31.100000000Z [gateway] ready",
    f"2026-11-30T06:57:32.000000000Z {of_json('debug', 'a detail')}".replace('": "', '":"'),
]
ERRORS = [
    "2026-11-30T06:57:30.000000001Z [telegram] cannot connect: token=***",
    "2026-11-30T06:57:33.000000000Z Error: ENOSPC",
    "2026-11-30T06:57:33.000000001Z     at write (node:fs:1)",
    f"2026-11-30T06:57:34.000000000Z {of_json('error', 'it broke')}".replace('": "', '":"'),
]
DOCKER = """#!/bin/sh
case "$1 $2" in
  "compose ps") echo 0123456789ab ;;
  "logs --timestamps") echo "$*" >>"$FAKE/asked"; cat "$FAKE/out"; cat "$FAKE/err" >&2 ;;
esac
"""
JOURNAL = """#!/bin/sh
echo "$*" >>"$FAKE/asked"
cat "$FAKE/out"
"""


def stand_in(folder: Path, out: list[str], errors: list[str]) -> dict[str, str]:
    for name, text in (("docker", DOCKER), ("journalctl", JOURNAL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "out").write_text("".join(f"{line}\n" for line in out))
    (folder / "err").write_text("".join(f"{line}\n" for line in errors))
    return {**os.environ, "FAKE": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"}


def printed(
    folder: Path,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    out: list[str] = OUT,
    errors: list[str] = ERRORS,
    **settings: Any,
) -> str:
    environment = stand_in(folder, out, errors)
    for one in (container, service):
        monkeypatch.setattr(one, "entered", lambda *_: ":")
    script = logs.script(Settings.model_validate(settings), asked, "nothing")
    done = subprocess.run(
        ["sh"], input=script, env=environment, capture_output=True, text=True, timeout=20
    )
    assert done.stderr == ""
    return done.stdout


def texts(folder: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[str]:
    found = parse(printed(folder, asked, monkeypatch, **more))
    return [one.line for one in found if keeps(one, asked.level)]


def test_both_streams_stand_in_the_order_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = parse(printed(tmp_path, Asked(100, since=1764485849.5, until=1764485999), monkeypatch))
    assert [one.stream for one in found] == ["O", "E", "O", "O", "E", "E", "E"]
    assert found[1].text == "[telegram] cannot connect: token=***"
    assert found[5].text == "    at write (node:fs:1)", "its indentation is kept"
    assert (tmp_path / "asked").read_text().split() == [
        *("logs", "--timestamps", "--since=1764485849", "--until=1764485999", "--tail=100"),
        "0123456789ab",
    ]


@pytest.mark.parametrize(
    ("level", "shown"), [("trace", 7), ("info", 6), ("warn", 4), ("error", 4), ("fatal", 3)]
)
def test_a_level_is_told_by_the_stream_or_by_the_line_itself(
    level: str, shown: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = texts(tmp_path, Asked(100, level=level), monkeypatch)
    assert len(found) == shown
    assert ("2026-11-30T06:57:30.000+00:00 ERROR it broke" in found) == (level != "fatal")
    assert "[gateway] ready" not in found or level in ("trace", "info")


@pytest.mark.parametrize("level", LEVELS)
def test_the_host_leaves_out_nothing_that_is_wanted(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = parse(printed(tmp_path, Asked(100), monkeypatch))
    chosen = parse(printed(tmp_path, Asked(100, level=level), monkeypatch))
    wanted = [one for one in everything if keeps(one, level)]
    assert [one for one in chosen if keeps(one, level)] == wanted


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("enospc", ["Error: ENOSPC"]),
        ("Enospc", []),
        ("^error", ["Error: ENOSPC"]),
        ("^Error|telegram", ["[telegram] cannot connect: token=***", "Error: ENOSPC"]),
        ("ready$|ENOSPC$", ["[gateway] ready", "Error: ENOSPC"]),
        (r"\[(gateway|telegram)\] r", ["[gateway] ready"]),
        (r"ca(n)\1ot", ["[telegram] cannot connect: token=***"]),
        ("2026-11-30T06:57:31", []),
        ("[^a-z:]: ENOSPC|[]^] ready", ["[gateway] ready"]),
        ("^E ", []),
        ("'; touch x; '", []),
    ],
)
def test_a_pattern_is_about_the_text_alone(
    pattern: str, shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert texts(tmp_path, Asked(100, pattern=pattern), monkeypatch) == shown


def test_of_what_is_left_the_last_lines_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = texts(tmp_path, Asked(2, pattern="e"), monkeypatch)
    assert found == ["    at write (node:fs:1)", "2026-11-30T06:57:30.000+00:00 ERROR it broke"]
    assert "--tail" not in (tmp_path / "asked").read_text()


def test_a_line_without_an_end_does_not_fill_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 1000)
    long = [f"2026-11-30T06:57:2{number}.000000000Z {'x' * 400}" for number in range(9)]
    said = printed(tmp_path, Asked(100), monkeypatch, long, [])
    assert len(said) == 1000
    assert [len(one.text) for one in parse(said)] == [400, 400]


JOURNALED = [
    "1764485849.717123 node[12]: [gateway] ready: yes",
    f"1764485850.000001 node[12]: {of_json('warn', 'slow')}",
    "1764485851.000001 systemd[1]: openclaw-gateway.service: Main process exited",
    "                              of two lines",
]
ON_HOST = {"sandbox": {"enabled": True, "socket": "host"}, "gateway": {"log_style": "json"}}


def test_the_journal_is_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(5, since=1764485000, pattern="")
    found = parse(printed(tmp_path, asked, monkeypatch, JOURNALED, [], **ON_HOST))
    assert [one.line for one in found] == [
        "[gateway] ready: yes",
        "2026-11-30T06:57:30.000+00:00 WARN slow",
        "openclaw-gateway.service: Main process exited",
        "of two lines",
    ]
    assert found[3].moment == found[2].moment == 1764485851000001000
    words = (tmp_path / "asked").read_text().split()
    assert words[-4:] == ["-u", "openclaw-gateway.service", "--since=@1764485000", "--lines=5"]


def test_what_the_journal_does_not_know_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(5, level="error")
    found = parse(printed(tmp_path, asked, monkeypatch, JOURNALED, [], **ON_HOST))
    kept = [one.line for one in found if keeps(one, "error")]
    assert "2026-11-30T06:57:30.000+00:00 WARN slow" not in kept
    assert "openclaw-gateway.service: Main process exited" in kept


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, True),
        ({"sandbox": {"enabled": True, "socket": "host"}}, False),
        (ON_HOST, True),
        (
            {
                "sandbox": {"enabled": True, "socket": "host"},
                "openclaw": {"logging": {"consoleStyle": "json"}},
            },
            True,
        ),
    ],
)
def test_where_levels_can_be_told(settings: dict[str, Any], told: bool) -> None:
    assert logs.told(Settings.model_validate(settings)) == told


def test_an_engine_that_has_no_log_is_an_error() -> None:
    with pytest.raises(AnswerError, match="driver does not support reading"):
        parse("E Error response from daemon: configured logging driver does not support reading\n")


@pytest.mark.parametrize(
    "line",
    [
        "O 2026-99-99T00:00:00.1Z x",
        "O 99999999999999999999.1 x",
        "X 1764485849.1 x",
        "",
        "O",
        "E x",
    ],
)
def test_what_is_no_record_is_none(line: str) -> None:
    assert logs.record(line) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"level":"x","message":"m"}', '{"level":"info"}', "[" * 9999]
)
def test_what_is_like_json_is_text(text: str) -> None:
    one = logs.record(f"O 1764485849.1 {text}")
    assert one is not None
    assert (one.line, one.level) == (text, None)


def test_a_record_as_a_program_reads_it() -> None:
    text = of_json("warn", "slow", subsystem="gateway", elapsedMs=2493)
    one = logs.record(f"E 2026-11-30T06:57:30.000000001Z {text}")
    assert one is not None
    assert one.document() == {
        "time": "2026-11-30T06:57:30.000000Z",
        "level": "warn",
        "stream": "stderr",
        "text": "slow",
        "subsystem": "gateway",
        "fields": {"elapsedMs": 2493},
    }
    assert one.line == "2026-11-30T06:57:30.000+00:00 WARN [gateway] slow"
    assert Record(0, "text").document()["stream"] is None
