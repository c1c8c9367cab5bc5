"""Whether the login user of a host is root, and what becoming root takes."""

from __future__ import annotations

from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations.base import answers, askpass
from operations.base.connection import login_user

_SUDO = "openclaw_sudo"


def needs_sudo(host: Host) -> bool:
    """Return whether the login user of `host` is not root (asked once per connection).

    Raises:
        PyinfraError: the host does not say.
    """
    if _SUDO not in host.connector_data:
        host.connector_data[_SUDO] = login_user(host) != "root" and _user_id(host) != "0"
    if host.connector_data[_SUDO]:
        askpass.install(host)
    return bool(host.connector_data[_SUDO])


def privileges(host: Host) -> dict[str, Any]:
    """Return what `host.run_shell_command` takes to run a command as root on `host`."""
    if not needs_sudo(host):
        return {}
    return {"_sudo": True, "_sudo_password": getattr(host.data, "_sudo_password", None)}


def _user_id(host: Host) -> str:
    try:
        said = answers.ask(host, "id -u").strip()
    except PyinfraError as error:
        raise PyinfraError(f"{host.name}: {error}") from None
    if not said.isdecimal():
        raise PyinfraError(f"{host.name}: id -u says {answers.printable(said)}")
    return said
