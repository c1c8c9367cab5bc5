"""More ways into one lab host: ports of its sshd, and one that notes every command it is given.

Sixteen names in an inventory with a port each are sixteen connections and sixteen whole checks,
for the cost of one deployed host.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import hosts as lab

FIRST, NOTED = 2301, 2300
PLACE = "/run/bench"
# Every exec request (and subsystem) of a connection to the noted port passes here.
NOTE = f"""#!/bin/sh
note={PLACE}/notes/$(date +%s%N)
printf %s "$SSH_ORIGINAL_COMMAND" >"$note"
"$SHELL" -c "$SSH_ORIGINAL_COMMAND"
status=$?
date +%s%N >"$note.end"
exit $status
"""


@dataclass(frozen=True)
class Command:
    """A command that was sent to the host, and the seconds it took there."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Door:
    """An address at which the host answers under a name of its own."""

    name: str
    address: str
    port: int


@contextmanager
def opened(host: lab.Host, number: int) -> Iterator[tuple[list[Door], Door]]:
    """`number` ways into a host, and the one that notes; closed afterwards."""
    ports = [FIRST + index for index in range(number)]
    options = " ".join(f"-p {port}" for port in (NOTED, *ports))
    match = f"Match LocalPort {NOTED}\\n ForceCommand {PLACE}/note\\n"
    script = f"""
    set -e
    [ ! -e {PLACE}/pid ] || kill "$(cat {PLACE}/pid)" || true
    rm -rf {PLACE} && mkdir -p {PLACE}/notes
    printf %s {shlex.quote(NOTE)} >{PLACE}/note && chmod 755 {PLACE}/note
    {{ cat /etc/ssh/sshd_config; printf '{match}'; }} >{PLACE}/sshd_config
    /usr/sbin/sshd -f {PLACE}/sshd_config {options} -o PidFile={PLACE}/pid
    """
    run(host, script)
    try:
        doors = [Door(f"h{port - FIRST + 1:02}", host.ip, port) for port in ports]
        yield doors, Door("noted", host.ip, NOTED)
    finally:
        run(host, f"kill $(cat {PLACE}/pid); rm -rf {PLACE}")


def forget_notes(host: lab.Host) -> None:
    run(host, f"rm -f {PLACE}/notes/*")


def notes(host: lab.Host) -> list[Command]:
    """What was sent through the noted port since `forget_notes`, in order."""
    found = run(host, f"cd {PLACE}/notes && for one in *.end; do echo $one $(cat $one); done")
    commands = []
    for line in sorted(found.splitlines()):
        name, end = line.split()
        start = name.removesuffix(".end")
        text = run(host, f"cat {PLACE}/notes/{start}")
        commands.append(Command(text, (int(end) - int(start)) / 1e9))
    return commands


def known_hosts(host: lab.Host, doors: Sequence[Door], path: Path) -> Path:
    """Write the host's key under each of the addresses."""
    lines = (lab.SSH_DIR / "known_hosts").read_text().splitlines()
    keys = [" ".join(line.split()[1:]) for line in lines if line.split()[:1] == [host.ip]]
    path.write_text(
        "".join(f"[{door.address}]:{door.port} {key}\n" for door in doors for key in keys)
    )
    return path


def run(host: lab.Host, script: str) -> str:
    """Run a shell script on the host as root, and return what it said."""
    done = lab.ssh(host.name, "sh -s", stdin=script)
    if done.returncode:
        raise SystemExit(f"{host.name}: {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
    return done.stdout
