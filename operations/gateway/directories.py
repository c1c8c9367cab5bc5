"""The directories of a deployment, owned by the container's uid before anything starts.

OpenClaw's containers run as uid 1000 (`node`); its documentation wants the mounted directories
owned by it (install/docker, "Permissions and EACCES"). Only the directories themselves are
created or mended: nothing below them, and no parent of a path that the user chose. Those parents
must be root's: whoever may write to one of them could put a link there for root to follow. What is
inside a directory of the container's user is created by that user.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from shlex import join, quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import engine_access
from operations.base import files, owner, preflight, snapshot
from operations.base.operation import operation
from operations.engine_access import EngineWay
from toolkit.settings import Settings

OWNER = f"{engine_access.CONTAINER_USER}:{engine_access.CONTAINER_USER}"


@dataclass(frozen=True)
class Directory:
    """A directory with the octal modes that are accepted; it is created with the first one.

    One that is inside a directory of the container's user is created, never mended: what stands
    there may be a link that was planted for root to follow.
    """

    path: str
    owner: str
    modes: tuple[str, ...]
    mended: bool = True


@files.observed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [
        *(directory.path for directory in wanted(settings, OWNER) if directory.mended),
        *sources(settings),
        *([home] if (home := home_directory(settings)) else []),
    ]


@files.foreign_paths
def paths_inside(settings: Settings) -> Iterable[str]:
    return [directory.path for directory in wanted(settings, OWNER) if not directory.mended]


@snapshot.fact("parents")
@dataclass(frozen=True)
class Parents:
    """By path, who else than root may replace a part of it; the last part is not looked at."""

    foreign: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def script(settings: Settings) -> str:
        found = [directory.path for directory in wanted(settings, OWNER) if directory.mended]
        home = home_directory(settings)
        return f"namei -l {join([*found, *([home] if home else [])])}"

    @classmethod
    def parse(cls, lines: list[str]) -> Parents:
        found: dict[str, str] = {}
        for section in re.split(r"^f: ", "\n".join(lines), flags=re.MULTILINE)[1:]:
            path, *parts = section.rstrip("\n").split("\n")
            for number, part in enumerate(parts[:-1]):
                mode, user, group, name = part.split(None, 3)
                others = "w" in (mode[8], mode[5] if group != "root" else "")
                # In a directory such as /tmp nobody replaces what is root's.
                held = mode[9] in "tT" and number + 2 < len(parts)
                if user != "root":
                    found.setdefault(
                        path, f"{name.split(' -> ')[0]} on the way there belongs to {user}"
                    )
                elif mode[0] == "d" and others and not held:
                    found.setdefault(path, f"others than root may write to {name} on the way there")
        return cls(found)


def wanted(settings: Settings, owner: str, engine: str | None = None) -> list[Directory]:
    """Return the directories of a deployment, parents first; `owner` is the container's user, and
    `engine` the group of a rootless engine's.
    """
    config, workspace = settings.config_directory, settings.workspace_directory
    result = [
        # A rootless engine's user must reach the security profiles.
        Directory(settings.project_directory, "0:0", ("755",) if engine else ("755", "750", "700")),
        Directory(f"{settings.project_directory}/run", "0:0", ("700",)),
        # Closed to everyone: a user of the host who happens to have uid 1000 stays out. The user of
        # a rootless engine may pass.
        Directory(f"/var/lib/{settings.name}", f"0:{engine or 0}", ("710" if engine else "700",)),
        Directory(config, owner, ("700",)),
    ]
    mount_point = f"{config}/workspace"
    if workspace != mount_point:  # else the engine makes it, as root
        result.append(Directory(mount_point, owner, ("755",), mended=False))
    return [
        *result,
        Directory(workspace, owner, ("755", "700", "750"), not workspace.startswith(f"{config}/")),
        Directory(settings.auth_directory, owner, ("700",)),
        *(
            []
            if settings.home_volume
            else [Directory(settings.archives_directory, owner, ("700",))]
        ),
    ]


def place(settings: Settings, path: str) -> tuple[str, str]:
    """Return a path of the container's user as the directory of the deployment that it is in, and
    the rest, '' if it is that directory."""
    for directory in wanted(settings, OWNER):
        if (
            directory.owner == OWNER
            and directory.mended
            and f"{path}/".startswith(f"{directory.path}/")
        ):
            return directory.path, path[len(directory.path) + 1 :]
    raise ValueError(f"{path} is in no directory of the deployment")


def sources(settings: Settings) -> list[str]:
    return [mount.split(":")[0] for mount in settings.extra_mounts]


def home_directory(settings: Settings) -> str | None:
    """Return the host directory that keeps the container's home; None if it is a volume."""
    home = settings.home_volume
    return home if home and home.startswith("/") else None


