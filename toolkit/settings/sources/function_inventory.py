"""Hosts that a Python function returns, as in pyinfra's inventory functions.

    def production():
        return {"production": [("claw1", {"ssh_hostname": "203.0.113.7"}), "claw2"]}

The function returns groups: each a list of hosts, or a pair of such a list and the data of the
group. A host is a name, or a pair of a name and its data.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api.inventory import Inventory

from toolkit.settings.sources.errors import SettingsError, kind

SCHEMA = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"
REFERENCE = re.compile(SCHEMA)
RETURNS = "accepted: a dictionary of groups, each a list of hosts, or that list and data"
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Found:
    """What a function returned: the data of hosts by name, members and data of groups by name."""

    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, tuple[list[str], dict[str, Any]]] = field(default_factory=dict)

    def inventory(self, override_data: dict[str, Any]) -> Inventory:
        """Return them as an inventory."""
        return Inventory((list(self.hosts.items()), {}), override_data, **self.groups)


def call(reference: str, folder: Path | None = None) -> Found:
    """Return what the function `MODULE:FUNCTION` returns.

    The module is looked for in `folder`, the current directory, and where Python and the toolkit
    are.

    Raises:
        SettingsError: there is no such function, it failed, or what it returned is no inventory.
    """
    module_name, _, name = reference.partition(":")
    if not REFERENCE.fullmatch(reference):
        raise SettingsError(f"given {reference!r}; accepted: MODULE:FUNCTION")
    with _found_in(folder or Path.cwd(), Path.cwd(), ROOT):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise SettingsError(f"{reference}: no module named {error.name}") from None
        except (Exception, SystemExit) as error:
            raise SettingsError(f"{reference}: {_said(error)}") from None
        function = getattr(module, name, None)
        if not callable(function):
            raise SettingsError(f"{reference}: {module_name} has no function {name}")
        try:
            returned = function()
        except (Exception, SystemExit) as error:
            raise SettingsError(f"{reference}: {_said(error)}") from None
    try:
        return _read(returned)
    except ValueError as error:
        raise SettingsError(f"{reference} returned {error}; {RETURNS}") from None


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "it calls exit()"
    return f"{type(error).__name__}: {error}"


def _read(returned: Any) -> Found:
    if not isinstance(returned, dict):
        raise ValueError(kind(returned))
    found = Found()
    for group, value in returned.items():
        members, data = value if isinstance(value, tuple) and len(value) == 2 else (value, {})
        if not isinstance(members, (list, tuple)) or not isinstance(data, dict):
            raise ValueError(f"{kind(value)} as group {group}")
        names = []
        for member in members:
            host, own = member if isinstance(member, tuple) and len(member) == 2 else (member, {})
            if not isinstance(host, str) or not isinstance(own, dict):
                raise ValueError(f"{kind(member)} as a host of group {group}")
            found.hosts.setdefault(host, {}).update(own)
            names.append(host)
        found.groups[str(group)] = (names, dict(data))
    return found


@contextmanager
def _found_in(*folders: Path) -> Iterator[None]:
    before = [*sys.path]
    sys.path[:0] = dict.fromkeys(str(folder.resolve()) for folder in folders)
    try:
        yield
    finally:
        sys.path[:] = before
