"""The gateway as a service of the host: a systemd unit under a user of its own (form `host`);
`form.Form` says what each function of it is for.

Its root directory is the file system of the gateway's image, laid out on the host and read-only to
it. State and workspace have the same path in there as on the host, since OpenClaw hands its own
paths to the engine when it makes a sandbox. Its user is whom user 1000 of a container is on the
host, so that gateway and sandboxes own the same files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from shlex import join, quote
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import engine_access
from operations.base import files, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.base.quoting import Script, joined
from operations.engine_access import EngineWay
from operations.gateway import compose, confinement, host_secrets, secrets
from operations.gateway.confinement import HOME, TREE, Places
from operations.images import stage as images
from toolkit.settings import Settings
from toolkit.settings.contradictions.mounts import AUTH
from toolkit.settings.types import memory_bytes

TEMPLATE: Mapping[str, object] = {"service": True, "kind": "gateway"}
IMAGE_VARIABLE, INPUTS_VARIABLE = "OPENCLAW_PYINFRA_IMAGE", "OPENCLAW_PYINFRA_INPUTS"
"""In the environment of the gateway's process: what it was started from."""
_LABEL = re.compile(f'(?<=\n)(Environment="{INPUTS_VARIABLE}=)[^"\n]*(?=")')
SHOWN = (
    "User",
    "NoNewPrivileges",
    "CapabilityBoundingSet",
    "ProtectSystem",
    "PrivateDevices",
    "RestrictNamespaces",
    "MemoryMax",
    "TasksMax",
)
"""What of the loaded unit the verification compares."""
_IMAGE = "@IMAGE@"


def unit_path(settings: Settings) -> str:
    """Return where the wanted unit is kept; the swap installs it."""
    return f"{settings.project_directory}/{engine_access.service_name(settings.name)}.service"


def program_path(settings: Settings) -> str:
    return f"{settings.project_directory}/exec.sh"


def trees(settings: Settings) -> str:
    """Return the directory of the images' file systems, which only root may enter."""
    return f"/var/lib/{engine_access.service_name(settings.name)}"


def inputs(settings: Settings) -> str:
    # Of everything that the gateway gets, beside its image.
    return _digest(_render(settings, ""), secrets.plan(settings).text)


def labelled(settings: Settings) -> list[str]:
    return [unit_path(settings)]


def label(settings: Settings, texts: Sequence[str], environment: str) -> str:
    (text,) = texts
    return _digest(text, environment)


