"""What of the sandbox settings only the host can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote

from operations import project
from operations.base import files, preflight, snapshot
from operations.base.preflight import Problem
from operations.configuration import agents
from operations.engine.uplink import Uplink
from operations.gateway import host_secrets
from toolkit.settings import Settings
from toolkit.settings.sandbox.view import views
from toolkit.settings.types import parse_mount

_ENGINES_OWN = ("none", "bridge")


@files.observed_paths
def bind_sources(settings: Settings) -> Iterable[str]:
    return [source for source, _ in _binds(settings)]


@preflight.check
def sandbox_problems(settings: Settings) -> Iterable[Problem]:
    for source, key in _binds(settings):
        if not files.found(source):
            yield Problem(
                f"{key}: {source} does not exist on this host, and the engine would create it",
                f"create it there, or correct the bind: mkdir -p {quote(source)}",
            )
    there = dict(snapshot.of(Uplink).networks)
    for network, key in _networks(settings):
        if network not in there:
            # Where no engine answers yet, the network cannot be there either.
            yield Problem(
                f"{key}: the engine has no network {network}",
                f"create it: docker network create {quote(network)}",
                stops=bool(there),
            )


@preflight.check
def roster_problems(settings: Settings) -> Iterable[Problem]:
    try:
        there = host_secrets.read(settings).configuration()
    except host_secrets.UnreadableFile:
        return  # named by `configuration`
    given = settings.openclaw.get("agents", {})
    if "list" in given:
        return
    ours = {*settings.sandbox.agents, *given.get("entries", {})}
    for name, entry in agents.of(settings, there).entries.items():
        own = entry.get("sandbox")
        mode = own.get("mode") if isinstance(own, Mapping) else None
        if name in ours or not own:
            continue
        if settings.sandbox.enabled:
            said = f", with mode {mode}" if mode else ""
            yield Problem(
                f"openclaw.json: the agent {name} has sandbox settings of its own{said}, which win"
                " over those of all agents",
                "name it under sandbox.agents (`NAME: {}` removes them), or leave it as it is",
                stops=False,
            )
        elif mode in ("all", "non-main") and not _has_own_compose_file(settings):
            yield Problem(
                f"openclaw.json: the agent {name} is to be sandboxed (mode {mode}), and the gateway"
                " has no engine for that: its tools fail",
                "set sandbox.enabled, or let it run its tools beside the gateway: openclaw config"
                " set agents.entries.NAME.sandbox.mode off",
                stops=False,
            )


def _has_own_compose_file(settings: Settings) -> bool:
    """Whether the user gives the gateway more than the toolkit does, an engine perhaps."""
    return files.found(project.path(settings.project_directory, project.OVERRIDE)) is not None


def _binds(settings: Settings) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    if settings.sandbox.enabled:
        for view in views(settings.sandbox):
            for bind in view.container.binds:
                found.setdefault(parse_mount(bind).source, view.key("container.binds"))
    return list(found.items())


def _networks(settings: Settings) -> list[tuple[str, str]]:
    """Return the networks that have to be there; the browsers' own is the deployment's."""
    found: dict[str, str] = {}
    if settings.sandbox.enabled:
        if settings.sandbox.has_browser and settings.sandbox.browser.network:
            found[settings.sandbox.browser.network] = "sandbox.browser.network"
        for view in views(settings.sandbox):
            if view.container.network not in _ENGINES_OWN:
                found.setdefault(view.container.network, view.key("container.network"))
    return list(found.items())
