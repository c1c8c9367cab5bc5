"""What looks after a deployment on its host, unasked (docs/watch.md).

Its files are in a directory of root's, its state in another that a boot empties and that no full
disk closes.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.deploy import deploy

from operations.base import files
from toolkit.settings import Settings


def directory(settings: Settings) -> str:
    """Return the directory of root's with what runs, and what only root may read."""
    return f"{settings.project_directory}/watch"


def state(deployment: str) -> str:
    """Return the directory of root's in which what watches a deployment keeps what it knows."""
    return f"/run/openclaw-pyinfra/{deployment}.watch"


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


def _directories(settings: Settings) -> list[str]:
    wanted = settings.watch.watchdog or settings.watch.metrics or settings.watch.notify.address
    return [directory(settings)] if wanted else []
