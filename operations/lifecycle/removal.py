"""A deployment is taken off a host, and with it as much as is asked for.

What goes and what stays is said by the script that does it (`templates/lifecycle/remove.sh.j2`),
which then goes the same way again. State, `.env` and what OpenClaw keeps stay without an explicit
word; of the engine and of packages that goes which the toolkit's own note says it brought.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import StringCommand
from pyinfra.api.deploy import deploy
from pyinfra.api.state import State

from operations import engine_access, record, tailnet
from operations.base import notes, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.engine import apt_sources, rootless
from operations.engine_access import EngineWay
from operations.exposure import stage as exposure
from operations.gateway import form, network
from operations.hardening import stage as hardening
from operations.recorded import Recorded
from operations.security import apparmor
from operations.watch import metrics, places, syslog
from toolkit.settings import Settings

LOOK_SECONDS, COMMAND_SECONDS = 300, 3600
PLACES = ("directories", "home_volume", "sandbox.socket", "engine.socket")
"""Settings that say where what goes is."""


@dataclass(frozen=True)
class Purge:
    """What goes beside what runs: what OpenClaw keeps, and what the toolkit installed."""

    data: bool = False
    engine: bool = False


@dataclass(frozen=True)
class There:
    """What goes and what stays, a line each; what stays says why."""

    goes: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()

    @classmethod
    def parse(cls, answer: str) -> There:
        found: dict[str, list[str]] = {"goes": [], "stays": []}
        for line in answer.splitlines():
            word, _, rest = line.partition(" ")
            kind, tab, what = rest.partition("\t")
            if word in found and tab:
                found[word].append(f"{printable(kind)}: {printable(what, 1000)}")
        return cls(*(tuple(dict.fromkeys(found[word])) for word in ("goes", "stays")))


_chosen: WeakKeyDictionary[State, Purge] = WeakKeyDictionary()


def choose(state: State, purge: Purge) -> None:
    """Have a run take away more than what runs."""
    _chosen[state] = purge


def chosen() -> Purge:
    """Return what goes in the run of the current host."""
    return _chosen.get(host.state, Purge())


def problems(settings: Settings) -> Iterable[Problem]:
    """Say which places the host was last deployed with that are not those of the settings."""
    for change in record.changes(settings, snapshot.of(Recorded)):
        if change.key.startswith(PLACES):
            yield Problem(
                f"{change.key} is {change.after!r}, and the host was deployed with"
                f" {printable(repr(change.before))}",
                "give the inventory that it was deployed with; ./claw init writes one",
            )
    yield from tailnet.leaving()


def look(settings: Settings) -> There:
    """Return what there is of the current host's deployment, and what of it goes."""
    said = snapshot.run_quietly(host, f"set -- look\n{script(settings)}", LOOK_SECONDS)
    return There.parse(said)


@operation
def removed(settings: Settings) -> Generator:
    """Take the deployment off the host.

    + settings: the settings of the host
    """
    there = look(settings)
    if not there.goes:
        notes.of(host).plan += [f"stays: {line}" for line in there.stays]
        host.noop(f"there is nothing of the deployment {settings.name} to take away")
        return
    notes.of(host).plan += [f"goes:  {line}" for line in there.goes]
    notes.of(host).plan += [f"stays: {line}" for line in there.stays]
    notes.of(host).forgotten = chosen().data
    yield StringCommand("sh -s -- remove", _stdin=[script(settings)], _timeout=COMMAND_SECONDS)
    left = look(settings)
    notes.of(host).outcome += [f"stays: {line}" for line in left.stays]
    notes.of(host).outcome += [f"still there: {line}" for line in left.goes]


@deploy("Removal")
def remove(settings: Settings) -> None:
    """Take the deployment off the host."""
    removed(name=f"Remove the deployment {settings.name}", settings=settings)


def script(settings: Settings) -> str:
    """Return the script that says what there is, or takes it away."""
    own = EngineWay(settings).own_engine
    home = settings.home_volume or ""
    given = (
        settings.directories.config,
        settings.directories.workspace,
        settings.directories.auth,
        home if home.startswith("/") else None,
    )
    purge = chosen()
    return templates.render(
        "lifecycle/remove.sh.j2",
        docker=form.shell(settings),
        **form.of(settings).TEMPLATE,
        own_engine={
            "unit": engine_access.rootless_unit(settings.name),
            "configuration": rootless.configuration_path(settings).rpartition("/")[0],
            "home": engine_access.rootless_home(settings.name),
            "user": engine_access.user_name(settings.name),
            "service": engine_access.service_name(settings.name),
        }
        if own
        else None,
        name=settings.name,
        project=settings.project_directory,
        state=f"/var/lib/{settings.name}",
        directories=[path for path in given if path],
        volume="" if home.startswith("/") else home,
        networks=sorted({*network.own_networks(settings), f"{settings.name}_default"}),
        table=network.table(settings),
        rules=f"{network.RULES}/{settings.name}.nft",
        apparmor=apparmor.path(settings),
        host_parts=hardening.parts(),
        sources=list(apt_sources.BORROWED_FILES),
        docker_sources=[apt_sources.SOURCE, apt_sources.KEY],
        tailscale_sources=[tailnet.SOURCE, tailnet.KEY],
        repository=settings.backup.repository,
        watch_state=places.state(settings.name),
        data=purge.data,
        engine=purge.engine,
        socket=settings.engine.socket,
        answer_seconds=0,
        **exposure.removal(settings.name),
        **metrics.removal(settings),
        **syslog.removal(settings),
    )
