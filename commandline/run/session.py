"""Connections to the hosts of an inventory, through pyinfra's API."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra import logger
from pyinfra.api.config import Config
from pyinfra.api.exceptions import ConnectError, PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.output import set_echo
from pyinfra.api.state import State, StateStage
from pyinfra.connectors.docker import DockerConnector
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.context import ctx_config, ctx_inventory, ctx_state

from commandline import host_keys, targets
from commandline.run import history, ssh_client
from commandline.run.connecting import (
    allow_files,
    make_known_hosts,
    need_container,
    prepare_socket,
)
from commandline.screen.display import Display, LogHandler
from commandline.screen.given import Given
from operations.base import answers, waits
from operations.base.connection import transport
from toolkit import greenlets, output, pyinfra_internals, terminal
from toolkit.greenlets import Pool
from toolkit.settings import settings_for
from toolkit.settings.rollout import Rollout, rollout_for
from toolkit.settings.sources.resolve import missing_key

RECONNECT_SECONDS = 20


class Interrupted(BaseException):
    """The user (SIGINT) or the system (SIGTERM, SIGHUP) wants the run to end."""


@dataclass
class Options:
    """What the command line asks for, whatever the verb."""

    target: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    limit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    verbosity: int = 0
    diff: bool = False
    interactive: bool = False
    rollout: dict[str, Any] = field(default_factory=dict)
    given: Given = field(default_factory=Given)
    itself: str | None = None
    """The host of the target that this machine is, and the only one of the run."""

    @property
    def target_name(self) -> str:
        """What was typed after the verb, `@local` for nothing."""
        return self.target or targets.LOCAL


class Session:
    """An inventory, its settings validated and its hosts connected; a context manager.

    `unreachable` maps the names of hosts that could not be connected to the reason.
    """

    def __init__(self, options: Options, display: Display) -> None:
        self.options = options
        self.display = display
        self.unreachable: dict[str, str] = {}
        self.state = State()
        self.hosts: list[Host] = []
        self.rollout = Rollout()
        self.took: dict[str, tuple[float, float]] = {}
        self.connecting: dict[str, tuple[float, float]] = {}
        self._handler = LogHandler(display, options.given)

    def open(self) -> None:
        """Load the inventory and validate the settings of its hosts; connects to none.

        Raises:
            PyinfraError: the target, the inventory or the settings are wrong (all of them are
                named in the message).
        """
        self._quiet_pyinfra()
        self.state.cwd = str(Path.cwd())
        ctx_state.set(self.state)
        config = Config(DIFF=self.options.diff)
        ctx_config.set(config)
        with self.display.phase("Reading the inventory"):  # a function, or another tool, makes it
            inventory = targets.load_inventory(self.options.target, self.options.overrides)
            if self.options.itself is not None:
                targets.become(inventory, self.options.itself)
        ctx_inventory.set(inventory)
        self.rollout = rollout_for(inventory, self.options.rollout)
        config.PARALLEL = self.rollout.parallel or 0  # 0: what pyinfra thinks fit
        limit = targets.choose(
            inventory,
            self.options.limit,
            self.options.exclude,
            lambda: history.unfinished(self.options.target, self.display.warn),
        )
        settings_for(next(iter(inventory)))  # of all hosts, before pyinfra reads their data
        self.state.init(inventory, config, initial_limit=limit)
        config.lock_current_state()
        self.hosts = [host for host in inventory if self.state.is_host_in_limit(host)]
        self.display.hosts = [host.name for host in self.hosts]
        self.display.longest = max(len(host.name) for host in inventory)
        hosts = {host.name: host for host in self.hosts}
        self.display.waits = lambda name: waits.known(hosts[name]) if name in hosts else ""

    def connect(self) -> None:
        """Connect to all hosts at once; those that fail are in `unreachable` afterwards."""
        self.state.set_stage(StateStage.Connect)
        allow_files(len(self.hosts))
        connected = self.on_each(self.hosts, self._connect)
        self.connecting = self.took
        for host, error in connected.items():
            if error is None:
                self.state.activate_host(host)
            else:
                self.unreachable[host.name] = error
                self.leave_out(host)
        if self.options.interactive:
            self._ask_for_passwords()

    def close(self) -> None:
        """Disconnect from all hosts."""
        for host in self.state.activated_hosts if self.state.initialised else ():
            # Takes away the helper on the host that sudo with a password needs.
            greenlets.with_timeout(5, host.disconnect, timeout_value=None)
            if client := pyinfra_internals.client(host):
                client.close()
        logger.removeHandler(self._handler)

    def on_each(self, hosts: Iterable[Host], function: Any) -> dict[Host, Any]:
        """Return what `function(host)` returns for every host, called on all at once.

        When each call began and how long it took is in `took` afterwards.
        """
        self.took = took = {}
        hosts = list(hosts)
        awaited = self.display.awaited = {host.name: None for host in hosts}

        def call(host: Host) -> Any:
            started = time.monotonic()
            try:
                return function(host)
            finally:
                awaited.pop(host.name, None)
                took[host.name] = (started, time.monotonic() - started)

        pool = Pool(max(1, self.state.config.PARALLEL))
        try:
            called = {host: pool.spawn(call, host) for host in hosts}
            greenlets.joinall(list(called.values()))
        except BaseException:
            pool.kill(block=False)
            raise
        finally:
            self.display.awaited = None
        return {host: greenlet.get() for host, greenlet in called.items()}

    def leave_out(self, host: Host) -> None:
        """Go on without a host."""
        self.state.failed_hosts.add(host)
        self.state.active_hosts.discard(host)

    def lost(self, host: Host) -> bool:
        """Return whether the connection to a host over SSH is gone."""
        found = transport(host)
        connected = pyinfra_internals.client(host) is not None
        return connected and not (found and found.is_active())

    def reconnect(self, host: Host) -> None:
        """Connect again to a host whose connection was lost.

        Raises:
            PyinfraError: the host does not answer.
        """
        host.connector.disconnect()  # what was opened over the old connection
        with greenlets.Timeout(RECONNECT_SECONDS, ConnectError("no answer")):
            host.connector.connect()
        prepare_socket(host)

    def connect_again(self, host: Host) -> str | None:
        """Connect to a host that could not be connected, or was lost; return why it cannot be."""
        if host in self.state.active_hosts:
            if self.lost(host):
                try:
                    self.reconnect(host)
                except Exception as error:  # pyinfra lets some of paramiko's through
                    return f"cannot connect: {str(error) or type(error).__name__}"
            return None
        if reason := self._connect(host):
            return reason
        self.unreachable.pop(host.name, None)
        self.state.failed_hosts.discard(host)
        self.state.activate_host(host)
        return None

    @property
    def active(self) -> list[Host]:
        """The connected hosts, in the inventory's order."""
        return [host for host in self.hosts if host in self.state.active_hosts]

    def _connect(self, host: Host) -> str | None:
        try:
            if wrong := missing_key(host):
                return f"cannot connect: {wrong}"
            if not targets.is_local(host):
                make_known_hosts(host)
            if isinstance(host.connector, DockerConnector):
                need_container(host.connector)
            host.connect(show_errors=False, raise_exceptions=True)
        except Exception as error:  # pyinfra lets some of paramiko's and the key loader's through
            reason = str(error) or type(error).__name__
            if advice := host_keys.advice(host, reason, self.options.given):
                reason = advice
            elif "no acceptable" in reason:
                reason += (
                    "; paramiko knows fewer than OpenSSH: let Ciphers, KexAlgorithms and MACs of"
                    " sshd_config have aes256-ctr, curve25519-sha256 and hmac-sha2-256, too"
                )
            elif isinstance(host.connector, SSHConnector):
                words = shlex.join(["ssh", *targets.ssh_options(host), "true"])
                reason += f"; this must work first: {words}"
            return f"cannot connect: {reason}"
        prepare_socket(host)
        return None

    def _ask_for_passwords(self) -> None:
        """Ask for what sudo wants on hosts where it wants it; preflight reports what is missing."""

        def wanted(host: Host) -> bool:
            if host.data.get("_sudo_password"):
                return False
            probe = '[ "$(id -u)" = 0 ] || LC_ALL=C sudo -n true 2>&1; true'
            try:
                said = answers.ask(host, probe)
            except PyinfraError:
                return False
            return pyinfra_internals.wants_password(said)

        for host, asks in self.on_each(self.active, wanted).items():
            if asks:
                with self.display.suspended():
                    host.data._sudo_password = terminal.ask(f"{host}: password for sudo: ", True)

    def _quiet_pyinfra(self) -> None:
        """Take pyinfra's output over, and keep Ctrl-C from reaching commands on this machine."""
        os.environ["PYINFRA_PROGRESS"] = "off"
        logger.handlers[:] = [self._handler]
        logger.setLevel("INFO")
        logger.propagate = False
        set_echo(self._echo)
        level = self.options.verbosity
        self.state.print_noop_info = self.state.print_fact_info = level >= 1
        self.state.print_input = self.state.print_fact_input = level >= 2
        self.state.print_fact_output = level >= 3
        self.state.print_output = True  # feeds the display, which shows it with -vvv
        pyinfra_internals.install()
        output.install()
        host_keys.check_strictly()
        ssh_client.install()

    def _echo(self, message: object = "", **_: object) -> None:
        host, text = self.display.split(str(message))
        self.display.output(host, text)


@contextmanager
def timed(phases: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the body takes to those of `name`."""
    started = time.monotonic()
    try:
        yield
    finally:
        phases[name] = phases.get(name, 0.0) + time.monotonic() - started
