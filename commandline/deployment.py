"""Shell lines that run in a deployment on a host, and say so where there is none."""

from __future__ import annotations

import shlex

from operations import engine_access
from operations.gateway import runtime
from toolkit.settings import Settings

ONCE = ("run", "--rm", "--no-deps")


def in_project(settings: Settings, up: str) -> str:
    """Return the lines after which `docker compose` is that of the deployment; `up` makes one."""
    directory, missing = shlex.quote(settings.project_directory), _missing(settings, up)
    return (
        f"{engine_access.environment(settings)}\n"
        f"[ -e {directory}/docker-compose.yml ] || {{ echo {shlex.quote(missing)} >&2; exit 1; }}\n"
        f"cd {directory} || exit 1"
    )


def in_service(settings: Settings, up: str) -> str:
    """Return the lines after which the functions of a gateway that is a service are there."""
    missing = f"echo {shlex.quote(_missing(settings, up))} >&2; exit 1"
    return f"{runtime.shell(settings)}\ngateway_deployed || {{ {missing}; }}"


def compose(settings: Settings, up: str, *words: str) -> str:
    """Return the shell line that runs `docker compose` in the deployment's project."""
    return f"{in_project(settings, up)}\nexec docker compose {shlex.join(words)}"


def _missing(settings: Settings, up: str) -> str:
    return f"no deployment in {settings.project_directory}; {up} makes it"