@preflight.check
def directory_problems(settings: Settings) -> Iterable[preflight.Problem]:
    keys = {
        getattr(settings, f"{name}_directory"): f"directories.{name}"
        for name in ("project", "config", "workspace", "auth")
    } | ({home: "home_volume"} if (home := home_directory(settings)) else {})
    for path, why in snapshot.of(Parents).foreign.items():
        if path == home and files.found(path):
            continue  # nothing is done there
        yield preflight.Problem(
            f"{keys.get(path, 'name')}: {path}: {why}, and could put a link in its place; accepted:"
            " a directory whose parents belong to root, and only root may write to them",
            "set another path, such as one below /srv, or give those parents to root",
        )
    for directory in wanted(settings, OWNER):
        there = files.found(directory.path)
        if there and there.kind != "directory":
            yield preflight.Problem(
                f"{directory.path} is a {there.kind}, not a directory",
                "move it away, or set another path under directories",
            )
    for source in sources(settings):
        if not files.found(source):
            yield preflight.Problem(
                f"extra_mounts: {source} does not exist on this host",
                f"create it there, or correct the mount: mkdir -p {quote(source)}",
            )


@operation
def created(settings: Settings) -> Generator:
    """Create the directories of a deployment, or mend owner and mode of those that differ.

    + settings: the settings of the host

    A home directory that the user chose is created if absent and never mended.
    """
    user = EngineWay(settings).owner()
    directories = wanted(settings, user, EngineWay(settings).engine_group)
    # What a gateway uses until it is stopped is moved then, by the activation.
    moving = EngineWay(settings).moving
    commands = [
        _install(settings, directory)
        for directory in directories
        if _differs(directory, moving if directory.owner == user else None)
    ]
    home = home_directory(settings)
    if home and not files.found(home):
        commands.append(_install(settings, Directory(home, user, ("700",))))
        # The mount points inside belong to the container's user as well.
        points = (".openclaw", ".config", ".config/openclaw")
        commands.append(owner.command(home, "mkdir", "-p", "-m", "700", "--", *points))
    if not commands:
        host.noop("the directories are as they should be")
        return
    yield StringCommand("sh -s", _stdin=["\n".join(["set -eu", owner.shell(), *commands])])


@deploy("Directories")
def create(settings: Settings) -> None:
    """Create the project, state, workspace and auth directories, or mend their owner and mode."""
    created(name="Create the directories of the deployment", settings=settings)


def _differs(directory: Directory, moving: str | None = None) -> bool:
    there = files.found(directory.path)
    if not there or not directory.mended:
        return not there
    return there.owner not in (directory.owner, moving) or there.mode not in directory.modes


def _install(settings: Settings, directory: Directory) -> str:
    mode = directory.modes[0]
    if not directory.mended:
        inside, rest = place(settings, directory.path)
        return owner.command(inside, "mkdir", "-p", "-m", mode, "--", rest)
    user, group = directory.owner.split(":")
    return f"install -d -o {user} -g {group} -m {mode} {quote(directory.path)}"
