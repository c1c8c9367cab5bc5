"""What the host is: distribution, architecture, memory, disks, listening ports.

Nothing here is changed by the toolkit; it is read for the preflight and for decisions of
other stages.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from operations import access, preflight, snapshot, templates
from operations.preflight import Problem
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes

TESTED = {("debian", "12"), ("debian", "13")}
UNTESTED = {("ubuntu", "22.04"), ("ubuntu", "24.04")}
ACCEPTED = "Debian 12 or 13 (tested), Ubuntu 22.04 or 24.04 (not tested)"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
GIB = 1 << 30
GIT_BUILD_MEMORY = 6 * GIB
"""Memory that OpenClaw's documentation asks for to build from source."""
STATE_SPACE = GIB
IMAGE_SPACE = {"npm": 6 * GIB, "image": 4 * GIB, "git": 12 * GIB}
"""Disk for engine, images and build cache of a first deploy, by `gateway.source`."""
UPDATE_SPACE, UPDATE_STATE_SPACE = 2 * GIB, GIB >> 2
"""The same, once the gateway runs."""
IMAGES = "images"


@dataclass(frozen=True)
class Disk:
    """The file system that holds a path: device, type, free bytes, mount point."""

    device: str
    kind: str
    free: int
    mount: str


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket on the gateway's port."""

    address: str
    process: str


@dataclass(frozen=True)
class System:
    """What a host is; every field has a value even on a host that could not be read."""

    distribution: str = ""
    release: str = ""
    codename: str = ""
    title: str = "an unknown system"
    machine: str = ""
    memory: int = 0
    systemd: bool = False
    apparmor: bool = False
    memory_limits: bool = True
    deployed: bool = False
    disks: dict[str, Disk] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()

    @classmethod
    def parse(cls, text: str) -> System:
        facts: dict[str, str] = {}
        disks: dict[str, Disk] = {}
        listeners = []
        for line in text.splitlines():
            word, _, value = line.partition("=")
            if word == "disk":
                path, device, kind, free, mount = value.split("|", 4)
                disks[path] = Disk(device, kind, int(free) << 10, mount)
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
            memory=int(facts.get("memory") or 0) << 10,
            systemd="systemd" in facts,
            apparmor="apparmor" in facts,
            memory_limits="memory-limits" in facts,
            deployed="deployed" in facts,
            disks=disks,
            listeners=tuple(listeners),
        )


@snapshot.probe("system")
def system_probe(settings: Settings) -> str:
    return templates.render(
        "system/probe.sh.j2",
        paths=_state_paths(settings),
        images=IMAGES,
        data_root=settings.engine.daemon.get("data-root", ""),
        docker=access.environment(settings),
        rootless_socket=access.rootless_socket(settings),
        rootless_home=access.rootless_home(settings),
        project=settings.name,
        service=access.service_name(settings),
        port=settings.gateway.port,
    )


def current() -> System:
    """Return what the snapshot of the current host knows of the system."""
    return System.parse(snapshot.read().get("system", ""))


def address_of(hexadecimal: str) -> str:
    """Return the address that `/proc/net/tcp` or `tcp6` writes as words in host byte order."""
    raw = bytes.fromhex(hexadecimal.partition(":")[0])
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(words)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@preflight.check
def system_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    if "system" not in answers:
        return
    system = System.parse(answers["system"])
    identity = (system.distribution, system.release)
    if identity in UNTESTED:
        yield Problem(f"{system.title} is not tested", f"tested: {ACCEPTED}", stops=False)
    elif identity not in TESTED:
        yield Problem(f"{system.title} is not supported", f"use {ACCEPTED}")
    if system.machine not in ARCHITECTURES:
        yield Problem(
            f"architecture {system.machine} is not supported",
            f"use {' or '.join(ARCHITECTURES)} ({' or '.join(ARCHITECTURES.values())})",
        )
    yield from memory_problems(settings, system)
    yield from disk_problems(settings, system)
    if not system.memory_limits:
        yield Problem(
            "the kernel has no memory controller for containers, so gateway.memory limits nothing",
            "boot with cgroup_enable=memory (Raspberry Pi: in cmdline.txt)",
            stops=False,
        )


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
