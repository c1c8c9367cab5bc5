"""A fleet of lab hosts for trying the toolkit out: `./claw lab`, and `inventories/lab.yml`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab import engine
from lab import hosts as lab
from lab.stand_ins import title

VARIABLE, OWNER = "OPENCLAW_LAB_FLEET", "OPENCLAW_LAB_OWNER"
GIB = 1 << 30
DISK_FOR_ENGINE, DISK_FOR_HOST = 2 * GIB, 4 * GIB


@dataclass(frozen=True)
class Member:
    """A host of the fleet; `address` stays the same while it exists."""

    name: str
    suite: str
    address: str
    running: bool


def name() -> str:
    """The fleet of this session: `lab`, unless a test has one of its own."""
    return os.environ.get(VARIABLE) or "lab"


def up(number: int, suite: str, say: Callable[[str], None]) -> list[Member]:
    """Make the fleet `number` hosts strong, and start what was stopped; never removes one.

    Raises:
        LabError: this machine cannot have a lab, or a host does not start.
    """
    if obstacle := engine.obstacle():
        raise lab.LabError(f"{obstacle}; try: sudo ./claw lab up {number}")
    lab.DATA.mkdir(parents=True, exist_ok=True)
    running = engine.is_running()
    there = {member.name: member for member in members()} if running else {}
    wanted = [f"{name()}{index + 1}" for index in range(number)]
    _check_disk(sum(one not in there for one in wanted), running)
    engine.start_for_fleet()
    there = {member.name: member for member in members()}
    for one in wanted:
        member = there.get(one)
        if member and member.running:
            continue
        if member:
            say(f"{one}: starting")
            lab.container(lab.PREFIX + one).start()
            lab.wait(one)
        else:
            say(f"{one}: making it ({title(suite)})")
            owner = int(os.environ.get(OWNER) or 0)  # a test's: gone if that is killed
            lab.up(one, suite, owner, fleet=name())
    return members()


def members() -> list[Member]:
    """The hosts of the fleet, read from the engine; it has to run."""
    found = []
    for one in lab.labelled(f"lab.fleet={name()}"):
        (network,) = one.attrs["NetworkSettings"]["Networks"].values()
        address = network["IPAMConfig"]["IPv4Address"]
        state = one.status == "running"
        found.append(Member(one.labels["lab.host"], one.labels["lab.suite"], address, state))
    return sorted(found, key=lambda one: (len(one.name), one.name))


def find(one: str) -> lab.Host:
    """A running host of the fleet; raises `LabError` if there is none of that name."""
    need_engine()
    found = members()
    for member in found:
        if member.name == one:
            if not member.running:
                raise lab.LabError(f"{one} does not run; ./claw lab up {len(found)} starts it")
            return lab.Host(member.name, member.suite, member.address)
    names = ", ".join(member.name for member in found) or "none; ./claw lab up 3 makes three"
    raise lab.LabError(f"no host of the lab is named {one}; there are: {names}")


def down() -> list[str]:
    """Remove the fleet and all that is on it; stop the engine if it was started for it."""
    if not engine.is_running():
        return []
    gone = [member.name for member in members()]
    if gone:
        lab.down(*gone)
    engine.stop_after_fleet()
    return gone


def inventory() -> dict[str, Any]:
    """The running hosts as pyinfra's inventory functions return them: groups of hosts."""
    need_engine()
    found = [member for member in members() if member.running]
    if not found:
        raise lab.LabError("the lab has no hosts; first: ./claw lab up 3")
    data = {
        "ssh_user": "root",
        "ssh_key": str(lab.key()),
        "ssh_known_hosts_file": str(lab.SSH_DIR / "known_hosts"),
    }
    groups: dict[str, Any] = {"lab": ([], data)}
    for member in found:
        groups["lab"][0].append((member.name, {"ssh_hostname": member.address}))
        groups.setdefault(member.suite, []).append(member.name)
    return groups


def need_engine() -> None:
    """Raise `LabError` unless the lab's engine runs and we may use it."""
    if obstacle := engine.obstacle():
        raise lab.LabError(obstacle)
    if not engine.is_running():
        raise lab.LabError("the lab does not run; first: ./claw lab up 3")


def _check_disk(new: int, running: bool) -> None:
    place = lab.DATA if lab.DATA.exists() else lab.DATA.parent
    wanted = new * DISK_FOR_HOST + (0 if running else DISK_FOR_ENGINE)
    free = shutil.disk_usage(place).free
    if new and free < wanted:
        raise lab.LabError(
            f"{place} has {free / GIB:.1f} GiB free; {wanted / GIB:.0f} GiB are needed for "
            f"{new} more host{'s' if new > 1 else ''} (4 GiB each, with a gateway); free some "
            "space, or ask for fewer"
        )
