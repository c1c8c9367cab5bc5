"""The directories of a deployment, owned by the container's uid before anything starts.

OpenClaw's containers run as uid 1000 (`node`); its documentation wants the mounted directories
owned by it (install/docker, "Permissions and EACCES"). Only the directories themselves are
created or mended: nothing below them, and no parent of a path that the user chose.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import access, files, preflight
from operations.operation import operation
from toolkit.settings import Settings

OWNER = f"{access.CONTAINER_USER}:{access.CONTAINER_USER}"


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


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [
        *(directory.path for directory in wanted(settings, OWNER)),
        *sources(settings),
        *([home] if (home := home_directory(settings)) else []),
    ]


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
    ]


def sources(settings: Settings) -> list[str]:
    return [mount.split(":")[0] for mount in settings.extra_mounts]


def home_directory(settings: Settings) -> str | None:
    """Return the host directory that keeps the container's home; None if it is a volume."""
    home = settings.home_volume
    return home if home and home.startswith("/") else None


@preflight.check
def directory_problems(settings: Settings, answers: dict[str, str]) -> Iterable[preflight.Problem]:
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
    owner = access.owner(settings)
    directories = wanted(settings, owner, access.engine_group(settings))
    commands = [_install(directory) for directory in directories if _differs(directory)]
    home = home_directory(settings)
    if home and not files.found(home):
        # The mount points inside belong to the container's user as well.
        for path in (home, f"{home}/.openclaw", f"{home}/.config", f"{home}/.config/openclaw"):
            commands.append(_install(Directory(path, owner, ("700",))))
    if not commands:
        host.noop("the directories are as they should be")
        return
    yield StringCommand(" && ".join(commands))


@deploy("Directories")
def create(settings: Settings) -> None:
    """Create the project, state, workspace and auth directories, or mend their owner and mode."""
    created(name="Create the directories of the deployment", settings=settings)


def _differs(directory: Directory) -> bool:
    there = files.found(directory.path)
    if not there or not directory.mended:
        return not there
    return there.owner != directory.owner or there.mode not in directory.modes


def _install(directory: Directory) -> str:
    owner, group = directory.owner.split(":")
    return f"install -d -o {owner} -g {group} -m {directory.modes[0]} {quote(directory.path)}"
