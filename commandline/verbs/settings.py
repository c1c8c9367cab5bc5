"""`./claw settings`: what the sources of settings come to, host by host."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import yaml

from commandline import asking
from commandline.options import ERRORS, examples, leave, target_options
from toolkit.settings import settings_for
from toolkit.settings.sources.resolve import resolved, sources_in_use


@click.command(epilog=examples("./claw settings inventories/fleet.yml --limit claw1"))
@target_options
@click.option("--json", "as_json", is_flag=True, help="As JSON instead of YAML.")
def settings(target: str | None, as_json: bool, **options: Any) -> None:
    """Print all settings of every host.

    As they are after all sources; secrets are hidden.
    """
    session = asking.opened(target, **options)
    document = {host.name: resolved(settings_for(host)) for host in session.hosts}
    sources = sources_in_use(session.hosts[0])
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    if sources:
        ERRORS.print(f"From the environment: {', '.join(sources)}")
    leave(0)
