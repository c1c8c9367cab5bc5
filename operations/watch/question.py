"""The script that says how a deployment is, for `./claw status` and for what watches on the host.

Its answer is lines of `key=value`, which whoever reads them need not believe.
"""

from __future__ import annotations

import re

from operations import recorded, scheduling
from operations.backup import stage as backup
from operations.base import templates
from operations.base.quoting import Script
from operations.gateway import form, network
from operations.hardening import firewall
from operations.watch import places
from toolkit.settings import Settings

HOUR, DAY = 3600, 86400
OLDEST = {"hourly": 3 * HOUR, "daily": 2 * DAY, "weekly": 9 * DAY, "monthly": 35 * DAY}
"""How old the newest backup or drill may be, by its schedule."""
_TIME_OF_DAY = re.compile(
    r"(\*-\*-\* )?[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( [A-Za-z][A-Za-z0-9/_+-]*)?"
)


def oldest(schedule: str) -> int:
    """Return from how many seconds on a backup, or a drill, of a schedule is too old.

    + schedule: a calendar of systemd's (systemd.time(7)). A time of day that names no day is daily;
      what is neither that nor one of the words counts as monthly: of a calendar that is not
      understood, a late alarm is better than one that is none.
    """
    daily = _TIME_OF_DAY.fullmatch(schedule) is not None
    return OLDEST.get(schedule, OLDEST["daily" if daily else "monthly"])


def oldest_pull(schedule: str) -> int:
    """Return from how many seconds on the last run of pull mode, of a schedule, is too old: more
    often than daily is looked for in vain soon enough."""
    return max(OLDEST["daily"], OLDEST.get(schedule, 0))


def timers(settings: Settings) -> dict[str, str]:
    """Return the timers, and what runs all the time, that the settings want, with what is on a host
    that has them: where that is not, they are not missed.
    """
    name, wanted, rules = settings.name, settings.watch, network.applied(settings)
    kept = backup.timers(settings) if settings.backup.repository else []
    found = dict.fromkeys(kept, backup.program(settings))
    for kind, is_wanted in (("watch", wanted.looks), ("metrics", wanted.metrics)):
        if is_wanted:
            found[scheduling.timer(name, kind)] = places.program(settings, kind)
    if wanted.syslog:
        found[scheduling.service(name, "syslog")] = places.syslog(settings)
        found[scheduling.service(name, "log")] = places.program(settings, "log")
    found[rules.timer] = rules.rules
    if settings.host.firewall.enabled:
        found[firewall.TABLE.timer] = firewall.TABLE.rules
    return {**found, scheduling.timer(name, "pull"): f"{places.pull(settings)}/enrolled"}


def script(settings: Settings) -> Script:
    """Return the script, for standard input or a file: `often=yes` in its environment leaves out
    what costs the host more and seldom changes.
    """
    return templates.render(
        "deploy/status.sh.j2",
        docker=form.shell(settings),
        **form.of(settings).TEMPLATE,
        name=settings.name,
        project=settings.project_directory,
        state=f"/var/lib/{settings.name}",
        url=form.url(settings),
        tables={
            "rules": network.applied(settings),
            **({"host-rules": firewall.TABLE} if settings.host.firewall.enabled else {}),
        },
        domain=settings.exposure.domain,
        tailnet=bool(settings.exposure.tailscale.name),
        record=recorded.path(settings),
        record_bytes=recorded.MAX_BYTES,
        backup=backup.program(settings),
        notes=backup.work(settings),
        pull=places.pull(settings),
        timers=timers(settings),
        watch=places.program(settings, "watch"),
        watching=places.state(settings.name),
    )
