"""The settings of what watches a deployment on its host, and tells of it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from toolkit.settings.host import TimeOfDay
from toolkit.settings.section import Section
from toolkit.settings.types import NOT_A_BOOLEAN, Accepts, Boolean, Credential, Port, Unit

_COLLECTOR = re.compile(
    r"(?:tcp|udp)://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
    r":([1-9][0-9]{0,4})"
)


def _collector(value: str) -> str:
    found = _COLLECTOR.fullmatch(value)
    if not found or int(found[1]) > 65535:
        raise ValueError("no address of a collector")
    return value


Collector = Annotated[
    str, AfterValidator(_collector), Accepts("`tcp://HOST:PORT` or `udp://HOST:PORT`")
]


class Notify(Section):
    """Whom a host tells by itself of trouble, and of its end (docs/watch.md#notify)."""

    address: Credential | None = None
    """Where to, as `apprise` has it (`ntfy://TOPIC`, `tgram://TOKEN/CHAT`, `mailto://...`), one on
    each line; by reference: `env: NAME`, `file: PATH` or `command: ...`, read on the control
    machine. None: nobody is told."""
    cooldown: Annotated[int, Field(ge=60, le=604800), NOT_A_BOOLEAN, Unit("seconds")] = 3600
    """How long the same trouble is not told of again."""
    daily: TimeOfDay | None = None
    """When a summary is sent each day; none: never."""


class Watch(Section):
    """What looks after a deployment on its host (docs/watch.md); off unless it is asked for."""

    watchdog: Boolean = False
    """Restart a gateway that hangs, with growing pauses, and give up with an alert."""
    metrics: Boolean = False
    """Show the host and the deployment to Prometheus, on loopback (docs/monitoring/README.md)."""
    metrics_port: Port = 9100
    """Port on loopback on which Prometheus finds them."""
    syslog: Collector | None = None
    """Where the gateway's log goes as well: a syslog collector (docs/logs.md#forwarding). None:
    nowhere."""
    notify: Notify = Notify()

    @property
    def looks(self) -> bool:
        """Whether the host is to look after the deployment by itself."""
        return self.watchdog or self.notify.address is not None
