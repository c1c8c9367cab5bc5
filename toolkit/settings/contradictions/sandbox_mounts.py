"""What sandboxes see of the host: binds, tmpfs and variables."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from toolkit import secret_names
from toolkit.settings.contradictions.mounts import Inconsistency, inside
from toolkit.settings.model import Settings
from toolkit.settings.sandbox.types import parse_tmpfs
from toolkit.settings.sandbox.view import View
from toolkit.settings.types import parse_mount

# OpenClaw's own list (docs: gateway/sandboxing/multiple-folders-for-one-agent), and the engine's.
_BLOCKED = (
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run",
    "/sys",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/run",
)
_CREDENTIALS = frozenset((".aws", ".docker", ".gnupg", ".kube", ".netrc", ".ssh"))
_RESERVED = ("/workspace", "/agent")
_SYSTEM = (
    "/ /bin /dev /etc /home /lib /lib64 /opt /proc /root /run /sbin /sys /tmp /usr /usr/bin "
    "/usr/lib /usr/local /usr/local/bin /var /var/tmp"
)


def problems(settings: Settings, view: View) -> Iterator[Inconsistency]:
    """Yield binds and tmpfs that OpenClaw or the engine refuses, or that open the host."""
    if view.mode == "off":
        return
    binds_key, tmpfs_key = view.key("container.binds"), view.key("container.tmpfs")
    targets: set[str] = set()
    for bind in view.container.binds:
        parts = parse_mount(bind)
        reason = _unsafe_source(settings, parts.source) or _taken_target(view, parts.target)
        if not reason and parts.target in targets:
            reason = f"the target {parts.target} is there twice"
        if reason:
            yield Inconsistency(
                (binds_key, "directories.config", "directories.project", "directories.auth"),
                f"given {bind}: {reason}",
            )
        targets.add(parts.target)
    paths: set[str] = set()
    for entry in view.container.tmpfs:
        path = parse_tmpfs(entry).path
        reason = ""
        if path in paths:
            reason = f"{path} is there twice"
        elif hidden := _covered(view, path):
            reason = f"it would hide {hidden}"
        if reason:
            yield Inconsistency(
                (tmpfs_key, view.key("container.workdir")), f"given {entry}: {reason}"
            )
        paths.add(path)


def warnings(settings: Settings, view: View) -> Iterator[Inconsistency]:
    """Yield what is allowed and yet rarely meant."""
    if view.mode == "off":
        return
    for name, value in view.container.environment.items():
        if value and secret_names.plainly(name):
            yield Inconsistency(
                (view.key(f"container.environment.{name}"),),
                "looks like a secret, which every command of an agent could read",
            )
    unlimited = [entry for entry in view.container.tmpfs if parse_tmpfs(entry).size is None]
    if unlimited and view.container.memory is None:
        yield Inconsistency(
            (view.key("container.tmpfs"), view.key("container.memory")),
            f"{', '.join(unlimited)}: without a size and without a memory limit, half of the "
            "host's memory",
        )


def _unsafe_source(settings: Settings, source: str) -> str | None:
    if _inside_or_is(source, settings.workspace_directory):
        return None
    own = {
        settings.config_directory: "OpenClaw's state, with its configuration and sessions",
        settings.project_directory: "the project directory, whose .env holds the token",
        settings.auth_directory: "the auth key",
        settings.engine.socket: "the engine's socket, which is as good as root",
    }
    for path, what in own.items():
        if _overlap(source, path):
            return f"its source shows {what} ({path})"
    for path in _BLOCKED:
        if _overlap(source, path):
            return f"its source shows {path}, which OpenClaw refuses to mount"
    for part in source.split("/"):
        if part in _CREDENTIALS:
            return f"its source is in {part}, where credentials are"
    return None


def _taken_target(view: View, target: str) -> str | None:
    if target in _SYSTEM.split():
        return f"its target {target} would hide the image's own files"
    for path in (*_RESERVED, view.container.workdir):
        if _inside_or_is(target, path):
            return f"its target {target} is in {path}, where OpenClaw mounts the workspace"
    return None


def _covered(view: View, path: str) -> str | None:
    for taken in (*_RESERVED, view.container.workdir):
        if _inside_or_is(taken, path):
            return taken
    return path if path in ("/usr", "/bin", "/lib", "/etc", "/proc", "/sys", "/dev") else None


def _inside_or_is(path: str, directory: str) -> bool:
    return path == directory or inside(path, directory)


def _overlap(one: str, other: str) -> bool:
    return posixpath.commonpath([one, other]) in (one, other)
