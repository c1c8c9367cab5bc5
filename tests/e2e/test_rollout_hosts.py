"""A fleet of real hosts: real gateways beside broken hosts, and a network that is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as lab
from tests.e2e.fleet import FOREVER, Fleet
from tests.e2e.harness import Result, claw, until

pytestmark = [pytest.mark.engine, pytest.mark.long]

MakeHost = Callable[..., lab.Host]
NEVER_READY = {"gateway": {"environment": {"NODE_OPTIONS": "--no-such-option"}}}


def connection(host: lab.Host) -> dict[str, Any]:
    return lab.connection(host.ip) | {"ssh_port": 22}  # not one of a fleet of ports


def test_a_network_that_is_cut_is_noticed(lab_host: MakeHost, tmp_path: Path) -> None:
    """Nothing says that the connection is gone: packets get no answer any more."""
    cut = lab_host("bookworm", "cut")
    stays = lab_host("bookworm", "rollout")
    hosts = {"stays": connection(stays), "cut": connection(cut)}
    one = Fleet(stays, tmp_path, hosts)
    one.commands = {"cut": FOREVER}
    run = one.start("--json")
    log = f"cat {one.directory}/log 2>/dev/null || true"
    until(lambda: "begin cut" in lab.ssh(cut.name, log).stdout, 90, "the operation has begun")
    # Not `docker network disconnect`: the address would be free for another host.
    route = lab.inside(cut.container, "ip route show default").strip()
    lab.inside(cut.container, "ip link set eth0 down")
    try:
        failed = run.finish(240)
    finally:
        lab.inside(cut.container, f"ip link set eth0 up && ip route replace {route}")
    assert failed.returncode == 1
    assert one.states(failed) == {"stays": "changed", "cut": "failed"}
    said = failed.json["hosts"]["cut"]["failed"]
    assert "the connection to the host was lost; what still runs there is ended by the next" in said

    one.commands = {}
    again = one.run("--limit", "@failed", "--json")
    assert one.states(again) == {"cut": "changed"}
    assert FOREVER not in lab.ssh(cut.name, "ps -ewwo args | grep -v grep").stdout


def test_gateways_of_a_fleet(lab_host: MakeHost, tmp_path: Path) -> None:
    """First deploy beside broken hosts, their repair, a bad change that stops at the canary."""
    hosts = {name: lab_host("bookworm", f"fleet-{name}") for name in ("one", "two", "apt", "disk")}
    inventory = tmp_path / "fleet.py"
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}

    def up(*arguments: str, expect: int = 0, **settings: Any) -> Result:
        fleet = [(name, {**connection(host), **settings}) for name, host in hosts.items()]
        fleet += [("down", {**connection(hosts["one"]), "ssh_port": 1})]
        inventory.write_text(f"hosts = {fleet!r}\n")
        return claw("up", str(inventory), "--json", *arguments, expect=expect, env=environment)

    def states(run: Result) -> dict[str, str]:
        return {name: host["state"] for name, host in run.json["hosts"].items()}

    def sh(name: str, command: str) -> str:
        done = lab.ssh(hosts[name].name, command)
        assert done.returncode == 0, f"{name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ready(name: str) -> bool:
        url = "http://127.0.0.1:18789/readyz"
        return lab.ssh(hosts[name].name, f"curl -fs -o /dev/null -m 10 {url}").returncode == 0

    # A package whose configuration fails keeps apt from installing anything.
    state = "Package: broken\\nStatus: install ok half-configured\\nVersion: 1\\nArchitecture: all"
    sh("apt", f"printf '\\n{state}\\nMaintainer: x\\nDescription: x\\n\\n' >>/var/lib/dpkg/status")
    sh("apt", "cd /var/lib/dpkg/info && echo >broken.list && printf '#!/bin/sh\\nexit 1\\n'"
       " >broken.postinst && chmod 755 broken.postinst")  # fmt: skip
    sh("disk", "mount -t tmpfs -o size=8m tmpfs /opt")
    first = up(expect=1)
    assert states(first) == {
        **{"one": "changed", "two": "changed"},
        **{"apt": "failed", "disk": "failed", "down": "failed"},
    }
    assert first.json["batches"] == [["one", "two", "apt"]]
    assert "free" in first.json["hosts"]["disk"]["problems"][0]["what"]
    assert "apt" in "\n".join(first.json["hosts"]["apt"]["output"])
    assert first.json["hosts"]["one"]["health"] == "ready"
    assert first.json["hosts"]["one"]["version"]
    assert ready("one") and ready("two")
    for name in ("apt", "disk"):
        assert sh(name, "pgrep -f OPENCLAW_DEPLOY || true") == ""

    bad = up("--limit", "one,two", "--canary", "1", expect=1, **NEVER_READY)
    assert states(bad) == {"one": "failed", "two": "not attempted"}
    until(lambda: ready("one"), 120, "the old gateway is back")
    assert ready("two")

    good = up("--limit", "one,two", "--canary", "1", time_zone="Europe/Rome")
    assert good.json["batches"] == [["one"], ["two"]]
    assert states(good) == {"one": "changed", "two": "changed"}
    logged = sh("one", "cat /var/log/openclaw-deploy.log").splitlines()
    assert len(logged) == 3
    same = up("--limit", "one,two", time_zone="Europe/Rome")
    assert same.json["changed"] is False
    assert len(sh("one", "cat /var/log/openclaw-deploy.log").splitlines()) == 3
