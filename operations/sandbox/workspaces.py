"""What has to be in a workspace before a sandbox mounts it writable.

OpenClaw mounts an agent's skills into its workspace, at a path that the engine would create as
root; the gateway, which is not, could then never write there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations.base import files, owner
from operations.base.operation import operation
from operations.configuration import agents
from operations.gateway import directories
from operations.sandbox import preflight
from toolkit.settings import Settings
from toolkit.settings.sandbox.view import views

__all__ = ["preflight", "prepare"]

MOUNT_POINT = ".openclaw/sandbox-skills/skills"


@files.foreign_paths
def paths(settings: Settings) -> Iterable[str]:
    return [f"{base}/{path}" for base, path in mount_points(settings)]


def mount_points(settings: Settings) -> list[tuple[str, str]]:
    """Return the mount points of the agents that the settings give a writable workspace, each as
    a directory of the deployment and the path below it."""
    if not settings.sandbox.enabled:
        return []
    found = []
    for view in views(settings.sandbox):
        name = view.name or agents.FIRST
        own = view.name is None and name in settings.sandbox.agents
        if view.workspace_access == "rw" and view.mode != "off" and not own:
            if name == agents.FIRST:
                base, inside = directories.place(settings, settings.workspace_directory)
                found.append((base, f"{inside}/{MOUNT_POINT}".lstrip("/")))
            else:
                workspace = agents.workspace(name).rpartition("/")[2]
                found.append((settings.config_directory, f"{workspace}/{MOUNT_POINT}"))
    return found


@operation
def prepared(settings: Settings) -> Generator:
    """Create the directories that sandboxes mount something into, as the workspaces' owner.

    + settings: the settings of the host

    As that owner, because what is in a workspace may be a link that an agent planted.
    """
    absent = [(base, path) for base, path in mount_points(settings) if not _there(base, path)]
    if not absent:
        host.noop("no sandbox needs anything in a workspace that is not there")
        return
    script = [
        "set -eu",
        owner.shell(),
        "umask 022",
        *(owner.command(base, "mkdir", "-p", "--", path) for base, path in absent),
    ]
    yield StringCommand("sh -s", _stdin=["\n".join(script)])


@deploy("Sandbox workspaces")
def prepare(settings: Settings) -> None:
    """Prepare the workspaces that sandboxes may write to."""
    prepared(name="Create the mount points in writable workspaces", settings=settings)


def _there(base: str, path: str) -> bool:
    return files.found(f"{base}/{path}") is not None
