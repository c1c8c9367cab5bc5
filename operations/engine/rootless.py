"""An engine of the deployment's own that runs without root.

Its user has neither a password nor rights; the ids of its containers are ids of his own, which
nobody else on the host has. https://docs.docker.com/engine/security/rootless/
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import StringCommand

from operations import engine_access
from operations.base import files, snapshot, templates
from operations.base.operation import operation
from operations.engine import daemon
from operations.engine.state import Engine
from operations.engine_access import EngineWay
from toolkit.settings import Settings

# Containers end with this engine, so that they cannot outlive its restart.
_NOT_ROOTLESS = ("live-restore",)
_UID = "@UID@"
"""Stands for the uid of the engine's user, whom the script makes."""


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return (engine_access.rootless_unit(settings.name), configuration_path(settings))


def configuration_path(settings: Settings) -> str:
    """Return the path of the engine's daemon.json, which may hold a proxy's password."""
    return f"/etc/{engine_access.user_name(settings.name)}/daemon.json"


def configuration(settings: Settings) -> files.File:
    """Return the engine's daemon.json; its socket is for the gateway's group alone."""
    keys = daemon.desired(settings.engine, {"group": str(engine_access.CONTAINER_USER)})
    kept = {key: value for key, value in keys.items() if key not in _NOT_ROOTLESS}
    text = daemon.text(kept)
    return files.File(configuration_path(settings), text, mode="600", secret="://" in text)


def unit(settings: Settings, uid: str) -> files.File:
    """Return the systemd unit; `uid` is the engine's user's."""
    content = templates.render(
        "engine/rootless.service.j2",
        deployment=settings.name,
        user=engine_access.user_name(settings.name),
        uid=uid,
        home=engine_access.rootless_home(settings.name),
        configuration=configuration_path(settings),
        limits=EngineWay(settings).limits,
    )
    return files.File(engine_access.rootless_unit(settings.name), content)


@operation
def started(settings: Settings) -> Generator:
    """Make the deployment's own engine run without root, now and after a boot.

    + settings: of the host
    """
    if not EngineWay(settings).own_engine:
        host.noop("the deployment uses the host's engine")
        return
    there = snapshot.of(engine_access.Access)
    wanted = unit(settings, there.uid or _UID)
    changed = [file for file in (configuration(settings), wanted) if files.differs(file)]
    running = snapshot.of(Engine).running
    if there.subuid and there.subgid and running and not changed:
        host.noop("the rootless engine runs")
        return
    for file in changed:
        files.show_difference(file)
    yield StringCommand("sh -s", _stdin=[script(settings)])


def script(settings: Settings) -> str:
    """Return the script that makes the engine's user, configuration and unit, and starts it."""
    return templates.render(
        "engine/rootless.sh.j2",
        user=engine_access.user_name(settings.name),
        home=engine_access.rootless_home(settings.name),
        unit=engine_access.rootless_unit(settings.name),
        socket=engine_access.rootless_socket(settings.name),
        configuration=configuration_path(settings),
        daemon=configuration(settings).content,
        service=unit(settings, _UID).content,
        count=engine_access.SUBORDINATE_IDS,
        limits=EngineWay(settings).limits,
    )
