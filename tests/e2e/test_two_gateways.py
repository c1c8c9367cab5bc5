"""Two gateways on one host: each its own, the engine shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, claw

pytestmark = [pytest.mark.engine, pytest.mark.long]

FLEET = """
all:
  ssh_hostname: {host.ip}
  ssh_user: root
  ssh_key: {key}
  ssh_known_hosts_file: {known_hosts}
hosts:
  anna: {{name: anna}}
  bert: {{name: bert, gateway: {{port: 18889}}}}
"""


def test_two_gateways_on_one_host(lab_host, tmp_path: Path):
    host = lab_host("bookworm", "two-gateways")
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(
        FLEET.format(host=host, key=lab.key(), known_hosts=lab.SSH_DIR / "known_hosts")
    )
    anna = Deployment(host, fleet, settings={"name": "anna"})
    bert = Deployment(host, fleet, settings={"name": "bert", "gateway": {"port": 18889}})

    claw("up", str(fleet), "--json")
    assert (anna.http(), bert.http()) == (200, 200)
    assert anna.token() and anna.token() != bert.token()
    one, other = anna.container(), bert.container()
    for of in (
        lambda container: container["NetworkSettings"]["Networks"].keys(),
        lambda container: {mount["Source"] for mount in container["Mounts"] if mount["RW"]},
        lambda container: {container["Config"]["Labels"]["com.docker.compose.project"]},
    ):
        assert not set(of(one)) & set(of(other)), (of(one), of(other))

    before = fingerprint(anna)
    second = claw("up", str(fleet), "--json").json
    assert second["changed"] is False
    assert fingerprint(anna) ^ before == set()

    # A change of one is no change of the other.
    started = one["State"]["StartedAt"]
    claw("up", str(fleet), "--limit", "bert", "--set", "gateway.memory=4g")
    assert anna.container()["State"]["StartedAt"] == started
    assert bert.container()["HostConfig"]["Memory"] == 4 << 30


def fingerprint(anna: Deployment) -> set[str]:
    """What is on the host, but for the state that both gateways write."""
    return {line for line in anna.fingerprint() if "/var/lib/bert/config" not in line}
