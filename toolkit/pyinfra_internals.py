"""Each piece of pyinfra's and paramiko's inside that is replaced or read; nothing else touches one.

What neither promises to keep is found by its name here, each time it is used, and one that another
release has no more is an error that names it. `PIECES` lists them all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from hmac import compare_digest
from importlib import import_module, metadata
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import Any, NamedTuple

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State, StateOperationHostData
from pyinfra.connectors.ssh import SSHConnector

from toolkit.greenlets import Popen

PIECES = (
    "paramiko.channel:Channel.exec_command",
    "paramiko.transport:Transport.open_session",
    "paramiko.util:constant_time_bytes_eq",
    "pyinfra:is_cli",
    "pyinfra.api.arguments:all_argument_meta",
    "pyinfra.api.arguments:all_global_arguments",
    "pyinfra.api.connectors:entry_points",
    "pyinfra.api.deploy:pop_global_arguments",
    "pyinfra.api.host:extract_callable_datas",
    "pyinfra.api.operation:pop_global_arguments",
    "pyinfra.api.state:StateOperationHostData.command_generator",
    "pyinfra.api.util:getframeinfo",
    "pyinfra.api.util:stack",
    "pyinfra.connectors.ssh:SSHClient",
    "pyinfra.connectors.ssh:SSHConnector.client",
    "pyinfra.connectors.ssh:connector_data_meta",
    "pyinfra.connectors.ssh:read_output_buffers",
    "pyinfra.connectors.ssh_util:_patch_paramiko_sk_key_support",
    "pyinfra.connectors.ssh_util:load_key_with_certificate",
    "pyinfra.connectors.sshuserclient.client:append_hostkey",
    "pyinfra.connectors.util:ASKPASS_PATH_KEYS",
    "pyinfra.connectors.util:Popen",
    "pyinfra.connectors.util:SUDO_PASSWORD_REQUIRED_LINES",
    "pyinfra.connectors.util:getpass",
    "pyinfra.connectors.util:read_output_buffers",
    "pyinfra_cli.exceptions:UnexpectedExternalError",
    "pyinfra_cli.inventory:exec_file",
    "pyinfra_cli.inventory:make_inventory",
    "pyinfra_cli.util:PYTHON_CODES",
    "pyinfra_cli.util:exec_file",
)


class Gone(PyinfraError):
    """The pyinfra or paramiko that is installed has none of the pieces that are named."""

    def __init__(self, names: list[str]) -> None:
        which = " and ".join(f"{one} {metadata.version(one)}" for one in ("pyinfra", "paramiko"))
        super().__init__(
            f"{', '.join(names)}: not there in {which}, and the toolkit needs it; "
            "accepted: the releases of requirements.lock, which ./claw installs"
        )


def _found(name: str) -> tuple[Any, str, Any]:
    module, _, path = name.partition(":")
    *owners, last = path.split(".")
    try:
        owner: Any = import_module(module)
        for one in owners:
            owner = getattr(owner, one)
        if last in getattr(owner, "__annotations__", {}) and not hasattr(owner, last):
            return owner, last, None  # a field of a dataclass
        return owner, last, getattr(owner, last)
    except (ImportError, AttributeError):
        raise Gone([name]) from None


def piece(name: str) -> Any:
    """Return one of `PIECES`.

    Raises:
        Gone: it is not there.
    """
    return _found(name)[2]


def put(name: str, value: Any) -> Any:
    """Put something in the place of one of `PIECES`; return what was there.

    Raises:
        Gone: it is not there.
    """
    owner, last, before = _found(name)
    setattr(owner, last, value)
    return before


def missing() -> list[str]:
    """Return those of `PIECES` that are not there."""
    gone = []
    for name in PIECES:
        try:
            piece(name)
        except Gone:
            gone.append(name)
    return gone


# What pyinfra works out anew for each operation on each host, worked out once or for less.


class Place(NamedTuple):
    """What pyinfra reads of `inspect.Traceback`, without the source of every caller."""

    filename: str
    lineno: int


def _stack() -> list[tuple[FrameType, int]]:
    return list(walk_stack(sys._getframe(1)))


def _place(frame: FrameType) -> Place:
    return Place(frame.f_code.co_filename, frame.f_lineno)


class _Host(NamedTuple):
    """What pyinfra reads of a host for the arguments of an operation, where its data have none."""

    current_deploy_kwargs: Any
    data: object = None


def _popping(pop: Callable[..., Any]) -> Callable[..., Any]:
    """Return what does as pyinfra does, but looks the data of a host through once and not for each
    argument: a name that is nowhere is looked for in six places, and there are thirty.
    """
    names = frozenset(piece("pyinfra.api.arguments:all_argument_meta"))
    datas = piece("pyinfra.api.host:extract_callable_datas")

    def popped(state: State, host: Host, kwargs: dict[str, Any]) -> Any:
        bare = all(names.isdisjoint(data) for data in datas(host.data.datas))
        return pop(state, _Host(host.current_deploy_kwargs) if bare else host, kwargs)

    return popped


def install() -> None:
    """Have pyinfra order operations as its own command line does, and for less; ask nobody for a
    password, for that is done before; and keep Ctrl-C from the commands on this machine.

    Raises:
        Gone: a piece of either is not there, whatever it is for.
    """
    if gone := missing():
        raise Gone(gone)
    put("pyinfra:is_cli", True)
    put("pyinfra.api.util:stack", _stack)
    put("pyinfra.api.util:getframeinfo", _place)
    for name in (
        "pyinfra.api.arguments:all_global_arguments",
        "pyinfra.api.connectors:entry_points",
    ):
        if not hasattr(piece(name), "cache_info"):
            put(name, cache(piece(name)))
    for module in ("deploy", "operation"):
        name = f"pyinfra.api.{module}:pop_global_arguments"
        if piece(name).__module__ != __name__:
            put(name, _popping(piece(name)))
    # Of each packet, and paramiko's own is a loop in Python.
    put("paramiko.util:constant_time_bytes_eq", compare_digest)
    put("pyinfra.connectors.util:Popen", partial(Popen, start_new_session=True))
    put("pyinfra.connectors.util:getpass", lambda prompt: "")


def read_output_with(function: Callable[..., Any]) -> None:
    """Have the output of operations' commands read by `function`, in place of pyinfra's own."""
    for module in ("util", "ssh"):
        put(f"pyinfra.connectors.{module}:read_output_buffers", function)


def password(prompt: str) -> str:
    """Return what the user types as pyinfra asks for it; nothing after `install`."""
    return str(piece("pyinfra.connectors.util:getpass")(prompt))


def wants_password(said: str) -> bool:
    """Return whether sudo says that it wants a password; sudo-rs calls itself by either name."""
    lines = piece("pyinfra.connectors.util:SUDO_PASSWORD_REQUIRED_LINES")
    return any(line.partition(": ")[2] in said for line in lines)


def keep_askpass(host: Host, path: str) -> None:
    """Have pyinfra use, and take away in the end, a helper on a host that tells sudo's password."""
    key = piece("pyinfra.connectors.util:ASKPASS_PATH_KEYS")[0]
    host.connector_data[f"{key}__{host.get_temp_dir_config()}"] = path


