"""How the gateway is run: a container of the compose project, or a service of the host.

The one place where the two differ for everybody else. Scripts on the host begin with `shell`, after
which these functions do the same in both forms:

- `gateway_deployed`, `gateway_status` (`running`, `restarting`, `exited`, ...; nothing: there is
  none), `gateway_runs`, `gateway_health`, `gateway_restarts`, `gateway_exit_code`,
  `gateway_started`;
- `gateway_image`, `gateway_label`: what it was started from; `wanted_label DIRECTORY`: what the
  files there say; `gateway_files`: their names;
- `gateway_exec [-t] COMMAND`: runs it where the gateway runs; `gateway_run COMMAND`: also without
  a gateway;
- `gateway_log --tail LINES|--since SECONDS [-f]`, `gateway_variables` (for hiding their values),
  `gateway_described` (JSON), `gateway_mounts` (JSON), `gateway_published` (JSON);
- `gateway_start`, `gateway_stop`, `gateway_restart`, `gateway_start_again` (what was stopped, as it
  was), `gateway_resume` (what was paused), `gateway_prune`.
"""

from __future__ import annotations

from typing import Any

from operations import engine_access
from operations.base import templates
from operations.base.quoting import Script, joined
from operations.engine_access import EngineWay
from operations.gateway import compose, service
from operations.images import stage as images
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import AUTH
from toolkit.settings.model import STATE


def shell(settings: Settings) -> Script:
    """Return shell lines after which `docker` means the deployment's engine, and the functions
    above its gateway.
    """
    if engine_access.on_host(settings):
        functions = service.shell(settings)
    else:
        functions = templates.render(
            "compose/gateway.sh.j2",
            name=settings.name,
            image=images.tag(settings),
            project=settings.project_directory,
        )
    return joined(engine_access.environment(settings), functions)


def ownership(settings: Settings) -> Script:
    """Return shell functions that give the state to the gateway's user while it is stopped."""
    home = settings.home_volume or ""
    directories = [
        settings.config_directory,
        settings.workspace_directory,
        settings.auth_directory,
        *([home] if home.startswith("/") else []),
    ]
    return templates.render(
        "compose/owned.sh.j2",
        # In an engine without root the users of containers are subordinate ids of the host's.
        directories=[] if EngineWay(settings).own_engine else directories,
        volume="" if home.startswith("/") else home,
    )


def inputs(settings: Settings) -> str:
    """Return the digest of everything that the gateway gets; its label, once it runs."""
    return service.inputs(settings) if engine_access.on_host(settings) else compose.inputs(settings)


def uid(settings: Settings) -> str:
    """Return the uid that the gateway has in its own surroundings."""
    if engine_access.on_host(settings):
        return EngineWay(settings).owner().partition(":")[0]
    return str(EngineWay(settings).uid)


def writable(settings: Settings) -> list[str]:
    """Return the directories that the gateway must be able to write to, as it sees them."""
    if engine_access.on_host(settings):
        return [settings.config_directory, settings.workspace_directory, AUTH]
    return [STATE, f"{STATE}/workspace", AUTH, *(["/home/node"] if settings.home_volume else [])]


def bind(settings: Settings) -> str:
    """Return OpenClaw's `gateway.bind`; of a container only the published port is reachable."""
    return service.bind(settings) if engine_access.on_host(settings) else "lan"


def configuration(settings: Settings) -> dict[str, Any]:
    """Return what else openclaw.json must say, beside what it does of every gateway."""
    if not engine_access.on_host(settings):
        return {}
    # The engine has to find it at the gateway's own path.
    return {"agents": {"defaults": {"workspace": settings.workspace_in_gateway}}}
