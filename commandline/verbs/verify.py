"""The verbs that look whether a deployment is what it should be."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.table import Table

from commandline import asking
from commandline.options import examples, leave, target_options
from commandline.results import FAILED
from commandline.screen.given import Given
from commandline.screen.words import count, duration
from operations import verification
from operations.base import snapshot
from operations.base.check import Check
from operations.base.preflight import Problem
from operations.base.waits import waiting
from operations.sandbox import running
from operations.sandbox.doctor import findings
from operations.sandbox.running import Sandbox
from toolkit.settings import settings_for
from toolkit.terminal import Screen, said

_STYLES = {"ok": "green", "failed": "bold red", "unknown": "yellow"}


@click.command(epilog=examples("./claw verify root@203.0.113.7"))
@target_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify(target: str | None, as_json: bool, **options: Any) -> None:
    """Prove what is deployed: the gateway, and an agent's turn.

    The gateway from outside and inside, OpenClaw's own judges, and a real turn in a sandbox.
    Changes nothing: the turn is taken in a second gateway that is thrown away (half a minute, and
    about 1.5 GB of memory). Exit code 0 if nothing failed, else 1.
    """
    answers = asking.ask(target, verified, "Verifying", **options)
    console = Screen(width=None if sys.stdout.isatty() else 200)

    def document(checks: list[Check]) -> dict[str, Any]:
        return {"ok": not _failed(checks), "checks": [asdict(check) for check in checks]}

    asking.report(
        answers, as_json, document, lambda name, checks: console.print(table(name, checks))
    )
    leave(
        FAILED if any(answer.error or _failed(answer.value) for answer in answers.values()) else 0
    )


def verified(host: Host) -> list[Check]:
    """Return everything that can be seen of a host's deployment; takes a minute with sandboxes."""
    with ctx_host.use(host):
        settings = settings_for(host)
        return verification.look(settings, ask=True, judges=True, prove=True)


@click.command(epilog=examples("./claw doctor root@203.0.113.7"))
@target_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def doctor(target: str | None, as_json: bool, **options: Any) -> None:
    """Find out what is wrong, and what to do about it.

    Exit code 0 if nothing has to be mended, else 1.
    """

    given = Given.of(target, options)

    def look(host: Host) -> list[Problem]:
        with ctx_host.use(host):
            return [
                replace(one, fix=given.completed(one.fix, host.name))
                for one in findings(settings_for(host))
            ]

    answers = asking.ask(target, look, "Looking for what is wrong", **options)
    console = Screen(soft_wrap=True)

    def document(problems: list[Problem]) -> dict[str, Any]:
        return {"ok": not _stops(problems), "findings": [asdict(one) for one in problems]}

    def show(name: str, problems: list[Problem]) -> None:
        if not problems:
            console.print(said(f"{name}: nothing found", "green"))
        for one in problems:
            console.print(said(f"{name}: {one.what}", "red" if one.stops else "yellow"))
            console.print(said(f"    fix: {one.fix}"))

    asking.report(answers, as_json, document, show)
    wrong = any(answer.error or _stops(answer.value) for answer in answers.values())
    leave(FAILED if wrong else 0)


@click.command(epilog=examples("./claw sandboxes", "./claw sandboxes root@203.0.113.7 --recreate"))
@target_options
@click.option("--recreate", is_flag=True, help="Remove the stale ones; those in use too.")
@click.option("--all", "every", is_flag=True, help="With --recreate: all of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def sandboxes(
    target: str | None, recreate: bool, every: bool, as_json: bool, **options: Any
) -> None:
    """List the sandboxes, and which of them are out of date.

    Out of date is what runs of an earlier image or policy.

    `./claw up` recreates the idle ones and leaves those in use. OpenClaw makes a sandbox anew when
    its agent uses it next; what is running in it is lost.
    """

    def look(host: Host) -> list[Sandbox]:
        with ctx_host.use(host):
            settings = settings_for(host)
            found = {one.name: one for one in running.all_of(settings)}
            chosen = [one for one in found.values() if one.reasons or every]
            if not recreate:
                found |= {one.name: one for one in running.stale(settings)}
            elif chosen:
                with waiting(f"OpenClaw removes {count(len(chosen), 'sandbox', 'es')}"):
                    script = running.recreate_script(settings, chosen)
                    snapshot.run_quietly(host, script, running.COMMANDS_SECONDS)
                return [
                    replace(one, state="removed") if one in chosen else one
                    for one in found.values()
                ]
            return list(found.values())

    answers = asking.ask(target, look, "Looking at the sandboxes", **options)
    console = Screen(width=None if sys.stdout.isatty() else 200)

    def show(name: str, found: list[Sandbox]) -> None:
        if found:
            console.print(sandbox_table(name, found))
        else:
            console.print(f"{name}: no sandbox is there")

    asking.report(
        answers, as_json, lambda found: {"sandboxes": [asdict(one) for one in found]}, show
    )
    leave(FAILED if any(answer.error for answer in answers.values()) else 0)


def sandbox_table(host: str, found: list[Sandbox]) -> Table:
    """Return a row for each sandbox of a host."""
    result = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title=said(host)
    )
    result.title_justify = "left"
    for column in ("Sandbox", "Agent", "State", "Unused for", "Stale because"):
        result.add_column(column, overflow="fold")
    for one in found:
        idle = "" if one.idle_seconds is None else duration(max(0.0, one.idle_seconds))
        reasons = said("; ".join(one.reasons), "yellow")
        result.add_row(said(one.name), said(one.agent), said(one.state), idle, reasons)
    return result


def table(host: str, checks: list[Check]) -> Table:
    """Return the checks of a host line by line, each as configured and as found."""
    result = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title=said(host)
    )
    result.title_justify = "left"
    for column in ("Check", "", "Configured", "Found"):
        result.add_column(column, overflow="fold")
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            result.add_row(said(group, "bold"))
        found = check.found or check.detail
        if check.outcome != "ok" and check.found and not check.configured:
            found = f"{check.found} {check.detail}".strip()
        name = f"  {check.name}" if check.group else check.name
        outcome = said(check.outcome, _STYLES[check.outcome])
        result.add_row(said(name), outcome, said(check.configured), said(found))
    return result


def _failed(checks: list[Check]) -> bool:
    return any(check.outcome == "failed" for check in checks)


def _stops(problems: list[Problem]) -> bool:
    return any(one.stops for one in problems)


ALL = (verify, doctor, sandboxes)
