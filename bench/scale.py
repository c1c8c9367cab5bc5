#!/usr/bin/env python3
"""What hosts cost this machine that cost nothing themselves: they replay what one has answered.

    .venv/bin/python bench/scale.py [--host NAME] [--sizes 1,16,64,256,1000] [--what up,status,...]
    .venv/bin/python bench/scale.py --host NAME --sizes 256 --what up --profile FILE

A lab host is deployed, if it is not, and asked once by each way that is measured; bench/replay.pl
notes what it says. Then sshd answers there at a port for each name of an inventory, and gives the
same answers again. `--profile` writes what cProfile saw of each run to FILE.WHAT.HOSTS, in CPU
time, and measures nothing. Prints a Markdown table; a host without `--host` is removed. The load
of the machine is said: the CPU figures can be measured beside other work, the seconds cannot.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import doors, resources, ways
from bench.again import say
from bench.cost import usage
from bench.delay import Delay
from bench.doors import Door
from bench.tables import table
from bench.ways import ANSIBLE_WAY, OURS, PYINFRA, Fleet, NotConverged
from lab import hosts as lab
from tests.e2e.harness import ROOT, Deployment

VERBS = {
    "up": ("--json",),
    "status": ("--json",),
    "logs": ("--tail", "20"),
    "token": (),
    "doctor": ("--json",),
}
OTHERS = {"pyinfra": PYINFRA, "ansible": ANSIBLE_WAY}
ANSWERS = "/run/bench-answers"
REPLAY = Path(__file__).resolve().with_name("replay.pl")
PROFILED = """
import cProfile, os, runpy, sys, time
profile, leave = cProfile.Profile(time.process_time), os._exit
path, *sys.argv = sys.argv[1:]
def left(code):
    profile.disable()
    profile.dump_stats(path)
    leave(code)
os._exit = left
profile.enable()
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""`./claw` in a profile: it leaves by os._exit, and Python's own profiler knows nothing of that."""
MOST_CPU, MOST_SECONDS, MOST_MEMORY = 25.0, 60.0, 400.0
"""What is aimed at: milliseconds for each host, seconds and MB for a thousand."""


@dataclass(frozen=True)
class Cost:
    """Of one run: its seconds, those of the processors here and on the lab host, and the most
    memory that one of its processes had, in MB.
    """

    wall: float
    here: float
    there: float
    memory: float


@dataclass(frozen=True)
class Counted:
    commands: int
    round_trips: int


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--host", help="a lab host that is kept, and deployed if it is not")
    parser.add_argument("--sizes", type=_numbers, default=[1, 16, 64, 256, 1000])
    parser.add_argument("--what", type=_words, default=[*VERBS], help=", ".join((*VERBS, *OTHERS)))
    parser.add_argument("--other-sizes", type=_numbers, default=[1, 16, 64], help="of the others")
    parser.add_argument("--profile", help="write profiles instead")
    options = parser.parse_args()
    if unknown := {*options.what} - {*VERBS, *OTHERS}:
        parser.error(f"--what {', '.join(sorted(unknown))}: accepted: {', '.join(VERBS)}")
    if "ansible" in options.what:
        ways.ansible()
    name = options.host or f"bench-{os.getpid()}"
    host = lab.up(name, owner=0 if options.host else os.getpid())
    try:
        with tempfile.TemporaryDirectory() as place:
            return measure(host, Path(place), options)
    finally:
        if not options.host:
            lab.down(name)


def measure(host: lab.Host, directory: Path, options: argparse.Namespace) -> int:
    deployed = Deployment(host, directory / "inventory.py").claw("up", "--json")
    say("deployed", deployed.seconds)
    if "pyinfra" in options.what or "ansible" in options.what:
        resources.read(host, directory)
    loads, rows, stopped = [os.getloadavg()[0]], [], 0
    try:
        for row in _measured(host, directory, options):
            rows.append(row)
            loads.append(os.getloadavg()[0])
    except (KeyboardInterrupt, NotConverged) as error:
        print(f"bench: stopped: {error or 'interrupted'}", file=sys.stderr)
        stopped = 1
    if rows:
        print(
            f"{os.cpu_count()} cores, one run each; load of the machine, its own in it, "
            f"{min(loads):.1f} to {max(loads):.1f}.\n"
        )
        header = ["no change", "hosts", "wall, s", "CPU here, ms a host", "memory, MB"]
        header += ["CPU of the sshds, ms a host", "commands a host", "round trips a host"]
        print(table(header, rows))
    return stopped


