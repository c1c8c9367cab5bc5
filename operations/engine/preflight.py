"""What the preflight asks about the engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from operations.base import preflight, snapshot
from operations.base.preflight import Problem
from operations.distributions import REMOVE
from operations.engine import apt_sources, daemon
from operations.engine.state import (
    DEFAULT_SOCKETS,
    Engine,
    Plan,
    plan,
    version_to_be,
)
from operations.engine_access import EngineWay
from operations.packages import Packages
from operations.system import IMAGES, Disk, System, disk_problems, release_of
from toolkit.patterns import shown
from toolkit.settings import Settings

PODMAN = "podman-docker"


@preflight.check
def engine_problems(settings: Settings) -> Iterable[Problem]:
    engine = snapshot.of(Engine)
    there, system = snapshot.of(Packages), snapshot.of(System)
    rootless = EngineWay(settings).own_engine
    wanted = plan(settings, system, engine, there, rootless)
    yield from {
        "existing": existing_problems,
        "official": official_problems,
        "distro": distro_problems,
    }[wanted.source](settings, engine, there, wanted)
    if settings.engine.socket in DEFAULT_SOCKETS:
        # The packages of an engine without root bring one with it, which is stopped at once.
        yield from snap_problems(engine)
        if not rootless:
            yield from others_problems(engine)
    if PODMAN in there.versions and wanted.missing and settings.engine.source != "official":
        yield Problem(
            f"{PODMAN} is installed, so that `docker` is Podman on the host, and would be replaced",
            f"remove it ({REMOVE} {PODMAN}; Podman and its containers stay), or set"
            " engine.source to official, which does",
        )
    yield from owner_problems(settings, engine)
    yield from login_problems(settings, engine)
    if images := images_disk(engine, settings, wanted):
        system = replace(system, disks={**system.disks, IMAGES: images})
    yield from disk_problems(settings, system)
    for path, text in ((daemon.PATH, engine.daemon), (daemon.PREVIOUS, engine.previous)):
        try:
            daemon.parse(text)
        except ValueError as error:
            yield Problem(f"{path} is not valid JSON: {error}", "correct it; it is left as it is")
    old = version_to_be(settings, engine, system, there) < daemon.PROXIES_SINCE
    if old and "proxies" in settings.engine.daemon and not system.systemd:
        yield Problem(
            "engine.daemon.proxies needs Docker Engine 23 or newer, or systemd",
            "set engine.source to official, or name the proxies in /etc/default/docker",
        )
    if engine.strangers:
        yield Problem(
            f"engine.users names {', '.join(engine.strangers)}, who is not a user of the host",
            "create the user, or take the name out of engine.users",
        )


def snap_problems(engine: Engine) -> Iterable[Problem]:
    """Yield that no engine can be installed beside a snap's, or work with that."""
    if engine.snap and not engine.installed:
        yield Problem(
            "the host's Docker Engine is a snap, which sees too little of the host, and a second"
            " engine would take its socket",
            "move what runs in it, and remove it (snap remove docker); the toolkit installs one",
        )


def others_problems(engine: Engine) -> Iterable[Problem]:
    """Yield why the host's own engine is not for the toolkit to start."""
    if engine.running or not engine.installed or not (engine.masked or engine.disabled):
        return
    state = "masked" if engine.masked else "disabled"
    used = f" ({engine.of_a_user} is there)" if engine.of_a_user else ""
    yield Problem(
        f"docker.service is {state}, so the host's engine was switched off on purpose{used}",
        f"switch it on (systemctl {'unmask' if engine.masked else 'enable'} docker.service"
        " docker.socket), or set sandbox.socket to rootless for an engine of the deployment's own",
    )


def owner_problems(settings: Settings, engine: Engine) -> Iterable[Problem]:
    """Yield why the engine's containers would have other ids than the state's owner."""
    if EngineWay(settings).own_engine:
        return
    own = "or set sandbox.socket to rootless for an engine of the deployment's own"
    try:
        told = bool(daemon.parse(engine.daemon).get("userns-remap"))
    except ValueError:
        told = False
    if "name=userns" in engine.security or (told and not engine.running):
        yield Problem(
            "the host's engine gives its containers other user ids (userns-remap), and the"
            " gateway's files would not be its own",
            f"take userns-remap out of {daemon.PATH} or of dockerd's options, {own}",
        )
    if "name=rootless" in engine.security:
        yield Problem(
            f"the engine at {settings.engine.socket} is a user's own, without root, whose"
            " containers have other user ids on the host: the gateway's files would not be its own",
            f"name the socket of an engine with root as engine.socket, {own}",
        )


