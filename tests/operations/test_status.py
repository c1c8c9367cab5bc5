"""What `./claw status` tells of a host, beside what runs: the script on a gateway that is a few
files, and what is made of its answer."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commandline import asking
from commandline.asking import Answer
from commandline.screen.given import Given
from commandline.verbs import status as verb
from operations.backup import stage as backup
from operations.base.quoting import Script
from operations.gateway import form, network
from operations.lifecycle import attention, looking
from operations.lifecycle.status import Backups, Status, Watch
from operations.watch import places, question
from tests.operations.fake_gateway import Gateway
from toolkit.settings import Settings
from toolkit.settings.sources.resolve import resolved

COMPOSE = """x-openclaw: &openclaw
  pids_limit: 512
  mem_limit: "3g"
services:
  openclaw-gateway:
    labels:
      openclaw-pyinfra.project: "the-label"
  openclaw-cli:
    # Of openclaw-cli alone: {}
    profiles: [cli]
"""
MORE = """
gateway_deployed() {{ :; }}
gateway_started() {{ echo 2026-11-29T10:00:00Z; }}
gateway_published() {{ echo '{{"1/tcp": [{{"HostIp": "127.0.0.1", "HostPort": "1"}}]}}'; }}
inspect() {{ cat {fake}/inspected; }}
"""
APT = """#!/bin/sh
echo 'Listing...'
echo 'libssl3/stable-security 3.0.15-1 amd64 [upgradable from: 3.0.11-1]'
echo 'a-security/stable 2 amd64 [upgradable from: 1]'
"""


SYSTEMCTL = """#!/bin/sh
shift
for one; do grep -qsx "$one" {fake}/inactive && echo inactive || echo active; done
"""


class Deployed(Gateway):
    """A gateway that runs as the last deploy left it, on a host with backups."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.notes, self.rules = directory / "notes", directory / "rules"
        self.watching, self.systemd = directory / "watching", directory / "systemd"
        self.notes.mkdir()
        (self.project / "last-good").mkdir()
        (self.project / "last-good/image").write_text("x\n")
        for where in (self.project, self.project / "last-good"):
            self.put(where, "of now")
            (where / ".env").write_text("OPENCLAW_GATEWAY_TOKEN=secret-word\n")
        (self.project / "backup.sh").touch()
        (self.project / "settings.json").write_text(json.dumps(resolved(self.settings())))
        (self.programs / "date").unlink()
        self.rules.write_text("the rules\n")
        self._program("nft", "#!/bin/sh\necho the table\n")
        self._program("apt", APT)
        self._program("systemctl", SYSTEMCTL.format(fake=self.fake))
        table = "{ echo the table; echo the rules; } | sha256sum"
        self.state = directory / "state"
        self.state.write_text(subprocess.getoutput(table) + "\n")
        for name, text in {"label": "the-label", "status": "running"}.items():
            self.set(name, f"{text}\n")
        self.set("inspected", f"{3 << 30} 512\n")
        self.note("made", "now 0123abcd")
        self.note("last", "now ok 0123abcd")

    def put(self, where: Path, of_cli: str) -> None:
        (where / "docker-compose.yml").write_text(COMPOSE.format(of_cli))

    def note(self, name: str, text: str) -> None:
        now = subprocess.getoutput("date -u +%Y-%m-%dT%H:%M:%SZ")
        (self.notes / name).write_text(text.replace("now", now) + "\n")

    def settings(self, **wanted: Any) -> Settings:
        place = {"project": str(self.project)}
        return Settings.model_validate({"directories": place, **wanted})

    def look(self, monkeypatch: pytest.MonkeyPatch, **wanted: Any) -> Status:
        settings = self.settings(**wanted)
        functions = f"{self.functions}{MORE.format(fake=self.fake)}"
        monkeypatch.setattr(form, "shell", lambda _: Script(functions))
        monkeypatch.setattr(backup, "program", lambda _: f"{self.project}/backup.sh")
        monkeypatch.setattr(backup, "work", lambda _: str(self.notes))
        monkeypatch.setattr(places, "pull", lambda _: str(self.notes.parent / "pull"))
        monkeypatch.setattr(places, "state", lambda _: str(self.watching))
        table = SimpleNamespace(name="x", rules=self.rules, state=self.state, timer="closed.timer")
        monkeypatch.setattr(network, "applied", lambda _: table)
        script = question.script(settings).replace("/run/systemd/system", str(self.systemd))
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-s"], input=script, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert "secret-word" not in done.stdout
        return looking.parse(settings, done.stdout)


def pulled(one: Deployed, state: str, ago: int = 0) -> None:
    (one.notes.parent / "pull").mkdir()
    said = f"time={int(time.time()) - ago}\nstate={state}\ncommit=-\nmessage=why\n"
    (one.notes.parent / "pull/result").write_text(said)


