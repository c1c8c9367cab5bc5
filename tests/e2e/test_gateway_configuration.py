"""openclaw.json on the real gateway: what is the toolkit's, what is the user's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.harness import Deployment, until
from tests.e2e.swapping import running, up

pytestmark = [pytest.mark.engine, pytest.mark.whole]


def path(gateway: Deployment) -> str:
    return f"/var/lib/{gateway.name}/config/openclaw.json"


def config(gateway: Deployment) -> dict[str, Any]:
    return dict(json.loads(gateway.sh(f"cat {path(gateway)}")))


def write(gateway: Deployment, text: str) -> None:
    """Replace openclaw.json as an editor would, owner and mode included."""
    new = f"{path(gateway)}.edited"
    gateway.sh(
        f"cat >{new} <<'END'\n{text}\nEND\n"
        f"chown {gateway.owner} {new} && chmod 600 {new} && mv {new} {path(gateway)}"
    )


def test_what_the_user_sets_stays(gateway: Deployment) -> None:
    gateway.in_gateway("openclaw config set logging.consoleLevel debug")
    was = running(gateway)
    assert up(gateway) == []
    assert config(gateway)["logging"]["consoleLevel"] == "debug"
    assert running(gateway) == was


def test_an_owned_key_that_drifted_is_put_back_without_a_restart_of_the_container(
    gateway: Deployment,
) -> None:
    found = config(gateway)
    found["session"]["dmScope"] = "main"
    found["logging"] = {"consoleLevel": "info"}
    write(gateway, "// my comment\n" + json.dumps(found))
    was = running(gateway)
    dry = gateway.claw("up", "--dry", "--diff", expect=2)
    assert 'session.dmScope: "main" -> "per-channel-peer"' in dry.output
    changed = up(gateway)
    assert changed[0] == "Gateway configuration | Merge the owned keys into openclaw.json"
    assert config(gateway)["session"]["dmScope"] == "per-channel-peer"
    assert config(gateway)["logging"] == {"consoleLevel": "info"}
    assert running(gateway) == was
    assert gateway.sh(f"stat -c '%a %u:%g' {path(gateway)}").strip() == f"600 {gateway.owner}"
    assert "// my comment" in gateway.sh(f"cat {path(gateway)}.bak")
    assert up(gateway) == []


def test_its_packets_are_as_large_as_the_hosts(gateway: Deployment) -> None:
    way = "/sys/class/net/$(ip -4 route show default | awk '{ print $5; exit }')/mtu"
    inside = int(gateway.in_gateway("cat /sys/class/net/eth0/mtu"))
    assert inside == min(1500, int(gateway.sh(f"cat {way}")))


def test_what_the_validator_refuses_is_not_written(gateway: Deployment) -> None:
    before, was = gateway.sh(f"sha256sum {path(gateway)}"), running(gateway)
    wrong = {"openclaw": {"session": {"noSuchKey": 1}}}
    result = gateway.claw("up", settings=wrong, expect=1)
    assert "noSuchKey" in result.output and "openclaw.json is as it was" in result.output
    assert gateway.sh(f"sha256sum {path(gateway)}") == before
    assert running(gateway) == was
    left = gateway.sh(f"find /var/lib/{gateway.name}/config -maxdepth 1 -name '.openclaw.json.*'")
    assert left == ""
    assert up(gateway) == []


@pytest.mark.long
def test_a_setting_that_needs_a_restart_in_the_process(gateway: Deployment) -> None:
    was = running(gateway)
    settings = {"openclaw": {"gateway": {"controlUi": {"basePath": "/claw"}}}}
    assert len(up(gateway, settings=settings)) == 2
    assert gateway.http() == 200
    assert running(gateway) == was
    until(lambda: gateway.http("/claw/") == 200, 180, "the Control UI at its new path")
    assert up(gateway, settings=settings) == []
    up(gateway, settings={"openclaw": {"gateway": {"controlUi": {"basePath": None}}}})
    assert "basePath" not in config(gateway)["gateway"]["controlUi"]


def test_a_token_in_openclaw_json_is_adopted_and_replaced_by_a_reference(
    gateway: Deployment,
) -> None:
    token, env_file = "b" * 64, f"/opt/{gateway.name}/.env"
    found = config(gateway)
    found["gateway"]["auth"]["token"] = token
    gateway.sh(f"docker stop {gateway.container()['Id']}")
    gateway.sh(f"sed -i '/^OPENCLAW_GATEWAY_TOKEN=/d' {env_file}")
    write(gateway, json.dumps(found))
    up(gateway)
    assert gateway.token() == token
    assert config(gateway)["gateway"]["auth"]["token"]["id"] == "OPENCLAW_GATEWAY_TOKEN"
    assert up(gateway) == []


@pytest.mark.long
def test_managed_configuration_cannot_be_written_by_openclaw(gateway: Deployment) -> None:
    settings = {"config_ownership": "managed"}
    up(gateway, settings=settings)
    said = gateway.in_gateway("openclaw config set logging.consoleLevel warn 2>&1 || echo refused")
    assert "refused" in said
    assert up(gateway, settings=settings) == []
    more = settings | {"openclaw": {"logging": {"consoleLevel": "warn"}}}
    up(gateway, settings=more)
    assert config(gateway)["logging"]["consoleLevel"] == "warn"
    up(gateway, settings={"config_ownership": "merge"})
