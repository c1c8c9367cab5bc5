"""A timer of systemd's, or cron, runs one script on the host (`templates/watch/watch.sh.j2`), which
asks the gateway's probes, starts again what hangs, and tells of trouble by apprise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages, scheduling
from operations.backup import stage as backup
from operations.base import files, preflight, quoting, snapshot, templates
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import form, host_secrets
from operations.watch import addresses, places, question
from toolkit.settings import Settings


@snapshot.fact("watch")
@dataclass(frozen=True)
class Watching:
    """What a host says: whether it watches, by what (`systemd`, `cron`), whether that is scheduled,
    and the digest of `.env` and the addresses, with the mode and the owner of their file."""

    there: bool = False
    systemd: bool = False
    cron: bool = False
    scheduled: bool = False
    addresses: str = ""
    mode: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "watch/probe.sh.j2",
            wanted=settings.watch.looks,
            timer=_timer(settings),
            environment=host_secrets.environment_path(settings),
            addresses=_addresses_path(settings),
            program=program(settings),
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Watching:
        words = dict(line.partition(" ")[::2] for line in lines)
        return cls(
            there="there" in words,
            systemd="systemd" in words,
            cron="cron" in words,
            scheduled="scheduled" in words,
            addresses=words.get("addresses", ""),
            mode=words.get("mode", ""),
        )


def program(settings: Settings) -> str:
    """Return the path of the script on the host."""
    return places.program(settings, "watch")


def program_text(settings: Settings) -> str:
    """Return the script that looks after the deployment on the host."""
    watch, kept = settings.watch, settings.backup
    timers = [("backup", "last", "made", question.oldest(kept.schedule))]
    if kept.drill:
        timers.append(("drill", "drill-failed", "drilled", question.oldest(kept.drill)))
    return templates.render(
        "watch/watch.sh.j2",
        **form.of(settings).TEMPLATE,
        docker=form.shell(settings),
        name=settings.name,
        project=settings.project_directory,
        url=form.url(settings),
        config=settings.config_directory,
        backups=backup.work(settings),
        state=places.state(settings.name),
        lock=places.lock(settings.name),
        void="",
        timeout=settings.gateway.ready_timeout,
        cooldown=watch.notify.cooldown,
        addresses=_addresses_path(settings) if watch.notify.address else "",
        daily=watch.notify.daily,
        watchdog=watch.watchdog,
        timers=timers if kept.repository else [],
        pull=places.pull(settings),
        pull_age=question.oldest_pull(settings.pull.schedule),
    )


def wanted(settings: Settings, there: Watching) -> list[files.File]:
    """Return the files that have a host as it is watch, but for the addresses."""
    found = [files.File(program(settings), program_text(settings), mode="700")]
    if there.systemd:
        variables = {"deployment": settings.name, "program": program(settings)}
        found += [
            files.File(path, templates.render(f"watch/{name}.service.j2", **variables))
            for path, name in zip(_units(settings), ("watch", "timer"), strict=True)
        ]
    elif there.cron:
        command = f"sh {quoting.plain(program(settings))} 2>&1 | logger -t {_unit(settings)}"
        job = f"* * * * * root {command}"
        content = scheduling.cron_content("Watch", settings.name, [job])
        found.append(files.File(_cron(settings), content))
    return found


@packages.required
def tools(settings: Settings) -> Iterable[str]:
    return ("apprise",) if settings.watch.notify.address else ()


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [program(settings), _cron(settings), *_units(settings)] if settings.watch.looks else []


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    yield from addresses.problems(settings)
    there = snapshot.of(Watching)
    if settings.watch.looks and not (there.systemd or there.cron):
        yield Problem(
            "watch: the host has neither systemd nor a cron that runs, so nothing watches it",
            "install cron there and start it, then ./claw up; or set watch.watchdog: false and no"
            " watch.notify.address",
            stops=False,
        )


@operation
def configured(settings: Settings) -> Generator:
    """Have the host look after the deployment by itself, or no more.

    + settings: the settings of the host

    A message is sent by each address that is new, and nothing is changed if one does not work.
    """
    there = snapshot.of(Watching)
    if not settings.watch.looks:
        if not there.there:
            host.noop("nothing is to watch the deployment")
            return
        gone = [program(settings), _addresses_path(settings), _cron(settings), *_units(settings)]
        script = templates.render(
            "watch/remove.sh.j2",
            timer=_timer(settings),
            files=gone,
            state=places.state(settings.name),
            directory=places.directory(settings),
        )
        yield StringCommand("sh -s", _stdin=[script])
        return
    plan = wanted(settings, there)
    changed = [file for file in plan if files.differs(file)]
    told = addresses.read(settings)
    secret = files.File(
        _addresses_path(settings), "".join(f"{one}\n" for one in told), mode="600", secret=True
    )
    environment = host_secrets.read(settings).environment or b""
    digest = hashlib.sha256(environment + secret.content.encode()).hexdigest()
    same = there.addresses == digest and there.mode == ("600|0:0" if told else "")
    stale = [_addresses_path(settings)] if there.mode and not told else []
    if there.systemd and files.found(_cron(settings)):
        stale.append(_cron(settings))
    if not changed and same and not stale and (there.scheduled or not there.systemd):
        host.noop("the host watches the deployment as it should")
        return
    for file in changed:
        files.show_difference(file)
    text = templates.render(
        "watch/configure.sh.j2",
        directory=places.directory(settings),
        tried=[] if same else told,
        test_title=f"{settings.name} on {host.name}",
        test_message="This host tells here what is wrong with its OpenClaw gateway from now on.",
        files=[*([secret] if told else []), *plan],
        stale=stale,
        systemd=there.systemd,
        timer=_timer(settings),
    )
    yield StringCommand("sh -s", _stdin=[text])


def _addresses_path(settings: Settings) -> str:
    return f"{places.directory(settings)}/addresses.conf"


def _timer(settings: Settings) -> str:
    return scheduling.timer(settings.name, "watch")


def _unit(settings: Settings) -> str:
    return f"{settings.name}-watch"


def _cron(settings: Settings) -> str:
    return scheduling.cron_path(settings.name, "watch")


def _units(settings: Settings) -> tuple[str, str]:
    return scheduling.units(settings.name, "watch")
