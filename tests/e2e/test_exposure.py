"""The Control UI by https: Caddy in front of the gateway, with a certificate of an authority that
another host of the laboratory is, and back to a tunnel."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from lab import hosts as lab
from tests.e2e.conftest import MakeDeployment, MakeHost
from tests.e2e.harness import Deployment, Result

pytestmark = [pytest.mark.engine, pytest.mark.long]

DOMAIN = "claw.test"
PORTS = (22, 80, 443, 2019, 2375, 18789, 18799)
AUTHORITY = """
{
	admin off
	skip_install_trust
	pki {
		ca local {
			name Laboratory
		}
	}
}
https://acme.test:9000 {
	tls internal
	acme_server
}
"""
ROOT = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
SERVE = f"""
echo '{{address}} {DOMAIN}' >>/etc/hosts
mkdir -p /etc/caddy && cat >/etc/caddy/Caddyfile <<'END'
{AUTHORITY}
END
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && apt-get -qq -o Dpkg::Options::=--force-confold install -y \
  --no-install-recommends caddy >/dev/null 2>&1 &&
timeout 60 sh -c 'until [ -s {ROOT} ]; do sleep 0.5; done' && cat {ROOT}
"""


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
    said = lab.ssh(other.name, SERVE.replace("{address}", front.ip))
    assert said.returncode == 0, said.stderr
    authority.write_text(said.stdout)
    names = f"{front.ip} {DOMAIN}\\n{other.ip} acme.test\\n192.0.2.77 elsewhere.test\\n"
    assert lab.ssh(front.name, f"printf '{names}' >>/etc/hosts").returncode == 0
    https = {
        "domain": DOMAIN,
        "email": "me@example.org",
        "acme_ca": "https://acme.test:9000/acme/local/directory",
        "acme_ca_root": str(authority),
    }
    return deployment(front, exposure={"https": https})


def curl(one: Deployment, authority: Path, path: str, *words: str) -> str:
    """What curl says of a request by https, which it makes only to whom it can verify."""
    resolve = f"{DOMAIN}:443:{one.vps.ip}"
    common = ["curl", "-sS", "--noproxy", "*", "--max-time", "30", "--cacert", str(authority)]
    done = subprocess.run(
        [*common, "--resolve", resolve, *words, f"https://{DOMAIN}{path}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def upgraded(one: Deployment, authority: Path) -> str:
    """The first line of the answer to a browser that wants a WebSocket."""
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["http/1.1"])
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nOrigin: https://{DOMAIN}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with (
        socket.create_connection((one.vps.ip, 443), 30) as plain,
        context.wrap_socket(plain, server_hostname=DOMAIN) as connection,
    ):
        connection.sendall(request.encode())
        return connection.recv(4096).decode(errors="replace").partition("\r\n")[0]


def connects(one: Deployment, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((one.vps.ip, port)) == 0


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
    first = one.claw("up", timeout=1200)
    assert f"Control UI  https://{DOMAIN}/" in first.stdout
    assert "open, as wanted: 22, 80, 443 (WebSocket)" in seen(first)
    again = one.claw("up").stdout
    assert "nothing to change" in again and "Outside" not in again
    assert from_neighbour(one, neighbour) == [22, 80, 443]
    assert "443 (WebSocket)" in seen(one.claw("restart", "-y"))

    assert "by https" not in one.claw("status").stdout
    headers = curl(one, authority, "/readyz", "-i")
    assert headers.startswith("HTTP/2 200")
    assert "strict-transport-security: max-age=31536000" in headers.lower()
    assert "101" in upgraded(one, authority)
    assert [port for port in (18789, 18799, 2019) if connects(one, port)] == []

    # Wrong tokens from one client, whatever it claims to be, end in a refusal of that client.
    codes = [
        curl(
            one,
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

    one.claw("up", "--set", "exposure=tunnel", timeout=1200)
    assert not connects(one, 443) and not connects(one, 80)
    assert from_neighbour(one, neighbour) == [22]
    assert one.http() == 200
    assert "trustedProxies" not in one.sh("cat /var/lib/openclaw/config/openclaw.json")
    assert "nothing to change" in one.claw("up", "--set", "exposure=tunnel").stdout

    one.claw("up", timeout=1200)
    assert curl(one, authority, "/readyz", "-o", os.devnull, "-w", "%{http_code}") == "200"
    one.claw("remove", "-y")
    assert not connects(one, 443)
    one.sh("! [ -e /etc/caddy/openclaw-pyinfra ] && ! [ -e /etc/caddy/Caddyfile ]")
