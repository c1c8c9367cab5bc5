"""Everything that must be true of every host before any host is touched; reads only.

The modules of `operations/` register their checks here. `run` reads one snapshot of each
host, all hosts at once, and reports every problem of every host together. What this module
itself looks at is what no snapshot can hold: whether the host answers, and whether its login user
may become root.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakSet

from pyinfra import host as current_host
from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.context import ctx_host

from operations.base import answers, snapshot
from operations.base.answers import printable
from operations.base.waits import waiting
from toolkit import greenlets, pyinfra_internals
from toolkit.greenlets import AsyncResult, Pool
from toolkit.settings import Settings, settings_for
from toolkit.ssh import SSHException

HOST_SECONDS = 300
"""How long looking at one host may take in all; each answer has a limit of its own."""
# What sudo warns of does not count, if it works.
_SUDO_PROBE = "said=$(LC_ALL=C sudo -n true 2>&1) && echo allowed || printf '%s\\n' \"$said\""


@dataclass(frozen=True)
class Problem:
    """What keeps a host from being provisioned, and what the user can do about it.

    With `stops=False` it is a warning: shown, and the run goes on.
    """

    what: str
    fix: str
    stops: bool = True


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


Check = Callable[[Settings], Iterable[Problem]]
Ask = Callable[[Settings], str]
Keep = Callable[[Settings, str], object]
_checks: list[Check] = []
_apart: list[tuple[Ask, Keep]] = []
_results: WeakKeyDictionary[State, AsyncResult] = WeakKeyDictionary()
_isolated: WeakSet[State] = WeakSet()


def check(function: Check) -> Check:
    """Register a check: it reads the facts of the current host and yields `Problem`s."""
    _checks.append(function)
    return function


def registered(*but: Check) -> list[Check]:
    """Return the checks of provisioning, without some of them."""
    return [one for one in _checks if one not in but]


def ask_apart(ask: Ask, keep: Keep) -> None:
    """Register a question that no snapshot may hold, asked at the same time: a round trip more.

    `ask(settings)` returns what the current host answers; `keep(settings, answer)` reads it before
    the checks.
    """
    _apart.append((ask, keep))


def isolate(state: State) -> None:
    """Have `run` raise only for the hosts that have problems, whom the caller then leaves out."""
    _isolated.add(state)


def run(only: Iterable[Check] | None = None) -> Settings:
    """Check every host of the run once; return the settings of the current one.

    + only: these checks, instead of all that are registered for provisioning

    Raises:
        PreflightError: at least one host has a problem (after `isolate`: the current host).
        SettingsError: the settings of at least one host are wrong.
    """
    settings = settings_for(current_host)
    state: State = current_host.state
    if state not in _results:
        result = _results[state] = AsyncResult()
        try:
            result.set(_problems_of_all(state, only))
        except Exception as error:
            result.set_exception(error)
    problems = _results[state].get() or {}
    if state in _isolated:
        problems = {name: found for name, found in problems.items() if name == current_host.name}
    if problems:
        raise PreflightError(problems)
    return settings


def passed(host: Host) -> bool:
    """Return whether a host has been checked and has no problem that stops it."""
    result = _results.get(host.state)
    return result is not None and result.successful() and host.name not in (result.value or {})


def _problems_of_all(state: State, only: Iterable[Check] | None) -> dict[str, list[Problem]]:
    hosts = [host for host in state.inventory if state.is_host_in_limit(host)]
    pool = Pool(max(1, state.config.PARALLEL))
    checked = {host: pool.spawn(_problems_of, state, host, only) for host in hosts}
    greenlets.joinall(list(checked.values()))
    problems: dict[str, list[Problem]] = {}
    for host, greenlet in checked.items():
        for problem in greenlet.get():
            if problem.stops:
                problems.setdefault(host.name, []).append(problem)
            else:
                logger.warning(f"{host.print_prefix}{problem.what} ({problem.fix})")
    return problems


def _problems_of(state: State, host: Host, only: Iterable[Check] | None = None) -> list[Problem]:
    """Return what is wrong with one host; never raises, for one host must not hide the others."""
    if not host.connected or host in state.failed_hosts:
        return [
            Problem(
                "the host cannot be reached",
                "see its line above; check address, port, user and key, or leave it out (--limit)",
            )
        ]
    timer = greenlets.Timeout(HOST_SECONDS, TimeoutError())
    try:
        with ctx_host.use(host):
            if problem := root_problem(host):
                return [problem]
            with timer, waiting("what it answers"):
                return _looked_at(host) if only is None else _looked_at_for(host, only)
    except TimeoutError:
        what = f"the host did not answer everything it was asked within {HOST_SECONDS} s"
        return [Problem(what, "see what it is busy with, or leave it out (--limit)")]
    except snapshot.UnreadableAnswerError as error:
        return [_unreadable(str(error).removeprefix(f"{host.name}: "))]
    except (PyinfraError, OSError, EOFError, SSHException) as error:
        said = str(error).removeprefix(f"{host.name}: ") or type(error).__name__
        fix = "check the connection: `ssh HOST id` is to work (docs/hosts.md: logins)"
        return [Problem(f"the host cannot be checked: {said}", fix)]
    except Exception as error:  # an answer that means nothing to whoever reads it
        why = f"{type(error).__name__}: {printable(str(error))}"
        return [_unreadable(f"the host's answers cannot be read: {why}")]


def _unreadable(what: str) -> Problem:
    return Problem(what, "see what answers there; if nothing is odd, please report this")


def _looked_at(host: Host) -> list[Problem]:
    settings = settings_for(host)
    apart = [(greenlets.spawn(_ask, host, ask, settings), keep) for ask, keep in _apart]
    snapshot.read(host)  # if that fails, the others end by themselves, in their own time
    for asked, keep in apart:
        said = asked.get()
        if isinstance(said, Exception):
            raise said
        keep(settings, said)
    return [problem for function in _checks for problem in function(settings)]


def _looked_at_for(host: Host, only: Iterable[Check]) -> list[Problem]:
    settings = settings_for(host)
    snapshot.read(host)
    return [problem for function in only for problem in function(settings)]


def _ask(host: Host, ask: Ask, settings: Settings) -> str | Exception:
    with ctx_host.use(host):
        try:
            return ask(settings)
        except Exception as error:  # gevent would print it
            return error


def root_problem(host: Host) -> Problem | None:
    """Return why the login user of `host` cannot act as root; None if it can."""
    if not snapshot.needs_sudo(host):
        return None
    user = getattr(host.data, "ssh_user", None) or "the login user"
    if getattr(host.data, "_sudo_password", None):
        return _refused_password(host, user)
    said = answers.ask(host, _SUDO_PROBE).strip()
    if said == "allowed":
        return None
    fix = "log in as root or as a user with sudo"
    if pyinfra_internals.wants_password(said):
        if sys.stdin.isatty() and (
            password := pyinfra_internals.password(f"{host.print_prefix}sudo password: ")
        ):
            host.data._sudo_password = password
            return _refused_password(host, user)
        what = "root is needed, and sudo wants a password (or the user may not use it)"
        fix = "set _sudo_password in the inventory, allow sudo without one, or log in as root"
    elif "not found" in said:
        what = "root is needed, and sudo is not installed"
    else:
        what = f"root is needed, and sudo says: {printable(said)}"
    return Problem(f"{user}: {what}", fix)


def _refused_password(host: Host, user: str) -> Problem | None:
    try:
        answers.ask(host, "true", snapshot.privileges(host))
    except answers.AnswerError as error:
        if "usage: sudo" in str(error):
            return Problem(
                f"{user}: the host's sudo takes no password from a helper (sudo-rs before 0.2.11)",
                "allow sudo without a password, log in as root, or upgrade sudo-rs",
            )
        what = f"sudo refuses the password, or the user may not use it: {printable(str(error))}"
        return Problem(f"{user}: {what}", "correct _sudo_password in the inventory")
    return None
