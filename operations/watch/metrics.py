"""Metrics of a host and its deployment for Prometheus: Debian's node exporter, on loopback alone,
and a textfile that says once a minute how the deployment is (`templates/watch/metrics.sh.j2`).

Names are those of https://prometheus.io/docs/practices/naming/; the exporter's file of arguments is
/etc/default/prometheus-node-exporter, which its unit and its init script read alike.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand

from operations import packages, scheduling
from operations.base import files, notes, preflight, quoting, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.packages import Packages
from operations.system import System, address_of
from operations.watch import places, question
from toolkit.settings import Settings

EXPORTER = "prometheus-node-exporter"
DEFAULTS = f"/etc/default/{EXPORTER}"
DIRECTORY = "/run/openclaw-metrics"
"""Where the exporter finds the textfiles: in memory, so that a full disk hides nothing."""
ASK_SECONDS, INSTALL_SECONDS = 90, 1800


@snapshot.fact("metrics")
@dataclass(frozen=True)
class Metrics:
    """What a host says: whether it has the script, by what it can be scheduled, which of timer and
    exporter run, whose the exporter's arguments are, and who else has the port."""

    there: bool = False
    systemd: bool = False
    cron: bool = False
    runs: frozenset[str] = frozenset()
    foreign: bool = False
    listeners: tuple[str, ...] = ()

    @staticmethod
    def script(settings: Settings) -> str:
        return templates.render(
            "watch/metrics_probe.sh.j2",
            program=program(settings),
            wanted=settings.watch.metrics,
            timer=timer(settings.name),
            exporter=EXPORTER,
            defaults=DEFAULTS,
            hexadecimal=f"{settings.watch.metrics_port:04X}",
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Metrics:
        pairs = [line.partition(" ")[::2] for line in lines]
        words = {word for word, _ in pairs}
        taken = [rest.partition(" ")[::2] for word, rest in pairs if word == "listener"]
        return cls(
            there="there" in words,
            systemd="systemd" in words,
            cron="cron" in words,
            runs=frozenset(rest for word, rest in pairs if word == "runs"),
            foreign="foreign" in words,
            listeners=tuple(
                f"{printable(process.strip(), 60) or 'a process'} on {address_of(address)}"
                for address, process in taken
            ),
        )


def program(settings: Settings) -> str:
    """Return the path of the script that writes the metrics of a deployment."""
    return places.program(settings, "metrics")


def status(settings: Settings) -> str:
    """Return the path of the script that it asks."""
    return places.program(settings, "status")


def timer(deployment: str) -> str:
    return scheduling.timer(deployment, "metrics")


def cron(deployment: str) -> str:
    return scheduling.cron_path(deployment, "metrics")


def units(deployment: str) -> tuple[str, str]:
    return scheduling.units(deployment, "metrics")


def wanted(settings: Settings, systemd: bool) -> list[files.File]:
    """Return the files by which a host shows its metrics."""
    name, backup = settings.name, settings.backup
    script = templates.render(
        "watch/metrics.sh.j2",
        deployment=name,
        state=places.state(name),
        metrics=DIRECTORY,
        status=status(settings),
        seconds=ASK_SECONDS,
        domain=settings.exposure.domain,
        backup_age=question.oldest(backup.schedule),
        drill_age=question.oldest(backup.drill) if backup.drill else 0,
        pull_age=question.oldest_pull(settings.pull.schedule),
    )
    arguments = templates.render(
        "watch/exporter.sh.j2", port=settings.watch.metrics_port, metrics=DIRECTORY
    )
    found = [
        files.File(status(settings), question.script(settings), mode="700"),
        files.File(program(settings), script, mode="700"),
        files.File(DEFAULTS, arguments),
    ]
    if not systemd:
        job = f"* * * * * root sh {quoting.plain(program(settings))} >/dev/null 2>&1"
        return [*found, files.File(cron(name), scheduling.cron_content("Metrics", name, [job]))]
    variables = {"deployment": name, "program": program(settings)}
    service_path, timer_path = units(name)
    return [
        *found,
        files.File(service_path, templates.render("watch/metrics.service.j2", **variables)),
        files.File(timer_path, templates.render("watch/metrics_timer.service.j2", **variables)),
    ]


@packages.known
def known(settings: Settings) -> Iterable[str]:
    return [EXPORTER]


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    if not settings.watch.metrics:
        return []
    name = settings.name
    return [status(settings), program(settings), DEFAULTS, cron(name), *units(name)]


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    """Say why a host cannot show its metrics."""
    there, port = snapshot.of(Metrics), settings.watch.metrics_port
    if not settings.watch.metrics:
        return
    if port in (settings.gateway.port, settings.front_port):
        yield Problem(
            f"watch.metrics_port is {port}, which is the gateway's",
            "set it to a port that is free, such as 9100",
        )
    if there.foreign and EXPORTER in snapshot.of(Packages).versions:
        yield Problem(
            f"watch.metrics: {EXPORTER} is on the host already, and not by the toolkit",
            f"remove it: apt-get purge {EXPORTER}; or set watch.metrics to false",
        )
    elif there.listeners:
        yield Problem(
            f"watch.metrics: port {port} of the host is in use by {there.listeners[0]}",
            "stop that, or set watch.metrics_port to a port that is free",
        )
    if not there.systemd and not there.cron:
        yield Problem(
            "watch.metrics: the host has neither systemd nor a cron that runs, so nothing would"
            " write its metrics",
            "install cron there and start it, or set watch.metrics to false",
        )


@operation
def shown(settings: Settings) -> Generator:
    """Have the host show its metrics on loopback, or no longer.

    + settings: the settings of the host
    """
    there = snapshot.of(Metrics)
    if not settings.watch.metrics:
        if not there.there:
            host.noop("no metrics are wanted")
            return
        script = templates.render(
            "watch/metrics_off.sh.j2",
            scripts=[program(settings), status(settings)],
            directory=places.directory(settings),
            **removal(settings),
        )
        yield StringCommand("sh -s", _stdin=[script], _timeout=INSTALL_SECONDS)
        return
    systemd = snapshot.of(System).systemd
    plan = wanted(settings, systemd)
    # Of a host that had another way before.
    stale = [path for path in (cron(settings.name),) if systemd and files.found(path)]
    changed = [file for file in plan if files.differs(file)]
    running = {EXPORTER, timer(settings.name)} if systemd else {EXPORTER}
    installed = EXPORTER in snapshot.of(Packages).versions
    if not changed and not stale and installed and running <= there.runs:
        host.noop("the metrics are shown")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "watch/metrics_on.sh.j2",
        directory=places.directory(settings),
        files=plan,
        stale=stale,
        metrics=DIRECTORY,
        exporter=EXPORTER,
        timer=timer(settings.name),
        systemd=systemd,
        port=settings.watch.metrics_port,
    )
    yield StringCommand("sh -s", _stdin=[script], _timeout=INSTALL_SECONDS)
    notes.of(host).outcome.append(f"metrics: http://127.0.0.1:{settings.watch.metrics_port}")


def removal(settings: Settings) -> dict[str, object]:
    """Return what `watch/metrics_gone.sh.j2` is rendered with."""
    name = settings.name
    service_path, timer_path = units(name)
    return {
        "metrics_units": [timer_path, service_path],
        "metrics_files": [cron(name), f"{DIRECTORY}/{name}.prom", f"{DIRECTORY}/{name}.prom.new"],
        # Deployments are told apart by what schedules their scripts.
        "metrics_timer": timer_path,
        "metrics_cron": cron(name),
        "exporter_defaults": DEFAULTS,
        "metrics_directory": DIRECTORY,
        "exporter": EXPORTER,
    }
