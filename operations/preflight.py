"""Everything that must be true of every host before any host is touched; reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import gevent
from gevent.event import AsyncResult
from gevent.pool import Pool
from pyinfra import host as current_host
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from operations import snapshot
from toolkit.settings import Settings, settings_for


@dataclass(frozen=True)
class Problem:
    """What keeps a host from being provisioned, and what the user can do about it."""

    what: str
    fix: str


class PreflightError(PyinfraError):
    """The problems of every host; `problems` maps host names to their `Problem`s."""

    def __init__(self, problems: dict[str, list[Problem]]) -> None:
        self.problems = problems
        lines = [
            f"{name}: {problem.what}\n    fix: {problem.fix}"
            for name, found in problems.items()
            for problem in found
        ]
        super().__init__("preflight failed; no host was touched\n" + "\n".join(lines))


Check = Callable[[Settings, dict[str, str]], Iterable[Problem]]
_checks: list[Check] = []
_results: dict[int, AsyncResult] = {}


def check(function: Check) -> Check:
    """Register a check: it takes the settings and the snapshot and yields `Problem`s."""
    _checks.append(function)
    return function


def run() -> Settings:
    """Check every active host once per run; return the settings of the current one.

    Raises:
        PreflightError: at least one host has a problem.
        SettingsError: the settings of at least one host are wrong.
    """
    state: State = current_host.state
    if id(state) not in _results:
        result = _results[id(state)] = AsyncResult()
        try:
            result.set(_problems_of_all(list(state.inventory.get_active_hosts())))
        except Exception as error:
            result.set_exception(error)
    problems = _results[id(state)].get()
    if problems:
        raise PreflightError(problems)
    return settings_for(current_host)


def _problems_of_all(hosts: list[Host]) -> dict[str, list[Problem]]:
    def problems_of(host: Host) -> list[Problem]:
        with ctx_host.use(host):
            settings, answers = settings_for(host), snapshot.read(host)
            return [problem for function in _checks for problem in function(settings, answers)]

    pool = Pool(max(1, min(50, len(hosts))))
    greenlets = {host.name: pool.spawn(problems_of, host) for host in hosts}
    gevent.joinall(list(greenlets.values()))
    return {name: found for name, greenlet in greenlets.items() if (found := greenlet.get())}
