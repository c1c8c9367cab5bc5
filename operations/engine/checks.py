"""What the preflight asks about the engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from operations import access, preflight
from operations.engine import daemon
from operations.engine.state import DEFAULT_SOCKETS, Engine, Plan, plan, version_to_be
from operations.packages import Packages
from operations.preflight import Problem
from operations.system import System
from toolkit.settings import Settings


@preflight.check
def engine_problems(settings: Settings, answers: dict[str, str]) -> Iterable[Problem]:
    if "engine" not in answers:
        return
    engine = Engine.parse(answers["engine"])
    there = Packages.parse(answers.get("packages", ""))
    system = System.parse(answers.get("system", ""))
    rootless = access.own_engine(settings)
    wanted = plan(settings, system, engine, there, rootless)
    yield from {
        "existing": existing_problems,
        "official": official_problems,
        "distro": distro_problems,
    }[wanted.source](settings, engine, there, wanted)
    if settings.engine.socket in DEFAULT_SOCKETS and not rootless:
        yield from others_problems(engine)
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


def others_problems(engine: Engine) -> Iterable[Problem]:
    """Yield why the host's own engine is not for the toolkit to install or start."""
    if engine.snap and not engine.installed:
        yield Problem(
            "the host's Docker Engine is a snap, which sees too little of the host, and a second"
            " engine would take its socket",
            "move what runs in it, and remove it (snap remove docker); the toolkit installs one",
        )
    if engine.running or not (engine.masked or (engine.disabled and engine.of_a_user)):
        return
    state = "masked" if engine.masked else "disabled"
    used = f" ({engine.of_a_user} is there)" if engine.of_a_user else ""
    yield Problem(
        f"docker.service is {state}, so the host's engine was switched off on purpose{used}",
        f"switch it on (systemctl {'unmask' if engine.masked else 'enable'} docker.service), or"
        " set sandbox.socket to rootless for an engine of the deployment's own",
    )


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


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
