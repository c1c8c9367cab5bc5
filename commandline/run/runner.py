"""A run of a deploy file, `deploy.py` or a verb's own: plan it, then change the hosts that differ.

The deploy file is the one that plain `pyinfra` runs. What is ours: complete reports, hosts that
neither wait for each other nor fail with each other, the deploy lock, canary and batches,
interruption, and exit codes (see `results`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pyinfra.api.host import Host
from pyinfra.api.state import State

from commandline.errors import explain
from commandline.results import INTERRUPTED, HostResult, RunResult
from commandline.run import deploy_lock, history, hooks, last_seen, outside
from commandline.run.execution import STOP_SECONDS, Execution
from commandline.run.hooks import Event, HookError
from commandline.run.planning import Planning
from commandline.run.session import Interrupted, Options, Session, timed
from commandline.screen import timeline
from commandline.screen.display import Display, clean
from operations import activation
from operations.base import notes
from toolkit import greenlets
from toolkit.settings.rollout import Rollout

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Runner:
    """Runs one deploy file.

    Args:
        deploy: the deploy file.
        options: target, settings and verbosity.
        dry: plan only.
        confirm: asked with the result so far (the plan is in it) before the first change.
        wait_lock: seconds to wait for another run on the same host.
        timeline: where the timeline is written (default: among those that are kept).
        prepare: called once the inventory is loaded, before anything is planned.
        looks: the hosts that were changed are looked at from outside.
    """

    def __init__(
        self,
        deploy: Path,
        options: Options,
        display: Display,
        dry: bool = False,
        confirm: Callable[[RunResult], bool] = lambda result: True,
        wait_lock: float = 0,
        timeline: Path | None = None,
        prepare: Callable[[State], None] = lambda state: None,
        looks: bool = True,
    ) -> None:
        self.display, self.confirm, self.timeline = display, confirm, timeline
        self.prepare, self.provisions, self.looks = prepare, options.given.provisions, looks
        self.session = Session(options, display)
        self.result = RunResult(dry=dry)
        self.execution = Execution(self.session, self.result, display, wait_lock)
        self.planning = Planning(self.session, self.result, deploy, self.execution.name)
        self._main = greenlets.getcurrent()

    def run(self) -> RunResult:
        """Do it all; never raises."""
        self.display.redactions.append(f"export {deploy_lock.VARIABLE}={self.execution.id} && ")
        handlers = [greenlets.signal_handler(number, self._interrupt) for number in INTERRUPTS]
        with timed(self.result.phases, "total"):
            try:
                with self.display:
                    self._run()
            except (Interrupted, KeyboardInterrupt):
                self._note_interruption()
            except Exception as error:
                self.result.error = explain(error)
            finally:
                self.execution.release_all()
                self.session.close()
        self._remember()
        self._keep_timeline()
        self._after()
        for handler in handlers:
            handler.cancel()
        return self.result

    def _run(self) -> None:
        phases, session = self.result.phases, self.session
        session.open()
        self.prepare(session.state)
        self.result.hosts = {host.name: HostResult() for host in session.hosts}
        with timed(phases, "connect"), self.display.phase("Connecting"):
            session.connect()
        self.result.mark("Connect", session.connecting)
        for name, reason in session.unreachable.items():
            self.result.hosts[name].failed = reason
        if session.active:
            with timed(phases, "plan"), self.display.phase("Checking"):
                self.planning.plan()
        if not self.result.dry:
            self._change()
        last_seen.note_gateways(session, self.result)
        if self.provisions:
            last_seen.note_forwarding(session, self.result)

    def _change(self) -> None:
        planned = [host for host in self.session.active if self.result.hosts[host.name].planned]
        changing = [
            host
            for host in self.session.active
            if host in planned or (self.provisions and self.planning.unverified(host))
        ]
        if planned:
            with self.display.suspended():
                self.result.declined = not self.confirm(self.result)
        if changing and not self.result.declined:
            rollout = self.session.rollout
            self._before(changing)
            self._roll_out(rollout, rollout.batches(changing, _has_gateway))

    # Canary and batches

    def _roll_out(self, rollout: Rollout, batches: list[list[Host]]) -> None:
        """Change the hosts batch after batch, until too many have failed."""
        self.result.batches = [[host.name for host in batch] for batch in batches]
        for host in (host for batch in batches for host in batch):
            self.result.hosts[host.name].left_out = "the run ended before its turn"
        self.display.expect([host.name for batch in batches for host in batch])
        failed: list[str] = []
        for number, batch in enumerate(batches, 1):
            names = ", ".join(host.name for host in batch)
            if len(batches) > 1:
                self.display.progress(f"Batch {number} of {len(batches)}: {names}", "bold")
            with timed(self.result.phases, "lock"), self.display.phase("Taking the deploy lock"):
                locked = self.execution.lock(batch)
            for host in batch:
                self.result.hosts[host.name].left_out = None
            with timed(self.result.phases, "execute"):
                self.execution.change(locked)
            for host in batch:
                checks = [asdict(check) for check in notes.of(host).checks]
                self.result.hosts[host.name].checks = checks
                self.result.hosts[host.name].outcome = list(notes.of(host).outcome)
            self._look_from_outside(batch)
            failed += [host.name for host in batch if self.result.hosts[host.name].failed]
            if self.result.interrupted is not None:
                return
            if len(failed) > rollout.max_failures:
                for host in (host for rest in batches[number:] for host in rest):
                    reason = f"the rollout stopped after {', '.join(failed)} failed"
                    self.result.hosts[host.name].left_out = reason
                return

    def _look_from_outside(self, batch: list[Host]) -> None:
        """See what answers on the hosts that were changed; what is not to has failed its host."""
        changed = [host for host in batch if self.result.hosts[host.name].state == "changed"]
        if not (changed and self.looks) or self.result.interrupted is not None:
            return
        with timed(self.result.phases, "outside"), self.display.phase("Looking from outside"):
            found = self.session.on_each(changed, outside.checked)
        self.result.mark("Outside", self.session.took)
        for host, checks in found.items():
            own = self.result.hosts[host.name]
            own.outside = checks
            if wrong := outside.wrong(checks):
                again = self.session.options.given.for_host("verify", host.name, "--outside")
                own.failed = f"seen from this machine, {wrong} (to look again: {again})"

    # Hooks

    def _before(self, changing: list[Host]) -> None:
        if hook := self.session.rollout.before:
            names = tuple(host.name for host in changing)
            event = Event(
                self.session.options.target_name, names, failed=tuple(self.result.unfinished)
            )
            with self.display.phase("Running the hook rollout.before"):
                hooks.run("before", hook, event, self._say)

    def _after(self) -> None:
        hook, result = self.session.rollout.after, self.result
        if not hook or result.dry:
            return
        changed = tuple(name for name, host in result.hosts.items() if host.changed)
        unfinished = tuple(result.unfinished)
        event = Event(
            self.session.options.target_name,
            tuple(result.hosts),
            changed,
            unfinished,
            result.exit_code,
        )
        try:
            hooks.run("after", hook, event, self._say)
        except (Interrupted, KeyboardInterrupt):
            self._note_interruption()
        except HookError as error:
            result.error = "\n".join(filter(None, (result.error, str(error))))

    def _say(self, line: str) -> None:
        self.display.say(f"    {clean(line)}", "dim")

    def _remember(self) -> None:
        """Keep which hosts are unfinished, for `--limit @failed`."""
        result = self.result
        stopped = result.error is not None or result.interrupted is not None
        if not self.provisions or result.dry or result.declined or not result.hosts:
            return
        if stopped and result.untouched:
            return
        try:
            history.note(self.session.options.target, result, self.display.warn)
        except OSError as error:
            self.display.warn(f"--limit @failed will not know of this run: {error}")

    def _keep_timeline(self) -> None:
        result = self.result
        if not self.provisions or not result.hosts or (result.untouched and not self.timeline):
            return
        owner, moment = self.execution.owner, time.strftime("%Y-%m-%d %H:%M:%S %Z")
        html = timeline.render(result, self.session.options.target_name, owner, moment)
        try:
            path = history.keep_timeline(self.session.options.target, html, self.timeline)
        except OSError as error:
            self.display.warn(f"the timeline was not written: {error}")
        else:
            result.timeline = str(path)
        with suppress(OSError):  # it is for a report alone
            target = self.session.options.target
            history.keep_run(target, result, owner, timeline.outcome(result))

    # Interruption

    def _interrupt(self) -> None:
        if self.result.interrupted is not None:
            self.display.__exit__()
            os._exit(INTERRUPTED)  # asked twice; the locks end with the connections
        self._note_interruption()
        if not self.execution.running:
            greenlets.kill(self._main, Interrupted())
            return
        self.display.say(
            "Interrupted: ending what runs on the hosts (again: leave at once)", "yellow"
        )
        self.execution.stop()
        greenlets.spawn_later(STOP_SECONDS, greenlets.kill, self._main, Interrupted())

    def _note_interruption(self) -> None:
        if self.result.interrupted is None:
            self.result.interrupted = [
                f"{host}: {running.name}" if host else running.name
                for host, running in self.display.running.items()
            ]


def _has_gateway(host: Host) -> bool:
    return activation.known(host).status == "running"
