"""The gateway's log at a syslog collector: what is set up on a host, and what is read of a log."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from operations.base import files
from operations.watch import places, syslog
from tests.operations.hosts import at, commands, judged
from toolkit.settings import Settings

THERE = "tcp://collector.example.org:6514"
FORMS = ("socket", "host")


def given(where: str = THERE, socket: str = "socket", **more: Any) -> Settings:
    sandbox = {"enabled": True, "socket": socket}
    return Settings.model_validate({"watch": {"syslog": where}, "sandbox": sandbox, **more})


def as_wanted(settings: Settings, *said: str) -> dict[str, str]:
    """What a host says on which it is all as it should be."""
    with at(settings):
        plan = syslog.wanted(settings)
    there = [f"regular file|{one.mode}|0:0|{files.digest(one.content)}|{one.path}" for one in plan]
    runs = [f"runs {unit}" for unit in syslog.services(settings)]
    return {
        "syslog": "\n".join(["there", "systemd", *runs, *said]),
        "packages": "installed rsyslog 8.2302.0",
        "files": "\n".join(there),
    }


@pytest.mark.parametrize("socket", FORMS)
def test_a_second_run_changes_nothing(socket: str) -> None:
    settings = given(socket=socket)
    assert commands(syslog.forwarded, as_wanted(settings, "answers"), settings=settings) == []


def test_nothing_is_set_up_by_default() -> None:
    assert commands(syslog.forwarded, {"syslog": ""}, settings=Settings()) == []
    assert list(syslog.paths(Settings())) == []


@pytest.mark.parametrize("kind", ["syslog", "log"])
def test_a_unit_that_does_not_run_is_started(kind: str) -> None:
    there = as_wanted(given(), "answers")
    there["syslog"] = there["syslog"].replace(f"runs openclaw-{kind}.service", "")
    (command,) = commands(syslog.forwarded, there, settings=given())
    assert "systemctl restart openclaw-syslog.service openclaw-log.service" in command.stdin


def test_the_host_s_own_log_is_not_written_anew_for_it() -> None:
    there = {"syslog": "systemd\nanswers", "packages": "", "files": ""}
    (command,) = commands(syslog.forwarded, there, settings=given())
    masked = command.stdin.index("systemctl mask --quiet rsyslog.service")
    assert masked < command.stdin.index("packages_install rsyslog")


def test_a_gateway_of_the_host_is_in_the_journal_already() -> None:
    settings = given(socket="host")
    with at(settings):
        plan = {one.path: one.content for one in syslog.wanted(settings)}
    assert 'if $!_SYSTEMD_UNIT == "openclaw-gateway.service"' in plan[places.syslog(settings)]
    assert not [path for path in plan if path.endswith(("log.sh", "-log.service"))]
    assert syslog.services(settings) == ["openclaw-syslog.service"]


def test_of_a_gateway_of_another_form_nothing_is_left() -> None:
    settings = given(socket="host")
    there = as_wanted(settings, "answers")
    stale = "/etc/systemd/system/openclaw-log.service"
    there["files"] += f"\nregular file|644|0:0|{'0' * 40}|{stale}"
    (command,) = commands(syslog.forwarded, there, settings=settings)
    assert f"rm -f {stale}" in command.stdin
    assert "systemctl disable --now --quiet openclaw-log.service" in command.stdin


def test_out_of_the_settings_it_is_taken_away() -> None:
    (command,) = commands(syslog.forwarded, as_wanted(given()), settings=Settings())
    for path in (
        "/etc/systemd/system/openclaw-syslog.service",
        "/etc/systemd/system/openclaw-log.service",
        "/etc/openclaw-pyinfra/openclaw-syslog.conf",
        "/var/lib/openclaw-pyinfra/openclaw.syslog",
        "/opt/openclaw/watch/log.sh",
        "packages_purge rsyslog",
    ):
        assert path in command.stdin


@pytest.mark.parametrize(
    ("where", "said", "what"),
    [
        (THERE, "systemd\nanswers", ""),
        (THERE, "systemd\nsilent Connection refused", f"given {THERE}, where no collector answers"),
        ("udp://192.0.2.7:514", "systemd", ""),
        (THERE, "answers", "the host has no systemd"),
    ],
)
def test_what_keeps_a_host_from_it_is_one_error(where: str, said: str, what: str) -> None:
    found = judged(syslog.problems, given(where), {"syslog": said, "files": ""})
    assert [what in one.what and one.stops for one in found] == ([True] if what else []), found


def test_a_collector_that_went_away_stops_no_later_run() -> None:
    said = as_wanted(given(), "silent Connection refused")
    (problem,) = judged(syslog.problems, given(), said)
    assert not problem.stops and "Connection refused" in problem.what
    (problem,) = judged(syslog.problems, given("tcp://elsewhere:514"), said)
    assert problem.stops, "another one is new"


@pytest.mark.parametrize(
    "where",
    [
        "collector:514",
        "tls://x:1",
        "tcp://x",
        "tcp://x:0",
        "tcp://x:70000",
        'tcp://a";b:1',
        "tcp://:1",
    ],
)
def test_a_wrong_address_is_refused(where: str) -> None:
    with pytest.raises(ValidationError, match="no address of a collector"):
        given(where)


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        (THERE, ("tcp", "collector.example.org", 6514)),
        ("udp://192.0.2.7:514", ("udp", "192.0.2.7", 514)),
        ("tcp://[2001:db8::7]:514", ("tcp", "2001:db8::7", 514)),
    ],
)
def test_the_parts_of_an_address(where: str, parts: tuple[str, str, int]) -> None:
    settings = given(where)
    assert syslog.collector(settings) == parts
    with at(settings):
        configuration = syslog.wanted(settings)[0].content
    assert f'target="{parts[1]}" port="{parts[2]}" protocol="{parts[0]}"' in configuration


DOCKER = """#!/bin/sh
case $1 in
  compose) echo 0123456789ab ;;
  logs) echo "$*" >>{0}/asked; cat {0}/out; cat {0}/err >&2 ;;
