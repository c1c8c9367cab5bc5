"""Backups of a deployment into a restic repository, made by the host itself.

A backup is OpenClaw's own verified archive (docs of the release: install/backups, cli/backup) and
what that does not hold: the compose files with `.env`, the settings, the key of the auth profiles
(`templates/backup/backup.sh.j2`). restic encrypts, keeps what differs, and forgets by age.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote
from urllib.parse import quote as url_quote
from weakref import WeakSet

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.state import State

from operations import packages, scheduling
from operations.backup import cron
from operations.base import files, preflight, snapshot, templates
from operations.base.operation import operation
from operations.engine_access import EngineWay
from operations.gateway import form, host_secrets, state_copy
from toolkit import credentials
from toolkit.settings import Settings

KINDS = ("backup", "drill")
"""What a timer may do; names of its units."""
AUTH_BYTES = 64 << 20
"""How much of the auth directory is taken; it holds a key."""


@snapshot.fact("backup")
@dataclass(frozen=True)
class Backups:
    """What a host says: whether backups are set up, by what they can be scheduled (cron: it runs),
    what of them is not, schedules that systemd does not take, and the digest of `.env` and what
    restic needs."""

    there: bool = False
    systemd: bool = False
    cron: bool = False
    drills: bool = False
    unscheduled: tuple[str, ...] = ()
    no_calendar: tuple[str, ...] = ()
    secrets: str = ""
    mode: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "backup/probe.sh.j2",
            wanted=settings.backup.repository is not None,
            timers=timers(settings),
            schedules=list(_schedules(settings).values()),
            drill=scheduling.units(settings.name, "drill")[1],
            environment=host_secrets.environment_path(settings),
            secrets=f"{directory(settings)}/secrets.sh",
            program=program(settings),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Backups:
        pairs = [line.partition(" ")[::2] for line in lines]
        words = dict(pairs)
        return cls(
            there="there" in words,
            systemd="systemd" in words,
            cron="cron" in words,
            drills="drill" in words,
            unscheduled=tuple(rest for word, rest in pairs if word == "unscheduled"),
            no_calendar=tuple(rest for word, rest in pairs if word == "no-calendar"),
            secrets=words.get("secrets", ""),
            mode=words.get("mode", ""),
        )


def directory(settings: Settings) -> str:
    return f"{settings.project_directory}/backup"


def work(settings: Settings) -> str:
    """Return the directory of root's in which the script on the host works."""
    return state_copy.backups(settings.name)


def program(settings: Settings) -> str:
    """Return the path of the script on the host: `create`, `drill`, `prepare`, `list`."""
    return f"{directory(settings)}/backup.sh"


def wanted(settings: Settings, there: Backups | None = None) -> list[files.File]:
    """Return the files that make backups on a host as it is, but for that with the secrets; the
    script is the first.
    """
    found = [files.File(program(settings), _script(settings), mode="700")]
    if there and there.systemd:
        found += _systemd(settings)
    elif there and there.cron and (lines := cron.lines(settings, _schedules(settings))):
        found.append(files.File(cron.path(settings), lines))
    return found


def _systemd(settings: Settings) -> list[files.File]:
    units: list[files.File] = []
    for kind, schedule in _schedules(settings).items():
        service_path, timer_path = scheduling.units(settings.name, kind)
        variables = {"kind": kind, "deployment": settings.name}
        command = "create" if kind == "backup" else "drill"
        service = templates.render(
            "backup/backup.service.j2", program=program(settings), command=command, **variables
        )
        timer = templates.render("backup/timer.service.j2", schedule=schedule, **variables)
        units += [files.File(service_path, service), files.File(timer_path, timer)]
    return units


def secrets(settings: Settings) -> files.File:
    """Return the file that only root may read: the repository, its password, what else it needs.

    Raises:
        CredentialError: a reference leads nowhere; the preflight has said so before.
    """
    backup = settings.backup
    assert backup.repository and backup.password
    variables = {name: credentials.read(one) for name, one in backup.environment.items()}
    repository = backup.repository
    # restic takes both from the environment from 0.16 on; Debian 12 has 0.14.
    user = variables.pop("RESTIC_REST_USERNAME", "")
    password = variables.pop("RESTIC_REST_PASSWORD", "")
    if user and repository.startswith("rest:"):
        login = f"{url_quote(user, safe='')}:{url_quote(password, safe='')}@"
        repository = re.sub("^(rest:https?://)([^/@]*@)?", rf"\g<1>{login}", repository)
    variables |= {
        "RESTIC_REPOSITORY": repository,
        "RESTIC_PASSWORD": credentials.read(backup.password),
    }
    content = templates.render(
        "backup/secrets.sh.j2", deployment=settings.name, variables=sorted(variables.items())
    )
    return files.File(f"{directory(settings)}/secrets.sh", content, mode="600", secret=True)


