"""What a reboot waits for: gateways of the host's engine that are in the middle of a turn.

A unit that is stopped before the engine is (systemd.unit(5), After=) stops them as `./claw stop`
does. Those of an engine without root and services of the host have units of their own that wait.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import StringCommand

from operations.base import files, notes, snapshot, templates
from operations.base.operation import operation
from operations.hardening.upkeep import SHUTDOWN, Upkeep
from toolkit.settings import Settings

UNIT = f"/etc/systemd/system/{SHUTDOWN}.service"


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return [UNIT]


@operation
def turns_finished(settings: Settings) -> Generator:
    """Have the host go down only after turns that are running, where it reboots by itself.

    + settings: the settings of the host
    """
    upgrades, there = settings.host.unattended_upgrades, snapshot.of(Upkeep)
    wanted = unit(settings)
    if not (upgrades.enabled and upgrades.reboot and there.systemd):
        if files.found(UNIT):
            yield StringCommand("sh -s", _stdin=[gone()])
        else:
            host.noop("the host does not reboot by itself")
    elif SHUTDOWN in there.active and not files.differs(wanted):
        host.noop("a reboot waits for turns that are running")
    else:
        files.show_difference(wanted)
        script = templates.render("hardening/file.sh.j2", files=[wanted], service=SHUTDOWN)
        yield StringCommand("sh -s", _stdin=[script])
        notes.of(host).outcome.append("a reboot waits for turns that are running, up to 330 s")


def unit(settings: Settings) -> files.File:
    """Return the unit; its name on the host is `UNIT`."""
    content = templates.render("hardening/shutdown.service.j2", deployment=settings.name)
    return files.File(UNIT, content)


def gone() -> str:
    """Return the script that takes it away."""
    return templates.render("hardening/shutdown_gone.sh.j2", unit=UNIT, service=SHUTDOWN)
