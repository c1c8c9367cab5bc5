"""`./claw logs`: what the gateway has written, and writes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import click
from pyinfra.api.host import Host

from commandline import asking, streaming
from commandline.moments import Moment
from commandline.options import ERRORS, MANY, examples, fail, leave, target_options
from commandline.results import FAILED
from commandline.run.session import Session
from commandline.verbs.cli import missing
from operations.base import snapshot
from operations.gateway import form
from operations.lifecycle import logs as log
from operations.lifecycle.logs import LEVELS, Asked, Record
from toolkit.settings import Settings, settings_for
from toolkit.terminal import Screen, plain, said, unguarded

LINES, SINCE_LINES = 100, 10_000
"""How much of the past, without and with a moment from which on it is wanted."""
WHAT = "Reading the gateway's log"
STYLES = {"warn": "yellow", "error": "red", "fatal": "bold red", "debug": "dim", "trace": "dim"}


@click.command(
    epilog=examples(
        "./claw logs -f",
        "./claw logs inventories/fleet.yml --since 2h --level warn",
        "./claw logs root@203.0.113.7 --grep 'telegram|discord' --json",
    )
)
@target_options
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes (Ctrl-C ends it).")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(min=0, max=MANY),
    metavar="LINES",
    help=f"How much of the past (default {LINES}; with --since {SINCE_LINES}).",
)
@click.option("--since", type=Moment(), metavar="WHEN", help="From then on: 2h, 2026-11-30T06:00.")
@click.option("--until", type=Moment(), metavar="WHEN", help="Up to then; likewise.")
@click.option(
    "--grep",
    "pattern",
    default="",
    metavar="PATTERN",
    help="Only lines in which it is found: an extended regular expression; in small letters "
    "alone it means capital ones too.",
)
@click.option("--level", type=click.Choice(LEVELS), help="Only what is at least as bad.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object on each line.")
def logs(
    target: str | None,
    follow: bool,
    tail: int | None,
    since: float | None,
    until: float | None,
    pattern: str,
    level: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Print the gateway's log.

    Of several hosts the lines stand in the order of their time, with -f in that of their arrival.
    """
    if follow and until is not None:
        raise click.UsageError("--follow and --until are opposites: give one of them")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until: nothing lies between them")
    check_pattern(pattern)
    if tail is None:
        tail = LINES if since is None else SINCE_LINES
    asked = Asked(tail, since, until, pattern, level, follow)
    with contextlib.redirect_stdout(sys.stderr):  # what a user's own inventory prints
        session = asking.opened(target, **options)
    for host in session.hosts if level else ():
        if not log.told(settings_for(host)):
            fail(
                f"{host.name}: --level {level}: the journal does not say the level of a line of "
                "text; accepted with gateway.log_style: json"
            )
    as_it_is = since is until is level is None and not pattern and not as_json
    if as_it_is and (follow or len(session.hosts) == 1):

        def whole(settings: Settings, up: str) -> str:
            return log_command(settings, follow, asked.tail, up)

        streaming.run_on(session, whole, WHAT, follow)
    printer = Printer(session, as_json)
    if follow:
        _follow(session, asked, printer)
    _print_past(session, asked, printer)


def _follow(session: Session, asked: Asked, printer: Printer) -> NoReturn:
    def arrived(host: str, line: str) -> None:
        if (one := log.record(line)) is None:
            ERRORS.print(said(f"{host}: {line}", "red"))  # why there is no log
        elif log.keeps(one, asked.level):
            printer.print(host, one)

    def chosen(settings: Settings, up: str) -> str:
        return log.script(settings, asked, missing(settings, up))

    streaming.run_on(session, chosen, WHAT, True, arrived=arrived)


def _print_past(session: Session, asked: Asked, printer: Printer) -> NoReturn:
    given = session.options.given

    def question(host: Host) -> list[Record]:
        settings = settings_for(host)
        words = missing(settings, given.for_host("up", host.name))
        found = log.parse(snapshot.run_quietly(host, log.script(settings, asked, words)))
        return [one for one in found if log.keeps(one, asked.level)]

    answers = asking.ask(session, question, WHAT)
    for host, one in interleaved(answers):
        printer.print(host, one)
    asking.print_errors(answers)
    full = [name for name, answer in answers.items() if len(answer.value or ()) >= asked.tail > 0]
    if full and asked.since is not None:
        ERRORS.print(f"{', '.join(full)}: there may be more than --tail {asked.tail} lines")
    leave(FAILED if any(answer.error for answer in answers.values()) else 0)


def log_command(settings: Settings, follow: bool, tail: int, up: str) -> str:
    """Return the shell line that prints the gateway's log as it is; `up` makes one."""
    return form.of(settings).log(settings, tail, follow, missing(settings, up))


def check_pattern(pattern: str) -> None:
    """Leave if `grep -E` does not take a pattern, before any host is asked."""
    if not pattern:
        return
    if not pattern.isprintable():
        raise click.BadParameter(
            f"{pattern!r} is not printable text on one line", param_hint="--grep"
        )
    words = ["grep", "-E", "-e", log.anchored(pattern)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    if done.returncode > 1:
        why = re.sub(r"^grep: ", "", done.stderr.strip())
        raise click.BadParameter(
            f"{pattern!r}: {why}; accepted: an extended regular expression, as of grep -E",
            param_hint="--grep",
        )


def interleaved(answers: asking.Answers) -> Iterable[tuple[str, Record]]:
    """Return what hosts answered in the order of its time; what is of one moment, in theirs."""
    all_of_them = [(name, one) for name, answer in answers.items() for one in answer.value or ()]
    return sorted(all_of_them, key=lambda pair: pair[1].moment)


class Printer:
    """Prints records of the hosts of a session: with the host where there are several."""

    def __init__(self, session: Session, as_json: bool) -> None:
        self.several, self.as_json = len(session.hosts) > 1, as_json
        self.colours = streaming.colours(session)
        self.screen = Screen(soft_wrap=True)

    def print(self, host: str, one: Record) -> None:
        """Print a record; for a program it is as the host said it."""
        if self.as_json:
            document = json.dumps({"host": host, **one.document()}, ensure_ascii=True)
            print(document, file=unguarded(sys.stdout))
            return
        prefix = f"[{host}] " if self.several else ""
        if not sys.stdout.isatty():
            print(f"{prefix}{one.line}", file=unguarded(sys.stdout))
            return
        shown = said(prefix + plain(one.line), STYLES.get(one.level or "", ""))
        if prefix:
            shown.stylize(self.colours[host], 0, len(prefix))
        self.screen.print(shown)
