"""From what the user typed after a verb to a pyinfra inventory, and back to `ssh` arguments."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pyinfra.api.connectors import get_all_connectors
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.connectors.local import LocalConnector

from commandline.errors import cause
from toolkit import lockfile, pyinfra_internals
from toolkit.pyinfra_internals import make_inventory
from toolkit.settings import rollout
from toolkit.settings.sources import function_inventory
from toolkit.settings.sources.layers import connector_types, connector_value

ROOT = Path(__file__).resolve().parent.parent
LOCAL = "@local"
FAILED = "@failed"
SUFFIXES = (".yml", ".yaml", ".py")
ACCEPTED = (
    "nothing or @local (this machine), HOST, USER@HOST, USER@HOST:PORT, [IPV6]:PORT, a name from "
    "~/.ssh/config, an inventory file (.yml, .yaml, .py), a function that returns one "
    "(MODULE:FUNCTION), or what pyinfra's connectors find (@terraform, @vagrant, @docker/ID)"
)
_ADDRESS = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@\s:/\[\]-][^@\s:/\[\]]*)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]"
    r"|(?P<bare6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?)"
    r"|(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9._+/-]*[A-Za-z0-9_])?))"
    r"(?::(?P<port>\d{1,5}))?/?"
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
            except RecursionError:
                raise TargetError(f"--set {key}: it is nested too deeply") from None
            except ValueError as error:
                shown = value if len(value) < 200 else f"{value[:100]}..."
                raise TargetError(f"--set {key}: {shown} is not JSON: {error}") from None
        else:
            data[key] = connector_value(key, value)
    return data


def load_inventory(target: str | None, overrides: dict[str, Any]) -> Inventory:
    """Return the inventory a target names, with `overrides` as its override data.

    Raises:
        TargetError: it names none, or the inventory has no hosts.
    """
    text = LOCAL if target is None else target
    if not text.strip():
        raise TargetError(
            "the target is empty, as of a variable that is not set; for this machine leave it out, "
            f"else accepted are {ACCEPTED}"
        )
    with redirect_stdout(sys.stderr):  # what an inventory's own code prints is no answer of ours
        inventory = _loaded(text, overrides)
    if not len(inventory):
        raise TargetError(f"target {text!r} has no hosts; accepted are {ACCEPTED}")
    return inventory


def _loaded(text: str, overrides: dict[str, Any]) -> Inventory:
    path = Path(text)
    if path.suffix in SUFFIXES:
        _need_file(path)
        inventory = _from_file(path, overrides)
        lockfile.declare(inventory, path)
    elif text == LOCAL:
        inventory = make_inventory(str(ROOT / "inventories" / "local.py"), override_data=overrides)
    elif text.startswith("@"):
        inventory = _from_connector(text, overrides)
    elif function_inventory.REFERENCE.fullmatch(text):
        inventory = function_inventory.call(text).inventory(overrides)
    elif "/" in text and os.path.exists(text):  # noqa: PTH110 # Path's refuses long names
        raise TargetError(f"target {text}: it is no inventory; accepted are {ACCEPTED}")
    else:
        if not all(part.strip() for part in text.split(",")):
            raise TargetError(f"target {text!r}: a name is empty; accepted are {ACCEPTED}")
        addresses = {part: Address.parse(part.strip()) for part in text.split(",")}
        names = [(address.hostname, address.data()) for address in addresses.values()]
        if len({name for name, _ in names}) < len(names):  # one machine, two ports or users
            names = [(part, address.data()) for part, address in addresses.items()]
        inventory = Inventory((names, {}), override_data=overrides)
    return inventory


def _need_file(path: Path) -> None:
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        folder = path.parent
        known = [one.name for end in SUFFIXES for one in folder.glob(f"*{end}")]
        close = get_close_matches(path.name, known, n=1)
        hint = f"; did you mean {folder / close[0]}?" if close else ""
        raise TargetError(f"inventory {path}: no such file{hint}") from None
    except OSError as error:
        raise TargetError(f"inventory {path}: {error.strerror}") from None
    if not stat.S_ISREG(kind):
        raise TargetError(f"inventory {path}: not a regular file")


def _from_file(path: Path, overrides: dict[str, Any]) -> Inventory:
    if path.suffix == ".py":
        return _from_python(path, overrides)
    from toolkit.settings.sources.yaml_inventory import load_yaml_inventory

    inventory = load_yaml_inventory(path)
    inventory.override_data.update(overrides)
    return inventory


def _from_connector(text: str, overrides: dict[str, Any]) -> Inventory:
    name, known = text[1:].partition("/")[0], sorted(get_all_connectors())
    if name not in known:
        close = get_close_matches(name, known, n=1)
        accepted = f"did you mean @{close[0]}?" if close else f"accepted: @{', @'.join(known)}"
        raise TargetError(f"target {text}: no such connector; {accepted}")
    try:
        return make_inventory(text, override_data=overrides, cwd=str(Path.cwd()))
    except Exception as error:
        raise TargetError(f"target {text}: {error or type(error).__name__}") from None


def _from_python(path: Path, overrides: dict[str, Any]) -> Inventory:
    """Load a pyinfra inventory, and its variable `rollout`, which pyinfra leaves aside."""
    seen: dict[str, Any] = {}
    try:
        with pyinfra_internals.noting(str(path), seen):
            inventory = make_inventory(str(path), override_data=overrides, cwd=str(Path.cwd()))
    except (Exception, SystemExit) as error:
        raise _failed_in(path, cause(error)) from None
    declared = seen.get("rollout", {})
    if not isinstance(declared, (list, tuple)):  # a group of that name
        rollout.declare(inventory, declared)
    return inventory


def _failed_in(path: Path, error: BaseException) -> TargetError:
    """Return the error for what an inventory's code raised, with the line of the file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    what = (
        "it calls exit()" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    )
    return TargetError(f"inventory {where}: {what}")


