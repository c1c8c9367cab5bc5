"""What keeps a host in order: Debian's own packages, each with a file of ours beside its own.

fail2ban reads the journal (its jail.conf(5)), unattended-upgrades is told what to install
(apt.conf(5), its own 50unattended-upgrades), swap is a unit (systemd.swap(5)), and the clock is
systemd-timesyncd's where nobody else has it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages
from operations.base import files, notes, preflight, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.packages import Packages
from operations.system import GIB, System, gib
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes

JAIL = "/etc/fail2ban/jail.d/openclaw-pyinfra.conf"
UPGRADES = "/etc/apt/apt.conf.d/99openclaw-pyinfra"
SWAP_FILE = "/openclaw.swap"
SWAP_UNIT = "/etc/systemd/system/openclaw.swap.swap"
"""systemd names it so for the file."""
TIMESYNCD = "systemd-timesyncd"
SHUTDOWN = "openclaw-shutdown"
"""The unit of hardening/shutdown.py."""
TIME_DAEMONS = ("chrony", "ntpsec", "ntp", "openntpd", TIMESYNCD)
FREE = GIB
"""What stays free beside a swap file."""


@snapshot.fact("upkeep")
@dataclass(frozen=True)
class Upkeep:
    """What a host says: which of the services are active, whether it has swap that is not ours,
    whether ours is in use, how large that is, and how much is free for it."""

    active: frozenset[str] = frozenset()
    systemd: bool = False
    swap: bool = False
    own_swap: int = 0
    free: int = 0

    @staticmethod
    def script(settings: Settings) -> str:
        wanted = settings.host
        services = [
            ("fail2ban", wanted.fail2ban.enabled),
            (SHUTDOWN, wanted.unattended_upgrades.enabled),
            (TIMESYNCD, wanted.time.enabled),
        ]
        return templates.render(
            "hardening/upkeep_probe.sh.j2",
            services=[name for name, on in services if on],
            swap=wanted.swap.enabled,
            file=SWAP_FILE,
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Upkeep:
        said = [line.split() for line in lines if line.strip()]
        numbers = {line[0]: int(line[1]) for line in said if line[0] in ("own-swap", "free")}
        words = {line[0] for line in said}
        active = frozenset(line[1] for line in said if line[0] == "active")
        return cls(
            active,
            "systemd" in words,
            "swap" in words,
            numbers.get("own-swap", 0),
            numbers.get("free", 0),
        )


@packages.required
def tools(settings: Settings) -> Iterable[str]:
    if settings.host.fail2ban.enabled:
        yield from ("fail2ban", "python3-systemd", "nftables")
    if settings.host.unattended_upgrades.enabled:
        yield "unattended-upgrades"


@packages.known
def time_daemons(settings: Settings) -> Iterable[str]:
    return TIME_DAEMONS


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [JAIL, UPGRADES, SWAP_UNIT]


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    there, wanted = snapshot.of(Upkeep), settings.host
    if wanted.fail2ban.enabled and not there.systemd:
        yield Problem(
            "host.fail2ban: the host has no systemd, whose journal fail2ban is to read",
            "set host.fail2ban.enabled to false",
        )
    size = _swap_size(settings)
    if _swap_is_wanted(settings) and not there.own_swap and there.free < size + FREE:
        yield Problem(
            f"host.swap: {SWAP_FILE} is to have {wanted.swap.size}, and {gib(there.free)} are free"
            f" ({gib(FREE)} of it stay so)",
            "free some space, lower host.swap.size, or set host.swap.enabled to false",
        )


@operation
def guessers_shut_out(settings: Settings) -> Generator:
    """Have fail2ban shut out for a while who guesses passwords; or no longer.

    + settings: the settings of the host
    """
    content = templates.render("hardening/jail.conf.j2", deployment=settings.name)
    yield from one_file(
        settings.host.fail2ban.enabled,
        files.File(JAIL, content),
        "fail2ban",
        "who guesses sshd's passwords is shut out",
        gone(JAIL, "fail2ban"),
        service="fail2ban",
        active="fail2ban" in snapshot.of(Upkeep).active,
    )


@operation
def upgrades_installed(settings: Settings) -> Generator:
    """Have updates of security installed by the host itself; or as it was before.

    + settings: the settings of the host
    """
    upgrades = settings.host.unattended_upgrades
    content = templates.render(
        "hardening/upgrades.conf.j2", deployment=settings.name, reboot=upgrades.reboot
    )
    reboot = f"at {upgrades.reboot} if one needs it" if upgrades.reboot else "never"
    yield from one_file(
        upgrades.enabled,
        files.File(UPGRADES, content),
        "updates",
        f"of security, by themselves; reboot {reboot}",
        gone(UPGRADES),
    )


@operation
def swapping(settings: Settings) -> Generator:
    """Make a swap file where memory is little and there is none; or take it away.

    + settings: the settings of the host
    """
    there, wanted = snapshot.of(Upkeep), settings.host.swap
    if not wanted.enabled:
        if files.found(SWAP_UNIT):
            yield StringCommand("sh -s", _stdin=[swap_gone()])
            notes.of(host).outcome.append("swap: the swap file is gone")
        else:
            host.noop("host.swap is off")
        return
    unit = files.File(
        SWAP_UNIT,
        templates.render("hardening/swap.service.j2", deployment=settings.name, file=SWAP_FILE),
    )
    as_wanted = there.own_swap == _swap_size(settings) and not files.differs(unit)
    if not _swap_is_wanted(settings) or as_wanted:
        host.noop("there is as much memory as there should be")
        return
    files.show_difference(unit)
    script = templates.render(
        "hardening/swap.sh.j2", file=SWAP_FILE, size=_swap_size(settings), files=[unit]
    )
    yield StringCommand("sh -s", _stdin=[script])
    notes.of(host).outcome.append(f"swap: {wanted.size} in {SWAP_FILE}")


@operation
def clock_set(settings: Settings) -> Generator:
    """Have the clock set by time servers, where nothing does it yet.

    + settings: the settings of the host
    """
    there = snapshot.of(Packages).versions
    others = [name for name in TIME_DAEMONS if name in there and name != TIMESYNCD]
    active = TIMESYNCD in snapshot.of(Upkeep).active
    if not settings.host.time.enabled:
        host.noop("host.time is off")
    elif snapshot.of(System).container or not snapshot.of(Upkeep).systemd:
        host.noop("the clock is that of the machine below")
    elif others or (TIMESYNCD in there and active):
        host.noop(f"the clock is set by {(*others, TIMESYNCD)[0]}")
    else:
        if TIMESYNCD not in there:
            yield packages.install_command([TIMESYNCD])
        yield StringCommand(f"systemctl enable --quiet --now {TIMESYNCD}.service")
        notes.of(host).outcome.append(f"clock: set by {TIMESYNCD}")


def swap_gone() -> str:
    """Return the script that takes the swap file away."""
    return templates.render("hardening/swap_gone.sh.j2", file=SWAP_FILE, unit=SWAP_UNIT)


def gone(path: str, service: str = "") -> str:
    """Return the script that takes a file away, and has a service go on without it."""
    return templates.render("hardening/file_gone.sh.j2", path=path, service=service)


def one_file(
    wanted: bool,
    file: files.File,
    what: str,
    said: str,
    gone: str,
    service: str = "",
    active: bool = True,
) -> Generator:
    """Yield what puts a file on the host that is all of a part of its upkeep, or takes it away.

    + wanted: whether it is to be there
    + what: the part, and `said` what it does; for people
    + gone: the script that takes it away
    + service: what reads it, and whether that is `active`
    """
    if not wanted:
        if files.found(file.path):
            yield StringCommand("sh -s", _stdin=[gone])
            notes.of(host).outcome.append(f"{what}: as it was before")
        else:
            host.noop(f"{what}: not asked for")
    elif active and not files.differs(file):
        host.noop(f"{what}: as it should be")
    else:
        files.show_difference(file)
        yield StringCommand(
            "sh -s",
            _stdin=[templates.render("hardening/file.sh.j2", files=[file], service=service)],
        )
        notes.of(host).outcome.append(f"{what}: {said}")


def _swap_size(settings: Settings) -> int:
    """In whole MiB, as it is written."""
    return memory_bytes(settings.host.swap.size) >> 20 << 20


def _swap_is_wanted(settings: Settings) -> bool:
    """Whether a host has one of ours, or is to get one: a container has that of its machine."""
    there, system = snapshot.of(Upkeep), snapshot.of(System)
    if not settings.host.swap.enabled or system.container or not there.systemd:
        return False
    little = system.memory < memory_bytes(settings.host.swap.below)
    return bool(there.own_swap) or (little and not there.swap)
