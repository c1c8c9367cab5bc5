"""Whether a host's engine reaches a registry, and so where its base images come from."""

from __future__ import annotations

import re

from pyinfra import host, logger

from operations import engine_access
from operations.base import snapshot, templates
from operations.engine import stage as engine
from operations.engine_access import EngineWay
from toolkit.settings import Settings

OTHER_PROXY = "apt or the login reaches it, by a proxy that the engine does not have"
_CHOICE = "openclaw_base_images"


def choice(settings: Settings) -> str:
    """Return where base images come from on the current host: `registry` or `bootstrap`.

    Asked once per run, so that what is planned is what is done.
    """
    if settings.base_images != "auto":
        return settings.base_images
    if _CHOICE not in host.connector_data:
        answer = snapshot.run_quietly(host, reachability_script(settings)).strip()
        host.connector_data[_CHOICE] = "registry" if answer == "reachable" else "bootstrap"
        said = "can be reached" if answer == "reachable" else f"cannot be reached: {answer}"
        logger.info(
            f"{host.print_prefix}base images: {host.connector_data[_CHOICE]}"
            f" (the registry {settings.registry} {said})"
        )
    return host.connector_data[_CHOICE]


def silent(settings: Settings, reference: str) -> tuple[str, str] | None:
    """Return the registry of a reference and why it does not answer; None if it does."""
    answer = snapshot.run_quietly(host, reachability_script(settings, reference)).strip()
    return None if answer == "reachable" else (registry(reference), answer)


def registry(reference: str) -> str:
    """Return the registry's name in a reference: Docker Hub's, if it has none."""
    name, slash, _ = reference.partition("/")
    return name if slash and (re.search("[.:]", name) or name == "localhost") else "docker.io"


def reachability_script(settings: Settings, reference: str | None = None) -> str:
    """Return a script that says `reachable`, or why the engine cannot reach the registry of a
    reference; by default that of base images.
    """
    name = registry(reference or settings.registry)
    addresses = [f"https://{'registry-1.docker.io' if name == 'docker.io' else name}/v2/"]
    if re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|$)", name):
        addresses.append(f"http://{name}/v2/")  # the engine speaks plain HTTP to loopback
    if name == "docker.io":
        addresses += [f"{mirror.rstrip('/')}/v2/" for mirror in settings.engine.registry_mirrors]
    own = EngineWay(settings).own_engine
    given = engine.proxies(settings.engine, own)
    other = own or settings.engine.socket not in engine_access.DEFAULT_SOCKETS
    return templates.render(
        "images/reachable.sh.j2",
        addresses=addresses,
        docker=engine_access.environment(settings),
        # Of the host's own engine; another's process is not known.
        pid_file="/dev/null" if other else "/var/run/docker.pid",
        http=given.get("http-proxy", ""),
        https=given.get("https-proxy", ""),
        no=given.get("no-proxy", ""),
        other=OTHER_PROXY,
    )


def registry_fix(why: str) -> str:
    """Return what to do about a registry that does not answer, by the reason."""
    if OTHER_PROXY in why:
        return (
            "give the engine its proxy: set engine.daemon to {proxies: {http-proxy: URL,"
            " https-proxy: URL, no-proxy: NAMES}}"
        )
    return "check the name, the network and the engine's proxies (engine.daemon, key proxies)"
