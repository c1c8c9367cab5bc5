"""Images through a registry: one that the settings name, or one that a host starts for the others.

The engines push and pull. The login of a registry travels on standard input to the engine's API,
so that it is in no argument and in no file of a host. Where a registry does not do, the image goes
from host to host as without one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pyinfra import host as current_host
from pyinfra import logger
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from operations import packages
from operations.base import preflight, snapshot
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.engine_access import EngineWay
from operations.images import scripts
from operations.images.sharing import groups, in_registry, port_forward, processes
from operations.images.sharing.groups import Group
from operations.images.sharing.in_registry import LOCAL, Stored
from operations.images.sharing.processes import ChannelError
from operations.packages import Packages
from operations.system import System
from toolkit import credentials, oci, patterns
from toolkit.greenlets import RLock
from toolkit.patterns import matches, shown
from toolkit.settings import Settings, settings_for

PACKAGE = "docker-registry"
"""Debian's package of the registry; its own service listens for everybody."""
_SERVER = "openclaw_registry_server"
_STORED = re.compile(
    rf"^stored (?P<digest>{patterns.DIGEST}) (?P<inputs>{patterns.INPUTS})"
    rf" (?:-|(?P<image>{patterns.DIGEST}))$",
    re.MULTILINE,
)


class RegistryError(PyinfraError):
    """A registry cannot take or give an image; the message says which one and why."""


@packages.known
def package(settings: Settings) -> tuple[str, ...]:
    return (PACKAGE,) if settings.images.registry.local else ()


@preflight.check
def login_problems(settings: Settings) -> Iterable[Problem]:
    if reference := settings.images.registry.password:
        try:
            credentials.read(reference)
        except credentials.CredentialError as error:
            yield Problem(f"images.registry.password: {error}", "set it, or remove the login")


@operation
def installed(settings: Settings) -> Generator:
    """Install Debian's docker-registry, on a host that is to give an image through its own.

    + settings: the settings of the host

    The package's own service, which listens on every address, is never started.
    """
    if not groups.serves() or _hindrance(settings):
        current_host.noop("no image is given through a registry of this host")
    elif PACKAGE in snapshot.of(Packages).versions:
        current_host.noop("docker-registry is installed")
    else:
        yield StringCommand("systemctl", "mask", f"{PACKAGE}.service")
        yield packages.install_command([PACKAGE])


def pushed(group: Group, giver: Host) -> Stored | None:
    """Return where the group's registry has the image of `giver`, which pushes it first if nobody
    has yet; None without a registry, and where it does not do.
    """
    if not group.registry:
        return None
    with group.pushing, ctx_host.use(giver):
        if group.stored is None and not group.silent:
            try:
                group.stored = _push(group, giver)
            except PyinfraError as error:
                group.silent = True
                logger.warning(
                    f"{giver.print_prefix}{group.tag} is not kept in a registry: {error}; it goes"
                    " from host to host"
                )
        return group.stored


def _push(group: Group, giver: Host) -> Stored:
    settings = settings_for(giver)
    local = group.registry == LOCAL
    if local and (hindrance := _hindrance(settings)):
        raise RegistryError(f"images.registry.local: {hindrance}")
    repository = in_registry.repository(group.registry, group.tag)
    script = scripts.render(
        "push.sh.j2",
        settings,
        image=group.sources[giver],
        repository=repository,
        architecture=group.architecture,
        directory=_directory(settings) if local else "",
        authorization=_authorization(settings),
    )
    try:
        said = processes.answer(giver, "sh -s", {}, script)
    except ChannelError as error:
        if local:
            raise RegistryError(f"images.registry.local: {error}") from None
        why = in_registry.reason(settings, str(error))
        raise RegistryError(f"{group.registry}: {why}") from None
    found = _STORED.search(said)
    if not found or found["inputs"] != group.inputs:
        raise RegistryError("it does not say that it has pushed the image that is wanted")
    digest, image = found["digest"], found["image"] or ""
    if not local:
        version = in_registry.version(group.inputs, group.architecture)
        try:
            in_registry.keep(settings, repository, version, digest)
        except oci.RegistryError as error:
            raise RegistryError(f"{group.registry}: {error}") from None
    return Stored(repository, digest, group.inputs, image, giver if local else None)


