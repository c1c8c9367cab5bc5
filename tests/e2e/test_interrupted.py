"""Power cuts, Ctrl-C and two people at once; whatever happened, the next run finishes the work.

All on one host, which starts bare.
"""

from __future__ import annotations

import getpass
import re
import socket
from shlex import quote
from typing import Any

import pytest

from tests.e2e.harness import Deployment, Process, Result, start_claw

pytestmark = [pytest.mark.engine, pytest.mark.whole]

# Every test installs a package of its own, for a layer that BuildKit does not have yet.
APT = {"gateway": {"apt_packages": ["jq"]}}
HEALTHY = "curl -fs -o /dev/null -m 2 http://127.0.0.1:{port}/readyz"


@pytest.fixture(scope="module")
def interrupted(lab_host, deployment) -> Deployment:
    return deployment(lab_host("bookworm", "interrupted"))


def test_a_power_cut_at_every_operation_of_a_fresh_deploy(interrupted: Deployment):
    """Every run is killed one operation later than the one before it; the last one finishes."""
    plan = interrupted.claw("up", "--dry", "--json", expect=None).json["plan"][interrupted.vps.name]
    for operation in plan:
        run = interrupted.start("up", "-v", "--json")
        begun(run, operation)
        run.kill()
    # Deep inside the long ones too: files half unpacked, an image half built, a gateway half up.
    finish(interrupted)
    assert interrupted.http() == 200
    assert len(interrupted.sh("docker ps -aq").split()) == 1


CUTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "dpkg has files unpacked": (
        "dpkg --remove --force-depends curl nftables >/dev/null 2>&1; true",
        {},
        "pgrep -x dpkg",
    ),
    "daemon.json is written": (
        "rm /etc/docker/daemon.json",
        {},
        "test -e /etc/docker/daemon.json",
    ),
    "an image is being built": ("true", APT, "pgrep -f '^apt-ge[t] .*install.* jq'"),
    "openclaw.json is being merged": (
        "true",
        {"openclaw": {"session": {"dmScope": "main"}}},
        "docker ps | grep -v openclaw-gateway-1 | grep openclaw",
    ),
    "the old gateway is gone": ("true", {"time_zone": "Europe/Berlin"}, "! {healthy}"),
    "the new gateway is starting": (
        "true",
        {"time_zone": "Europe/Paris"},
        "! {healthy} && docker ps | grep -q starting",
    ),
}


SHORT = ("dpkg has files unpacked", "daemon.json is written")


@pytest.mark.parametrize(
    "moment", [pytest.param(one, marks=() if one in SHORT else pytest.mark.long) for one in CUTS]
)
def test_a_power_cut_while(moment: str, interrupted: Deployment):
    damage, settings, condition = CUTS[moment]
    interrupted.sh(damage)
    condition = condition.format(healthy=HEALTHY.format(port=interrupted.port))
    run = interrupted.start("up", "--json", settings=settings)
    await_on_host(interrupted, run, condition)
    assert run.popen.poll() is None, f"it ended first:\n{run.output()[-3000:]}"
    run.kill()
    finish(interrupted, settings)
    assert interrupted.http() == 200


def test_what_dpkg_leaves_half_done_is_finished(interrupted: Deployment):
    """Cut while it unpacks or removes, it does not go on by itself, and apt sees no fault."""
    states = {
        "nftables": "install reinstreq half-installed",
        "curl": "deinstall ok half-configured",
    }
    for package, state in states.items():
        half_done = f"/^Package: {package}$/,/^$/s/^Status: .*/Status: {state}/"
        interrupted.sh(f"sed -i '{half_done}' /var/lib/dpkg/status")
    interrupted.sh("rm /usr/sbin/nft")
    finish(interrupted)
    for package in states:
        found = interrupted.sh(f"dpkg-query -W -f '${{Status}}' {package}")
        assert found == "install ok installed", package
    assert "openclaw" in interrupted.sh("nft list tables")


