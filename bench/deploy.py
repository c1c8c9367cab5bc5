#!/usr/bin/env python3
"""What a deploy costs: fresh and with nothing to change, over SSH and on the machine itself.

    .venv/bin/python bench/deploy.py [--suite trixie] [--rounds 5] [--only ssh|local]

Makes its own bare lab hosts and removes them. Prints one Markdown table, stage by stage; the
no-change deploys are interleaved with a bare `ssh host true`, and given as a ratio to it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import hosts as lab
from lab.engine import Engine
from tests.e2e.harness import Deployment, Result

Up = Callable[[], Result]


@dataclass
class Series:
    """The runs of one way to deploy."""

    way: str
    up: Up
    host: lab.Host
    fresh: Result | None = None
    again: list[Result] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--suite", choices=lab.SUITES, default="bookworm")
    parser.add_argument("--rounds", type=int, default=5, help="no-change deploys of each kind")
    parser.add_argument("--only", choices=("ssh", "local"))
    options = parser.parse_args()
    engine = Engine()
    made: list[lab.Host] = []
    try:
        with tempfile.TemporaryDirectory() as directory:
            series = []
            for way in ("ssh", "local"):
                if options.only in (None, way):
                    host = lab.up(f"bench-{way}-{os.getpid()}", options.suite, owner=os.getpid())
                    made.append(host)
                    up = over_ssh(host, Path(directory)) if way == "ssh" else on_itself(host)
                    series.append(Series(way, up, host))
            measure(series, options.rounds)
            print(table(series, options.suite))
    finally:
        if made:
            lab.down(*(host.name for host in made))
        engine.close()
    return 0


def over_ssh(host: lab.Host, directory: Path) -> Up:
    deployment = Deployment(host, directory / "inventory.py")
    return lambda: deployment.claw("up", "--json")


def on_itself(host: lab.Host) -> Up:
    """`./claw up` in a checkout on the host; its first run makes .venv as well."""
    command = f"cd {shlex.quote(lab.checkout(host.name))} && ./claw up -y --json"

    def up() -> Result:
        start = time.monotonic()
        done = lab.ssh(host.name, command)
        seconds = time.monotonic() - start
        if done.returncode:
            raise SystemExit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
        return Result([command], done.returncode, done.stdout, done.stderr, seconds)

    return up


def measure(series: list[Series], rounds: int) -> None:
    for one in series:
        progress(f"fresh deploy, {one.way}")
        one.fresh = one.up()
    for number in range(rounds):
        for one in series:
            progress(f"no-change deploy, {one.way}, {number + 1} of {rounds}")
            start = time.monotonic()
            lab.ssh(one.host.name, "true")
            one.floor.append(time.monotonic() - start)
            one.again.append(one.up())


def table(series: list[Series], suite: str) -> str:
    columns: dict[str, dict[str, float]] = {}
    for one in series:
        assert one.fresh
        columns[f"{one.way}, fresh"] = stages(one.fresh)
        columns[f"{one.way}, no change"] = medians([stages(result) for result in one.again])
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    lines = [
        f"Seconds on {suite}, {os.cpu_count()} cores; no change: median of {len(series[0].again)}.",
        "",
    ]
    lines += ["| stage | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = [f"{column[name]:.2f}" if name in column else "" for column in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, cells in summary(series).items():
        lines.append(f"| **{name}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary(series: list[Series]) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {"whole command": [], "`ssh host true`": [], "ratio": []}
    for one in series:
        assert one.fresh
        again = statistics.median(result.seconds for result in one.again)
        floor = statistics.median(one.floor)
        rows["whole command"] += [f"{one.fresh.seconds:.1f}", f"{again:.2f}"]
        rows["`ssh host true`"] += ["", f"{floor:.2f}"]
        rows["ratio"] += ["", f"{again / floor:.1f}"]
    return rows


def stages(result: Result) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for stage in json.loads(result.stdout)["stages"]:
        seconds[stage["name"]] = seconds.get(stage["name"], 0.0) + stage["seconds"]
    return seconds


def medians(columns: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: statistics.median(column.get(name, 0.0) for column in columns) for name in names}


def progress(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
