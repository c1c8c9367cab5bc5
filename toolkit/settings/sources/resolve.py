"""From inventory data, `--set`, and environment variables to validated `Settings`.

Highest first: `--set` and pyinfra's `--data`; the environment variables of OpenClaw's own
Docker set-up; the inventory, host over groups over all; the defaults of the model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory

from toolkit import secret_names
from toolkit.settings.contradictions import general
from toolkit.settings.model import Settings
from toolkit.settings.sources import environment, machines
from toolkit.settings.sources.errors import Problem, SettingsError, given, kind, validate
from toolkit.settings.sources.layers import (
    OVERRIDE,
    TYPE_NAMES,
    Layer,
    Merged,
    inventory_layers,
    merge,
    override_layer,
    pyinfra_types,
)

__all__ = [
    "SettingsError",
    "layers_of",
    "resolved",
    "settings_for",
    "sources_in_use",
    "validate_inventory",
    "warnings_for",
]


@dataclass(frozen=True)
class _Known:
    settings: Settings
    sources: list[str]
    merged: Merged


_known: WeakKeyDictionary[Inventory, dict[str, _Known] | SettingsError] = WeakKeyDictionary()


def settings_for(host: Host) -> Settings:
    """Return the validated settings of `host`, the same object each time, and for hosts with the
    same settings.

    The first call validates every host of the inventory and logs what `warnings_for` says.

    Raises:
        SettingsError: naming, for all hosts, each key, what was given and what is accepted.
    """
    return _of(host).settings


def sources_in_use(host: Host) -> list[str]:
    """Return the environment variables that took effect: `OPENCLAW_X -> gateway.port`."""
    return _of(host).sources


def layers_of(host: Host) -> Merged:
    """Return the settings that were given for `host`, each with the source that won."""
    return _of(host).merged


def warnings_for(host: Host) -> list[str]:
    """Return what is allowed and yet rarely meant, such as a secret in plain text."""
    return list(general.warnings(settings_for(host)))


def validate_inventory(
    inventory: Inventory, variables: Mapping[str, str] | None = None
) -> dict[str, Settings]:
    """Return the settings of every host by name; `variables` defaults to the environment.

    Raises:
        SettingsError: as `settings_for`.
    """
    found = _validated(inventory, os.environ if variables is None else variables)
    return {name: known.settings for name, known in found.items()}


def resolved(settings: Settings) -> dict[str, Any]:
    """Return all settings as plain data to show: derived directories filled in, secrets hidden."""
    data = settings.model_dump(mode="json", exclude_none=False)
    for name in ("project", "config", "workspace", "auth"):
        data["directories"][name] = getattr(settings, f"{name}_directory")
    for values in (data["gateway"]["environment"], data["build"]["arguments"]):
        values.update(dict.fromkeys(values, secret_names.HIDDEN))
    references = [
        *data["credentials"].values(),
        data["images"]["registry"]["password"],
        data["backup"]["password"],
        *data["backup"]["environment"].values(),
    ]
    for reference in filter(None, references):
        for key, value in list(reference.items()):
            if value is None:
                del reference[key]
            elif key == "command":
                reference[key] = secret_names.HIDDEN
    data["openclaw"] = _hide(data["openclaw"])
    agents = settings.sandbox.agents.items()
    sandbox = data["sandbox"]
    sandbox["agents"] = {
        name: agent.model_dump(mode="json", exclude_unset=True) for name, agent in agents
    }
    for section in (sandbox, *sandbox["agents"].values()):
        values = section.get("container", {}).get("environment", {})
        values.update(dict.fromkeys(values, secret_names.HIDDEN))
    data["engine"]["daemon"] = _hide(data["engine"]["daemon"])
    shown: dict[str, Any] = _without_logins(data)
    return shown


def _without_logins(value: Any) -> Any:
    """Return plain data without the user and password that an address may have."""
    if isinstance(value, dict):
        return {key: _without_logins(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_logins(item) for item in value]
    return secret_names.without_login(value) if isinstance(value, str) else value


def leaves(
    data: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and value of everything in nested mappings that is not itself one."""
    for key, value in data.items():
        here = (*path, str(key))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, here)
        else:
            yield here, value


