"""What a process in the surroundings of a gateway that is a service of the host is given."""

from __future__ import annotations

import re
from dataclasses import dataclass

from operations import engine_access
from operations.base import snapshot
from operations.engine_access import EngineWay
from operations.gateway import compose
from operations.security import seccomp
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes, parse_mount

HOME = "/home/node"
TREE = "@TREE@"
"""Stands for the directory with the image's file system, which the host knows."""
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


def properties(settings: Settings, there: Places, proof: bool = False) -> list[str]:
    """Return what a process in the gateway's surroundings is given, as systemd's `KEY=VALUE`.

    systemd.exec(5) and systemd.resource-control(5). Not to be had: MemoryDenyWriteExecute
    (JavaScript's compiler), ProcSubset=pid (Node reads /proc/meminfo), and RestrictSUIDSGID, which
    refuses openat2, by which OpenClaw opens its state.
    """
    gateway, uid_gid = settings.gateway, EngineWay(settings).owner().split(":")
    owned = "uid={},gid={}".format(*uid_gid)
    found = [
        f"User={engine_access.service_name(settings.name)}",
        f"Group={engine_access.service_name(settings.name)}",
        f"RootDirectory={TREE}",
        "MountAPIVFS=yes",
        "WorkingDirectory=/app",
        f"UnsetEnvironment={' '.join(_SUPERVISOR)}",
        # The order is that of the mounts: what is inside another comes after it.
        f"TemporaryFileSystem=/tmp:rw,nosuid,nodev,mode=1777,size={gateway.tmp_size}",
        f"TemporaryFileSystem={HOME}:rw,nosuid,nodev,mode=0700,{owned},size={gateway.cache_size}",
        f"BindPaths={_quoted(there.state)}",
        f"BindPaths={_quoted(there.workspace)}",
        f"BindPaths={_quoted(there.auth)}:{HOME}/.config/openclaw",
        f"BindReadOnlyPaths={' '.join(f'-{path}' for path in _ETC)}",
    ]
    if snapshot.of(compose.HostCas).given(settings.trust_host_cas):
        found.append(f"BindReadOnlyPaths={compose.CA_BUNDLE}")
    if settings.sandbox.enabled:
        found += [
            f"BindPaths={_quoted(EngineWay(settings).socket)}:/run/docker.sock",
            f"BindReadOnlyPaths={_quoted(settings.security_directory)}:{security.SECURITY_IN_GATEWAY}",
        ]
    if not proof:
        for mount in map(parse_mount, settings.extra_mounts):
            kind = "BindReadOnlyPaths" if mount.read_only else "BindPaths"
            found.append(f"{kind}={_quoted(mount.source)}:{_quoted(mount.target)}")
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


def _quoted(path: str) -> str:
    """Return a path as one word of a list of systemd's."""
    return path if re.fullmatch(r"[A-Za-z0-9_./@+,=-]+", path) else f'"{path}"'


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
        *(f"--property={one}" for one in given if TREE not in one),
        f"--property=EnvironmentFile={environment_file}",
        *(f"--setenv={key}={value}" for key, value in wanted.items()),
    ]
