"""`./claw status`: what runs on each host."""

from __future__ import annotations

import json
from typing import Any

import click
from pyinfra.api.host import Host
from rich.table import Table
from rich.text import Text

from commandline import asking
from commandline.asking import Answer, Answers
from commandline.options import examples, json_option, target_options
from commandline.screen import tables
from operations import activation
from operations.base import snapshot, templates
from operations.gateway import form
from toolkit.settings import settings_for
from toolkit.terminal import said


@click.command(epilog=examples("./claw status", "./claw status inventories/fleet.yml --json"))
@target_options
@json_option
def status(target: str | None, as_json: bool, **options: Any) -> None:
    """Show what runs: versions, container, image, ports, readiness.

    Exit code 0 if the gateway of every host is ready, else 1.
    """
    asking.run(
        target,
        options,
        what_runs,
        "Looking at what runs",
        show=lambda answers: tables.screen(240).print(table(answers)),
        failed=lambda found: not found["ready"],
        as_json=as_json,
        document=dict,
    )


def what_runs(host: Host) -> dict[str, Any]:
    """Return what runs on a host: versions, the container, its image, its ports, readiness."""
    settings = settings_for(host)
    script = templates.render(
        "deploy/status.sh.j2",
        docker=form.shell(settings),
        project=settings.project_directory,
        url=form.url(settings),
    )
    answer = snapshot.run_quietly(host, script)
    found = dict(line.partition("=")[::2] for line in answer.splitlines())
    digests = json.loads(found.get("digests") or "null") or []
    return {
        "deployment": settings.name,
        "deployed": found.get("deployed") == "yes",
        "engine": found.get("engine") or None,
        "compose": found.get("compose") or None,
        "openclaw": _given(found.get("package")) or _given(found.get("version")),
        "state": found.get("state"),
        "stopped_on_purpose": activation.moment(found.get("stopped", "")) or None,
        "health": found.get("health") or None,
        "started": found.get("started", ""),
        "restarts": int(found.get("restarts") or 0),
        "image": found.get("image"),
        "image_digest": str(digests[0]) if digests else found.get("image_id"),
        "image_inputs": _given(found.get("inputs")),
        "ports": published(json.loads(found.get("ports") or "null") or {}),
        "ready": found.get("readyz") == "200" if found.get("readyz") else None,
    }


def published(ports: dict[str, list[dict[str, str]] | None]) -> list[str]:
    """Return Docker's map of ports as `ADDRESS:PORT->PORT/PROTOCOL`."""
    return [
        f"{binding['HostIp']}:{binding['HostPort']}->{inside}"
        for inside, bindings in sorted(ports.items())
        for binding in bindings or ()
    ]


def table(answers: Answers) -> Table:
    """Return the table of `./claw status`: a row for each host, or one host's as a column."""
    rows = {name: _row(answer) for name, answer in answers.items()}
    if len(rows) == 1:
        ((name, row),) = rows.items()
        result = tables.plain("Host", said(name))
        for key, value in row.items():
            result.add_row(key, value)
        return result
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    result = tables.plain("Host", *columns)
    for name, row in rows.items():
        result.add_row(said(name), *(row.get(column, "") for column in columns))
    return result


def _row(answer: Answer) -> dict[str, Text]:
    if answer.error:
        return {"Gateway": said(answer.error, "red")}
    one = answer.value
    state = one["state"] or ("stopped" if one["deployed"] else "not deployed")
    if one["stopped_on_purpose"] and one["state"] != "running":
        state = f"stopped on purpose, {one['stopped_on_purpose']}"
    since = f", since {one['started'][:19]}Z" if one["state"] == "running" else ""
    health = f" ({one['health']})" if one["health"] else ""
    ready = {True: ("yes", "green"), False: ("no", "red"), None: ("no", "yellow")}[one["ready"]]
    cells: dict[str, tuple[Any, str]] = {
        "Gateway": (f"{state}{health}{since}", ""),
        "Ready": ready,
        "OpenClaw": (one["openclaw"] or "", ""),
        "Deployment": (one["deployment"], ""),
        "Published": (", ".join(one["ports"]), ""),
        "Image": (short_digest(one["image"], one["image_digest"]), ""),
        "Docker": (f"{one['engine'] or 'none'}, Compose {one['compose'] or 'none'}", ""),
    }
    return {key: said(text, style) for key, (text, style) in cells.items()}


def short_digest(image: str | None, digest: str | None) -> str:
    """Return `image` with the first twelve digits of its digest."""
    if not image or not digest:
        return image or ""
    return f"{image} {digest.rpartition('sha256:')[2][:12]}"


def _given(value: str | None) -> str | None:
    return None if value in (None, "", "<no value>") else value
