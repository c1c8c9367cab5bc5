"""What the host is: distribution, architecture, memory, disks, listening ports.

Nothing here is changed by the toolkit; it is read for the preflight and for decisions of
other stages.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from operations import distributions, engine_access
from operations.base import preflight, snapshot, templates
from operations.base.answers import printable
from operations.base.preflight import Problem
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CLOCK_TOLERANCE_SECONDS = 300
GIB = 1 << 30
GIT_BUILD_MEMORY = 6 * GIB
"""Memory that OpenClaw's documentation asks for to build from source."""
STATE_SPACE = GIB
IMAGE_SPACE = {"npm": 6 * GIB, "image": 4 * GIB, "git": 12 * GIB}
"""Disk for engine, images and build cache of a first deploy, by `gateway.source`."""
UPDATE_SPACE, UPDATE_STATE_SPACE = 2 * GIB, GIB >> 2
"""The same, once the gateway runs."""
IMAGES = "images"
OUTER = ("lxc", "lxc-libvirt", "openvz")
"""Containers, as systemd-detect-virt calls them, that are sold or used as a whole host."""


@dataclass(frozen=True)
class Disk:
    """The file system that holds a path: device, type, free bytes, mount point."""

    device: str
    kind: str
    free: int
    mount: str

    @classmethod
    def parse(cls, text: str) -> tuple[str, Disk]:
        """Return what `templates/system/disk.sh` says of a path: its name, and its disk."""
        name, device, kind, free, mount = text.split("|", 4)
        return name, cls(device, kind, int(free) << 10, mount)


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket on the gateway's port."""

    address: str
    process: str


@snapshot.fact("system")
@dataclass(frozen=True)
class System:
    """What a host is; every field has a value even on a host that could not be read."""

    distribution: str = ""
    release: str = ""
    codename: str = ""
    title: str = "an unknown system"
    machine: str = ""
    userland: str = ""
    container: str = ""
    memory: int = 0
    systemd: bool = False
    apparmor: bool = False
    memory_limits: bool = True
    deployed: bool = False
    disks: dict[str, Disk] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    clock: str | None = None

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "system/probe.sh.j2",
            paths=_state_paths(settings),
            service=engine_access.service_name(settings.name),
            port=settings.gateway.port,
            candidate=f"{settings.project_directory}/candidate",
        )

    @classmethod
    def parse(cls, lines: list[str]) -> System:
        facts: dict[str, str] = {}
        disks: dict[str, Disk] = {}
        listeners = []
        for line in lines:
            word, _, value = line.partition("=")
            if word == "disk":
                path, disk = Disk.parse(value)
                disks[path] = disk
            elif word == "listener":
                address, _, process = value.partition(" ")
                listeners.append(Listener(address_of(address), process))
            else:
                facts[word] = value
        return cls(
            distribution=facts.get("id", ""),
            release=facts.get("release", ""),
            codename=facts.get("codename", ""),
            title=facts.get("title") or "an unknown system",
            machine=facts.get("machine", ""),
            userland=facts.get("userland", ""),
            container=facts.get("container", ""),
            memory=int(facts.get("memory") or 0) << 10,
            systemd="systemd" in facts,
            apparmor="apparmor" in facts,
            memory_limits="memory-limits" in facts,
            deployed="deployed" in facts,
            disks=disks,
            listeners=tuple(listeners),
            clock=facts.get("time"),
        )


def address_of(hexadecimal: str) -> str:
    """Return the address that `/proc/net/tcp` or `tcp6` writes as words in host byte order."""
    raw = bytes.fromhex(hexadecimal.partition(":")[0])
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(words)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@preflight.check
def clock_problems(settings: Settings) -> Iterable[Problem]:
    """Compare the host's clock with this machine's, around the reading of the snapshot.

    apt refuses package lists from the future, and TLS certificates that are not valid yet.
    """
    there = snapshot.read()
    said = there.of(System).clock
    if said is None:
        return
    if not re.fullmatch(r"\d{1,12}", said):
        yield Problem(f"its clock cannot be read: {printable(said)}", "run `date +%s` on the host")
        return
    clock = int(said)
    skew = clock - there.answered if clock > there.answered else min(0, clock + 1 - there.asked)
    if abs(skew) > CLOCK_TOLERANCE_SECONDS:
        side = "ahead of" if skew > 0 else "behind"
        yield Problem(
            f"the clock is {abs(skew):.0f} s {side} this machine's"
            f" ({CLOCK_TOLERANCE_SECONDS} s accepted)",
            "set the clock of the host (timedatectl set-ntp true), or of this machine",
        )


