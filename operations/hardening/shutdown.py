"""What a reboot waits for: gateways of the host's engine that are in the middle of a turn.

A unit that is stopped before the engine is (systemd.unit(5), After=) stops them as `./claw stop`
does. Those of an engine without root and services of the host have units of their own that wait.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from operations.base import files, snapshot, templates
from operations.base.operation import operation
from operations.hardening.upkeep import SHUTDOWN, Upkeep, one_file
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
    yield from one_file(
        upgrades.enabled and upgrades.reboot is not None and there.systemd,
        unit(settings),
        "reboot",
        "waits for turns that are running, up to 330 s",
        gone(),
        service=SHUTDOWN,
        active=SHUTDOWN in there.active,
    )


def unit(settings: Settings) -> files.File:
    """Return the unit; its name on the host is `UNIT`."""
    content = templates.render("hardening/shutdown.service.j2", deployment=settings.name)
    return files.File(UNIT, content)


def gone() -> str:
    """Return the script that takes it away."""
    return templates.render("hardening/shutdown_gone.sh.j2", unit=UNIT, service=SHUTDOWN)
