"""What pyinfra's connectors are spared, or need, around a connection."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
from pathlib import Path

from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.connectors.docker import DockerConnector

from operations.base.connection import transport

SOCKET_OPTIONS = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 20,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 60_000,  # milliseconds for which what was sent may stay unanswered
}

FILES_BESIDE, FILES_OF_A_HOST = 256, 3


def allow_files(hosts: int) -> None:
    """Raise the limit of open files, as far as it may be, where the connections to so many hosts
    need more: most systems begin with 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_BESIDE + FILES_OF_A_HOST * hosts
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def make_known_hosts(host: Host) -> None:
    """Make ~/.ssh/known_hosts on a machine that never used SSH; pyinfra fails without it."""
    path = Path(host.data.get("ssh_known_hosts_file") or "~/.ssh/known_hosts").expanduser()
    with contextlib.suppress(OSError):  # the connection itself will say what is wrong
        if not path.exists():  # a file that is touched is read anew
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)


def prepare_socket(host: Host) -> None:
    """Send small packets at once, and notice when the other side is gone.

    The first halves, measured, the time of a run over SSH. Without the second a host whose network
    is cut would hold up the run for a quarter of an hour. Through a jump host `ssh` does both.
    """
    found = transport(host)
    way = found.sock if found else None
    if isinstance(way, socket.socket) and way.family in (socket.AF_INET, socket.AF_INET6):
        way.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in SOCKET_OPTIONS.items():
            if number := getattr(socket, option, None):
                way.setsockopt(socket.IPPROTO_TCP, number, value)


def need_container(connector: DockerConnector) -> None:
    """Refuse what pyinfra would run, start, commit and remove: a target is there or is none.

    Raises:
        ConnectError: no running container has that name.
    """
    name = connector.data["docker_identifier"]
    inspect = ["container", "inspect", "--format", "{{.State.Running}}", name]
    try:
        said = subprocess.run(
            [connector.docker_cmd, *inspect],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise ConnectError(f"{connector.docker_cmd}: {error.strerror}") from None
    if said.stdout.strip() != "true":
        raise ConnectError(f"there is no running container {name}; ./claw makes and starts none")
