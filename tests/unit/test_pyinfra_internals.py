"""What of pyinfra, paramiko and gevent is used, and where: nothing of it may vanish unnoticed."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api import arguments
from pyinfra.api.config import Config
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.connectors.ssh import SSHConnector

from commandline import errors
from commandline.run import session
from tests.unit import sources
from tests.unit.test_floors import MODULES, ROOT
from toolkit import greenlets, output, pyinfra_internals
from toolkit.pyinfra_internals import PIECES, Gone

INSIDE = "toolkit.pyinfra_internals"
KNOWS_GEVENT_OR_PARAMIKO = {
    "commandline.__main__",  # patches the standard library first
    "commandline.run.ssh_client",  # paramiko's client, told plain values
    "toolkit.greenlets",
    "toolkit.ssh",
}
PUBLIC = {
    "pyinfra",
    "pyinfra.api",
    "pyinfra.api.arguments",
    "pyinfra.api.command",
    "pyinfra.api.config",
    "pyinfra.api.connectors",
    "pyinfra.api.deploy",
    "pyinfra.api.exceptions",
    "pyinfra.api.host",
    "pyinfra.api.inventory",
    "pyinfra.api.operation",
    "pyinfra.api.operations",
    "pyinfra.api.output",
    "pyinfra.api.state",
    "pyinfra.connectors.docker",
    "pyinfra.connectors.local",
    "pyinfra.connectors.ssh",
    "pyinfra.connectors.util",
    "pyinfra.context",
}
"""pyinfra's modules that anybody may import from; what has an underscore there nobody may."""
UNDERSCORED = {"_exit", "_getframe", "_inner", "_replace", "_sudo_password"}
"""What other libraries, pyinfra among them, document as theirs."""

SSH_HOST = cast(Host, SimpleNamespace(connector=object.__new__(SSHConnector)))
USES: dict[str, Callable[[], object]] = {
    "paramiko.channel:Channel.exec_command": lambda: pyinfra_internals.begin_commands_by(
        SimpleNamespace(), print
    ),
    "paramiko.transport:Transport.open_session": lambda: pyinfra_internals.open_sessions_by(
        SimpleNamespace(), print
    ),
    "paramiko.util:constant_time_bytes_eq": pyinfra_internals.install,
    "pyinfra:is_cli": pyinfra_internals.install,
    "pyinfra.api.arguments:all_argument_meta": pyinfra_internals.install,
    "pyinfra.api.arguments:all_global_arguments": pyinfra_internals.install,
    "pyinfra.api.connectors:entry_points": pyinfra_internals.install,
    "pyinfra.api.deploy:pop_global_arguments": pyinfra_internals.install,
    "pyinfra.api.host:extract_callable_datas": pyinfra_internals.install,
    "pyinfra.api.operation:pop_global_arguments": pyinfra_internals.install,
    "pyinfra.api.state:StateOperationHostData.command_generator": lambda: (
        pyinfra_internals.commands_by(cast(Any, SimpleNamespace()), cast(Any, print))
    ),
    "pyinfra.api.util:getframeinfo": pyinfra_internals.install,
    "pyinfra.api.util:stack": pyinfra_internals.install,
    "pyinfra.connectors.ssh:SSHClient": lambda: pyinfra_internals.use_client(object),
    "pyinfra.connectors.ssh:SSHConnector.client": lambda: pyinfra_internals.client(SSH_HOST),
    "pyinfra.connectors.ssh:connector_data_meta": lambda: pyinfra_internals.no_default("ssh_port"),
    "pyinfra.connectors.ssh:read_output_buffers": output.install,
    "pyinfra.connectors.ssh_util:_patch_paramiko_sk_key_support": (
        pyinfra_internals.support_security_keys
    ),
    "pyinfra.connectors.ssh_util:load_key_with_certificate": lambda: (
        pyinfra_internals.certified_key("key", "certificate")
    ),
    "pyinfra.connectors.sshuserclient.client:append_hostkey": lambda: (
        pyinfra_internals.add_host_key(None, "name", None)
    ),
    "pyinfra.connectors.util:ASKPASS_PATH_KEYS": lambda: pyinfra_internals.keep_askpass(
        SSH_HOST, "/tmp/x"
    ),
    "pyinfra.connectors.util:Popen": pyinfra_internals.install,
    "pyinfra.connectors.util:SUDO_PASSWORD_REQUIRED_LINES": lambda: (
        pyinfra_internals.wants_password("")
    ),
    "pyinfra.connectors.util:getpass": lambda: pyinfra_internals.password("? "),
    "pyinfra.connectors.util:read_output_buffers": output.install,
    "pyinfra_cli.exceptions:UnexpectedExternalError": lambda: pyinfra_internals.cause(OSError()),
    "pyinfra_cli.inventory:exec_file": lambda: pyinfra_internals.noting("x", {}).__enter__(),
    "pyinfra_cli.inventory:make_inventory": lambda: pyinfra_internals.make_inventory("x"),
    "pyinfra_cli.util:PYTHON_CODES": lambda: pyinfra_internals.inventory_file(
        cast(Any, SimpleNamespace(groups={}))
    ),
    "pyinfra_cli.util:exec_file": lambda: pyinfra_internals.execute("x"),
}


