"""The gateway is stopped, started or restarted, as it is: nothing else of the host changes.

What it is doing is finished first: on SIGTERM a gateway takes nothing new and waits for its turns
(docs: gateway/restart-recovery, "Graceful restarts drain first"; cli/gateway, restarts and
supervision: 315 s of the 330 that its service has). It is one script on the host
(`templates/lifecycle/power.sh.j2`), so that a lost connection leaves it to finish by itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from shlex import quote

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy

from operations import activation
from operations.base import files, notes, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import form
from toolkit.settings import Settings

DRAINED = "a turn that is running is finished first, for up to 315 s"
COMMAND_SECONDS = 3600
"""A drain, a start that may take `gateway.ready_timeout`, and what both wait for before."""
NO_GATEWAY = "there is no gateway"


def problems(settings: Settings) -> Iterable[Problem]:
    """Say why nothing can be stopped or started here."""
    if not activation.running().status:
        yield Problem(
            f"{NO_GATEWAY} of the deployment {settings.name}",
            "./claw up makes it; another deployment's name: --set name=NAME",
        )


def start_problems(settings: Settings) -> Iterable[Problem]:
    """Say why the gateway cannot be started as it is."""
    yield from problems(settings)
    if activation.CANDIDATE in activation.running().unfinished:
        yield activation.SWAP_INTERRUPTED


@operation
def stopped(settings: Settings) -> Generator:
    """Stop the gateway once it has finished what it is doing; it stays so over a reboot.

    + settings: the settings of the host
    """
    there = activation.running()
    if there.stopped and there.status not in ("running", "restarting", "paused"):
        host.noop(f"the gateway is stopped since {there.stopped}")
        return
    notes.of(host).plan += [DRAINED, "./claw start starts it again, and so does ./claw up"]
    yield _run(settings, "stop")
    notes.of(host).outcome.append(last_line(settings))


@operation
def started(settings: Settings) -> Generator:
    """Start the gateway as it was stopped, and wait until it is ready.

    + settings: the settings of the host
    """
    if activation.running().status == "running":
        host.noop("the gateway is running")
        return
    yield _run(settings, "start")
    notes.of(host).outcome.append(last_line(settings))


@operation
def restarted(settings: Settings) -> Generator:
    """Stop the gateway once it has finished what it is doing, start it, wait until it is ready.

    + settings: the settings of the host
    """
    notes.of(host).plan.append(DRAINED)
    yield _run(settings, "restart")
    notes.of(host).outcome.append(last_line(settings))


@deploy("Gateway")
def stop(settings: Settings) -> None:
    """Stop the gateway."""
    stopped(name="Stop it", settings=settings)


@deploy("Gateway")
def start(settings: Settings) -> None:
    """Start the gateway."""
    started(name="Start it", settings=settings)


@deploy("Gateway")
def restart(settings: Settings) -> None:
    """Restart the gateway."""
    restarted(name="Restart it", settings=settings)


def script(settings: Settings) -> str:
    """Return the script that stops and starts the gateway on the host."""
    return templates.render(
        "lifecycle/power.sh.j2",
        job="power",
        **form.script_variables(settings),
    )


def last_line(settings: Settings, job: str = "power") -> str:
    """Return the last line of what a script on the current host said; `job` names its log."""
    log = quote(f"{settings.project_directory}/run/{job}.log")
    return printable(snapshot.read_quietly(host, f"tail -n 1 {log}"))


def _run(settings: Settings, mode: str) -> StringCommand:
    path = f"{settings.project_directory}/run/power.sh"
    return files.script_command(path, script(settings), mode, _timeout=COMMAND_SECONDS)
