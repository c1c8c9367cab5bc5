"""From what the user typed after a verb to a pyinfra inventory, and back to `ssh` arguments."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra_cli.inventory import make_inventory

from toolkit.settings import functions
from toolkit.settings.layers import connector_value

ROOT = Path(__file__).resolve().parent.parent
LOCAL = "@local"
ACCEPTED = (
    "nothing or @local (this machine), HOST, USER@HOST, USER@HOST:PORT, [IPV6]:PORT, a name from "
    "~/.ssh/config, an inventory file (.yml, .yaml, .py), a function that returns one "
    "(MODULE:FUNCTION), or what pyinfra's connectors find (@terraform, @vagrant, @docker/ID)"
)
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s:/\[\]]+)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<bare6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
    r"|(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?))"
    r"(?::(?P<port>\d{1,5}))?"
)


class TargetError(PyinfraError):
    """The target names neither a host nor an inventory."""


@dataclass(frozen=True)
class Address:
    """Where a host is reached by SSH; None: as ~/.ssh/config or ssh's defaults say."""

    hostname: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `[USER@]HOST[:PORT]` names.

        Raises:
            TargetError: it is not of that form.
        """
        found = _ADDRESS.fullmatch(text)
        if not found:
            raise TargetError(f"target {text!r}: accepted are {ACCEPTED}")
        port = int(found["port"]) if found["port"] else None
        if port is not None and not 0 < port < 65536:
            raise TargetError(f"target {text!r}: port {port} is not between 1 and 65535")
        return cls(found["v6"] or found["bare6"] or found["host"], found["user"], port)

    def data(self) -> dict[str, Any]:
        """Return the host data that pyinfra's SSH connector reads."""
        data = {"ssh_hostname": self.hostname, "ssh_user": self.user, "ssh_port": self.port}
        return {key: value for key, value in data.items() if value is not None}


def parse_assignments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return the override data that `--set KEY=VALUE` gives; lists and mappings are JSON.

    Anything else stays a string, so that version `2026.10` is not a number; the settings model
    converts it. Raises `TargetError` for a pair without `=` or with malformed JSON.
    """
    data: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise TargetError(f"--set {pair}: must be KEY=VALUE, for example gateway.port=19000")
        if value[:1] in ("[", "{"):
            try:
                data[key] = json.loads(value)
            except ValueError as error:
                raise TargetError(f"--set {key}: {value} is not JSON: {error}") from None
        else:
            data[key] = connector_value(key, value)
    return data


def load_inventory(target: str | None, overrides: dict[str, Any]) -> Inventory:
    """Return the inventory a target names, with `overrides` as its override data.

    Raises:
        TargetError: it names none, or the inventory has no hosts.
    """
    text = target or LOCAL
    path = Path(text)
    if path.suffix in (".yml", ".yaml", ".py"):
        if not path.is_file():
            raise TargetError(f"inventory {text}: no such file")
        inventory = _from_file(path, overrides)
    elif text == LOCAL:
        inventory = make_inventory(str(ROOT / "inventories" / "local.py"), override_data=overrides)
    elif text.startswith("@"):
        inventory = _from_connector(text, overrides)
    elif functions.REFERENCE.fullmatch(text):
        inventory = functions.call(text).inventory(overrides)
    else:
        addresses = {part: Address.parse(part.strip()) for part in text.split(",")}
        names = [(address.hostname, address.data()) for address in addresses.values()]
        if len({name for name, _ in names}) < len(names):  # one machine, two ports or users
            names = [(part, address.data()) for part, address in addresses.items()]
        inventory = Inventory((names, {}), override_data=overrides)
    if not len(inventory):
        raise TargetError(f"target {text!r} has no hosts; accepted are {ACCEPTED}")
    return inventory


def _from_file(path: Path, overrides: dict[str, Any]) -> Inventory:
    if path.suffix == ".py":
        return make_inventory(str(path), override_data=overrides, cwd=str(Path.cwd()))
    from toolkit.settings.inventory import load_yaml_inventory

    inventory = load_yaml_inventory(path)
    inventory.override_data.update(overrides)
    return inventory


def _from_connector(text: str, overrides: dict[str, Any]) -> Inventory:
    try:
        return make_inventory(text, override_data=overrides, cwd=str(Path.cwd()))
    except Exception as error:
        raise TargetError(f"target {text}: {error or type(error).__name__}") from None


def is_local(host: Host) -> bool:
    """Return whether `host` is this machine, reached without SSH."""
    return host.name == LOCAL


def ssh_options(host: Host) -> list[str]:
    """Return the options with which the system's `ssh` reaches `host` as pyinfra does, then the
    destination (the last word).
    """
    data = host.data
    options: list[str] = []
    for flag, key in (("-p", "ssh_port"), ("-i", "ssh_key"), ("-F", "ssh_config_file")):
        if data.get(key):
            options += [flag, str(data.get(key))]
    if data.get("ssh_known_hosts_file"):
        options += ["-o", f"UserKnownHostsFile={data.get('ssh_known_hosts_file')}"]
    if data.get("ssh_strict_host_key_checking"):
        options += ["-o", f"StrictHostKeyChecking={data.get('ssh_strict_host_key_checking')}"]
    hostname = data.get("ssh_hostname") or host.name
    user = data.get("ssh_user")
    return [*options, f"{user}@{hostname}" if user else hostname]
