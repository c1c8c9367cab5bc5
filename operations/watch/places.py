"""Where what watches a deployment is on its host."""

from __future__ import annotations

from toolkit.settings import Settings

RUN = "/run/openclaw-pyinfra"
"""Of root's on a host, and empty after a boot."""


def directory(settings: Settings) -> str:
    """Return the directory of root's with what runs, and what only root may read."""
    return f"{settings.project_directory}/watch"


def program(settings: Settings, kind: str) -> str:
    """Return the path of a script that runs there: `watch`, `metrics`, `status`, `log`."""
    return f"{directory(settings)}/{kind}.sh"


def syslog(settings: Settings) -> str:
    """Return the path of what rsyslog is told by which the log is forwarded."""
    return f"/etc/openclaw-pyinfra/{settings.name}-syslog.conf"


def syslog_state(settings: Settings) -> str:
    """Return the directory of root's with what waits for the collector, and how far was read."""
    return f"/var/lib/openclaw-pyinfra/{settings.name}.syslog"


def state(deployment: str) -> str:
    """Return the directory of root's in which what watches a deployment keeps what it knows; a boot
    empties it, and no full disk closes it.
    """
    return f"{RUN}/{deployment}.watch"


def lock(deployment: str) -> str:
    """Return the file that names who holds the deploy lock."""
    return f"{RUN}/{deployment}.lock"


def pull(settings: Settings) -> str:
    """Return the directory of root's with all of pull mode: enrolment, clone, `result` of the last
    run.
    """
    return f"/var/lib/openclaw-pyinfra/{settings.name}.pull"