def _of(host: Host) -> _Known:
    inventory = host.inventory
    if inventory not in _known:
        try:
            found = _known[inventory] = _validated(inventory, os.environ)
        except SettingsError as error:
            _known[inventory] = error
        else:
            _warn(found)
    known = _known[inventory]
    if isinstance(known, SettingsError):
        raise known
    return known[host.name]


def _validated(inventory: Inventory, variables: Mapping[str, str]) -> dict[str, _Known]:
    from_environment = environment.read(variables)
    overrides = override_layer(inventory.get_override_data())
    overridden = merge([overrides]).origins
    sources = [
        f"{name} -> {key}"
        for name, keys in from_environment.keys.items()
        for key in keys or ("nothing changed",)
        if tuple(key.split(".")) not in overridden
    ]
    for sentence in from_environment.unused:
        logger.warning(sentence)
    problems: list[Problem] = list(from_environment.problems)
    found: dict[str, _Known] = {}
    same: dict[Settings, Settings] = {}
    reached = []
    for host in inventory:
        if wrong_connection := list(_connector_problems(host)):
            problems.extend(wrong_connection)
        else:
            reached.append(host)
        merged = merge([*inventory_layers(host), from_environment.layer, overrides])
        settings, wrong = validate(host.name, merged)
        problems.extend(wrong)
        if settings:
            found[host.name] = _Known(same.setdefault(settings, settings), sources, merged)
    valid = {name: known.settings for name, known in found.items()}
    problems.extend(machines.problems(reached, valid))
    if problems:
        raise SettingsError.of(problems)
    return found


def _connector_problems(host: Host) -> Iterator[Problem]:
    """Yield connection data of the wrong type, which pyinfra would find when it connects."""
    layers = [*inventory_layers(host), Layer(OVERRIDE, host.inventory.get_override_data())]
    for layer in layers:
        for key, accepted in pyinfra_types().items():
            value = layer.data.get(key)
            fits = isinstance(value, (int, float) if accepted is float else accepted)
            if key not in layer.data or (value is None and key.startswith("_")):
                continue
            if not fits or (isinstance(value, bool) and accepted is int):
                shown, fitting = kind(value), TYPE_NAMES[accepted]  # it may be a secret
            elif refused := _refused(key, value):
                shown, fitting = given(value), refused
            else:
                continue
            message = f"given {shown} ({layer.where(key)}); accepted: {fitting}"
            yield Problem(host.name, key, message)


def missing_key(host: Host) -> str | None:
    """Return what is wrong with the `ssh_key` of a host, if it is not there.

    No problem of its settings: whoever only looks at them needs no key.
    """
    layers = [*inventory_layers(host), Layer(OVERRIDE, host.inventory.get_override_data())]
    for layer in reversed(layers):
        if key := layer.data.get("ssh_key"):
            if _is_file(Path(key)):
                return None
            where = f"given {given(key)} ({layer.where('ssh_key')})"
            return f"ssh_key: {where}; accepted: a file on this machine"
    return None


def _refused(key: str, value: Any) -> str | None:
    """Return what is accepted for connection data, where `value` is not."""
    if key == "ssh_port" and not 0 < value < 65536:
        return "1 to 65535"
    if key == "ssh_config_file" and not _is_file(Path(value)):
        return "a file on this machine"
    # One that is not there yet is what `./claw trust` writes.
    if key == "ssh_known_hosts_file" and not _is_file(Path(value), to_be=True):
        return "a file on this machine, or a name for one in a directory that is there"
    if isinstance(value, (int, float)) and not 0 <= value < math.inf and key in pyinfra_types():
        return f"{TYPE_NAMES[pyinfra_types()[key]]} from 0"
    return None


def _is_file(path: Path, to_be: bool = False) -> bool:
    """Whether a path is a file, or could be made one."""
    try:
        path = path.expanduser()
        return path.is_file() or (to_be and path.parent.is_dir() and not path.exists())
    except (OSError, RuntimeError, ValueError):  # no permission, no such user, a NUL
        return False


def _warn(found: Mapping[str, _Known]) -> None:
    hosts: dict[str, list[str]] = {}
    for name, known in found.items():
        for warning in general.warnings(known.settings):
            hosts.setdefault(warning, []).append(name)
    for warning, names in hosts.items():
        logger.warning(f"{', '.join(names)}: {warning}")


def _hide(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _hide(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide(item, name) for item in value]
    if isinstance(value, str) and secret_names.plainly(name):
        return secret_names.HIDDEN
    return value
