"""What of a host's answer wants attention, as lines with what mends each."""

from __future__ import annotations

from collections.abc import Iterator

from operations import activation, scheduling
from operations.base.answers import printable
from operations.base.preflight import Problem
from operations.lifecycle.status import Status, age
from operations.system import UPDATE_SPACE
from operations.watch import question
from operations.watch.question import DAY
from toolkit.settings import Settings

LISTS_DAYS = 14
"""From this age on apt's lists do not tell what waits."""
DRIFT = {
    "candidate": activation.SWAP_INTERRUPTED,
    "rotating": Problem("a rotation was interrupted", "./claw rotate finishes it"),
    "restoring": Problem("a restore was interrupted", "./claw up puts back what was there"),
    "adopting": Problem("an adoption was interrupted", "./claw adopt undoes or finishes it"),
    "label": Problem(
        "the gateway was not started from the files that are there", "./claw up starts it anew"
    ),
    "image": Problem("another image waits to be run", "./claw up runs it"),
    "limits": Problem(
        "the limits of the gateway's container were changed by hand",
        "docker update sets them; ./claw verify names them",
    ),
    "rules": Problem(
        "the firewall's table is gone, or not what was set", "./claw up sets it again"
    ),
    "host-rules": Problem(
        "host.firewall: the host's own table is gone, or not what was set",
        "./claw up sets it again",
    ),
    "tailnet": Problem(
        "the host's name in the tailnet is not answered by https",
        "./claw up has it served again, or says why not",
    ),
    "https": Problem(
        "the domain is not answered by https, or its certificate has ended",
        "./claw up has it served again, or says why not",
    ),
}
"""What is not as the last deploy left it, by the word that the host says."""


def wanting(settings: Settings, found: Status, lists: int | None) -> tuple[Problem, ...]:
    """Return what wants attention.

    Args:
        found: what a host says; its `drift` is among what wants attention.
        lists: how old apt's lists are, in seconds; None: they are not there.
    """
    return (
        *_of_gateway(found),
        *found.drift,
        *_of_backups(settings, found),
        *_of_pull(settings, found),
        *_of_watch(settings, found),
        *_of_timers(settings, found),
        *_of_host(found, lists),
    )


def _of_gateway(found: Status) -> Iterator[Problem]:
    if found.stopped_on_purpose and found.state != "running":
        yield Problem(f"stopped on purpose, {found.stopped_on_purpose}", "./claw start starts it")
    elif found.deployed and found.state != "running":
        yield Problem(f"the gateway is {found.state or 'not there'}", "./claw up starts it")
    elif found.state and not found.ready:
        yield Problem("the gateway is not ready", "./claw doctor, ./claw logs")
    if found.newer_release:
        yield Problem(
            f"OpenClaw {found.newer_release} is there, {found.openclaw} runs",
            f'gateway: {{version: "{found.newer_release}"}}, then ./claw up',
        )


def of_file(name: str) -> Problem:
    """Return what is said of a file that is not as it was when the gateway was started."""
    return Problem(
        f"{printable(name, 60)} was changed since the gateway was started",
        "./claw up --dry --diff shows what comes of it",
    )


def _of_backups(settings: Settings, status: Status) -> Iterator[Problem]:
    found, drill = status.backups, settings.backup.drill
    if found is None:
        return
    if found.failed:
        yield Problem(f"the last backup failed: {found.failed}", "./claw backup tries again")
    elif found.made is None:
        yield Problem("there is no backup yet", "./claw backup makes one")
    elif found.made > question.oldest(settings.backup.schedule):
        yield Problem(f"the newest backup is {age(found.made)} old", "./claw backup makes one")
    if found.drill_failed:
        yield Problem(f"the last drill failed: {found.drill_failed}", "./claw drill tries again")
    # The first one is the timer's to make.
    elif drill and found.made is not None and (found.drilled or 0) > question.oldest(drill):
        yield Problem(
            f"the newest drill is {age(found.drilled or 0)} old", "./claw drill makes one"
        )


def _of_pull(settings: Settings, found: Status) -> Iterator[Problem]:
    pull = found.pull
    if pull is None or pull.state is None:
        return
    where = f"on the host: systemctl status {settings.name}-pull"
    if pull.state not in ("converged", "waiting"):
        yield Problem(f"the last pull: {pull.state}: {pull.message}", where)
    if pull.ran is not None and pull.ran > question.oldest_pull(settings.pull.schedule):
        yield Problem(f"the last pull is {age(pull.ran)} old", where)


def _of_watch(settings: Settings, found: Status) -> Iterator[Problem]:
    watch = found.watch
    if watch is None:
        return
    told = dict(watch.told)
    if watch.gave_up:
        told.pop("gateway", None)
        yield Problem(
            f"the watchdog gave up: it has restarted the gateway {watch.restarts} times, and that"
            " hangs again",
            "./claw logs, then ./claw restart",
        )
    if told:
        words = ", ".join(f"{about} {word}" for about, word in told.items())
        yield Problem(
            f"the host tells of trouble: {words}",
            f"on the host: systemctl status {settings.name}-watch",
        )


def _of_timers(settings: Settings, found: Status) -> Iterator[Problem]:
    pull = scheduling.timer(settings.name, "pull")
    ours = [one for one in found.timers_missing if one != pull]
    if ours:
        yield Problem(
            f"what does not run by itself any more: {', '.join(ours)}", "./claw up starts it"
        )
    if pull in found.timers_missing:
        yield Problem(
            f"what does not run by itself any more: {pull}",
            f"on the host: systemctl enable --now {pull}",
        )


def _of_host(found: Status, lists: int | None) -> Iterator[Problem]:
    if found.disk_free is not None and found.disk_free < UPDATE_SPACE:
        free = f"{found.disk_free / (1 << 30):.1f} GiB"
        yield Problem(f"{free} of disk are free", "an update of the gateway wants 2 GiB")
    if found.reboot_required:
        yield Problem("the host wants a reboot", "the gateway comes back by itself")
    if found.security_updates:
        updates = "update" if found.security_updates == 1 else "updates"
        yield Problem(
            f"{found.security_updates} security {updates} wait", "apt-get upgrade on the host"
        )
    elif lists is not None and lists > LISTS_DAYS * DAY:
        yield Problem(f"apt's lists are {age(lists)} old", "apt-get update on the host")
