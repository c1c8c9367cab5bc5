"""Gateways on hosts that are an Ubuntu in what the toolkit looks at: Debian's files under Ubuntu's
names (lab/README.md), each with some of what is in the way on a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lab.stand_ins import STAND_INS
from tests.e2e.harness import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.long]

ENGINE = {"docker.io", "docker-compose-v2", "docker-buildx"}
LOGINS = {"jammy": "root", "noble": "root", "resolute": "deploy"}  # by sudo-rs there
BARE = "command -v docker iptables ufw; readlink -f /etc/resolv.conf; sudo --version 2>&1"


@dataclass(frozen=True)
class Ubuntu:
    codename: str
    gateway: Deployment
    bare: str
    refused: str


@pytest.fixture(scope="module", params=list(LOGINS))
def ubuntu(request, lab_host, deployment) -> Ubuntu:
    """Deployed from bare by `./claw up`, after it was tried without a mirror of Debian's."""
    codename = request.param
    one = deployment(lab_host(codename, "ubuntu"), user=LOGINS[codename])
    bare = one.sh(BARE, expect=None)
    without = {"base_images": "bootstrap", "debian_mirrors": []}
    refused = one.claw("up", "--dry", settings=without, expect=1).output
    one.first = one.claw("up", "--json")
    return Ubuntu(codename, one, bare, refused)


def test_a_gateway_is_deployed_and_audited(ubuntu: Ubuntu) -> None:
    gateway = ubuntu.gateway
    installed = set(gateway.sh("dpkg-query -W -f '${Package}\\n'").split())
    assert installed >= ENGINE and not installed & {"docker-compose", "docker-cli"}
    assert gateway.http() == 200
    said = gateway.claw("verify", "--json").json["hosts"][gateway.vps.name]
    assert said["ok"] and "audit" in [check["name"] for check in said["checks"]], said
    assert f"Ubuntu {STAND_INS[ubuntu.codename].number}" in gateway.sh("cat /etc/os-release")


def test_a_second_run_changes_nothing(ubuntu: Ubuntu) -> None:
    gateway = ubuntu.gateway
    before = gateway.fingerprint()
    again = gateway.claw("up", "--json").json
    assert again["changed"] is False and again["hosts"][gateway.vps.name]["changed"] == []
    assert gateway.claw("up", "--dry", "--json").json["plan"] == {gateway.vps.name: []}
    assert gateway.fingerprint() ^ before == set()


def test_without_a_mirror_of_debian_it_is_told_first(ubuntu: Ubuntu) -> None:
    assert "the host is no Debian" in ubuntu.refused and "debian_mirrors" in ubuntu.refused


def test_the_host_was_as_ubuntus_are(ubuntu: Ubuntu) -> None:
    """What this proves is worth as much as that: the stub, and what a minimal image lacks."""
    assert "/run/systemd/resolve/stub-resolv.conf" in ubuntu.bare
    assert "docker" not in ubuntu.bare
    minimal = ubuntu.codename == "resolute"
    assert ("/iptables" in ubuntu.bare, "sudo-rs" in ubuntu.bare) == (not minimal, minimal)


def test_containers_find_names_behind_the_stub(ubuntu: Ubuntu) -> None:
    image = ubuntu.gateway.container()["Image"]
    shown = f"docker run --rm --entrypoint cat {image} /etc/resolv.conf"
    said = ubuntu.gateway.sh(shown)
    assert "nameserver" in said and "127.0.0.53" not in said
