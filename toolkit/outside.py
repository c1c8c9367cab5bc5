"""What answers on a host's addresses as this machine sees them: TCP, and who takes a WebSocket."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import resource
import secrets
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.greenlets import BoundedSemaphore, Pool
from toolkit.ssh import PKey, SSHException, Transport

ATTACKED = (
    *(21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 389, 443, 445, 587, 873, 993, 1433, 1521),
    *(1883, 2019, 2049, 2222, 2375, 2376, 2377, 3000, 3128, 3306, 3389, 4243, 5000, 5432, 5601),
    *(5672, 5900, 5984, 6000, 6379, 6443, 7001, 8000, 8006, 8080, 8081, 8086, 8443, 8888, 9000),
    *(9090, 9100, 9200, 9222, 10000, 10250, 11211, 11434, 15672, 27017),
)
"""TCP ports that are tried everywhere on the Internet: log-ins, databases, engines, consoles."""
SECONDS, MOST_ADDRESSES = 5.0, 16
_TAILNETS = [ipaddress.ip_network(one) for one in ("100.64.0.0/10", "fd7a:115c:a1e0::/48")]
_NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_SHUT = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EACCES)
"""What a port says, or whoever stands before it, that nobody may connect to."""
# All hosts of a fleet are looked at together, and each silent port holds a file for five seconds.
_files = BoundedSemaphore(max(32, min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)))


@dataclass(frozen=True)
class Seen:
    """What answered on an address: its ports, and those that took a WebSocket (101)."""

    address: str
    ports: tuple[int, ...] = ()
    websockets: tuple[int, ...] = ()
    way: bool = True
    """Whether there is a way there at all."""


def resolved(name: str, port: int | None = None) -> list[str]:
    """Return the addresses of a name, as this machine knows them; none if it knows none."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(one[4][0]) for one in found]


def usable(said: Iterable[str]) -> list[str]:
    """Return the addresses that a host says it has and others could reach it by."""
    found = []
    for one in said:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(one)
            if not (address.is_loopback or address.is_link_local or address.is_multicast):
                found.append(str(address))
    return list(dict.fromkeys(found))[:MOST_ADDRESSES]


def is_public(address: str) -> bool:
    return ipaddress.ip_address(address).is_global


def of_tailnet(address: str) -> bool:
    """Return whether an address is one that a tailnet gives: https://tailscale.com/kb/1015"""
    return any(ipaddress.ip_address(address) in network for network in _TAILNETS)


def own(address: str) -> bool:
    """Return whether an address is this machine's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.bind((address, 0))
        except OSError:
            return False
    return True


def has_way(address: str) -> bool:
    """Return whether this machine has a way to an address, as far as it knows itself."""
    with contextlib.suppress(OSError):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))  # of UDP: nothing is sent
            return True
    return False


def same_host(address: str, port: int, key: PKey) -> bool:
    """Return whether the SSH server of an address has a key: a host could name somebody else's
    address as its own, but not his key.
    """
    with contextlib.suppress(OSError, EOFError, SSHException), contextlib.ExitStack() as opened:
        way = opened.enter_context(socket.create_connection((address, port), SECONDS))
        transport = Transport(way)
        opened.callback(transport.close)
        transport.get_security_options().key_types = (key.get_name(),)
        transport.start_client(timeout=SECONDS)
        return bool(transport.get_remote_server_key().asbytes() == key.asbytes())
    return False


def look(
    address: str, ports: Iterable[int], name: str | None = None, ssh: Iterable[int] = ()
) -> Seen:
    """Try ports of an address, all at once.

    + name: of whom a WebSocket is asked for, and by TLS the certificate; None: the address
    + ssh: ports that are not asked for one; sshd would hold it against this machine

    Raises:
        OSError: this machine cannot try them.
    """
    wanted = sorted(set(ports))
    answers = list(Pool(len(wanted)).map(lambda port: _connects(address, port), wanted))
    if not [one for one in answers if one is not None]:
        return Seen(address, way=False)
    open_ports = tuple(port for port, found in zip(wanted, answers, strict=True) if found)
    asked = [port for port in open_ports if port not in ssh]
    upgraded = Pool(len(wanted)).map(lambda port: _upgrades(address, port, name or address), asked)
    taken = (port for port, found in zip(asked, upgraded, strict=True) if found)
    return Seen(address, open_ports, tuple(taken))


def _connects(address: str, port: int) -> bool | None:
    """None: this machine has no way there."""
    with _files:
        try:
            socket.create_connection((address, port), SECONDS).close()
        except TimeoutError:
            return False
        except OSError as error:
            if error.errno in _NO_WAY:
                return None
            if error.errno in _SHUT:
                return False
            raise
    return True


def _upgrades(address: str, port: int, name: str) -> bool:
    """Whether a port takes a WebSocket, in the clear or by TLS."""
    with _files:
        return any(_asked(address, port, name, tls) for tls in (False, True))


def _asked(address: str, port: int, name: str, tls: bool) -> bool:
    host = f"[{name}]" if ":" in name else name
    scheme = "https" if tls else "http"
    request = (
        f"GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {scheme}://{host}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {b64encode(secrets.token_bytes(16)).decode()}\r\n\r\n"
    )
    with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as opened:
        way = opened.enter_context(socket.create_connection((address, port), SECONDS))
        if tls:
            # Who answers is looked at, whether anybody vouches for him or not.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["http/1.1"])
            way = opened.enter_context(context.wrap_socket(way, server_hostname=name))
        way.sendall(request.encode())
        return way.recv(64).startswith(b"HTTP/1.1 101")
    return False
