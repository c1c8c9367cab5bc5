"""What a run would change, and on which hosts it cannot: the deploy file, run on all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_config, ctx_host

from commandline.errors import cause, explain
from commandline.results import RunResult
from commandline.run.session import Session
from operations import verification
from operations.base import notes, preflight
from operations.base.preflight import PreflightError
from toolkit import pyinfra_internals
from toolkit.settings import SettingsError, settings_for
from toolkit.ssh import SSHException

OF_A_HOST = (PyinfraError, OSError, EOFError, SSHException)
"""What goes wrong with a host, and what an answer that cannot be read is called."""
NOT_READY = "not ready to be provisioned"


class Planning:
    """Plans a run on the connected hosts of a session; what it finds is noted in `result`.

    Args:
        deploy: the deploy file.
        name: returns the name of an operation.
    """

    def __init__(
        self, session: Session, result: RunResult, deploy: Path, name: Callable[[str], str]
    ) -> None:
        self.session, self.result, self.deploy, self.name = session, result, deploy, name

    def plan(self) -> None:
        """Run the deploy file on every host; those that it cannot be run on are left out."""
        session = self.session
        session.state.set_stage(StateStage.Prepare)
        session.state.current_deploy_filename = str(self.deploy)
        preflight.isolate(session.state)
        loaded = session.on_each(session.active, self._load)
        self.result.mark("Check", session.took)
        errors = {host: error for host, error in loaded.items() if error}
        reasons = {repr(cause(error)) for error in errors.values()}
        if len(errors) == len(loaded) > 1 == len(reasons) and not any(
            isinstance(cause(error), OF_A_HOST) for error in errors.values()
        ):
            raise next(iter(errors.values()))  # the deploy file's own trouble
        for host, error in errors.items():
            self._leave_out(host, error)
        for host in session.active:
            self.result.hosts[host.name].settings = [
                {"key": change.key, "from": change.before, "to": change.after}
                for change in notes.of(host).settings
            ]
            self.result.hosts[host.name].notes = list(notes.of(host).plan)
        order = session.state.get_op_order() if session.active else []
        for host in session.active:
            for operation in order:
                data = session.state.ops[host].get(operation)
                if data and data.operation_meta.will_change and not data.global_arguments["_if"]:
                    name = self.name(operation)
                    self.result.hosts[host.name].planned.append(name)

    def _load(self, host: Host) -> Exception | None:
        try:
            with ctx_config.use(self.session.state.config.copy()), ctx_host.use(host):
                pyinfra_internals.execute(str(self.deploy))
        except Exception as error:
            return error
        return None

    def _leave_out(self, host: Host, wrapped: Exception) -> None:
        """Note why a host cannot take part; wrong settings stop the run."""
        own, error = self.result.hosts[host.name], cause(wrapped)
        if isinstance(error, PreflightError):
            own.problems = [
                {"what": one.what, "fix": self.session.options.given.completed(one.fix, host.name)}
                for one in error.problems[host.name]
            ]
            given = self.session.options.given
            own.failed = NOT_READY if given.provisions else f"{given.verb} cannot be done there"
        elif isinstance(error, SettingsError) or len(self.result.hosts) == 1:
            raise wrapped
        else:
            said = str(error) if isinstance(error, OF_A_HOST) else explain(error)
            own.failed = f"cannot be checked: {said.removeprefix(f'{host.name}: ')}"
        self.session.leave_out(host)

    def unverified(self, host: Host) -> bool:
        """Whether there is something to look at on a host on which nothing would change."""
        try:
            with ctx_host.use(host):
                return verification.due(settings_for(host))
        except Exception as error:  # what it says, or its agents' files: its own trouble
            self.result.hosts[host.name].failed = f"cannot be looked at: {explain(error)}"
            self.session.leave_out(host)
            return False
