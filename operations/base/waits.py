"""What a run, or a verb, waits for on a host, for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyinfra import host as current_host
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

_KEY = "openclaw_waits_for"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """While the body runs, the current host is waited for because of `what`."""
    if not ctx_host.isset():
        yield
        return
    data = current_host.connector_data
    before = data.get(_KEY, "")
    data[_KEY] = what
    try:
        yield
    finally:
        data[_KEY] = before


def known(host: Host) -> str:
    """Return what a host is waited for; '' where nobody has said it."""
    return str(host.connector_data.get(_KEY, ""))
