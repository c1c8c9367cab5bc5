"""Where settings come from, and how the sources become one mapping per host."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_origin, get_type_hints

from pyinfra.api.arguments import AllArguments
from pyinfra.api.connectors import get_all_connectors
from pyinfra.api.host import Host

from toolkit.settings.sources.describe import type_at

Path = tuple[str, ...]

OVERRIDE = "--set or --data"
# Read by connectors, and missing in the metadata that they declare.
_UNDECLARED_CONNECTOR_KEYS = ("chroot_directory", "docker_container_id", "docker_image")


class Located(dict[str, Any]):
    """A mapping read from a file, with the line of each of its keys."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.lines: dict[str, int] = {}

    def where(self, key: str) -> str:
        """Return `FILE line N` for `key`."""
        line = self.lines.get(key)  # none: added by a connector
        return f"{self.file} line {line}" if line else self.file


TYPE_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    object: "anything",
}


@dataclass(frozen=True)
class Layer:
    """The settings of one source; `origin` says which, in words."""

    origin: str
    data: Mapping[str, Any]
    origins: Mapping[Path, str] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """Return in words where the top-level `key` comes from."""
        return self.data.where(key) if isinstance(self.data, Located) else self.origin


@dataclass
class Merged:
    """All layers of a host as one mapping, and the origin of everything in it."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)

    def origin(self, path: Iterable[str | int]) -> str | None:
        """Return in words where the value at `path` came from."""
        known = tuple(str(part) for part in path)
        while known and known not in self.origins:
            known = known[:-1]
        return self.origins.get(known)


@cache
def connector_types() -> dict[str, Any]:
    """Return the host data keys that pyinfra's connectors read, such as `ssh_port`, typed."""
    types: dict[str, Any] = dict.fromkeys(_UNDECLARED_CONNECTOR_KEYS, str)
    for connector in get_all_connectors().values():
        hints = get_type_hints(connector.data_cls)
        types |= {key: _named(hints.get(key)) for key in connector.data_meta}
    return types


@cache
def pyinfra_types() -> dict[str, Any]:
    """Return all host data keys that pyinfra reads, those of its operations (`_sudo`) too, typed.

    A password may also be an object that hides it.
    """
    arguments = {
        key: object if "password" in key else _named(hint)
        for key, hint in get_type_hints(AllArguments).items()
        if key.startswith("_")
    }
    return {**connector_types(), **arguments}


def _named(hint: Any) -> Any:
    accepted = get_origin(hint) or hint
    return accepted if accepted in TYPE_NAMES else object


def connector_value(key: str, text: str) -> Any:
    """Return the `text` of `--set KEY=TEXT` as pyinfra wants the key, if it can be."""
    accepted = pyinfra_types().get(key, str)
    if accepted in (str, object):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in (accepted, int if accepted is float else accepted) else text


def belongs_to_pyinfra(key: str) -> bool:
    """Return whether a key of host data is pyinfra's: a connector's, or its operations'."""
    return key in pyinfra_types()


def inventory_layers(host: Host) -> list[Layer]:
    """Return the layers of `host` that the inventory holds, lowest first.

    pyinfra's own `host.data` replaces a whole section where two layers have it; these are
    read one by one so that `merge` can combine them key by key.
    """
    inventory = host.inventory
    return [
        Layer("data of all hosts", inventory.get_data()),
        *(
            Layer(f"data of group {group}", inventory.get_group_data(group))
            for group in host.groups
        ),
        Layer("data of the host", inventory.get_host_data(host.name)),
    ]


def override_layer(overrides: Mapping[str, Any]) -> Layer:
    """Return the layer of `--set` and `--data`.

    Dots in keys lead into sections. Text stays as written where the model wants text, is split
    at commas (or read as JSON) where it wants a list, and is read as JSON where it wants a
    mapping or, inside of `openclaw`, anything.
    """
    data: dict[str, Any] = {}
    for key, value in overrides.items():
        if belongs_to_pyinfra(key):
            continue
        path = tuple(key.split("."))
        nested: Any = _parsed(path, value)
        for part in reversed(path):
            nested = {part: nested}
        data = merge([Layer("", data), Layer("", nested)]).data
    return Layer(OVERRIDE, data)


def merge(layers: Iterable[Layer]) -> Merged:
    """Combine layers, the highest last: mappings key by key, everything else replaced.

    A section, list or mapping without a value (`gateway:` and nothing below it) counts as
    not given.
    """
    merged = Merged()
    for layer in layers:
        _merge_into(merged, merged.data, layer.data, (), layer)
    return merged


def _merge_into(
    merged: Merged, target: dict[str, Any], source: Mapping[str, Any], path: Path, layer: Layer
) -> None:
    for key, value in source.items():
        if not path and isinstance(key, str) and belongs_to_pyinfra(key):
            continue
        here = (*path, str(key))
        expected = type_at(here)
        if value is None and expected and expected.is_container and not expected.optional:
            continue
        merged.origins[here] = layer.origins.get(here) or (
            source.where(key) if isinstance(source, Located) else layer.origin
        )
        # A reference to a credential is one value: `env` below and `file` above are not two.
        if isinstance(value, Mapping) and path != ("credentials",):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merge_into(merged, target[key], value, here, layer)
        else:
            target[key] = value


def _parsed(path: Path, value: Any) -> Any:
    expected = type_at(path)
    if not isinstance(value, str) or expected is None:
        return value
    if expected.optional and value in ("", "null"):
        return None
    if expected.is_list and not value.lstrip().startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    if expected.is_container or expected.base is Any:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
