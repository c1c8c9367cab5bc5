"""What was last seen of the hosts of a run, for its summary."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from pyinfra.api.host import Host

from commandline.results import RunResult
from commandline.run.planning import OF_A_HOST
from commandline.run.session import Session
from operations import activation
from operations.base import connection, notes, snapshot
from toolkit import greenlets
from toolkit.settings import settings_for

LOOK_SECONDS = 30


def note_gateways(session: Session, result: RunResult) -> None:
    """Note what is known of each gateway; asks hosts on which something ran since."""
    touched = [host for host in session.hosts if result.hosts[host.name].operations]
    unknown = [host for host in touched if not snapshot.known(host)]
    if unknown and result.interrupted is None:
        with session.display.phase("Looking at the gateways"):
            session.on_each(unknown, partial(_look, session))
    for host in session.hosts:
        there, own = activation.known(host), result.hosts[host.name]
        own.version = there.version
        own.health = "ready" if there.probes.get("readyz") == "200" else there.status


def note_forwarding(session: Session, result: RunResult) -> None:
    """Note whether the tunnel that the summary of a single host prints would work."""
    if len(session.hosts) == 1 and not result.dry:
        for host in session.active:
            port = settings_for(host).gateway.port
            notes.of(host).forwards = connection.forwards(host, port)


def _look(session: Session, host: Host) -> None:
    if not session.lost(host):
        with suppress(*OF_A_HOST), greenlets.Timeout(LOOK_SECONDS, TimeoutError()):
            snapshot.read(host)