# The SSH connection.


def use_client(client: type) -> None:
    """Have pyinfra's connector connect by a client of ours."""
    put("pyinfra.connectors.ssh:SSHClient", client)


def client(host: Host) -> Any:
    """Return paramiko's client under a host's connector; None without SSH, and before it is
    connected.
    """
    if isinstance(host.connector, SSHConnector):
        piece("pyinfra.connectors.ssh:SSHConnector.client")
    return getattr(host.connector, "client", None)


def no_default(key: str) -> None:
    """Take the default of a key of pyinfra's host data for SSH away."""
    known = piece("pyinfra.connectors.ssh:connector_data_meta")
    known[key] = type(known[key])(known[key].description, None)


def support_security_keys() -> None:
    """Let an agent that holds the key of a security token be asked for its other keys."""
    piece("pyinfra.connectors.ssh_util:_patch_paramiko_sk_key_support")()


def certified_key(key: str, certificate: str) -> Any:
    """Return paramiko's key of a file, with the certificate of another one; nobody is asked."""
    return piece("pyinfra.connectors.ssh_util:load_key_with_certificate")(
        key_filename=key, certificate_filename=certificate, allow_prompt=False
    )


def known_hosts_file(client: Any, path: str | None) -> None:
    """Say to which file of known hosts a paramiko client adds."""
    if not hasattr(client, "_host_keys_filename"):
        raise Gone(["paramiko.client:SSHClient._host_keys_filename"])
    client._host_keys_filename = path


