"""Value types of the sandbox section: what each accepts, checked and said in words.

What they end up as are arguments of `docker create`, given by OpenClaw; the words and limits
are Docker's (docs: reference/cli/docker/container/run), refused here rather than at the first
turn of an agent, which is when OpenClaw would find out.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from toolkit.settings import validators
from toolkit.settings.types import Accepts

_CAPABILITIES = (
    "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE "
    "DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN "
    "MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID "
    "SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE "
    "SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM"
)
CAPABILITIES = frozenset(_CAPABILITIES.split())
"""capabilities(7), without `CAP_`."""

_ULIMITS = (
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending "
    "stack"
)
ULIMITS = tuple(_ULIMITS.split())
"""The names that Docker takes for `--ulimit`."""

GROUPS = {
    "group:runtime": ("exec", "process"),
    "group:fs": ("read", "write", "edit", "apply_patch"),
    "group:ui": ("browser", "canvas"),
    "group:openclaw": ("browser",),
}
"""What the toolkit has to know of OpenClaw's groups (docs: gateway/sandbox-vs-tool-policy-vs-
elevated, "Tool groups")."""

_TMPFS_FLAGS = (
    "rw ro exec noexec suid nosuid dev nodev sync async dirsync atime noatime diratime nodiratime "
    "relatime norelatime strictatime nostrictatime"
)
_TMPFS_VALUES = {
    "size": r"[1-9][0-9]*[kmgKMG%]?",
    "mode": r"[0-7]{3,4}",
    "uid": r"[0-9]+",
    "gid": r"[0-9]+",
    "nr_inodes": r"[0-9]+[kmgKMG]?",
    "nr_blocks": r"[0-9]+[kmgKMG]?",
}
_SYSTEM_DIRECTORIES = "/ /bin /boot /dev /etc /lib /lib64 /proc /run /sbin /sys /usr /var"
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True)
class TmpfsMount:
    """The parts of a `Tmpfs`; `size` in bytes, None where the kernel alone limits it."""

    path: str
    size: int | None


def parse_tmpfs(value: str) -> TmpfsMount:
    """Return the parts of a validated `Tmpfs`."""
    path, _, options = value.partition(":")
    for option in options.split(","):
        name, _, text = option.partition("=")
        if name == "size" and not text.endswith("%"):
            unit = {"k": 10, "m": 20, "g": 30}.get(text[-1].lower(), 0)
            return TmpfsMount(path, int(text.rstrip("kmgKMG")) << unit)
    return TmpfsMount(path, None)


def tool_matches(patterns: Iterable[str], tool: str) -> bool:
    """Return whether `tool` is named by one of a list of `ToolName`s."""
    return any(
        tool in GROUPS.get(pattern, ()) or fnmatchcase(tool, pattern.lower())
        for pattern in patterns
    )


def _tmpfs(value: str) -> str:
    path, colon, options = validators.plain_text(value).partition(":")
    path = validators.absolute_path(path)
    if path == "/":
        raise ValueError("it would hide the whole image")
    for option in options.split(",") if colon else ():
        name, equals, text = option.partition("=")
        known = _TMPFS_VALUES.get(name)
        if option in _TMPFS_FLAGS.split() or (equals and known and re.fullmatch(known, text)):
            continue
        raise ValueError(f"no option of a tmpfs: {option!r}")
    return f"{path}{colon}{options}"


def _capability(value: str) -> str:
    name = value.upper().removeprefix("CAP_")
    if name != "ALL" and name not in CAPABILITIES:
        raise ValueError("the kernel has no such capability")
    return name


def _ulimit(value: str) -> str:
    found = re.fullmatch(r"(-1|[0-9]{1,19})(?::(-1|[0-9]{1,19}))?", value)
    if not found:
        raise ValueError("not one or two whole numbers")
    soft, hard = int(found[1]), int(found[2] or found[1])
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError("the soft limit is above the hard one")
    return value


def _extra_host(value: str) -> str:
    name, colon, address = value.partition(":")
    if not colon or not _HOST_NAME.fullmatch(name):
        raise ValueError("not a host name and an address, separated by ':'")
    if address == "host-gateway":
        return value
    try:
        return f"{name}:{ipaddress.ip_address(address.strip('[]'))}"
    except ValueError:
        raise ValueError(f"{address!r} is not an IP address") from None


def _bind(value: str) -> str:
    if value.count(":") != 2:
        raise ValueError("not three parts separated by ':'")
    return validators.mount(value)


def _network(value: str) -> str:
    if value == "host":
        raise ValueError("it would give tools the host's network, loopback included")
    if value.startswith("container:"):
        raise ValueError("it would put tools into another container's network")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", value):
        raise ValueError("not the name of a network")
    return value


def _browser_network(value: str) -> str:
    if value == "none":
        raise ValueError("the browser's control port has to be published")
    if value == "bridge":
        raise ValueError(
            "a gateway in a container cannot be on it, and would not reach the browser"
        )
    return _network(value)


def _range(value: str) -> str:
    return str(ipaddress.ip_network(validators.network(value)))


def _workdir(value: str) -> str:
    path = validators.absolute_path(value)
    if posixpath.join("/", path.split("/")[1]) in _SYSTEM_DIRECTORIES.split():
        raise ValueError("the workspace would hide the image's own files")
    return path


AgentId = Annotated[
    str,
    StringConstraints(pattern="^[a-z0-9_][a-z0-9_-]{0,63}$"),
    Accepts("an agent's id: lower-case letters, digits, '_' and '-'"),
]
AddressRange = Annotated[
    str,
    AfterValidator(_range),
    Accepts("an IP address or a network in CIDR form, such as `172.21.0.1/32`"),
]
Bind = Annotated[
    str,
    AfterValidator(_bind),
    Accepts("SOURCE:TARGET:ro or SOURCE:TARGET:rw with absolute paths"),
]
BrowserNetwork = Annotated[
    str,
    AfterValidator(_browser_network),
    Accepts("the name of a bridge network that is there, of `docker network create`"),
]
Capability = Annotated[
    str, AfterValidator(_capability), Accepts("ALL or a capability such as `NET_RAW`")
]
ContainerNetwork = Annotated[
    str,
    AfterValidator(_network),
    Accepts("`none`, `bridge` or the name of a bridge network that is there"),
]
ContainerUser = Annotated[
    str,
    StringConstraints(pattern="^(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})$"),
    Accepts("UID:GID in numbers, such as `1000:1000`"),
]
ExtraHost = Annotated[
    str,
    AfterValidator(_extra_host),
    Accepts(
        "NAME:ADDRESS with an IP address (or `host-gateway`), such as `intern.example:10.0.0.5`"
    ),
]
ToolName = Annotated[
    str,
    StringConstraints(pattern=r"^(group:[a-z]+|[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127})$"),
    Accepts("a tool such as `exec`, a pattern such as `docs__*`, or a group such as `group:fs`"),
]
Tmpfs = Annotated[
    str,
    AfterValidator(_tmpfs),
    Accepts("PATH or PATH:OPTIONS, such as `/tmp:rw,nosuid,nodev,size=256m`"),
]
UlimitName = Annotated[
    str, StringConstraints(pattern=f"^({'|'.join(ULIMITS)})$"), Accepts(", ".join(ULIMITS))
]
UlimitValue = Annotated[
    str,
    AfterValidator(_ulimit),
    Accepts('SOFT or SOFT:HARD as text, in quotes: "1024:2048"; -1 is no limit'),
]
WorkDirectory = Annotated[
    str,
    AfterValidator(_workdir),
    Accepts("an absolute path outside of the system's directories"),
]
