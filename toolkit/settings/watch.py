"""The settings of what watches a deployment on its host, and tells of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toolkit.settings.host import TimeOfDay
from toolkit.settings.section import Section
from toolkit.settings.types import NOT_A_BOOLEAN, Boolean, Credential, Port, Unit


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
    notify: Notify = Notify()

    @property
    def looks(self) -> bool:
        """Whether the host is to look after the deployment by itself."""
        return self.watchdog or self.notify.address is not None
