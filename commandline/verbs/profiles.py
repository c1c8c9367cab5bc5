"""`./claw profiles`: what containers may do, measured, beside an ordinary container of Docker's."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import Any, get_args

import click
from pyinfra.api.host import Host
from pyinfra.context import ctx_host
from rich.table import Table

from commandline import asking
from commandline.options import examples, json_option, target_options
from commandline.screen import tables
from operations import engine_access
from operations.base import snapshot, templates
from operations.engine_access import EngineWay
from operations.images import stage as images
from operations.images.sandbox import probes
from operations.security import seccomp
from operations.security import stage as security
from toolkit.settings import Settings, settings_for
from toolkit.settings.sandbox import names
from toolkit.terminal import said

ORDINARY = "Docker's default"
MEASURE_SECONDS = 900
GATEWAY = ("--init", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp")


@dataclass(frozen=True)
class Measured:
    """What a host said: on which engine and kernel, and the answer of each kind of container."""

    on: str
    containers: dict[str, dict[str, Any]]

    def open(self, kind: str) -> set[str]:
        """Return the system calls of a kind of container that reach the kernel."""
        calls: dict[str, str] = self.containers[kind]["calls"]
        return {name for name, answer in calls.items() if answer == "open"}


@click.command(epilog=examples("./claw profiles root@203.0.113.7"))
@target_options
@json_option
def profiles(target: str | None, as_json: bool, **options: Any) -> None:
    """Measure what the containers may do.

    Beside them an ordinary container of Docker's is measured.

    Starts one container of each kind for some seconds, in which every system call is tried.
    """
    asking.run(
        target,
        options,
        measured,
        "Measuring what containers may do",
        show=asking.each(_show),
        as_json=as_json,
        document=asdict,
    )


def _show(name: str, there: Measured) -> None:
    console = tables.screen(160)
    console.print(table(name, there))
    console.print("\n".join(differences(there)))


def measured(host: Host) -> Measured:
    """Return what the containers of a host's deployment may do."""
    settings = settings_for(host)
    with ctx_host.use(host):
        script = templates.render(
            "security/measure.sh.j2",
            docker=engine_access.environment(settings),
            images=[
                *(names.tag(settings.name, kind) for kind in get_args(names.ImageKind)),
                images.tag(settings.name),
            ],
            containers=containers(settings),
        )
    lines = [
        line.partition("\t")
        for line in snapshot.run_quietly(host, script, MEASURE_SECONDS).splitlines()
    ]
    found = {kind: json.loads(answer) for kind, _, answer in lines}
    return Measured(found.pop("on"), found)


def containers(settings: Settings) -> dict[str, list[str]]:
    """Return the options of `docker run` for each kind of container."""
    sandbox = [*probes.options(settings), f"--network={settings.sandbox.container.network}"]
    found = {ORDINARY: ["--user=0:0"], "tools": sandbox, "browser": sandbox[:-1]}
    user = f"--user={EngineWay(settings).uid}:{EngineWay(settings).uid}"
    found["gateway"] = [*GATEWAY, user, "--security-opt=no-new-privileges"]
    for kind in seccomp.KINDS:
        for option in security.Profiles(settings, kind).options:
            found[kind].append(f"--security-opt={option.replace(':', '=', 1)}")
    return found


def table(name: str, there: Measured) -> Table:
    """Return the containers side by side."""
    result = Table("", *there.containers, title=said(f"{name}: {there.on}"), title_justify="left")
    every = there.containers.values()
    calls = {kind: there.open(kind) for kind in there.containers}
    result.add_row("system calls that reach the kernel", *(str(len(one)) for one in calls.values()))
    result.add_row("capabilities", *(said(one["capabilities"]) for one in every))
    result.add_row("user", *(said(one["user"]) for one in every))
    result.add_row(
        "new privileges (setuid)", *("no" if one["no_new_privileges"] else "yes" for one in every)
    )
    result.add_row("writable", *(said("\n".join(one["writable"])) for one in every))
    result.add_row("network", *(said(" ".join(one["interfaces"]) or "none") for one in every))
    return result


def differences(there: Measured) -> list[str]:
    """Return what each profile refuses that Docker's default leaves open, and the reverse."""
    ordinary, lines = there.open(ORDINARY), []
    for kind in seccomp.KINDS:
        ours = there.open(kind)
        for what, calls in (("fewer", ordinary - ours), ("more", ours - ordinary)):
            shown = ", ".join(sorted(calls)) or "-"
            text = f"{kind}: {len(calls)} {what} than {ORDINARY}: {shown}"
            lines += textwrap.wrap(text, 100, subsequent_indent="    ")
    return lines
