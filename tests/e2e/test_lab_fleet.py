"""`./claw lab` as a newcomer uses it: hosts come and go, break and are mended."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.harness import claw, until

pytestmark = [pytest.mark.engine, pytest.mark.whole]

INVENTORY = "inventories/lab.yml"


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    """A lab of this test alone, with one host."""
    own = {
        "OPENCLAW_LAB_FLEET": f"lab-{secrets.token_hex(3)}-",
        "OPENCLAW_LAB_OWNER": str(os.getpid()),
    }
    claw("lab", "up", "1", env=own)
    yield own
    claw("lab", "down", env=own)


@pytest.fixture
def host(env: dict[str, str]) -> lab.Host:
    return lab.find(f"{env['OPENCLAW_LAB_FLEET']}1")


def test_its_inventory_has_its_hosts_and_no_others(env, host: lab.Host):
    shown = json.loads(claw("inventory", INVENTORY, "--json", env=env).stdout)
    assert list(shown["hosts"]) == [host.name]
    assert shown["groups"] == {"lab": [host.name], "bookworm": [host.name]}
    assert host.name in claw("lab", "status", env=env).stdout
    assert claw("lab", "up", "1", env=env).stderr.count("making") == 0  # it is there
    found = claw("status", INVENTORY, "--json", env=env, expect=1).json
    assert found["hosts"][host.name]["deployed"] is False
    other = {"OPENCLAW_LAB_FLEET": "nobodys-"}
    assert "./claw lab up 3" in claw("up", INVENTORY, env=other, expect=1).output


def test_a_cut_network(env, host: lab.Host):
    assert "mend" in claw("lab", "break", host.name, "cut-network", env=env).stdout
    assert "cut-network" in claw("lab", "status", env=env).stdout
    said = claw("up", INVENTORY, "--dry", env=env, expect=1).output
    assert f"{host.name}: cannot connect" in said
    assert "cut-network mended" in claw("lab", "mend", host.name, env=env).stdout
    until(lambda: lab.ssh(host.name, "true").returncode == 0, 180, "the network is back")


def test_a_full_disk(env, host: lab.Host):
    lab.ssh(host.name, "echo kept >/opt/before")
    claw("lab", "break", host.name, "fill-disk", env=env)
    assert "No space left" in lab.ssh(host.name, "cat /dev/zero >/opt/more").stderr
    assert lab.ssh(host.name, "cat /opt/before").stdout == "kept\n"
    said = claw("up", INVENTORY, "--dry", env=env, expect=1).output
    assert "/opt has 0.0 GiB free" in said
    claw("lab", "mend", host.name, "fill-disk", env=env)
    assert lab.ssh(host.name, "cat /dev/null >/opt/more; echo x >/opt/before").returncode == 0
    claw("up", INVENTORY, "--dry", env=env, expect=2)


def test_a_reboot_keeps_the_host_and_its_address(env, host: lab.Host):
    booted = "stat -c %Z /proc/1; cat /etc/resolv.conf /root/trace"
    lab.ssh(host.name, "echo trace >/root/trace")
    before = lab.ssh(host.name, booted).stdout
    claw("lab", "break", host.name, "reboot", env=env)
    after = lab.ssh(host.name, booted).stdout
    assert after.splitlines()[1:] == before.splitlines()[1:]
    assert after.splitlines()[0] != before.splitlines()[0]
    assert lab.find(host.name).ip == host.ip


def test_words_that_are_wrong(env, host: lab.Host, tmp_path: Path):
    assert "has no engine yet" in claw(
        "lab", "break", host.name, "kill-engine", env=env, expect=1
    ).stderr  # fmt: skip
    assert host.name in claw("lab", "break", "nobody", "reboot", env=env, expect=1).stderr
    assert "cut-network" in claw("lab", "break", host.name, "trip", env=env, expect=1).stderr
    alone = {**env, "OPENCLAW_LAB_DATA": str(tmp_path), "OPENCLAW_LAB_RUN": str(tmp_path)}
    assert "the lab does not run" in claw("lab", "status", env=alone, expect=1).stderr