esac
"""


class Log:
    """The script that reads a container's log, with a `docker` that says what files say."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.project = root, root / "claw"
        self.project.mkdir()
        (self.project / "docker-compose.yml").touch()
        (root / "docker").write_text(DOCKER.format(root))
        (root / "docker").chmod(0o755)
        self.says()
        monkeypatch.setattr(places, "syslog_state", lambda _: str(root))
        settings = given(directories={"project": str(self.project)})
        with at(settings):
            plan = {one.path: one.content for one in syslog.wanted(settings)}
        self.text = plan[places.program(settings, "log")]

    def says(self, out: str = "", err: str = "") -> None:
        (self.root / "out").write_text(out)
        (self.root / "err").write_text(err)

    def read(self) -> set[str]:
        environment = {**os.environ, "PATH": f"{self.root}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh"], input=self.text, capture_output=True, text=True, env=environment
        )
        assert done.stderr == ""
        return set(done.stdout.splitlines())


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    (tmp_path / "seen").write_text("2026-11-30T10:00:00.000000000Z\n")
    return Log(tmp_path, monkeypatch)


def test_a_line_has_the_priority_of_its_stream(log: Log) -> None:
    log.says(
        "2026-11-30T10:00:01.000000001Z <0>one  two\\n\n2026-11-30T10:00:01.000000002Z \n",
        "2026-11-30T10:00:01.000000003Z it broke\nno moment\n",
    )
    assert log.read() == {"<6><0>one  two\\n", "<6>", "<4>it broke"}


def test_it_goes_on_where_it_was(log: Log) -> None:
    log.says("2026-11-30T10:00:01.000000001Z one\n")
    assert log.read() == {"<6>one"}
    log.says("2026-11-30T10:00:01.000000001Z one\n2026-11-30T10:00:02.000000001Z two\n")
    assert log.read() == {"<6>two"}
    asked = (log.root / "asked").read_text().splitlines()
    assert "--since=2026-11-30T10:00:01.000000001Z" in asked[1]


def test_of_a_mark_that_is_none_nothing_old_is_sent(log: Log) -> None:
    (log.root / "seen").write_text("$(id)\n")
    log.says("2026-11-30T10:00:01.000000001Z old\n2999-11-30T10:00:01.000000001Z new\n")
    assert log.read() == {"<6>new"}