@pytest.mark.parametrize(
    ("said", "wants"),
    [
        ("sudo: a password is required", True),
        ("sudo: interactive authentication is required", True),  # sudo-rs, called by that name
        ("sudo-rs: interactive authentication is required", True),
        ("sudo: a terminal is required to read the password; either use the -S option", False),
        ("asked is not in the sudoers file", False),
    ],
)
def test_a_sudo_that_wants_a_password_is_known(said: str, wants: bool) -> None:
    assert pyinfra_internals.wants_password(said) is wants


def test_nothing_of_it_is_missing_here() -> None:
    assert pyinfra_internals.missing() == []


def test_every_piece_has_its_use_below() -> None:
    assert set(USES) == set(PIECES)


def take_away(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, path = name.partition(":")
    owner = import_module(module)
    *owners, last = path.split(".")
    for one in owners:
        owner = getattr(owner, one)
    if hasattr(owner, last):
        monkeypatch.delattr(owner, last)
    notes = dict(vars(owner).get("__annotations__", {}))
    notes.pop(last, None)
    monkeypatch.setattr(owner, "__annotations__", notes, raising=False)


@pytest.mark.parametrize("name", PIECES)
def test_one_that_is_gone_is_named_where_it_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_away(name, monkeypatch)
    assert pyinfra_internals.missing() == [name]
    with pytest.raises(Gone, match=rf"^{name}: not there in pyinfra 3\..*requirements.lock"):
        USES[name]()


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("paramiko.channel:Channel.status_event", lambda: pyinfra_internals.ended(object(), 0)),
        (
            "paramiko.auth_handler:AuthHandler.auth_method",
            lambda: pyinfra_internals.authenticated_by(SimpleNamespace(auth_handler=None)),
        ),
        (
            "paramiko.client:SSHClient._host_keys_filename",
            lambda: pyinfra_internals.known_hosts_file(object(), None),
        ),
    ],
)
def test_one_of_an_object_that_is_gone_is_named(name: str, use: Callable[[], object]) -> None:
    with pytest.raises(Gone, match=name):
        use()


@pytest.mark.parametrize(
    ("host", "everybody"),
    [({}, {}), ({"_sudo": True}, {}), ({}, {"_env": {"A": "b"}}), ({"gateway": {}}, {"_sudo": 1})],
)
def test_arguments_are_those_that_pyinfra_itself_finds(
    host: dict[str, Any], everybody: dict[str, Any]
) -> None:
    inventory = Inventory(([("one", host), "other"], everybody))
    state = State(inventory, Config(SUDO_USER="somebody"))
    popped = pyinfra_internals._popping(arguments.pop_global_arguments)
    for one in inventory:
        one.current_deploy_kwargs = cast(Any, {"_chdir": "/srv"})
        given = {"name": "Do it", "_su_user": "nobody", "own": 1}
        wanted, ours = dict(given), dict(given)
        assert popped(state, one, ours) == arguments.pop_global_arguments(state, one, wanted)
        assert ours == wanted == {"own": 1}


def test_a_run_names_all_that_is_gone_in_one_error_and_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["pyinfra.api.util:stack", "pyinfra_cli.exceptions:UnexpectedExternalError"]
    for name in names:
        take_away(name, monkeypatch)
    opened = session.Session(session.Options(), cast(Any, SimpleNamespace()))
    monkeypatch.setattr(session, "set_echo", lambda function: None)
    monkeypatch.setattr(session, "logger", SimpleNamespace(handlers=[], setLevel=print))
    with pytest.raises(Gone) as found:
        opened.open()
    assert all(name in errors.explain(found.value) for name in names)


def test_what_greenlets_raise_is_taken_from_gevent_or_that_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(greenlets.Hub, "print_exception")
    with pytest.raises(AttributeError, match="print_exception"):
        greenlets.on_error(print)


def imports(path: Path) -> list[tuple[str, str]]:
    """Return what a file imports: (module, name), the name '' for the module itself."""
    found = []
    for node in sources.nodes(path):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
    return found


def test_four_modules_know_gevent_or_paramiko() -> None:
    knowing = {
        module
        for module, path in MODULES.items()
        for name, _ in imports(path)
        if name.partition(".")[0] in ("gevent", "paramiko")
    }
    assert knowing == KNOWS_GEVENT_OR_PARAMIKO


def test_one_module_knows_the_inside() -> None:
    """Nobody else imports a part that is no API, or what has an underscore; nor replaces any."""
    wrong = []
    for module, path in MODULES.items():
        if module in (INSIDE, "toolkit.greenlets"):
            continue
        theirs = set()
        for name, what in imports(path):
            if name.partition(".")[0] not in ("pyinfra", "pyinfra_cli", "paramiko", "gevent"):
                continue
            theirs |= {what or name} - {"logger"}  # which is Python's own
            inside = name.startswith("pyinfra") and name not in PUBLIC
            if inside or (what.startswith("_") and what != "__version__"):
                wrong.append(f"{path.relative_to(ROOT)} imports {what} of {name}")
        for node in sources.nodes(path):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                dunder = node.attr.startswith("__")
                ours = f"def {node.attr}(" in path.read_text()
                if not (own or dunder or ours or node.attr in UNDERSCORED):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} uses {node.attr}")
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) in theirs:
                    wrong.append(f"{path.relative_to(ROOT)}:{target.lineno} replaces a name")
            if isinstance(node, ast.Call) and node.args:
                first = ast.unparse(node.args[0])
                if ast.unparse(node.func) in ("setattr", "vars") and first in theirs:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} replaces in {first}")
    assert not wrong
