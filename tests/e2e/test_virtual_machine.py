"""The default form on a modern host, whole: Debian 13 with its own kernel, cgroup v2 and AppArmor.

It is a virtual machine in software emulation (`lab/vm.py`), in which a minute's work takes a
quarter of an hour or more: the suite takes more than an hour, most of it OpenClaw's own commands
(docs/hosts.md has what was seen). Images come from a host of the lab. Until the gateway starts, the
guest's clock is this machine's. Then its power is cut, and its instructions drive its clock, so
that OpenClaw's leases, which count seconds, fit its speed; the next run finishes what was cut.
"""

from __future__ import annotations

import faulthandler
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from lab import vm
from operations import engine_access
from operations.security import stage as security
from tests.e2e.conftest import MakeHost
from tests.e2e.harness import Result, claw, start_claw

pytestmark = [pytest.mark.engine, pytest.mark.long]

NAME, HOUR = "claw-vm", 3600
SETTINGS = {"sandbox": {"enabled": True}, "gateway": {"ready_timeout": HOUR}}
# As in an engine without root, so that the sandboxes' images are the same.
OF_GIVER = {"sandbox": {"enabled": True}, "gateway": {"uid": engine_access.CONTAINER_USER}}
LIMITS = """
id=$(docker ps -q --filter label=com.docker.compose.service=openclaw-gateway)
group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(docker inspect -f '{{.State.Pid}}' "$id")/cgroup")
cat "$group/memory.max" "$group/pids.max"
"""


@dataclass
class Guest:
    """The virtual machine with a deployment on it; `first` is the run that made it ready."""

    machine: vm.Machine
    inventory: Path
    first: Result | None = None

    def claw(self, verb: str, *words: str) -> Result:
        self.machine.set_clock()
        return claw(verb, str(self.inventory), "--limit", NAME, *words, timeout=6 * HOUR)

    def sh(self, command: str) -> str:
        socket = engine_access.rootless_socket("openclaw")
        done = self.machine.ssh(f"export DOCKER_HOST=unix://{socket}; {command}")
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def await_ready(self, seconds: int) -> None:
        """Wait in there, by its clock: a log-in takes from the gateway what it needs to start."""
        code = "curl -s -o /dev/null -m 60 -w %{http_code} http://127.0.0.1:18789/readyz"
        self.sh(f"timeout {seconds} sh -c 'until [ \"$({code})\" = 200 ]; do sleep 5; done'")


@pytest.fixture(scope="module")
def guest(lab_host: MakeHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    if why := vm.obstacle():
        pytest.skip(why)
    faulthandler.cancel_dump_traceback_later()  # what takes hours does not hang
    giver, machine = lab_host("bookworm", "vm-giver"), vm.Machine(NAME)
    machine.make()
    try:
        machine.boot()
        hosts: dict[str, dict[str, Any]] = {
            giver.name: {**OF_GIVER, **lab.connection(giver.ip)},
            NAME: {**SETTINGS, **machine.connection},
        }
        one = Guest(machine, tmp_path_factory.mktemp("vm") / "inventory.py")
        one.inventory.write_text(f"hosts = {list(hosts.items())!r}\n")
        in_real_time = start_claw("up", str(one.inventory))
        try:
            in_real_time.wait_for(rf"{NAME}\b.*waiting for http", 4 * HOUR)
        finally:
            machine.cut()
            said = in_real_time.finish().output
        assert f"[{giver.name}] ✗" not in said, said[-3000:]
        machine.boot(tied=True)
        one.first = one.claw("up", "--json")
        yield one
    finally:
        machine.remove()


def test_auto_chooses_an_engine_without_root_and_there_is_no_other(guest: Guest) -> None:
    assert "name=rootless" in guest.sh("docker info -f '{{.SecurityOptions}}'")
    assert guest.sh("docker info -f '{{.CgroupVersion}}'").strip() == "2"
    assert guest.sh("pgrep -x -u root 'dockerd|containerd' || true") == ""
    assert guest.sh("ls /run/docker.sock 2>/dev/null || true") == ""


def test_an_agent_took_a_turn_in_a_sandbox_whose_limits_hold(guest: Guest) -> None:
    assert guest.first
    checks = guest.first.json["hosts"][NAME]["checks"]
    assert {check["outcome"] for check in checks} == {"ok"}, checks
    found = {one["name"]: one["found"] for one in checks if one["group"] == "sandbox of main"}
    assert found["exec"] == "with this run's nonce"
    assert (found["memory inside (MiB)"], found["pids inside"]) == ("1024", "256")


def test_the_kernel_holds_the_gateway_to_its_limits(guest: Guest) -> None:
    assert guest.sh(LIMITS).split() == [str(3 << 30), "512"]


def test_the_summary_says_what_protects_where_apparmor_does_not(guest: Guest) -> None:
    assert guest.sh("cat /sys/module/apparmor/parameters/enabled").strip() == "Y"
    said = " ".join(guest.claw("up").output.split())
    assert "nothing to change" in said
    assert f"AppArmor {security.NO_PROFILES}" in said
    what = "docker inspect -f '{{json .HostConfig}}' $(docker ps -q)"
    started = json.loads(guest.sh(what))
    assert started["CapDrop"] == ["ALL"] and started["ReadonlyRootfs"]
    assert any("seccomp" in option for option in started["SecurityOpt"])


def test_it_comes_back_by_itself_when_the_host_boots(guest: Guest) -> None:
    before = guest.sh("docker ps -q")
    guest.machine.reboot()
    guest.await_ready(900)
    assert guest.sh("docker ps -q") == before
    assert guest.sh(LIMITS).split() == [str(3 << 30), "512"]
    assert "nothing to change" in guest.claw("up").stdout
