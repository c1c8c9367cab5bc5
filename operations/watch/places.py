"""Where what watches a deployment is on its host."""

from __future__ import annotations

from toolkit.settings import Settings


def directory(settings: Settings) -> str:
    """Return the directory of root's with what runs, and what only root may read."""
    return f"{settings.project_directory}/watch"


def state(deployment: str) -> str:
    """Return the directory of root's in which what watches a deployment keeps what it knows; a boot
    empties it, and no full disk closes it.
    """
    return f"/run/openclaw-pyinfra/{deployment}.watch"


def pull(settings: Settings) -> str:
    """Return the directory of root's with all of pull mode: enrolment, clone, `result` of the last
    run.
    """
    return f"/var/lib/openclaw-pyinfra/{settings.name}.pull"