def _measured(host: lab.Host, directory: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    """Yield a row of the table for each way and size."""
    with _recorded(host, directory, options.what):
        most = max(options.sizes)
        replay = f"{ANSWERS}/replay answer {ANSWERS}"
        with _engine_stopped(host), doors.opened(host, most, replay) as (found, _):
            for what in options.what:
                counted = _counted(host, directory, found[0], what)
                sizes = options.other_sizes if what in OTHERS else options.sizes
                for size in (one for one in sizes if one <= most):
                    fleet = _fleet(host, directory, found[:size])
                    if options.profile:
                        _profiled(fleet, what, Path(f"{options.profile}.{what}.{size}"))
                        continue
                    cost = _cost(host, lambda: _run(fleet, what))  # noqa: B023
                    say(f"{what}, {size} hosts", cost.wall)
                    yield _row(what, size, cost, counted)


@contextmanager
def _recorded(host: lab.Host, directory: Path, whats: Sequence[str]) -> Iterator[None]:
    """Have the host asked by each way, and its answers kept while the body runs."""
    doors.run(host, f"rm -rf {ANSWERS} && mkdir -m 700 {ANSWERS}")
    doors.run(host, f"cat >{ANSWERS}/replay <<'END'\n{REPLAY.read_text()}\nEND\n")
    doors.run(host, f"chmod 755 {ANSWERS}/replay")
    try:
        with doors.opened(host, 2, f"{ANSWERS}/replay record {ANSWERS}") as (found, _):
            for what in whats:
                _run(_fleet(host, directory, found[:1]), what)
                # Of several hosts, a verb can ask another question than of one.
                _run(_fleet(host, directory, found), what)
        yield
    finally:
        doors.run(host, f"rm -rf {ANSWERS}")


@contextmanager
def _engine_stopped(host: lab.Host) -> Iterator[None]:
    """Have nothing run on the host but its sshds: the answers are there already."""
    units = "docker.socket docker.service containerd.service"
    doors.run(host, f"systemctl stop {units}")
    try:
        yield
    finally:
        doors.run(host, "systemctl start docker.socket docker.service")


def _run(fleet: Fleet, what: str) -> None:
    """Run one way on all hosts.

    Raises:
        NotConverged: it had no answer of a host.
    """
    if what in OTHERS:
        fleet.run(OTHERS[what])
        return
    if what == "up":
        fleet.run(OURS)
        return
    result = fleet.claw(what, *VERBS[what])
    if "--json" in VERBS[what]:
        hosts = result.json["hosts"]
        whole = len(hosts) == len(fleet.doors) and not any("error" in one for one in hosts.values())
    else:
        several = len(fleet.doors) > 1
        whole = all(door.name in result.stdout for door in fleet.doors if several)
    if not whole or not result.stdout or result.returncode not in (0, 1):
        raise NotConverged(f"{what}: {result.output[-4000:]}")


def _cost(host: lab.Host, work: Callable[[], object]) -> Cost:
    """Do work in a process of its own, and return what it took with all that it started."""
    used = usage(host)
    before, start = int(used.read_text()), time.monotonic()
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status, spent = os.wait4(child, 0)
    wall = time.monotonic() - start
    if status:
        raise NotConverged("a run did not go as it should; see above")
    there = (int(used.read_text()) - before) / 1e9
    return Cost(wall, spent.ru_utime + spent.ru_stime, there, spent.ru_maxrss / 1024)


def _counted(host: lab.Host, directory: Path, door: Door, what: str) -> Counted:
    """Count commands and round trips of a run on one host."""
    forget = f"rm -f {ANSWERS}/commands-* {ANSWERS}/*-[0-9]*-{door.port}"
    doors.run(host, forget)
    with Delay([(door.address, door.port)], 0.001) as proxy:
        _run(_fleet(host, directory, [Door(door.name, "127.0.0.1", proxy.ports[0])]), what)
        turns = proxy.turns
    commands = int(doors.run(host, f"wc -l <{ANSWERS}/commands-{door.port}"))
    doors.run(host, forget)
    return Counted(commands, turns)


def _profiled(fleet: Fleet, what: str, path: Path) -> None:
    program = str(ROOT / "commandline" / "__main__.py")
    words = [what, str(fleet.written()), *VERBS[what], *(["-y"] if what == "up" else [])]
    command = [str(ROOT / ".venv/bin/python"), "-c", PROFILED, str(path), program, *words]
    subprocess.run(command, stdout=subprocess.DEVNULL, cwd=ROOT)


def _row(what: str, size: int, cost: Cost, counted: Counted) -> list[str]:
    mine = what in VERBS
    cells = [f"`./claw {what}`" if mine else OTHERS[what], str(size)]
    cells.append(_judged(cost.wall, MOST_SECONDS if mine and size >= 1000 else None))
    cells.append(_judged(1000 * cost.here / size, MOST_CPU if mine and size >= 256 else None))
    cells.append(_judged(cost.memory, MOST_MEMORY if mine and size >= 1000 else None))
    cells.append(f"{1000 * cost.there / size:.1f}")
    return [*cells, str(counted.commands), str(counted.round_trips)]


def _judged(value: float, most: float | None) -> str:
    """Return a figure, in bold where it is more than what is aimed at."""
    shown = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
    return shown if most is None or value <= most else f"**{shown}**"


def _fleet(host: lab.Host, directory: Path, found: Sequence[Door]) -> Fleet:
    known = doors.known_hosts(host, found, directory / "known_hosts")
    return Fleet(found, directory, known, directory / "resources.json")


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _words(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
