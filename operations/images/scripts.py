"""The scripts of `templates/images/` that a host runs against its engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra import host, logger
from pyinfra.api import StringCommand

from operations.base import templates
from operations.base.quoting import Script
from operations.engine_access import EngineWay
from operations.images import identity
from toolkit import lockfile
from toolkit.lockfile import LockError
from toolkit.settings import Settings


def render(script: str, settings: Settings, **variables: object) -> Script:
    """Return the text of a script."""
    return templates.render(
        f"images/{script}",
        socket=EngineWay(settings).socket,
        label_name=identity.INPUTS,
        **variables,
    )


def run(script: str, settings: Settings, **variables: object) -> StringCommand:
    """Return the command that runs a script."""
    return StringCommand("sh -s", _stdin=[render(script, settings, **variables)])


def record(**entries: Any) -> None:
    """Add to the lock what it does not know yet."""
    with tolerated():
        lockfile.add(**entries)


@contextmanager
def tolerated() -> Iterator[None]:
    """Warn of a lock that cannot be written: that is no reason to fail a host."""
    try:
        yield
    except LockError as error:
        logger.warning(f"{host.print_prefix}{error}; the next host resolves anew")
