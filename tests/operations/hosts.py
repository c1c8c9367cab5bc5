"""A host made of recorded snapshots: facts in, commands out, without a connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pyinfra.api.operation import PyinfraOperation
from pyinfra.context import ctx_host

from operations import snapshot
from toolkit.settings import Settings


class FakeHost:
    """Answers the snapshots it was given, one after each command, the last one for good."""

    name = "host"
    print_prefix = "[host] "

    def __init__(self, *snapshots: dict[str, str], executing: bool = True) -> None:
        self.snapshots = snapshots
        self.commands_run = 0
        self.connector_data: dict[str, Any] = {"openclaw_sudo": False}
        self.state = SimpleNamespace(is_executing=executing, config=SimpleNamespace(DIFF=False))
        self.noops: list[str] = []
        self.data = SimpleNamespace()

    def get_fact(self, *_: Any, **__: Any) -> dict[str, str]:
        return self.snapshots[min(self.commands_run, len(self.snapshots) - 1)]

    def noop(self, reason: str) -> None:
        self.noops.append(reason)


class Command(str):
    """A command's text; `stdin` is what it reads."""

    stdin: str


def commands(
    operation: PyinfraOperation, *snapshots: dict[str, str], **arguments: Any
) -> list[Command]:
    """Run an operation's generator as the execute phase does; return the commands it yields.

    `snapshots` are the host's state before the first command, after it, and so on.
    """
    host = FakeHost(*snapshots)
    found = []
    with ctx_host.use(host):
        original, snapshot.settings_for = snapshot.settings_for, _defaults
        try:
            for yielded in operation._inner(**arguments):
                command = Command(yielded if isinstance(yielded, str) else yielded.get_raw_value())
                stdin = getattr(yielded, "connector_arguments", {}).get("_stdin") or [""]
                command.stdin = "".join(stdin)
                found.append(command)
                host.commands_run += 1
        finally:
            snapshot.settings_for = original
    if not found:
        assert host.noops, "an operation that does nothing says why"
    return found


def _defaults(host: Any) -> Settings:
    return Settings()
