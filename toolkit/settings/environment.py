"""The environment variables of OpenClaw's own Docker set-up, as settings.

Names and meanings are those of `install/docker/environment-variables` in the documentation
that the `openclaw` release carries. An empty variable counts as not set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.settings.errors import Problem
from toolkit.settings.layers import Layer, Path

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
    """What was found: a layer of settings, its problems, and the keys of each variable."""

    layer: Layer
    problems: list[Problem]
    keys: dict[str, tuple[str, ...]]


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
            section, _, leaf = key.rpartition(".")
            (data.setdefault(section, {}) if section else data)[leaf] = value
            origins[tuple(key.split("."))] = f"{name} in the environment"
    return Environment(Layer("the environment", data, origins), problems, keys)


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


def _skip_onboarding(text: str) -> Values:
    if text.lower() in _TRUE:
        return {"onboarding.enabled": False}
    if text.lower() in _FALSE:
        return {}
    raise ValueError(", ".join((*_TRUE, *_FALSE)))


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
        _skip_onboarding,
    ),
)
