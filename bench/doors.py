"""More ways into one lab host: ports of its sshd, and one that notes every command it is given.

Sixteen names in an inventory with a port each are sixteen connections and sixteen whole checks,
for the cost of one deployed host.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import hosts as lab

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
CLOSE = f"""
for file in {PLACE}/*.pid; do
  [ -e "$file" ] || continue
  pid=$(cat "$file")
  kill "$pid" || true
  while kill -0 "$pid"; do sleep 0.1; done 2>/dev/null
done
rm -rf {PLACE}
"""
MOST_PORTS = 16
"""Of one sshd (MAX_LISTEN_SOCKS)."""


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
def opened(host: lab.Host, number: int, forced: str = "") -> Iterator[tuple[list[Door], Door]]:
    """`number` ways into a host, and the one that notes; closed afterwards.

    `forced` is what those of the ways run instead of any command.
    """
    ports = [FIRST + index for index in range(number)]
    parts = [ports[start : start + MOST_PORTS] for start in range(0, number, MOST_PORTS)]
    servers = [f"-p {NOTED} -o ForceCommand={PLACE}/note"]
    own = f" -o ForceCommand={shlex.quote(forced)} -o MaxStartups={number}" if forced else ""
    servers += [" ".join(f"-p {port}" for port in part) + own for part in parts]
    start = "\n".join(
        f"/usr/sbin/sshd {options} -o AddressFamily=inet -o PidFile={PLACE}/{index}.pid\n"
        f"until [ -s {PLACE}/{index}.pid ]; do sleep 0.1; done"
        for index, options in enumerate(servers)
    )
    note = f"printf %s {shlex.quote(NOTE)} >{PLACE}/note && chmod 755 {PLACE}/note"
    run(host, f"set -e\n{CLOSE}\nmkdir -p {PLACE}/notes\n{note}\n{start}")
    try:
        doors = [Door(f"h{port - FIRST + 1:02}", host.ip, port) for port in ports]
        yield doors, Door("noted", host.ip, NOTED)
    finally:
        run(host, CLOSE)


def forget_notes(host: lab.Host) -> None:
    run(host, f"rm -f {PLACE}/notes/*")


def notes(host: lab.Host) -> list[Command]:
    """What was sent through the noted port since `forget_notes`, in order."""
    each = "echo $one $(cat $one) $(base64 -w0 ${one%.end})"
    found = run(host, f"cd {PLACE}/notes && for one in *.end; do {each}; done")
    commands = []
    for line in sorted(found.splitlines()):
        name, end, *text = line.split()  # a command may be empty
        seconds = (int(end) - int(name.removesuffix(".end"))) / 1e9
        commands.append(Command(base64.b64decode("".join(text)).decode(), seconds))
    return commands


def known_hosts(host: lab.Host, doors: Sequence[Door], path: Path) -> Path:
    """Write the host's key under each of the addresses."""
    return lab.known_hosts(host.ip, [(door.address, door.port) for door in doors], path)


def run(host: lab.Host, script: str) -> str:
    """Run a shell script on the host as root, and return what it said."""
    done = lab.ssh(host.name, "sh -s", stdin=script)
    if done.returncode:
        raise SystemExit(f"{host.name}: {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
    return done.stdout
