"""One run at a time for a deployment on a host.

The lock is a file that only root can open, in /run/openclaw-pyinfra. It names the holder and the
process that lives exactly as long as the holder's connection (its sshd process on the host; the
toolkit itself for `@local`). When that process is gone the lock is void, so a killed run never
leaves a host locked. It is void too when the holder was a process of this control machine that is
gone: a host whose network was cut without a word believes in its connections for hours. Commands
that outlive their run carry its id in their environment; whoever takes the lock next ends them
first, but lets package installations finish.

`./claw` takes the lock around the execute phase. Plain `pyinfra` does not: it has no place for
what is neither a fact nor a change, and no word for "stop, another run is here".
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from commandline import targets
from operations.base import snapshot, templates
from operations.distributions import INSTALLERS
from operations.watch import places
from toolkit import greenlets

VARIABLE = "OPENCLAW_DEPLOY"
DIRECTORY, EARLIER = places.RUN, "/run/lock"
"""Where the lock is, and where earlier releases have it: theirs counts if root made it, and while
a run of this one goes on there is one for them to see."""
STOP_LIMIT_SECONDS = 120
POLL_SECONDS = 2
AUDIT_BYTES = 1024 * 1024
"""Size from which the log is put aside as NAME-deploy.log.1, in place of the one before."""


class LockedError(PyinfraError):
    """Another run is changing the host."""


@dataclass(frozen=True)
class Holder:
    """Who wants the lock: a unique `id`, a person and machine, what for, the process of the run on
    its own machine (it counts only for `@local`), and that process as `control_process` names it.
    """

    id: str
    owner: str
    message: str
    process: int
    control: str = ""


def control_process(pid: int) -> str:
    """Return what names a process of this machine among all machines and boots; '' if it is gone.

    The number of a process alone may belong to another container, or to another process by now.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = Path("/proc/self/ns/pid").readlink()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        started = stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):  # gone, or no Linux
        return ""
    return f"{boot} {space} {pid} {started}"


def gone(control: str) -> bool:
    """Return whether a process that `control_process` named was one of this machine and is gone."""
    here = control_process(os.getpid()).split()
    there = control.split()
    ours = len(there) == 4 and there[:2] == here[:2] and re.fullmatch("[0-9]{1,9}", there[2])
    return bool(ours) and control_process(int(there[2])) != control


def script(
    name: str, call: str, id: str, holder: Holder | None = None, void: str = "", audit: str = ""
) -> str:
    """Return the shell script that calls one of the lock's functions for the deployment `name`.

    `void` is the id of a holder that does not count any more.
    """
    return templates.render(
        "deploy/lock.sh.j2",
        directory=DIRECTORY,
        earlier=EARLIER,
        installers=INSTALLERS,
        deployment=name,
        call=call,
        id=id,
        void=void,
        owner=holder.owner if holder else "",
        message=holder.message if holder else "",
        control=holder.control if holder else "",
        process=holder.process if holder else 0,
        variable=VARIABLE,
        limit=STOP_LIMIT_SECONDS,
        audit=audit,
        audit_bytes=AUDIT_BYTES,
    )


def acquire(
    host: Host,
    name: str,
    holder: Holder,
    wait: float = 0,
    waiting: Callable[[str], None] = lambda message: None,
) -> None:
    """Take the lock of the deployment `name`, waiting up to `wait` seconds for its holder, whom
    `waiting` is told once.

    Raises:
        LockedError: another run holds it, or commands of a dead one do not end.
    """
    if not targets.is_local(host):
        holder = replace(holder, process=0)
    deadline, void = time.monotonic() + wait, ""
    while True:
        answer = parse(_run(host, script(name, "acquire", holder.id, holder, void)))
        if answer.get("state") == ["acquired"]:
            break
        held_by, control = _first(answer, "id"), _first(answer, "control")
        if held_by != void and gone(control):
            void = held_by
            continue
        if time.monotonic() >= deadline:
            raise LockedError(f"{held(answer)}; wait for it (--wait-lock SECONDS), or end that run")
        waiting(held(answer))
        waiting = _silently
        greenlets.sleep(min(POLL_SECONDS, max(0.1, deadline - time.monotonic())))
    if left := answer.get("left"):
        release(host, name, holder.id)
        raise LockedError(
            f"commands of a run that was killed are still running: {', '.join(left)} (pid, name); "
            "wait for them to end, then run again"
        )


def release(host: Host, name: str, id: str, audit: str = "") -> None:
    """Give the lock back, if the run `id` holds it; first add the line `audit` to the deployment's
    log, /var/log/NAME-deploy.log.
    """
    _run(host, script(name, "release", id, audit=audit))


def stop(host: Host, id: str) -> None:
    """End the commands of the run `id` and wait until they are gone (package installations are
    awaited, not ended).
    """
    _run(host, script("-", "stop", id))


def parse(output: str) -> dict[str, list[str]]:
    """Return the `key=value` lines of the script's answer; a key may come more than once."""
    answer: dict[str, list[str]] = {}
    for line in output.splitlines():
        key, _, value = line.partition("=")
        answer.setdefault(key, []).append(value)
    return answer


def held(answer: dict[str, list[str]]) -> str:
    """Return the sentence that names the holder of the lock."""

    since, now = (_seconds(_first(answer, key)) for key in ("since", "now"))
    age = max(0, now - since)
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since))
    process = (_first(answer, "process").split() or ["?"])[0]
    return (
        f"{_first(answer, 'owner') or 'somebody'} is changing this host since {when} ({age} s ago):"
        f" {_first(answer, 'message')} (process {process} on the host)"
    )


def _first(answer: dict[str, list[str]], key: str) -> str:
    return answer.get(key, [""])[0]


def _seconds(text: str) -> int:
    """Return the seconds since 1970 that a host says; 0 if it says none."""
    return int(text) if re.fullmatch("[0-9]{1,11}", text) else 0


def _silently(message: str) -> None:
    """For the second time a holder is met."""


def _run(host: Host, text: str) -> str:
    try:
        return snapshot.run_quietly(host, text, STOP_LIMIT_SECONDS + 180)
    except PyinfraError as error:
        raise PyinfraError(f"{host.name}: deploy lock: {error}") from None