def test_ctrl_c_exits_130_and_leaves_nothing_running(interrupted: Deployment):
    finish(interrupted)
    was = interrupted.container()["Id"]
    run = interrupted.start("up", settings={"gateway": {"apt_packages": ["bc"]}})
    started_build(interrupted, run, "bc")
    run.interrupt()
    result = run.finish(180)
    assert result.returncode == 130, result.output
    assert "Interrupted" in result.output
    assert not holds(interrupted, "pgrep -f '^apt-ge[t] .*install.* bc'")
    assert interrupted.container()["Id"] == was
    assert interrupted.http() == 200
    finish(interrupted)


def test_ctrl_c_while_connecting_exits_130(interrupted: Deployment):
    """Nobody answers at this address, so connecting takes as long as it may."""
    unanswered = interrupted.inventory.with_name("unanswered.py")
    unanswered.write_text("hosts = [('unanswered', {'ssh_hostname': '10.91.0.251'})]\n")
    run = start_claw("up", str(unanswered))
    run.wait_for("Connecting", 30)
    run.interrupt()
    assert run.finish(60).returncode == 130


def test_two_runs_at_once(interrupted: Deployment):
    """The second stops and names the first; a killed first leaves nothing locked."""
    finish(interrupted)
    first = interrupted.start("up", settings={"gateway": {"apt_packages": ["dc"]}})
    started_build(interrupted, first, "dc")

    second = interrupted.claw("up", settings={"time_zone": "Europe/Rome"}, expect=1)
    me = f"{getpass.getuser()}@{socket.gethostname()} (pid {first.popen.pid})"
    assert me in second.output, second.output
    assert "is changing this host since" in second.output
    assert "Traceback" not in second.output
    assert interrupted.claw("up", "--dry", "--json", expect=None).returncode in (0, 2)

    first.kill()
    finish(interrupted)


@pytest.mark.long
def test_a_second_run_can_wait_for_the_first(interrupted: Deployment):
    finish(interrupted)
    first = interrupted.start("up", settings={"time_zone": "Europe/Madrid"})
    await_on_host(interrupted, first, f"! {HEALTHY.format(port=interrupted.port)}")
    second = interrupted.start("up", "--json", "--wait-lock", "600")
    second_result, first_result = second.finish(), first.finish()
    assert first_result.returncode == 0, first_result.output
    assert second_result.returncode == 0, second_result.output
    assert interrupted.http() == 200
    finish(interrupted)


def finish(deployment: Deployment, settings: dict | None = None) -> Result:
    """Run until done, and again: zero changes, the same container, nothing half-written left."""
    done = deployment.claw("up", "--json", settings=settings or {})
    was = deployment.container()
    again = deployment.claw("up", "--json", settings=settings or {})
    assert again.json["changed"] is False, again.json["hosts"]
    now = deployment.container()
    assert (now["Id"], now["State"]["StartedAt"]) == (was["Id"], was["State"]["StartedAt"])
    leftovers = (
        f"ls -d /opt/{deployment.name}/*.new /opt/{deployment.name}/.env.* 2>/dev/null || true"
    )
    assert deployment.sh(leftovers) == ""
    return done


def begun(run: Process, operation: str) -> None:
    """Until an operation runs (announced after a second) or, if it was fast, has ended."""
    run.wait_for(rf"[…✓✗=] {re.escape(operation)}", 900)


def started_build(deployment: Deployment, run: Process, package: str) -> None:
    condition = f"pgrep -f '^apt-ge[t] .*install.* {package}'"  # not a script that has this
    await_on_host(deployment, run, condition)
    assert run.popen.poll() is None, f"it ended first:\n{run.output()[-3000:]}"


def await_on_host(deployment: Deployment, run: Process, condition: str) -> None:
    """Until it holds or the run has ended; asked on the host itself, for short moments."""
    for _ in range(30):
        loop = (
            f"timeout 10 sh -c {quote(f'until {condition}; do sleep 0.02; done')} >/dev/null 2>&1"
        )
        if deployment.sh(f"{loop} && echo yes || true") == "yes\n" or run.popen.poll() is not None:
            return
    raise AssertionError(f"not within 300 s: {condition}")


def holds(deployment: Deployment, condition: str) -> bool:
    return deployment.sh(f"({condition}) >/dev/null 2>&1 && echo yes || true") == "yes\n"
