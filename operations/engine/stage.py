"""Docker Engine, Compose v2 and BuildKit."""

from __future__ import annotations

import re
from collections.abc import Generator
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.exceptions import PyinfraError

from operations import distributions, engine_access, packages
from operations.base import files, snapshot, templates
from operations.base.operation import operation
from operations.distributions import TITLES
from operations.engine import access_problems, apt_sources, daemon, preflight, rootless
from operations.engine.state import DEFAULT_SOCKETS, Engine, plan, version_to_be
from operations.engine_access import EngineWay
from operations.packages import Packages
from operations.system import System, release_of
from toolkit.settings import Settings, model

__all__ = [
    "access_problems",
    "configure",
    "engine_access",
    "install",
    "preflight",
    "proxies",
]


@files.managed_paths
def paths(settings: Settings) -> tuple[str, ...]:
    sources = (apt_sources.SOURCE, apt_sources.KEY, *apt_sources.BORROWED_FILES)
    return (*sources, daemon.PATH, daemon.PROXY_DROP_IN)


def proxies(engine: model.Engine, own_engine: bool) -> dict[str, str]:
    """Return the proxies that the daemon.json of the current host's engine has or will have, by its
    keys, with their logins; what it does not say is the engine's environment's.

    https://docs.docker.com/engine/daemon/proxy/#daemon-configuration
    """
    try:
        if own_engine:
            keys = daemon.desired(engine, {})
        elif engine.socket in DEFAULT_SOCKETS:
            there = snapshot.of(Engine)
            keys = daemon.desired(engine, _daemon_before(there), there.arguments)
        else:
            return {}
    except ValueError:  # named by the preflight
        return {}
    given = keys.get("proxies")
    found = given.items() if isinstance(given, dict) else ()
    return {key: value for key, value in found if isinstance(value, str)}


@deploy("Engine")
def install(settings: Settings) -> None:
    """Install Docker Engine, Compose v2 and BuildKit where they are missing, and start it."""
    borrowed_source_removed(name="Remove the Debian 13 source that only Debian 12 needs")
    installed(name="Install and start Docker Engine", settings=settings)
    rootless.started(name="Start the deployment's rootless engine", settings=settings)


@deploy("Engine configuration")
def configure(settings: Settings) -> None:
    """Merge daemon.json and name the engine's users."""
    configured(name="Merge daemon.json", settings=settings)
    users_added(name="Add the engine's users to the docker group", users=settings.engine.users)


@operation
def installed(settings: Settings) -> Generator:
    """Install the engine that the settings ask for, and make it run now and after a boot.

    + settings: of the host

    On a host without an engine, daemon.json is written first, so that the engine never runs
    without it. What the engine has stored is kept when another source's packages replace it.
    """
    without_root = EngineWay(settings).own_engine
    wanted = plan(
        settings, snapshot.of(System), snapshot.of(Engine), snapshot.of(Packages), without_root
    )
    if wanted.source == "existing":
        host.noop("the engine that is there is used")
        return
    fresh, had = not snapshot.of(Engine).installed, snapshot.of(Packages).versions
    if wanted.missing and wanted.source == "official":
        yield from _trust_docker(settings)
    if fresh and not without_root and _daemon_differs(settings):
        yield _write_daemon(settings)
    if wanted.missing:
        release = release_of(snapshot.of(System))
        if release and release.borrowed and any("/" in one for one in wanted.missing):
            told = apt_sources.borrowing(release, release.borrowed)
            yield _script("engine/borrowed.sh.j2", **told)
        yield packages.install_command([*wanted.missing, *(f"{name}-" for name in wanted.removed)])
    if without_root:
        if fresh:
            # Nobody has asked for an engine with root.
            units = ["docker.socket", "docker.service"]
            if not {"containerd", "containerd.io"} & had.keys():
                units.append("containerd.service")
            yield StringCommand("systemctl", "disable", "--now", *units)
        elif not wanted.missing:
            host.noop("the packages of a rootless engine are installed")
        return
    now = snapshot.of(Engine)
    if not now.running or not now.enabled:
        yield _service("start")
    elif not fresh and not wanted.missing:
        host.noop("the engine is installed and runs")
    if fresh and snapshot.of(Engine).previous is not None:
        yield _service("apply", "restart")


@operation
def borrowed_source_removed() -> Generator:
    """Remove the pinned source from a host that has become that release, which it would hold
    back.
    """
    if release := distributions.borrower(snapshot.of(System).codename):
        host.noop(f"the host is {TITLES[release.distribution]} {release.number}")
    else:
        yield from files.absent._inner(paths=apt_sources.BORROWED_FILES)


