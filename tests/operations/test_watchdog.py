"""What looks after a gateway on its host: the script, with a played gateway and a played clock."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations.base import templates
from operations.base.quoting import Script
from tests.operations.fake_gateway import Gateway

MORE = r"""
gateway_deployed() {{ [ -e $gateway_deployed_marker ]; }}
gateway_started() {{ date -u -d "@$(cat {fake}/started)" +%Y-%m-%dT%H:%M:%SZ; }}
gateway_restarts() {{ cat {fake}/restarts 2>/dev/null || echo 0; }}
container() {{ echo 0123456789ab; }}
gateway_deployed_marker={project}/docker-compose.yml
DOCKER_HOST=unix://{fake}/socket
"""
CURL = r"""#!/bin/sh
case "$*" in *unix-socket*) [ -e {fake}/no-engine ] || printf OK; exit ;; esac
for last; do :; done
probe={fake}/${{last##*/}}
[ -e "$probe" ] || {{ printf 000 >&2; exit 28; }}
sed 1d "$probe"
head -n 1 "$probe" | tr -d '\n' >&2
"""
APPRISE = r"""#!/bin/sh
[ ! -e {fake}/unreachable ] || exit 1
! grep -q broken "$2" || exit 1
echo "$* | $(cat)" >>{fake}/told
"""
DF = "#!/bin/sh\necho Avail\ncat {fake}/free\n"
READY, BROKEN = "200\n{}", '503\n{"ready":false,"failing":["telegram"]}'


class Watched(Gateway):
    """A gateway that is looked at by the script, whenever time has passed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        for name, text in (("curl", CURL), ("apprise", APPRISE), ("df", DF)):
            self._program(name, text.format(fake=self.fake))
        self.watch = directory / "root/watch"
        self.lock = directory / "deploy.lock"
        self.work, self.pull = directory / "backup", directory / "pull"
        self.work.mkdir()
        (self.project / "docker-compose.yml").write_text("")
        self.addresses = directory / "addresses.conf"
        self.addresses.write_text("ntfy://the-topic\n")
        self.set("status", "running")
        self.set("free", "9999999999\n")
        self.set("engine", 'case "$*" in restart*) echo restart >>$fake/done ;; esac')
        self.given: dict[str, Any] = {}
        self.answers(READY)
        self.begins()

    def begins(self) -> None:
        """The gateway was started just now."""
        self.set("started", self.says("clock"))

    def answers(self, readyz: str = "", startupz: str = READY, healthz: str = READY) -> None:
        for name, text in (("readyz", readyz), ("startupz", startupz), ("healthz", healthz)):
            if text:
                self.set(name, text)
            else:
                (self.fake / name).unlink(missing_ok=True)

    def hangs(self) -> None:
        self.answers("", "", "")

    def text(self) -> str:
        more = MORE.format(fake=self.fake, project=self.project)
        given: dict[str, Any] = {
            "docker": Script(self.functions + more),
            "service": False,
            "kind": "container",
            "name": "openclaw",
            "project": str(self.project),
            "url": "http://127.0.0.1:1",
            "config": str(self.config),
            "backups": str(self.work),
            "state": str(self.watch),
            "lock": str(self.lock),
            "void": "",
            "timeout": 300,
            "cooldown": 3600,
            "addresses": str(self.addresses),
            "daily": None,
            "watchdog": True,
            "timers": [("backup", "last", "made", 172800)],
            "pull": str(self.pull),
            "pull_age": 172800,
        }
        return templates.render("watch/watch.sh.j2", **(given | self.given))

    def looks(self, seconds: int = 30, times: int = 3) -> str:
        """Look so many times, the last one so many seconds of the clock after the first, or after
        now if that is the same; return what was said."""
        said = ""
        for number in range(times):
            passed = seconds // max(1, times - 1) if number or times == 1 else 0
            self.set("clock", f"{int(self.says('clock')) + passed}\n")
            code, more = self.run(self.text(), "")
            assert code == 0, more
            said += more
        return said

    def told(self) -> list[str]:
        """What was told since this was asked last, without whom and which host."""
        lines = self.says("told").splitlines()
        self.set("told")
        return [line.partition(" | ")[2] for line in lines]

    def restarts(self) -> int:
        return self.says("done").split().count("restart")

    def seen(self) -> str:
        return self.kept("before")

    def kept(self, word: str) -> str:
        """What it remembers, for `./claw status` and the metrics too."""
        lines = (self.watch / "gateway").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)[word]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    made = Watched(tmp_path)
    made.set("clock", "100000\n")
    made.begins()
    made.set("clock", "200000\n")
    return made


def test_of_a_gateway_that_is_ready_nothing_is_said(watched: Watched) -> None:
    assert watched.looks(90) == ""
    assert (watched.seen(), watched.restarts(), watched.told()) == ("ready", 0, [])
    assert watched.watch.stat().st_mode & 0o777 == 0o700


def test_what_hangs_is_restarted_and_told_once_and_so_is_its_end(watched: Watched) -> None:
    watched.hangs()
    watched.looks(60, times=2)
    assert (watched.restarts(), watched.told()) == (0, [])  # not at once
    watched.looks(60, times=2)
    (told,) = watched.told()
    assert watched.restarts() == 1
    assert "runs and does not answer (/healthz 000); it was restarted" in told
    assert (watched.kept("wrong"), watched.kept("total")) == ("", "1")
    watched.begins()
    watched.looks(120)
    assert (watched.seen(), watched.restarts(), watched.told()) == ("starting", 1, [])
    watched.answers(READY)
    watched.looks(60)
    assert watched.told() == ["the gateway is ready"]
    assert (watched.kept("wrong"), watched.kept("total")) == ("", "1")


@pytest.mark.slow
def test_the_pauses_double_and_after_five_it_is_left_alone(watched: Watched) -> None:
    watched.hangs()
    watched.looks(120)
    for restarts, pause in enumerate((120, 240, 480, 960), 1):
        watched.looks(pause - 40)
        assert watched.restarts() == restarts
        watched.looks(60, times=1)
        assert watched.restarts() == restarts + 1
    watched.looks(86400)
    assert watched.restarts() == 5
    assert "it was restarted 5 times and is left alone now" in watched.told()[-1]
    assert (watched.kept("wrong"), watched.kept("total")) == ("given-up", "5")


@pytest.mark.slow
def test_an_hour_of_readiness_makes_up_for_a_restart(watched: Watched) -> None:
    for _ in range(6):
        watched.hangs()
        watched.looks(150)
        watched.answers(READY)
        watched.looks(4000, times=2)
    assert watched.restarts() == 6


@pytest.mark.parametrize(
    ("startupz", "state"),
    [
        ('503\n{"ok":false,"status":"starting"}', "starting"),
        ('503\n{"status":"draining"}', "draining"),
    ],
)
def test_what_starts_or_drains_is_left_alone_as_long_as_that_may_take(
    startupz: str, state: str, watched: Watched
) -> None:
    watched.answers("503\n{}", startupz)
    watched.looks(330)
    assert (watched.seen(), watched.restarts(), watched.told()) == (state, 0, [])
    watched.looks(90)
    assert watched.restarts() == 1
    assert f"has been {state} for" in watched.told()[0]


def test_a_broken_channel_is_told_and_never_restarted(watched: Watched) -> None:
    watched.answers(BROKEN)
    watched.looks(240)
    assert watched.told() == []
    watched.looks(3600)
    (told,) = watched.told()
    assert (watched.seen(), watched.restarts()) == ("degraded", 0)
    assert "/readyz 503, failing: telegram" in told


def test_what_a_gateway_says_is_told_as_text(watched: Watched) -> None:
    watched.answers('503\n{"failing":["\x1b]0;x\x07$(touch /tmp/x)`id`' + "a" * 9999 + '"]}')
    watched.looks(360)
    (told,) = watched.told()
    assert "\x1b" not in told and "$(" not in told and len(told) < 400


@pytest.mark.parametrize("hand", ["activation", "deploy", "stopped"])
def test_in_somebody_s_hands_nothing_is_done(hand: str, watched: Watched) -> None:
    watched.hangs()
    watched.looks(60, times=2)
    holder = subprocess.Popen(["sleep", "60"])
    try:
        if hand == "activation":
            holder.kill()
            holder.wait()
            lock = watched.project / "run/activate.lock"
            holder = subprocess.Popen(
                ["flock", str(lock), "sh", "-c", "echo held; exec sleep 60"], stdout=subprocess.PIPE
            )
            assert holder.stdout and holder.stdout.readline()
        elif hand == "deploy":
            stat = Path(f"/proc/{holder.pid}/stat").read_text().rpartition(") ")[2].split()
            watched.lock.write_text(f"id=abc\nprocess={holder.pid} {stat[19]}\n")
        else:
            (watched.project / "run/stopped").write_text("2026-11-30T00:00:00Z\n")
        watched.looks(600)
        assert (watched.restarts(), watched.told()) == (0, [])
    finally:
        holder.kill()
        holder.wait()
    (watched.project / "run/stopped").unlink(missing_ok=True)
    if hand != "activation":  # whose `sleep` may still have it
        watched.looks(60, times=2)
        assert watched.restarts() == 0  # what was seen before counts for nothing
        watched.looks(60, times=2)
        assert watched.restarts() == 1


def test_an_engine_that_does_not_answer_is_told_and_nothing_is_restarted(watched: Watched) -> None:
    watched.set("no-engine")
    watched.looks(300)
    assert "the engine does not answer" in watched.told()[0]
    watched.hangs()
    watched.looks(300)
    assert watched.restarts() == 0
    (watched.fake / "no-engine").unlink()
    watched.answers(READY)
    watched.looks(30)
    assert len(watched.told()) == 1


def test_a_gateway_that_dies_again_and_again_is_told(watched: Watched) -> None:
    for restarts in range(5):
        watched.set("restarts", str(restarts))
        watched.hangs()
        watched.begins()
        watched.looks(times=1)
        watched.answers(READY)
        watched.looks(times=1)
    told = watched.told()
    assert "the gateway has died 3 times within the hour" in told[0]
    assert len(told) == 1 and watched.restarts() == 0
    watched.looks(3700)
    assert len(watched.told()) == 1


def test_on_a_full_disk_nothing_is_restarted_and_both_are_told(watched: Watched) -> None:
    watched.hangs()
    watched.set("free", "1048576\n")
    watched.looks(300)
    told = watched.told()
    assert watched.restarts() == 0
    assert any("is full: 1 MiB are free" in one for one in told)
    assert any("it is not restarted on a full disk" in one for one in told)
    watched.set("free", "9999999999\n")
    watched.looks(30)
    assert watched.restarts() == 1


def test_the_same_trouble_is_not_told_again_within_the_cooldown(watched: Watched) -> None:
    for _ in range(3):
        watched.answers(BROKEN)
        watched.looks(400)
        watched.answers(READY)
        watched.looks(60)
    assert len(watched.told()) == 2  # it, and its end
    watched.answers(BROKEN)
    watched.looks(3600)
    assert len(watched.told()) == 1


def test_what_could_not_be_told_is_told_later(watched: Watched) -> None:
    watched.set("unreachable")
    watched.answers(BROKEN)
    said = watched.looks(620, times=4)
    assert said.count("nobody could be told") == said.count("trouble: ") == 1
    (watched.fake / "unreachable").unlink()
    watched.looks(330)
    assert len(watched.told()) == 1


def test_without_the_watchdog_it_only_tells(watched: Watched) -> None:
    watched.given["watchdog"] = False
    watched.hangs()
    watched.looks(900)
    assert watched.restarts() == 0
    assert len(watched.told()) == 1


def test_a_backup_that_failed_or_did_not_come_is_told(watched: Watched) -> None:
    (watched.work / "last").write_text("2026-11-30T00:00:00Z failed no room\n")
    watched.looks(60)
    assert watched.told() == ["the last backup: failed; ./claw backups says more"]
    (watched.work / "last").write_text("2026-11-30T00:00:00Z ok 0123abcd\n")
    made = watched.work / "made"
    made.write_text("2026-11-30T00:00:00Z 0123abcd\n")
    os.utime(made, (199000, 199000))
    watched.looks(60)
    assert len(watched.told()) == 1
    os.utime(made, (1000, 1000))
    watched.looks(60)
    assert watched.told() == ["the last backup: overdue; ./claw backups says more"]


def pulled(watched: Watched, state: str, at: int = 200000) -> None:
    (watched.pull / "enrolled").mkdir(parents=True, exist_ok=True)
    result = watched.pull / "result"
    result.write_text(f"time={at}\nstate={state}\ncommit=-\nmessage=not \x1b[1msigned\n")
    os.utime(result, (at, at))


def test_a_pull_that_failed_or_did_not_come_is_told(watched: Watched) -> None:
    watched._program("systemctl", f"#!/bin/sh\n[ -e {watched.fake}/cut ]\n")
    for state in ("converged", "waiting"):
        pulled(watched, state)
        watched.looks(60)
    assert watched.told() == []
    pulled(watched, "refused")
    watched.looks(60)
    (told,) = watched.told()
    assert told.startswith("the last pull: refused: not 1msigned; on the host: systemctl status ")
    pulled(watched, "converged")
    watched.looks(60)
    assert watched.told() == ["the host pulls again"]
    watched.set("cut")
    watched.looks(60)
    assert "the last pull: failed: it was cut short" in watched.told()[0]
    (watched.fake / "cut").unlink()
    pulled(watched, "converged", 1000)
    watched.looks(60)
    assert "the last pull: overdue: there was none for 2 days" in watched.told()[0]


def test_what_pulls_no_more_is_not_told_of(watched: Watched) -> None:
    watched._program("systemctl", "#!/bin/sh\nexit 1\n")
    pulled(watched, "refused")
    watched.looks(60)
    watched.told()
    (watched.pull / "result").unlink()
    (watched.pull / "enrolled").rmdir()
    watched.looks(60)
    assert watched.told() == []
    assert not (watched.watch / "told.pull").exists()


def test_a_summary_is_sent_once_a_day(watched: Watched) -> None:
    watched.given["daily"] = "00:00"
    watched.looks(60)
    assert watched.told() == []  # after a boot nobody knows whether it was
    (watched.watch / "summary").write_text("2026-11-29\n")
    watched.looks(60)
    (told,) = watched.told()
    assert told.startswith("gateway: ready; trouble: none; restarts by the watchdog: 0;")


def test_the_addresses_are_in_no_argument(watched: Watched) -> None:
    watched.answers(BROKEN)
    watched.looks(360)
    said = watched.says("told")
    assert said.startswith(f"-c {watched.watch}/address.conf -t openclaw on ")
    assert "the-topic" not in said
    assert not (watched.watch / "address.conf").exists()


def test_an_address_that_does_not_work_has_the_others_told_once(watched: Watched) -> None:
    watched.addresses.write_text("ntfy://broken\nntfy://the-topic\n")
    watched.answers(BROKEN)
    said = watched.looks(360) + watched.looks(600)
    assert len(watched.told()) == 1
    assert "no message could be sent by address 1" in said