def pull(
    settings: Settings, kept: Stored, tag: str, probe: str, environment: dict[str, str]
) -> str:
    """Bring an image from a registry to the current host, and give it its tag; return its id.

    + probe: the script that a new image must pass

    Raises:
        RegistryError: the host did not get it.
    """
    host = groups.this()
    if kept.server and EngineWay(settings).own_engine:
        raise RegistryError(f"{kept}: {ROOTLESS}")
    try:
        with _within_reach(host, kept) as repository:
            script = scripts.render(
                "receive.sh.j2",
                settings,
                repository=repository,
                digest=kept.digest,
                image=kept.image,
                inputs=kept.inputs,
                tag=tag,
                probe=probe,
                authorization=_authorization(settings),
            )
            said = processes.answer(host, "sh -s", environment, script)
    except ChannelError as error:
        why = str(error) if kept.server else in_registry.reason(settings, str(error))
        raise RegistryError(f"{kept}: {why}") from None
    image = said.rpartition("received ")[2].strip()
    if not matches(patterns.DIGEST, image):
        raise RegistryError(f"{host}: {shown(image)} is not an image's id")
    return image


def _authorization(settings: Settings) -> str:
    """Return the login as the engine's API takes it.

    https://docs.docker.com/reference/api/engine/ (Authentication)
    """
    login = dict(zip(("username", "password"), in_registry.login(settings) or (), strict=False))
    return base64.urlsafe_b64encode(json.dumps(login).encode()).decode()


# A registry that a host starts for the others

ROOTLESS = "a rootless engine does not reach a registry on the loopback of its host"


def _hindrance(settings: Settings) -> str:
    """Return what keeps the current host from starting a registry, '' if nothing does."""
    if EngineWay(settings).own_engine:
        return ROOTLESS
    return "" if snapshot.of(System).systemd else "a registry is started on hosts with systemd only"


def _directory(settings: Settings) -> str:
    return f"{settings.project_directory}/images/registry"


@dataclass
class _Server:
    """The registry of a host, while somebody uses it: its port, and how it is stopped."""

    lock: RLock = field(default_factory=RLock)
    users: int = 0
    port: int = 0
    stop: Callable[[], None] = lambda: None


@contextmanager
def _within_reach(host: Host, kept: Stored) -> Iterator[str]:
    """Yield the repository of an image as the engine of `host` reaches it."""
    if kept.server is None:
        yield kept.repository
        return
    with _served(kept.server) as port, port_forward.forwarded(kept.server, port, host) as here:
        yield f"{port_forward.LOOPBACK}:{here}/{kept.repository}"


@contextmanager
def _served(giver: Host) -> Iterator[int]:
    """Run the registry of a host, one for all that use it; yield its port there."""
    server = giver.connector_data.setdefault(_SERVER, _Server())
    with server.lock:
        if not server.users:
            _start(server, giver)
        server.users += 1
    try:
        yield server.port
    finally:
        with server.lock:
            server.users -= 1
            if not server.users:
                server.stop()


def _start(server: _Server, giver: Host) -> None:
    with ctx_host.use(giver):
        script = scripts.render(
            "serve.sh.j2", settings_for(giver), directory=_directory(settings_for(giver))
        )
    said = b""
    with ExitStack() as stack:
        process = stack.enter_context(processes.process(giver, script, {}))
        while not said.endswith(b"\n") and len(said) < 100:
            more = process.read()
            if not more:
                process.finish()
                raise ChannelError("its registry ended")
            said += more
        server.stop = stack.pop_all().close
    if not matches(patterns.PORT, said.decode(errors="replace").strip()):
        server.stop()
        raise ChannelError("its registry does not say its port")
    server.port = int(said)
