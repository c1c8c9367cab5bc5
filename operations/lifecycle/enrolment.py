"""A host is enrolled in pull mode: it brings itself to a signed ref of a git repository.

What the repository holds is a clone of the toolkit with an inventory; `./claw up` of that clone
runs on the host, for the host's own name in it (`templates/pull/pull.sh`, docs/pull.md). Signer,
address and ring are those of the enrolment: no commit changes them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from shlex import quote
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.state import State

from operations import activation, packages, scheduling
from operations.base import files, notes, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.watch import places
from toolkit.settings import Settings

PACKAGES = ("git", "openssh-client", "python3", "python3-venv")
"""What a control machine has, and a host need not have."""
PARTS = ("pull.sh", "enrolment.sh", "allowed_signers", "known_hosts", "deploy_key")
COMMAND_SECONDS = 3600
"""The first time the Python packages of the toolkit are installed."""


@dataclass(frozen=True)
class Enrolment:
    """Where a host pulls from: address and ref, path of the inventory there, and the content of
    OpenSSH's files: who may sign, the server's keys, the key to it ('': none)."""

    url: str
    ref: str
    inventory: str
    allowed_signers: str
    known_hosts: str = ""
    deploy_key: str = field(default="", repr=False)


@snapshot.fact("pull")
@dataclass(frozen=True)
class Pull:
    """What a host says: whether there is systemd, what pulls, a timer that is on, and whether
    `pull.schedule` is none that systemd takes."""

    systemd: bool = False
    there: bool = False
    timer: bool = False
    no_calendar: bool = False

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "pull/probe.sh.j2",
            base=places.pull(settings),
            timer=scheduling.timer(settings.name, "pull"),
            schedule=settings.pull.schedule,
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Pull:
        return cls("systemd" in lines, "there" in lines, "timer" in lines, "no-calendar" in lines)


_chosen: WeakKeyDictionary[State, Enrolment | None] = WeakKeyDictionary()


def choose(state: State, enrolment: Enrolment | None) -> None:
    """Have a run enroll its hosts there; None: have it take them out."""
    _chosen[state] = enrolment


def chosen() -> Enrolment | None:
    return _chosen.get(host.state)


def environment(settings: Settings) -> str:
    """Return the file, the operator's own, with what `env:` of the inventory refers to."""
    return f"/etc/openclaw-pyinfra/{settings.name}.environment"


@packages.known
def tools(settings: Settings) -> Iterable[str]:
    return PACKAGES


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [*(f"{places.pull(settings)}/enrolled/{part}" for part in PARTS), *_unit_paths(settings)]


def problems(settings: Settings) -> Iterable[Problem]:
    """Say why a host cannot be enrolled."""
    if chosen() is None:
        return
    there = snapshot.of(Pull)
    if not there.systemd:
        yield Problem("the host has no systemd, whose timers pull mode needs", "use ./claw up")
    elif there.no_calendar:
        yield Problem(
            f"pull.schedule: given {settings.pull.schedule}; accepted: what systemd's OnCalendar="
            " takes, such as hourly or *:0/15",
            f"see: systemd-analyze calendar {quote(settings.pull.schedule)}",
        )
    if activation.running().stopped:
        yield Problem(
            "the gateway is stopped on purpose, so nothing is pulled",
            "./claw start starts it",
            stops=False,
        )
    if not re.fullmatch(r"@local|[A-Za-z0-9][A-Za-z0-9._-]*", host.name) or ".." in host.name:
        yield Problem(
            "the name of the host must be letters, digits, '.', '_' and '-', as it is a git ref",
            "give it such a name in the inventory",
        )


def wanted(settings: Settings, enrolment: Enrolment) -> list[files.File]:
    """Return the files of an enrolment as they should be, without the units."""
    script = templates.render(
        "pull/enrolment.sh.j2",
        base=places.pull(settings),
        name=host.name,
        url=enrolment.url,
        ref=enrolment.ref,
        inventory=enrolment.inventory,
        ring="" if settings.pull.ring is None else settings.pull.ring,
        soak=settings.pull.soak * 60,
        environment=environment(settings),
        stopped=f"{settings.project_directory}/run/stopped",
    )
    contents = {
        "pull.sh": templates.render("pull/pull.sh"),
        "enrolment.sh": script,
        "allowed_signers": enrolment.allowed_signers,
        "known_hosts": enrolment.known_hosts,
        "deploy_key": enrolment.deploy_key,
    }
    directory = f"{places.pull(settings)}/enrolled"
    return [
        files.File(f"{directory}/{name}", content, mode="600", secret=name == "deploy_key")
        for name, content in contents.items()
        if content
    ]


@operation
def enrolled(settings: Settings) -> Generator:
    """Have the host pull by itself, once it has been tried that it can.

    + settings: the settings of the host
    """
    enrolment, there = chosen(), snapshot.of(Pull)
    if enrolment is None:
        if not there.there and not any(map(files.found, _unit_paths(settings))):
            host.noop("the host does not pull")
            return
        script = templates.render("pull/remove.sh.j2", deployment=settings.name)
        yield StringCommand("sh -s", _stdin=[script])
        return
    parts = wanted(settings, enrolment)
    units = _units(settings)
    stale = {path for path in paths(settings) if files.found(path)} - {
        *(part.path for part in parts),
        *_unit_paths(settings),
    }
    changed = [file for file in [*parts, *units] if files.differs(file)]
    if not changed and not stale and there.timer:
        host.noop("the host pulls as it should")
        return
    for file in changed:
        files.show_difference(file)
    notes.of(host).plan.append(
        f"the host brings itself to {enrolment.ref} of {enrolment.url}, {settings.pull.schedule}"
    )
    script = templates.render(
        "pull/enroll.sh.j2",
        base=places.pull(settings),
        parts=[files.File(part.path.rpartition("/")[2], part.content) for part in parts],
        files=units,
        timer=scheduling.timer(settings.name, "pull"),
    )
    yield StringCommand("sh -s", _stdin=[script], _timeout=COMMAND_SECONDS)


@deploy("Pull mode")
def enroll(settings: Settings) -> None:
    """Enroll the host, or take it out."""
    if chosen() is not None:
        packages.installed(name="Install what pull mode needs", names=PACKAGES)
    enrolled(name="Have the host pull" if chosen() else "Take pull mode away", settings=settings)


def _unit_paths(settings: Settings) -> tuple[str, str]:
    return scheduling.units(settings.name, "pull")


def _units(settings: Settings) -> list[files.File]:
    service = templates.render(
        "pull/pull.service.j2",
        deployment=settings.name,
        program=f"{places.pull(settings)}/enrolled/pull.sh",
    )
    timer = templates.render(
        "pull/timer.service.j2",
        deployment=settings.name,
        schedule=settings.pull.schedule,
        delay=settings.pull.delay,
    )
    service_path, timer_path = _unit_paths(settings)
    return [files.File(service_path, service), files.File(timer_path, timer)]
