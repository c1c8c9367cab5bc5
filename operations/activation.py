"""The swap: what runs becomes what the compose files say, gated on readiness, with a way back.

All of it is one script on the host (`templates/compose/activate.sh.j2`), so that a lost
connection or a killed control process leaves it to finish by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from shlex import quote
from typing import Any
from weakref import WeakSet

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.api.state import State

from operations.base import files, notes, preflight, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.configuration import stage as configuration
from operations.engine_access import EngineWay
from operations.gateway import form, front, host_secrets, service, state_copy
from operations.images import stage as images
from toolkit import patterns
from toolkit.settings import Settings
from toolkit.settings.types import memory_bytes

LABEL = "openclaw-pyinfra.project"
INPUTS_CHANGED, IMAGE_CHANGED = "its compose inputs changed", "its image changed"
INTERRUPTED = "an earlier run was interrupted"
RUN_INTERRUPTED = Problem(INTERRUPTED, "./claw up finishes it")
SWAP_INTERRUPTED = Problem("a swap of the gateway was interrupted", "./claw up finishes it")
CANDIDATE, ROTATING, RESTORING, ADOPTING = "candidate", "rotating", "restoring", "adopting"
PREPARED = "adopt.prepared"
REHEARSING, GOING_BACK = "rehearsing", "going-back-to"
REHEARSAL_MEMORY, REHEARSAL_SPARE = 2 << 30, 512 << 20
"""What a second gateway takes for a while beside the first, at most; room for a copy of the state
beside what that itself needs."""
RELOAD_SECONDS = 15
"""OpenClaw takes up a changed openclaw.json within 2 s on an idle machine."""
PAIR_SECONDS = 60
"""How long OpenClaw's terminal interface may take to become a paired device."""
STATE_SECONDS = 1800
"""How long a copy of the state may take; who owns it could make that endless."""

_unrehearsed: WeakSet[State] = WeakSet()


def leave_out_rehearsal(state: State) -> None:
    """Have a run bring another image without trying it on a copy of the state before."""
    _unrehearsed.add(state)


@snapshot.fact("gateway")
@dataclass(frozen=True)
class Running:
    """The gateway's container and what it should run; empty values where there is nothing.

    `stopped` is when `./claw stop` stopped it; a run that starts it makes that ''.
    """

    image: str = ""
    label: str = ""
    status: str = ""
    health: str = ""
    started: str = ""
    user: str = ""
    version: str = ""
    host_config: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, Any] = field(default_factory=dict)
    wanted_image: str = ""
    stopped: str = ""
    unfinished: tuple[str, ...] = ()
    probes: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "compose/probe.sh.j2",
            **form.of(settings).TEMPLATE,
            functions=form.shell(settings),
            label=LABEL,
            project=settings.project_directory,
            config=settings.config_directory,
            url=form.url(settings),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Running:
        values: dict[str, Any] = {}
        for line in lines:
            key, _, value = line.removeprefix("gateway ").partition(" ")
            values[key] = value.strip()
        return cls(
            image=values.get("image", ""),
            label=values.get("label", ""),
            status=values.get("status", ""),
            health=values.get("health", ""),
            started=values.get("started", ""),
            user=values.get("user", ""),
            version=values.get("version", "").replace("<no value>", ""),
            host_config=json.loads(values.get("host_config") or "{}"),
            ports=json.loads(values.get("ports") or "{}") or {},
            wanted_image=values.get("wanted_image", ""),
            stopped=moment(values.get("stopped", "")),
            unfinished=tuple(values.get("unfinished", "").split()),
            probes={key: values[key] for key in ("healthz", "startupz", "readyz") if key in values},
        )


def running() -> Running:
    """Return what the snapshot knows of the current host's gateway."""
    return snapshot.of(Running)


def known(host: Host) -> Running:
    """Return what was last seen of a host's gateway, without asking the host."""
    there = snapshot.known(host)
    return there.of(Running) if there else Running()


@preflight.check
def stopped_on_purpose(settings: Settings) -> Iterable[Problem]:
    """Say that a run starts what somebody has stopped."""
    there = running()
    if there.stopped and there.status not in ("running", "restarting"):
        yield Problem(
            f"the gateway was stopped on purpose, {there.stopped}; this run starts it",
            "to leave it as it is, leave the host out (--exclude)",
            stops=False,
        )


@preflight.check
def adoption_interrupted(settings: Settings) -> Iterable[Problem]:
    """What an adoption left that was killed, only another one can finish."""
    if ADOPTING in running().unfinished:
        yield Problem(
            "the taking over of another OpenClaw was interrupted",
            "./claw adopt undoes or finishes it",
        )
    elif PREPARED in running().unfinished and not running().status:
        yield Problem(
            "what is there was made of another OpenClaw, which may run with the same channels",
            "./claw adopt goes on with it, ./claw adopt --undo puts it away",
        )


def reasons(
    there: Running, wanted_label: str, configuration_changes: bool, image_changes: bool
) -> list[str]:
    """Return why the gateway must be started, swapped or looked at; none: it is as it should be."""
    found = []
    if not there.status:
        found.append("there is no gateway yet")
    elif there.status != "running":
        found.append(f"the gateway is {there.status}")
    elif there.health == "unhealthy" and there.probes.get("healthz") != "200":
        # The engine's own word can be old: it calls a container unhealthy for 30 s after a pause.
        found.append("the gateway is unhealthy")
    if there.status and there.label != wanted_label:
        found.append(INPUTS_CHANGED)
    if there.status and (image_changes or there.image != there.wanted_image):
        found.append(IMAGE_CHANGED)
    if there.unfinished:
        found.append(INTERRUPTED)
    if configuration_changes:
        found.append("openclaw.json changed")
    return found


