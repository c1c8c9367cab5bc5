"""The settings of backups."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from toolkit.settings.section import Section
from toolkit.settings.types import (
    NOT_A_BOOLEAN,
    Accepts,
    Credential,
    EnvironmentName,
    Unit,
)

_REPOSITORY = re.compile(
    r"/[^\s\"'`$\\:]+"
    r"|sftp:(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:/[^\s\"'`$\\]+"
    r"|sftp://[^\s\"'`$\\]+"
    r"|s3:(?:https?://)?[^\s\"'`$\\]+"
    r"|rest:https?://[^\s\"'`$\\]+"
)


def _repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value):
        raise ValueError("no repository of restic that is known here")
    if re.search(r"//[^/@]*:[^/@]*@", value):
        raise ValueError("a password stands in it; give it under backup.environment")
    if value.startswith("/") and "/../" in f"{value}/":
        raise ValueError("'..' stands in it")
    return value


def _schedule(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9*/,.:~ _+-]{1,100}", value) or value.startswith("-"):
        raise ValueError("no calendar of systemd")
    return value


Repository = Annotated[
    str,
    AfterValidator(_repository),
    Accepts(
        "`/PATH` on the host, `sftp:USER@HOST:/PATH`, `s3:https://HOST/BUCKET/PATH` or"
        " `rest:https://HOST/PATH`, without a password"
    ),
]
Schedule = Annotated[
    str,
    AfterValidator(_schedule),
    Accepts("`daily`, `hourly`, `weekly`, or what systemd's OnCalendar= takes (`*-*-* 03:30:00`)"),
]
Kept = Annotated[int, Field(ge=0, le=1000), NOT_A_BOOLEAN, Unit("backups")]


class Backup(Section):
    """Backups into a restic repository (docs/backup.md)."""

    repository: Repository | None = None
    """restic's repository: `/PATH` on the host, `sftp:USER@HOST:/PATH`,
    `s3:https://HOST/BUCKET/PATH` or `rest:https://HOST/PATH`; many hosts may share one. None: no
    backups."""
    password: Credential | None = None
    """The repository's password, by reference: `env: NAME`, `file: PATH` or `command: ...`, read
    on the control machine. Who loses it has no backups."""
    environment: dict[EnvironmentName, Credential] = Field(default_factory=dict)
    """What restic needs besides, by reference: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or
    `RESTIC_REST_USERNAME` and `RESTIC_REST_PASSWORD`."""
    schedule: Schedule = "daily"
    """When a host makes a backup by itself, as systemd's OnCalendar= has it."""
    drill: Schedule | None = None
    """When a host tries by itself whether its newest backup can be restored (`weekly`); none: only
    `./claw drill` does."""
    keep_daily: Kept = 7
    """Days of which the last backup is kept."""
    keep_weekly: Kept = 4
    """Weeks of which the last backup is kept."""
    keep_monthly: Kept = 6
    """Months of which the last backup is kept. The newest, and those of the last two days, are kept
    whatever these say."""
