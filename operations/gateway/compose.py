"""The compose project: its files, and the container that runs what they say."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import container_user, engine_access, project
from operations.base import files, snapshot, templates
from operations.base.operation import operation
from operations.engine import uplink
from operations.engine_access import EngineWay
from operations.gateway import bridges, browser_network, secrets
from operations.images import stage as images
from operations.security import stage as security
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes, parse_mount

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_LABEL = re.compile(r'(?<=\n)( *openclaw-pyinfra\.project: ")[^"\n]*(?=")')
_OF_CLI = re.compile(
    r"    # Of openclaw-cli alone[^\n]*\n.*?(?=    profiles: \[cli\]\n)", re.DOTALL
)
"""What the digest leaves out: itself, and what is none of the gateway's."""
HOME, CLI_TMP = "/home/node", "/var/tmp"
ARCHIVES = f"{HOME}/Backups"
"""Where OpenClaw's documentation (install/backups) has archives."""
_CA_VARIABLES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO")


@snapshot.fact("compose")
@dataclass(frozen=True)
class HostCas:
    """Whether the host has a bundle of the certification authorities that it trusts."""

    there: bool = False

    @staticmethod
    def script(settings: Settings) -> str:
        return f"[ -s {CA_BUNDLE} ] && echo ca-bundle"

    @classmethod
    def parse(cls, lines: list[str]) -> HostCas:
        return cls("ca-bundle" in lines)

    def given(self, trusted: bool) -> bool:
        """Return whether the gateway gets it, if the settings trust the host."""
        return trusted and self.there


def base_file(settings: Settings) -> files.File:
    """Return docker-compose.yml, labelled with the digest of everything that the container gets."""
    return files.File(
        project.path(settings.project_directory, project.BASE), _render(settings, inputs(settings))
    )


def inputs(settings: Settings) -> str:
    """Return the digest of everything that the container gets.

    It changes with the user's override, the extra file and the values in `.env` too, so
    that a container with the same label needs no recreation, and plain `docker compose up -d`
    comes to the same conclusion.
    """
    extra = extra_file(settings)
    base, beside = _render(settings, inputs=""), _beside(settings)
    return _digest(base, extra.content if extra else "", beside, secrets.plan(settings).text)


def label(settings: Settings, base: str, extra: str, environment: str) -> str:
    """Return that digest of a gateway with the texts of two compose files and of `.env`, and with
    what else is on the host.
    """
    return _digest(base, extra, _beside(settings), environment)


def _beside(settings: Settings) -> tuple[str, str]:
    """Return the digests of what else the container gets: the user's override, its profiles."""
    override = files.found(project.path(settings.project_directory, project.OVERRIDE))
    return override.digest if override else "", security.Profiles(settings, "gateway").digest


def _digest(base: str, extra: str, beside: tuple[str, str], environment: str) -> str:
    override, profiles = beside
    unlabelled = _LABEL.sub(r"\1", _OF_CLI.sub("", base))
    parts = [unlabelled, extra, override, secrets.keyed_digest(environment), profiles]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def extra_file(settings: Settings) -> files.File | None:
    """Return docker-compose.extra.yml for extra mounts and the home volume; None without them."""
    mounts: list[dict[str, Any]] = []
    home, volume = settings.home_volume, None
    if home:
        is_path = home.startswith("/")
        volume = None if is_path else home
        kind = "bind" if is_path else "volume"
        mounts.append({"type": kind, "source": home, "target": "/home/node", "read_only": False})
    for mount in map(parse_mount, settings.extra_mounts):
        mounts.append(
            {
                "type": "bind",
                "source": mount.source,
                "target": mount.target,
                "read_only": mount.read_only,
            }
        )
    if not mounts:
        return None
    content = templates.render("compose/docker-compose.extra.yml.j2", mounts=mounts, volume=volume)
    return files.File(project.path(settings.project_directory, project.EXTRA), content)


def published_address(settings: Settings) -> str:
    address = ipaddress.ip_address(settings.gateway.address)
    return f"[{address}]" if address.version == 6 else str(address)


@operation
def configured(settings: Settings) -> Generator:
    """Write the compose files that differ, once Compose has accepted them all together.

    + settings: the settings of the host
    """
    if settings.gateway_on_host:
        host.noop("the gateway is a service of the host")
        return
    base, extra = base_file(settings), extra_file(settings)
    changed = [file for file in (base, extra, *people(settings)) if file and files.differs(file)]
    stale = project.path(settings.project_directory, project.EXTRA)
    remove = extra is None and files.found(stale) is not None
    if not changed and not remove:
        host.noop("the compose files are as they should be")
        return
    for file in changed:
        files.show_difference(file)
    yield StringCommand("sh -s", _stdin=[_install_script(settings, changed, remove)])


@deploy("Compose project")
def configure(settings: Settings) -> None:
    """Write docker-compose.yml and, for mounts and a home volume, docker-compose.extra.yml."""
    configured(name="Write the compose files", settings=settings)


