"""Mounts and directories that contradict each other or open the host to the agents."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from toolkit.settings.model import STATE, WORKSPACE, Settings
from toolkit.settings.types import parse_mount

AUTH = "/home/node/.config/openclaw"

# Mounted over, the container has no system, no application or not OpenClaw's own mounts.
TAKEN_TARGETS = {
    **dict.fromkeys(
        (
            "/",
            "/app",
            "/bin",
            "/dev",
            "/etc",
            "/home",
            "/lib",
            "/lib64",
            "/opt",
            "/proc",
            "/root",
            "/run",
            "/sbin",
            "/sys",
            "/usr",
            "/usr/bin",
            "/usr/lib",
            "/usr/local",
            "/usr/local/bin",
            "/var",
        ),
        "it would hide the container's own files",
    ),
    "/home/node": "it would hide the container's home; to keep the home, set home_volume",
    "/home/node/.cache": "the toolkit mounts a tmpfs there; its size is gateway.cache_size",
    "/tmp": "the toolkit mounts a tmpfs there; its size is gateway.tmp_size",
    STATE: "OpenClaw's state is mounted there; its place on the host is directories.config",
    WORKSPACE: "the workspace is mounted there; its place on the host is directories.workspace",
    AUTH: "the auth key is mounted there; its place on the host is directories.auth",
    f"{STATE}/openclaw.json": "OpenClaw replaces this file on save, which a file mount forbids",
    f"{STATE}/state": "it would hide OpenClaw's database",
}
_TAKEN_TARGET_TREES = ("/proc", "/sys", "/dev")
_UNSAFE_SOURCES = {
    **dict.fromkeys(
        (
            "/",
            "/boot",
            "/dev",
            "/etc",
            "/proc",
            "/sys",
        ),
        "it opens the host to the agents",
    ),
    **dict.fromkeys(
        (
            "/run",
            "/var",
            "/var/lib",
            "/var/lib/docker",
            "/var/run",
        ),
        "it opens the engine to the agents",
    ),
}
_ENGINE_SOCKETS = (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
)
_SYSTEM_DIRECTORIES = frozenset(
    (
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/local",
        "/var",
        "/var/lib",
        "/var/lib/docker",
        "/var/log",
        "/var/run",
    )
)


@dataclass(frozen=True)
class Inconsistency:
    """What is wrong with the first of `keys`; the others are those it was compared with."""

    keys: tuple[str, ...]
    message: str


def problems(settings: Settings) -> Iterator[Inconsistency]:
    """Yield what is wrong with the directories, mounts and home volume of `settings`."""
    yield from _directories(settings)
    yield from _mounts(settings)
    yield from _home_volume(settings)


def _directories(settings: Settings) -> Iterator[Inconsistency]:
    places = {
        "project": settings.project_directory,
        "config": settings.config_directory,
        "workspace": settings.workspace_directory,
        "auth": settings.auth_directory,
    }
    for name, path in places.items():
        if path in _SYSTEM_DIRECTORIES:
            yield Inconsistency(
                (f"directories.{name}",),
                f"given {path}: its owner and mode would be changed; accepted: a directory of "
                "its own",
            )
    harmful = {
        ("project", "config"): "its token would be readable in the container",
        ("project", "workspace"): "its token would be readable by the agents",
        ("project", "auth"): "its token would be readable in the container",
        ("config", "workspace"): "the agents could rewrite their own configuration",
        ("config", "auth"): "OpenClaw wants the two apart",
        ("auth", "config"): "OpenClaw wants the two apart",
        ("auth", "workspace"): "the key would be readable by the agents",
        ("workspace", "auth"): "the agents would be next to the key",
    }
    for inner, outer in permutations(places, 2):
        keys = (f"directories.{inner}", f"directories.{outer}")
        if places[inner] == places[outer]:
            if inner < outer:
                yield Inconsistency(keys, f"given {places[inner]}, the same as {keys[1]}")
        elif (inner, outer) in harmful and inside(places[inner], places[outer]):
            yield Inconsistency(
                keys,
                f"given {places[inner]}, inside {keys[1]} ({places[outer]}): "
                + harmful[inner, outer],
            )


def _mounts(settings: Settings) -> Iterator[Inconsistency]:
    targets: dict[str, str] = {}
    for mount in settings.extra_mounts:
        parts = parse_mount(mount)
        reason = TAKEN_TARGETS.get(parts.target)
        if any(inside(parts.target, tree) for tree in _TAKEN_TARGET_TREES):
            reason = reason or "it would hide the container's own files"
        if reason:
            yield Inconsistency(
                ("extra_mounts",), f"given {mount}: target {parts.target}: {reason}"
            )
        if parts.target in targets:
            yield Inconsistency(
                ("extra_mounts",),
                f"given {targets[parts.target]} and {mount}: target {parts.target} is there twice",
            )
        targets[parts.target] = mount
        if reason := _unsafe_source(settings, parts.source):
            yield Inconsistency(
                ("extra_mounts", "directories.project", "directories.auth", "engine.socket"),
                f"given {mount}: source {parts.source}: {reason}",
            )


def _home_volume(settings: Settings) -> Iterator[Inconsistency]:
    volume = settings.home_volume
    if volume is None or not volume.startswith("/"):
        return
    reason = _unsafe_source(settings, volume)
    if not reason and volume in _SYSTEM_DIRECTORIES:
        reason = "its owner would be changed"
    for directory in (settings.config_directory, settings.workspace_directory):
        if not reason and (volume == directory or inside(volume, directory)):
            reason = f"it is inside {directory}, which has its own mount"
        if not reason and inside(directory, volume):
            reason = f"{directory} is inside it, where the container's user could replace it"
    if reason:
        yield Inconsistency(
            ("home_volume", "directories.config", "directories.workspace", "directories.project"),
            f"given {volume}: {reason}",
        )


def _unsafe_source(settings: Settings, source: str) -> str | None:
    """Return why `source` must not be seen by the container, or nothing."""
    if source in _UNSAFE_SOURCES:
        return _UNSAFE_SOURCES[source]
    if source in (*_ENGINE_SOCKETS, settings.engine.socket):
        return "the engine's socket makes the agents root on the host"
    for what, path in (
        ("the project directory, whose .env holds the token", settings.project_directory),
        ("the auth key", settings.auth_directory),
        ("archives of the state", settings.archives_directory),
    ):
        if source == path or inside(path, source) or inside(source, path):
            return f"it shows {what} ({path})"
    return None


def inside(path: str, directory: str) -> bool:
    """Return whether `path` is below `directory`."""
    return path != directory and posixpath.commonpath([path, directory]) == directory