def _digest(unit: str, environment: str) -> str:
    parts = [_LABEL.sub(r"\1", unit), secrets.keyed_digest(environment)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def unit(settings: Settings) -> files.File:
    """Return the unit; the swap fills in the image and its directory."""
    return files.File(unit_path(settings), _render(settings, inputs(settings)))


def functions(settings: Settings) -> Script:
    there = confinement.places(settings)
    return templates.render(
        "service/gateway.sh.j2",
        unit=engine_access.service_name(settings.name),
        installed=engine_access.service_unit(settings.name),
        wanted=unit_path(settings),
        program=program_path(settings),
        trees=trees(settings),
        image=images.tag(settings.name),
        port=settings.gateway.port,
        address=settings.gateway.address,
        mounts=[
            {"Type": "bind", "Source": path, "Destination": path}
            for path in (there.state, there.workspace)
        ],
        shown=SHOWN,
        tree_mark=TREE,
        image_mark=_IMAGE,
        image_variable=IMAGE_VARIABLE,
        inputs_variable=INPUTS_VARIABLE,
        user=engine_access.service_name(settings.name),
        home=HOME,
    )


def program(settings: Settings) -> files.File:
    """Return the script that runs a command as the gateway is run."""
    archives = f"{settings.archives_directory}:{compose.ARCHIVES}"
    content = templates.render(
        "service/exec.sh.j2",
        docker=joined(engine_access.environment(settings), functions(settings)),
        arguments=[
            *confinement.run_arguments(
                settings,
                confinement.places(settings),
                f"-{host_secrets.environment_path(settings)}",
            ),
            f"--property=BindPaths={archives}",
        ],
    )
    return files.File(program_path(settings), content)


def uid(settings: Settings) -> str:
    return EngineWay(settings).owner().partition(":")[0]


def uid_of(settings: Settings, user: int) -> str:
    return EngineWay(settings).owner(user).partition(":")[0]


def user(settings: Settings) -> str | None:
    return engine_access.service_name(settings.name)


def writable(settings: Settings) -> list[str]:
    return [settings.config_directory, settings.workspace_directory, AUTH]


def configuration(settings: Settings) -> dict[str, Any]:
    return {
        "gateway": {"bind": _bind(settings.gateway.address)},
        # The engine has to find it at the gateway's own path.
        "agents": {"defaults": {"workspace": settings.workspace_in_gateway}},
    }


def problems(settings: Settings) -> Iterable[Problem]:
    return ()  # it has the host's own paths, and reads no file of Compose's


def hardening(
    settings: Settings, described: Mapping[str, Any], user: str, ports: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    expected = {
        "User": engine_access.service_name(settings.name),
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "PrivateDevices": "yes",
        "RestrictNamespaces": "yes",
        "MemoryMax": str(memory_bytes(settings.gateway.memory)),
        "TasksMax": str(settings.gateway.pids_limit),
        "process.CapEff": "0000000000000000",
        "process.NoNewPrivs": "1",
        "process.Seccomp": "2",
        "process.Uid": uid(settings),
    }
    return {key: (described.get(key), wanted) for key, wanted in expected.items()}


def run_arguments(settings: Settings, there: Places, environment: str) -> list[str]:
    return confinement.run_arguments(settings, there, environment, proof=True)


def entered(settings: Settings, missing: str) -> str:
    before = joined(engine_access.environment(settings), functions(settings))
    return f"{before}\ngateway_deployed || {{ echo {quote(missing)} >&2; exit 1; }}"


def cli(settings: Settings, words: Iterable[str], terminal: bool, missing: str) -> str:
    called = ["sh", program_path(settings), *(["-t"] if terminal else [])]
    place = ["env", f"--chdir={compose.ARCHIVES}", f"TMPDIR={compose.ARCHIVES}"]
    return f"{entered(settings, missing)}\nexec {join([*called, *place, 'openclaw', *words])}"


def onboard(settings: Settings, words: Iterable[str], missing: str) -> str:
    return cli(settings, words, True, missing)


def log(settings: Settings, tail: int, follow: bool, missing: str) -> str:
    return f"{entered(settings, missing)}\ngateway_log --tail {tail}{' -f' if follow else ''}"


def lines(
    settings: Settings, since: int | None, until: int | None, tail: int | None, follow: bool
) -> Script:
    moments = {"--since": since, "--until": until}
    options = [f"{name}=@{value}" for name, value in moments.items() if value is not None]
    options += [] if tail is None else [f"--lines={tail}"]
    return templates.render(
        "service/lines.sh.j2",
        unit=engine_access.service_unit(settings.name).rpartition("/")[2],
        options=[*options, *(["--follow"] if follow else [])],
        sed=["-u"] if follow else [],
    )


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [unit_path(settings), program_path(settings)] if settings.gateway_on_host else []


@snapshot.fact("service")
@dataclass(frozen=True)
class User:
    """The `uid:gid` of the service's user; '' while there is none, or no service."""

    owner: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        if not settings.gateway_on_host:
            return ""
        name = quote(engine_access.service_name(settings.name))
        return f'id -u {name} >/dev/null && echo "$(id -u {name}):$(id -g {name})"'

    @classmethod
    def parse(cls, lines: list[str]) -> User:
        return cls("".join(lines).strip())


@operation
def configured(settings: Settings) -> Generator:
    """Make the gateway's user and write its unit, which the swap installs.

    + settings: the settings of the host
    """
    if not settings.gateway_on_host:
        host.noop("the gateway is a container")
        return
    wanted, owner = [unit(settings), program(settings)], EngineWay(settings).owner()
    changed = [file for file in wanted if files.differs(file)]
    if snapshot.of(User).owner == owner and not changed:
        host.noop("the gateway's unit is as it should be")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "service/install.sh.j2",
        user=engine_access.service_name(settings.name),
        owner=owner,
        home=settings.config_directory,
        files=changed,
        # Without a swap it belongs to the last good gateway as well.
        kept=None if wanted[0] in changed else program_path(settings),
        last_good=f"{settings.project_directory}/last-good",
    )
    yield StringCommand("sh -s", _stdin=[script])


@deploy("Gateway service")
def configure(settings: Settings) -> None:
    """Write the unit of a gateway that is a service of the host."""
    configured(name="Write the gateway's unit", settings=settings)


def _render(settings: Settings, inputs: str) -> str:
    there = confinement.places(settings)
    return templates.render(
        "service/gateway.service.j2",
        deployment=settings.name,
        engine=f"{engine_access.user_name(settings.name)}.service",
        properties=confinement.properties(settings, there),
        environment=confinement.environment(settings, there)
        | {IMAGE_VARIABLE: _IMAGE, INPUTS_VARIABLE: inputs},
        environment_file=host_secrets.environment_path(settings),
        bind=_bind(settings.gateway.address),
        port=settings.gateway.port,
    )


def _bind(address: str) -> str:
    """Return OpenClaw's `gateway.bind` for the address that the gateway itself listens on."""
    return "loopback" if address == "127.0.0.1" else "lan"
