"""A run of `deploy.py`: plan it on every host, then change the hosts that differ.

The deploy file is the one that plain `pyinfra` runs. What is ours: complete reports, hosts that
do not wait for each other, the deploy lock, interruption, and exit codes (see `results`).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.operations import run_host_op
from pyinfra.api.state import StateOperationHostData, StateStage
from pyinfra.context import ctx_host, ctx_state
from pyinfra_cli.exceptions import UnexpectedExternalError
from pyinfra_cli.util import load_deploy_file

from operations import deploy_lock, snapshot, verification
from operations.preflight import PreflightError
from toolkit import turns
from toolkit.display import Display
from toolkit.results import INTERRUPTED, HostResult, OperationResult, RunResult
from toolkit.session import Interrupted, Options, Session, timed
from toolkit.settings import settings_for

STOP_SECONDS = 150
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runner:
    """Runs one deploy file.

    Args:
        deploy: the deploy file.
        options: target, settings and verbosity.
        dry: plan only.
        confirm: asked with the result so far (the plan is in it) before the first change.
        wait_lock: seconds to wait for another run on the same host.
    """

    def __init__(
        self,
        deploy: Path,
        options: Options,
        display: Display,
        dry: bool = False,
        confirm: Callable[[RunResult], bool] = lambda result: True,
        wait_lock: float = 0,
    ) -> None:
        self.deploy, self.display, self.confirm, self.wait_lock = (
            deploy,
            display,
            confirm,
            wait_lock,
        )
        self.session = Session(options, display)
        self.result = RunResult(dry=dry)
        self.id = uuid.uuid4().hex
        self._main = gevent.getcurrent()
        self._executing = False
        self._locked: dict[Host, str] = {}
        self._stops: list[gevent.Greenlet] = []

    def run(self) -> RunResult:
        """Do it all; never raises."""
        self.display.redactions.append(f"export {deploy_lock.VARIABLE}={self.id} && ")
        handlers = [gevent.signal_handler(number, self._interrupt) for number in INTERRUPTS]
        started = time.monotonic()
        try:
            with self.display:
                self._run()
        except (Interrupted, KeyboardInterrupt):
            self._note_interruption()
        except PreflightError as error:
            for name in error.problems.keys() - self.session.unreachable.keys():
                self.result.hosts[name].problems = [
                    {"what": problem.what, "fix": problem.fix} for problem in error.problems[name]
                ]
                self.result.hosts[name].failed = "not ready to be provisioned"
        except Exception as error:
            self.result.error = explain(error)
        finally:
            for handler in handlers:
                handler.cancel()
            self._release_all()
            self.session.close()
            self.result.phases["total"] = time.monotonic() - started
        return self.result

    def _run(self) -> None:
        phases, session = self.result.phases, self.session
        session.open()
        self.result.hosts = {host.name: HostResult() for host in session.hosts}
        with timed(phases, "connect"), self.display.phase("Connecting"):
            session.connect()
        for name, reason in session.unreachable.items():
            self.result.hosts[name].failed = reason
        if session.active:
            with timed(phases, "plan"), self.display.phase("Checking"):
                session.state.set_stage(StateStage.Prepare)
                load_deploy_file(session.state, str(self.deploy))
                self._plan()
        if self.result.dry or session.unreachable:
            return
        planned = [host for host in session.active if self.result.hosts[host.name].planned]
        changing = [host for host in session.active if host in planned or self._unverified(host)]
        if not changing:
            return
        if planned:
            with self.display.suspended():
                self.result.declined = not self.confirm(self.result)
        if self.result.declined:
            return
        with timed(phases, "lock"), self.display.phase("Taking the deploy lock"):
            if not self._lock_all(changing):
                return
        with timed(phases, "execute"):
            self._execute(changing)
        for host in changing:
            checks = host.connector_data.get(verification.RESULTS, ())
            self.result.hosts[host.name].checks = [asdict(check) for check in checks]

    def _plan(self) -> None:
        state = self.session.state
        order = state.get_op_order()
        for host in self.session.active:
            for operation in order:
                data = state.ops[host].get(operation)
                if data and data.operation_meta.will_change and not data.global_arguments["_if"]:
                    self.result.hosts[host.name].planned.append(self._name(operation))

    def _unverified(self, host: Host) -> bool:
        """Whether there is something to look at on a host on which nothing would change."""
        with ctx_host.use(host):
            return verification.due(settings_for(host))

    def _name(self, operation: str) -> str:
        return ", ".join(sorted(self.session.state.get_op_meta(operation).names))

    # The lock

    def _lock_all(self, hosts: list[Host]) -> bool:
        holder = deploy_lock.Holder(
            id=self.id,
            owner=f"{getpass.getuser()}@{socket.gethostname()} (pid {os.getpid()})",
            message=f"claw up {self.session.options.target or ''}".strip(),
            process=os.getpid(),
        )

        def take(host: Host) -> str | None:
            name = settings_for(host).name

            def waiting(holder: str) -> None:
                self.display.for_host(host.name, f"waiting: {holder}", "yellow")

            try:
                self._locked[host] = name  # also when it fails half-way: releasing is harmless
                deploy_lock.acquire(host, name, holder, self.wait_lock, waiting)
            except PyinfraError as error:
                del self._locked[host]
                return str(error)
            snapshot.forget(host)  # what the run before us did counts
            return None

        refused = {
            host: reason for host, reason in self.session.on_each(hosts, take).items() if reason
        }
        for host, reason in refused.items():
            self.result.hosts[host.name].failed = reason
        return not refused

    def _release_all(self) -> None:
        def release(host: Host) -> None:
            with contextlib.suppress(Exception):  # a broken connection: the lock ends with it
                deploy_lock.release(host, self._locked[host], self.id)

        greenlets = [gevent.spawn(release, host) for host in self._locked]
        gevent.joinall(greenlets, timeout=10)

    # Changing hosts

    def _execute(self, hosts: list[Host]) -> None:
        state = self.session.state
        state.set_stage(StateStage.Execute)
        state.is_executing = True
        order = state.get_op_order()
        for host in hosts:
            for data in state.ops[host].values():
                self._arm(host, data)
        self._executing = True
        with ctx_state.use(state):
            self.session.on_each(
                hosts, lambda host: turns.alone(host, lambda: self._execute_on(host, order))
            )
        if self.result.interrupted is not None:
            gevent.joinall(self._stops, timeout=STOP_SECONDS)

    def _execute_on(self, host: Host, order: list[str]) -> None:
        state, result = self.session.state, self.result.hosts[host.name]
        for operation in order:
            data = state.ops[host].get(operation)
            if data is None:
                continue
            if self.result.interrupted is not None:
                return
            name = self._name(operation)
            self.display.begin(host.name, name)
            started = time.monotonic()
            try:
                with ctx_host.use(host):
                    succeeded = run_host_op(state, host, operation)
            except Exception as error:  # what pyinfra does not catch, such as a lost connection
                succeeded = False
                result.failed = f"{name}: {explain(error)}"
            done = data.operation_meta
            changed = done.is_complete() and done.did_change()
            tail = self.display.end(host.name, changed, failed=not succeeded)
            result.operations.append(OperationResult(name, time.monotonic() - started, changed))
            if not succeeded:
                result.failed = result.failed or name
                if self.result.interrupted is not None:
                    result.failed = f"interrupted in: {name}"
                result.output = tail
                state.failed_hosts.add(host)
                state.active_hosts.discard(host)
                return

    def _arm(self, host: Host, data: StateOperationHostData) -> None:
        """Mark an operation's commands as this run's, and keep its errors on its own host."""
        generator = data.command_generator
        environment = {**(data.global_arguments.get("_env") or {}), deploy_lock.VARIABLE: self.id}
        data.global_arguments["_env"] = environment

        def commands() -> Iterator[PyinfraCommand]:
            try:
                for command in generator():
                    if self.result.interrupted is not None:
                        yield FunctionCommand(_fail, [], {})
                        return
                    yield command
            except Exception as error:
                self.display.output(host.name, explain(error))
                yield FunctionCommand(_fail, [], {})

        data.command_generator = commands

    # Interruption

    def _interrupt(self) -> None:
        if self.result.interrupted is not None:
            self.display.__exit__()
            os._exit(INTERRUPTED)  # asked twice; the locks end with the connections
        self._note_interruption()
        if not self._executing:
            gevent.kill(self._main, Interrupted())
            return
        self.display.say(
            "Interrupted: ending what runs on the hosts (again: leave at once)", "yellow"
        )
        for host in self._locked:
            self._stops.append(gevent.spawn(self._stop, host))
        gevent.spawn_later(STOP_SECONDS, gevent.kill, self._main, Interrupted())

    def _stop(self, host: Host) -> None:
        try:
            deploy_lock.stop(host, self.id)
        except Exception as error:
            self.display.for_host(host.name, f"could not end it: {error}", "yellow")

    def _note_interruption(self) -> None:
        if self.result.interrupted is None:
            self.result.interrupted = [
                f"{host}: {running.name}" if host else running.name
                for host, running in self.display.running.items()
            ]


def _fail(state: Any, host: Any) -> bool:
    return False


def explain(error: BaseException) -> str:
    """Return one line (or the error's own text) for the user; what is unexpected leaves a file."""
    if isinstance(error, UnexpectedExternalError):  # pyinfra's wrapper of what user code raised
        error = error.exception
    if isinstance(error, PyinfraError):
        return str(error)
    descriptor, path = tempfile.mkstemp(prefix="claw-error-", suffix=".txt")
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(traceback.format_exception(error)))
    return f"unexpected {type(error).__name__}: {error}\n(traceback in {path})"