def watched(one: Deployed, seen: str, **told: str) -> None:
    (one.project / "watch").mkdir()
    (one.project / "watch/watch.sh").touch()
    one.watching.mkdir()
    (one.watching / "gateway").write_text(seen)
    for about, word in told.items():
        (one.watching / f"told.{about}").write_text(f"{word}\n")


def adopting(project: Path) -> None:
    (project / "adopted").mkdir()
    (project / "adopted/adopting").touch()


def whats(found: Status) -> list[str]:
    return [one.what for one in found.attention if "reboot" not in one.what]


@pytest.fixture
def one(tmp_path: Path) -> Deployed:
    return Deployed(tmp_path)


def test_only_what_waits_is_said_of_a_host_as_it_should_be(one: Deployed, monkeypatch) -> None:
    found = one.look(monkeypatch)
    if found.security_updates is not None:  # a machine with lists of apt's
        assert found.security_updates == 1
    assert [what for what in whats(found) if "security update" not in what] == []
    assert (found.state, found.ports) == ("running", ("127.0.0.1:1->1/tcp",))
    assert found.backups and found.backups.made is not None
    assert found.disk_free and found.up_seconds is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: (one.project / ".env").write_text("A=1\n"), ".env was changed since"),
        (lambda one: one.put(one.project, "of an earlier release"), None),
        (
            lambda one: (one.project / "docker-compose.yml").open("a").write("# mine\n"),
            "docker-compose.yml was changed",
        ),
        (lambda one: one.set("label", "another\n"), "not started from the files"),
        (lambda one: one.set("inspected", f"{1 << 30} 512\n"), "limits"),
        (lambda one: one.rules.write_text("others\n"), "firewall's table"),
        (lambda one: (one.project / "candidate").mkdir(), "a swap of the gateway was interrupted"),
        (lambda one: adopting(one.project), "an adoption was interrupted"),
        (lambda one: one.note("last", "now failed no room"), "the last backup failed: no room"),
        (lambda one: one.note("made", "2020-01-01T00:00:00Z x"), "the newest backup is "),
        (lambda one: one.note("drill-failed", "now failed why"), "the last drill failed: why"),
        (lambda one: pulled(one, "converged"), None),
        (lambda one: pulled(one, "refused"), "the last pull: refused: why"),
        (lambda one: pulled(one, "waiting", 200_000), "the last pull is 2 d old"),
        (lambda one: (one.notes.parent / "pull").mkdir(), None),
        (lambda one: watched(one, "before=ready\nwrong=\nattempts=0\n"), None),
        (lambda one: watched(one, "", disk="full"), "the host tells of trouble: disk full"),
        (lambda one: watched(one, "before=x\nwrong=$(id)\n", disk="\x1b[1m"), None),
        (
            lambda one: watched(one, "wrong=given-up\nattempts=5\n", gateway="given-up"),
            "the watchdog gave up: it has restarted the gateway 5 times",
        ),
        (lambda one: (one.project / "run/stopped").write_text("2026-11-29T10:00:00Z"), None),
    ],
)
def test_what_is_not_as_it_was_left_is_said(change, said, one: Deployed, monkeypatch) -> None:
    before = whats(one.look(monkeypatch))
    change(one)
    new = [what for what in whats(one.look(monkeypatch)) if what not in before]
    assert len(new) == (0 if said is None else 1), new
    assert said is None or said in new[0]


def test_what_the_watchdog_has_seen_is_shown(one: Deployed, monkeypatch, capsys) -> None:
    watched(one, "before=hung\nsince=1\nattempts=2\nwrong=hung\n", gateway="hung")
    found = one.look(monkeypatch)
    assert found.watch == Watch("hung", "hung", 2, (("gateway", "hung"),))
    verb._show({"claw1": Answer(found)}, Given())
    verb._show({"claw1": Answer(found), "claw2": Answer(found)}, Given())
    assert capsys.readouterr().out.count("hung, restarted 2x") == 3


WATCHED = {"watchdog": True, "metrics": True, "syslog": "tcp://192.0.2.7:514"}
KEPT = {"repository": "/srv/b", "password": {"env": "NONE"}, "drill": "weekly"}


@pytest.mark.parametrize(
    ("timer", "fix"),
    [
        ("openclaw-watch.timer", "./claw up starts it"),
        ("openclaw-metrics.timer", "./claw up starts it"),
        ("openclaw-backup.timer", "./claw up starts it"),
        ("openclaw-drill.timer", "./claw up starts it"),
        ("openclaw-log.service", "./claw up starts it"),
        ("closed.timer", "./claw up starts it"),
        ("openclaw-pull.timer", "on the host: systemctl enable --now openclaw-pull.timer"),
    ],
)
def test_a_timer_that_does_not_run_is_named(
    timer: str, fix: str, one: Deployed, monkeypatch
) -> None:
    watched(one, "before=ready\n")
    for kind in ("metrics", "log"):
        (one.project / f"watch/{kind}.sh").touch()
    (one.notes.parent / "pull/enrolled").mkdir(parents=True)
    one.systemd.mkdir()
    wanted = {"watch": WATCHED, "backup": KEPT}
    assert one.look(monkeypatch, **wanted).timers_missing == ()
    one.set("inactive", f"{timer}\n")
    found = one.look(monkeypatch, **wanted)
    assert found.timers_missing == (timer,)
    assert [p.fix for p in found.attention if p.what.endswith(f"any more: {timer}")] == [fix]


