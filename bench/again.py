"""A converged fleet is looked at again: the runs, and the tables of what they took."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import doors, resources
from bench.delay import Delay
from bench.doors import Command, Door
from bench.ways import ANSIBLE_WAY, FLOOR, OURS, PYINFRA, Fleet, floor_script
from lab import hosts as lab

WAYS = (OURS, FLOOR, PYINFRA, ANSIBLE_WAY)
Case = tuple[str, int, int]
"""Way, hosts, milliseconds of delay each way."""


@dataclass
class Counted:
    """One run on one host: its commands there, and its round trips."""

    commands: list[Command]
    round_trips: int


@dataclass
class Measured:
    """What the bench has seen, and is still to see."""

    sizes: Sequence[int]
    delays: Sequence[int]
    rounds: dict[str, int]
    """Of each way."""
    seconds: dict[Case, dict[int, float]] = field(default_factory=dict)
    """Of each case: the seconds by the number of the round."""
    counted: dict[str, Counted] = field(default_factory=dict)
    phases: list[dict[str, float]] = field(default_factory=list)
    """Of the toolkit's runs on one host without delay."""
    resources: int = 0

    def median(self, way: str, size: int, delay: int) -> float | None:
        found = self.seconds.get((way, size, delay))
        return statistics.median(found.values()) if found else None

    def ratio(self, way: str, other: str, size: int, delay: int) -> float | None:
        """The median of `way` / `other`, of the rounds that have both."""
        one, two = (self.seconds.get((name, size, delay), {}) for name in (way, other))
        both = [one[number] / two[number] for number in one if number in two]
        return statistics.median(both) if both else None


def measure(host: lab.Host, directory: Path, measured: Measured, slow_delayed: int) -> None:
    """Fill `measured`, round by round, every way of a round after the other.

    With a delay Ansible runs on no more than `slow_delayed` hosts.
    """
    with doors.opened(host, max(measured.sizes)) as (ways_in, noted):
        there = resources.read(host, directory)
        measured.resources = resources.count(there)
        script = _count(host, directory, noted, measured)
        with _delayed(ways_in, measured.delays) as by_delay:
            for number in range(max(measured.rounds.values())):
                for delay, found in by_delay.items():
                    for size in measured.sizes:
                        fleet = _fleet(host, directory, found[:size], script)
                        for way in WAYS:
                            if number >= measured.rounds[way]:
                                continue
                            if way == ANSIBLE_WAY and delay and size > slow_delayed:
                                continue
                            seconds = fleet.run(way)
                            measured.seconds.setdefault((way, size, delay), {})[number] = seconds
                            say(f"round {number + 1}, {delay} ms, {size} hosts, {way}", seconds)
                        if size == 1 and not delay:
                            measured.phases += fleet.phases


def say(what: str, seconds: float) -> None:
    now = time.strftime("%H:%M:%S")
    print(f"bench: {now} {what}: {seconds:.2f} s", file=sys.stderr, flush=True)


def _count(host: lab.Host, directory: Path, noted: Door, measured: Measured) -> str:
    """Count commands and round trips of a run of each way on one host; return the floor's script.

    Each runs once before, for what only a first run does.
    """
    script = ""
    for way in WAYS:
        if not measured.rounds[way]:
            continue
        with Delay([(noted.address, noted.port)], 0.04) as proxy:
            ways_in = [Door("h01", "127.0.0.1", proxy.ports[0])]
            fleet = _fleet(host, directory, ways_in, script)
            if way in (ANSIBLE_WAY, PYINFRA):
                say(f"{way}, first run", fleet.run(way))
            doors.forget_notes(host)
            proxy.turns = 0
            seconds = fleet.run(way)
            commands = doors.notes(host)
            measured.counted[way] = Counted(commands, proxy.turns)
        say(f"{way}: {len(commands)} commands, {proxy.turns} round trips", seconds)
        script = script or floor_script([command.text for command in commands])
    return script


@contextmanager
def _delayed(ways_in: Sequence[Door], delays: Sequence[int]) -> Iterator[dict[int, list[Door]]]:
    """The same doors for each delay; without one they are the host's own."""
    found: dict[int, list[Door]] = {}
    with ExitStack() as stack:
        for delay in delays:
            found[delay] = list(ways_in)
            if delay:
                addresses = [(door.address, door.port) for door in ways_in]
                proxy = stack.enter_context(Delay(addresses, delay / 1000))
                ports = zip(ways_in, proxy.ports, strict=True)
                found[delay] = [Door(door.name, "127.0.0.1", port) for door, port in ports]
        yield found


def _fleet(host: lab.Host, directory: Path, found: Sequence[Door], script: str) -> Fleet:
    known = doors.known_hosts(host, found, directory / "known_hosts")
    return Fleet(found, directory, known, directory / "resources.json", script)
