"""A host made of recorded snapshots: facts in, commands out, without a connection."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from pyinfra.api.operation import PyinfraOperation
from pyinfra.context import ctx_host

from operations.base import preflight, snapshot
from toolkit.settings import Settings


class FakeHost:
    """Answers the snapshots it was given, one after each command, the last one for good."""

    name = "host"
    print_prefix = "[host] "

    def __init__(self, *snapshots: dict[str, str], executing: bool = True) -> None:
        self.snapshots = snapshots
        self.commands_run = 0
        self.connector_data: dict[str, Any] = {"openclaw_sudo": False}
        self.state = SimpleNamespace(
            is_executing=executing, config=SimpleNamespace(DIFF=False), inventory=[]
        )
        self.noops: list[str] = []
        self.data = SimpleNamespace()
        self.connector = None

    def run_shell_command(self, command: Any, **options: Any) -> tuple[bool, SimpleNamespace]:
        there = self.snapshots[min(self.commands_run, len(self.snapshots) - 1)]
        question = "\n".join([*options.get("_stdin", ()), command.get_raw_value()])
        return True, SimpleNamespace(stdout=framed(question, there), stderr="")

    def noop(self, reason: str) -> None:
        self.noops.append(reason)


def framed(question: str, there: dict[str, str]) -> str:
    """Return how a host answers the probes."""
    (mark,) = set(re.findall(r"\\036(\w{16} )%s", question))
    probes = re.findall(rf"\\036{mark}%s\\n' (\S+)", question)
    said = "\n".join(f"\x1e{mark}{name}\n{there.get(name, '')}" for name in {*probes, *there})
    return answered(question, said)


def answered(question: str, said: str, status: int = 0) -> str:
    """Return an answer between the marks that `answers.ask` wants."""
    nonce = question.split()[-1]
    return f"\x1e{nonce} {status} {len(said.encode())}\n{said}\x1e{nonce}"


def private_answer(*contents: str | bytes | None) -> str:
    """Return what a host says of `.env`, of `openclaw.json` and of its proxies."""
    lines = []
    for content in contents:
        data = content.encode() if isinstance(content, str) else content
        whole = b"" if data is None else base64.b64encode(data)
        digest = "" if data is None else hashlib.sha256(whole).hexdigest()
        lines.append("absent" if data is None else f"{digest} {whole.decode()}")
    return "\n".join(lines)


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


@contextmanager
def at(settings: Settings, **answers: str) -> Iterator[FakeHost]:
    """As if deploy code ran for a host with these settings that answers so."""
    host = FakeHost(answers)
    original, snapshot.settings_for = snapshot.settings_for, lambda host: settings
    try:
        with ctx_host.use(host):
            yield host
    finally:
        snapshot.settings_for = original


def judged(
    check: preflight.Check, settings: Settings, answers: Mapping[str, str] | None = None
) -> list[preflight.Problem]:
    """Return what a check says of a host that answers so."""
    with at(settings, **(answers or {})):
        return list(check(settings))


def knowing(host: Any, **answers: str) -> Any:
    """Return the host as if it had just answered so."""
    there = snapshot.Snapshot(snapshot.parsed(defaultdict(str, answers)), 0.0, 0.0)
    host.connector_data[snapshot._CACHE] = (time.monotonic() + snapshot.STALE_AFTER_SECONDS, there)
    return host


def _defaults(host: Any) -> Settings:
    return Settings()


def whole(word: str) -> str:
    """Return an image's id, one for each word."""
    return f"sha256:{hashlib.sha256(word.encode()).hexdigest()}"
