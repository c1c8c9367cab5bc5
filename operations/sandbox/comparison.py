"""A sandbox's container as the engine describes it, beside what openclaw.json asks for.

What openclaw.json leaves out has OpenClaw's default (docs: gateway/config-agents/sandbox).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULTS: dict[str, Any] = {
    "image": "openclaw-sandbox:bookworm-slim",
    "workdir": "/workspace",
    "readOnlyRoot": True,
    "tmpfs": ["/tmp", "/var/tmp", "/run"],
    "network": "none",
    "user": "1000:1000",
    "capDrop": ["ALL"],
}
BROWSER_DEFAULTS = {
    "image": "openclaw-sandbox-browser:bookworm-slim",
    "network": "openclaw-sandbox-browser",
}


@dataclass(frozen=True)
class Knob:
    """One property of a container: as configured and as found, both as a person reads them."""

    name: str
    configured: str
    found: str
    right: bool


@dataclass(frozen=True)
class Surroundings:
    """What a container's description alone does not tell: the ids of images by tag, the text of
    the system call profiles by their path in the gateway, the engine's sockets on the host, and
    whose directories may be mounted (None: not looked at)."""

    images: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    sockets: frozenset[str] = frozenset()
    roots: tuple[str, ...] | None = None


def policy(configuration: Mapping[str, Any], agent: str) -> dict[str, Any]:
    """Return the effective `sandbox` of an agent: its own keys over those of all agents.

    Agents stand under `agents.entries.ID` or, in older releases, in `agents.list`.
    """
    agents = configuration.get("agents") or {}
    own = (agents.get("entries") or {}).get(agent) or {}
    for entry in agents.get("list") or []:
        if entry.get("id") == agent:
            own = entry
    return _over((agents.get("defaults") or {}).get("sandbox") or {}, own.get("sandbox") or {})


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    result = {**base, **own}
    if result.get("scope") == "shared":  # one container for all: no agent's own keys
        return {**result, **{key: base[key] for key in ("docker", "browser") if key in base}}
    for section in ("docker", "browser", "prune"):
        if section in base or section in own:
            result[section] = {**base.get(section, {}), **own.get(section, {})}
    limits = [part.get("docker", {}).get("ulimits", {}) for part in (base, own)]
    if any(limits):
        result["docker"]["ulimits"] = {**limits[0], **limits[1]}
    binds = [*base.get("docker", {}).get("binds", []), *own.get("docker", {}).get("binds", [])]
    if binds:
        result["docker"]["binds"] = list(dict.fromkeys(binds))
    return result


def compare(
    sandbox: Mapping[str, Any],
    container: Mapping[str, Any],
    around: Surroundings,
    browser: bool = False,
) -> list[Knob]:
    """Return every knob of a container (`docker inspect`), beside the effective `sandbox`."""
    return list(_knobs(sandbox, container, around, browser))


def _knobs(
    sandbox: Mapping[str, Any], container: Mapping[str, Any], around: Surroundings, browser: bool
) -> Iterable[Knob]:
    wanted = {**DEFAULTS, **(sandbox.get("docker") or {})}
    if browser:
        wanted |= BROWSER_DEFAULTS | {
            key: value
            for key, value in (sandbox.get("browser") or {}).items()
            if key in ("image", "network", "binds")
        }
    given = container.get("HostConfig") or {}
    config = container.get("Config") or {}
    yield from _image(wanted["image"], container, around)
    yield _same("user", wanted["user"], config.get("User") or "root")
    yield _same("read-only root", bool(wanted["readOnlyRoot"]), bool(given.get("ReadonlyRootfs")))
    yield _same("capabilities dropped", _words(wanted["capDrop"]), _words(given.get("CapDrop")))
    yield _same("capabilities added", "none", _words(given.get("CapAdd")))
    yield _same("privileged", False, bool(given.get("Privileged")))
    yield _same("network", wanted["network"], given.get("NetworkMode"))
    yield _same("pids", wanted.get("pidsLimit"), _limit(given.get("PidsLimit")))
    yield _same("memory", size(wanted.get("memory")), _limit(given.get("Memory")))
    yield _same("memory and swap", size(wanted.get("memorySwap")), _swap(wanted, given))
    cpus = (given.get("NanoCpus") or 0) / 1e9 or None
    yield _same("cpus", float(wanted["cpus"]) if wanted.get("cpus") else None, cpus)
    options = [str(option) for option in given.get("SecurityOpt") or []]
    yield _seccomp(wanted.get("seccompProfile"), options, around)
    yield _apparmor(wanted.get("apparmorProfile"), container)
    yield _same(
        "no-new-privileges", True, any(one.startswith("no-new-privileges") for one in options)
    )
    yield _same("tmpfs", _tmpfs(wanted["tmpfs"]), _tmpfs_found(given.get("Tmpfs")))
    yield _same("ulimits", _ulimits(wanted.get("ulimits")), _ulimits_found(given.get("Ulimits")))
    yield _same(
        "devices", "none", _words([one["PathOnHost"] for one in given.get("Devices") or []])
    )
    shared = [kind for kind in ("PidMode", "UTSMode") if given.get(kind)]
    if given.get("IpcMode") not in ("private", "none", ""):
        shared.append("IpcMode")
    yield _same("shared namespaces", "none", _words(shared))
    yield from _mounts(wanted, container, around)


def _image(tag: str, container: Mapping[str, Any], around: Surroundings) -> Iterable[Knob]:
    found = (container.get("Config") or {}).get("Image")
    yield _same("image", tag, found)
    current = around.images.get(tag)
    if current is not None:
        identifier = str(container.get("Image") or "")
        yield Knob("image id", _short(current), _short(identifier), identifier == current)


def _seccomp(path: str | None, options: list[str], around: Surroundings) -> Knob:
    inlined = next((one.removeprefix("seccomp=") for one in options if one[:8] == "seccomp="), None)
    if path is None:
        found = "the engine's default" if inlined is None else "a profile"
        return Knob("seccomp", "the engine's default", found, inlined is None)
    name = path.rpartition("/")[2]
    if inlined is None:
        return Knob("seccomp", name, "the engine's default", False)
    if path not in around.profiles:
        return Knob("seccomp", name, "a profile that cannot be compared", inlined != "unconfined")
    try:
        same = json.loads(inlined) == json.loads(around.profiles[path])
    except ValueError:
        return Knob("seccomp", name, "unreadable", False)
    return Knob("seccomp", name, "inlined" if same else "another profile", same)


def _apparmor(profile: str | None, container: Mapping[str, Any]) -> Knob:
    found = container.get("AppArmorProfile") or ""
    if profile is None:
        return Knob("apparmor", "no own profile", found or "none", found != "unconfined")
    return _same("apparmor", profile, found)


def _mounts(
    wanted: Mapping[str, Any], container: Mapping[str, Any], around: Surroundings
) -> Iterable[Knob]:
    mounts = container.get("Mounts") or []
    sources = [str(mount.get("Source") or "") for mount in mounts]
    sockets = [
        source for source in sources if source in around.sockets or source.endswith("docker.sock")
    ]
    yield _same("engine's socket", "none", _words(sockets))
    if around.roots is None:
        return
    binds = {bind.split(":")[0] for bind in wanted.get("binds") or []}
    strange = [
        source
        for source in sources
        if source not in binds
        and not any(source == root or source.startswith(f"{root}/") for root in around.roots)
    ]
    shown = [f"{mount['Destination']}{'' if mount.get('RW') else ' (ro)'}" for mount in mounts]
    yield Knob(
        "mounts",
        _words(["the workspace", *binds]),
        _words(strange or sorted(shown)),
        not strange,
    )


def size(value: object) -> int | None:
    """Return the bytes of what openclaw.json says for a limit of memory; None: no limit.

    OpenClaw hands the value to `docker create` as it is, so it is Docker's notation.
    """
    if value in (None, "", 0):
        return None
    text = str(value).strip().lower().removesuffix("b")
    shift = {"k": 10, "m": 20, "g": 30}.get(text[-1:])
    return int(float(text[:-1] if shift else text) * (1 << (shift or 0)))


def _swap(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> int | None:
    found = _limit(given.get("MemorySwap"))
    # Without a limit of its own, swap is as large as the memory: the engine's default.
    return None if wanted.get("memorySwap") is None else found


def _limit(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _same(name: str, configured: object, found: object) -> Knob:
    return Knob(name, _shown(name, configured), _shown(name, found), configured == found)


def _shown(name: str, value: object) -> str:
    if value is None:
        return "no limit" if name in ("pids", "memory", "memory and swap", "cpus") else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.startswith("memory"):
        return f"{value >> 20} MiB"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(values: Iterable[str] | None) -> str:
    return " ".join(sorted(values or ())) or "none"


def _tmpfs(entries: Iterable[str]) -> str:
    return _words(":".join(_tmpfs_entry(*entry.partition(":")[::2])) for entry in entries)


def _tmpfs_found(entries: Mapping[str, str] | None) -> str:
    return _words(":".join(_tmpfs_entry(*entry)) for entry in (entries or {}).items())


def _tmpfs_entry(path: str, options: str) -> list[str]:
    return [path, *([",".join(sorted(options.split(",")))] if options else [])]


def _ulimits(limits: Mapping[str, Any] | None) -> str:
    words = []
    for name, value in (limits or {}).items():
        if isinstance(value, Mapping):
            soft = value.get("soft", value.get("hard"))
            hard = value.get("hard", soft)
        else:
            soft, _, hard = str(value).partition(":")
            hard = hard or soft
        words.append(f"{name}={soft}:{hard}")
    return _words(words)


def _ulimits_found(limits: Iterable[Mapping[str, Any]] | None) -> str:
    return _words(f"{one['Name']}={one['Soft']}:{one['Hard']}" for one in limits or ())


def _short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12] or "none"
