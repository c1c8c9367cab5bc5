"""Inventories in YAML.

    all:                        # settings of every host
      time_zone: Europe/Berlin
    groups:
      production:
        hosts: [claw1, claw2]
        settings:
          gateway: {version: "2026.9.6"}
    hosts:
      claw1:                    # pyinfra's connection data and settings
        ssh_hostname: 203.0.113.7
      claw2: {}
    rollout:                    # in which steps a run changes the hosts
      batch: 25%

With `function: MODULE:FUNCTION`, beside `hosts` or instead of it, a Python function says which
hosts and groups there are (see `functions`); what the file says of them goes over that.

`true` and `false` are the only booleans and nothing is a date, as in YAML 1.2; what looks like
a number and is meant as text (a version) has to be in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pyinfra.api.connectors import get_all_connectors
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.inventory import Inventory

from toolkit import own_files
from toolkit.settings import rollout
from toolkit.settings.sources import function_inventory
from toolkit.settings.sources.errors import SettingsError, kind
from toolkit.settings.sources.layers import Located

TOP_LEVEL = ("all", "groups", "hosts", "function", "rollout")
GROUP = ("hosts", "settings")
LONGEST_NUMBER = 100
GROUP_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
# pyinfra takes groups as keyword arguments, next to two of its own.
_RESERVED_GROUPS = ("all", "names_data", "override_data", "self")


def load_yaml_inventory(
    path: str | Path, override_data: Mapping[str, Any] | None = None
) -> Inventory:
    """Return the inventory that the YAML file at `path` describes.

    The settings in it are validated by `settings_for`, which names file and line.

    Raises:
        SettingsError: the file cannot be read, is no YAML, or is not of the form above; every
            error with its line.
    """
    reader = _Reader(str(path))
    parsed = _parse(Path(path))
    names, groups, data = reader.read(parsed)
    if reader.errors:
        raise SettingsError(
            f"inventory {path} is wrong; no host was touched\n"
            + "\n".join(f"  {error}" for error in reader.errors)
        )
    try:
        inventory = Inventory((names, data), override_data=dict(override_data or {}), **groups)
    except PyinfraError as error:
        raise SettingsError(f"inventory {path}: {error}") from None
    rollout.declare(inventory, parsed.get("rollout") or {})
    for name, host_data in names:
        # pyinfra copies the data of a host, which loses the lines.
        if inventory.host_data.get(name) == host_data:
            inventory.host_data[name] = host_data
    return inventory


class _Number(float):
    """A number with a fraction, shown as it was written: `2026.10` is not 2026.1."""

    def __new__(cls, written: str) -> _Number:
        number = super().__new__(cls, written)
        number.written = written
        return number

    written: str

    def __repr__(self) -> str:
        return self.written


class _Loader(yaml.SafeLoader):
    """YAML with the scalars of version 1.2, unique keys, and the line of each key."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def mapping(self, node: yaml.MappingNode) -> Located:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag != "tag:yaml.org,2002:merge":
                key = self._key(key_node)
                if key in seen:
                    raise _error(f"the key {key!r} is there twice", key_node)
                seen.add(key)
        self.flatten_mapping(node)
        result = Located(node.start_mark.name)
        for key_node, value_node in node.value:
            key = self._key(key_node)
            result[key] = self.construct_object(value_node, deep=True)
            result.lines[key] = key_node.start_mark.line + 1
        return result

    def number(self, node: yaml.ScalarNode) -> _Number:
        return _Number(node.value)

    def whole_number(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > LONGEST_NUMBER:
            raise _error(f"a number of {len(node.value)} digits", node)
        return int(node.value)

    def _key(self, node: yaml.Node) -> str:
        key = self.construct_object(node, deep=True)
        if not isinstance(key, str):
            raise _error("a key is not text: write it in quotes", node)
        return key


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
    ("merge", "<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole_number)


def _error(message: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, message, node.start_mark)


def _parse(path: Path) -> Any:
    try:
        text = own_files.read(path)
    except OSError as error:
        raise SettingsError(f"inventory {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"inventory {path} is not text in UTF-8") from None
    try:
        own_files.bounded(text)
        loader = _Loader(text)
        loader.name = str(path)
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise SettingsError(f"inventory {path}{own_files.said(error, text)}") from None


class _Reader:
    """Takes the parsed file apart, collecting everything that is not as it should be."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[str] = []

    def read(
        self, data: Any
    ) -> tuple[list[tuple[str, Located]], dict[str, tuple[list[str], Located]], Located]:
        """Return hosts, groups and the settings of all hosts, as pyinfra takes them."""
        empty = Located(self.file)
        if not isinstance(data, Located):
            self.errors.append(f"given {kind(data)}; accepted: a mapping with {_list(TOP_LEVEL)}")
            return [], {}, empty
        self._known_keys(data, "", TOP_LEVEL)
        hosts = self._mapping(data, "hosts", "")
        found = self._found(data)
        for name, own in found.hosts.items():
            hosts[name] = _over(own, self._mapping(hosts, name, "hosts."))
            hosts.lines.setdefault(name, data.lines["function"])
        if not hosts and not self.errors:
            self.errors.append("hosts: no hosts; accepted: at least one, such as `claw1: {}`")
        names: list[tuple[str, Located]] = []
        for name in hosts:
            if not name or re.search(r"[\s,]", name):
                self._wrong(
                    hosts, name, f"hosts.{name}: accepted: a name without spaces and commas"
                )
            elif name.startswith("@") and name[1:].partition("/")[0] not in get_all_connectors():
                known = _list(f"@{one}" for one in sorted(get_all_connectors()))
                self._wrong(hosts, name, f"hosts.{name}: no such connector; accepted: {known}")
            names.append((name, self._mapping(hosts, name, "hosts.")))
        groups: dict[str, tuple[list[str], Located]] = {}
        sections = self._mapping(data, "groups", "")
        for name in sections:
            group = self._mapping(sections, name, "groups.")
            if name in _RESERVED_GROUPS or not re.fullmatch(GROUP_NAME, name):
                self._wrong(
                    sections,
                    name,
                    f"groups.{name}: accepted: letters, digits, '_' and '-', and not "
                    + _list(_RESERVED_GROUPS, "or"),
                )
            self._known_keys(group, f"groups.{name}.", GROUP)
            members = self._members(group, name, hosts)
            groups[name] = (members, self._mapping(group, "settings", f"groups.{name}."))
        for name, (members, own) in found.groups.items():
            more, settings = groups.get(name, ([], empty))
            groups[name] = (list(dict.fromkeys([*members, *more])), _over(own, settings))
        steps = self._mapping(data, "rollout", "")
        for key, message in rollout.problems(steps):
            self._wrong(steps, key, f"rollout.{key}: {message}")
        return names, groups, self._mapping(data, "all", "")

    def _found(self, data: Located) -> function_inventory.Found:
        """Return what the function named in the file says."""
        reference = data.get("function")
        if reference is None:
            return function_inventory.Found()
        try:
            return function_inventory.call(str(reference), Path(self.file).parent)
        except SettingsError as error:
            self._wrong(data, "function", f"function: {error}")
            return function_inventory.Found()

    def _members(self, group: Located, name: str, hosts: Located) -> list[str]:
        members = group.get("hosts")
        if members is None:
            return []
        if not isinstance(members, list) or not all(isinstance(item, str) for item in members):
            self._wrong(group, "hosts", f"groups.{name}.hosts: accepted: a list of names of hosts")
            return []
        for member in members:
            if member not in hosts:
                close = get_close_matches(member, hosts, n=1)
                hint = (
                    f"did you mean {close[0]}?" if close else f"accepted: {_list(hosts) or 'none'}"
                )
                self._wrong(group, "hosts", f"groups.{name}.hosts: no such host: {member}; {hint}")
        return list(dict.fromkeys(members))

    def _mapping(self, parent: Located, key: str, prefix: str) -> Located:
        value = parent.get(key)
        if isinstance(value, Located):
            return value
        if value is not None:
            self._wrong(parent, key, f"{prefix}{key}: given {kind(value)}; accepted: a mapping")
        return Located(self.file)

    def _known_keys(self, data: Located, prefix: str, accepted: tuple[str, ...]) -> None:
        for key in data:
            if key not in accepted:
                self._wrong(data, key, f"{prefix}{key}: unknown key; accepted: {_list(accepted)}")

    def _wrong(self, parent: Located, key: str, message: str) -> None:
        self.errors.append(f"line {parent.lines[key]}: {message}")


def _over(below: Mapping[str, Any], above: Located) -> Located:
    """Return what a function gave and what the file says over it, section by section."""
    result = Located(above.file)
    result.lines = above.lines
    result.update(below)
    for key, value in above.items():
        under = below.get(key)
        both = isinstance(value, Located) and isinstance(under, Mapping)
        result[key] = _over(under or {}, value) if both else value
    return result


def _list(words: Any, last: str = "and") -> str:
    *most, final = [*words] or [""]
    return f"{', '.join(most)} {last} {final}" if most else final
