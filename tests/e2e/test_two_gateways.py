"""Two gateways on one host: each its own, the engine shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Deployment, claw
from tests.lab import hosts as lab

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


def test_two_gateways_on_one_host(fresh_host, tmp_path: Path):
    host = fresh_host("bookworm")
    fleet = tmp_path / "fleet.yml"
    fleet.write_text(
        FLEET.format(host=host, key=lab.key(), known_hosts=lab.SSH_DIR / "known_hosts")
    )
    anna = Deployment(host, fleet, settings={"name": "anna"})
    bert = Deployment(host, fleet, settings={"name": "bert", "gateway": {"port": 18889}})

    first = claw("up", str(fleet), "--json").json
    assert all(first["hosts"][name]["changed"] for name in ("anna", "bert"))
    assert (anna.http(), bert.http()) == (200, 200)
    assert anna.token() and anna.token() != bert.token()
    one, other = anna.container(), bert.container()
    for of in (
        lambda container: container["NetworkSettings"]["Networks"].keys(),
        lambda container: {mount["Source"] for mount in container["Mounts"]},
        lambda container: {container["Config"]["Labels"]["com.docker.compose.project"]},
    ):
        assert not set(of(one)) & set(of(other)), (of(one), of(other))

    before = anna.fingerprint() | bert.fingerprint()
    second = claw("up", str(fleet), "--json").json
    assert second["changed"] is False
    assert (anna.fingerprint() | bert.fingerprint()) ^ before == set()

    # A change of one is no change of the other.
    started = one["State"]["StartedAt"]
    claw("up", str(fleet), "--limit", "bert", "--set", "gateway.memory=4g")
    assert anna.container()["State"]["StartedAt"] == started
    assert bert.container()["HostConfig"]["Memory"] == 4 << 30
