"""The gateway as a service of the host: `form.Form`, which says what each is."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from operations import engine_access
from operations.base.preflight import Problem
from operations.base.quoting import Script, joined
from operations.engine_access import EngineWay
from operations.gateway import compose, confinement, service
from operations.gateway.confinement import Places
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import AUTH

TEMPLATE: Mapping[str, object] = {"service": True, "kind": "gateway"}


def functions(settings: Settings) -> Script:
    return service.shell(settings)


def inputs(settings: Settings) -> str:
    return service.inputs(settings)


def labelled(settings: Settings) -> list[str]:
    return [service.unit_path(settings)]


def label(settings: Settings, texts: Sequence[str], environment: str) -> str:
    (unit,) = texts
    return service.label(unit, environment)


def uid(settings: Settings) -> str:
    return EngineWay(settings).owner().partition(":")[0]


def uid_of(settings: Settings, user: int) -> str:
    return EngineWay(settings).owner(user).partition(":")[0]


def writable(settings: Settings) -> list[str]:
    return [settings.config_directory, settings.workspace_directory, AUTH]


def bind(settings: Settings) -> str:
    return service.bind(settings)


def configuration(settings: Settings) -> dict[str, Any]:
    # The engine has to find it at the gateway's own path.
    return {"agents": {"defaults": {"workspace": settings.workspace_in_gateway}}}


def problems(settings: Settings) -> Iterable[Problem]:
    return ()  # it has the host's own paths, and reads no file of Compose's


def hardening(
    settings: Settings, described: Mapping[str, Any], user: str, ports: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    expected = service.expected(settings)
    return {key: (described.get(key), wanted) for key, wanted in expected.items()}


def run_arguments(settings: Settings, there: Places, environment: str) -> list[str]:
    return confinement.run_arguments(settings, there, environment, proof=True)


def entered(settings: Settings, missing: str) -> str:
    before = joined(engine_access.environment(settings), service.shell(settings))
    return f"{before}\ngateway_deployed || {{ echo {shlex.quote(missing)} >&2; exit 1; }}"


def cli(settings: Settings, words: Iterable[str], terminal: bool, missing: str) -> str:
    program = ["sh", service.program_path(settings), *(["-t"] if terminal else [])]
    place = ["env", f"--chdir={compose.ARCHIVES}", f"TMPDIR={compose.ARCHIVES}"]
    return (
        f"{entered(settings, missing)}\nexec {shlex.join([*program, *place, 'openclaw', *words])}"
    )


def onboard(settings: Settings, words: Iterable[str], missing: str) -> str:
    return cli(settings, words, True, missing)


def log(settings: Settings, tail: int, follow: bool, missing: str) -> str:
    return f"{entered(settings, missing)}\ngateway_log --tail {tail}{' -f' if follow else ''}"
