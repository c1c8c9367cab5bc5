"""What looks after a deployment on its host, unasked (docs/watch.md)."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.deploy import deploy

from operations.base import files
from operations.watch import metrics, places, syslog, watchdog
from toolkit.settings import Settings


@files.managed_paths
def paths(settings: Settings) -> Iterable[str]:
    return _directories(settings)


@deploy("Watch")
def watch(settings: Settings) -> None:
    """Have the host watch the deployment, as far as the settings want it."""
    files.directories(
        name="Make the directory of what watches the deployment",
        paths=_directories(settings),
        mode="700",
    )
    watchdog.configured(name="Have the host look after the gateway", settings=settings)
    metrics.shown(name="Have metrics shown to Prometheus", settings=settings)
    syslog.forwarded(name="Have the log forwarded", settings=settings)


def _directories(settings: Settings) -> list[str]:
    wanted = settings.watch.looks or settings.watch.metrics or settings.watch.syslog
    return [places.directory(settings)] if wanted else []
