"""The gateway as a service of the host: a systemd unit under a user of its own (form `host`).

Its root directory is the file system of the gateway's image, laid out on the host and read-only to
it. State and workspace have the same path in there as on the host, since OpenClaw hands its own
paths to the engine when it makes a sandbox. Its user is whom user 1000 of a container is on the
host, so that gateway and sandboxes own the same files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import (
    access,
    compose,
    files,
    images,
    private,
    project,
    secrets,
    security,
    snapshot,
    templates,
)
from operations.operation import operation
from operations.security import seccomp
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes, parse_mount

HOME = "/home/node"
IMAGE_VARIABLE, INPUTS_VARIABLE = "OPENCLAW_PYINFRA_IMAGE", "OPENCLAW_PYINFRA_INPUTS"
"""In the environment of the gateway's process: what it was started from."""
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
_IMAGE, _TREE = "@IMAGE@", "@TREE@"
_SUPERVISOR = ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID")
_ETC = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime")


@dataclass(frozen=True)
class Places:
    """The host directories that a gateway writes to."""

    state: str
    workspace: str
    auth: str


def places(settings: Settings) -> Places:
    """Return the directories of the deployment."""
    return Places(settings.config_directory, settings.workspace_directory, settings.auth_directory)


def unit_path(settings: Settings) -> str:
    """Return where the wanted unit is kept; the swap installs it."""
    return f"{settings.project_directory}/{access.service_name(settings)}.service"


def program_path(settings: Settings) -> str:
    return f"{settings.project_directory}/exec.sh"


def trees(settings: Settings) -> str:
    """Return the directory of the images' file systems, which only root may enter."""
    return f"/var/lib/{access.service_name(settings)}"


