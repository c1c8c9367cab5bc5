"""A command on hosts whose lines are shown as they come: logs, and OpenClaw's own command line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pyinfra.api.host import Host
from pyinfra.api.output import set_echo, set_formatter

from commandline import targets
from commandline.options import ERRORS, fail, leave
from commandline.results import FAILED
from commandline.run.session import Session
from commandline.verbs import commands
from toolkit.terminal import Screen, plain, said, unguarded

ERROR_MARK = "\x1f"
STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")
"""Of the names of hosts before their lines; what a host says has no colours on a terminal."""


def run(
    session: Session,
    command: Callable[[Host], str],
    what: str,
    terminal: bool = False,
    hang_up: bool = False,
) -> None:
    """Run a shell command on the hosts and exit as it does; `what` is its name for people.

    One host gets our terminal (or, on this machine, our pipes); several are asked at once, each
    line with its host's name. `hang_up`: end the command when the connection ends.
    """
    if terminal and len(session.hosts) > 1:
        fail("a terminal is for one host; choose it with --limit HOST")
    first = session.hosts[0]
    if len(session.hosts) == 1 and (terminal or targets.is_local(first)):
        line = command(first)
        if sys.stderr.isatty() and session.options.verbosity >= 0:
            ERRORS.print(said(f"… {what} on {first.name}", "dim"))
        if not terminal and (sys.stdout.isatty() or sys.stderr.isatty()):
            leave(commands.show(first, line))
        try:
            commands.hand_over(first, line)
        except commands.VerbError as error:
            fail(f"{first.name}: {error}")
    set_echo(_write_line(session))
    set_formatter(_mark_errors)

    def one(host: Host) -> int:
        return commands.stream(host, command(host), terminal=hang_up)

    answers = commands.ask(session, one, what)
    report_errors(answers, exit_code=max(answer.value or 0 for answer in answers.values()))


def _write_line(session: Session) -> Callable[..., None]:
    several = len(session.hosts) > 1
    styles = {name: STYLES[place % len(STYLES)] for place, name in enumerate(session.display.hosts)}
    streams = {False: (sys.stdout, Screen(soft_wrap=True)), True: (sys.stderr, ERRORS)}

    def write(message: object = "", **_: object) -> None:
        host, text = session.display.split(str(message))
        stream, screen = streams[text.startswith(ERROR_MARK)]
        text = text.removeprefix(ERROR_MARK).rstrip("\r")
        if text.startswith(commands.EXIT_MARK):
            return
        if session.display.awaited:
            session.display.awaited.pop(host, None)
        if not stream.isatty():
            # For a program, such as a pager or a file, it is as the host said it.
            print(f"[{host}] {text}" if several else text, file=unguarded(stream))
            return
        prefix = f"[{host}] " if several and host else ""
        line = said(prefix + plain(text))
        if prefix:
            line.stylize(styles[host], 0, len(prefix))
        screen.print(line)

    return write


def _mark_errors(text: str, *style: str, **_: object) -> str:
    """pyinfra tells standard error from standard output by its colour alone."""
    return f"{ERROR_MARK}{text}" if style == ("red",) else text


def report_errors(answers: dict[str, commands.Answer], exit_code: int = 0) -> None:
    """Print what hosts could not answer, and exit."""
    for name, answer in answers.items():
        if answer.error:
            ERRORS.print(f"{name}: {answer.error}", style="red")
            exit_code = exit_code or FAILED
    leave(exit_code)
