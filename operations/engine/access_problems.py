"""What is said of the form in which a deployment reaches its engine: why it cannot have it, and
what it lets the gateway do.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra import host

from operations import container_user, engine_access
from operations.base import notes, preflight, snapshot
from operations.base.preflight import Problem
from operations.engine_access import Access, EngineWay
from toolkit.settings import Settings

WARNING = (
    "the gateway has the socket of the host's engine: it can do anything that root can on this host"
)
NO_LIMITS = (
    "limits of memory, processes and CPU do not hold in the rootless engine of this host, which"
    " needs cgroup v2 for them"
)
SAME_UID = (
    "the container's user, uid {uid}, is {account} on this host: whatever runs as {account} there"
    " can read the gateway's token and credentials from /proc"
)
OTHER_NAME = "or deploy under another name: nothing is moved from one form to another"


def warnings(settings: Settings) -> Iterable[str]:
    """Yield what every summary must say about the form."""
    if settings.sandbox.enabled and EngineWay(settings).form == "socket":
        yield WARNING
    if not EngineWay(settings).limits:
        yield NO_LIMITS
    if not EngineWay(settings).own_engine:
        uid = EngineWay(settings).uid
        if account := snapshot.of(container_user.Ids).taken(settings.config_directory).get(uid):
            yield SAME_UID.format(uid=uid, account=account)


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    there = snapshot.of(Access)
    wanted = EngineWay(settings).form
    if there.service and wanted != "host":
        yield Problem(
            "the gateway is a service of the host"
            f" ({engine_access.service_name(settings.name)}.service), and sandbox.socket is"
            f" {settings.sandbox.socket}, which wants a container",
            f"set sandbox.socket to host, {OTHER_NAME}",
        )
        return
    if there.foreign and wanted == "host":
        yield Problem(
            f"{engine_access.service_unit(settings.name)} is there and not the toolkit's",
            f"remove it, {OTHER_NAME}",
        )
        return
    if there.deployed and wanted == "host":
        yield Problem(
            "sandbox.socket is host, but the deployment's gateway is a container",
            f"set sandbox.socket to auto, {OTHER_NAME}",
        )
        return
    if wanted == "socket":
        if there.own_engine:
            yield Problem(
                "the deployment runs on its own rootless engine"
                f" ({engine_access.user_name(settings.name)}.service),"
                " and the settings want it on the host's",
                "set sandbox.socket to rootless; nothing is moved from one engine to another",
            )
        return
    if there.deployed and not there.own_engine:
        yield Problem(
            "sandbox.socket is rootless, but the deployment runs on the host's engine",
            "set sandbox.socket to socket or auto, or deploy under another name: nothing is moved"
            " from one engine to another",
        )
    if engine_access.chosen_engine(settings):
        yield Problem(
            f"sandbox.socket is {wanted}, and engine.source or engine.socket names another engine",
            "leave those two at their defaults, or set sandbox.socket to socket",
        )
    if there.lacking:
        yield Problem(
            f"a rootless engine needs what the host lacks: {there.lacking}",
            "provide it, or set sandbox.socket to socket",
        )
    if settings.gateway.port < 1024:
        yield Problem(
            f"gateway.port is {settings.gateway.port}, which a rootless engine cannot publish",
            "use a port of 1024 or above",
        )


@preflight.check
def said_of_it(settings: Settings) -> Iterable[Problem]:
    said = f"{EngineWay(settings).form}: {EngineWay(settings).reason}"
    found = tuple(warnings(settings))
    there = notes.of(host)
    there.form, there.warnings = said if settings.sandbox.enabled else None, found
    for warning in found:
        yield Problem(warning, said, stops=False)