def inputs(settings: Settings) -> str:
    """Return the digest of everything that the gateway gets, beside its image."""
    parts = [_render(settings, ""), secrets.keyed_digest(secrets.plan(settings).text)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def unit(settings: Settings) -> files.File:
    """Return the unit; the swap fills in the image and its directory."""
    return files.File(unit_path(settings), _render(settings, inputs(settings)))


def properties(settings: Settings, there: Places, proof: bool = False) -> list[str]:
    """Return what a process in the gateway's surroundings is given, as systemd's `KEY=VALUE`.

    systemd.exec(5) and systemd.resource-control(5). Not to be had: MemoryDenyWriteExecute
    (JavaScript's compiler), ProcSubset=pid (Node reads /proc/meminfo), and RestrictSUIDSGID, which
    refuses openat2, by which OpenClaw opens its state.
    """
    gateway, uid_gid = settings.gateway, access.owner(settings).split(":")
    owned = "uid={},gid={}".format(*uid_gid)
    found = [
        f"User={access.service_name(settings)}",
        f"Group={access.service_name(settings)}",
        f"RootDirectory={_TREE}",
        "MountAPIVFS=yes",
        "WorkingDirectory=/app",
        f"UnsetEnvironment={' '.join(_SUPERVISOR)}",
        # The order is that of the mounts: what is inside another comes after it.
        f"TemporaryFileSystem=/tmp:rw,nosuid,nodev,mode=1777,size={gateway.tmp_size}",
        f"TemporaryFileSystem={HOME}:rw,nosuid,nodev,mode=0700,{owned},size={gateway.cache_size}",
        f"BindPaths={there.state}",
        f"BindPaths={there.workspace}",
        f"BindPaths={there.auth}:{HOME}/.config/openclaw",
        f"BindReadOnlyPaths={' '.join(f'-{path}' for path in _ETC)}",
    ]
    if compose.has_ca_bundle(settings):
        found.append(f"BindReadOnlyPaths={compose.CA_BUNDLE}")
    if settings.sandbox.enabled:
        found += [
            f"BindPaths={access.socket(settings)}:/run/docker.sock",
            f"BindReadOnlyPaths={security.directory(settings)}:{security.SECURITY_IN_GATEWAY}",
        ]
    if not proof:
        for mount in map(parse_mount, settings.extra_mounts):
            kind = "BindReadOnlyPaths" if mount.read_only else "BindPaths"
            found.append(f"{kind}={mount.source}:{mount.target}")
    found += [
        f"MemoryMax={memory_bytes(gateway.memory)}",
        "MemorySwapMax=0",
        f"TasksMax={gateway.pids_limit}",
        *([f"CPUQuota={round(gateway.cpus * 100)}%"] if gateway.cpus else []),
        "UMask=0077",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        "PrivateDevices=yes",
        "PrivateIPC=yes",
        "ProtectProc=invisible",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "LockPersonality=yes",
        "KeyringMode=private",
        "RemoveIPC=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallArchitectures=native",
    ]
    if settings.sandbox.seccomp == "own":
        # Libraries try newer calls first and do without where the kernel does not know them.
        found += [f"SystemCallFilter={' '.join(system_calls())}", "SystemCallErrorNumber=ENOSYS"]
    else:
        found.append("SystemCallFilter=@system-service")
    if proof:
        found.append("PrivateNetwork=yes")
    return found


def system_calls() -> list[str]:
    """Return the gateway's system calls, of both architectures; arguments are not looked at, which
    the other restrictions do for namespaces and socket families.
    """
    return sorted(
        {call for name in seccomp.ARCHITECTURES for call in seccomp.allowed("gateway", name)}
    )


def environment(settings: Settings, there: Places) -> dict[str, str]:
    """Return the variables of the gateway's process, without the secrets."""
    return {
        **compose.environment(settings),
        "OPENCLAW_STATE_DIR": there.state,
        "OPENCLAW_CONFIG_PATH": f"{there.state}/openclaw.json",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "NODE_ENV": "production",
        "LANG": "C.UTF-8",
        "DOCKER_HOST": "unix:///run/docker.sock",
        "npm_config_cache": f"{HOME}/.cache/npm",
    } | settings.gateway.environment


def run_arguments(
    settings: Settings, there: Places, environment_file: str, proof: bool = False
) -> list[str]:
    """Return the arguments with which `systemd-run` runs a command as the gateway is run, but for
    the root directory; a proof is without the network and what the user mounts and sets.
    """
    given = properties(settings, there, proof)
    wanted = environment(settings, there)
    if proof:
        own = settings.gateway.environment
        wanted = {key: value for key, value in wanted.items() if key not in own}
    return [
        *(f"--property={one}" for one in given if _TREE not in one),
        f"--property=EnvironmentFile={environment_file}",
        *(f"--setenv={key}={value}" for key, value in wanted.items()),
    ]


def shell(settings: Settings) -> str:
    """Return the functions with which scripts on the host deal with the gateway."""
    there = places(settings)
    return templates.render(
        "service/gateway.sh.j2",
        unit=access.service_name(settings),
        installed=access.service_unit(settings),
        wanted=unit_path(settings),
        program=program_path(settings),
        trees=trees(settings),
        image=images.tag(settings),
        port=settings.gateway.port,
        address=settings.gateway.address,
        mounts=[
            {"Type": "bind", "Source": path, "Destination": path}
            for path in (there.state, there.workspace)
        ],
        shown=SHOWN,
        tree_mark=_TREE,
        image_mark=_IMAGE,
        image_variable=IMAGE_VARIABLE,
        inputs_variable=INPUTS_VARIABLE,
        user=access.service_name(settings),
        home=HOME,
    )


def program(settings: Settings) -> files.File:
    """Return the script that runs a command as the gateway is run."""
    content = templates.render(
        "service/exec.sh.j2",
        docker=f"{project.shell_environment(settings)}\n{shell(settings)}",
        arguments=run_arguments(
            settings, places(settings), f"-{private.environment_path(settings)}"
        ),
    )
    return files.File(program_path(settings), content)


def expected(settings: Settings) -> dict[str, str]:
    """Return what the loaded unit and the process must show, beside what says so by itself."""
    return {
        "User": access.service_name(settings),
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
        "process.Uid": access.owner(settings).split(":")[0],
    }


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [unit_path(settings), program_path(settings)] if access.on_host(settings) else []


@snapshot.probe("service")
def service_probe(settings: Settings) -> str:
    if not access.on_host(settings):
        return ""
    name = quote(access.service_name(settings))
    return f'id -u {name} >/dev/null && echo "$(id -u {name}):$(id -g {name})"'


@operation
def configured(settings: Settings) -> Generator:
    """Make the gateway's user and write its unit, which the swap installs.

    + settings: the settings of the host
    """
    if not access.on_host(settings):
        host.noop("the gateway is a container")
        return
    wanted, owner = [unit(settings), program(settings)], access.owner(settings)
    changed = [file for file in wanted if files.differs(file)]
    if snapshot.read().get("service", "").strip() == owner and not changed:
        host.noop("the gateway's unit is as it should be")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "service/install.sh.j2",
        user=access.service_name(settings),
        owner=owner,
        home=settings.config_directory,
        files=[(file.path, file.content) for file in changed],
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
        engine=f"{access.user_name(settings)}.service",
        properties=properties(settings, there),
        environment=environment(settings, there)
        | {IMAGE_VARIABLE: _IMAGE, INPUTS_VARIABLE: inputs},
        environment_file=private.environment_path(settings),
        bind=bind(settings),
        port=settings.gateway.port,
    )


def bind(settings: Settings) -> str:
    """Return OpenClaw's `gateway.bind` for the address that the gateway itself listens on."""
    return "loopback" if settings.gateway.address == "127.0.0.1" else "lan"
