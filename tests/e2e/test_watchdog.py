"""The watchdog on a real host: systemd's timer, Docker's engine and Debian's apprise are real, the
gateway is a stand-in that answers what it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import hosts as lab
from tests.e2e.harness import until
from tests.e2e.watch_job import Job

pytestmark = pytest.mark.long

NAME = "watch1"
READY = "the gateway is ready"


@pytest.fixture(scope="module")
def made() -> Iterator[Job]:
    lab.up(NAME)
    yield Job(NAME)
    lab.down(NAME)


@pytest.fixture
def job(made: Job, monkeypatch: pytest.MonkeyPatch) -> Job:
    """As a run installs it, with all that was told before forgotten."""
    made.sh("systemctl stop openclaw-watch.timer 2>/dev/null; rm -rf /run/openclaw-pyinfra", None)
    made.sh("rm -f /opt/openclaw/answers/*; docker start openclaw-openclaw-gateway-1")
    assert made.watch(monkeypatch) == ""
    made.sh("systemctl start openclaw-watch")
    assert made.state() == "ready"
    made.told()
    return made


def test_a_stopped_process_is_restarted(job: Job) -> None:
    before = job.started()
    job.sh("kill -STOP $(docker inspect -f '{{.State.Pid}}' openclaw-openclaw-gateway-1)")
    told = job.await_told("does not answer (/healthz 000); it was restarted")
    assert "openclaw on " in told
    assert job.started() > before
    job.await_told(READY)
    assert job.told() == []


def test_what_is_killed_for_its_memory_is_the_engine_s(job: Job) -> None:
    before = job.started()
    job.sh("curl -s -m 20 http://127.0.0.1:18789/eat", None)
    until(lambda: job.started() > before, 60, "the engine starts it again")
    until(lambda: job.state() == "ready", 120, "it is ready")
    assert job.told() == []
    assert job.sh("sed -n 's/^attempts=//p' /run/openclaw-pyinfra/openclaw.watch/gateway") == "0\n"


def test_mail_is_sent_and_an_address_that_does_not_work_changes_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "tells here what is wrong" in job.sh("cat /root/mail")
    was = job.sh("sha256sum /opt/openclaw/watch/*; stat -c '%a %U' /opt/openclaw/watch/*")
    assert "600 root" in was
    said = job.watch(monkeypatch, "json://127.0.0.1:8099/\njson://user:s3cretword@127.0.0.1:1/")
    assert "watch.notify.address: no message could be sent by address 2 of it" in said
    assert "s3cretword" not in said
    after = job.sh("sha256sum /opt/openclaw/watch/*; stat -c '%a %U' /opt/openclaw/watch/*")
    assert after == was


def test_an_engine_that_is_gone_is_told(job: Job) -> None:
    job.sh("systemctl stop docker.socket docker.service")
    try:
        job.await_told("neither the engine nor the gateway answers")
    finally:
        job.sh("systemctl start docker.service")
    job.await_told(READY)


def test_while_a_turn_drains_or_a_run_has_the_lock_nothing_is_done(job: Job) -> None:
    before = job.started()
    job.answer("readyz", "503 {}")
    job.answer("startupz", '503 {"ok":false,"status":"draining"}')
    until(lambda: job.state() == "draining", 120, "the drain is seen")
    job.sh("systemd-run -q --unit holds flock /opt/openclaw/run/activate.lock sleep 600")
    job.answer("healthz", "500 {}")
    until(lambda: job.state() == "busy", 120, "the lock is seen")
    job.sh("systemctl stop holds")
    until(lambda: job.state() in ("hung", "starting"), 120, "it is looked at again")
    assert (job.started(), job.told()) == (before, [])


def test_a_full_disk_is_told_and_nothing_is_restarted(job: Job) -> None:
    before = job.started()
    job.sh("mount -t tmpfs -o size=1m tmpfs /var/lib/openclaw/config")
    try:
        job.await_told("is full: 1 MiB are free")
        job.sh("kill -STOP $(docker inspect -f '{{.State.Pid}}' openclaw-openclaw-gateway-1)")
        job.await_told("it is not restarted on a full disk")
        assert job.started() == before
    finally:
        job.sh("umount /var/lib/openclaw/config")
    until(lambda: job.started() > before, 120, "it is restarted once there is room")


def test_a_broken_channel_is_told_and_left_alone(job: Job) -> None:
    before = job.started()
    job.answer("readyz", '503 {"ready":false,"failing":["telegram"]}')
    job.await_told("failing: telegram", 500)
    assert job.state() == "degraded"
    job.answer("readyz", "")
    job.await_told(READY)
    assert job.started() == before
