"""OpenClaw's own judges, the container as the engine sees it, and a neighbour on the network."""

from __future__ import annotations

import json

import pytest

from lab import hosts as lab
from tests.e2e.harness import Deployment, until

pytestmark = pytest.mark.engine

EACH = pytest.mark.parametrize(
    "fixture", ["deployed", pytest.param("deployed_trixie", marks=pytest.mark.whole)]
)


@EACH
def test_config_validate(fixture: str, request):
    deployed: Deployment = request.getfixturevalue(fixture)
    answer = deployed.claw("cli", "--", "config", "validate", "--json").json
    assert answer["valid"] is True


@EACH
def test_security_audit_finds_nothing(fixture: str, request):
    deployed: Deployment = request.getfixturevalue(fixture)
    said = deployed.claw("cli", "--", "security", "audit", "--deep", "--json").stdout
    audit = json.loads(said)
    found = [(one["severity"], one["checkId"]) for one in audit["findings"]]
    assert [one for one in found if one[0] != "info"] == []
    assert audit["summary"]["critical"] == audit["summary"]["warn"] == 0
    assert audit["deep"]["gateway"]["ok"] is True


def test_doctor_has_only_the_warning_of_a_lan_bind(deployed: Deployment):
    said = deployed.claw("cli", "--", "doctor", "--json", expect=None).stdout
    findings = json.loads(said)["findings"]
    serious = [one for one in findings if one.get("severity") in ("error", "critical", "warning")]
    assert all("bind" in json.dumps(one).lower() for one in serious), serious
    assert len(serious) <= 1


@EACH
def test_the_hosts_mounts_are_as_systemd_made_them(fixture: str, request):
    """Debian 13's mmdebstrap makes them private, and then a service's credentials stay away."""
    deployed: Deployment = request.getfixturevalue(fixture)
    assert "shared" in deployed.sh("findmnt --noheadings --output PROPAGATION /run")
    asked = "systemd-run --quiet --wait --pipe -p LoadCredential=name:/etc/hostname"
    assert deployed.sh(f"{asked} sh -c 'cat $CREDENTIALS_DIRECTORY/name'").strip()


@EACH
def test_the_container_is_hardened(fixture: str, request):
    deployed: Deployment = request.getfixturevalue(fixture)
    container = deployed.container()
    given = container["HostConfig"]
    assert container["Config"]["User"] == deployed.owner != "1000:1000"
    assert given["Privileged"] is False
    assert given["ReadonlyRootfs"] is True
    assert given["CapDrop"] == ["ALL"]
    assert not given["CapAdd"]
    assert "no-new-privileges:true" in given["SecurityOpt"]
    assert not [option for option in given["SecurityOpt"] if "unconfined" in option]
    assert given["Memory"] == given["MemorySwap"] == 3 << 30
    assert given["PidsLimit"] == 512
    assert given["Init"] is True
    assert given["RestartPolicy"]["Name"] == "unless-stopped"
    assert given["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert not [mount for mount in container["Mounts"] if "docker.sock" in mount["Source"]]
    assert given["PortBindings"] == {
        f"{deployed.port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(deployed.port)}]
    }


@EACH
def test_the_processes_inside_have_nothing(fixture: str, request):
    """The kernel's word: no capability, no way to a new one, a seccomp filter, no writable root."""
    deployed: Deployment = request.getfixturevalue(fixture)
    status = deployed.in_gateway("cat /proc/self/status")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(lines[kind], 16) == 0, kind
    assert lines["NoNewPrivs"] == "1"
    assert lines["Seccomp"] == "2"
    assert deployed.in_gateway("touch /usr/x /x 2>/dev/null && echo written || echo refused") == (
        "refused\n"
    )
    assert deployed.in_gateway("touch /home/node/.openclaw/x && rm /home/node/.openclaw/x") == ""


def test_the_engine_listens_on_no_network(deployed: Deployment):
    listeners = deployed.sh("ss -H -ltnp").splitlines()
    outside = [line for line in listeners if not line.split()[3].startswith(("127.", "[::1]"))]
    assert all("sshd" in line for line in outside), outside


# What a neighbour on the same network reaches

SCAN = """
import socket, sys
address, *ports = sys.argv[1:]
for port in map(int, ports):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(1)
        try:
            client.connect(socket.getaddrinfo(address, port, family)[0][4])
        except OSError:
            continue
        print(port)
"""


@EACH
def test_a_neighbour_reaches_ssh_only(fixture: str, request, lab_host):
    deployed: Deployment = request.getfixturevalue(fixture)
    neighbour = lab_host("bookworm", "bare")
    listening = {
        line.split()[3].rpartition(":")[2] for line in deployed.sh("ss -H -ltn").splitlines()
    }
    ports = sorted(
        listening | {"18789", "18790", "2375", "2376", "9222", "5900", "6080", "80", "443"}
    )
    for address in addresses(deployed):
        done = lab.ssh(neighbour.name, f"python3 - {address} {' '.join(ports)}", stdin=SCAN)
        open_ports = set(done.stdout.split())
        assert open_ports <= {"22"}, (address, open_ports)
        assert done.returncode == 0, done.stderr
    assert "22" in open_ports or ":" in address


@EACH
def test_a_neighbour_cannot_route_to_the_container(fixture: str, request, lab_host):
    """A port published on loopback says nothing about the bridge behind it."""
    deployed: Deployment = request.getfixturevalue(fixture)
    neighbour = lab_host("bookworm", "bare")
    networks = deployed.container()["NetworkSettings"]["Networks"]
    (network,) = networks.values()
    probe = f"curl -s -m 3 -o /dev/null -w '%{{http_code}}' http://{network['IPAddress']}:{deployed.port}/healthz"
    # The same question from the host itself must be answered, or the test proves nothing.
    until(lambda: deployed.sh(probe, None) == "200", 180, "an answer from the host itself")
    route = f"{network['IPAddress']}/32 via {deployed.vps.ip}"
    lab.ssh(neighbour.name, f"ip route add {route}")
    try:
        assert lab.ssh(neighbour.name, probe).stdout == "000"
    finally:
        lab.ssh(neighbour.name, f"ip route del {route}")


def addresses(deployed: Deployment) -> list[str]:
    """The host's addresses for a neighbour, link-local ones with the neighbour's interface."""
    listed = json.loads(deployed.sh("ip -json address show dev eth0"))[0]["addr_info"]
    return [
        one["local"] + ("%eth0" if one["scope"] == "link" else "")
        for one in listed
        if one["family"] in ("inet", "inet6")
    ]


@pytest.mark.whole
def test_the_smoke_test_of_the_image_leaves_the_deployment_alone(deployed: Deployment):
    before = deployed.fingerprint()
    running = deployed.container()["State"]["StartedAt"]
    checks = deployed.claw("verify", "--smoke", "--json").json["hosts"].popitem()[1]
    assert checks["ok"]
    assert {one["name"] for one in checks["checks"]} >= {"onboarding", "gateway", "turn", "QR code"}
    assert deployed.fingerprint() == before
    assert deployed.container()["State"]["StartedAt"] == running
