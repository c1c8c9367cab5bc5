"""The environment variables of OpenClaw's own Docker set-up, as settings.

Names and meanings are those of `install/docker/environment-variables` in the documentation
that the `openclaw` release carries. An empty variable counts as not set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from toolkit.settings.sources.errors import Problem
from toolkit.settings.sources.layers import Layer, Path

Values = dict[str, Any]

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True)
class Variable:
    """A variable, the setting it means, and how its text becomes that setting's value.

    `read` returns values by dotted key (none: nothing changes) or raises ValueError with what
    is accepted.
    """

    name: str
    key: str
    meaning: str
    read: Callable[[str], Values]
    old_name: str | None = None


@dataclass(frozen=True)
class Environment:
    """What was found: a layer of settings, its problems, the keys of each variable, and a sentence
    for each variable of OpenClaw that has no effect.
    """

    layer: Layer
    problems: list[Problem]
    keys: dict[str, tuple[str, ...]]
    unused: list[str]


def read(environment: Mapping[str, str]) -> Environment:
    """Return the settings that `environment` holds."""
    data: dict[str, Any] = {}
    origins: dict[Path, str] = {}
    problems: list[Problem] = []
    keys: dict[str, tuple[str, ...]] = {}
    for variable in VARIABLES:
        names = [name for name in (variable.name, variable.old_name) if name]
        given = {name: text for name in names if (text := environment.get(name, "").strip())}
        if len(set(given.values())) > 1:
            problems.append(
                Problem(
                    None,
                    variable.key,
                    f"given twice in the environment, differently: {' and '.join(given)} "
                    "(its old name); accepted: one of the two",
                )
            )
        if len(set(given.values())) != 1:
            continue
        name, text = next(iter(given.items()))
        try:
            values = variable.read(text)
        except ValueError as error:
            problems.append(
                Problem(
                    None,
                    variable.key,
                    f"given {text!r} ({name} in the environment); accepted: {error}",
                )
            )
            continue
        keys[name] = tuple(values)
        for key, value in values.items():
            *sections, leaf = key.split(".")
            place = data
            for section in sections:
                place = place.setdefault(section, {})
            place[leaf] = value
            origins[tuple(key.split("."))] = f"{name} in the environment"
    unused = list(_unused(environment))
    return Environment(Layer("the environment", data, origins), problems, keys, unused)


def _unused(environment: Mapping[str, str]) -> Iterator[str]:
    names = [name for one in VARIABLES for name in (one.name, one.old_name) if name]
    for name in sorted(environment):
        if not name.startswith("OPENCLAW_") or name.startswith(OWN) or not environment[name]:
            continue
        if advice := NOT_SUPPORTED.get(name):
            yield f"{name} in the environment is not supported: {advice}"
        elif name not in names:
            close = get_close_matches(name, names, n=1, cutoff=0.8)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"{name} in the environment is not known here and has no effect{hint}"


def _text(key: str) -> Callable[[str], Values]:
    return lambda text: {key: text}


def _separated(key: str, separator: str | None) -> Callable[[str], Values]:
    return lambda text: {key: [item.strip() for item in text.split(separator) if item.strip()]}


def _image(text: str) -> Values:
    if text == "openclaw:local":
        return {}
    return {"gateway.source": "image", "gateway.image": text}


def _bind(text: str) -> Values:
    if text in ("lan", "auto"):
        return {}
    if text == "loopback":
        return {"gateway.address": "127.0.0.1"}
    raise ValueError(
        "lan, auto or loopback; to publish the port on another address set gateway.address"
    )


def _if_true(values: Values) -> Callable[[str], Values]:
    """Only an affirmative changes something, as in OpenClaw's own script."""

    def read(text: str) -> Values:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise ValueError(", ".join((*_TRUE, *_FALSE)))
        return values if text.lower() in _TRUE else {}

    return read


def _to_gateway(name: str, meaning: str) -> Variable:
    key = f"gateway.environment.{name}"
    return Variable(name, key, f"{meaning} Passed on to the gateway.", _text(key))


