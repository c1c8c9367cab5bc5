"""`./claw init`: an inventory file of what is deployed, so that nothing hangs on `--set`.

What is deployed is the host's word, and a host is not believed about this machine: what an
inventory has read or run here is named, and left to the user to give again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from pyinfra.api.host import Host

from commandline import asking, targets
from commandline.asking import Answers
from commandline.options import examples, fail, target_options
from commandline.screen.given import Given
from operations import record
from toolkit import secret_names
from toolkit.settings import Settings
from toolkit.settings.contradictions import general
from toolkit.settings.sources.layers import connector_types
from toolkit.settings.sources.resolve import leaves, resolved

HEADER = """\
# OpenClaw hosts, as they were deployed on {when}; written by ./claw init.
# Every setting and its default: docs/settings.md. Apply: {up}
"""


@click.command(epilog=examples("./claw init root@203.0.113.7 --output vps.yml"))
@target_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("openclaw.yml"),
    metavar="FILE",
    help="Where to write it (default openclaw.yml); an existing file is left alone.",
)
def init(target: str | None, output: Path, **options: Any) -> None:
    """Write an inventory of what is deployed.

    It says how the hosts are reached, and what they are deployed with. Settings that have their
    default are left out, but for the release. A host without a deployment gets its connection
    alone.
    """

    def write(answers: Answers) -> None:
        _write(answers, output)

    asking.run(target, options, deployed, "Reading what is deployed", show=write)


def _write(answers: Answers, output: Path) -> None:
    for name, answer in answers.items():
        if answer.error:
            fail(f"{name}: {answer.error}")
    found = {name: answer.value for name, answer in answers.items()}
    try:
        text = document(found, str(output), time.strftime("%Y-%m-%d"))
    except ValueError as error:
        fail(str(error))
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{output} is there already; choose another name with --output FILE")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    print(f"Written: {output}\nNext: {Given(str(output)).command('up', '--dry')}")


def deployed(host: Host) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how a host is reached and what it records of its last deploy."""
    return connection(host), record.last(host)


def document(
    hosts: Mapping[str, tuple[dict[str, Any], dict[str, Any]]], path: str, when: str
) -> str:
    """Return the file's text for hosts by name, each with its connection and what was recorded.

    Raises:
        ValueError: what a host recorded is not of settings.
    """
    entries: dict[str, Any] = {}
    hidden: list[str] = []
    for name, (reached, deployed) in hosts.items():
        try:
            settings, left_out = chosen(deployed)
            if any(general.problems(Settings.model_validate(settings))):
                raise ValueError
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ValueError(f"{name}: what it says of its last deploy are no settings") from None
        entries[name] = {**settings, **reached}
        hidden += [f"#   {name}: {_line(key)}" for key in left_out]
    text = HEADER.format(when=when, up=_line(Given(path).command("up")))
    if hidden:
        text += (
            "# Not kept on the hosts, or not taken from them, and so to be given again here:\n"
            + "\n".join(hidden)
            + "\n"
        )
    return text + "\n" + yaml.safe_dump({"hosts": entries}, sort_keys=False, allow_unicode=True)


def chosen(deployed: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that an inventory must name, and the keys whose values are not known."""
    if not deployed:
        return {}, []
    if unknown := set(deployed) - set(Settings.model_fields):
        raise ValueError(f"no settings: {sorted(unknown)}")
    default = dict(leaves(resolved(Settings(name=deployed.get("name", "openclaw")))))
    result: dict[str, Any] = {}
    hidden: list[str] = []
    for path, value in leaves(deployed):
        if path != ("gateway", "version") and path in default and default[path] == value:
            continue
        if secret_names.HIDDEN in str(value) or _of_this_machine(path):
            hidden.append(".".join(path[:2] if path[0] == "credentials" else path))
            continue
        place = result
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    if deployed.get("name", "openclaw") != "openclaw":
        result = {"name": deployed["name"], **result}
    return result, hidden


def _of_this_machine(path: tuple[str, ...]) -> bool:
    """Whether a setting names a variable, a file or a command of the machine that deploys."""
    here = (("credentials",), ("images", "registry", "password"), ("engine", "repository_key"))
    return path[-1] == "dockerfile" or any(path[: len(one)] == one for one in here)


def _line(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)[1:-1]


def connection(host: Host) -> dict[str, Any]:
    """Return the connection data that was given for a host, without secrets."""
    if targets.is_local(host):
        return {}
    data = {key: host.data.get(key) for key in sorted(connector_types())}
    return {
        key: value
        for key, value in data.items()
        if value is not None and not secret_names.of_connection(key)
    }
