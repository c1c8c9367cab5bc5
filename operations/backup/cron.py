"""Backups by cron, on a host without systemd: a file in /etc/cron.d."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from operations import scheduling
from operations.base import preflight, quoting
from toolkit.settings import Settings

_DAILY_AT = re.compile(r"(?:\*-\*-\* )?([01]?\d|2[0-3]):([0-5]\d)(?::00)?")
_NAMED = {
    "hourly": "{minute} * * * *",
    "daily": "{minute} {hour} * * *",
    "weekly": "{minute} {hour} * * 1",
    "monthly": "{minute} {hour} 1 * *",
}
"""As systemd has them, but not at midnight, with all the others."""
ACCEPTED = "hourly, daily, weekly, monthly, or a time such as *-*-* 03:30:00"
_COMMANDS = {"backup": "create", "drill": "drill"}


def path(settings: Settings) -> str:
    return scheduling.cron_path(settings.name, "backup")


def lines(settings: Settings, schedules: Mapping[str, str]) -> str:
    """Return the file for what of the schedules cron can have; '' for nothing."""
    times = {kind: at for kind, schedule in schedules.items() if (at := time(schedule, kind))}
    if not times:
        return ""
    # Of what `plain` lets through, nothing means anything to cron or to the shell.
    program = quoting.plain(f"{settings.project_directory}/backup/backup.sh")
    jobs = [
        f"{at} root sh {program} {_COMMANDS[kind]} >/dev/null 2>&1" for kind, at in times.items()
    ]
    return scheduling.cron_content("Backups", settings.name, jobs)


def time(schedule: str, kind: str) -> str:
    """Return systemd's calendar as cron has it; '' if cron cannot."""
    minute, hour = (17, 3) if kind == "backup" else (47, 4)
    if at := _DAILY_AT.fullmatch(schedule):
        return f"{int(at[2])} {int(at[1])} * * *"
    return _NAMED.get(schedule, "").format(minute=minute, hour=hour)


def problems(schedules: Mapping[str, str], runs: bool) -> Iterator[preflight.Problem]:
    """Say what is not made by itself; `runs`: whether there is a cron that runs."""
    if not runs:
        yield preflight.Problem(
            "backup.schedule: the host has neither systemd nor a cron that runs, so nothing makes"
            " backups by itself",
            "install cron there and start it, then ./claw up; or have ./claw backup run where"
            " something is scheduled",
            stops=False,
        )
        return
    for kind, schedule in schedules.items():
        if not time(schedule, kind):
            yield preflight.Problem(
                f"backup.{'schedule' if kind == 'backup' else 'drill'}: given {schedule}; accepted"
                f" by cron, which this host has instead of systemd: {ACCEPTED}",
                "set one of these",
            )