@packages.required
def tools(settings: Settings) -> Iterable[str]:
    if settings.backup.repository is None:
        return ()
    ssh = ("openssh-client",) if settings.backup.repository.startswith("sftp:") else ()
    return ("restic", *ssh)


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    if settings.backup.repository is None:
        return []
    units = [path for kind in KINDS for path in scheduling.units(settings.name, kind)]
    return [program(settings), cron.path(settings), *units]


@preflight.check
def problems(settings: Settings) -> Iterable[preflight.Problem]:
    backup = settings.backup
    if backup.repository is None:
        return
    references = {f"environment.{name}": one for name, one in backup.environment.items()}
    for key, reference in {"password": backup.password, **references}.items():
        try:
            credentials.read(reference) if reference else None
        except credentials.CredentialError as error:
            yield preflight.Problem(f"backup.{key}: {error}", "set it, or change the reference")
    there = snapshot.of(Backups)
    if not there.systemd:
        yield from cron.problems(_schedules(settings), there.cron)
    refused = there.no_calendar
    for key, schedule in (("schedule", backup.schedule), ("drill", backup.drill)):
        if schedule in refused:
            yield preflight.Problem(
                f"backup.{key}: given {schedule}; accepted: what systemd's OnCalendar= takes, such"
                " as daily or *-*-* 03:30:00",
                f"see: systemd-analyze calendar {quote(schedule)}",
            )


_existing: WeakSet[State] = WeakSet()


def make_no_repository(state: State) -> None:
    """Have a run fail where there is no repository, instead of making one."""
    _existing.add(state)


@operation
def configured(settings: Settings) -> Generator:
    """Have the host make backups by itself, or no more.

    + settings: the settings of the host

    The repository is opened, and made if there is none; no backup is ever removed by this.
    """
    there = snapshot.of(Backups)
    if settings.backup.repository is None:
        if not there.there:
            host.noop("no backups are wanted")
            return
        script = templates.render(
            "backup/remove.sh.j2",
            timers=[scheduling.timer(settings.name, kind) for kind in KINDS],
            units=[
                *(path for kind in KINDS for path in scheduling.units(settings.name, kind)),
                cron.path(settings),
            ],
            directory=directory(settings),
        )
        yield StringCommand("sh -s", _stdin=[script])
        return
    secret = secrets(settings)
    plan = wanted(settings, there)
    # Of a host that had another way, or another schedule, before.
    stale = [cron.path(settings)] if cron.path(settings) not in {file.path for file in plan} else []
    stale = [path for path in stale if files.found(path)]
    changed = [file for file in plan if files.differs(file)]
    environment = host_secrets.read(settings).environment or b""
    digest = hashlib.sha256(environment + secret.content.encode()).hexdigest()
    drills = there.drills and settings.backup.drill is None
    scheduled = not there.unscheduled or not there.systemd
    as_it_should = there.secrets == digest and there.mode == "600|0:0"
    if not changed and as_it_should and scheduled and not drills and not stale:
        host.noop("backups are made as they should be")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "backup/configure.sh.j2",
        directory=directory(settings),
        secret=secret.content,
        script=plan[0].content,
        open="open" if host.state in _existing else "prepare",
        files=[secret, *plan],
        systemd=there.systemd,
        timers=timers(settings),
        stale_timer=scheduling.timer(settings.name, "drill") if drills else None,
        stale_units=scheduling.units(settings.name, "drill"),
        stale=stale,
    )
    yield StringCommand("sh -s", _stdin=[script])


@deploy("Backups")
def configure(settings: Settings) -> None:
    """Set up backups into the repository of the settings."""
    configured(name="Have backups made", settings=settings)


def _schedules(settings: Settings) -> dict[str, str]:
    backup = settings.backup
    return {"backup": backup.schedule} | ({"drill": backup.drill} if backup.drill else {})


def timers(settings: Settings) -> list[str]:
    return [scheduling.timer(settings.name, kind) for kind in _schedules(settings)]


def _script(settings: Settings) -> str:
    backup, gateway = settings.backup, settings.gateway
    memory = gateway.memory if EngineWay(settings).limits else ""
    keep = {
        "daily": backup.keep_daily,
        "weekly": backup.keep_weekly,
        "monthly": backup.keep_monthly,
    }
    return templates.render(
        "backup/backup.sh.j2",
        docker=form.shell(settings),
        name=settings.name,
        host="" if host.name.startswith("@") else host.name,
        project=settings.project_directory,
        config=settings.config_directory,
        work=work(settings),
        auth_bytes=AUTH_BYTES,
        keep=keep,
        auth=settings.auth_directory,
        state_inside=settings.state_in_gateway,
        timeout=gateway.ready_timeout,
        **state_copy.variables(
            "drill", True, settings.name, gateway.port, memory, gateway.pids_limit
        ),
        environment=state_copy.environment(settings.exposure),
    )