@operation
def configured(settings: Settings) -> Generator:
    """Merge daemon.json; a running engine reloads, or restarts if it must, only if that changed it.

    + settings: of the host
    """
    engine = snapshot.of(Engine)
    for problem in preflight.owner_problems(settings, engine):
        # What dockerd is told elsewhere shows only once it runs.
        raise PyinfraError(f"{problem.what}\n    fix: {problem.fix}")
    if EngineWay(settings).own_engine:
        host.noop("a rootless engine has its own configuration")
        return
    if settings.engine.socket not in DEFAULT_SOCKETS:
        host.noop("the engine at another socket has its own configuration")
        return
    if any(argument.startswith("--config-file") for argument in engine.arguments):
        host.noop("the engine was started with another configuration file")
        return
    if not engine.installed:
        host.noop("daemon.json is written when the engine is installed")
        return
    differs = _daemon_differs(settings)
    if not differs and engine.previous is None:
        host.noop("daemon.json is as it should be")
        return
    before, (after, _) = _daemon_before(engine), _daemon_after(settings, engine)
    if differs:
        yield _write_daemon(settings)
    yield _service("apply", daemon.activation(before, after))


@operation
def users_added(users: tuple[str, ...]) -> Generator:
    """Add users to the docker group, which makes them root on the host.

    + users: names of users that exist
    """
    missing = [user for user in users if user not in snapshot.of(Engine).members]
    if not missing:
        host.noop("the docker group has the users that the settings name")
    for user in missing:
        yield StringCommand(f"groupadd -rf docker && usermod -aG docker {quote(user)}")


def _trust_docker(settings: Settings) -> Generator:
    if snapshot.of(Engine).other_source:
        return
    yield from packages.trusted_key(
        apt_sources.KEY,
        url=f"{apt_sources.repository(settings, snapshot.of(System).distribution)}/gpg",
        fingerprint=apt_sources.FINGERPRINT,
        given=settings.engine.repository_key,
        setting="engine.repository_key",
    )
    source = apt_sources.docker(settings, snapshot.of(System))
    if files.differs(source):
        files.show_difference(source)
        yield files.write_command(source)


def _daemon_before(engine: Engine) -> dict:
    """Return what the engine last ran with: not what was written after it and never proved."""
    if engine.previous is None:
        return _keys(engine.daemon, daemon.PATH)
    return _keys(engine.previous, daemon.PREVIOUS)


def _keys(text: str | None, path: str) -> dict:
    if text and "://***@" in text:
        text = snapshot.read_quietly(host, f"cat {path}")
    return daemon.parse(text)


def _daemon_after(settings: Settings, engine: Engine) -> tuple[dict, files.File | None]:
    """Return daemon.json as it should be, and the drop-in for an engine too old for `proxies`."""
    keys = daemon.desired(settings.engine, _daemon_before(engine), engine.arguments, engine.swarm)
    version = version_to_be(settings, engine, snapshot.of(System), snapshot.of(Packages))
    if version >= daemon.PROXIES_SINCE or "proxies" not in keys:
        return keys, None
    content = daemon.proxy_drop_in(keys.pop("proxies"))
    return keys, files.File(daemon.PROXY_DROP_IN, content, mode="600", secret=True)


def _daemon_differs(settings: Settings) -> bool:
    engine = snapshot.of(Engine)
    keys, drop_in = _daemon_after(settings, engine)
    if engine.daemon is None or _keys(engine.daemon, daemon.PATH) != keys:
        return True
    return files.differs(drop_in) if drop_in else files.found(daemon.PROXY_DROP_IN) is not None


def _write_daemon(settings: Settings) -> StringCommand:
    engine = snapshot.of(Engine)
    keys, drop_in = _daemon_after(settings, engine)
    content = daemon.text(keys)
    secret = bool(re.search("://[^/]*@", content))
    files.show_difference(files.File(daemon.PATH, content, secret=secret))
    return _script(
        "engine/daemon.sh.j2",
        content=content,
        was=engine.digest,
        secret=secret,
        drop_in_path=daemon.PROXY_DROP_IN,
        drop_in=drop_in.content if drop_in else "",
    )


def _service(*words: str) -> StringCommand:
    return _script("engine/service.sh.j2", *words)


def _script(template: str, *words: str, **variables: object) -> StringCommand:
    return StringCommand("sh", "-s", "--", *words, _stdin=[templates.render(template, **variables)])