@preflight.check
def system_problems(settings: Settings) -> Iterable[Problem]:
    system = snapshot.of(System)
    yield from release_problems(system)
    if system.machine not in ARCHITECTURES:
        yield Problem(
            f"architecture {system.machine} is not supported",
            f"use {' or '.join(ARCHITECTURES)} ({' or '.join(ARCHITECTURES.values())})",
        )
    elif system.userland not in ("", wanted := ARCHITECTURES[system.machine]):
        yield Problem(
            f"its packages are {system.userland}, on a kernel for {system.machine}: OpenClaw needs"
            " the 64-bit programs, too",
            f"install the system for {wanted}",
        )
    if system.container in OUTER:
        yield Problem(
            f"the host is itself a container ({system.container}), in which an engine starts"
            " containers only if its own host lets it",
            "allow it there (LXC and Proxmox: features nesting=1,keyctl=1), or use a virtual"
            " machine",
            stops=False,
        )
    yield from memory_problems(settings, system)
    if not system.memory_limits:
        yield Problem(
            "the kernel has no memory controller for containers, so gateway.memory limits nothing",
            "boot with cgroup_enable=memory (Raspberry Pi: in cmdline.txt)",
            stops=False,
        )


def release_problems(system: System) -> Iterable[Problem]:
    """Say whether the toolkit knows the release; one that is newer than those is tried."""
    if distributions.tested(system.distribution, system.release):
        return
    accepted = distributions.accepted()
    if distributions.stood_in(system.distribution, system.release):
        yield Problem(
            f"{system.title} was tested on stand-ins alone: a Debian under its names",
            "docs/hosts.md says what on what",
            stops=False,
        )
    elif release_of(system):
        yield Problem(f"{system.title} is not tested", f"tested: {accepted}", stops=False)
    else:
        yield Problem(f"{system.title} is not supported", f"use {accepted}")


def version_of(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparison; of none, the empty tuple."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def release_of(system: System) -> distributions.Release | None:
    """Return what is known of a host's release; a new one is taken to be as the one before."""
    number = version_of(system.release) if system.release else distributions.NEWEST
    return distributions.known(system.distribution, number)


def memory_problems(settings: Settings, system: System) -> Iterable[Problem]:
    """Compare what the gateway and a build may use with the memory of the host."""
    wanted = memory_bytes(settings.gateway.memory)
    # A machine sold as having 2 GiB reports some 100 MiB less.
    if system.memory < wanted * 0.9:
        yield Problem(
            f"gateway.memory is {settings.gateway.memory}, but the host has {gib(system.memory)} of"
            " memory",
            "use a larger host, or lower gateway.memory (not below 2g)",
        )
    if settings.gateway.source == "git" and system.memory < GIT_BUILD_MEMORY * 0.9:
        yield Problem(
            f"gateway.source is git, whose build needs {gib(GIT_BUILD_MEMORY)} of memory;"
            f" the host has {gib(system.memory)}",
            "use a larger host, or gateway.source npm or image",
        )


def disk_problems(settings: Settings, system: System) -> Iterable[Problem]:
    """Add up what each file system must hold and compare it with what is free there."""
    images = UPDATE_SPACE if system.deployed else IMAGE_SPACE[settings.gateway.source]
    state = UPDATE_STATE_SPACE if system.deployed else STATE_SPACE
    for mount, disk in {disk.mount: disk for disk in system.disks.values()}.items():
        paths = [path for path, there in system.disks.items() if there.mount == mount]
        wanted = (images if IMAGES in paths else 0) + (state if set(paths) - {IMAGES} else 0)
        if disk.free < wanted:
            yield Problem(
                f"{mount} has {gib(disk.free)} free; {gib(wanted)} needed for {', '.join(paths)}",
                "free some space (docker system df shows the engine's), or put it on a larger disk",
            )
        if disk.kind == "overlay" and IMAGES in paths:
            yield Problem(
                f"{IMAGES} is on an overlay file system, which makes the engine slow",
                "put another file system there",
                stops=False,
            )


def gib(size: int) -> str:
    """Return a size as people read it, such as `1.9 GiB`."""
    return f"{size / GIB:.1f} GiB"


def _state_paths(settings: Settings) -> tuple[str, ...]:
    paths = (settings.project_directory, settings.config_directory, settings.workspace_directory)
    return tuple(dict.fromkeys(paths))
