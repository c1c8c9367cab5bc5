"""The verbs that look whether a deployment is what it should be."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.console import Console
from rich.table import Table
from rich.text import Text

from operations import verification
from operations.check import Check
from toolkit import commands
from toolkit.options import ERRORS, TARGET_HELP, leave, target_options
from toolkit.results import FAILED
from toolkit.settings import settings_for
from toolkit.verbs import Answer

_STYLES = {"ok": "green", "failed": "bold red", "unknown": "yellow"}


@click.command(epilog=TARGET_HELP)
@target_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def verify(target: str | None, as_json: bool, **options: Any) -> None:
    """Prove what is deployed: the gateway, OpenClaw's judges, and an agent's turn in a sandbox.

    Changes nothing: the turn is taken in a second gateway that is thrown away (half a minute, and
    about 1.5 GB of memory). Exit code 0 if nothing failed, else 1.
    """
    answers = commands.ask(target, verified, as_json=as_json, **options)
    if as_json:
        hosts = {name: _document(answer) for name, answer in answers.items()}
        sys.stdout.write(json.dumps({"hosts": hosts}, indent=2) + "\n")
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
        for name, answer in answers.items():
            if answer.error:
                ERRORS.print(f"{name}: {answer.error}", style="red", markup=False)
            else:
                console.print(table(name, answer.value))
    leave(FAILED if any(_is_bad(answer) for answer in answers.values()) else 0)


def verified(host: Host) -> list[Check]:
    """Return everything that can be seen of a host's deployment; takes a minute with sandboxes."""
    with ctx_host.use(host):
        settings = settings_for(host)
        return verification.look(settings, ask=True, judges=True, prove=True)


def table(host: str, checks: list[Check]) -> Table:
    """Return the checks of a host line by line, each as configured and as found."""
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", title=host)
    result.title_justify = "left"
    for column in ("Check", "", "Configured", "Found"):
        result.add_column(column, overflow="fold")
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            result.add_row(Text(group, "bold"))
        found = check.found or check.detail
        if check.outcome != "ok" and check.found and not check.configured:
            found = f"{check.found} {check.detail}".strip()
        name = f"  {check.name}" if check.group else check.name
        outcome = Text(check.outcome, _STYLES[check.outcome])
        result.add_row(Text(name), outcome, Text(check.configured), Text(found))
    return result


def _document(answer: Answer) -> dict[str, Any]:
    if answer.error:
        return {"error": answer.error}
    return {"ok": not _is_bad(answer), "checks": [asdict(check) for check in answer.value]}


def _is_bad(answer: Answer) -> bool:
    return bool(answer.error) or any(check.outcome == "failed" for check in answer.value)


ALL = (verify,)