def add_host_key(client: Any, name: str, key: Any) -> None:
    """Add a host's key to the file of known hosts that a client has."""
    piece("pyinfra.connectors.sshuserclient.client:append_hostkey")(client, name, key)


def open_sessions_by(transport: Any, function: Callable[..., Any]) -> None:
    """Have every session of a paramiko transport opened by `function`, pyinfra's too."""
    piece("paramiko.transport:Transport.open_session")
    transport.open_session = function


def begin_commands_by(channel: Any, function: Callable[[str], None]) -> None:
    """Have the command of a paramiko channel begun by `function`."""
    piece("paramiko.channel:Channel.exec_command")
    channel.exec_command = function


def authenticated_by(transport: Any) -> str:
    """Return the method by which a paramiko transport was authenticated last."""
    if not hasattr(transport.auth_handler, "auth_method"):
        raise Gone(["paramiko.auth_handler:AuthHandler.auth_method"])
    return str(transport.auth_handler.auth_method)


def ended(channel: Any, seconds: float) -> bool:
    """Wait for the exit status of a command on a paramiko channel; return whether it has come."""
    if not hasattr(channel, "status_event"):
        raise Gone(["paramiko.channel:Channel.status_event"])
    return bool(channel.status_event.wait(seconds))


# pyinfra's own command line.


def cause(error: BaseException) -> BaseException:
    """Return what code of the user raised, without pyinfra's wrapper."""
    if isinstance(error, Gone):
        return error
    wrapper = piece("pyinfra_cli.exceptions:UnexpectedExternalError")
    return error.exception if isinstance(error, wrapper) else error


def make_inventory(text: str, **options: Any) -> Inventory:
    """Return the inventory that pyinfra makes of a file, or of what its connectors find."""
    made: Inventory = piece("pyinfra_cli.inventory:make_inventory")(text, **options)
    return made


def execute(path: str) -> None:
    """Run a deploy file for the current host."""
    piece("pyinfra_cli.util:exec_file")(path)


@contextmanager
def noting(path: str, seen: dict[str, Any]) -> Iterator[None]:
    """Have the variables of an inventory file noted that pyinfra executes meanwhile."""
    execute = piece("pyinfra_cli.inventory:exec_file")

    def executed(filename: str, **options: Any) -> dict[str, Any]:
        attributes: dict[str, Any] = execute(filename, **options)
        if filename == path:
            seen.update(attributes)
        return attributes

    put("pyinfra_cli.inventory:exec_file", executed)
    try:
        yield
    finally:
        put("pyinfra_cli.inventory:exec_file", execute)


def inventory_file(inventory: Inventory) -> Path | None:
    """Return the file that pyinfra's own command line has read an inventory from, if it has.

    pyinfra keeps what it has run, in its order; an inventory's hosts have a group named as it.
    """
    ran = piece("pyinfra_cli.util:PYTHON_CODES") if "pyinfra_cli.util" in sys.modules else ()
    files = (path for path in map(Path, ran) if path.parent.name != "group_data")
    return next((path for path in files if path.stem in inventory.groups), None)


# An operation.


def commands_by(
    data: StateOperationHostData, function: Callable[[Callable[..., Any]], Iterator[Any]]
) -> None:
    """Have the commands of an operation on a host come from `function(generator)`."""
    piece("pyinfra.api.state:StateOperationHostData.command_generator")
    data.command_generator = partial(function, data.command_generator)
