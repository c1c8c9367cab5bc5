"""daemon.json: what the toolkit and the settings add to what is there. Pure functions.

https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
"""

from __future__ import annotations

import json
from typing import Any

from toolkit.merging import merge
from toolkit.settings.model import Engine

PATH = "/etc/docker/daemon.json"
PREVIOUS = f"{PATH}.openclaw-previous"
PROXY_DROP_IN = "/etc/systemd/system/docker.service.d/openclaw-proxy.conf"
PROXIES_SINCE = (23,)
"""The first engine whose daemon.json may have `proxies`; older ones take the environment."""
ROTATING = ("json-file", "local")
# https://docs.docker.com/reference/cli/dockerd/#configuration-reload-behavior
RELOADABLE = {
    "authorization-plugins",
    "debug",
    "default-runtime",
    "insecure-registries",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "registry-mirrors",
    "runtimes",
    "shutdown-timeout",
}


def parse(text: str | None) -> dict[str, Any]:
    """Return the keys of a daemon.json; none if the file is absent or empty.

    Raises:
        ValueError: it is not a JSON object; the message names the line.
    """
    if text is None or not text.strip():
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    if not isinstance(found, dict):
        raise ValueError("line 1: not a JSON object")
    return found


def desired(
    engine: Engine,
    current: dict[str, Any],
    arguments: tuple[str, ...] = (),
    swarm: bool = False,
) -> dict[str, Any]:
    """Return daemon.json as it should be.

    What the settings name wins over `current`; the toolkit's own defaults (bounded logs,
    live-restore) only fill in what neither names, nor the daemon's command line: dockerd refuses
    a key that is given both ways.
    """
    asked = explicit(engine)
    driver = asked.get("log-driver") or current.get("log-driver") or "json-file"
    defaults: dict[str, Any] = {"log-driver": driver}
    if driver in ROTATING:
        defaults["log-opts"] = {
            "max-size": engine.log_max_size,
            "max-file": str(engine.log_max_files),
        }
    if not swarm:
        defaults["live-restore"] = True
    given = {argument.partition("=")[0].lstrip("-") for argument in arguments}
    given |= {f"{option}s" for option in given}  # --log-opt is log-opts in the file
    defaults = {key: value for key, value in defaults.items() if key not in given}
    merged = merge(merge(defaults, current), asked)
    if driver not in ROTATING:
        for key in ("max-size", "max-file"):
            merged.get("log-opts", {}).pop(key, None)
    return merged


def explicit(engine: Engine) -> dict[str, Any]:
    """Return the keys that the settings name, rather than leave at their defaults."""
    named = engine.model_fields_set
    asked: dict[str, Any] = {}
    if engine.registry_mirrors:
        asked["registry-mirrors"] = list(engine.registry_mirrors)
    if engine.daemon.get("log-driver", "json-file") in ROTATING:
        bounds = {}
        if "log_max_size" in named:
            bounds["max-size"] = engine.log_max_size
        if "log_max_files" in named:
            bounds["max-file"] = str(engine.log_max_files)
        if bounds:
            asked["log-opts"] = bounds
    return merge(asked, engine.daemon)


def text(keys: dict[str, Any]) -> str:
    """Return daemon.json as it is written: in the order of its keys, with a final newline."""
    return json.dumps(keys, indent=2, ensure_ascii=False) + "\n"


def activation(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return how a running engine takes up a change: `reload` or `restart`.

    Without a difference, what a killed run left undone is unknown, and a restart does it all.
    """
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return "reload" if changed and changed <= RELOADABLE else "restart"


def proxy_drop_in(proxies: dict[str, str]) -> str:
    """Return the systemd drop-in that says to an old engine what `proxies` says to a new one.

    https://docs.docker.com/engine/daemon/proxy/#systemd-unit-file
    """
    lines = ["# Made by openclaw-pyinfra from engine.daemon.proxies.", "[Service]"]
    for key, value in sorted(proxies.items()):
        name = key.upper().replace("-", "_")
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        lines.append(f'Environment="{name}={escaped}"')
    return "\n".join(lines) + "\n"
