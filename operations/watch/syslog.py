"""The gateway's log at a syslog collector as well: Debian's rsyslog, as a unit of the deployment's.

It reads the journal, has a queue on disk, and nothing waits for it, so that a collector that is
down stops nobody. A gateway that is a container is not in the journal: a second unit writes there
what comes (`templates/watch/log.sh.j2`). The container stays as it is: Docker's own syslog driver
starts none while a collector is down. Sent is RFC 5424, over TCP with octet counting (RFC 6587,
3.4.1).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import StringCommand

from operations import engine_access, packages, scheduling
from operations.base import files, notes, preflight, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import form
from operations.nftables import RULES
from operations.watch import places
from toolkit.settings import Settings

PACKAGE = "rsyslog"
MASKED = f"{RULES}/rsyslog"
"""There while the package, and what keeps its own unit from running, are the toolkit's."""
QUEUE = "256m"
"""What waits on disk for a collector that is down; what comes after that is lost there."""
INSTALL_SECONDS = 1800
_ADDRESS = re.compile(r"(tcp|udp)://\[?([^]]*?)\]?:([0-9]+)")


@snapshot.fact("syslog")
@dataclass(frozen=True)
class Forwarding:
    """What a host says: whether it forwards, whether there is systemd, which units run, and whether
    the collector answers, or why not; of UDP nobody knows."""

    there: bool = False
    systemd: bool = False
    runs: frozenset[str] = frozenset()
    answers: bool = False
    silent: str = ""

    @staticmethod
    def script(settings: Settings) -> str:
        protocol, address, port = collector(settings)
        return templates.render(
            "watch/syslog_probe.sh.j2",
            configuration=places.syslog(settings),
            units=services(settings),
            tcp=protocol == "tcp",
            address=address,
            port=port,
        )

    @classmethod
    def parse(cls, lines: list[str]) -> Forwarding:
        pairs = [line.partition(" ")[::2] for line in lines]
        words = dict(pairs)
        return cls(
            there="there" in words,
            systemd="systemd" in words,
            runs=frozenset(rest for word, rest in pairs if word == "runs"),
            answers="answers" in words,
            silent=printable(words.get("silent", ""), 100),
        )


def collector(settings: Settings) -> tuple[str, str, int]:
    """Return protocol, address and port of the collector; '' for none."""
    found = _ADDRESS.fullmatch(settings.watch.syslog or "")
    return (found[1], found[2], int(found[3])) if found else ("", "", 0)


def services(settings: Settings) -> list[str]:
    """Return the units that are to run, the one that others need first."""
    if settings.watch.syslog is None:
        return []
    reading = [] if form.of(settings).TEMPLATE["service"] else ["log"]
    return [scheduling.service(settings.name, kind) for kind in ("syslog", *reading)]


def wanted(settings: Settings) -> list[files.File]:
    """Return the files by which a host forwards the gateway's log."""
    name, state = settings.name, places.syslog_state(settings)
    protocol, address, port = collector(settings)
    of_form, unit = form.of(settings), scheduling.units(name, "syslog")[0]
    is_service = of_form.TEMPLATE["service"]
    of_host = engine_access.service_unit(name).rpartition("/")[2]
    configuration = templates.render(
        "watch/rsyslog.conf.j2",
        state=state,
        unit=of_host if is_service else scheduling.service(name, "log"),
        name=name,
        tcp=protocol == "tcp",
        address=address,
        port=port,
        queue=QUEUE,
    )
    service = templates.render(
        "watch/syslog.service.j2",
        deployment=name,
        configuration=places.syslog(settings),
        state=state,
    )
    found = [files.File(places.syslog(settings), configuration), files.File(unit, service)]
    if is_service:
        return found
    program = places.program(settings, "log")
    text = templates.render(
        "watch/log.sh.j2",
        docker=engine_access.environment(settings),
        project=settings.project_directory,
        lines=of_form.lines(settings, None, None, None, True),
        seen=f"{state}/seen",
    )
    service = templates.render("watch/log.service.j2", deployment=name, program=program)
    return [
        *found,
        files.File(program, text, mode="700"),
        files.File(scheduling.units(name, "log")[0], service),
    ]


@packages.known
def known(settings: Settings) -> Iterable[str]:
    return [PACKAGE]


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return _paths(settings) if settings.watch.syslog else []


@preflight.check
def problems(settings: Settings) -> Iterable[Problem]:
    """Say why a host cannot forward the log."""
    there, where = snapshot.of(Forwarding), settings.watch.syslog
    if where is None:
        return
    if not there.systemd:
        yield Problem(
            "watch.syslog: the host has no systemd, whose journal and units it is forwarded by",
            "take watch.syslog out of the settings",
        )
    elif collector(settings)[0] == "tcp" and not there.answers:
        # What is sent there already waits in the queue; nothing else waits for that.
        waits = there.there and not any(map(files.differs, wanted(settings)))
        yield Problem(
            f"watch.syslog: given {where}, where no collector answers this host:"
            f" {there.silent or 'no reason is known'}",
            "start it there, or let this host reach it"
            + ("; until then the lines wait on the host" if waits else ""),
            stops=not waits,
        )


@operation
def forwarded(settings: Settings) -> Generator:
    """Have the host forward the gateway's log, or no longer.

    + settings: the settings of the host
    """
    there = snapshot.of(Forwarding)
    if settings.watch.syslog is None:
        if not there.there:
            host.noop("the gateway's log is forwarded nowhere")
            return
        script = templates.render(
            "watch/syslog_off.sh.j2",
            program=places.program(settings, "log"),
            directory=places.directory(settings),
            **removal(settings),
        )
        yield StringCommand("sh -s", _stdin=[script], _timeout=INSTALL_SECONDS)
        return
    plan, units = wanted(settings), services(settings)
    changed = [file for file in plan if files.differs(file)]
    # Of a gateway that was of another form before.
    stale = sorted(set(filter(files.found, _paths(settings))) - {file.path for file in plan})
    installed = PACKAGE in snapshot.of(packages.Packages).versions
    if not changed and not stale and installed and set(units) <= there.runs:
        host.noop("the gateway's log is forwarded")
        return
    for file in changed:
        files.show_difference(file)
    script = templates.render(
        "watch/syslog_on.sh.j2",
        rules=RULES,
        directories=[places.directory(settings), places.syslog_state(settings)],
        files=plan,
        stale=stale,
        stale_unit=scheduling.service(settings.name, "log") if stale else "",
        package=PACKAGE,
        masked=MASKED,
        seen=f"{places.syslog_state(settings)}/seen",
        units=units,
        unit=units[0],
    )
    yield StringCommand("sh -s", _stdin=[script], _timeout=INSTALL_SECONDS)
    notes.of(host).outcome.append(f"log: to {settings.watch.syslog} as well")


def removal(settings: Settings) -> dict[str, object]:
    """Return what `watch/syslog_gone.sh.j2` is rendered with."""
    return {
        "syslog_units": [scheduling.units(settings.name, kind)[0] for kind in ("log", "syslog")],
        "syslog_unit": scheduling.units(settings.name, "syslog")[0],
        "syslog_configuration": places.syslog(settings),
        "syslog_state": places.syslog_state(settings),
        "syslog_package": PACKAGE,
        "syslog_masked": MASKED,
    }


def _paths(settings: Settings) -> list[str]:
    units = [scheduling.units(settings.name, kind)[0] for kind in ("syslog", "log")]
    return [places.syslog(settings), places.program(settings, "log"), *units]
