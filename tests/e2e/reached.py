"""The hosts around one that is reached: an ACME server that is a proxy with users besides, and a
neighbour; all of them, and this machine, have IPv6 as well."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import hosts as lab
from tests.e2e.harness import Deployment

DOMAIN = "claw.test"
PREFIX = "fd91:92::"
HERE, HERE_IPV4 = f"{PREFIX}1", lab.SUBNET.replace("0/24", "1")
"""This machine's addresses on the laboratory's network."""
ROOT = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
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
PROXY = """
claw.test {
	tls internal
	route {
		request_header -X-Forwarded-User
		forward_auth 127.0.0.1:9091 {
			uri /auth
			copy_headers X-Forwarded-User
		}
		reverse_proxy %s:18789
	}
}
http://:9091 {
	bind 127.0.0.1
	@me header Cookie session=me
	@other header Cookie session=other
	route {
		header @me X-Forwarded-User me@example.org
		header @other X-Forwarded-User other@example.org
		respond @me 200
		respond @other 200
		respond 401
	}
}
"""
SERVE = f"""
mkdir -p /etc/caddy && cat >/etc/caddy/Caddyfile
export DEBIAN_FRONTEND=noninteractive
command -v caddy >/dev/null || {{ apt-get -qq update && apt-get -qq install -y \
  -o Dpkg::Options::=--force-confold --no-install-recommends caddy curl; }} >/dev/null 2>&1
systemctl restart caddy && timeout 60 sh -c 'until [ -s {ROOT} ]; do sleep 0.5; done' && cat {ROOT}
"""
NAMES = "sed -i '/\\.test$/d' /etc/hosts; printf '%s' >>/etc/hosts"
IPV6 = """
for one in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$one/disable_ipv6; done
ip -6 addr replace %s/64 dev eth0 nodad
"""
CONNECT = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
address, *ports = sys.argv[1:]
def answers(port):
    try:
        socket.create_connection((address, int(port)), 4).close()
    except OSError:
        return False
    return True
with ThreadPoolExecutor(64) as pool:
    print(*[port for port, yes in zip(ports, pool.map(answers, ports)) if yes])
"""
LISTENING = "ss -Htln | awk '{ print $4 }' | sed 's/.*://' | sort -un"


@dataclass(frozen=True)
class Reached:
    """`one`: the deployment; `other`: the ACME server and proxy; `root`: its authority's file."""

    one: Deployment
    neighbour: lab.Host
    other: lab.Host
    root: Path

    @property
    def addresses(self) -> dict[str, str]:
        """The host's, by family."""
        return {"IPv4": self.one.vps.ip, "IPv6": ipv6(self.one.vps)}

    @property
    def profiles(self) -> dict[str, Any]:
        """`exposure` of each profile."""
        proxy = {
            "origin": f"https://{DOMAIN}",
            "address": self.one.vps.ip,
            "proxies": [self.other.ip],
            "users": ["me@example.org"],
        }
        return {"tunnel": "tunnel", "https": {"https": https(self.root)}, "proxy": {"proxy": proxy}}

    def exposed(self, profile: str, *words: str, **options: Any) -> Any:
        """`./claw up` with that profile, which stays that of the verbs after it."""
        self.one.settings["exposure"] = self.profiles[profile]
        return self.one.claw("up", *words, **options)

    def curl(self, path: str, *words: str, at: str | None = None) -> str:
        """What curl says of a request by https, which it makes only to whom it can verify; of the
        host, unless of another address.
        """
        return curl(at or self.one.vps.ip, self.root, path, *words)

    def answering(self, family: str, viewer: lab.Host | None = None) -> list[int]:
        """The ports of the host to which a host connects, or this machine: of those that anybody
        listens on there, those that are ours, and all below 1024.
        """
        listening = map(int, self.one.sh(LISTENING).split())
        ports = sorted({*range(1, 1024), 2019, 2375, 18789, 18799, *listening})
        words = [self.addresses[family], *map(str, ports)]
        if viewer:
            done = lab.ssh(viewer.name, f"python3 - {' '.join(words)}", stdin=CONNECT)
        else:
            command = [sys.executable, "-c", CONNECT, *words]
            done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [int(port) for port in done.stdout.split()]


def https(root: Path) -> dict[str, str]:
    """`exposure.https` with the laboratory's authority, by its certificate's file."""
    return {
        "domain": DOMAIN,
        "email": "me@example.org",
        "acme_ca": "https://acme.test:9000/acme/local/directory",
        "acme_ca_root": str(root),
    }


def curl(address: str, root: Path, path: str, *words: str) -> str:
    """What curl says of a request to the domain, which it makes only to whom it can verify."""
    resolve = f"{DOMAIN}:443:{address}"
    common = ["curl", "-sS", "--noproxy", "*", "--max-time", "30", "--cacert", str(root)]
    done = subprocess.run(
        [*common, "--resolve", resolve, *words, f"https://{DOMAIN}{path}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def upgraded(address: str, name: str, context: ssl.SSLContext) -> str:
    """The first line of the answer to a browser that wants a WebSocket."""
    context.set_alpn_protocols(["http/1.1"])
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET / HTTP/1.1\r\nHost: {name}\r\nOrigin: https://{name}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with (
        socket.create_connection((address, 443), 30) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(request.encode())
        return connection.recv(4096).decode(errors="replace").partition("\r\n")[0]


def connects(address: str, port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


def ipv6(host: lab.Host) -> str:
    return f"{PREFIX}{host.ip.rpartition('.')[2]}"


@contextmanager
def around(one: Deployment, neighbour: lab.Host, other: lab.Host, root: Path) -> Iterator[Reached]:
    """Give the hosts IPv6, names and services; nothing is deployed yet."""
    link = ["dev", lab.BRIDGE]
    subprocess.run(["ip", "-6", "addr", "replace", f"{HERE}/64", *link, "nodad"], check=True)
    seen, names = one.vps, ""
    for address in (seen.ip, ipv6(seen)):
        names += f"{address} {DOMAIN}\\n"
    names += f"{other.ip} acme.test\\n192.0.2.77 elsewhere.test\\n"
    for host in (seen, neighbour, other):
        done = lab.ssh(host.name, f"{IPV6 % ipv6(host)}\n{NAMES % names}")
        assert done.returncode == 0, done.stderr
    served = lab.ssh(other.name, SERVE, stdin=AUTHORITY + PROXY % seen.ip)
    assert served.returncode == 0, served.stderr
    root.write_text(served.stdout)
    yield Reached(one, neighbour, other, root)
    subprocess.run(["ip", "-6", "addr", "del", f"{HERE}/64", *link], check=True)