def _render(settings: Settings, inputs: str) -> str:
    gateway = settings.gateway
    return templates.render(
        "compose/docker-compose.yml.j2",
        name=settings.name,
        uid=EngineWay(settings).uid,
        closed_home=not settings.home_volume and bool(people(settings)),
        image=images.tag(settings.name),
        environment=environment(settings),
        tmp_size=gateway.tmp_size,
        # A home volume keeps ~/.cache as well.
        cache_size=None if settings.home_volume else gateway.cache_size,
        pids_limit=gateway.pids_limit,
        memory=gateway.memory,
        cpus=gateway.cpus,
        limited=EngineWay(settings).limits,
        log_max_size=settings.engine.log_max_size,
        log_max_files=settings.engine.log_max_files,
        mounts=_mounts(settings),
        cli_mounts=[*_mounts(settings), *_mounts_of_cli(settings)],
        cli_environment={"TMPDIR": CLI_TMP} | environment(settings),
        cli_tmp=CLI_TMP,
        cli_directory=HOME if settings.home_volume else ARCHIVES,
        port=gateway.port,
        published=published_address(settings),
        front=settings.front_port,
        believes_proxy=settings.exposure.profile == "proxy",
        inputs=inputs,
        networks=_networks(settings),
        groups=groups(settings),
        security_options=security_options(settings),
    )


def _networks(settings: Settings) -> list[dict[str, Any]]:
    """Return the networks of the gateway; one without a bridge is made by others."""
    own = bridges.bridge(settings.name)
    found: list[dict[str, Any]] = [{"key": "default", "name": own, "bridge": own}]
    if wanted := browser_network.network(settings.name, settings.sandbox):
        bridge = bridges.browsers_bridge(settings.name, settings.sandbox)
        found.append({"key": "browsers", "name": wanted.name, "bridge": bridge})
    for one in found:
        one["form"] = uplink.form(EngineWay(settings), one["name"])
        one["subnet"] = uplink.subnet(one["name"])
    return found


def groups(settings: Settings) -> list[str]:
    """Return the container's further groups: the one that may use the engine's socket."""
    group = EngineWay(settings).group if settings.sandbox.enabled else None
    return [] if group is None else [str(group)]


def security_options(settings: Settings) -> list[str]:
    """Return the container's `security_opt`: with the gateway's own kernel profiles."""
    return ["no-new-privileges:true", *security.Profiles(settings, "gateway").options]


def _mounts(settings: Settings) -> list[dict[str, Any]]:
    state = "/home/node/.openclaw"
    pairs = [
        (settings.config_directory, state, False),
        (settings.workspace_directory, f"{state}/workspace", False),
        (settings.auth_directory, "/home/node/.config/openclaw", False),
    ]
    if snapshot.of(HostCas).given(settings.trust_host_cas):
        pairs.append((CA_BUNDLE, CA_BUNDLE, True))
    for file in people(settings):
        pairs.append((file.path, f"/etc/{file.path.rpartition('/')[2]}", True))
    if settings.sandbox.enabled:
        # The command line of OpenClaw has them too: `openclaw sandbox` asks the engine itself.
        pairs.append((EngineWay(settings).socket, engine_access.IN_GATEWAY, False))
        pairs.append((settings.security_directory, security.SECURITY_IN_GATEWAY, True))
    return [{"source": source, "target": target, "read_only": ro} for source, target, ro in pairs]


def _mounts_of_cli(settings: Settings) -> list[dict[str, Any]]:
    """Return what openclaw-cli has besides: where archives are, unless a home volume keeps them."""
    if settings.home_volume:
        return []
    return [{"source": settings.archives_directory, "target": ARCHIVES, "read_only": False}]


def people(settings: Settings) -> list[files.File]:
    """Return the files that name the container's user; none if the image does."""
    uid = EngineWay(settings).uid
    return (
        []
        if uid == engine_access.CONTAINER_USER
        else container_user.account_files(settings.project_directory, uid)
    )


def environment(settings: Settings) -> dict[str, str]:
    # Half of the limit for JavaScript; the rest is for native memory, the tmpfs and commands.
    heap = memory_bytes(settings.gateway.memory) // 2 >> 20
    variables = {
        "HOME": "/home/node",
        "TZ": settings.time_zone,
        "NODE_OPTIONS": f"--max-old-space-size={heap}",
        "OPENCLAW_GATEWAY_PORT": str(settings.gateway.port),
    }
    if snapshot.of(HostCas).given(settings.trust_host_cas):
        variables |= dict.fromkeys(_CA_VARIABLES, CA_BUNDLE)
    if settings.config_ownership == "managed":
        variables["OPENCLAW_CONFIG_READONLY"] = "1"
    return variables | settings.gateway.environment


def _install_script(settings: Settings, changed: Iterable[files.File], remove_extra: bool) -> str:
    return templates.render(
        "compose/install.sh.j2",
        docker=engine_access.environment(settings),
        project=settings.project_directory,
        files=[(file.path.rpartition("/")[2], file.content) for file in changed],
        names=project.compose_files(settings.project_directory, settings.mounts_more),
        remove=project.EXTRA if remove_extra else "",
    )
