#!/usr/bin/env python3
"""What commands cost here and on the lab hosts that they reach, one after the other in rounds.

    .venv/bin/python bench/cost.py [--rounds 11] 'HOST: COMMAND' ['OTHER: COMMAND' ...]

For example a no-change run of two checkouts, each with a lab host that it deployed:

    .venv/bin/python bench/cost.py 'new: ./claw up new.yml -y' 'old: ../old/claw up old.yml -y'

Here: the CPU time of the command, and how long it took. On the host: the CPU time of its control
group, less what it takes in as much time when nothing is asked of it; and the processes that ended
there, by the kernel's accounting (acct(5)), of which programs were started and which of those are
`docker`. Prints one Markdown table: medians, and the ratios to the last command, pair by pair.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.tables import table
from lab import hosts as lab

ACCOUNT = "/var/tmp/bench-account"
SWITCH = "import ctypes, sys; sys.exit(ctypes.CDLL(None).acct(%s))"
RECORD = 64
"""Bytes of a record: the first has the flags, of which 1 is a process that became no program; the
last 16 are the program's name."""
IDLE_SECONDS = 5
FIGURES = {
    "CPU here, s": "here",
    "wall, s": "wall",
    "CPU on the host, s": "there",
    "processes there": "processes",
    "programs there": "programs",
    "of those, docker": "docker",
}


@dataclass
class Reached:
    """A lab host and the command that reaches it; the figures of its runs."""

    host: str
    command: str
    runs: list[dict[str, float]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        container = lab.find(self.host).container
        self.container = container
        pid = lab.container(container).attrs["State"]["Pid"]
        self.account = Path(f"/proc/{pid}/root{ACCOUNT}")
        self.usage = usage(lab.find(self.host))

    def switch(self, on: bool) -> None:
        if on:
            lab.inside(self.container, f": >{ACCOUNT}")
        file = f"{ACCOUNT.encode()!r}" if on else "None"
        lab.inside(self.container, 'python3 -c "$1"', SWITCH % file)

    def used(self) -> float:
        return int(self.usage.read_text()) / 1e9

    def run(self) -> None:
        before, start = self.used(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle = (self.used() - before) / (time.monotonic() - start)
        size, spent = self.account.stat().st_size, _spent()
        before, start = self.used(), time.monotonic()
        done = subprocess.run(shlex.split(self.command), capture_output=True, text=True)
        wall = time.monotonic() - start
        there = self.used() - before - idle * wall
        if done.returncode:
            raise SystemExit(f"{self.command}: {done.returncode}\n{done.stderr[-2000:]}")
        records = self._records(size)
        programs = Counter(name for forked, name in records if not forked)
        self.names += programs
        self.runs.append(
            {
                "here": _spent() - spent,
                "wall": wall,
                "there": there,
                "processes": len(records),
                "programs": programs.total(),
                "docker": programs["docker"],
            }
        )

    def _records(self, start: int) -> list[tuple[bool, str]]:
        with self.account.open("rb") as file:
            file.seek(start)
            data = file.read()
        records = [data[at : at + RECORD] for at in range(0, len(data), RECORD)]
        return [(bool(one[0] & 1), one[-16:].rstrip(b"\0").decode()) for one in records]


def usage(host: lab.Host) -> Path:
    """Return the file that says how many nanoseconds of CPU time a lab host has taken."""
    return group(host, "cpuacct") / "cpuacct.usage"


def group(host: lab.Host, controller: str) -> Path:
    """Return the control group of a lab host, of a controller of cgroup v1."""
    pid = lab.container(host.container).attrs["State"]["Pid"]
    lines = (line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    path = next(path for _, names, path in lines if controller in names.split(","))
    # Its systemd is in a group of its own below.
    return Path(f"/sys/fs/cgroup/{controller}{path.removesuffix('/init.scope')}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--names", action="store_true", help="which programs, too")
    parser.add_argument("commands", nargs="+", metavar="HOST: COMMAND")
    options = parser.parse_args()
    pairs = [one.partition(":") for one in options.commands]
    reached = [Reached(host.strip(), command.strip()) for host, _, command in pairs]
    try:
        for one in reached:
            one.switch(on=True)
            subprocess.run(shlex.split(one.command), capture_output=True)
        for _ in range(options.rounds):
            for one in reached:
                one.run()
    finally:
        for one in reached:
            one.switch(on=False)
    print(f"{os.cpu_count()} cores; medians of {options.rounds} rounds.\n")
    print(table(["", *(one.host for one in reached), "ratio"], rows(reached)))
    if options.names:
        for one in reached:
            found = (
                f"{name} {count / len(one.runs):.1f}" for name, count in one.names.most_common()
            )
            print(f"\n{one.host}: {', '.join(found)}")
    return 0


def rows(reached: list[Reached]) -> list[list[str]]:
    found = []
    for title, key in FIGURES.items():
        series = [[run[key] for run in one.runs] for one in reached]
        pairs = zip(series[0], series[-1], strict=True)
        ratio = statistics.median(one / (other or 1) for one, other in pairs)
        medians = [f"{statistics.median(one):.{2 if key in _SECONDS else 0}f}" for one in series]
        found.append([title, *medians, f"{ratio:.2f}"])
    return found


_SECONDS = ("here", "wall", "there")


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
