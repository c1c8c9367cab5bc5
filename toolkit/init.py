"""`./claw init`: an inventory file of what is deployed, so that nothing hangs on `--set`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from pyinfra.api.host import Host

from operations import record
from toolkit import commands, targets
from toolkit.options import TARGET_HELP, fail, leave, target_options
from toolkit.settings import Settings
from toolkit.settings.layers import connector_types
from toolkit.settings.sources import HIDDEN, leaves, resolved

HEADER = """\
# OpenClaw hosts, as they were deployed on {when}; written by ./claw init.
# Every setting and its default: docs/settings.md. Apply: ./claw up {path}
"""


@click.command(epilog=TARGET_HELP)
@target_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("openclaw.yml"),
    metavar="FILE",
    help="Where to write it (default openclaw.yml); an existing file is left alone.",
)
def init(target: str | None, output: Path, **options: Any) -> None:
    """Write an inventory of hosts: how they are reached, and what they are deployed with.

    Settings that have their default are left out, but for the release. A host without a deployment
    gets its connection alone.
    """
    answers = commands.ask(target, lambda host: (connection(host), record.last(host)), **options)
    for name, answer in answers.items():
        if answer.error:
            fail(f"{name}: {answer.error}")
    found = {name: answer.value for name, answer in answers.items()}
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(document(found, str(output), time.strftime("%Y-%m-%d")))
    except FileExistsError:
        fail(f"{output} is there already; choose another name with --output FILE")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    print(f"Written: {output}\nNext: ./claw up {output} --dry")
    leave(0)


def document(
    hosts: Mapping[str, tuple[dict[str, Any], dict[str, Any]]], path: str, when: str
) -> str:
    """Return the file's text for hosts by name, each with its connection and what was recorded."""
    entries: dict[str, Any] = {}
    hidden: list[str] = []
    for name, (reached, deployed) in hosts.items():
        settings, left_out = chosen(deployed)
        entries[name] = {**reached, **settings}
        hidden += [f"#   {name}: {key}" for key in left_out]
    text = HEADER.format(when=when, path=path)
    if hidden:
        text += (
            "# Not kept on the hosts, and so to be given again here:\n" + "\n".join(hidden) + "\n"
        )
    return text + "\n" + yaml.safe_dump({"hosts": entries}, sort_keys=False, allow_unicode=True)


def chosen(deployed: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that an inventory must name, and the keys whose values are not known."""
    if not deployed:
        return {}, []
    default = dict(leaves(resolved(Settings(name=deployed.get("name", "openclaw")))))
    result: dict[str, Any] = {}
    hidden: list[str] = []
    for path, value in leaves(deployed):
        if path != ("gateway", "version") and path in default and default[path] == value:
            continue
        if value == HIDDEN:
            hidden.append(".".join(path))
            continue
        place = result
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    if deployed.get("name") != "openclaw":
        result = {"name": deployed["name"], **result}
    return result, hidden


def connection(host: Host) -> dict[str, Any]:
    """Return the connection data that was given for a host, without secrets."""
    if targets.is_local(host):
        return {}
    secret = ("password", "kwargs", "_env")
    data = {key: host.data.get(key) for key in sorted(connector_types())}
    return {
        key: value
        for key, value in data.items()
        if value is not None and not any(word in key for word in secret)
    }


ALL = (init,)
