"""What ran before, and the way back to it: image, files, openclaw.json, and the state that matches.

A swap keeps what it took the place of (`templates/compose/generations.sh.j2`); going back is a swap
like any other, and what it leaves is kept in turn.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from shlex import quote
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.api.state import State

from operations import activation
from operations.base import notes, snapshot, templates
from operations.base.answers import printable
from operations.base.operation import operation
from operations.base.preflight import Problem
from operations.gateway import form
from operations.lifecycle import power
from toolkit import patterns
from toolkit.settings import Settings

LIST_SECONDS = 120
_NUMBER = "[1-9][0-9]{0,8}"


@dataclass(frozen=True)
class Generation:
    """What can be gone back to: its number, OpenClaw's release, until when it ran, bytes on disk,
    what took its place (`image`, names of files), what is missing of it by now ('': nothing), and
    whether its image is another one than that which runs, so that it comes with its state."""

    number: int
    release: str
    until: str
    bytes: int
    changed: tuple[str, ...]
    missing: str = ""
    with_state: bool = False


_chosen: WeakKeyDictionary[State, int] = WeakKeyDictionary()


def choose(state: State, number: int) -> None:
    """Have a run go back to the generation of that number."""
    _chosen[state] = number


def ask(host: Host, settings: Settings) -> list[Generation]:
    """Return what a host can go back to, the newest first.

    Raises:
        PyinfraError: it does not say, or says something else.
    """
    script = templates.render(
        "lifecycle/generations.sh.j2",
        docker=form.shell(settings),
        project=settings.project_directory,
        generations=activation.generations_directory(settings.name),
    )
    return parse(snapshot.run_quietly(host, f"sh -c {quote(script)}", LIST_SECONDS))


def parse(text: str) -> list[Generation]:
    """Return what the script says; raises MismatchError if it is not of its form."""
    found = []
    for line in text.splitlines():
        number, release, until, size, changed, missing, another, *_ = [*line.split("|"), *[""] * 7]
        found.append(
            Generation(
                int(patterns.matched(_NUMBER, number, "the number of a generation")),
                release if patterns.matches(patterns.VERSION, release) else "unknown",
                patterns.matched(patterns.TIME, until, "the time of a generation"),
                int(patterns.matched(patterns.BYTES, size or "0", "the size of a generation")),
                tuple(printable(word)[:60] for word in changed.split()),
                missing if missing in ("image", "state") else "",
                another == "another",
            )
        )
    return sorted(found, key=lambda one: one.number, reverse=True)


def problems(settings: Settings) -> Iterable[Problem]:
    """Say why the chosen generation cannot be gone back to."""
    yield from power.problems(settings)
    if activation.running().unfinished:
        yield activation.RUN_INTERRUPTED
        return
    wanted, there = _chosen.get(host.state, 0), ask(host, settings)
    chosen = next((one for one in there if one.number == wanted), None)
    if chosen is None:
        names = ", ".join(str(one.number) for one in there) or "none"
        yield Problem(f"there is no generation {wanted}; there are: {names}", "./claw rollback")
    elif chosen.missing:
        yield Problem(f"the {chosen.missing} of generation {wanted} is gone", "choose another one")
    else:
        notes.of(host).plan += planned(settings, chosen)


@operation
def gone_back(settings: Settings) -> Generator:
    """Put image, files, openclaw.json and state of a generation back, and run that.

    + settings: the settings of the host
    """
    yield from activation.back_to(settings, _chosen.get(host.state, 0))
    notes.of(host).outcome += activation.said(
        settings.project_directory, ("generation ", "downtime: ", "What runs ")
    )
    notes.of(host).outcome.append(
        "./claw up goes by the inventory again: name the release there (gateway.version) to stay"
    )


@deploy("Rollback")
def go_back(settings: Settings) -> None:
    """Go back to an earlier generation."""
    gone_back(name="Go back to an earlier generation", settings=settings)


def planned(settings: Settings, one: Generation) -> Iterable[str]:
    """Say what going back to a generation does."""
    there = activation.running()
    running = printable(there.version) or "unknown"
    yield f"generation {one.number}, release {one.release}, which ran until {one.until}"
    yield f"in place of release {running}; since then changed: {', '.join(one.changed)}"
    kept = "the state stays; openclaw.json is that"
    state = "state and openclaw.json are those" if one.with_state else kept
    yield f"{state} of then: what was written since is set aside"
    yield "workspaces stay as they are, and the token is the one of now"
    yield "what runs now becomes a generation of its own, to go back to"
    yield power.DRAINED
    if there.stopped:
        yield f"the gateway was stopped on purpose, {there.stopped}; this starts it"
