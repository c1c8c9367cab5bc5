"""The decorator of every operation of the toolkit."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from typing import ParamSpec

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api import operation as pyinfra_operation
from pyinfra.api.operation import PyinfraOperation

from operations.base import notes, snapshot
from toolkit.output import COMMAND_SECONDS

P = ParamSpec("P")


def operation(function: Callable[P, Generator]) -> PyinfraOperation[P]:
    """Make a generator of commands a pyinfra operation that keeps the host's snapshot honest.

    The function reads facts (`snapshot.of`), yields commands only for what differs, and calls
    `host.noop(reason)` when nothing does. After each command that ran, the snapshot is
    forgotten, so that code behind a `yield` sees the host as it is then.
    """

    @wraps(function)
    def commands(*args: P.args, **kwargs: P.kwargs) -> Generator:
        if host.state.is_executing:
            notes.of(host).begun = True
        for command in function(*args, **kwargs):
            if isinstance(command, StringCommand):
                command.connector_arguments.setdefault("_timeout", COMMAND_SECONDS)
            yield command
            snapshot.forget(host)

    return pyinfra_operation()(commands)
