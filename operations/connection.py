"""The SSH connection under a host's connector."""

from __future__ import annotations

from paramiko import Transport
from pyinfra.api.host import Host


def transport(host: Host) -> Transport | None:
    """Return the transport of a host's connection; None without SSH, and before it is connected."""
    client = getattr(host.connector, "client", None)
    found: Transport | None = client.get_transport() if client else None
    return found


def login_user(host: Host) -> str | None:
    """Return the user that a connection over SSH was authenticated as; None as for `transport`."""
    found = transport(host)
    return found.get_username() if found else None
