"""The state of a host, read in one round trip and valid until something changes it.

Each module of `operations/` registers a probe: a POSIX shell snippet, made from the
settings, that only reads. All probes of a host run in one script, as one pyinfra fact;
the answers are kept until an operation of `operations.operation` runs a command there.
Probes print no secrets: pyinfra shows fact output at `-vvv`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyinfra import host as current_host
from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from operations import askpass
from operations.connection import login_user
from toolkit.settings import Settings, settings_for

MARK = "\x1e"
STALE_AFTER_SECONDS = 30
PROBE_TIMEOUT_SECONDS = 120
LANES = 5
_CACHE = "openclaw_snapshot"
_SUDO = "openclaw_sudo"

ProbeScript = Callable[[Settings], str]
_probes: dict[str, ProbeScript] = {}


@dataclass(frozen=True)
class Script:
    """The probe script of one host; its text stays out of pyinfra's log lines."""

    text: str

    def __str__(self) -> str:
        return "all probes"


class HostSnapshot(FactBase[dict[str, str]]):
    """The output of every probe by name; a probe that finds nothing answers ''."""

    @staticmethod
    def default() -> dict[str, str]:
        return {}

    def command(self, script: Script) -> StringCommand:
        return StringCommand(script.text)

    def process(self, output: list[str]) -> dict[str, str]:
        return parse(output)


def probe(name: str) -> Callable[[ProbeScript], ProbeScript]:
    """Register the decorated function as the probe `name`.

    The function takes the `Settings` and returns POSIX shell that reads the host. It runs
    in a subshell with stderr discarded and `LC_ALL=C`; its exit status is ignored.
    """

    def register(function: ProbeScript) -> ProbeScript:
        _probes[name] = function
        return function

    return register


def script(settings: Settings) -> str:
    """Return the shell script that runs every registered probe, some of them at once."""
    bodies = []
    for name, function in sorted(_probes.items()):
        body = function(settings).strip() or ":"
        bodies.append(f"printf '\\036%s\\n' {name}\n(\n{body}\n) 2>/dev/null </dev/null")
    parts = ["export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    for lane in range(LANES):
        parts.append("\n".join([f"lane{lane}() {{", *bodies[lane::LANES], "}"]))
    # Each answers whole, behind those before it, and needs no file for that.
    behind = [f'{{ said=$(lane{lane}); cat; printf "%s\\n" "$said"; }}' for lane in range(1, LANES)]
    return "\n".join([*parts, " | ".join(["lane0", *behind]), "exit 0"])


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Split the script's output into the answers by probe name."""
    answers: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        before, mark, name = line.partition(MARK)
        if mark:
            if before:
                current.append(before)
            current = answers[name] = []
        else:
            current.append(line)
    return {name: "\n".join(body) for name, body in answers.items()}


def read(host: Host | None = None) -> dict[str, str]:
    """Return the snapshot of `host` (default: the current one), reading it if it is not known.

    Raises:
        PyinfraError: the host did not answer.
    """
    target = host or current_host
    taken = target.connector_data.get(_CACHE)
    if taken and (
        not target.state.is_executing or time.monotonic() - taken[0] < STALE_AFTER_SECONDS
    ):
        return taken[1]
    answers = target.get_fact(
        HostSnapshot,
        script=Script(script(settings_for(target))),
        _sudo=needs_sudo(target),
        _timeout=PROBE_TIMEOUT_SECONDS,
    )
    if not answers:
        raise PyinfraError(f"{target.name}: the host did not answer the probe script")
    target.connector_data[_CACHE] = (time.monotonic(), answers)
    return answers


def known(host: Host) -> dict[str, str]:
    """Return what is known of `host` without asking it; empty if nothing is."""
    taken = host.connector_data.get(_CACHE)
    return taken[1] if taken else {}


def forget(host: Host) -> None:
    """Drop what is known of `host`, because something changed it."""
    host.connector_data.pop(_CACHE, None)


def needs_sudo(host: Host) -> bool:
    """Return whether the login user of `host` is not root (asked once per connection)."""
    if _SUDO not in host.connector_data:
        host.connector_data[_SUDO] = login_user(host) != "root" and _user_id(host) != "0"
    if host.connector_data[_SUDO]:
        askpass.install(host)
    return host.connector_data[_SUDO]


def _user_id(host: Host) -> str:
    succeeded, output = host.run_shell_command(StringCommand("id -u"))
    if not succeeded:
        raise PyinfraError(f"{host.name}: cannot run commands: {output.stderr}")
    return output.stdout.strip()


def privileges(host: Host) -> dict[str, Any]:
    """Return what `host.run_shell_command` takes to run a command as root on `host`."""
    if not needs_sudo(host):
        return {}
    return {"_sudo": True, "_sudo_password": getattr(host.data, "_sudo_password", None)}


def read_quietly(host: Host, command: str) -> str:
    """Return the output of a read-only command without pyinfra printing it at any verbosity.

    For what may contain secrets, such as `openclaw.json`.

    Raises:
        PyinfraError: the command failed.
    """
    succeeded, output = host.run_shell_command(
        StringCommand(command), print_output=False, print_input=False, **privileges(host)
    )
    if not succeeded:
        raise PyinfraError(f"{host.name}: {command}: {output.stderr}")
    return output.stdout


def run_quietly(host: Host, script: str) -> str:
    """Return the output of a shell script that travels on standard input; nothing is printed.

    Raises:
        PyinfraError: it failed; the message is what it said.
    """
    succeeded, output = host.run_shell_command(
        StringCommand("sh", "-s"),
        print_output=False,
        print_input=False,
        _stdin=[script],
        **privileges(host),
    )
    if not succeeded:
        raise PyinfraError(output.stderr or output.stdout or "the command failed")
    return output.stdout
