"""The Control UI by https: Caddy in front of the gateway, with a certificate of an authority that
another host of the laboratory is, and back to a tunnel."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, Result
from tests.e2e.reached import AUTHORITY, DOMAIN, SERVE, connects, curl, https, upgraded

pytestmark = [pytest.mark.engine, pytest.mark.long]

PORTS = (22, 80, 443, 2019, 2375, 18789, 18799)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "root.pem"


@pytest.fixture
def neighbour(fresh_host: MakeHost) -> lab.Host:
    return fresh_host()


@pytest.fixture
def behind_caddy(
    fresh_host: MakeHost, neighbour: lab.Host, deployment: MakeDeployment, authority: Path
) -> Deployment:
    front, other = fresh_host(), neighbour
    said = lab.ssh(other.name, f"echo '{front.ip} {DOMAIN}' >>/etc/hosts\n{SERVE}", stdin=AUTHORITY)
    assert said.returncode == 0, said.stderr
    authority.write_text(said.stdout)
    names = f"{front.ip} {DOMAIN}\\n{other.ip} acme.test\\n192.0.2.77 elsewhere.test\\n"
    assert lab.ssh(front.name, f"printf '{names}' >>/etc/hosts").returncode == 0
    return deployment(front, exposure={"https": https(authority)})


def from_neighbour(one: Deployment, neighbour: lab.Host) -> list[int]:
    """The ports of the host that a host beside it reaches."""
    tries = 'for p in %s; do timeout 5 bash -c "</dev/tcp/%s/$p" 2>/dev/null && echo $p; done; :'
    ports = " ".join(map(str, PORTS))
    return [int(p) for p in lab.ssh(neighbour.name, tries % (ports, one.vps.ip)).stdout.split()]


def seen(done: Result) -> str:
    (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith("Outside")]
    return line


def test_by_https_and_back(behind_caddy: Deployment, authority: Path, neighbour: lab.Host) -> None:
    one = behind_caddy
    first = one.claw("up")
    assert f"Control UI  https://{DOMAIN}/" in first.stdout
    assert "open, as wanted: 22, 80, 443 (WebSocket)" in seen(first)
    again = one.claw("up").stdout
    assert "nothing to change" in again and "Outside" not in again
    assert from_neighbour(one, neighbour) == [22, 80, 443]
    assert "443 (WebSocket)" in seen(one.claw("restart", "-y"))

    assert "by https" not in one.claw("status").stdout
    headers = curl(one.vps.ip, authority, "/readyz", "-i")
    assert headers.startswith("HTTP/2 200")
    assert "strict-transport-security: max-age=31536000" in headers.lower()
    assert "101" in upgraded(one.vps.ip, DOMAIN, ssl.create_default_context(cafile=str(authority)))
    assert [port for port in (18789, 18799, 2019) if connects(one.vps.ip, port)] == []

    # Wrong tokens from one client, whatever it claims to be, end in a refusal of that client.
    codes = [
        curl(
            one.vps.ip,
            authority,
            "/tools/invoke",
            *("-o", os.devnull, "-w", "%{http_code}", "-X", "POST", "-d", "{}"),
            *("-H", f"X-Forwarded-For: 198.51.100.{number}", "-H", "Authorization: Bearer wrong"),
            *("-H", "X-Real-IP: 127.0.0.1", "-H", "Content-Type: application/json"),
        )
        for number in range(12)
    ]
    assert codes[0] == "401" and codes[-1] == "429", codes
    # A tunnel is not that client.
    local = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18789"
    assert one.sh(f"{local}/readyz") == "200"
    assert one.sh(f"{local}/tools/invoke -X POST -H 'Authorization: Bearer wrong'") == "401"

    wrong = one.claw(
        "up", "--dry", "--set", "exposure.https.domain=elsewhere.test", expect=1
    ).output
    assert "elsewhere.test leads to 192.0.2.77" in wrong

    one.sh("systemctl stop caddy")
    assert "not answered by https" in one.claw("status").stdout

    one.claw("up", "--set", "exposure=tunnel")
    assert not connects(one.vps.ip, 443) and not connects(one.vps.ip, 80)
    assert from_neighbour(one, neighbour) == [22]
    assert one.http() == 200
    assert "trustedProxies" not in one.sh("cat /var/lib/openclaw/config/openclaw.json")
    assert "nothing to change" in one.claw("up", "--set", "exposure=tunnel").stdout

    one.claw("up")
    assert curl(one.vps.ip, authority, "/readyz", "-o", os.devnull, "-w", "%{http_code}") == "200"
    one.claw("remove", "-y")
    assert not connects(one.vps.ip, 443)
    one.sh("! [ -e /etc/caddy/openclaw-pyinfra ] && ! [ -e /etc/caddy/Caddyfile ]")