def login_problems(settings: Settings, engine: Engine) -> Iterable[Problem]:
    """Yield which helper for root's logins at registries is not there: docker pulls without a
    login then, and BuildKit nothing.
    """
    named = (settings.gateway.image, settings.images.registry.address)
    for one in engine.helpers:
        helper, _, registry = one.partition(" ")
        if not registry or "docker.io" in registry or any(registry in str(name) for name in named):
            yield Problem(
                f"root's docker has its logins{f' for {shown(registry)}' if registry else ''} in"
                f" docker-credential-{shown(helper)}, which is not on the host",
                "install it, or take it (credsStore, credHelpers) out of root's"
                " .docker/config.json",
                stops=settings.gateway.source == "git",
            )


def images_disk(engine: Engine, settings: Settings, wanted: Plan) -> Disk | None:
    """Return the disk that images are stored on: since Docker 29 containerd's, on a new host."""
    try:
        told = daemon.desired(settings.engine, daemon.parse(engine.daemon)).get("features")
    except ValueError:
        told = None
    asked = told.get("containerd-snapshotter") if isinstance(told, dict) else None
    if engine.running and engine.installed:
        by_containerd = bool(engine.snapshotter) or asked is True
    else:
        by_containerd = asked if asked is not None else wanted.source == "official"
    return engine.stores.get("containerd" if by_containerd else "docker")


def existing_problems(
    settings: Settings, engine: Engine, there: Packages, wanted: Plan
) -> Iterable[Problem]:
    """Yield what keeps the engine that is there from being used."""
    socket = settings.engine.socket
    if not engine.running:
        yield Problem(
            f"no Docker Engine answers on {socket}",
            "start it, correct engine.socket, or set engine.source to auto, official or distro"
            if socket in DEFAULT_SOCKETS
            else "start it, or correct engine.socket",
        )
    elif engine.too_old():
        yield Problem(
            f"the engine that is there is not enough: {', '.join(engine.too_old())}",
            "upgrade it; or remove it and set engine.source to official or distro",
        )


def official_problems(
    settings: Settings, engine: Engine, there: Packages, wanted: Plan
) -> Iterable[Problem]:
    """Yield what keeps Docker's packages from being installed."""
    if not wanted.missing:
        return
    url, key = settings.engine.repository_url, settings.engine.repository_key
    if key and "BEGIN PGP PUBLIC KEY BLOCK" not in _text(key):
        yield Problem(
            f"engine.repository_key: {key} on this machine is not an OpenPGP key in text form",
            "correct the path; gpg --armor --export writes such a file",
        )
    if not key and not url.startswith("https://"):
        yield Problem(
            f"engine.repository_url is {url}: its signing key cannot be trusted without HTTPS",
            "use an https:// address, or give the key as engine.repository_key",
        )
    if not engine.installed and engine.repository != "reachable":
        yield Problem(
            f"Docker's repository {url} cannot be reached: {engine.repository}",
            "check network and engine.repository_url, or set engine.source to distro",
        )
    if engine.foreign_source:
        yield Problem(
            f"{apt_sources.SOURCE} is not the toolkit's, and apt does not use it",
            "switch it on or remove it, or set engine.source to distro",
        )
    if wanted.removed:
        stopping = f"; {engine.containers} running containers stop" if engine.containers else ""
        yield Problem(
            f"Docker's packages replace {', '.join(wanted.removed)}{stopping}",
            "what is in /var/lib/docker stays",
            stops=False,
        )


def distro_problems(
    settings: Settings, engine: Engine, there: Packages, wanted: Plan
) -> Iterable[Problem]:
    """Yield what keeps the distribution's packages from being installed."""
    if "docker-ce" in there.versions and wanted.missing:
        yield Problem(
            "engine.source is distro, but Docker's own packages are installed, which are newer",
            "set engine.source to existing, official or auto; or remove docker-ce first",
        )
    release = release_of(snapshot.of(System))
    if release is None or not release.component or not wanted.missing:
        return
    if there.components and release.component not in there.components:
        yield Problem(
            f"no apt source of the host has {release.component}, where {', '.join(release.engine)}"
            " are",
            f"add it (add-apt-repository {release.component}), or set engine.source to official",
        )


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