def test_a_timer_is_not_missed_before_it_is_there_or_wanted(one: Deployed, monkeypatch) -> None:
    one.systemd.mkdir()
    one.set("inactive", "openclaw-watch.timer\nopenclaw-pull.timer\nopenclaw-backup.timer\n")
    assert one.look(monkeypatch, watch=WATCHED).timers_missing == ()
    watched(one, "")
    assert one.look(monkeypatch).timers_missing == ()


def test_a_host_that_is_to_be_closed_and_is_not_is_said(one: Deployed, monkeypatch) -> None:
    closed = {"firewall": {"enabled": True}}
    assert any(
        "host.firewall: the host's own" in what
        for what in whats(one.look(monkeypatch, host=closed))
    )
    assert not any("host's own" in what for what in whats(one.look(monkeypatch)))


def test_settings_that_wait_are_named(one: Deployed, monkeypatch) -> None:
    found = one.look(monkeypatch, gateway={"memory": "4g"})
    assert "settings that wait: gateway.memory" in whats(found)


def test_a_later_release_is_known_from_the_lock(monkeypatch) -> None:
    assert looking.newer("2026.8.2") == "2026.9.6"
    assert looking.newer("2026.9.6") is None
    assert looking.newer("2027.1.1") is None
    assert looking.newer("no release") is None
    said = [one.what for one in looking.parse(Settings(), "version=2026.8.2").attention]
    assert said == ["OpenClaw 2026.9.6 is there, 2026.8.2 runs"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("backups=yes", "there is no backup yet"),
        ("disk=1000000", "0.0 GiB of disk are free"),
        ("reboot=yes", "the host wants a reboot"),
        ("security=3", "3 security updates wait"),
        ("now=2000000000\nlists=1000000000\nsecurity=0", "apt's lists are 11574 d old"),
        ("deployed=yes", "the gateway is not there"),
        ("drift=nonsense\ndrift=file\nlimits=x y\nhas_limits=1 2\nsecurity=x\nrecord=?", None),
    ],
)
def test_what_a_host_says_is_one_line_each(answer: str, said: str | None) -> None:
    found = [one.what for one in looking.parse(Settings(), answer).attention]
    assert found == ([said] if said else [])


def test_fifty_hosts_fit_into_eighty_columns(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    base = Status(
        "openclaw",
        deployed=True,
        openclaw="2026.8.2",
        state="running",
        up_seconds=300000,
        ready=True,
        backups=Backups(made=7200, drilled=300000),
        disk_free=12 << 30,
        attention=(attention.DRIFT["rules"],),
    )
    answers = {f"claw{number}.example.org": Answer(base) for number in range(48)}
    answers["down"] = Answer(error="cannot connect: no route to host")
    other = Status("second", deployed=True, stopped_on_purpose="2026-11-29T10:00:00Z")
    answers["other"] = Answer(other)
    verb._show(answers, Given("fleet.yml"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 50 + 2, "a line for each host, and for each thing"
    assert max(len(line.rstrip()) for line in lines[:51]) <= 80
    assert " ".join(lines[1].split()) == (
        "claw0.example.org ready, 3 d 2026.8.2 openclaw 2 h 3 d 12 GiB"
    )
    assert lines[51].startswith(
        "claw0.example.org, claw1.example.org, claw2.example.org and 45 more: "
    )
    assert "./claw up fleet.yml" in lines[51]


@pytest.mark.parametrize(
    ("words", "ready", "wanting", "code"),
    [
        ([], True, True, 0),
        (["--check"], True, False, 0),
        (["--check"], True, True, 2),
        (["--check"], False, True, 1),
        (["--check", "--json"], True, True, 2),
    ],
)
def test_check_has_an_exit_code_of_its_own(
    words: list[str], ready: bool, wanting: bool, code: int, monkeypatch, capsys
) -> None:
    wants = (attention.DRIFT["rules"],) if wanting else ()
    found = Status("openclaw", state="running", ready=ready, attention=wants)
    left: list[int] = []
    monkeypatch.setattr(asking, "opened", lambda *_, **__: None)
    monkeypatch.setattr(asking, "ask", lambda *_: {"claw1": Answer(found)})
    monkeypatch.setattr(asking, "leave", left.append)
    verb.status.main(words, standalone_mode=False)
    assert left == [code]
    if "--json" in words:
        (one,) = json.loads(capsys.readouterr().out)["hosts"].values()
        assert one["attention"][0]["fix"] == "./claw up sets it again"
