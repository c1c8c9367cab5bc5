"""The frame of verbs: a question to all hosts, what is printed of the answers, the exit code."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from commandline.errors import explain
from commandline.options import ERRORS, fail, has_terminal, leave, overrides
from commandline.results import FAILED, INTERRUPTED, PENDING
from commandline.run.session import Options, Session
from commandline.screen import tables
from commandline.screen.display import Display
from commandline.screen.given import Given
from commandline.screen.live_display import LiveDisplay
from operations.gateway.host_secrets import UnreadableFile
from toolkit import greenlets
from toolkit.dotenv import DotenvError
from toolkit.ssh import SSHException
from toolkit.terminal import said

T = TypeVar("T")
OF_A_HOST = (PyinfraError, OSError, EOFError, SSHException, DotenvError, UnreadableFile)
SILENT_SECONDS = 2.0
"""A verb that takes longer says what it waits for."""
at_interruption: list[Callable[[], object]] = []
"""What is done when somebody presses Ctrl-C, in this order; then the verb ends."""


class VerbError(PyinfraError):
    """A verb cannot do what it is for on a host; the message does not name the host."""


@dataclass(frozen=True)
class Answer:
    """What a host answered, or why it did not."""

    value: Any = None
    error: str | None = None


Answers = dict[str, Answer]
"""By the names of the hosts, in the inventory's order."""
Question = Callable[[Host], Any]
More = Callable[[Answers], "tuple[str, Question, str] | None"]


def run(
    target: str | None,
    options: dict[str, Any],
    question: Callable[[Host], T],
    what: str,
    *,
    show: Callable[[Answers], None],
    failed: Callable[[T], bool] = lambda value: False,
    wanting: Callable[[T], bool] = lambda value: False,
    as_json: bool = False,
    document: Callable[[T], dict[str, Any]] = lambda value: {},
) -> NoReturn:
    """Ask all hosts of a target at once, print what they answered, and exit.

    Args:
        target: what was typed after the verb; `options` is the rest that `target_options` takes.
        question: asks one host; what it raises is that host's answer.
        what: shown on standard error, with the hosts, when it takes more than two seconds.
        show: prints the answers for people; `each` makes one of what prints a single host's.
        failed: whether an answer means exit code 1, which no answer does anyway.
        wanting: whether an answer means exit code 2, where none means 1.
        as_json: print one document instead, in which `document` is one host's answer.
    """
    with contextlib.redirect_stdout(sys.stderr):  # what a user's own inventory prints
        answers = ask(opened(target, **options, moving=True), question, what)
    if as_json:
        hosts = {
            name: {"error": answer.error} if answer.error else document(answer.value)
            for name, answer in answers.items()
        }
        sys.stdout.write(json.dumps({"hosts": hosts}, indent=2) + "\n")
    else:
        show(answers)
    wrong = any(answer.error or failed(answer.value) for answer in answers.values())
    pending = any(not answer.error and wanting(answer.value) for answer in answers.values())
    leave(FAILED if wrong else PENDING if pending else 0)


def each(show: Callable[[str, Any], None]) -> Callable[[Answers], None]:
    """Return what prints host by host: by `show(name, value)`, or why there is no answer."""

    def shown(answers: Answers) -> None:
        for name, answer in answers.items():
            if answer.error:
                print_errors({name: answer})
            else:
                show(name, answer.value)

    return shown


def print_table(
    answers: Answers,
    columns: Sequence[str],
    rows: Callable[[Any], Iterable[Sequence[tables.Cell]]],
    nothing: str,
) -> None:
    """Print the rows of all answers as one table, with the host where there are several; `nothing`
    where there are none and somebody has answered.
    """
    console, several = tables.screen(200), len(answers) > 1
    table = tables.plain(*(["Host"] if several else []), *columns)
    for name, answer in answers.items():
        for row in () if answer.value is None else rows(answer.value):
            table.add_row(*([said(name)] if several else []), *row)
    if table.row_count:
        console.print(table)
    elif not all(answer.error for answer in answers.values()):
        console.print(said(nothing))


def print_errors(answers: Answers) -> None:
    """Print what hosts could not answer."""
    for name, answer in answers.items():
        if answer.error:
            ERRORS.print(f"{name}: {answer.error}", style="red")


def opened(
    target: str | None,
    assignments: tuple[str, ...],
    limit: tuple[str, ...],
    exclude: tuple[str, ...],
    verbose: int,
    moving: bool = False,
) -> Session:
    """Return a session with the target's hosts and their settings; leaves if they are wrong.

    `moving`: a terminal shows what is waited for in lines that move.
    """
    kind = LiveDisplay if moving and ERRORS.is_terminal and verbose == 0 else Display
    display = kind(ERRORS, verbose, SILENT_SECONDS)
    options = Options(
        target,
        overrides(assignments),
        limit,
        exclude,
        verbose,
        interactive=has_terminal(),
        given=Given(target, assignments, limit, exclude),
    )
    session = Session(options, display)
    greenlets.signal_handler(signal.SIGINT, _interrupted, display)
    try:
        with display:
            session.open()
    except Exception as error:
        fail(explain(error))
    return session


def ask(session: Session, question: Question, what: str, more: More | None = None) -> Answers:
    """Connect to the hosts of an opened session and ask all at once.

    `what` is shown while they are waited for. `more` makes of their answers the name of one host,
    another question to that, and what is shown meanwhile: then its answer alone is returned.
    """
    with session.display:
        with session.display.phase("Connecting"):
            session.connect()
        found = {name: Answer(error=reason) for name, reason in session.unreachable.items()}
        found |= _asked(session, session.active, question, what)
        answers = {host.name: found[host.name] for host in session.hosts}
        if more and (further := more(answers)):
            name, question, what = further
            hosts = [host for host in session.active if host.name == name]
            answers = _asked(session, hosts, question, what)
        session.close()
    return answers


def watch(session: Session, question: Question, what: str) -> Iterator[Answers]:
    """Yield what all hosts of an opened session answer, again each time the next one is wanted.

    They stay connected, and who cannot be connected is tried again; Ctrl-C disconnects them.
    """
    at_interruption.append(session.close)
    with session.display:
        with session.display.phase("Connecting"):
            session.connect()
        with session.display.phase(what):
            found = session.on_each(session.active, _answering(session, question))
        first = {name: Answer(error=reason) for name, reason in session.unreachable.items()}
        first |= {host.name: answer for host, answer in found.items()}
    yield {host.name: first[host.name] for host in session.hosts}

    def again(host: Host) -> Answer:
        error = session.connect_again(host)
        return Answer(error=error) if error else _answering(session, question)(host)

    while True:
        found = session.on_each(session.hosts, again)
        yield {host.name: found[host] for host in session.hosts}


def _asked(session: Session, hosts: list[Host], question: Question, what: str) -> Answers:
    with session.display.phase(what):
        found = session.on_each(hosts, _answering(session, question))
    return {host.name: answer for host, answer in found.items()}


def _answering(session: Session, question: Question) -> Callable[[Host], Answer]:
    def one(host: Host) -> Answer:
        try:
            return Answer(question(host))
        except OF_A_HOST as error:
            said = str(error).removeprefix(f"{host.name}: ") or type(error).__name__
            return Answer(error=session.options.given.completed(said, host.name))
        except Exception as error:
            return Answer(error=explain(error))

    return one


def _interrupted(display: Display) -> None:
    display.__exit__()
    for one in at_interruption:
        one()
    leave(INTERRUPTED)