VARIABLES = (
    Variable(
        "OPENCLAW_IMAGE_APT_PACKAGES",
        "gateway.apt_packages",
        "Debian packages added to the image, separated by spaces.",
        _separated("gateway.apt_packages", None),
        old_name="OPENCLAW_DOCKER_APT_PACKAGES",
    ),
    Variable(
        "OPENCLAW_IMAGE_PIP_PACKAGES",
        "gateway.pip_packages",
        "Python packages added to the image, separated by spaces.",
        _separated("gateway.pip_packages", None),
    ),
    Variable(
        "OPENCLAW_INSTALL_BROWSER",
        "gateway.install_browser",
        "`1`, `true`, `yes` or `on`: Chromium in the image.",
        _text("gateway.install_browser"),
    ),
    Variable(
        "OPENCLAW_EXTRA_MOUNTS",
        "extra_mounts",
        "Bind mounts `source:target[:ro|rw]`, separated by commas.",
        _separated("extra_mounts", ","),
    ),
    Variable(
        "OPENCLAW_HOME_VOLUME",
        "home_volume",
        "Volume (or host path) that keeps `/home/node`.",
        _text("home_volume"),
    ),
    Variable(
        "OPENCLAW_IMAGE",
        "gateway.image",
        "Image to run instead of building one; also sets `gateway.source: image`. "
        "`openclaw:local`, its default, changes nothing.",
        _image,
    ),
    Variable(
        "OPENCLAW_GATEWAY_PORT",
        "gateway.port",
        "Published port; here it is the port inside the container too, so that every URL "
        "OpenClaw prints is right.",
        _text("gateway.port"),
    ),
    Variable(
        "OPENCLAW_GATEWAY_BIND",
        "gateway.address",
        "OpenClaw's bind mode inside the container, which is always `lan` here, or the published "
        "port would lead nowhere. `lan` and `auto` change nothing: the port stays published on "
        "`gateway.address`, loopback by default. `loopback` publishes on 127.0.0.1. `custom`, "
        "`tailnet` and addresses are refused: set `gateway.address`.",
        _bind,
    ),
    Variable(
        "OPENCLAW_CONFIG_DIR",
        "directories.config",
        "Directory on the host for OpenClaw's state.",
        _text("directories.config"),
    ),
    Variable(
        "OPENCLAW_WORKSPACE_DIR",
        "directories.workspace",
        "Directory on the host for the workspace.",
        _text("directories.workspace"),
    ),
    Variable(
        "OPENCLAW_AUTH_PROFILE_SECRET_DIR",
        "directories.auth",
        "Directory on the host for the key of the auth profiles.",
        _text("directories.auth"),
    ),
    Variable(
        "OPENCLAW_DOCKER_SOCKET",
        "engine.socket",
        "The engine's API socket on the host.",
        _text("engine.socket"),
    ),
    Variable(
        "OPENCLAW_TZ",
        "time_zone",
        "Time zone of the containers.",
        _text("time_zone"),
    ),
    Variable(
        "OPENCLAW_SKIP_ONBOARDING",
        "onboarding.enabled",
        "`1`, `true`, `yes` or `on`: no onboarding.",
        _if_true({"onboarding.enabled": False}),
    ),
    Variable(
        "OPENCLAW_SANDBOX",
        "sandbox.enabled",
        "`1`, `true`, `yes` or `on`: agents execute tools in sandboxes.",
        _if_true({"sandbox.enabled": True}),
    ),
    _to_gateway("OPENCLAW_DISABLE_BONJOUR", "`1`: no mDNS advertising, `0`: advertising."),
    _to_gateway("OPENCLAW_DISABLE_BUNDLED_SOURCE_OVERLAYS", "No overlays of plugin sources."),
    _to_gateway("OPENCLAW_OTEL_PRELOADED", "No second OpenTelemetry SDK."),
)
_SOURCE_BUILD = "nothing is compiled from OpenClaw's sources here"
NOT_SUPPORTED = {
    "OPENCLAW_EXTENSIONS": "install a plugin in the gateway, ./claw cli -- plugins install ID",
    "OPENCLAW_GATEWAY_TOKEN": "the token is made on the host, once; ./claw token prints it",
    "OPENCLAW_DOCKER_BUILD_NODE_OPTIONS": _SOURCE_BUILD,
    "OPENCLAW_DOCKER_BUILD_TSDOWN_MAX_OLD_SPACE_MB": _SOURCE_BUILD,
    "OPENCLAW_DOCKER_BUILD_SKIP_DTS": _SOURCE_BUILD,
}
"""Variables of OpenClaw's Docker set-up that have no effect here, and what to do instead."""
OWN = ("OPENCLAW_LAB_", "OPENCLAW_DEPLOY")
"""Beginnings of the toolkit's own variables."""
