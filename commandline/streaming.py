"""The frame of the verbs that run a command on hosts: its lines as they come, its exit code."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from pyinfra.api import StringCommand
from pyinfra.api.host import Host
from pyinfra.api.output import set_echo, set_formatter
from pyinfra.connectors.ssh import SSHConnector

from commandline import asking, targets
from commandline.asking import VerbError
from commandline.options import ERRORS, fail, leave
from commandline.results import FAILED
from commandline.run.session import Session
from operations.base import snapshot
from operations.base.connection import for_any_shell
from toolkit import greenlets
from toolkit import terminal as terminals
from toolkit.greenlets import PIPE, Popen
from toolkit.settings import Settings, settings_for
from toolkit.terminal import Screen, plain, said, unguarded

ERROR_MARK = "\x1f"
EXIT_MARK = "\x1eexit "
Command = Callable[[Settings, str], str]
STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")
"""Of the names of hosts before their lines; what a host says has no colours on a terminal."""


def run(
    target: str | None,
    options: dict[str, Any],
    command: Command,
    what: str,
    *,
    terminal: bool = False,
) -> NoReturn:
    """Run a shell command on the hosts of a target and exit as it does.

    One host gets our terminal (or, on this machine, our pipes); several are asked at once, each
    line with its host's name.

    Args:
        target: what was typed after the verb; `options` is the rest that `target_options` takes.
        command: makes the command of a host's settings, and of the line that makes a deployment.
        what: its name for people.
    """
    run_on(asking.opened(target, **options), command, what, terminal=terminal)


def run_on(
    session: Session,
    command: Command,
    what: str,
    hang_up: bool = False,
    *,
    terminal: bool = False,
    arrived: Callable[[str, str], None] | None = None,
) -> NoReturn:
    """Do as `run` on the hosts of an opened session.

    Args:
        hang_up: end the command when the connection ends.
        arrived: gets each line of standard output, with its host, in place of ours.
    """
    given = session.options.given

    def line(host: Host) -> str:
        return command(settings_for(host), given.for_host("up", host.name))

    if terminal and len(session.hosts) > 1:
        fail("a terminal is for one host; choose it with --limit HOST")
    first = session.hosts[0]
    alone = len(session.hosts) == 1 and arrived is None
    if alone and (terminal or targets.is_local(first)):
        words = line(first)
        if sys.stderr.isatty() and session.options.verbosity >= 0:
            ERRORS.print(said(f"… {what} on {first.name}", "dim"))
        if not terminal and (sys.stdout.isatty() or sys.stderr.isatty()):
            leave(show(first, words))
        try:
            hand_over(first, words)
        except VerbError as error:
            fail(f"{first.name}: {error}")
    set_echo(_write_line(session, arrived))
    set_formatter(_mark_errors)

    def one(host: Host) -> int:
        return stream(host, line(host), terminal=hang_up)

    found = asking.ask(session, one, what)
    asking.print_errors(found)
    code = max(answer.value or 0 for answer in found.values())
    leave(code or (FAILED if any(answer.error for answer in found.values()) else 0))


def colours(session: Session) -> dict[str, str]:
    """Return the colour of each host's name before its lines."""
    return {name: STYLES[place % len(STYLES)] for place, name in enumerate(session.display.hosts)}


def as_root(command: str) -> str:
    """Return a line that runs `command` as root, by sudo where that is needed."""
    quoted = shlex.quote(command)
    line = f'if [ "$(id -u)" = 0 ]; then exec sh -c {quoted}; else exec sudo sh -c {quoted}; fi'
    return f"sh -c {shlex.quote(line)}"


def hand_over(host: Host, command: str) -> None:
    """Replace this process by a command on the host that has our terminal (or our pipes).

    On this machine a shell, elsewhere the system's `ssh -t`; its exit code becomes ours.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if targets.is_local(host):
        os.execvp("sh", ["sh", "-c", as_root(command)])
    if not isinstance(host.connector, SSHConnector):
        raise VerbError("a terminal needs SSH or this machine")
    os.execvp("ssh", ["ssh", "-t", *targets.ssh_options(host), for_any_shell(as_root(command))])


def show(host: Host, command: str) -> int:
    """Run a command on this machine, and return its exit code; what it says on a terminal is text.

    It has our standard input, and what of its output is not for a terminal is as it is.
    """
    with Popen(
        ["sh", "-c", as_root(command)],
        stdout=PIPE if sys.stdout.isatty() else None,
        stderr=PIPE if sys.stderr.isatty() else None,
    ) as process:
        pairs = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        greenlets.joinall([greenlets.spawn(terminals.copy, pipe, to) for pipe, to in pairs if pipe])
    return int(process.returncode)


def stream(host: Host, command: str, terminal: bool = False) -> int:
    """Run a command on a connected host, its lines going where `set_echo` says; its exit code.

    With `terminal` the command ends when the connection does.
    """
    shown = f"sh -c {shlex.quote(command)}; echo {shlex.quote(EXIT_MARK)}$? >&2"
    _, output = host.run_shell_command(
        StringCommand(shown),
        print_output=True,
        print_input=False,
        _get_pty=terminal,
        **snapshot.privileges(host),
    )
    for line in reversed(output.output_lines):
        if line.startswith(EXIT_MARK):
            return int(line.removeprefix(EXIT_MARK))
    return 1


def _write_line(
    session: Session, arrived: Callable[[str, str], None] | None = None
) -> Callable[..., None]:
    several, styles = len(session.hosts) > 1, colours(session)
    streams = {False: (sys.stdout, Screen(soft_wrap=True)), True: (sys.stderr, ERRORS)}

    def write(message: object = "", **_: object) -> None:
        host, text = session.display.split(str(message))
        stream, screen = streams[text.startswith(ERROR_MARK)]
        text = text.removeprefix(ERROR_MARK).rstrip("\r")
        if text.startswith(EXIT_MARK):
            return
        if session.display.awaited:
            session.display.awaited.pop(host, None)
        if arrived and stream is sys.stdout:
            arrived(host or session.hosts[0].name, text)
            return
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
