"""The gateway's log at a syslog collector: systemd, Docker's engine and Debian's rsyslog are real,
the gateway is a stand-in that writes what it is told to, and the collector a small server, on the
host itself, that takes frames as RFC 6587 has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e import watch_job
from tests.e2e.conftest import MakeDeployment
from tests.e2e.harness import Deployment, Result, until

pytestmark = pytest.mark.long

NAME = "watch-log"
DEPLOY = """
from pyinfra import config, host

from operations.base import preflight, snapshot
from operations.images import listing
from operations.watch import stage, syslog

settings = preflight.run([syslog.problems])
config.SUDO = snapshot.needs_sudo(host)
stage.watch(settings=settings)
"""
COLLECTOR = """
import socketserver
class Frames(socketserver.StreamRequestHandler):
    def handle(self):
        while length := b"".join(iter(lambda: self.rfile.read(1).strip(), b"")):
            frame = self.rfile.read(int(length))
            with open("/root/collected", "ab") as file:
                file.write(frame + b"\\n")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", 5514), Frames).serve_forever()
"""
COMPOSE = """#!/bin/sh
case "$*" in
  docker-cli-plugin-metadata) echo '{"SchemaVersion": "0.1.0", "Vendor": "stand-in"}' ;;
  *" ps "*) docker ps -aq --no-trunc --filter name=openclaw-openclaw-gateway-1 ;;
esac
"""
CONTAINER = "openclaw-openclaw-gateway-1"
THERE = "tcp://127.0.0.1:5514"


class Job(watch_job.Job):
    """A host with a stand-in for the gateway, and `./claw up` with `watch:` alone."""

    def __init__(self, deployment: Deployment, directory: Path) -> None:
        super().__init__(NAME)
        self.deployment, self.deploy = deployment, directory / "deploy.py"
        self.deploy.write_text(DEPLOY)
        plugin = "/usr/libexec/docker/cli-plugins/docker-compose"
        for path, text in ((plugin, COMPOSE), ("/root/collector.py", COLLECTOR)):
            self.sh(f"mkdir -p {path.rpartition('/')[0]} && cat >{path} <<'END'\n{text}END")
        self.sh(f"chmod 755 {plugin}")

    def up(self, where: str | None = THERE, expect: int = 0, socket: str = "socket") -> Result:
        settings: dict[str, Any] = {"sandbox": {"enabled": True, "socket": socket}}
        settings["watch"] = {"syslog": where} if where else {}
        words = ("--deploy", str(self.deploy), "-y")
        return self.deployment.claw("up", *words, settings=settings, expect=expect)

    def collects(self) -> None:
        self.sh("systemctl stop collector 2>/dev/null", None)
        self.sh("systemd-run -q --unit collector python3 /root/collector.py")
        until(lambda: self.sh("ss -Hltn 'sport = :5514'"), 30, "the collector listens")

    def writes(self, text: str, stream: int = 1) -> None:
        code = f"open('/proc/1/fd/{stream}', 'w').write({text!r} + chr(10))"
        self.sh(f'docker exec {CONTAINER} /usr/bin/python3 -c "{code}"')

    def collected(self, text: str) -> list[str]:
        said = self.sh("cat /root/collected 2>/dev/null", None)
        return [line for line in said.splitlines() if line.endswith(text)]

    def await_collected(self, text: str) -> str:
        until(lambda: self.collected(text), 120, f"{text!r} is collected")
        return self.collected(text)[0]


@pytest.fixture(scope="module")
def job(deployment: MakeDeployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    made = deployment(lab.up(NAME))
    yield Job(made, tmp_path_factory.mktemp(NAME))
    lab.down(NAME)


def left(job: Job) -> str:
    return job.sh(
        "ls -d /etc/systemd/system/*log.service /etc/openclaw-pyinfra/*log*"
        " /var/lib/openclaw-pyinfra/*log /opt/openclaw/watch /usr/sbin/rsyslogd 2>/dev/null;"
        " pgrep -x rsyslogd",
        None,
    )


def test_a_collector_that_does_not_answer_is_one_error(job: Job) -> None:
    done = job.up(expect=1)
    assert f"watch.syslog: given {THERE}, where no collector answers" in done.output
    assert "Connection refused" in done.output and "Traceback" not in done.output
    assert left(job) == ""


def test_lines_are_collected_with_their_severity(job: Job) -> None:
    job.collects()
    job.up()
    job.writes("it is well")
    job.writes("it is not well", 2)
    well, bad = job.await_collected("it is well"), job.await_collected("it is not well")
    form = r"<{}>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ \S+ openclaw - - - it is .*"
    assert re.fullmatch(form.format(30), well), well
    assert re.fullmatch(form.format(28), bad), bad
    assert "nothing to change" in job.up().output
    assert (
        job.sh("docker inspect -f '{{.HostConfig.LogConfig.Type}}' " + CONTAINER) == "json-file\n"
    )
    assert job.sh("systemctl is-active rsyslog", None) == "inactive\n", "the host's own"


def test_a_collector_that_is_down_stops_nobody_and_has_it_all_later(job: Job) -> None:
    job.sh("systemctl stop collector")
    assert "until then the lines wait on the host" in job.up().output
    job.writes("before the restart")
    job.sh(f"docker restart -t 1 {CONTAINER}")
    until(lambda: job.sh("systemctl is-active openclaw-log", None) == "active\n", 60, "it reads on")
    job.writes("after the restart")
    assert "after the restart" in job.sh(f"docker logs {CONTAINER} 2>&1")
    job.collects()
    job.await_collected("before the restart")
    job.await_collected("after the restart")
    assert [len(job.collected(f"{when} the restart")) for when in ("before", "after")] == [1, 1]


def test_what_waits_outlives_the_unit_that_sends_it(job: Job) -> None:
    job.sh("systemctl stop collector")
    for text in ("in hand", "on disk"):
        job.writes(text)
    waiting = "grep -s 'on disk' /var/lib/openclaw-pyinfra/openclaw.syslog/waiting.0*"
    until(lambda: job.sh(waiting, None), 60, "it waits")
    job.sh("systemctl kill -s KILL openclaw-syslog")
    job.collects()
    job.await_collected("on disk")


def test_a_gateway_that_is_a_service_of_the_host_is_read_from_the_journal(job: Job) -> None:
    job.up(socket="host")
    job.sh("systemd-run -q --unit openclaw-gateway sh -c 'echo by the service; exec sleep 600'")
    assert job.await_collected("by the service").startswith("<30>1 ")
    assert "log.service" not in job.sh("ls /etc/systemd/system").replace("syslog.service", "")
    assert "nothing to change" in job.up(socket="host").output
    job.sh("systemctl stop openclaw-gateway")


def test_it_is_taken_away(job: Job) -> None:
    job.up(None)
    assert left(job) == ""
    assert job.sh("systemctl is-enabled rsyslog 2>&1", None).strip() != "masked"
    assert "nothing to change" in job.up(None).output
    job.up()
    assert left(job)
    settings = {"watch": {"syslog": THERE}, "sandbox": {"enabled": True, "socket": "socket"}}
    job.deployment.claw("remove", "-y", settings=settings)
    assert left(job) == ""
