"""Changing hosts: the deploy lock around them, their operations, and what is left of a cut one."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from pyinfra.api.command import FunctionCommand, PyinfraCommand
from pyinfra.api.host import Host
from pyinfra.api.operations import run_host_op
from pyinfra.api.state import StateOperationHostData, StateStage
from pyinfra.context import ctx_host, ctx_state

from commandline.errors import explain
from commandline.results import OperationResult, RunResult
from commandline.run import audit, deploy_lock, turns
from commandline.run.session import Session
from commandline.screen.display import Display
from commandline.screen.words import count
from operations import activation
from operations.base import notes, snapshot
from toolkit import greenlets, pyinfra_internals
from toolkit.settings import settings_for

STOP_SECONDS = 150
RELEASE_SECONDS = 10
LOST = "the connection to the host was lost"


class Execution:
    """Changes hosts of a planned run, some at a time; what happens is noted in `result`."""

    def __init__(
        self, session: Session, result: RunResult, display: Display, wait_lock: float
    ) -> None:
        self.session, self.result, self.display = session, result, display
        self.wait_lock = wait_lock
        self.id = uuid.uuid4().hex
        self.owner = f"{getpass.getuser()}@{socket.gethostname()} (pid {os.getpid()})"
        self.running = False
        self._locked: dict[Host, str] = {}
        self._stops: list[greenlets.Greenlet] = []

    # The lock

    def lock(self, hosts: list[Host]) -> list[Host]:
        """Take the deploy lock of `hosts`; return those that gave it, the others have failed."""
        refusals = self.session.on_each(hosts, self._lock)
        self.result.mark("Lock", self.session.took)
        for host, reason in refusals.items():
            if reason:
                self._fail(host, reason)
        return [host for host, reason in refusals.items() if not reason]

    def _lock(self, host: Host) -> str | None:
        given = self.session.options.given
        holder = deploy_lock.Holder(
            id=self.id,
            owner=self.owner,
            message=f"claw {given.verb} {self.session.options.target or ''}".strip(),
            process=os.getpid(),
            control=deploy_lock.control_process(os.getpid()),
        )
        name = settings_for(host).name

        def waiting(holder: str) -> None:
            self.display.for_host(host.name, f"waiting: {holder}", "yellow")

        try:
            if self.session.lost(host):  # the batches before its own took long
                self.session.reconnect(host)
            self._locked[host] = name  # also when it fails half-way: releasing is harmless
            deploy_lock.acquire(host, name, holder, self.wait_lock, waiting)
        except Exception as error:
            self._locked.pop(host, None)
            return LOST if self.session.lost(host) else explain(error)
        snapshot.forget(host)  # what happened since the plan counts
        return None

    def release_all(self) -> None:
        """Give back the locks that are still held."""
        given_back = [greenlets.spawn(self._release, host) for host in self._locked]
        greenlets.joinall(given_back, timeout=RELEASE_SECONDS)

    def _release(self, host: Host) -> None:
        name, own = self._locked[host], self.result.hosts[host.name]
        openclaw = activation.known(host).version or settings_for(host).gateway.version
        target = self.session.options.target_name
        line = audit.line(own, self.id, self.owner, target, openclaw)
        if notes.of(host).forgotten:
            line = ""  # the log went with the deployment
        with contextlib.suppress(Exception):  # a broken connection: the lock ends with it
            deploy_lock.release(host, name, self.id, line)
            self._locked.pop(host, None)

    # The operations

    def change(self, hosts: list[Host]) -> None:
        """Run the planned operations on hosts whose lock is held, on all at once."""
        state = self.session.state
        state.set_stage(StateStage.Execute)
        state.is_executing = True
        order = state.get_op_order()
        for host in hosts:
            for data in state.ops[host].values():
                self._arm(host, data)
        self.running = True
        with ctx_state.use(state):
            self.session.on_each(
                hosts, lambda host: turns.alone(host, lambda: self._change(host, order))
            )
        if self.result.interrupted is not None:
            greenlets.joinall(self._stops, timeout=STOP_SECONDS)
        self.running = False

    def _change(self, host: Host, order: list[str]) -> None:
        for operation in order:
            data = self.session.state.ops[host].get(operation)
            if data is None:
                continue
            if self.result.interrupted is not None:
                self.result.hosts[host.name].left_out = "interrupted"
                return
            if not self._run(host, operation, data):
                break
        own = self.result.hosts[host.name]
        if not own.failed:
            self.display.finish(host.name, f"done, {count(len(own.changed), 'change')}", False)
        if self.result.interrupted is None:  # else its commands are still being ended
            greenlets.with_timeout(RELEASE_SECONDS, self._release, host, timeout_value=None)

    def _run(self, host: Host, operation: str, data: StateOperationHostData) -> bool:
        name, own = self.name(operation), self.result.hosts[host.name]
        self.display.begin(host.name, name)
        started, reason = time.monotonic(), name
        try:
            with ctx_host.use(host):
                succeeded = run_host_op(self.session.state, host, operation)
        except Exception as error:  # what pyinfra does not catch, such as a lost connection
            succeeded = False
            if not self.session.lost(host):
                reason = f"{name}: {explain(error)}"
        done = data.operation_meta
        changed = done.is_complete() and done.did_change()
        lost = not succeeded and self.session.lost(host)
        tail = self.display.end(host.name, changed, failed=not succeeded)
        seconds, since = time.monotonic() - started, self.result.clock(started)
        own.operations.append(OperationResult(name, seconds, changed, since, not succeeded))
        if not succeeded:
            snapshot.forget(host)  # it was left in the middle of it
            if self.result.interrupted is not None:
                reason = f"interrupted in: {name}"
            elif lost:
                reason = f"{name}: {LOST}; {self._clear_away(host)}"
            elif reason == name and not tail:
                reason = f"{name}: a command failed, and said nothing"
            own.output = tail
            self._fail(host, reason)
        return succeeded

    def _clear_away(self, host: Host) -> str:
        """End what a lost connection left running on a host; return what came of it."""
        try:
            self.session.reconnect(host)
            with greenlets.Timeout(STOP_SECONDS):
                deploy_lock.stop(host, self.id)
        except (Exception, greenlets.Timeout):
            return "what still runs there is ended by the next run before it does anything else"
        return "what it left running was ended"

    def name(self, operation: str) -> str:
        """Return the name of an operation, `Stage | Operation`."""
        return ", ".join(sorted(self.session.state.get_op_meta(operation).names))

    def _fail(self, host: Host, reason: str) -> None:
        self.result.hosts[host.name].failed = reason
        self.session.leave_out(host)
        self.display.finish(host.name, reason, True)

    def _arm(self, host: Host, data: StateOperationHostData) -> None:
        """Mark an operation's commands as this run's, and keep its errors on its own host."""
        environment = {**(data.global_arguments.get("_env") or {}), deploy_lock.VARIABLE: self.id}
        data.global_arguments["_env"] = environment

        def guarded(generator: Callable[[], Iterator[PyinfraCommand]]) -> Iterator[PyinfraCommand]:
            try:
                for command in generator():
                    if self.result.interrupted is not None:
                        yield FunctionCommand(_fail, [], {})
                        return
                    yield command
            except Exception as error:
                if not self.session.lost(host):
                    self.display.output(host.name, explain(error))
                yield FunctionCommand(_fail, [], {})

        pyinfra_internals.commands_by(data, guarded)

    # Interruption

    def stop(self) -> None:
        """End what runs on the hosts; `change` returns when it has ended."""
        for host in self._locked:
            self._stops.append(greenlets.spawn(self._stop, host))

    def _stop(self, host: Host) -> None:
        try:
            deploy_lock.stop(host, self.id)
        except Exception as error:
            self.display.for_host(host.name, f"could not end it: {error}", "yellow")


def _fail(state: Any, host: Any) -> bool:
    return False
