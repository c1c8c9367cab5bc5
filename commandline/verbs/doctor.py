"""`./claw doctor`: what is wrong with each host, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from commandline import asking
from commandline.options import examples, json_option, target_options
from commandline.screen.given import Given
from operations.base.preflight import Problem
from operations.sandbox.doctor import findings
from toolkit.settings import settings_for
from toolkit.terminal import Screen, said


@click.command(epilog=examples("./claw doctor root@203.0.113.7"))
@target_options
@json_option
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

    asking.run(
        target,
        options,
        look,
        "Looking for what is wrong",
        show=asking.each(_show),
        failed=_stops,
        as_json=as_json,
        document=lambda found: {
            "ok": not _stops(found),
            "findings": [asdict(one) for one in found],
        },
    )


def _show(name: str, problems: list[Problem]) -> None:
    console = Screen(soft_wrap=True)
    if not problems:
        console.print(said(f"{name}: nothing found", "green"))
    for one in problems:
        console.print(said(f"{name}: {one.what}", "red" if one.stops else "yellow"))
        console.print(said(f"    fix: {one.fix}"))


def _stops(problems: list[Problem]) -> bool:
    return any(one.stops for one in problems)