@operation
def activated(settings: Settings) -> Generator:
    """Start or swap the gateway and wait until it is ready; go back to the last good one if not.

    + settings: the settings of the host

    The same container goes on running when neither its compose inputs nor its image changed and
    it is healthy.
    """
    there = host_secrets.read(settings).configuration()
    changes = bool(configuration.pending(settings, there))
    wanted = form.of(settings).inputs(settings)
    found = reasons(running(), wanted, changes, images.pending(settings))
    if not found:
        host.noop("the gateway runs what it should")
        return
    before = running().image if IMAGE_CHANGED in found else ""
    yield run(settings, "unrehearsed" if host.state in _unrehearsed else "activate")
    notes.of(host).changed += found
    notes.of(host).replaced = before
    notes.of(host).outcome += said(settings.project_directory, ("rehearsal: ", "downtime: "))


def back_to(settings: Settings, number: int) -> Generator:
    """Yield the commands that make a generation what runs."""
    directory = quote(f"{settings.project_directory}/run")
    yield StringCommand(
        f"umask 077 && mkdir -p {directory} && echo {number} >{directory}/go-back-to"
    )
    yield run(settings, "rollback")


def replaced(settings: Settings) -> int:
    """Return the generation of which this run has replaced the image; 0 if there is none."""
    image, there = notes.of(host).replaced, quote(generations_directory(settings.name))
    if not image:
        return 0
    newest = "ls -1 | grep -x '[1-9][0-9]*' | sort -n | tail -n 1"
    script = f'cd {there} && number=$({newest}) && echo "$number $(cat "$number/image")"'
    said = snapshot.read_quietly(host, f"sh -c {quote(f'{script} || :')}").split()
    number, kept = said if len(said) == 2 else ("", "")
    return int(number) if kept == image and patterns.matches("[1-9][0-9]{0,8}", number) else 0


@operation
def recovered(settings: Settings) -> Generator:
    """Finish the swap, or the way back, of an earlier run that was killed.

    + settings: the settings of the host

    It comes before any other stage: until then neither the compose files nor the state need be
    those of one gateway.
    """
    if RESTORING in running().unfinished:
        program = quote(f"{settings.project_directory}/run/restore.sh")
        yield StringCommand(f"sh {program} recover")
        notes.of(host).changed = [INTERRUPTED]
        return
    if not {CANDIDATE, ROTATING, REHEARSING, GOING_BACK} & set(running().unfinished):
        host.noop("no swap was interrupted")
        return
    yield run(settings, "recover")
    notes.of(host).changed = [INTERRUPTED]


@deploy("Recovery")
def recover(settings: Settings) -> None:
    """Finish what an earlier run left when it was killed in the middle of a swap."""
    recovered(name="Finish an interrupted swap", settings=settings)


@deploy("Activation")
def activate(settings: Settings) -> None:
    """Start what the compose files say, if it does not run already; go back if it fails."""
    activated(name="Start the gateway and wait until it is ready", settings=settings)


def said(project: str, beginnings: tuple[str, ...]) -> list[str]:
    """Return the lines of the swap's last log that begin so; none of a run that only plans."""
    if not host.state.is_executing:
        return []
    log = quote(f"{project}/run/activate.log")
    lines = snapshot.read_quietly(host, f"tail -n 60 {log}").splitlines()
    return [printable(line) for line in lines if line.startswith(beginnings)]


def run(settings: Settings, mode: str) -> StringCommand:
    """Return the command that runs the swap's script on the host: `activate` or another mode."""
    return files.script_command(
        f"{settings.project_directory}/run/activate.sh", script(settings), mode
    )


def script(settings: Settings) -> str:
    """Return the script that swaps the gateway on the host."""
    gateway = settings.gateway
    memory = gateway.memory if EngineWay(settings).limits else ""
    return templates.render(
        "compose/activate.sh.j2",
        job="activate",
        ownership=form.ownership(settings),
        **form.script_variables(settings),
        inputs_variable=service.INPUTS_VARIABLE,
        token=front.TOKEN,
        uid=form.of(settings).uid(settings),
        directories=form.of(settings).writable(settings),
        config=settings.config_directory,
        rollback=f"/var/lib/{settings.name}/rollback",
        reload_seconds=RELOAD_SECONDS,
        pair_seconds=gateway.patience(PAIR_SECONDS),
        state_seconds=STATE_SECONDS,
        generations=generations_directory(settings.name),
        keep_generations=settings.upgrade.keep_generations,
        backups=state_copy.backups(settings.name),
        memory_bytes=min(REHEARSAL_MEMORY, memory_bytes(gateway.memory)),
        spare_bytes=REHEARSAL_SPARE,
        auth=settings.auth_directory,
        state_inside=settings.state_in_gateway,
        **state_copy.variables(
            "rehearsal", False, settings.name, gateway.port, memory, gateway.pids_limit
        )
        | {
            "counts": state_copy.counts_across_releases(),
            "environment": state_copy.environment(settings.exposure),
        },
    )


def generations_directory(name: str) -> str:
    """Return where a host keeps what a deployment can go back to."""
    return f"/var/lib/{name}/generations"


def moment(text: str) -> str:
    """Return a time that a host says, as the swap's scripts write it; '' if it is none."""
    return text if re.fullmatch(r"[0-9T:Z-]{20}", text) else ""
