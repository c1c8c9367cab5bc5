"""The gateway as a service of the host: a systemd unit under a user of its own (form `host`).

Its root directory is the file system of the gateway's image, laid out on the host and read-only to
it. State and workspace have the same path in there as on the host, since OpenClaw hands its own
paths to the engine when it makes a sandbox. Its user is whom user 1000 of a container is on the
host, so that gateway and sandboxes own the same files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import engine_access
from operations.base import files, snapshot, templates
from operations.base.operation import operation
from operations.base.quoting import Script, joined
from operations.engine_access import EngineWay
from operations.gateway import compose, host_secrets, secrets
from operations.gateway.confinement import (
    HOME,
    TREE,
    environment,
    places,
    properties,
    run_arguments,
)
from operations.images import stage as images
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes

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
    """Return the digest of everything that the gateway gets, beside its image."""
    return label(_render(settings, ""), secrets.plan(settings).text)


def label(unit: str, environment: str) -> str:
    """Return that digest of a gateway with the texts of a unit and of `.env`."""
    parts = [_LABEL.sub(r"\1", unit), secrets.keyed_digest(environment)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def unit(settings: Settings) -> files.File:
    """Return the unit; the swap fills in the image and its directory."""
    return files.File(unit_path(settings), _render(settings, inputs(settings)))


def shell(settings: Settings) -> Script:
    """Return the functions with which scripts on the host deal with the gateway."""
    there = places(settings)
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
        docker=joined(engine_access.environment(settings), shell(settings)),
        arguments=[
            *run_arguments(
                settings, places(settings), f"-{host_secrets.environment_path(settings)}"
            ),
            f"--property=BindPaths={archives}",
        ],
    )
    return files.File(program_path(settings), content)


def expected(settings: Settings) -> dict[str, str]:
    """Return what the loaded unit and the process must show, beside what says so by itself."""
    return {
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
        "process.Uid": EngineWay(settings).owner().split(":")[0],
    }


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [unit_path(settings), program_path(settings)] if engine_access.on_host(settings) else []


@snapshot.fact("service")
@dataclass(frozen=True)
class User:
    """The `uid:gid` of the service's user; '' while there is none, or no service."""

    owner: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        if not engine_access.on_host(settings):
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
    if not engine_access.on_host(settings):
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
        files=[(file.path, file.content) for file in changed],
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
    there = places(settings)
    return templates.render(
        "service/gateway.service.j2",
        deployment=settings.name,
        engine=f"{engine_access.user_name(settings.name)}.service",
        properties=properties(settings, there),
        environment=environment(settings, there)
        | {IMAGE_VARIABLE: _IMAGE, INPUTS_VARIABLE: inputs},
        environment_file=host_secrets.environment_path(settings),
        bind=bind(settings),
        port=settings.gateway.port,
    )


def bind(settings: Settings) -> str:
    """Return OpenClaw's `gateway.bind` for the address that the gateway itself listens on."""
    return "loopback" if settings.gateway.address == "127.0.0.1" else "lan"
