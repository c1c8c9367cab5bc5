"""The gateway as a container of the compose project: `form.Form`, which says what each is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from operations import engine_access, project
from operations.base import templates
from operations.base.preflight import Problem
from operations.base.quoting import Script
from operations.engine_access import EngineWay
from operations.gateway import compose, environment_file, existing_state
from operations.gateway.confinement import Places
from operations.images import stage as images
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import AUTH
from toolkit.settings.model import STATE
from toolkit.settings.types import memory_bytes

TEMPLATE: Mapping[str, object] = {"service": False, "kind": "container"}
_ONCE = ("run", "--rm", "--no-deps")


def functions(settings: Settings) -> Script:
    return templates.render(
        "compose/gateway.sh.j2",
        name=settings.name,
        image=images.tag(settings.name),
        project=settings.project_directory,
    )


def inputs(settings: Settings) -> str:
    return compose.inputs(settings)


def labelled(settings: Settings) -> list[str]:
    directory = settings.project_directory
    return [project.path(directory, name) for name in (project.BASE, project.EXTRA)]


def label(settings: Settings, texts: Sequence[str], environment: str) -> str:
    base, extra = texts
    return compose.label(settings, base, extra, environment)


def uid(settings: Settings) -> str:
    return str(EngineWay(settings).uid)


def uid_of(settings: Settings, user: int) -> str:
    return str(user)


def user(settings: Settings) -> str | None:
    return None


def writable(settings: Settings) -> list[str]:
    return [STATE, f"{STATE}/workspace", AUTH, *(["/home/node"] if settings.home_volume else [])]


def configuration(settings: Settings) -> dict[str, Any]:
    return {"gateway": {"bind": "lan"}}  # only the published port is reachable


def problems(settings: Settings) -> Iterable[Problem]:
    yield from environment_file.compose_problems(settings)
    yield from existing_state.place_problems(settings)


def hardening(
    settings: Settings, described: Mapping[str, Any], user: str, ports: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    limited = EngineWay(settings).limits
    memory = memory_bytes(settings.gateway.memory) if limited else 0
    pids = settings.gateway.pids_limit if limited else 0
    wanted = [(settings.gateway.address, str(settings.gateway.port))]
    if settings.front_port:
        wanted.append(("127.0.0.1", str(settings.front_port)))
    return {
        "user": (user, f"{EngineWay(settings).uid}:{EngineWay(settings).uid}"),
        "cap_drop": (described.get("CapDrop"), ["ALL"]),
        "cap_add": (described.get("CapAdd") or [], []),
        "privileged": (described.get("Privileged"), False),
        "read_only": (described.get("ReadonlyRootfs"), True),
        "security_opt": (
            security_options(described),
            sorted(option.split(":")[0] for option in compose.security_options(settings)),
        ),
        "group_add": (described.get("GroupAdd") or [], compose.groups(settings)),
        "pids_limit": (described.get("PidsLimit") or 0, pids),
        "mem_limit": (described.get("Memory"), memory),
        "memswap_limit": (described.get("MemorySwap"), memory),
        "published": (sorted(_published(ports)), sorted(wanted)),
    }


def security_options(found: Mapping[str, Any]) -> list[str]:
    """Return the kinds of a container's security options; a profile `unconfined` counts as none."""
    options = [re.split("[=:]", option, maxsplit=1) for option in found.get("SecurityOpt") or []]
    return sorted(kind for kind, *value in options if value not in (["unconfined"], ["false"]))


def _published(ports: Mapping[str, Any]) -> list[tuple[str, str]]:
    bindings = [binding for found in ports.values() for binding in found or []]
    return [(binding.get("HostIp", ""), binding.get("HostPort", "")) for binding in bindings]


def run_arguments(settings: Settings, there: Places, environment: str) -> list[str]:
    return []


def entered(settings: Settings, missing: str) -> str:
    directory = shlex.quote(settings.project_directory)
    return (
        f"{engine_access.environment(settings)}\n"
        f"[ -e {directory}/docker-compose.yml ] || {{ echo {shlex.quote(missing)} >&2; exit 1; }}\n"
        f"cd {directory} || exit 1"
    )


def cli(settings: Settings, words: Iterable[str], terminal: bool, missing: str) -> str:
    mode = () if terminal else ("-T",)
    return _compose(settings, missing, *_ONCE, *mode, "openclaw-cli", *words)


def onboard(settings: Settings, words: Iterable[str], missing: str) -> str:
    beside = _compose(settings, missing, *_ONCE, "openclaw-cli", *words)
    alone = _compose(settings, missing, *_ONCE, "--entrypoint", "openclaw", project.GATEWAY, *words)
    running = (
        f"{entered(settings, missing)}\ndocker compose ps -q --status running {project.GATEWAY}"
    )
    return f'if [ -n "$({running})" ]; then\n{beside}\nelse\n{alone}\nfi'


def log(settings: Settings, tail: int, follow: bool, missing: str) -> str:
    # Not `docker compose logs`, which puts a control sequence before each line even in a pipe.
    words = shlex.join(["docker", "logs", "--tail", str(tail), *(["-f"] if follow else [])])
    return (
        f"{entered(settings, missing)}\n"
        f'id=$(docker compose ps -aq {project.GATEWAY}) && [ -n "$id" ] || '
        f'{{ echo "there is no gateway container" >&2; exit 1; }}\n'
        f'exec {words} "$id"'
    )


def lines(
    settings: Settings, since: int | None, until: int | None, tail: int | None, follow: bool
) -> Script:
    given = {"--since": since, "--until": until, "--tail": tail}
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    return templates.render(
        "compose/lines.sh.j2",
        options=[*options, *(["--follow"] if follow else [])],
        sed=["-u"] if follow else [],
    )


def _compose(settings: Settings, missing: str, *words: str) -> str:
    return f"{entered(settings, missing)}\nexec docker compose {shlex.join(words)}"