def choose(
    inventory: Inventory,
    limit: tuple[str, ...],
    exclude: tuple[str, ...] = (),
    unfinished: Callable[[], list[str]] = list,
) -> list[Host] | None:
    """Return the hosts that `--limit` and `--exclude` leave, in the inventory's order; None: all.

    Each value is a comma-separated list of groups and of host names with wildcards; `@failed`
    stands for the hosts whose names `unfinished` returns.

    Raises:
        TargetError: a value names nothing, or no host is left.
    """
    if not limit and not exclude:
        return None
    chosen = _matching(inventory, "--limit", limit, unfinished) if limit else list(inventory)
    without = _matching(inventory, "--exclude", exclude, unfinished)
    left = [host for host in inventory if host in chosen and host not in without]
    if not left:
        raise TargetError("--exclude leaves no host")
    return left


def _matching(
    inventory: Inventory, option: str, values: tuple[str, ...], unfinished: Callable[[], list[str]]
) -> list[Host]:
    chosen: list[Host] = []
    for pattern in (part for value in values for part in value.split(",")):
        if pattern == FAILED:
            failed = [host for host in inventory if host.name in unfinished()]
            if not failed:
                raise TargetError(f"{option} {FAILED}: no host is left over from the last run")
            chosen += failed
            continue
        matching = inventory.groups.get(pattern) or [
            host for host in inventory if fnmatch(host.name, pattern)
        ]
        if not matching:
            names = ", ".join(host.name for host in inventory)
            raise TargetError(f"{option} {pattern}: no such host or group; hosts: {names}")
        chosen += matching
    return chosen


def is_local(host: Host) -> bool:
    """Return whether `host` is this machine, reached without SSH."""
    return host.name == LOCAL or getattr(host, "connector_cls", None) is LocalConnector


def become(inventory: Inventory, name: str) -> None:
    """Make this machine the host of that name of an inventory, and leave it alone there.

    What leads to hosts, and the hooks of a rollout, are a control machine's.

    Raises:
        TargetError: it has no such host.
    """
    host = inventory.hosts.get(name)
    if host is None:
        names = ", ".join(one.name for one in inventory)
        raise TargetError(f"--as {name}: no such host; hosts: {names}")
    inventory.hosts = {name: host}
    inventory.groups = {group: [host] for group in host.groups}
    rollout.declare(inventory, {})
    for data in (
        inventory.get_data(),
        *map(inventory.get_group_data, host.groups),
        inventory.get_host_data(name),
    ):
        for key in connector_types().keys() & data.keys():
            del data[key]
    host.connector_cls = LocalConnector


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
