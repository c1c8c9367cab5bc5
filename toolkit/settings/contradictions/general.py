"""What single values cannot tell: settings that contradict each other or are unsafe.

Pure functions over validated `Settings`. `problems` refuses, `warnings` only warns.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit import secret_names
from toolkit.settings.contradictions import channels, exposure, mounts, sandbox
from toolkit.settings.contradictions.mounts import Inconsistency
from toolkit.settings.model import STATE, Settings
from toolkit.settings.types import memory_bytes

OWNED_CONFIGURATION = {
    "gateway.mode": "always local",
    "gateway.bind": "always lan inside the container; set gateway.address",
    "gateway.port": "set gateway.port of the toolkit, outside of `openclaw`",
    "gateway.auth.mode": "set exposure",
    "gateway.auth.trustedProxy.userHeader": "set exposure.proxy.user_header",
    "gateway.auth.trustedProxy.requiredHeaders": "set exposure.proxy.required_headers",
    "gateway.auth.trustedProxy.allowUsers": "set exposure.proxy.users",
    "gateway.auth.trustedProxy.allowLoopback": "the proxy is on another machine",
    "gateway.auth.token": "made on the host; for credentials of your own set `credentials`",
    "gateway.auth.password": "the gateway uses a token",
    "gateway.controlUi.allowedOrigins": "set gateway.allowed_origins",
    "gateway.trustedProxies": "set gateway.trusted_proxies",
}
_OWNED_ENVIRONMENT = {
    "OPENCLAW_GATEWAY_TOKEN": "the token is made on the host",
    "OPENCLAW_GATEWAY_PASSWORD": "the gateway uses a token",
    "OPENCLAW_GATEWAY_PORT": "set gateway.port",
    "OPENCLAW_GATEWAY_BIND": "set gateway.address",
    "OPENCLAW_CONFIG_READONLY": "set config_ownership",
    "OPENCLAW_CONFIG_PATH": f"the state is always mounted at {STATE}",
    "OPENCLAW_STATE_DIR": f"the state is always mounted at {STATE}",
    "OPENCLAW_HOME": "the home is always /home/node",
    "OPENCLAW_PROFILE": "another gateway is another deployment: set name",
    "OPENCLAW_WORKSPACE_DIR": f"the workspace is always mounted at {STATE}/workspace",
    "HOME": "the home is always /home/node",
    "TZ": "set time_zone",
}
_OWNED_DAEMON = {
    "hosts": "the service's own options name the socket, and dockerd refuses both",
    "registry-mirrors": "set engine.registry_mirrors",
    "userns-remap": "the state would have another owner; sandbox.socket rootless goes further",
}


def problems(settings: Settings) -> Iterator[Inconsistency]:
    """Yield everything that keeps `settings` from being deployed."""
    yield from _gateway(settings)
    yield from _images(settings)
    yield from mounts.problems(settings)
    yield from sandbox.problems(settings)
    yield from _on_host(settings)
    yield from _environment(settings)
    yield from _backup(settings)
    yield from _watch(settings)
    yield from exposure.problems(settings)
    yield from channels.problems(settings)
    yield from _owned("openclaw", settings.openclaw, OWNED_CONFIGURATION)
    yield from _owned("engine.daemon", settings.engine.daemon, _OWNED_DAEMON)


def warnings(settings: Settings) -> Iterator[str]:
    """Yield `KEY: what to think about` for what is allowed and yet rarely meant."""
    for name, value in settings.gateway.environment.items():
        if value and secret_names.plainly(name):
            yield f"gateway.environment.{name}: looks like a secret; set it under `credentials`"
    for key, value in leaves(settings.openclaw):
        name = key.rpartition(".")[2]
        if isinstance(value, str) and value and secret_names.plainly(name):
            yield (
                f"openclaw.{key}: looks like a secret; set it under `credentials` and refer to it:"
                " {source: env, provider: default, id: NAME}"
            )
    address = settings.gateway.address
    if not ipaddress.ip_address(address).is_loopback:
        yield f"gateway.address: {address} can be reached from outside this host"
    yield from sandbox.warnings(settings)


def leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of everything in `data` that is not a mapping."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _gateway(settings: Settings) -> Iterator[Inconsistency]:
    gateway = settings.gateway
    memory = memory_bytes(gateway.memory)
    if memory < 2 << 30:
        yield Inconsistency(
            ("gateway.memory",),
            f"given {gateway.memory}: OpenClaw's own commands run inside this limit and are killed "
            "below 2g; accepted: 2g or more (3g is comfortable)",
        )
    elif memory_bytes(gateway.tmp_size) + memory_bytes(gateway.cache_size) >= memory:
        yield Inconsistency(
            ("gateway.memory", "gateway.tmp_size", "gateway.cache_size"),
            f"given {gateway.memory}: gateway.tmp_size ({gateway.tmp_size}) and gateway.cache_size "
            f"({gateway.cache_size}) count against it; accepted: more than both together",
        )
    if memory_bytes(gateway.cache_size) < 128 << 20:
        yield Inconsistency(
            ("gateway.cache_size",),
            f"given {gateway.cache_size}: it has to hold a copy of OpenClaw's database; "
            "accepted: 128m or more (512m is comfortable)",
        )
    for key, source in (("image", "image"), ("repository", "git"), ("ref", "git")):
        if (
            key in gateway.model_fields_set
            and getattr(gateway, key) is not None
            and "source" not in gateway.model_fields_set
        ):
            yield Inconsistency(
                (f"gateway.{key}", "gateway.source"),
                f"has no effect without gateway.source: {source}",
            )
    if gateway.source == "image":
        if gateway.image is None:
            yield Inconsistency(
                ("gateway.image", "gateway.source"), "missing; gateway.source: image needs it"
            )
        for key in ("apt_packages", "pip_packages", "install_browser"):
            if getattr(gateway, key):
                yield Inconsistency(
                    (f"gateway.{key}", "gateway.source"),
                    "nothing is built with gateway.source: image; choose npm or git, or an image "
                    "that has it",
                )
    if gateway.source == "git" and gateway.repository is None:
        yield Inconsistency(
            ("gateway.repository", "gateway.source"), "missing; gateway.source: git needs it"
        )


def _images(settings: Settings) -> Iterator[Inconsistency]:
    registry = settings.images.registry
    key = "images.registry"
    first = (registry.address or ":").partition("/")[0]
    if first != "localhost" and not {".", ":"} & set(first):
        yield Inconsistency(
            (f"{key}.address",),
            f"given {registry.address}: an engine takes that for a path at Docker Hub; accepted: "
            f"HOST[:PORT][/PATH] with a dot or a port in it, such as docker.io/{registry.address}",
        )
    if bool(registry.username) != bool(registry.password):
        given, missing = ("username", "password")[:: 1 if registry.username else -1]
        yield Inconsistency(
            (f"{key}.{missing}", f"{key}.{given}"), f"missing; {key}.{given} needs it"
        )
    if registry.username and not registry.address:
        yield Inconsistency(
            (f"{key}.username", f"{key}.address"), "has no effect without images.registry.address"
        )
    if not settings.images.share and registry.address:
        yield Inconsistency(
            (f"{key}.address", "images.share"),
            "has no effect with images.share: false; remove one of the two",
        )


def _on_host(settings: Settings) -> Iterator[Inconsistency]:
    """What a gateway that is a service of the host cannot have."""
    if not settings.gateway_on_host:
        return
    if settings.gateway.address not in ("127.0.0.1", "0.0.0.0"):
        yield Inconsistency(
            ("gateway.address", "sandbox.socket"),
            f"given {settings.gateway.address}: OpenClaw itself listens there with sandbox.socket "
            "host; accepted: 127.0.0.1 or 0.0.0.0",
        )
    if settings.home_volume:
        yield Inconsistency(
            ("home_volume", "sandbox.socket"),
            f"given {settings.home_volume}: with sandbox.socket host the gateway keeps its state "
            "alone; mount single directories with extra_mounts",
        )
    roots = [settings.sandbox.workspace_root]
    roots += [agent.workspace_root for agent in settings.sandbox.agents.values()]
    if any(roots):
        yield Inconsistency(
            ("sandbox.workspace_root", "sandbox.socket"),
            "with sandbox.socket host sandboxes have their workspaces in OpenClaw's own place",
        )
    if settings.sandbox.has_browser:
        yield Inconsistency(
            ("sandbox.browser.enabled", "sandbox.socket"),
            "sandboxed browsers need a gateway in a container: sandbox.socket rootless or socket",
        )


def _backup(settings: Settings) -> Iterator[Inconsistency]:
    backup = settings.backup
    if bool(backup.repository) != bool(backup.password):
        given, missing = ("repository", "password")[:: 1 if backup.repository else -1]
        yield Inconsistency(
            (f"backup.{missing}", f"backup.{given}"), f"missing; backup.{given} needs it"
        )
    for directory in (
        settings.project_directory,
        settings.config_directory,
        settings.workspace_directory,
        settings.auth_directory,
        settings.archives_directory,
    ):
        if f"{backup.repository}/".startswith(f"{directory}/"):
            yield Inconsistency(
                ("backup.repository",),
                f"given {backup.repository}: it is inside of {directory}, which is backed up; "
                "accepted: a directory outside of the deployment's",
            )
    for name in backup.environment:
        if name in ("RESTIC_PASSWORD", "RESTIC_PASSWORD_COMMAND", "RESTIC_PASSWORD_FILE"):
            yield Inconsistency((f"backup.environment.{name}",), "set backup.password")
        elif name.startswith("RESTIC_REPOSITORY"):
            yield Inconsistency((f"backup.environment.{name}",), "set backup.repository")


def _watch(settings: Settings) -> Iterator[Inconsistency]:
    notify = settings.watch.notify
    for key in ("cooldown", "daily"):
        if notify.address is None and key in notify.model_fields_set and getattr(notify, key):
            yield Inconsistency(
                (f"watch.notify.{key}", "watch.notify.address"),
                "has no effect without watch.notify.address",
            )


def _environment(settings: Settings) -> Iterator[Inconsistency]:
    for section, names in (
        ("gateway.environment", settings.gateway.environment),
        ("credentials", settings.credentials),
    ):
        for name in names:
            if name in _OWNED_ENVIRONMENT:
                yield Inconsistency(
                    (f"{section}.{name}",), f"belongs to the toolkit: {_OWNED_ENVIRONMENT[name]}"
                )
    for name in sorted(settings.gateway.environment.keys() & settings.credentials.keys()):
        yield Inconsistency(
            (f"gateway.environment.{name}", f"credentials.{name}"),
            "is under `credentials` too; remove one of the two",
        )


def _owned(
    section: str, data: Mapping[str, Any], owned: Mapping[str, str]
) -> Iterator[Inconsistency]:
    for key in data:
        if "." in key:
            yield Inconsistency(
                (f"{section}.{key}",), "a key with dots: write it as nested mappings"
            )
    for path, pointer in owned.items():
        value: Any = data
        for part in path.split("."):
            if not isinstance(value, Mapping):
                # A scalar where a mapping belongs would replace what the toolkit owns below it.
                parent = path.rpartition(".")[0]
                yield Inconsistency((f"{section}.{parent}",), "accepted: a mapping")
                break
            if part not in value:
                break
            value = value[part]
        else:
            yield Inconsistency((f"{section}.{path}",), f"belongs to the toolkit: {pointer}")
