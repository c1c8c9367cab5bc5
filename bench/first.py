"""First deploys of bare hosts, all of a fleet in one run, and what the machine's cores cost them.

The lab hosts of a fleet share the cores of one machine, which real hosts do not. How long a first
deploy of N hosts takes apart from that is

    apart = wall - min(saturated - saturated of 1 host, (busy - busy of 1 host) / cores)

where `busy` is the CPU time that the whole machine used during the run (/proc/stat), and
`saturated` the time for which all cores were busy (samples of half a second with less than 5% of
idling): what N hosts have to compute more than one, divided by the cores, as far as it was really
waited for. Time that cores spend waiting for the disk counts as idle.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import tables
from bench.again import say
from bench.sampling import sampled
from lab import hosts as lab
from tests.e2e.harness import claw

SAMPLE, SATURATED = 0.5, 0.05
MOST = 1.5
DISK_FOR_HOST = 5 << 29
"""With a gateway; the one that builds takes more, those that receive less."""


@dataclass
class Cores:
    """What the machine's cores did for a while; seconds."""

    number: int = field(default_factory=lambda: os.cpu_count() or 1)
    busy: float = 0.0
    saturated: float = 0.0


@contextmanager
def watched_cores() -> Iterator[Cores]:
    """Give what the machine's cores do while the body runs, once it has."""
    cores, moment, (busy, idle) = Cores(), time.monotonic(), _processor_time()

    def look() -> None:
        nonlocal moment, busy, idle
        now, (busy_now, idle_now) = time.monotonic(), _processor_time()
        worked, rested = busy_now - busy, idle_now - idle
        cores.busy += worked
        if rested < SATURATED * (worked + rested):
            cores.saturated += now - moment
        moment, busy, idle = now, busy_now, idle_now

    with sampled(look, SAMPLE):
        yield cores


@dataclass
class First:
    """A first deploy: how many hosts, what `./claw up --json` said, and what it cost."""

    size: int
    document: dict[str, Any]
    wall: float
    cores: Cores

    def apart(self, single: First) -> float:
        """The wall time apart from what sharing the cores costs, against one host."""
        saturated = self.cores.saturated - single.cores.saturated
        more = (self.cores.busy - single.cores.busy) / self.cores.number
        return self.wall - max(0.0, min(saturated, more))

    def stage(self, name: str) -> tuple[float, float]:
        """The seconds of a stage: on the slowest host, and all hosts together."""
        found = [one["seconds"] for one in self.document["stages"] if one["name"] == name]
        return max(found, default=0.0), sum(found)


def deploy(size: int, suite: str, directory: Path) -> First:
    """Make bare hosts, deploy them in one run, and remove them.

    Raises:
        LabError: the disk has no room for them.
    """
    if shutil.disk_usage(lab.DATA).free < size * DISK_FOR_HOST:
        raise lab.LabError(f"{lab.DATA} has too little room for {size} hosts")
    names = [f"bench-{os.getpid()}-{number + 1}" for number in range(size)]
    try:
        hosts = [(name, lab.connection(lab.up(name, suite, os.getpid()).ip)) for name in names]
        inventory = directory / f"first{size}.py"
        inventory.write_text(f"hosts = {hosts!r}\n")
        state = {"XDG_STATE_HOME": str(directory / "state")}
        with watched_cores() as cores:
            result = claw("up", str(inventory), "--json", env=state, timeout=3600)
        say(f"first deploy, {size} hosts", result.seconds)
        return First(size, result.json, result.seconds, cores)
    finally:
        lab.down(*names)


def table(found: Sequence[First]) -> str:
    """Stages down (the slowest host), fleets across, and at the end the comparison with one."""
    header = ["first deploy, seconds", *(_title(one) for one in found)]
    names = dict.fromkeys(stage["name"] for one in found for stage in one.document["stages"])
    rows = []
    for name in names:
        stages = [one.stage(name) for one in found]
        if max(slowest for slowest, _ in stages) >= 0.05:
            rows.append([name, *(f"{slowest:.1f}" for slowest, _ in stages)])
    for name in ("connect", "plan", "lock", "execute"):
        rows.append([f"*{name}*", *(f"{one.document['phases'].get(name, 0):.1f}" for one in found)])
    single = next((one for one in found if one.size == 1), None)
    rows.append(["**whole command**", *(f"{one.wall:.1f}" for one in found)])
    rows.append(["CPU time of the machine", *(f"{one.cores.busy:.1f}" for one in found)])
    rows.append(["all cores busy for", *(f"{one.cores.saturated:.1f}" for one in found)])
    if single:
        apart = [one.apart(single) for one in found]
        rows.append(["**apart from the cores**", *(f"{seconds:.1f}" for seconds in apart)])
        ratios = [seconds / single.wall for seconds in apart]
        rows.append(
            [
                f"times 1 host (target {MOST})",
                *(f"{ratio:.2f} {'met' if ratio <= MOST else '**not met**'}" for ratio in ratios),
            ]
        )
    return tables.table(header, rows)


def _title(one: First) -> str:
    return "1 host" if one.size == 1 else f"{one.size} hosts, the slowest"


def _processor_time() -> tuple[float, float]:
    """Busy and idle seconds of all cores since the machine started; steal is busy."""
    line = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, idle, waiting, *interrupts = map(int, line[:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + sum(interrupts)) / ticks, (idle + waiting) / ticks
